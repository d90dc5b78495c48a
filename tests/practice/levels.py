"""Answers to the exercises of notebook 8."""

# %% geometric_ladder | right: NumPy
def my_ladder(first, last, n):
    return np.geomspace(first, last, n)

# %% geometric_ladder | right: a list, one ratio after the other
def my_ladder(first, last, n):
    ratio = (first / last) ** (1 / (n - 1))
    levels = [first]
    while len(levels) < n:
        levels.append(levels[-1] / ratio)
    return levels

# %% geometric_ladder | right: evenly spaced logarithms
def my_ladder(first, last, n):
    return torch.logspace(math.log10(first), math.log10(last), n)

# %% geometric_ladder | wrong: upside down | from the smallest
def my_ladder(first, last, n):
    return np.geomspace(last, first, n)

# %% geometric_ladder | wrong: equal differences | linspace
def my_ladder(first, last, n):
    return torch.linspace(first, last, n)

# %% geometric_ladder | wrong: n - 1 ratios | n ratios for n levels
def my_ladder(first, last, n):
    gamma = (last / first) ** (1 / n)
    return [first * gamma**i for i in range(n)]

# %% geometric_ladder | wrong: logarithms | the exponential forgotten
def my_ladder(first, last, n):
    return torch.linspace(math.log(first), math.log(last), n)

# %% geometric_ladder | wrong: both ends are among | one too many
def my_ladder(first, last, n):
    return first * (last / first) ** (torch.arange(n + 1) / n)

# %% ladder_loss | right: an example at a time
def my_loss(score, x, sigmas, level, z):
    losses = []
    for row, i, noise in zip(x, level, z):
        s = score((row + sigmas[i] * noise)[None], sigmas[i])[0]
        losses.append(((sigmas[i] * s + noise) ** 2).sum() / 2)
    return torch.stack(losses)

# %% ladder_loss | right: the loss of one level, times its weight
def my_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].unsqueeze(-1)
    noisy = x + sigma * z
    plain = 0.5 * (score(noisy, sigma.squeeze(-1)) + (noisy - x) / sigma**2).norm(dim=-1) ** 2
    return plain * sigmas[level] ** 2

# %% ladder_loss | right: NumPy, by einsum
def my_loss(score, x, sigmas, level, z):
    x, sigma, z = x.numpy(), sigmas.numpy()[level.numpy()], z.numpy()
    residual = np.einsum("b,bd->bd", sigma, score(x + np.einsum("b,bd->bd", sigma, z), sigma)) + z
    return 0.5 * np.einsum("bd,bd->b", residual, residual)

# %% ladder_loss | wrong: sigma multiplies columns | broadcast along the wrong dimension
def my_loss(score, x, sigmas, level, z):
    sigma = sigmas[level]
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().sum(1)

# %% ladder_loss | wrong: weight is missing | lambda = 1
def my_loss(score, x, sigmas, level, z):
    sigma = sigmas[level][:, None]
    return 0.5 * (score(x + sigma * z, sigmas[level]) + z / sigma).square().sum(1)

# %% ladder_loss | wrong: number of the level | the index in place of sigma
def my_loss(score, x, sigmas, level, z):
    sigma = sigmas[level][:, None]
    return 0.5 * (sigma * score(x + sigma * z, level) + z).square().sum(1)

# %% ladder_loss | wrong: of each example | the mean of the batch
def my_loss(score, x, sigmas, level, z):
    sigma = sigmas[level][:, None]
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).square().sum(1).mean()

# %% ladder_loss | wrong: sigma^2 z | the variance in place of the standard deviation
def my_loss(score, x, sigmas, level, z):
    sigma = sigmas[level][:, None]
    return 0.5 * (sigma * score(x + sigma**2 * z, sigmas[level]) + z).square().sum(1)
