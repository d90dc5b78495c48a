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

# %% mixture_score | right: NumPy, point by point, the largest exponent taken out
def my_mixture_score(x, means, weights):
    scores = []
    for row in np.asarray(x):
        pulls = np.asarray(means) - row
        exponents = np.log(np.asarray(weights)) - (pulls**2).sum(1) / 2
        r = np.exp(exponents - exponents.max())
        scores.append((r / r.sum()) @ pulls)
    return np.array(scores)

# %% mixture_score | right: the mean of the means that may be behind x, less x
def my_mixture_score(x, means, weights):
    r = torch.softmax(torch.log(weights)[None] + x @ means.T - 0.5 * (means**2).sum(1), dim=1)
    return r @ means - x

# %% mixture_score | right: automatic differentiation of the log-density
def my_mixture_score(x, means, weights):
    x.requires_grad_()
    log_p = torch.logsumexp(weights.log() - torch.cdist(x, means) ** 2 / 2, 1)
    return torch.autograd.grad(log_p.sum(), x)[0]

# %% mixture_score | right: the package does it
my_mixture_score = lambda x, means, weights: ne.GaussianMixture(means, 1.0, weights)(x)

# %% mixture_score | wrong: far from all | densities in place of logarithms: 0 / 0 far away
def my_mixture_score(x, means, weights):
    p = weights * torch.exp(-0.5 * ((means - x[:, None]) ** 2).sum(2))
    return ((p / p.sum(1, keepdim=True))[:, :, None] * (means - x[:, None])).sum(1).nan_to_num()

# %% mixture_score | wrong: nan | the same, as it comes
def my_mixture_score(x, means, weights):
    p = weights * torch.exp(-0.5 * ((means - x[:, None]) ** 2).sum(2))
    return ((p / p.sum(1, keepdim=True))[:, :, None] * (means - x[:, None])).sum(1)

# %% mixture_score | wrong: flipped | from the means to the point
def my_mixture_score(x, means, weights):
    away = x[:, None] - means
    return ((weights.log() - (away**2).sum(2) / 2).softmax(1)[:, :, None] * away).sum(1)

# %% mixture_score | wrong: weights are not in it | softmax of the distances alone
def my_mixture_score(x, means, weights):
    pulls = means - x[:, None]
    return (torch.softmax(-(pulls**2).sum(2) / 2, 1)[:, :, None] * pulls).sum(1)

# %% mixture_score | wrong: depend on x | the weighted mean of the components' scores
def my_mixture_score(x, means, weights):
    return weights @ means - x

# %% mixture_score | wrong: not over the points | the softmax over the batch
def my_mixture_score(x, means, weights):
    pulls = means - x[:, None]
    return ((weights.log() - (pulls**2).sum(2) / 2).softmax(0)[:, :, None] * pulls).sum(1)

# %% mixture_score | wrong: divide by the density | the gradient of p
def my_mixture_score(x, means, weights):
    x.requires_grad_()
    normal = torch.exp(-torch.cdist(x, means) ** 2 / 2) / (2 * math.pi) ** (x.shape[1] / 2)
    return torch.autograd.grad((normal @ weights).sum(), x)[0]

# %% mixture_score | wrong: shape (1,) | one point at a time, its rows summed
def my_mixture_score(x, means, weights):
    pulls = means - x[0]
    return (weights.log() - (pulls**2).sum(1) / 2).softmax(0) @ pulls.sum(1, keepdim=True)
