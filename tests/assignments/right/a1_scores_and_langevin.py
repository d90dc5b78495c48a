"""Unusual right answers to assignment 1. Each one gets all points of its task."""

# %% 1 | NumPy, and a loop over rows
def gaussian_score(x, mean, variance):
    x, mean = np.asarray(x), np.asarray(mean)
    return np.stack([(mean - row) / variance for row in x])

# %% 1 | automatic differentiation, and it prints
def gaussian_score(x, mean, variance):
    print("called with", x)
    x = x.clone().requires_grad_()
    torch.distributions.Normal(mean, math.sqrt(variance)).log_prob(x).sum().backward()
    return x.grad

# %% 1 | changes its input, in double precision
def gaussian_score(x, mean, variance):
    x -= mean
    x /= -variance
    return x.double()

# %% 1 | a list of lists
def gaussian_score(x, mean, variance):
    return [[(float(m) - float(v)) / variance for v, m in zip(row, mean, strict=True)] for row in x]

# %% 1 | another name for each argument, and a lambda
gaussian_score = lambda points, centre, v, _unused=None: (centre.unsqueeze(0) - points) * (1.0 / v)

# %% 2 | PyTorch's distributions
def mixture_log_density(x, means, variances, weights):
    parts = torch.distributions.Independent(torch.distributions.Normal(means, variances.sqrt()[:, None].expand_as(means)), 1)
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), parts).log_prob(x)

# %% 2 | SciPy, row by row
def mixture_log_density(x, means, variances, weights):
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    logs = [
        multivariate_normal(m.numpy(), float(v) * np.eye(len(m))).logpdf(x.numpy()).reshape(-1) + np.log(float(w))
        for m, v, w in zip(means, variances, weights, strict=True)
    ]
    return logsumexp(np.stack(logs), axis=0)

# %% 2 | a running maximum by hand
def mixture_log_density(x, means, variances, weights):
    logs = []
    for k in range(len(weights)):
        d = x.double() - means[k]
        logs.append(weights[k].log() - (d * d).sum(1) / 2 / variances[k] - x.shape[1] * math.log(2 * math.pi * variances[k]) / 2)
    top = logs[0]
    for log in logs[1:]:
        top = torch.maximum(top, log)
    return top + sum(torch.exp(log - top) for log in logs).log()

# %% 3 | automatic differentiation of the learner's own density
def mixture_score(x, means, variances, weights):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(mixture_log_density(x, means, variances, weights).sum(), x)[0]

# %% 3 | a class with a cache
class Score:
    def __init__(self):
        self.seen = {}

    def __call__(self, x, means, variances, weights):
        logs = torch.stack([
            w.log() - (x - m).pow(2).sum(1) / (2 * v) - x.shape[1] / 2 * v.log()
            for m, v, w in zip(means, variances, weights, strict=True)
        ], 1)
        r = (logs - logs.logsumexp(1, keepdim=True)).exp()
        return sum(r[:, [k]] * (means[k] - x) / variances[k] for k in range(len(means)))

mixture_score = Score()

# %% 3 | finite differences in double precision
def mixture_score(x, means, variances, weights):
    def log_p(y):
        squares = ((y[:, None] - means.double()) ** 2).sum(-1)
        return torch.logsumexp(weights.double().log() - squares / 2 / variances - y.shape[1] / 2 * variances.double().log(), 1)

    x, columns = x.double(), []
    for e in torch.eye(x.shape[1], dtype=torch.float64):
        columns.append((log_p(x + 1e-4 * e) - log_p(x - 1e-4 * e)) / 2e-4)
    return torch.stack(columns, dim=1)

# %% 3 | NumPy, with einsum
def mixture_score(x, means, variances, weights):
    x, means, variances, weights = (np.asarray(a, dtype=np.float64) for a in (x, means, variances, weights))
    log = np.log(weights) - ((x[:, None] - means) ** 2).sum(-1) / 2 / variances - x.shape[1] / 2 * np.log(variances)
    r = np.exp(log - log.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)
    return np.einsum("bk,bkd->bd", r / variances, means - x[:, None])

# %% 4 | one vectorised formula for both kinds of sigma
def noisy_mixture_score(x, sigma, means, variances, weights):
    v = variances + torch.as_tensor(sigma).reshape(-1, 1) ** 2
    log = weights.log() - (x[:, None] - means).square().sum(-1) / (2 * v) - x.shape[1] / 2 * v.log()
    r = torch.softmax(log, 1)
    return ((r / v)[..., None] * (means - x[:, None])).sum(1)

# %% 4 | a denoiser: Tweedie's formula
def noisy_mixture_score(x, sigma, means, variances, weights):
    s2 = torch.as_tensor(sigma, dtype=torch.float64).expand(len(x))[:, None] ** 2
    if bool((s2 == 0).all()):
        return mixture_score(x, means, variances, weights)
    v = variances + s2
    log = weights.log() - (x[:, None] - means).square().sum(-1) / (2 * v) - x.shape[1] / 2 * v.log()
    r = torch.softmax(log, 1)[..., None]
    clean = (r * (variances[None, :, None] * x[:, None] + s2[:, None] * means) / v[..., None]).sum(1)
    return (clean - x) / s2

# %% 4 | PyTorch differentiates
def noisy_mixture_score(x, sigma, means, variances, weights):
    x = x.detach().clone().requires_grad_()
    v = variances + torch.as_tensor(sigma).reshape(-1, 1) ** 2
    log = weights.log() - (x[:, None] - means).square().sum(-1) / (2 * v) - x.shape[1] / 2 * v.log()
    log.logsumexp(1).sum().backward()
    return x.grad.detach()

# %% 5 | NumPy, and NumPy's random numbers
def langevin_step(x, score, alpha):
    x = np.asarray(x)
    return x + alpha / 2 * score(x) + np.sqrt(alpha) * np.random.normal(size=x.shape)

# %% 5 | in place, row by row
def langevin_step(x, score, alpha):
    x += score(x) * (alpha / 2)
    for row in x:
        row += torch.normal(0.0, alpha**0.5, row.shape)
    return x

# %% 5 | the noise as a sum of two
def langevin_step(x, score, alpha):
    first, second = torch.randn(2, *x.shape)
    torch.rand(5)  # and a few random numbers that nobody needs
    return (x + alpha * 0.5 * score(x)).double() + (alpha / 2) ** 0.5 * (first + second)

# %% 5 | a distribution object, and it warns
def langevin_step(x, score, alpha):
    import warnings

    warnings.warn("careful")
    return torch.distributions.Normal(x + alpha / 2 * score(x), math.sqrt(alpha)).sample()

# %% 6 | recursive
def langevin(x, score, alpha, n_steps):
    return x if n_steps == 0 else langevin(langevin_step(x, score, alpha), score, alpha, n_steps - 1)

# %% 6 | all noise drawn beforehand, states kept in a list
def langevin(x, score, alpha, n_steps):
    noise = torch.randn(n_steps, *x.shape)
    states = [x]
    for z in noise:
        states.append(states[-1] + alpha / 2 * score(states[-1]) + math.sqrt(alpha) * z)
    return states[-1]

# %% 6 | NumPy, in place
def langevin(x, score, alpha, n_steps):
    x = np.array(x)
    while n_steps > 0:
        n_steps -= 1
        x += alpha / 2 * score(x) + np.sqrt(alpha) * np.random.default_rng().standard_normal(x.shape)
    return x

# %% 6 | a generator inside, and a progress bar
def langevin(x, score, alpha, n_steps):
    from tqdm import tqdm

    def chain(x):
        for _ in tqdm(range(n_steps)):
            x = langevin_step(x, score, alpha)
            yield x

    *_, last = chain(x)
    return last

# %% 7 | a fixed point by iteration
def settled_variance(alpha, variance):
    factor = (1 - alpha / 2 / variance) ** 2
    if factor >= 1:
        return math.inf
    v = variance
    for _ in range(100_000):
        new = factor * v + alpha
        if abs(new - v) < 1e-12 * v:
            break
        v = new
    return v

# %% 7 | the geometric series, as a NumPy number
def settled_variance(alpha, variance):
    q = np.float64((1 - alpha / (2 * variance)) ** 2)
    return alpha / (1 - q) if q < 1 else np.inf

# %% 7 | a tensor
def settled_variance(alpha, variance):
    a, v = torch.tensor(float(alpha)), torch.tensor(float(variance))
    return torch.where(a < 4 * v, 4 * v * v / (4 * v - a), torch.tensor(torch.inf))

# %% 8 | in capitals
prediction = "A"

# %% 8 | with blanks
prediction = " c "

# %% 8 | the right one
prediction = "b"

# %% 9 | another pair
alpha, n_steps = 0.05, 210

# %% 9 | the largest budget, and a fraction for a float
from fractions import Fraction

alpha, n_steps = Fraction(1, 10), 300

# %% 9 | computed
n_steps = 150
alpha = 0.08 * np.float64(1.0)

# %% 9 | a float that is whole
alpha, n_steps = 0.09, 200.0

# %% 1 | a system of linear equations
def gaussian_score(x, mean, variance):
    return torch.linalg.solve(variance * torch.eye(len(mean)), (mean - x).T).T

# %% 1 | torch.func, row by row
def gaussian_score(x, mean, variance):
    return torch.func.vmap(torch.func.grad(lambda row: -((row - mean) ** 2).sum() / (2 * variance)))(x)

# %% 1 | a complex step, NumPy
def gaussian_score(x, mean, variance):
    x, mean = np.asarray(x, dtype=np.complex128), np.asarray(mean, dtype=np.float64)
    return (-((x + 1e-20j - mean) ** 2) / (2 * variance)).imag / 1e-20

# %% 1 | SciPy and difference quotients
def gaussian_score(x, mean, variance):
    from scipy.stats import multivariate_normal

    x, normal = x.double().numpy(), multivariate_normal(mean.double().numpy(), variance)
    steps = 1e-3 * np.eye(x.shape[1])
    slopes = [(normal.logpdf(x + e) - normal.logpdf(x - e)) / 2e-3 for e in steps]
    return np.stack([np.reshape(slope, len(x)) for slope in slopes], 1)

# %% 1 | a helper with more parameters, and functools.partial
from functools import partial

def pull(x, mean, variance, *, sigma=0.0, scale=1.0):
    return scale * (mean - x) / (variance + sigma**2)

gaussian_score = partial(pull, scale=1.0)

# %% 1 | rows from a generator
def gaussian_score(x, mean, variance, *, verbose=False):
    def rows():
        for row in x:
            yield torch.div(mean.sub(row), variance)

    return list(rows())

# %% 2 | one point, and vmap
def mixture_log_density(x, means, variances, weights):
    def one(row):
        log = -(row - means).square().sum(1) / 2 / variances - len(row) * torch.log(2 * torch.pi * variances) / 2
        return torch.logsumexp(log + weights.log(), 0)

    return torch.vmap(one)(x)

# %% 2 | plain Python, a number at a time
def mixture_log_density(x, means, variances, weights):
    found = []
    for row in x.tolist():
        logs = []
        for m, v, w in zip(means.tolist(), variances.tolist(), weights.tolist(), strict=True):
            r2 = sum((a - b) ** 2 for a, b in zip(row, m, strict=True))
            logs.append(math.log(w) - r2 / (2 * v) - len(row) / 2 * math.log(2 * math.pi * v))
        top = max(logs)
        found.append(top + math.log(math.fsum(math.exp(log - top) for log in logs)))
    return found

# %% 2 | two at a time: logaddexp
def mixture_log_density(x, means, variances, weights):
    from functools import reduce

    parts = [
        w.log() + torch.distributions.MultivariateNormal(m, v * torch.eye(len(m))).log_prob(x)
        for m, v, w in zip(means, variances, weights, strict=True)
    ]
    return reduce(torch.logaddexp, parts)

# %% 2 | SciPy's logsumexp with weights
def mixture_log_density(x, means, variances, weights):
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    v = variances.double().numpy()
    log = -cdist(x.numpy(), means.numpy(), "sqeuclidean") / (2 * v) - x.shape[1] / 2 * np.log(2 * np.pi * v)
    return logsumexp(log, axis=1, b=weights.numpy())

# %% 2 | the joint density over a responsibility
def mixture_log_density(x, means, variances, weights):
    squares = torch.cdist(x.double(), means.double()) ** 2
    joint = weights.log() - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return (joint - torch.log_softmax(joint, 1))[:, 0]

# %% 3 | torch.func on one point
def mixture_score(x, means, variances, weights):
    def log_p(row):
        log = weights.log() - (row - means).square().sum(1) / (2 * variances) - len(row) / 2 * variances.log()
        return torch.logsumexp(log, 0)

    return torch.func.vmap(torch.func.grad(log_p))(x)

# %% 3 | two matrix products
def mixture_score(x, means, variances, weights):
    x, means, variances, weights = x.double(), means.double(), variances.double(), weights.double()
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(weights.log() - squares / (2 * variances) - x.shape[1] / 2 * variances.log(), 1) / variances
    return r @ means - x * r.sum(1, keepdim=True)

# %% 3 | a complex step, NumPy
def mixture_score(x, means, variances, weights):
    x, means, variances, weights = (np.asarray(a, dtype=np.float64) for a in (x, means, variances, weights))

    def log_p(y):
        log = np.log(weights) - ((y[:, None] - means) ** 2).sum(-1) / (2 * variances) - y.shape[1] / 2 * np.log(variances)
        top = log.real.max(1, keepdims=True)
        return np.log(np.exp(log - top).sum(1)) + top[:, 0]

    return np.stack([log_p(x + 1e-20j * e).imag / 1e-20 for e in np.eye(x.shape[1])], 1)

# %% 3 | forward mode, a coordinate at a time
def mixture_score(x, means, variances, weights):
    def log_p(y):
        log = weights.log() - (y[:, None] - means).square().sum(-1) / (2 * variances) - y.shape[1] / 2 * variances.log()
        return torch.logsumexp(log, 1)

    columns = []
    for i in range(x.shape[1]):
        along = torch.zeros_like(x)
        along[:, i] = 1
        columns.append(torch.func.jvp(log_p, (x,), (along,))[1])
    return torch.stack(columns, 1)

# %% 3 | rows from a generator, a helper with more parameters
def one_score(row, means, variances, weights, temperature=1.0):
    log = weights.log() - (row - means).pow(2).sum(1) / (2 * variances) - len(row) / 2 * variances.log()
    r = torch.softmax(log / temperature, 0)
    return (r / variances) @ (means - row)

def mixture_score(x, means, variances, weights, **options):
    return torch.stack([*(one_score(row, means, variances, weights, **options) for row in x)])

# %% 4 | vmap over rows and noise levels
def noisy_mixture_score(x, sigma, means, variances, weights):
    def one(row, s):
        return mixture_score_of_row(row, means, variances + s**2, weights)

    return torch.vmap(one)(x, torch.as_tensor(sigma).expand(len(x)))

def mixture_score_of_row(row, means, variances, weights):
    log = weights.log() - (row - means).square().sum(1) / (2 * variances) - len(row) / 2 * variances.log()
    return (torch.softmax(log, 0) / variances) @ (means - row)

# %% 4 | NumPy
def noisy_mixture_score(x, sigma, means, variances, weights):
    x, means, variances, weights = (np.asarray(a, dtype=np.float64) for a in (x, means, variances, weights))
    v = variances + np.square(np.asarray(sigma, dtype=np.float64).reshape(-1, 1))
    log = np.log(weights) - ((x[:, None] - means) ** 2).sum(-1) / 2 / v - x.shape[1] / 2 * np.log(v)
    r = np.exp(log - log.max(1, keepdims=True))
    r = r / r.sum(1, keepdims=True) / v
    return np.einsum("bk,bkd->bd", r, means[None] - x[:, None])

# %% 4 | rows with one noise level together
def noisy_mixture_score(x, sigma, means, variances, weights):
    sigma = torch.as_tensor(sigma, dtype=torch.float32).expand(len(x))
    score = torch.empty_like(x)
    for s in sigma.unique():
        score[sigma == s] = mixture_score(x[sigma == s], means, variances + s**2, weights)
    return score

# %% 4 | a list of rows
def noisy_mixture_score(x, sigma, means, variances, weights):
    levels = sigma.tolist() if torch.is_tensor(sigma) and sigma.ndim else [float(sigma)] * len(x)
    return [mixture_score(x[i : i + 1], means, variances + s * s, weights)[0] for i, s in enumerate(levels)]

# %% 4 | PyTorch's distributions, differentiated
def noisy_mixture_score(x, sigma, means, variances, weights):
    x = x.clone().requires_grad_()
    sd = (variances + torch.as_tensor(sigma).reshape(-1, 1) ** 2).sqrt().expand(len(x), -1)  # (B, K)
    normal = torch.distributions.Normal(means.expand(len(x), *means.shape), sd[..., None])
    parts = torch.distributions.Independent(normal, 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights.expand(len(x), -1)), parts)
    return torch.autograd.grad(mixture.log_prob(x).sum(), x)[0]

# %% 5 | Gaussian numbers by Box and Muller
def langevin_step(x, score, alpha):
    u, v = torch.rand(2, *x.shape, dtype=torch.float64)
    z = torch.sqrt(-2 * torch.log1p(-u)) * torch.cos(2 * math.pi * v)
    return x + 0.5 * alpha * score(x) + alpha**0.5 * z

# %% 5 | the quantile of a uniform number
def langevin_step(x, score, alpha):
    from scipy.stats import norm

    return np.asarray(x) + alpha / 2 * score(np.asarray(x)) + math.sqrt(alpha) * norm.ppf(np.random.uniform(size=x.shape))

# %% 5 | an optimiser takes the step
def langevin_step(x, score, alpha):
    points = torch.nn.Parameter(x)
    points.grad = -score(x)
    torch.optim.SGD([points], lr=alpha / 2).step()
    return points + torch.empty_like(x).normal_(std=math.sqrt(alpha))

# %% 5 | a multivariate Gaussian, and a score that is asked row by row
def langevin_step(x, score, alpha):
    slope = torch.cat([score(part) for part in x.split(997)])
    noise = torch.distributions.MultivariateNormal(torch.zeros(x.shape[1]), alpha * torch.eye(x.shape[1]))
    return torch.add(x, slope, alpha=alpha / 2) + noise.sample((len(x),))

# %% 5 | a class with a generator of its own
class Step:
    def __init__(self):
        self.generator = torch.Generator().manual_seed(2024)

    def __call__(self, x, score, alpha, sigma=1.0):
        z = torch.randn(x.shape, generator=self.generator, dtype=torch.float64)
        return x + alpha / 2 * score(x) + sigma * alpha**0.5 * z

langevin_step = Step()

# %% 5 | Python's own random numbers
def langevin_step(x, score, alpha):
    import random

    noise = [[random.gauss(0.0, math.sqrt(alpha)) for _ in row] for row in x]
    return x + alpha / 2 * score(x) + torch.tensor(noise)

# %% 6 | functools.reduce
def langevin(x, score, alpha, n_steps):
    from functools import reduce

    return reduce(lambda y, _: langevin_step(y, score, alpha), range(n_steps), x)

# %% 6 | a deque that keeps one state
def langevin(x, score, alpha, n_steps):
    from collections import deque

    def states(y):
        while True:
            yield y
            y = y + score(y).mul(alpha / 2) + torch.randn_like(y).mul(alpha**0.5)

    from itertools import islice

    return deque(islice(states(x), n_steps + 1), maxlen=1)[0]

# %% 6 | a hundred chains at a time, in double precision
@torch.no_grad()
def langevin(x, score, alpha, n_steps):
    ends = []
    for part in x.double().split(1000):
        for _ in range(n_steps):
            part = torch.normal(part + alpha / 2 * score(part), math.sqrt(alpha))
        ends.append(part)
    return torch.cat(ends)

# %% 6 | half of the steps, and the other half
def langevin(x, score, alpha, n_steps, *, progress=False):
    if n_steps == 1:
        return langevin_step(x, score, alpha)
    half = n_steps // 2
    return langevin(langevin(x, score, alpha, half), score, alpha, n_steps - half)

# %% 6 | the package
def langevin(x, score, alpha, n_steps):
    *_, last = ne.langevin(lambda y, sigma: score(y), x, alpha=alpha, n_steps=n_steps)
    return last.x if hasattr(last, "x") else ne.last(ne.langevin(lambda y, s: score(y), x, alpha=alpha, n_steps=n_steps))

# %% 6 | in place on a copy of its own
def langevin(x, score, alpha, n_steps):
    y, noise = x.clone(), torch.empty_like(x)
    for _ in range(n_steps):
        y.add_(score(y), alpha=alpha / 2).add_(noise.normal_(), alpha=math.sqrt(alpha))
    return y

# %% 7 | a root, SciPy
def settled_variance(alpha, variance):
    from scipy.optimize import brentq

    q = (1 - alpha / (2 * variance)) ** 2
    if q >= 1:
        return math.inf
    return brentq(lambda s: q * s + alpha - s, 0, 2 * alpha / (1 - q))

# %% 7 | a Lyapunov equation
def settled_variance(alpha, variance):
    from scipy.linalg import solve_discrete_lyapunov

    factor = 1 - alpha / (2 * variance)
    return solve_discrete_lyapunov([[factor]], [[alpha]]).item() if abs(factor) < 1 else float("inf")

# %% 7 | division by zero expected
def settled_variance(alpha, variance):
    try:
        s = 4 * variance**2 / (4 * variance - alpha)
    except ZeroDivisionError:
        s = math.inf
    return s if s > 0 else math.inf

# %% 7 | the package, and where it refuses
def settled_variance(alpha, variance):
    if alpha >= 4 * variance:
        return np.float32(np.inf)
    return ne.stationary_variance(alpha, variance)

# %% 8 | a new line after it
prediction = "C\n"

# %% 9 | tensors
alpha, n_steps = torch.tensor(0.1), torch.tensor(150)

# %% 9 | from a formula
alpha = 4 * (1 - 1 / 1.02)
n_steps = math.ceil(math.log(0.04 / 8) / math.log(1 - alpha / 2))

# %% 9 | the shortest of all steps that are short enough in time
alpha = min(a for a in np.linspace(0.001, 0.1, 100) if 8 * (1 - a / 2) ** 300 < 0.05 * 0.9)
n_steps = np.int64(300)
