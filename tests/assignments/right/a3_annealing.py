"""Unusual right answers to assignment 3. Each one gets all points of its task."""

# %% 1 | NumPy, and a loop over points
def mode_shares(x, means):
    x, means = x.numpy(), means.numpy()
    counts = np.zeros(len(means))
    for point in x:
        counts[np.argmin(np.linalg.norm(means - point, axis=1))] += 1
    return counts / counts.sum()

# %% 1 | one-hot codes of the smallest distance, in double precision
def mode_shares(x, means):
    nearest = torch.cdist(x.double(), means.double(), compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    return torch.nn.functional.one_hot(nearest, len(means)).double().mean(0)

# %% 1 | lists and a counter, and it prints
def mode_shares(x, means):
    print(x.shape)
    counts = Counter(min(range(len(means)), key=lambda k: float((p - means[k]).norm())) for p in x)
    return [counts[k] / len(x) for k in range(len(means))]

# %% 1 | the package's function
def mode_shares(x, means):
    return ne.mode_weights(x, ne.GaussianMixture(means)).weight

# %% 2 | PyTorch's distributions
def share_between(low, high, sigma, means, variances, weights):
    normal = torch.distributions.Normal(means, torch.sqrt(variances + sigma * sigma))
    return weights @ (normal.cdf(torch.tensor(high)) - normal.cdf(torch.tensor(low)))

# %% 2 | the error function, one component after the other, a plain number
def share_between(low, high, sigma, means, variances, weights):
    total = 0.0
    for m, v, w in zip(means.tolist(), variances.tolist(), weights.tolist()):
        scale = math.sqrt(2 * (v + sigma**2))
        total += w * 0.5 * (math.erf((high - m) / scale) - math.erf((low - m) / scale))
    return total

# %% 2 | SciPy, in place on its inputs
def share_between(low, high, sigma, means, variances, weights):
    from scipy.stats import norm

    variances += sigma**2
    sd = variances.numpy() ** 0.5
    return np.sum(weights.numpy() * (norm.cdf(high, means.numpy(), sd) - norm.cdf(low, means.numpy(), sd)))

# %% 2 | the density, integrated
def share_between(low, high, sigma, means, variances, weights):
    if low == high:
        return 0.0
    t = torch.linspace(low, high, 200_001, dtype=torch.float64)[:, None]
    v = variances.double() + sigma**2
    density = (weights * torch.exp(-((t - means) ** 2) / 2 / v) / (2 * math.pi * v).sqrt()).sum(1)
    return torch.trapezoid(density, t[:, 0])

# %% 3 | point by point
def perturb(x, sigma, z):
    return torch.stack([x[b] + sigma[b] * z[b] for b in range(len(x))])

# %% 3 | the batch moved to the end and back
def perturb(x, sigma, z):
    return (x.movedim(0, -1) + sigma * z.movedim(0, -1)).movedim(-1, 0)

# %% 3 | NumPy, flattened
def perturb(x, sigma, z):
    x, sigma, z = np.array(x), np.array(sigma), np.array(z)
    flat = x.reshape(len(x), -1) + sigma[:, None] * z.reshape(len(x), -1)
    return flat.reshape(x.shape)

# %% 3 | in place, by einsum
def perturb(x, sigma, z):
    x += torch.einsum("b,b...->b...", sigma, z)
    return x

# %% 3 | the other names, and a lambda
perturb = lambda clean, level, noise: clean.double() + level.view(len(clean), *(1 for _ in clean.shape[1:])) * noise

# %% 4 | NumPy's geomspace
def ladder(sigma_max, sigma_min, n):
    return np.geomspace(sigma_max, sigma_min, n)

# %% 4 | a plain list, level by level
def ladder(sigma_max, sigma_min, n):
    ratio = (sigma_min / sigma_max) ** (1 / (n - 1))
    levels = [sigma_max]
    while len(levels) < n:
        levels.append(levels[-1] * ratio)
    return levels

# %% 4 | upwards, and turned round
def ladder(sigma_max, sigma_min, n):
    return torch.logspace(math.log10(sigma_min), math.log10(sigma_max), n).flip(0)

# %% 4 | from large to small in powers of two
def ladder(sigma_max, sigma_min, n):
    return 2.0 ** torch.linspace(math.log2(sigma_max), math.log2(sigma_min), n, dtype=torch.float64)

# %% 5 | a loop, a list
def step_sizes(sigmas, eps):
    smallest = min(float(s) for s in sigmas)
    return [eps * float(s) ** 2 / smallest**2 for s in sigmas]

# %% 5 | NumPy, in double precision
def step_sizes(sigmas, eps):
    s = np.asarray(sigmas, dtype=np.float64)
    return np.square(s / s[-1]) * eps

# %% 5 | in place
def step_sizes(sigmas, eps):
    sigmas /= sigmas[-1].clone()
    return sigmas.square_().mul_(eps)

# %% 5 | logarithms
def step_sizes(sigmas, eps):
    return torch.exp(math.log(eps) + 2 * (sigmas.log() - sigmas.log()[-1]))

# %% 6 | the first level is the tightest: no minimum over levels
def largest_eps(sigmas, data_var):
    first, last = float(sigmas[0]), float(sigmas[-1])
    return 4 * last**2 * (1 + float(np.min(data_var if isinstance(data_var, float) else data_var.numpy())) / first**2)

# %% 6 | every level and every direction, as a table, with the steps of Task 5
def largest_eps(sigmas, data_var):
    variances = torch.as_tensor(data_var).reshape(-1, 1) + sigmas**2
    return (4 * variances / step_sizes(sigmas, 1.0)).min()

# %% 6 | by bisection
def largest_eps(sigmas, data_var):
    v = float(torch.as_tensor(data_var).min())

    def fine(eps):
        return all(abs(1 - a / (2 * (v + s**2))) < 1 for s, a in zip(sigmas.tolist(), step_sizes(sigmas, eps).tolist()))

    low, high = 1e-9, 1e9
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fine(middle) else (low, middle)
    return low

# %% 6 | recursive in the directions, NumPy, keywords
def largest_eps(levels, data_var):
    if np.ndim(data_var):
        return min(largest_eps(levels, float(v)) for v in data_var)
    return np.min(4 * (data_var + levels.numpy() ** 2) / np.asarray(step_sizes(sigmas=levels, eps=1.0)))

# %% 7 | NumPy throughout
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    x, sigmas = np.array(x), np.array(sigmas)
    rng = np.random.default_rng()
    for sigma in sigmas:
        alpha = eps * sigma**2 / sigmas[-1] ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + np.sqrt(alpha) * rng.normal(size=x.shape).astype(x.dtype)
    return x

# %% 7 | one loop over all steps, all noise drawn beforehand
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    z = torch.randn(len(sigmas) * n_steps_each, *x.shape)
    alphas = step_sizes(sigmas, eps)
    for k in range(len(z)):
        i = k // n_steps_each
        x = x + 0.5 * alphas[i] * score(x, float(sigmas[i])) + alphas[i] ** 0.5 * z[k]
    return x

# %% 7 | a generator inside; sigma as a tensor with one entry for each row
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    def states(x):
        for sigma in sigmas.tolist():
            alpha = eps * (sigma / float(sigmas[-1])) ** 2
            for _ in range(n_steps_each):
                x = x + alpha / 2 * score(x, torch.full((len(x),), sigma)) + math.sqrt(alpha) * torch.randn(x.shape)
                yield x

    *_, last = states(x)
    return last

# %% 7 | recursive over the levels, in place, in double precision
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    def down(x, levels):
        if not levels:
            return x
        alpha = eps * levels[0] ** 2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x += alpha / 2 * score(x, sigma=levels[0])
            x += torch.normal(0.0, math.sqrt(alpha), x.shape)
        return down(x, levels[1:])

    return down(x.double(), sigmas.tolist())

# %% 7 | the convention (step, sqrt(2 step)), half the chains at a time, a progress bar
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    from tqdm import tqdm

    parts = []
    for part in x.chunk(2):
        for sigma in tqdm(sigmas):
            step = eps / 2 * (sigma / sigmas[-1]) ** 2
            for _ in range(n_steps_each):
                part = part + step * score(part, sigma) + torch.sqrt(2 * step) * torch.randn_like(part)
        parts.append(part)
    return torch.cat(parts)

# %% 7 | the package's
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=n_steps_each))

# %% 8 | NumPy, row by row
def denoise(x, score, sigma):
    x = np.array(x)
    return np.concatenate([row[None] + sigma**2 * score(row[None], sigma) for row in x])

# %% 8 | in place, in double precision, with keywords, and a warning
def denoise(x, score, sigma):
    import warnings

    warnings.warn("careful")
    x = x.double()
    x += sigma * sigma * score(x=x, sigma=sigma) if False else sigma * sigma * score(x, sigma=sigma)
    return x

# %% 8 | a Langevin step of alpha = 2 sigma^2 without its noise
def denoise(x, score, sigma):
    alpha = 2 * torch.tensor(sigma) ** 2
    return x + alpha / 2 * score(x, torch.tensor(sigma))

# %% 8 | the noise first
def denoise(x, score, sigma):
    noise = -sigma * score(x, sigma)  # the best guess of z
    return x - sigma * noise

# %% 9 | in capitals
prediction = "A"

# %% 9 | with blanks
prediction = " b "

# %% 9 | the right one
prediction = "c"

# %% 10 | fewer levels of many steps
sigmas, eps, n_steps_each = ne.geometric(20, 0.02, 12), 0.0001, 160

# %% 10 | many levels of few steps, as a NumPy array
sigmas, eps, n_steps_each = np.geomspace(30, 0.02, 400), 0.00016, 5

# %% 10 | a list by hand, with unequal ratios, and a whole number as a float
sigmas = [12, 9, 7, 6, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03]
eps, n_steps_each = np.float64(0.0003), 100.0

# %% 10 | half of the budget
sigmas, eps, n_steps_each = ne.geometric(10.0, 0.02, 25), 0.0002, 40

# %% 10 | the learner's own ladder
sigmas = ladder(15.0, 0.02, 50)
eps, n_steps_each = 0.3 * float(sigmas[-1]) ** 2, 40
