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
from collections import Counter


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

# %% 1 | torch.func over points
def mode_shares(x, means):
    def one(p):
        return torch.nn.functional.one_hot((p - means).pow(2).sum(1).argmin(), len(means))

    return torch.func.vmap(one)(x).double().mean(0)

# %% 1 | a tree of SciPy
def mode_shares(x, means):
    from scipy.spatial import cKDTree

    nearest = cKDTree(means.double().numpy()).query(x.double().numpy())[1]
    return np.bincount(nearest, minlength=len(means)) / len(nearest)

# %% 1 | squares multiplied out, in double precision, by einsum
def mode_shares(x, means):
    a, m = x.double(), means.double()
    far = torch.einsum('kd,kd->k', m, m) - 2 * torch.einsum('bd,kd->bk', a, m)
    return (far == far.amin(1, keepdim=True)).double().mean(0)

# %% 1 | math.dist, in a generator, with a parameter more
from collections import Counter


def mode_shares(x, means, distance=math.dist):
    def owners():
        for point in x.tolist():
            yield min(range(len(means)), key=lambda k: distance(point, means[k].tolist()))

    found = Counter(owners())
    return torch.tensor([found.get(k, 0) for k in range(len(means))]) / found.total()

# %% 2 | a mixture of PyTorch's, in double precision
def share_between(low, high, sigma, means, variances, weights):
    from torch.distributions import Categorical, MixtureSameFamily, Normal

    noisy = Normal(means.double(), (variances.double() + sigma**2).sqrt())
    mixture = MixtureSameFamily(Categorical(weights.double()), noisy)
    ends = torch.tensor([high, low], dtype=torch.float64)
    return -mixture.cdf(ends).diff()[0]

# %% 2 | a class with a cumulative function, called twice
class Noisy:
    def __init__(self, sigma, *components):
        self.sigma, self.components = sigma, list(zip(*components))

    def below(self, t):
        return sum(w * math.erfc((m - t) / math.sqrt(2 * (v + self.sigma**2))) / 2 for m, v, w in self.components)


def share_between(low, high, sigma, *components):
    noisy = Noisy(sigma, *components)
    return noisy.below(high) - noisy.below(low)

# %% 2 | a helper with more parameters, functools.partial
from functools import partial


def phi(t, mean=0.0, sd=1.0):
    return torch.special.ndtr((t - mean) / sd)


def share_between(low, high, sigma, means, variances, weights, *, steps=None):
    below = partial(phi, mean=means, sd=torch.hypot(variances.sqrt(), torch.tensor(float(sigma))))
    return torch.dot(weights, below(high) - below(low))

# %% 2 | the error function of complex care: one component at a time by SciPy's quad
def share_between(low, high, sigma, means, variances, weights):
    from scipy.integrate import quad

    def density(t, m, v):
        return math.exp(-((t - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)

    total = 0.0
    for m, v, w in zip(means.tolist(), variances.tolist(), weights.tolist()):
        v += sigma**2
        a, b = max(low, m - 12 * v**0.5), min(high, m + 12 * v**0.5)
        total += w * quad(density, a, b, args=(m, v), points=[m] if a < m < b else None)[0] if a < b else 0.0
    return total

# %% 3 | axes added one by one
def perturb(x, sigma, z):
    while sigma.dim() < x.dim():
        sigma = sigma.unsqueeze(-1)
    return torch.addcmul(x, sigma, z)

# %% 3 | torch.func over the points
def perturb(x, sigma, z):
    return torch.func.vmap(lambda point, s, noise: point + s * noise)(x, sigma, z)

# %% 3 | NumPy's index with dots and None, a flag more
def perturb(x, sigma, z, with_sigma=False):
    wide = sigma.numpy()[(..., *[None] * (x.ndim - 1))]
    noisy = x.numpy() + wide * z.numpy()
    return (noisy, sigma) if with_sigma else noisy

# %% 3 | turned round twice
def perturb(x, sigma, z):
    turned = tuple(reversed(range(x.ndim)))
    return (x.permute(turned) + sigma * z.permute(turned)).permute(turned)

# %% 3 | a list of points
def perturb(x, sigma, z):
    return [point + s.item() * noise for point, s, noise in zip(x, sigma, z)]

# %% 3 | recursive in the shape
def perturb(x, sigma, z):
    if x.ndim == 1:
        return x + sigma * z
    return torch.stack([perturb(a, sigma, b) for a, b in zip(x.unbind(1), z.unbind(1))], 1)

# %% 3 | sigma repeated for each number of a point, in double precision
def perturb(x, sigma, z):
    each = sigma.double().repeat_interleave(x[0].numel())
    return (x.double().flatten() + each * z.flatten()).view_as(x)

# %% 4 | accumulated products
def ladder(sigma_max, sigma_min, n):
    from itertools import accumulate, repeat

    ratio = math.exp(math.log(sigma_min / sigma_max) / (n - 1))
    return np.array(list(accumulate(repeat(ratio, n - 1), lambda a, b: a * b, initial=sigma_max)))

# %% 4 | interpolated in the logarithm, as a generator
def ladder(sigma_max, sigma_min, n):
    def levels():
        for i in range(n):
            t = i / (n - 1)
            yield sigma_max ** (1 - t) * sigma_min**t

    return tuple(torch.tensor(level) for level in levels())

# %% 4 | a class
class Ladder:
    def __init__(self, base=10.0):
        self.base = base

    def __call__(self, sigma_max, sigma_min, n):
        ends = (math.log(sigma_max, self.base), math.log(sigma_min, self.base))
        return np.logspace(*ends, n, base=self.base)


ladder = Ladder(3.0)

# %% 5 | a class property, and it keeps what it found
class Steps:
    def __init__(self, sigmas, eps):
        self.sigmas, self.eps = sigmas.double(), eps

    @property
    def alphas(self):
        return self.eps * self.sigmas.div(self.sigmas[-1]).square()


def step_sizes(sigmas, eps, **options):
    return Steps(sigmas, eps).alphas

# %% 5 | torch.func, level by level
def step_sizes(sigmas, eps):
    return torch.func.vmap(lambda s: eps * torch.exp(2 * torch.log(s / sigmas[-1])))(sigmas)

# %% 5 | einsum
def step_sizes(sigmas, eps):
    unit = sigmas / sigmas[-1]
    return torch.einsum('l,l,->l', unit, unit, torch.tensor(eps))

# %% 6 | torch.func over levels and directions
def largest_eps(sigmas, data_var):
    v = torch.atleast_1d(torch.as_tensor(data_var, dtype=torch.float64))
    one = lambda s, v: 4 * (v + s**2) * sigmas[-1] ** 2 / s**2
    return torch.func.vmap(torch.func.vmap(one, (None, 0)), (0, None))(sigmas.double(), v).min().item()

# %% 6 | the root of the growth rate, by SciPy
def largest_eps(sigmas, data_var):
    from scipy.optimize import brentq

    s = np.asarray(sigmas, dtype=np.float64)
    widths = np.add.outer(s**2, np.ravel(np.asarray(data_var, dtype=np.float64)))

    def excess(eps):
        alpha = eps * s**2 / s[-1] ** 2
        return np.abs(1 - alpha[:, None] / 2 / widths).max() - 1

    top = 1e-9
    while excess(top) <= 0:
        top *= 2
    return brentq(excess, top / 2, top, xtol=1e-14)

# %% 6 | a closure and a generator, with a keyword more
def largest_eps(sigmas, data_var, safety=1.0):
    def bounds():
        for v in np.atleast_1d(data_var):
            for sigma in sigmas:
                yield 4 * (float(v) + float(sigma) ** 2) * (float(sigmas[-1]) / float(sigma)) ** 2

    return safety * min(bounds())

# %% 7 | noise by the method of Box and Muller
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    def normal():
        u, v = 1 - torch.rand_like(x, dtype=torch.float64), torch.rand_like(x, dtype=torch.float64)
        return (-2 * u.log()).sqrt() * torch.cos(2 * math.pi * v)

    for sigma in sigmas.double():
        alpha = eps * (sigma / sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * normal()
    return x

# %% 7 | a class with a generator of its own for each call, and more parameters
class Sampler:
    def __init__(self, score, *, generator=None, callback=None):
        self.score, self.callback = score, callback
        self.generator = generator or torch.Generator().manual_seed(int(torch.randint(2**62, ())))

    def step(self, x, sigma, alpha):
        z = torch.empty_like(x).normal_(generator=self.generator)
        return x.add(self.score(x, sigma), alpha=alpha / 2).add_(z, alpha=math.sqrt(alpha))


def annealed_langevin(x, score, sigmas, eps, n_steps_each, **options):
    sampler = Sampler(score, **options)
    for sigma, alpha in zip(sigmas.tolist(), np.asarray(step_sizes(sigmas, eps)).tolist()):
        for _ in range(n_steps_each):
            x = sampler.step(x, sigma, alpha)
    return x

# %% 7 | functools.reduce over all steps, noise as mean and spread of a normal distribution
from functools import reduce
from itertools import product


def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    def step(x, level):
        sigma, alpha = level
        return torch.normal(x + alpha / 2 * score(x, sigma), math.sqrt(alpha))

    levels = [(float(s), eps * float(s / sigmas[-1]) ** 2) for s in sigmas]
    return reduce(step, (level for level, _ in product(levels, range(n_steps_each))), x)

# %% 7 | a hundred chains at a time, in double precision, from the last to the first
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    out = torch.empty_like(x, dtype=torch.float64)
    for rows in reversed(torch.arange(len(x)).split(1000)):
        part = x[rows].double()
        for sigma in sigmas.double():
            alpha = eps * sigma**2 / sigmas[-1].double() ** 2
            for _ in range(n_steps_each):
                part += 0.5 * alpha * score(part, sigma.expand(len(rows)))
                part += alpha.sqrt() * torch.randn(part.shape, dtype=torch.float64)
        out[rows] = part
    return out

# %% 7 | sums of noise: two draws of half the variance each
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * (torch.randn_like(x) + torch.randn_like(x)) / math.sqrt(2)
    return x

# %% 7 | SciPy's noise, and the step as in another textbook
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    from scipy.stats import norm

    for sigma in sigmas:
        tau = math.sqrt(eps) * float(sigma) / float(sigmas[-1])
        for k in range(n_steps_each):
            drift = np.asarray(score(x, sigma))
            x = torch.as_tensor(np.asarray(x) + tau**2 * drift / 2 + tau * norm.rvs(size=x.shape))
    return x

# %% 8 | a generator of rows
def denoise(x, score, sigma):
    def guesses():
        for k in range(len(x)):
            row = x[k : k + 1]
            yield torch.add(row, score(row, torch.tensor([sigma])), alpha=sigma**2)

    return torch.cat(list(guesses()))

# %% 8 | sigma as one number for each row
def denoise(x, score, sigma):
    each = torch.full((len(x),), float(sigma), dtype=torch.float64)
    return torch.addcmul(x.double(), each[:, None] ** 2, score(x.double(), each[:, None]))

# %% 8 | a weighted mean of the point and a guess beyond it
def denoise(x, score, sigma):
    beyond = x + 3 * sigma**2 * score(x, sigma)
    return (2 * x + beyond) / 3

# %% 8 | a flag for more, and einsum
def denoise(x, score, sigma, *, with_score=False):
    s = score(x, sigma)
    best = x + torch.einsum(",bd->bd", torch.tensor(float(sigma) ** 2), s)
    return (best, s) if with_score else best

# %% 9 | in a longer way
prediction = "abc"[1]

# %% 10 | a level for each step
sigmas, eps, n_steps_each = ne.geometric(25.0, 0.02, 2000), 0.0002, 1

# %% 10 | a float64 tensor, eps as a tensor, the steps as a NumPy number
sigmas = torch.logspace(1.2, -1.7, 60, dtype=torch.float64)
eps, n_steps_each = torch.tensor(0.4) * sigmas[-1] ** 2, np.int64(33)

# %% 10 | with levels that come twice
sigmas = np.repeat(np.geomspace(18, 0.02, 30), 2)
eps, n_steps_each = 1.2e-4, 33
