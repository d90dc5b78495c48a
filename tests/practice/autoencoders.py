"""Answers to the exercises of notebook 15."""

# %% latent_kl | right: NumPy
def my_kl(mean, std):
    mean, std = mean.numpy(), std.numpy()
    return 0.5 * np.sum(np.square(mean) + np.square(std) - np.log(np.square(std)) - 1, axis=1)

# %% latent_kl | right: by the library of distributions
def my_kl(mean, std):
    normal = torch.distributions.Normal
    return torch.distributions.kl_divergence(normal(mean, std), normal(0.0, 1.0)).sum(1)

# %% latent_kl | right: a loop, in the letters of full Gaussians
def my_kl(mean, std):
    values = []
    for m, s in zip(mean, std):
        cov = torch.diag(s**2)
        values.append((cov.trace() + m @ m - len(m) - torch.logdet(cov)) / 2)
    return torch.stack(values)

# %% latent_kl | wrong: has to be squared | mu for mu^2
def my_kl(mean, std):
    return 0.5 * (mean + std**2 - (std**2).log() - 1).sum(1)

# %% latent_kl | wrong: exchanged | from the prior to q
def my_kl(mean, std):
    normal = torch.distributions.Normal
    return torch.distributions.kl_divergence(normal(torch.zeros_like(mean), torch.ones_like(std)), normal(mean, std)).sum(1)

# %% latent_kl | wrong: wants the variance | diag(s) for diag(s^2)
def my_kl(mean, std):
    return 0.5 * (mean.square() + std - std.log() - 1).sum(1)

# %% latent_kl | wrong: half is missing | twice of it
def my_kl(mean, std):
    return (mean.square() + std.square() - 2 * std.log() - 1).sum(1)

# %% latent_kl | wrong: sum over the latents | a mean
def my_kl(mean, std):
    return 0.5 * (mean.square() + std.square() - 2 * std.log() - 1).mean(1)

# %% latent_kl | wrong: for each example | one number
def my_kl(mean, std):
    return 0.5 * (mean.square() + std.square() - 2 * std.log() - 1).sum()

# %% latent_draw | right: NumPy
def my_draw(mean, log_var, e):
    return mean.numpy() + np.sqrt(np.exp(log_var.numpy())) * e.numpy()

# %% latent_draw | right: addcmul
def my_draw(mean, log_var, e):
    return torch.addcmul(mean, log_var.div(2).exp(), e)

# %% latent_draw | wrong: multiplied by the variance | s^2 e
def my_draw(mean, log_var, e):
    return mean + log_var.exp() * e

# %% latent_draw | wrong: logarithm of the variance | no exp
def my_draw(mean, log_var, e):
    return mean + log_var * e

# %% latent_draw | wrong: no noise | the mean
def my_draw(mean, log_var, e):
    return mean

# %% latent_draw | wrong: root is taken twice | exp of a quarter
def my_draw(mean, log_var, e):
    return mean + (log_var / 2).exp().sqrt() * e

# %% decoder_log_likelihood | right: by the library of distributions
def my_log_likelihood(x, mean, std):
    return torch.distributions.Normal(mean, std).log_prob(x).sum(1)

# %% decoder_log_likelihood | right: NumPy, one coordinate after the other
def my_log_likelihood(x, mean, std):
    total = np.zeros(len(x))
    for a, b in zip(x.numpy().T, mean.numpy().T):
        total += -((a - b) ** 2) / (2 * std**2) - np.log(std * np.sqrt(2 * np.pi))
    return total

# %% decoder_log_likelihood | wrong: has to be (2 pi)^(D/2) | the power at the wrong place
def my_log_likelihood(x, mean, std):
    n = x.shape[1]
    return -(x - mean).square().sum(1) / (2 * std**2) - n * math.log(std) - math.log(2 * math.pi ** (n / 2))

# %% decoder_log_likelihood | wrong: constant is missing | only what depends on std
def my_log_likelihood(x, mean, std):
    return -(x - mean).square().sum(1) / (2 * std**2) - x.shape[1] * math.log(std)

# %% decoder_log_likelihood | wrong: widest decoder is the best | without log std
def my_log_likelihood(x, mean, std):
    return -(x - mean).square().sum(1) / (2 * std**2) - x.shape[1] / 2 * math.log(2 * math.pi)

# %% decoder_log_likelihood | wrong: once for each of the D coordinates | log std once
def my_log_likelihood(x, mean, std):
    return -(x - mean).square().sum(1) / (2 * std**2) - math.log(std) - x.shape[1] / 2 * math.log(2 * math.pi)

# %% decoder_log_likelihood | wrong: take its logarithm | the density
def my_log_likelihood(x, mean, std):
    return torch.distributions.Normal(mean, std).log_prob(x).sum(1).exp()

# %% decoder_log_likelihood | wrong: their mean | a mean over the coordinates
def my_log_likelihood(x, mean, std):
    return torch.distributions.Normal(mean, std).log_prob(x).mean(1)
