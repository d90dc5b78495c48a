"""Answers to the exercises of notebook 14."""


# %% shell_overlap | right: by the error function
def my_overlap(gamma, dim):
    shift = math.sqrt(2 * dim) * (gamma - 1)
    return 0.5 * (math.erf((shift + 3 * gamma) / math.sqrt(2)) - math.erf((shift - 3 * gamma) / math.sqrt(2)))


# %% shell_overlap | right: in radii, the lower shell in units of its own
def my_overlap(gamma, dim):
    lower = torch.distributions.Normal(dim**0.5, 0.5**0.5)
    low, high = (gamma * (dim**0.5 + side * 3 / 2**0.5) for side in (-1, 1))
    return lower.cdf(torch.tensor(high)) - lower.cdf(torch.tensor(low))


# %% shell_overlap | right: summed over a grid
def my_overlap(gamma, dim):
    shift = np.sqrt(2 * dim) * (gamma - 1)
    t = np.linspace(shift - 3 * gamma, shift + 3 * gamma, 200_001)
    height = np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)
    return ((height[1:] + height[:-1]) / 2 * np.diff(t)).sum()


# %% shell_overlap | wrong: wider than the lower one | three of the lower level's
def my_overlap(gamma, dim):
    shift = torch.tensor(2.0 * dim).sqrt() * (gamma - 1)
    return torch.special.ndtr(shift + 3) - torch.special.ndtr(shift - 3)


# %% shell_overlap | wrong: root of 2 is missing | in units of sigma
def my_overlap(gamma, dim):
    shift = torch.tensor(1.0 * dim).sqrt() * (gamma - 1)
    return torch.special.ndtr(shift + 3 * gamma) - torch.special.ndtr(shift - 3 * gamma)


# %% shell_overlap | wrong: one tail | the band has no lower end
def my_overlap(gamma, dim):
    return torch.special.ndtr(torch.tensor(math.sqrt(2 * dim) * (gamma - 1) + 3 * gamma))


# %% shell_overlap | wrong: negative | upside down
def my_overlap(gamma, dim):
    shift = torch.tensor(2.0 * dim).sqrt() * (gamma - 1)
    return torch.special.ndtr(shift - 3 * gamma) - torch.special.ndtr(shift + 3 * gamma)


# %% level_variances | right: a tensor, filled
def my_variances(variance, sigma, alpha, n):
    path = torch.empty(n, dtype=torch.float64)
    for t in range(n):
        variance = variance * (1 - alpha / (2 * sigma**2)) ** 2 + alpha
        path[t] = variance
    return path


# %% level_variances | right: the closed form, NumPy
def my_variances(variance, sigma, alpha, n):
    r = alpha / (2 * sigma**2)
    v = 2 / (2 - r) * sigma**2
    return v + (1 - r) ** (2 * np.arange(1, n + 1)) * (variance - v)


# %% level_variances | right: in the letters of the published code, step = alpha / 2
def my_variances(variance, sigma, alpha, n):
    step, path = alpha / 2, []
    while len(path) < n:
        variance = variance - 2 * step / sigma**2 * variance + (step / sigma**2) ** 2 * variance + 2 * step
        path.append(variance)
    return path


# %% level_variances | wrong: squared | the share of x taken for that of the variance
def my_variances(variance, sigma, alpha, n):
    path = []
    for _ in range(n):
        variance = (1 - alpha / (2 * sigma**2)) * variance + alpha
        path.append(variance)
    return path


# %% level_variances | wrong: the half | drift alpha s
def my_variances(variance, sigma, alpha, n):
    path = []
    for _ in range(n):
        variance = (1 - alpha / sigma**2) ** 2 * variance + alpha
        path.append(variance)
    return path


# %% level_variances | wrong: has the variance alpha | the noise squared twice
def my_variances(variance, sigma, alpha, n):
    path = []
    for _ in range(n):
        variance = (1 - alpha / (2 * sigma**2)) ** 2 * variance + alpha**2
        path.append(variance)
    return path


# %% level_variances | wrong: no result of a step | append, then step
def my_variances(variance, sigma, alpha, n):
    path = []
    for _ in range(n):
        path.append(variance)
        variance = (1 - alpha / (2 * sigma**2)) ** 2 * variance + alpha
    return path


# %% level_variances | wrong: n + 1 numbers | the start among them
def my_variances(variance, sigma, alpha, n):
    path = [variance]
    for _ in range(n):
        path.append((1 - alpha / (2 * sigma**2)) ** 2 * path[-1] + alpha)
    return path
