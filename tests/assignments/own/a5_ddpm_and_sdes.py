# Notebooks of learners who think otherwise; see harness.py.

# %% 1 | factors on request, for the loss and the step back
def diffuse(clean, t, betas, e=None):
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    if e is None:
        return kept.sqrt(), (1 - kept).sqrt()
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 2 | factors on request, for the loss and the step back
def posterior(x_t, clean, t, betas, root=False):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.where(t > 0, kept[t - 1], 1.0)
    kept, step = kept[t], 1 - betas[t]
    variance = (1 - step) * (1 - before) / (1 - kept)
    mean = (step.sqrt() * (1 - before))[:, None] * x_t + (before.sqrt() * (1 - step))[:, None] * clean
    return mean / (1 - kept)[:, None], variance.sqrt() if root else variance

# %% 4 | factors on request, for the loss and the step back
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), (len(clean),)), torch.randn(clean.shape)
    signal, noise = diffuse(clean, t, betas)
    return (e - net(signal * clean + noise * e, t)).flatten(1).square().sum(1)

# %% 5 | factors on request, for the loss and the step back
def step_back(net, x, t, s, betas, eta, z):
    steps = torch.full((len(x),), t)
    signal, noise = diffuse(x, steps, betas)
    guess = net(x, steps)
    clean = (x - noise * guess) / signal
    if eta == 1 and s == t - 1:
        mean, sd = posterior(x, clean, steps, betas, root=True)
        return mean + sd[:, None] * z
    gap = torch.prod(1 - betas[s + 1 : t + 1])
    there = torch.prod(1 - betas[: s + 1])
    fresh = eta**2 * (1 - there) / (1 - there * gap) * (1 - gap)
    return there.sqrt() * clean + (1 - there - fresh).clamp(min=0).sqrt() * guess + fresh.sqrt() * z

# %% 1 | a wrong chain and a wrong posterior, which the loss and the step call | 0
def diffuse(clean, t, betas, e):
    return clean + betas.sum() * e

# %% 2 | a wrong chain and a wrong posterior, which the loss and the step call | 0
def posterior(x_t, clean, t, betas):
    return clean, betas[t]

# %% 4 | a wrong chain and a wrong posterior, which the loss and the step call
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), (len(clean),)), torch.randn(clean.shape)
    return (e - net(diffuse(clean, t, betas, e), t)).flatten(1).square().sum(1)

# %% 5 | a wrong chain and a wrong posterior, which the loss and the step call
def step_back(net, x, t, s, betas, eta, z):
    steps = torch.full((len(x),), t)
    guess, none = net(x, steps), torch.zeros(x.shape)
    noise = diffuse(none, steps, betas, torch.ones(x.shape))
    signal = diffuse(torch.ones(x.shape), steps, betas, none)
    clean = (x - noise * guess) / signal
    if s == t - 1:
        variance = posterior(x, clean, steps, betas)[1][:, None]
    else:
        longer = torch.stack([torch.prod(1 - betas[: s + 1]), torch.prod(1 - betas[s + 1 : t + 1])])
        variance = posterior(x, clean, torch.ones_like(steps), 1 - longer)[1][:, None] if s >= 0 else none
    there = torch.prod(1 - betas[: s + 1])
    return there.sqrt() * clean + (1 - there - eta**2 * variance).clamp(min=0).sqrt() * guess + eta * variance.sqrt() * z

# %% 6 | beta comes with scale and sigma, when asked for
def vp_marginal(t, with_beta=False):
    kept = torch.exp(-(0.1 * t + 9.95 * t**2))
    parts = kept.sqrt(), (1 / kept - 1).sqrt()
    return (*parts, 0.1 + 19.9 * t) if with_beta else parts


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return ((0.01 + 39.8 * spent).sqrt() - 0.1) / 19.9

# %% 7 | beta comes with scale and sigma, when asked for
def reverse_step(score, x, t, h, z):
    scale, sigma, beta = vp_marginal(torch.full((len(x),), t, dtype=torch.float64), with_beta=True)
    each = beta[:, None] * h
    return x + each * (x / 2 + score(x / scale[:, None], sigma) / scale[:, None]) + each.sqrt() * z

# %% 8 | beta comes with scale and sigma, when asked for
def flow(score, x, times, ways=None):
    parts = [part.tolist() for part in vp_marginal(times.double(), with_beta=True)]
    speeds = []

    def speed(x, i):
        scale, sigma, beta = (part[i] for part in parts)
        return -beta / 2 * (x + score(x / scale, sigma) / scale)

    for i, h in enumerate(times.double().diff().tolist()):
        first = speed(x, i)
        x = x + h / 2 * (first + speed(x + h * first, i + 1))
        if ways is not None:
            ways.append(x)
    return x

# %% 9 | beta comes with scale and sigma, when asked for
def log_likelihood(score, divergence, x, times):
    ways = [x]
    x = flow(score, x, times, ways)
    scale, sigma, beta = vp_marginal(times.double(), with_beta=True)
    apart = [x.shape[1] + divergence(y / c, s.expand(len(x))) / c**2 for y, c, s in zip(ways, scale, sigma)]
    integral = torch.trapezoid(-beta[:, None] / 2 * torch.stack(apart), times.double(), dim=0)
    return integral - (x**2).sum(1) / 2 - x.shape[1] / 2 * math.log(2 * math.pi)

# %% 6 | a wrong scale and wrong times | 0
def vp_marginal(t):
    return 1 - t, t


def vp_time(sigma):
    return sigma

# %% 7 | a wrong scale and wrong times
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(t)
    beta = 0.1 + 19.9 * t
    return x + beta * h * (x / 2 + score(x / scale, sigma) / scale) + math.sqrt(beta * h) * z

# %% 8 | a wrong scale and wrong times
def flow(score, x, times):
    def slope(x, t):
        scale, sigma = vp_marginal(t)
        return -(0.05 + 9.95 * t) * (x + score(x / scale, sigma) / scale)

    x, times = x.numpy(), times.numpy().astype(float)
    for t, after in zip(times, times[1:]):
        first = slope(x, t)
        x = x + (after - t) * (first + slope(x + (after - t) * first, after)) / 2
    return x

# %% 9 | a wrong scale and wrong times
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times.double())
    x, total, dim = x.double(), 0, x.shape[1]

    def rates(x, t, c, s):
        half = -(0.05 + 9.95 * t)
        return half * (x + score(x / c, s.expand(len(x))) / c), half * (dim + divergence(x / c, s.expand(len(x))) / c**2)

    points = list(zip(times.double(), scales, sigmas))
    for a, b in zip(points, points[1:]):
        h, (v, w) = b[0] - a[0], rates(x, *a)
        v_then, w_then = rates(x + h * v, *b)
        x, total = x + h / 2 * (v + v_then), total + h / 2 * (w + w_then)
    return total - (x**2 + math.log(2 * math.pi)).sum(1) / 2

# %% 8 | a flow that goes nowhere, asked step by step by the likelihood | 0
def flow(score, x, times):
    return x

# %% 9 | a flow that goes nowhere, asked step by step by the likelihood
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)

    def apart(x, i):
        return -(0.05 + 9.95 * times[i]) * (x.shape[1] + divergence(x / scales[i], sigmas[i].expand(len(x))) / scales[i] ** 2)

    total = 0
    for i in range(len(times) - 1):
        ahead = flow(score, x, times[i : i + 2])
        total = total + (times[i + 1] - times[i]) / 2 * (apart(x, i) + apart(ahead, i + 1))
        x = ahead
    return total - x.square().sum(1) / 2 - x.shape[1] / 2 * math.log(2 * math.pi)

# %% 0 | double precision, errors for warnings, and no gradients
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
np.seterr(all="raise")
import warnings
warnings.simplefilter("error")

# %% 0 | from torch import *, and names of its own
from torch import *
from builtins import range
import torch
sum = time = answer = marginal = task = 0
