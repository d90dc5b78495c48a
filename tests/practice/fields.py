"""Answers to the exercises of notebook 1: right ones, unusual ones, and wrong ones with a word of what must be said."""

# %% noisy_score | right: NumPy, row by row
def my_score(x, mean, variance, sigma):
    return np.stack([(np.asarray(mean) - row) / (variance + sigma**2) for row in np.asarray(x)])

# %% noisy_score | right: automatic differentiation of the log-density
def my_score(x, mean, variance, sigma):
    x = x.requires_grad_()
    torch.distributions.Normal(mean, math.sqrt(variance + sigma**2)).log_prob(x).sum().backward()
    return x.grad

# %% noisy_score | right: the package does it
my_score = lambda x, mean, variance, sigma: ne.GaussianMixture(mean[None], variance)(x, sigma)

# %% noisy_score | wrong: flipped | from the mean to the point
def my_score(x, mean, variance, sigma):
    return (x - mean) / (variance + sigma**2)

# %% noisy_score | wrong: without noise | sigma forgotten
def my_score(x, mean, variance, sigma):
    return (mean - x) / variance

# %% noisy_score | wrong: squared | standard deviations added
def my_score(x, mean, variance, sigma):
    return (mean - x) / (variance + sigma)

# %% noisy_score | wrong: noise alone | the component's variance replaced
def my_score(x, mean, variance, sigma):
    return -(x - mean) / max(sigma, 1e-12) ** 2

# %% noisy_score | wrong: shape (5,) | the length of the arrow
def my_score(x, mean, variance, sigma):
    return ((mean - x) / (variance + sigma**2)).norm(dim=1)
