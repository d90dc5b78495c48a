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
