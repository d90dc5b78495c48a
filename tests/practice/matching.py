"""Answers to the exercises of notebooks 3 and 4."""

# %% denoising_loss | right: NumPy, an example at a time
def my_loss(score, x, sigma, z):
    losses = []
    for row, noise in zip(x.numpy(), z.numpy()):
        s = score((row + sigma * noise)[None], sigma)[0]
        losses.append(0.5 * np.sum((sigma * s + noise) ** 2))
    return np.array(losses)

# %% denoising_loss | right: the textbook's form, times sigma squared
def my_loss(score, x, sigma, z):
    noisy = x + sigma * z
    return sigma**2 * (score(noisy, sigma) + (noisy - x) / sigma**2).pow(2).sum(-1) / 2

# %% denoising_loss | right: einsum in double precision
def my_loss(score, x, sigma, z):
    residual = (sigma * score(x + sigma * z, sigma) + z).double()
    return torch.einsum("bd,bd->b", residual, residual) / 2

# %% denoising_loss | wrong: sign of the noise | minus
def my_loss(score, x, sigma, z):
    return 0.5 * (sigma * score(x + sigma * z, sigma) - z).square().sum(1)

# %% denoising_loss | wrong: clean | the score at x
def my_loss(score, x, sigma, z):
    return 0.5 * (sigma * score(x, sigma) + z).square().sum(1)

# %% denoising_loss | wrong: weight | not multiplied by sigma^2
def my_loss(score, x, sigma, z):
    return 0.5 * (score(x + sigma * z, sigma) + z / sigma).square().sum(1)

# %% denoising_loss | wrong: of each example | the mean of all
def my_loss(score, x, sigma, z):
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().sum(1).mean()

# %% denoising_loss | wrong: over the coordinates | a mean in place of the sum
def my_loss(score, x, sigma, z):
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().mean(1)

# %% denoising_loss | wrong: sigma^2 z | the variance in place of the standard deviation
def my_loss(score, x, sigma, z):
    return 0.5 * (sigma * score(x + sigma**2 * z, sigma) + z).square().sum(1)

# %% denoising_loss | wrong: half | no half
def my_loss(score, x, sigma, z):
    return ((sigma * score(x + sigma * z, sigma) + z) ** 2).sum(1)

# %% denoised | right: NumPy
def my_denoised(x, s, sigma):
    return np.add(x, np.multiply(s, sigma * sigma))

# %% denoised | right: a list of rows
def my_denoised(x, s, sigma):
    return [row + sigma**2 * arrow for row, arrow in zip(x, s)]

# %% denoised | wrong: sigma^2 s | one sigma
def my_denoised(x, s, sigma):
    return x + sigma * s

# %% denoised | wrong: add it | away from the data
def my_denoised(x, s, sigma):
    return x - sigma**2 * s

# %% denoised | wrong: half | the drift of a Langevin step
def my_denoised(x, s, sigma):
    return x + sigma**2 / 2 * s

# %% on_sphere | right: NumPy
def my_direction(g):
    g = g.numpy()
    return g / np.sqrt((g**2).mean(axis=1, keepdims=True))

# %% on_sphere | right: normalize
def my_direction(g):
    return torch.nn.functional.normalize(g) * g.shape[1] ** 0.5

# %% on_sphere | wrong: E[v v'] = I / D | unit vectors
def my_direction(g):
    return g / g.norm(dim=1, keepdim=True)

# %% on_sphere | wrong: rows | along the wrong dimension
def my_direction(g):
    return g / g.norm(dim=0) * g.shape[1] ** 0.5

# %% on_sphere | wrong: whole batch | one norm for all
def my_direction(g):
    return g.shape[1] ** 0.5 * g / g.norm()

# %% slice_loss | right: forward mode
def my_slice(score, x, v):
    s, slope = torch.func.jvp(score, (x,), (v,))
    return (slope * v).sum(1) + s.square().sum(1) / 2

# %% slice_loss | right: the gradient of a sum
def my_slice(score, x, v):
    x = x.detach().requires_grad_()
    s = score(x)
    (row,) = torch.autograd.grad((s * v).sum(), x, create_graph=True)
    return torch.einsum("bi,bi->b", row, v) + 0.5 * torch.linalg.vector_norm(s, dim=1) ** 2

# %% slice_loss | wrong: plain form | the projection squared
def my_slice(score, x, v):
    x.requires_grad_()
    s = score(x)
    (row,) = torch.autograd.grad(s, x, v, create_graph=True)
    return (row * v).sum(1) + 0.5 * (s * v).sum(1) ** 2

# %% slice_loss | wrong: one side only | v once
def my_slice(score, x, v):
    x.requires_grad_()
    s = score(x)
    (row,) = torch.autograd.grad(s, x, v, create_graph=True)
    return row.sum(1) + 0.5 * s.square().sum(1)

# %% slice_loss | wrong: create_graph | the loss cannot be trained
def my_slice(score, x, v):
    x.requires_grad_()
    s = score(x)
    (row,) = torch.autograd.grad(s, x, v, retain_graph=True)
    return (row * v).sum(1) + 0.5 * s.square().sum(1)

# %% slice_loss | wrong: half | no half
def my_slice(score, x, v):
    x.requires_grad_()
    s = score(x)
    (row,) = torch.autograd.grad(s, x, v, create_graph=True)
    return (row * v).sum(1) + s.square().sum(1)

# %% slice_loss | wrong: no gradient | detached
def my_slice(score, x, v):
    x.requires_grad_()
    s = score(x)
    (row,) = torch.autograd.grad(s, x, v, create_graph=True)
    return ((row * v).sum(1) + 0.5 * s.square().sum(1)).detach()
