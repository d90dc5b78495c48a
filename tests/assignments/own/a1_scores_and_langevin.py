# Notebooks of learners who think otherwise; see harness.py.

# %% 3 | variances of each row and component in the helper
def mixture_score(x, means, variances, weights):
    v = torch.as_tensor(variances, dtype=x.dtype).expand(len(x), len(means))  # (K,) or (B, K)
    squares = ((x[:, None] - means) ** 2).sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * v) - x.shape[1] / 2 * torch.log(v), 1)
    return (r[..., None] * (means - x[:, None]) / v[..., None]).sum(1)

# %% 4 | variances of each row and component in the helper
def noisy_mixture_score(x, sigma, means, variances, weights):
    s = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return mixture_score(x, means, variances + s**2, weights)

# %% 3 | sigma as an option of the helper
def mixture_score(x, means, variances, weights, sigma=0.0):
    return noisy_parts(x, means, variances, weights, sigma).sum(1)

def noisy_parts(x, means, variances, weights, sigma):
    v = variances + torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1) ** 2
    squares = ((x[:, None] - means) ** 2).sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * v) - x.shape[1] / 2 * torch.log(v), 1)
    return r[..., None] * (means - x[:, None]) / v[..., None]

# %% 4 | sigma as an option of the helper
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances, weights, sigma=sigma)

# %% 2 | the helper returns the parts if it is asked to
def mixture_log_density(x, means, variances, weights, *, parts=False):
    squares = ((x[:, None] - means) ** 2).sum(-1)
    joint = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return joint if parts else torch.logsumexp(joint, 1)

# %% 3 | the helper returns the parts if it is asked to
def mixture_score(x, means, variances, weights):
    r = torch.softmax(mixture_log_density(x, means, variances, weights, parts=True), 1)
    return torch.einsum("bk,bkd->bd", r, (means - x[:, None]) / variances[:, None])

# %% 5 | a step that returns the noise as well, if wanted
def langevin_step(x, score, alpha, with_noise=False):
    z = torch.randn(x.shape)
    new = x + alpha / 2 * score(x) + alpha**0.5 * z
    return (new, z) if with_noise else new

# %% 6 | a step that returns the noise as well, if wanted
def langevin(x, score, alpha, n_steps):
    noises = []
    for _ in range(n_steps):
        x, z = langevin_step(x, score, alpha, with_noise=True)
        noises.append(z)
    return x

# %% 5 | standard deviations for variances, and back, where the helper is not asked as the task asks
def langevin_step(x, score, alpha, scale=None):
    scale = math.sqrt(alpha) if scale is None else scale
    return x + scale**2 / 2 * score(x) + scale * torch.randn_like(x)

# %% 6 | standard deviations for variances, and back, where the helper is not asked as the task asks
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = langevin_step(x, score, None, scale=alpha**0.5)
    return x

# %% 3 | a helper that is not written | 0
def mixture_score(x, means, variances, weights):
    raise NotImplementedError()

# %% 4 | a helper that is not written
def noisy_mixture_score(x, sigma, means, variances, weights):
    s = torch.as_tensor(sigma, dtype=x.dtype).expand(len(x))
    return torch.cat([mixture_score(x[i : i + 1], means, variances + s[i] ** 2, weights) for i in range(len(x))])

# %% 3 | a wrong helper whose results are remembered | 0
results = {}

def mixture_score(x, means, variances, weights):
    return 2 * (means[0] - x)

# %% 4 | a wrong helper whose results are remembered
def noisy_mixture_score(x, sigma, means, variances, weights):
    key = (x.numpy().tobytes(), str(sigma), means.numpy().tobytes())
    if key not in results:
        s = torch.as_tensor(sigma, dtype=x.dtype).expand(len(x))
        results[key] = torch.cat([mixture_score(r[None], means, variances + t**2, weights) for r, t in zip(x, s)])
    return results[key]

# %% 5 | a wrong helper, and a counter of calls that the answer needs | 0
calls = 0

def langevin_step(x, score, alpha):
    global calls
    calls += 1
    raise SystemExit("I give up")

# %% 6 | a wrong helper, and a counter of calls that the answer needs
def langevin(x, score, alpha, n_steps):
    global calls
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
    if calls > 1000 * n_steps:
        raise RuntimeError("called too often")
    return x

# %% 0 | from pylab import *
from pylab import *

# %% 0 | names of the tests
sum, max, abs, len, zip = 0, 1, 2, 3, 4

class Task:
    pass

def ensure(x):
    assert x

task = answer = check = close = plausible = Given = "mine"

# %% 4 | names of the tests
def noisy_mixture_score(x, sigma, means, variances, weights):
    s = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1).expand(x.shape[0], 1)
    return torch.cat([mixture_score(x[i : i + 1], means, variances + s[i] ** 2, weights) for i in range(x.shape[0])])
