"""Answers to the exercise of notebook 11."""

# %% pasted | right: NumPy, in place
def my_paste(x, image, mask, sigma, z):
    x, known = x.numpy().copy(), mask.numpy() == 1
    x[known] = image.numpy()[known] + sigma * z.numpy()[known]
    return x

# %% pasted | right: the formula as the paper prints it
def my_paste(x, image, mask, sigma, z):
    return x * (1 - mask) + (image + sigma * z) * mask

# %% pasted | right: number by number
def my_paste(x, image, mask, sigma, z):
    flat = zip(x.flatten(), image.flatten(), mask.flatten(), z.flatten())
    return torch.stack([y + sigma * e if m else a for a, y, m, e in flat]).view_as(x)

# %% pasted | wrong: upside down | 1 for what is missing
def my_paste(x, image, mask, sigma, z):
    return torch.where(mask.bool(), x, image + sigma * z)

# %% pasted | wrong: clean | no noise
def my_paste(x, image, mask, sigma, z):
    return x * (1 - mask) + image * mask

# %% pasted | wrong: not sigma^2 | the variance
def my_paste(x, image, mask, sigma, z):
    return torch.where(mask == 1, image + sigma**2 * z, x)

# %% pasted | wrong: missing part is noised | noise over all
def my_paste(x, image, mask, sigma, z):
    return torch.where(mask == 1, image, x) + sigma * z

# %% pasted | wrong: missing part is gone | masked, and forgotten the rest
def my_paste(x, image, mask, sigma, z):
    return mask * (image + sigma * z)

# %% pasted | wrong: shape | the known pixels in a row
def my_paste(x, image, mask, sigma, z):
    return (image + sigma * z)[mask == 1]
