"""Unusual right answers to assignment 5. Each one gets all points of its task."""

# %% 1 | row after row, with a loop over the steps, in plain numbers
def diffuse(clean, t, betas, e):
    rows = []
    for c, step, noise in zip(clean, t.tolist(), e):
        left = 1.0
        for beta in betas.tolist()[: step + 1]:
            left *= 1 - beta
        rows.append(math.sqrt(left) * c + math.sqrt(1 - left) * noise)
    return torch.stack(rows)

# %% 1 | NumPy, logarithms, einsum
def diffuse(clean, t, betas, e):
    left = np.exp(np.cumsum(np.log1p(-betas.numpy())))[t.numpy()]
    return np.einsum("b,b...->b...", left**0.5, clean.numpy()) + np.einsum("b,b...->b...", (1 - left) ** 0.5, e.numpy())

# %% 1 | in place, in single precision, the batch moved to the end
def diffuse(clean, t, betas, e):
    left = torch.cumprod(1 - betas, 0).index_select(0, t).float()
    clean.movedim(0, -1).mul_(left.sqrt())
    e.movedim(0, -1).mul_((1 - left).sqrt())
    return clean.add_(e)

# %% 1 | the signal-to-noise ratio in NCSN's letters: c + sigma e, divided by sqrt(1 + sigma^2)
def diffuse(clean, t, betas, e):
    sigma = ne.sigmas_of_alphas_bar(ne.alphas_bar_of(betas))[t]
    noisy = clean + ne.core.expand_like(sigma, clean) * e
    return noisy / ne.core.expand_like((1 + sigma**2).sqrt(), clean)

# %% 1 | the chain walked with a variance that is added up, vmap over the rows
def diffuse(clean, t, betas, e):
    factors, variances = [1.0], [0.0]
    for beta in betas:
        factors.append(factors[-1] * (1 - beta) ** 0.5)
        variances.append(variances[-1] * (1 - beta) + beta)
    f, v = torch.tensor(factors[1:]), torch.tensor(variances[1:])
    return torch.func.vmap(lambda c, s, z: f[s] * c + v[s].sqrt() * z)(clean, t, e)

# %% 2 | precisions that add up, with a branch for the first step, row after row
def posterior(x_t, clean, t, betas):
    means, variances = [], []
    for x, c, s in zip(x_t.double(), clean.double(), t.tolist()):
        if s == 0:
            means.append(c)
            variances.append(0.0)
            continue
        kept, a = torch.prod(1 - betas[:s]), 1 - betas[s]
        precision = a / betas[s] + 1 / (1 - kept)
        means.append((a.sqrt() * x / betas[s] + kept.sqrt() * c / (1 - kept)) / precision)
        variances.append(float(1 / precision))
    return torch.stack(means), torch.tensor(variances)

# %% 2 | NumPy, a correction of the prediction: the gain of a Kalman filter, a list of two
def posterior(x_t, clean, t, betas):
    beta = betas.numpy()
    kept = np.concatenate([[1.0], np.cumprod(1 - beta)])
    before, step = kept[t.numpy()], 1 - beta[t.numpy()]
    prior_variance = 1 - before
    gain = np.sqrt(step) * prior_variance / (step * prior_variance + beta[t.numpy()])
    prior = np.sqrt(before)[:, None] * clean.numpy()
    mean = prior + gain[:, None] * (x_t.numpy() - np.sqrt(step)[:, None] * prior)
    return [mean, (1 - gain * np.sqrt(step)) * prior_variance]

# %% 2 | kept / (1 - beta) for the step before, cleaned by clamp; single precision at the end
def posterior(x_t, clean, t, betas):
    kept = (1 - betas).log().cumsum(0).exp()[t]
    step = 1 - betas[t]
    before = torch.where(t == 0, torch.ones_like(kept), kept / step)
    old = (1 - before).clamp(min=0)
    mean = torch.einsum("b,bd->bd", step.sqrt() * old, x_t.double()) + torch.einsum("b,bd->bd", before.sqrt() * betas[t], clean.double())
    return (mean / (1 - kept)[:, None]).float(), (betas[t] * old / (1 - kept)).float()

# %% 2 | by the noise: e from x_t and c, then down to the step before (Song, Meng & Ermon 2021, eq. 7)
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.where(t > 0, kept[t - 1], 1.0)
    here = kept[t]
    e = (x_t - here.sqrt()[:, None] * clean) / (1 - here).sqrt()[:, None]
    variance = (1 - before) / (1 - here) * (1 - here / before)
    return before.sqrt()[:, None] * clean + (1 - before - variance).clamp(min=0).sqrt()[:, None] * e, variance

# %% 3 | the package's
def score_of_net(net, x, t, betas):
    kept = ne.alphas_bar_of(betas)
    return ne.EpsScore(net, kept)(x, ne.sigmas_of_alphas_bar(kept)[t].float())


def net_of_score(score, x_t, t, betas):
    return ne.ScoreNoise(score, ne.alphas_bar_of(betas))(x_t, t)

# %% 3 | one function of the ladder, einsum, sigma in a column
def ladder(betas, t):
    kept = torch.exp(torch.log1p(-betas).cumsum(0))[t]
    return kept.sqrt(), (1 / kept - 1).sqrt()


def score_of_net(net, x, t, betas):
    root, sigma = ladder(betas, t)
    return torch.einsum("b,bd->bd", -1 / sigma, net(torch.einsum("b,bd->bd", root, x.double()), t).double())


def net_of_score(score, x_t, t, betas):
    root, sigma = ladder(betas, t)
    return torch.einsum("b,bd->bd", -sigma, score(x_t.double() / root[:, None], sigma[:, None]).double())

# %% 3 | row after row, t and sigma as plain numbers, by way of the clean point (Tweedie)
def score_of_net(net, x, t, betas):
    rows = []
    for row, s in zip(x.double(), t.tolist()):
        kept = float(torch.prod(1 - betas[: s + 1]))
        noisy = math.sqrt(kept) * row[None]
        clean = (noisy - math.sqrt(1 - kept) * net(noisy, s)) / math.sqrt(kept)
        rows.append((clean - row) / ((1 - kept) / kept))
    return torch.cat(rows)


def net_of_score(score, x_t, t, betas):
    rows = []
    for row, s in zip(x_t.double(), t.tolist()):
        kept = float(torch.prod(1 - betas[: s + 1]))
        sigma = math.sqrt((1 - kept) / kept)
        y = row[None] / math.sqrt(kept)
        clean = y + sigma**2 * score(y, sigma)
        rows.append((row - math.sqrt(kept) * clean) / math.sqrt(1 - kept))
    return torch.cat(rows)

# %% 3 | NumPy
def score_of_net(net, x, t, betas):
    kept = np.cumprod(1 - betas.numpy())[t.numpy()][:, None]
    return -net(np.sqrt(kept) * x.numpy(), t.numpy()) * np.sqrt(kept / (1 - kept))


def net_of_score(score, x_t, t, betas):
    kept = np.cumprod(1 - betas.numpy())[t.numpy()][:, None]
    sigma = np.sqrt((1 - kept) / kept)
    return -sigma * score(x_t.numpy() / np.sqrt(kept), sigma[:, 0])

# %% 4 | example after example, t by the random module, noise by NumPy
import random


def simple_loss(net, clean, betas):
    losses = []
    for c in clean:
        t = random.randrange(len(betas))
        kept = float(torch.prod(1 - betas[: t + 1]))
        e = torch.from_numpy(np.random.default_rng().normal(size=c.shape))
        guess = net((kept**0.5 * c + (1 - kept) ** 0.5 * e)[None], torch.tensor([t]))[0]
        losses.append(float(((e - guess) ** 2).sum()))
    return losses

# %% 4 | t as the floor of a uniform number, by the learner's function of Task 1, norms
def simple_loss(net, clean, betas):
    t = (torch.rand(len(clean)) * len(betas)).long()
    e = torch.normal(0.0, 1.0, clean.shape)
    off = e - net(diffuse(clean, t, betas, e), t)
    return torch.linalg.vector_norm(off, dim=tuple(range(1, clean.ndim))) ** 2

# %% 4 | NumPy throughout, t in a column of floating-point numbers
def simple_loss(net, clean, betas):
    rng, c = np.random.default_rng(), clean.numpy()
    t = rng.integers(0, len(betas), size=len(c))
    kept = np.cumprod(1 - betas.numpy())[t].reshape(-1, *[1] * (c.ndim - 1))
    e = rng.standard_normal(c.shape)
    guess = net(np.sqrt(kept) * c + np.sqrt(1 - kept) * e, t[:, None].astype(float))
    return np.square(e - guess).reshape(len(c), -1).sum(1)

# %% 4 | examples of one step together, in the order of the steps
def simple_loss(net, clean, betas):
    t = torch.multinomial(torch.ones(len(betas)), len(clean), replacement=True)
    kept, losses = torch.cumprod(1 - betas, 0), torch.empty(len(clean))
    for s in t.unique().tolist():
        these = (t == s).nonzero()[:, 0]
        e = torch.randn(len(these), *clean.shape[1:])
        x = kept[s].sqrt() * clean[these] + (1 - kept[s]).sqrt() * e
        losses[these] = (e - net(x, torch.full((len(these),), s))).flatten(1).pow(2).sum(1).float()
    return losses

# %% 4 | the chain walked step by step, and the noise read off at its end
def simple_loss(net, clean, betas):
    t = torch.randint(0, len(betas), (len(clean),))
    x, kept = clean.double(), torch.cumprod(1 - betas, 0)
    each = [-1] + [1] * (clean.ndim - 1)
    for s, beta in enumerate(betas):
        new = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(clean.shape)
        x = torch.where((s <= t).view(each), new, x)
    kept = kept[t].view(each)
    e = (x - kept.sqrt() * clean) / (1 - kept).sqrt()
    return ((e - net(x, t)) ** 2).flatten(1).sum(1)

# %% 5 | NumPy, the clean point at the last place of the list, t as a number
def step_back(net, x, t, s, betas, eta, z):
    kept = np.append(np.cumprod(1 - betas.numpy()), 1.0)  # -1 is the last place
    here, there = kept[t], kept[s]
    x, z = x.numpy(), z.numpy()
    e = net(x, t)
    clean = (x - np.sqrt(1 - here) * e) / np.sqrt(here)
    variance = eta**2 * (1 - here / there) * (1 - there) / (1 - here)
    return np.sqrt(there) * clean + np.sqrt(1 - there - variance) * e + np.sqrt(variance) * z

# %% 5 | in the letters of NCSN: sigma scaled down, and fresh noise in its place
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    sigma = float((1 / kept[t] - 1).sqrt())
    lower = float((1 / kept[s] - 1).sqrt()) if s >= 0 else 0.0
    e = net(x, torch.full((len(x), 1), float(t)))
    fresh = eta * lower * math.sqrt(1 - lower**2 / sigma**2)
    y = x * math.sqrt(1 + sigma**2) + (math.sqrt(lower**2 - fresh**2) - sigma) * e + fresh * z
    return y / math.sqrt(1 + lower**2)

# %% 5 | Ho et al.'s formula where it holds, in place, else the general one
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    guess = net(x, torch.tensor([t] * len(x)))
    if eta == 1 and s == t - 1:
        x = x.double()
        x -= betas[t] / (1 - kept[t]).sqrt() * guess
        x /= (1 - betas[t]).sqrt()
        return x + (betas[t] * (1 - kept[t - 1]) / (1 - kept[t])).sqrt() * z if t else x
    there = kept[s] if s > -1 else torch.ones(())
    v = eta**2 * (1 - there) / (1 - kept[t]) * (1 - kept[t] / there)
    clean = (x - (1 - kept[t]).sqrt() * guess) / kept[t].sqrt()
    return there.sqrt() * clean + (1 - there - v).clamp(min=0).sqrt() * guess + v.sqrt() * z

# %% 5 | row after row, keywords, products of the steps between
def step_back(net, x, t, s, betas, eta=0.0, z=None):
    there = float(torch.prod(1 - betas[: s + 1]))
    gap = float(torch.prod(1 - betas[s + 1 : t + 1]))
    here = there * gap
    rows = []
    for point, noise in zip(x.double(), z.double()):
        e = net(point[None], torch.tensor([t]))[0]
        clean = (point - math.sqrt(1 - here) * e) / math.sqrt(here)
        v = (1 - there) * (1 - gap) / (1 - here)
        rows.append(math.sqrt(there) * clean + math.sqrt(max(0.0, 1 - there - eta**2 * v)) * e + eta * math.sqrt(v) * noise)
    return torch.stack(rows)

# %% 6 | plain numbers, in loops, lists
def vp_marginal(t):
    scale, sigma = [], []
    for moment in t.tolist():
        kept = math.exp(-0.1 * moment - 9.95 * moment * moment)
        scale.append(kept**0.5)
        sigma.append(((1 - kept) / kept) ** 0.5)
    return torch.tensor(scale), torch.tensor(sigma)


def vp_time(sigma):
    times = []
    for s in sigma.tolist():
        low, high = 0.0, 1.5
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if vp_marginal(torch.tensor([middle]))[1] < s else (low, middle)
        times.append(low)
    return times

# %% 6 | the product of many small steps, and its table read backwards
def _table(n=200_000):
    betas = (0.1 + 19.9 * (torch.arange(n, dtype=torch.float64) + 0.5) / n) / n
    return torch.arange(1, n + 1, dtype=torch.float64) / n, torch.cumprod(1 - betas, 0)


def vp_marginal(t):
    times, kept = (part.numpy() for part in _table())
    kept = np.interp(t.numpy(), np.append(0.0, times), np.append(1.0, kept))
    return kept**0.5, (1 / kept - 1) ** 0.5


def vp_time(sigma):
    times, kept = (part.numpy() for part in _table())
    sigmas = np.append(0.0, (1 / kept - 1) ** 0.5)
    return np.interp(sigma.numpy() ** 2, sigmas**2, np.append(0.0, times))

# %% 6 | NumPy, the roots of a polynomial; a list of two
def vp_marginal(t):
    t = np.asarray(t, dtype=np.float64)
    spent = np.polyval([9.95, 0.1, 0.0], t)
    return [np.exp(-spent / 2), np.sqrt(np.expm1(spent))]


def vp_time(sigma):
    spent = np.log1p(np.asarray(sigma, dtype=np.float64) ** 2)
    return np.array([max(np.roots([9.95, 0.1, -one]).real) for one in spent])

# %% 6 | beta integrated by SciPy; the time in the form without cancellation; one tensor of two rows
def vp_marginal(t):
    from scipy.integrate import quad

    spent = torch.tensor([quad(lambda u: 0.1 + 19.9 * u, 0, float(one))[0] for one in t], dtype=torch.float64)
    scale = torch.exp(-0.5 * spent)
    return torch.stack([scale, (1 - scale**2).sqrt() / scale])


def vp_time(sigma):
    spent = torch.log(1 + sigma.double() ** 2)
    return 2 * spent / (0.1 + (0.01 + 39.8 * spent).sqrt())

# %% 7 | NumPy, with the learner's own numbers for beta and the scale
def reverse_step(score, x, t, h, z):
    x, z = x.numpy(), z.numpy()
    beta = 0.1 + 19.9 * t
    kept = np.exp(-0.1 * t - 9.95 * t**2)
    s = score(x / np.sqrt(kept), np.sqrt((1 - kept) / kept)) / np.sqrt(kept)
    drift = -0.5 * beta * x - beta * s
    return x + drift * -h + np.sqrt(beta * h) * z

# %% 7 | in place, row after row, sigma with one entry
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t]))
    beta = 0.1 + 19.9 * t
    new = x.double()
    for b in range(len(x)):
        pull = score(x[b : b + 1] / scale, sigma)[0] / scale
        new[b] += beta * h * (x[b] / 2 + pull) + (beta * h) ** 0.5 * z[b]
    return new

# %% 7 | by the denoised point: Tweedie in the letters of DDPM
def reverse_step(score, x, t, h, z):
    scale, sigma = (part.item() for part in vp_marginal(torch.tensor([t], dtype=torch.float64)))
    y = x.double() / scale
    clean = y + sigma**2 * score(y, torch.full((len(x),), sigma))
    slope = (scale * clean - x) / (1 - scale**2)
    beta = 0.1 + 19.9 * t
    return x * (1 + beta * h / 2) + beta * h * slope + math.sqrt(beta * h) * z

# %% 7 | a class, keywords, sigma in a column
class Process:
    def beta(self, t):
        return 0.1 + t * 19.9

    def drift(self, x, t):
        return -self.beta(t) / 2 * x

    def slope(self, score, x, t):
        kept = math.exp(-(0.1 * t + 9.95 * t * t))
        column = torch.full((len(x), 1), math.sqrt(1 / kept - 1))
        return score(x / math.sqrt(kept), sigma=column) * kept**-0.5


def reverse_step(score, x, t, h, z, process=Process()):
    dt = -h
    backwards = process.drift(x, t) - process.beta(t) * process.slope(score, x, t)
    return x + backwards * dt + (process.beta(t) * h) ** 0.5 * z

# %% 8 | the package's flow, in NCSN's letters, from either side
def flow(score, x, times):
    scale, sigma = vp_marginal(times)
    if times[0] > times[-1]:
        return scale[-1] * ne.last(ne.probability_flow(score, x / scale[0], sigma))
    y = x.double() / scale[0]
    for a, b in zip(sigma[:-1], sigma[1:]):  # Heun's method upwards
        first = -a * score(y, a.expand(len(x)))
        second = -b * score(y + (b - a) * first, b.expand(len(x)))
        y = y + (b - a) / 2 * (first + second)
    return scale[-1] * y

# %% 8 | NumPy, plain numbers
def flow(score, x, times):
    x, times = x.numpy().astype(float), [float(t) for t in times]

    def slope(x, t):
        kept = math.exp(-0.1 * t - 9.95 * t * t)
        return -(0.05 + 9.95 * t) * (x + score(x / kept**0.5, ((1 - kept) / kept) ** 0.5) / kept**0.5)

    for t, after in zip(times, times[1:]):
        k = slope(x, t)
        x = x + (after - t) / 2 * (k + slope(x + (after - t) * k, after))
    return x

# %% 8 | the mid-point rule, which errs by the square of the step, too; in place
def flow(score, x, times):
    x = x.double()
    for t, after in zip(times[:-1].double(), times[1:].double()):
        half = (t + after) / 2
        at_begin = x + (half - t) * _speed(score, x, t)
        x += (after - t) * _speed(score, at_begin, half)
    return x


def _speed(score, x, t):
    scale, sigma = vp_marginal(t[None])
    return -(0.1 + 19.9 * t) / 2 * (x + score(x / scale, sigma[:, None]) / scale)

# %% 8 | the slope of the step before in place of a second call: the method of Adams and Bashforth
def flow(score, x, times):
    def slope(x, t):
        scale, sigma = (float(part) for part in vp_marginal(t.double().reshape(1)))
        return -0.5 * (0.1 + 19.9 * float(t)) * (x + score(x / scale, sigma) / scale)

    x, steps, before = x.double(), times.double().diff().tolist(), None
    for i, h in enumerate(steps):
        k = slope(x, times[i])
        if before is None:
            x = x + h / 2 * (k + slope(x + h * k, times[1]))
        else:
            ratio = h / steps[i - 1]
            x = x + h * ((1 + ratio / 2) * k - ratio / 2 * before)
        before = k
    return x

# %% 8 | recursive over the times, row after row
def flow(score, x, times):
    if len(times) == 1:
        return x
    (t, after), h = times[:2].tolist(), float(times[1] - times[0])

    def slope(row, t):
        scale, sigma = vp_marginal(torch.tensor([t]))
        return -0.5 * (0.1 + 19.9 * t) * (row + score(row[None] / scale, sigma)[0] / scale)

    new = []
    for row in x:
        first = slope(row, t)
        new.append(row + h / 2 * (first + slope(row + h * first, after)))
    return flow(score, torch.stack(new), times[1:])

# %% 9 | NumPy, in NCSN's letters, four steps for each of the times; the unit at both ends
def log_likelihood(score, divergence, x, times):
    given = times.numpy().astype(float)
    t = np.interp(np.arange(4 * len(given) - 3) / 4, np.arange(len(given)), given)
    kept = np.exp(-0.1 * t - 9.95 * t**2)
    scale, sigma = kept**0.5, (1 / kept - 1) ** 0.5
    y, log_p = x.numpy() / scale[0], 0.0
    for a, b in zip(sigma, sigma[1:]):
        first = -a * score(y, a)
        ahead = y + (b - a) * first
        log_p = log_p - (b - a) / 2 * (a * divergence(y, a) + b * divergence(ahead, b))
        y = y + (b - a) / 2 * (first - b * score(ahead, b))
    dim = x.shape[1]
    at_end = -dim / 2 * np.log(2 * np.pi * (1 + sigma[-1] ** 2)) - (y**2).sum(1) / 2 / (1 + sigma[-1] ** 2)
    return at_end + log_p - dim * np.log(scale[0])

# %% 9 | the divergence by automatic differentiation of the whole slope, torch.distributions at the end
def log_likelihood(score, divergence, x, times):
    def slope(x, t):
        scale, sigma = vp_marginal(t[None])
        return -(0.1 + 19.9 * t) / 2 * (x + score(x / scale, sigma) / scale)

    def both(x, t):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            v = slope(x, t)
            apart = sum(torch.autograd.grad(v[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(x.shape[1]))
        return v.detach(), apart.detach()

    x, total = x.double(), 0
    for t, after in zip(times[:-1].double(), times[1:].double()):
        v, apart = both(x, t)
        v_then, apart_then = both(x + (after - t) * v, after)
        x = x + (after - t) / 2 * (v + v_then)
        total = total + (after - t) / 2 * (apart + apart_then)
    normal = torch.distributions.Normal(0.0, 1.0)
    return normal.log_prob(x).sum(1) + total

# %% 9 | one state of D + 1 numbers, and SciPy's adaptive solver, point by point
def log_likelihood(score, divergence, x, times):
    from scipy.integrate import solve_ivp

    found = []
    for point in x.double():
        def slopes(t, state):
            kept = math.exp(-0.1 * t - 9.95 * t * t)
            scale, sigma = kept**0.5, (1 / kept - 1) ** 0.5
            here = torch.from_numpy(state[None, :-1] / scale)
            half = -0.5 * (0.1 + 19.9 * t)
            v = half * (state[:-1] + score(here, sigma)[0].numpy() / scale)
            return np.append(v, half * (len(v) + float(divergence(here, sigma)) / kept))

        end = solve_ivp(slopes, (float(times[0]), float(times[-1])), np.append(point, 0.0), rtol=1e-4, atol=1e-5).y[:, -1]
        found.append(end[-1] - (end[:-1] ** 2).sum() / 2 - len(point) * 0.9189385)
    return found

# %% 9 | the classical method of Runge and Kutta
def log_likelihood(score, divergence, x, times):
    def rate(state, t):
        x = state[:, :-1]
        kept = torch.exp(-0.1 * t - 9.95 * t**2)
        scale, sigma = kept.sqrt(), ((1 - kept) / kept).sqrt()
        v = x + score(x / scale, sigma.expand(len(x))) / scale
        apart = x.shape[1] + divergence(x / scale, sigma.expand(len(x))) / kept
        return -(0.1 + 19.9 * t) / 2 * torch.cat([v, apart[:, None]], 1)

    state = torch.cat([x.double(), torch.zeros(len(x), 1).double()], 1)
    for t, after in zip(times[:-1].double(), times[1:].double()):
        h, middle = after - t, (t + after) / 2
        a = rate(state, t)
        b = rate(state + h / 2 * a, middle)
        c = rate(state + h / 2 * b, middle)
        d = rate(state + h * c, after)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    return state[:, -1] - (state[:, :-1] ** 2 + math.log(2 * math.pi)).sum(1) / 2

# %% 10 | in capitals
prediction = "A"

# %% 10 | with blanks
prediction = " b "

# %% 10 | the third
prediction = "c"

# %% 1 | signal and noise as the cosine and the sine of an angle
def diffuse(clean, t, betas, e):
    angle = torch.arccos(torch.cumprod((1 - betas).sqrt(), 0))[t]
    while angle.ndim < clean.ndim:
        angle = angle[..., None]
    return angle.cos() * clean + angle.sin() * e

# %% 2 | the joint covariance of both points, conditioned
def posterior(x_t, clean, t, betas):
    means, variances = [], []
    for x, c, s in zip(x_t.double(), clean.double(), t):
        step, kept = math.sqrt(1 - betas[s]), float(torch.prod(1 - betas[:s]))
        old, both, new = 1 - kept, step * (1 - kept), 1 - step**2 * kept
        means.append(math.sqrt(kept) * c + both / new * (x - step * math.sqrt(kept) * c))
        variances.append(old - both**2 / new)
    return torch.stack(means), torch.tensor(variances)

# %% 3 | lambdas, and a default argument
_kept = lambda betas, t: (1 - betas).cumprod(dim=-1)[t].unsqueeze(1)
score_of_net = lambda net, x, t, betas: net(x * _kept(betas, t).sqrt(), t).neg() * (1 / _kept(betas, t) - 1) ** -0.5


def net_of_score(score, x_t, t, betas, left=_kept):
    a = left(betas, t)
    return (1 - a).sqrt().neg() * (score(x_t / a.sqrt(), ((1 - a) / a).sqrt().squeeze(1)) / a.sqrt())

# %% 4 | a third of the batch at a time, with a generator of its own that is seeded by the machine
def simple_loss(net, clean, betas):
    own, losses = torch.Generator(), []
    own.seed()
    for part in clean.chunk(3):
        t = torch.randint(high=len(betas), size=(len(part),), generator=own)
        e = torch.empty(part.shape, dtype=torch.float64).normal_(generator=own)
        kept = (1 - betas).cumprod(0)[t].view(-1, *[1 for _ in part.shape[1:]])
        guess = net((kept**0.5 * part + (1 - kept) ** 0.5 * e).float(), t.int())
        losses.append(torch.linalg.norm((e - guess).reshape(len(part), -1), dim=1) ** 2)
    return torch.cat(losses)

# %% 5 | both noises mixed first, at length one
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    here, there = kept[t], kept[s] if s != -1 else kept.new_ones(())
    e = net(x, torch.full((len(x),), t)).double()
    share = eta * ((1 - here / there) / (1 - here)).sqrt()
    mixed = (1 - share**2).clamp(min=0).sqrt() * e + share * z
    return (there / here).sqrt() * (x - (1 - here).sqrt() * e) + (1 - there).sqrt() * mixed

# %% 6 | the logarithm of the signal-to-noise ratio, and Newton's method by automatic differentiation
def vp_marginal(t):
    t = torch.as_tensor(t, dtype=torch.float64)
    log_snr = -torch.log(torch.expm1((0.1 + (0.1 + 19.9 * t)) / 2 * t))
    return torch.sigmoid(log_snr).sqrt(), torch.exp(-log_snr / 2)


def vp_time(sigma):
    with torch.enable_grad():
        t = torch.full(sigma.shape, 0.5, dtype=torch.float64).requires_grad_()
        for _ in range(40):
            off = torch.log(vp_marginal(t)[1]) - sigma.double().log()
            t = (t - off / torch.autograd.grad(off.sum(), t)[0]).detach().clamp(1e-6, 2).requires_grad_()
    return t.detach()

# %% 7 | a general method for any drift and diffusion, rows turned into columns
def euler_maruyama(f, g, x, t, dt, z):
    return x + f(x, t) * dt + g(t) * abs(dt) ** 0.5 * z


def reverse_step(score, x, t, h, z):
    beta = lambda t: 0.1 + 19.9 * t

    def slope(x, t):
        scale, sigma = vp_marginal(torch.tensor([t] * len(x)))
        return torch.stack([row / c for row, c in zip(score((x.T / scale).T, sigma), scale)])

    return euler_maruyama(lambda x, t: -beta(t) * (x / 2 + slope(x, t)), lambda t: beta(t) ** 0.5, x, t, -h, z)

# %% 8 | Ralston's method, which asks at two thirds of the step
def flow(score, x, times):
    def speed(x, t):
        scale, sigma = vp_marginal(t.view(1))
        return -(0.1 + 19.9 * t) / 2 * (x + score(x / scale, sigma.repeat(len(x))) / scale)

    x, times = x.double(), times.double()
    for t, h in zip(times, times.diff()):
        first = speed(x, t)
        x = x + h * (first / 4 + 3 / 4 * speed(x + 2 / 3 * h * first, t + 2 / 3 * h))
    return x

# %% 9 | no divergence: the determinant of where the flow takes the points, differentiated through all steps
def log_likelihood(score, divergence, x, times):
    def speed(x, t):
        scale, sigma = vp_marginal(t.view(1))
        return -(0.1 + 19.9 * t) / 2 * (x + score(x / scale, sigma.repeat(len(x))) / scale)

    with torch.enable_grad():
        start = x.double().requires_grad_()
        y = start
        for t, after in zip(times[:-1].double(), times[1:].double()):
            first = speed(y, t)
            y = y + (after - t) / 2 * (first + speed(y + (after - t) * first, after))
        rows = [torch.autograd.grad(y[:, i].sum(), start, retain_graph=True)[0] for i in range(x.shape[1])]
    y, spread = y.detach(), torch.linalg.slogdet(torch.stack(rows, 1))[1]
    return spread - y.square().sum(1) / 2 - x.shape[1] / 2 * math.log(2 * math.pi)
