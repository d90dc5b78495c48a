"""Answers to the exercises of notebook 7."""

# %% step_sizes | right: NumPy
def my_steps(sigmas, eps):
    sigmas = sigmas.numpy()
    return eps * np.square(sigmas / sigmas.min())

# %% step_sizes | right: logarithms
def my_steps(sigmas, eps):
    return (math.log(eps) + 2 * (sigmas.log() - sigmas[-1].log())).exp()

# %% step_sizes | right: a list
def my_steps(sigmas, eps):
    return [eps * sigma**2 / sigmas[-1] ** 2 for sigma in sigmas]

# %% step_sizes | wrong: without squares | the ratio of the levels
def my_steps(sigmas, eps):
    return eps * sigmas / sigmas[-1]

# %% step_sizes | wrong: not by the first | the first level's step is eps
def my_steps(sigmas, eps):
    return eps * sigmas**2 / sigmas[0] ** 2

# %% step_sizes | wrong: last level is missing | no sigma_L
def my_steps(sigmas, eps):
    return eps * sigmas**2

# %% step_sizes | wrong: upside down | small steps where the noise is large
def my_steps(sigmas, eps):
    return eps * (sigmas[-1] / sigmas) ** 2

# %% step_sizes | wrong: sigma_L is not | one square
def my_steps(sigmas, eps):
    return eps * sigmas**2 / sigmas[-1]

# %% annealing | right: NumPy, the steps worked out first
def my_annealing(score, x, sigmas, eps, z):
    x, z, sigmas = x.numpy(), z.numpy(), sigmas.numpy()
    alphas = eps * (sigmas / sigmas[-1]) ** 2
    for sigma, alpha, draws in zip(sigmas, alphas, z):
        for draw in draws:
            x = x + 0.5 * alpha * score(x, float(sigma)) + np.sqrt(alpha) * draw
    return x

# %% annealing | right: in place, in the letters of physics
def my_annealing(score, x, sigmas, eps, z):
    for i in range(len(sigmas)):
        step = eps / 2 * (sigmas[i] / sigmas[-1]).pow(2)
        for t in range(z.shape[1]):
            x += step * score(x, sigmas[i])
            x.add_(z[i, t] * (2 * step).sqrt())
    return x

# %% annealing | right: one loop over all steps
def my_annealing(score, x, sigmas, eps, z):
    every = sigmas.repeat_interleave(z.shape[1])
    for sigma, draw in zip(every, z.flatten(0, 1)):
        root = eps**0.5 * sigma / sigmas[-1]
        x = x + root * (root / 2 * score(x, sigma) + draw)
    return x

# %% annealing | wrong: without squares | alpha_i follows sigma_i
def my_annealing(score, x, sigmas, eps, z):
    for i, sigma in enumerate(sigmas):
        alpha = eps * sigma / sigmas[-1]
        for t in range(z.shape[1]):
            x = x + alpha / 2 * score(x, sigma) + alpha**0.5 * z[i, t]
    return x

# %% annealing | wrong: climbed | from the smallest noise up
def my_annealing(score, x, sigmas, eps, z):
    for i in reversed(range(len(sigmas))):
        alpha = eps * (sigmas[i] / sigmas[-1]) ** 2
        for t in range(z.shape[1]):
            x = x + alpha / 2 * score(x, sigmas[i]) + alpha**0.5 * z[i, t]
    return x

# %% annealing | wrong: half | twice the drift
def my_annealing(score, x, sigmas, eps, z):
    for i, sigma in enumerate(sigmas):
        alpha = eps * (sigma / sigmas[-1]) ** 2
        for t in range(z.shape[1]):
            x = x + alpha * score(x, sigma) + alpha**0.5 * z[i, t]
    return x

# %% annealing | wrong: where the last one ended | each level from the start
def my_annealing(score, x, sigmas, eps, z):
    for i, sigma in enumerate(sigmas):
        alpha = eps * (sigma / sigmas[-1]) ** 2
        y = x
        for t in range(z.shape[1]):
            y = y + alpha / 2 * score(y, sigma) + alpha**0.5 * z[i, t]
    return y

# %% annealing | wrong: its variance | the root forgotten
def my_annealing(score, x, sigmas, eps, z):
    for i, sigma in enumerate(sigmas):
        alpha = eps * (sigma / sigmas[-1]) ** 2
        for t in range(z.shape[1]):
            x = x + alpha / 2 * score(x, sigma) + alpha * z[i, t]
    return x

# %% annealing | wrong: at the last level | one noise level for all
def my_annealing(score, x, sigmas, eps, z):
    for i, sigma in enumerate(sigmas):
        alpha = eps * (sigma / sigmas[-1]) ** 2
        for t in range(z.shape[1]):
            x = x + alpha / 2 * score(x, sigmas[-1]) + alpha**0.5 * z[i, t]
    return x
