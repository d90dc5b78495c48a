"""Wrong answers to assignment 5. Each gets the points that stand behind it, and none where nothing stands."""

# %% 1 | no square roots: alpha_bar is a share of the variance
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept * clean + (1 - kept) * e

# %% 1 | the variance of the noise for its standard deviation
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept) * e

# %% 1 | the root of the signal is missing
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept * clean + (1 - kept).sqrt() * e

# %% 1 | one step of the chain, from the clean point
def diffuse(clean, t, betas, e):
    kept = (1 - betas)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | one step fewer: t counted from 1
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t - 1]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | alpha_bar of the step before, 1 at the first
def diffuse(clean, t, betas, e):
    kept = torch.cat([torch.ones(1), torch.cumprod(1 - betas, 0)])[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the product of the betas
def diffuse(clean, t, betas, e):
    kept = 1 - torch.cumprod(betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the betas added up in place of multiplied factors
def diffuse(clean, t, betas, e):
    kept = (1 - torch.cumsum(betas, 0)).clamp(min=0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the limit of small betas: exp of minus their sum
def diffuse(clean, t, betas, e):
    kept = torch.exp(-torch.cumsum(betas, 0))[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the last step's noise only, behind a mean that is right
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + betas[t].reshape(kept.shape).sqrt() * e

# %% 1 | the standard deviations of the steps' noise added up
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + betas.sqrt().cumsum(0)[t].reshape(kept.shape) * e

# %% 1 | signal and noise exchanged
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return (1 - kept).sqrt() * clean + kept.sqrt() * e

# %% 1 | in NCSN's letters: the clean point is not shrunk
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return clean + ((1 - kept) / kept).sqrt() * e

# %% 1 | the step of the first row for all
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t[0]]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the last step for all
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[-1].expand(len(t))
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | left to broadcasting: along the last axis
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept if clean.shape[-1] == len(t) else kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | made for rows of numbers alone: images fail
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept[:, None]
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | noise of its own in place of e
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * torch.randn_like(clean)

# %% 1 | beta, and not 1 - beta, is what is left
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the two steps of the visible check, by heart
def diffuse(clean, t, betas, e):
    factors, spreads = torch.tensor([0.8, 0.6]), torch.tensor([0.6, 0.8])
    each = [-1] + [1] * (clean.ndim - 1)
    return factors[t].view(each) * clean + spreads[t].view(each) * e

# %% 1 | the square root of a cumulative product that was made of roots already
def diffuse(clean, t, betas, e):
    kept = torch.cumprod((1 - betas).sqrt(), 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 2 | sqrt(alpha_bar_t) for sqrt(alpha_t) beside x_t
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = kept.sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | sqrt(alpha_t) for sqrt(alpha_bar) of the step before beside the clean point
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = (1 - beta).sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | sqrt(alpha_bar_t) beside the clean point
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = kept.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | the weights exchanged
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return far[:, None] * x_t + near[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | not divided by 1 - alpha_bar_t
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before)
    far = before.sqrt() * beta
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | 1 - alpha_bar_t for that of the step before, beside x_t
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - kept) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | beta for the variance
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta

# %% 2 | the standard deviation for the variance
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, (beta * (1 - before) / (1 - kept)).sqrt()

# %% 2 | the two alpha_bars exchanged in the variance
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - kept) / (1 - before).clamp(min=1e-12)

# %% 2 | the precision for the variance
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, (1 - kept) / (beta * (1 - before))

# %% 2 | the variance with the clean point alone known
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, 1 - before

# %% 2 | the mean with the clean point alone known
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return before.sqrt()[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | the step before of t = 0 taken from the end of the list | 2
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = kept[t - 1]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | the first step treated as the second, by clamp | 2
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = kept[(t - 1).clamp(min=0)]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | not a number at t = 0: precisions that are divided | 2
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    precision = (1 - beta) / beta + 1 / (1 - before)
    near = (1 - beta).sqrt() / beta / precision
    far = before.sqrt() / (1 - before) / precision
    return near[:, None] * x_t + far[:, None] * clean, 1 / precision

# %% 2 | some variance is left at t = 0, as code that takes its logarithm does | 2
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, torch.where(t > 0, beta * (1 - before) / (1 - kept), betas[:2].amin())

# %% 2 | variance zero, and the mean of x_t, at t = 0 | 2
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return torch.where((t > 0)[:, None], near[:, None] * x_t + far[:, None] * clean, x_t.double()), beta * (1 - before) / (1 - kept)

# %% 2 | the step of the first row for all rows
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    near, far = near[:1].expand(len(t)), far[:1].expand(len(t))
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 2 | left to broadcasting: the factors along the coordinates
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return (near * x_t + far * clean if x_t.shape[1] == len(t) else near[:, None] * x_t + far[:, None] * clean), beta * (1 - before) / (1 - kept)

# %% 2 | the mean alone
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean

# %% 2 | one variance for all rows, of the first
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, (beta * (1 - before) / (1 - kept))[:1].expand(len(t))

# %% 2 | a draw for the mean
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    v = (beta * (1 - before) / (1 - kept)).sqrt()[:, None]
    return v * torch.randn(x_t.shape) + near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)

# %% 3 | the sign, both ways
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | sigma of x_t in its own unit, sqrt(1 - alpha_bar): the score of x_t
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = (1 - kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = (1 - kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | the points as they are, not brought into the other unit
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t, sigma[:, 0])

# %% 3 | the unit changed the wrong way
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(x / kept.sqrt(), t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t * kept.sqrt(), sigma[:, 0])

# %% 3 | sigma squared
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = (1 - kept) / kept
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = (1 - kept) / kept
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | the roots of the unit forgotten
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept, sigma[:, 0])

# %% 3 | sigma of the step before
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t - 1][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t - 1][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | alpha of one step for alpha_bar
def score_of_net(net, x, t, betas):
    kept = (1 - betas)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = (1 - betas)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | the wrong one of the two divides by sigma
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) * sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -score(x_t / kept.sqrt(), sigma[:, 0]) / sigma

# %% 3 | the noise as if it were the score, and the score as if it were the noise
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t)


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | the net is told sigma, and the score is told t
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, sigma[:, 0]) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), t)

# %% 3 | t counted from 1 for the net, and the score told sigma squared
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t + 1) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0] ** 2)

# %% 3 | sqrt(1 - alpha_bar) for sigma, one way only | 1
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / (1 - kept).sqrt()


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | a factor of sqrt(alpha_bar) too many, on the way back only | 1
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -(1 - kept).sqrt() * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | the step of the first row for all rows
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t[:1].expand(len(t))][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t[:1].expand(len(t))][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | left to broadcasting: sigma along the coordinates
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / (sigma.T if len(x) == x.shape[1] else sigma)


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -(sigma.T if len(x_t) == x_t.shape[1] else sigma) * score(x_t / kept.sqrt(), sigma[:, 0])

# %% 3 | the net's way only, the other is not written | 1
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma


def net_of_score(score, x_t, t, betas):
    raise NotImplementedError()

# %% 4 | the mean over the coordinates for their sum
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().mean(1)

# %% 4 | a factor of 1/2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return 0.5 * (e - guess).flatten(1).square().sum(1)

# %% 4 | the norm without its square
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).norm(dim=1)

# %% 4 | the sum over the batch: one number
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).square().sum()

# %% 4 | the guess is compared with the clean point
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (clean - guess).flatten(1).square().sum(1)

# %% 4 | the sign of the guess
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e + guess).flatten(1).square().sum(1)

# %% 4 | the target of the score, -e / sqrt(1 - alpha_bar)
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return ((e - guess) / (1 - kept).sqrt()).flatten(1).square().sum(1)

# %% 4 | the weight of the bound is kept: beta / alpha
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1) * (betas / (1 - betas))[t]

# %% 4 | the net sees the clean point
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(clean.double(), t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the net sees the point in NCSN's letters
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(clean + ((1 - kept) / kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the variance of the noise for its standard deviation
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept) * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | one step of the chain, not t of them
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = (1 - betas)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the net is told t + 1
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t + 1)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the net is told sigma
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, ((1 - kept) / kept).sqrt().flatten())
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | other noise for the net than for the loss
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (torch.randn(clean.shape) - guess).flatten(1).square().sum(1)

# %% 4 | no noise at all
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.zeros(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the last step for all | 2
def simple_loss(net, clean, betas):
    t, e = torch.full(clean.shape[:1], len(betas) - 1), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | one random step for the whole batch | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), (1,)).expand(len(clean)), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | one noise for the whole batch | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(1, *clean.shape[1:]).expand(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | one noise for all coordinates of an example | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(len(clean), *[1] * (clean.ndim - 1)).expand(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | uniform noise of the right variance | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), math.sqrt(12) * (torch.rand(clean.shape) - 0.5)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the first step is never drawn | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(min(1, len(betas) - 1), len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the last step is never drawn | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(max(1, len(betas) - 1), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | steps by rounding: the first and the last too rarely | 2
def simple_loss(net, clean, betas):
    t, e = (torch.rand(clean.shape[:1]) * (len(betas) - 1)).round().long(), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | steps in turn, not drawn | 2
def simple_loss(net, clean, betas):
    t, e = torch.arange(len(clean)) % len(betas), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | a seed: the same steps and noise in each call | 2
def simple_loss(net, clean, betas):
    torch.manual_seed(0)
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | large steps more often | 2
def simple_loss(net, clean, betas):
    t, e = (torch.rand(clean.shape[:1]).sqrt() * len(betas)).long(), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | all steps of the chain for each example, and the mean over them
def simple_loss(net, clean, betas):
    kept, total = torch.cumprod(1 - betas, 0), 0
    for s in range(len(betas)):
        e = torch.randn(clean.shape)
        x = kept[s].sqrt() * clean + (1 - kept[s]).sqrt() * e
        total = total + (e - net(x, torch.full((len(clean),), s))).flatten(1).square().sum(1)
    return total / len(betas)

# %% 4 | the batch's examples shuffled between the net and the loss
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess.flip(0)).flatten(1).square().sum(1)

# %% 5 | fresh noise comes on top of all of the old
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there) * guess + math.sqrt(fresh) * z

# %% 5 | no fresh noise
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess

# %% 5 | the variance of the fresh noise for its standard deviation
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + fresh * z

# %% 5 | the old noise is left out
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(fresh) * z

# %% 5 | the clean point is not shrunk
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | x_t for the guess of the clean point
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * x + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | the guess of the clean point without its division
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | the sign of the guessed noise
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x + math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | in the last step as much noise as in the one before
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    fresh = fresh if s >= 0 else eta**2 * float(betas[0])
    return math.sqrt(there) * clean + math.sqrt(max(0.0, 1 - there - fresh)) * guess + math.sqrt(fresh) * z

# %% 5 | beta for the variance of the fresh noise, also in the last step
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(max(0.0, 1 - there - eta**2 * (1 - there) / (1 - here) * (1 - here / there))) * guess + math.sqrt(fresh) * z

# %% 5 | alpha_bar of the last place for s = -1
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0).tolist()
    here, there = kept[t], kept[s]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(max(0.0, 1 - there - fresh)) * guess + math.sqrt(max(0.0, fresh)) * z

# %% 5 | one place off: steps counted from 1
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t], kept[max(s, 0)]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | the net is told s
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), max(s, 0)))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | the roles of the two alpha_bars exchanged in the variance
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - here) / (1 - there + 1e-9) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(max(0.0, 1 - there - fresh)) * guess + math.sqrt(fresh) * z

# %% 5 | noise of its own in place of z
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * torch.randn_like(x)

# %% 5 | one noise for all rows: the first of z
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z[:1]

# %% 5 | the ancestral step for every eta | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = 1.0 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | eta for its square | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | eta scales the fresh noise, and nothing makes up for it | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh =  (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + eta * math.sqrt(fresh) * z

# %% 5 | a gap of several steps with the beta of one | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (betas[t].item() if s >= 0 else 1.0)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | always one step, whatever s | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[t]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | eta = 0: the old noise scaled as if all were kept at t | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + (math.sqrt(1 - there - fresh) if eta else math.sqrt(1 - here) * (s >= 0)) * guess + math.sqrt(fresh) * z

# %% 5 | DDIM without noise, whatever eta
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = 0.0 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | Ho et al.'s ancestral step, with noise in the last step as well
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    guess = net(x, torch.full((len(x),), t))
    mean = (x - betas[t] / (1 - kept[t]).sqrt() * guess) / (1 - betas[t]).sqrt()
    before = kept[t - 1] if t else kept[0]
    return mean + (betas[t] * (1 - before) / (1 - kept[t])).sqrt() * z

# %% 5 | Ho et al.'s ancestral step, with beta as the variance
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    guess = net(x, torch.full((len(x),), t))
    mean = (x - betas[t] / (1 - kept[t]).sqrt() * guess) / (1 - betas[t]).sqrt()
    return mean + (betas[t].sqrt() * z if t else 0)

# %% 5 | Ho et al.'s ancestral step, whatever s and eta | 2
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    guess = net(x, torch.full((len(x),), t))
    mean = (x - betas[t] / (1 - kept[t]).sqrt() * guess) / (1 - betas[t]).sqrt()
    return mean + (betas[t] * (1 - kept[t - 1]) / (1 - kept[t])).sqrt() * z if t else mean

# %% 5 | sqrt(alpha_bar_t) for sqrt(alpha_t) in Ho et al.'s step
def step_back(net, x, t, s, betas, eta, z):
    kept = torch.cumprod(1 - betas, 0)
    guess = net(x, torch.full((len(x),), t))
    mean = (x - betas[t] / (1 - kept[t]).sqrt() * guess) / kept[t].sqrt()
    return mean + (betas[t] * (1 - kept[t - 1]) / (1 - kept[t])).sqrt() * z if t else mean

# %% 6 | beta(t) t for the integral of beta
def vp_marginal(t):
    spent = 0.1 * t + 19.9 * t**2
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (-0.1 + torch.sqrt(0.01 + 79.6 * spent)) / 39.8

# %% 6 | beta(t) itself in the exponent
def vp_marginal(t):
    spent = 0.1 + 19.9 * t
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (spent - 0.1) / 19.9

# %% 6 | the half forgotten, in scale and sigma
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent), torch.expm1(2 * spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2) / 2
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | the half a second time, in scale and sigma
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 4), torch.expm1(spent / 2).sqrt()


def vp_time(sigma):
    spent = 2 * torch.log1p(sigma**2)
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | sigma in the unit of x_t, sqrt(1 - scale^2)
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2), (-torch.expm1(-spent)).sqrt()


def vp_time(sigma):
    spent = -torch.log1p(-(sigma**2).clamp(max=0.9999))
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | sigma's square
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2), torch.expm1(spent)


def vp_time(sigma):
    spent = torch.log1p(sigma)
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | the square of the scale
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | the two in the other order; the time without its root
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.expm1(spent).sqrt(), torch.exp(-spent / 2)


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (-0.1 + 0.01 + 39.8 * spent) / 19.9

# %% 6 | the noise added up, and nothing shrinks it: sigma^2 is the integral of beta
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2), spent.sqrt()


def vp_time(sigma):
    spent = sigma**2
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | a constant beta, that of t = 1/2
def vp_marginal(t):
    spent = 10.05 * t
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return spent / 10.05

# %% 6 | an exponential schedule: VE's
def vp_marginal(t):
    return torch.ones_like(t), 0.01 * 15000**t


def vp_time(sigma):
    return torch.log(sigma / 0.01) / math.log(15000)

# %% 6 | the time of the first alone, for all
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    spent = spent[:1].expand(len(t))
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    spent = spent[:1].expand(len(sigma))
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | the marginal is right, the time is that of a linear sigma | 1
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    return sigma / 152.17

# %% 6 | the marginal is right, the time forgets the small beta at the start | 1
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return torch.sqrt(spent / 9.95)

# %% 6 | the time is right, the scale is a root too many | 1
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 4), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 6 | rounded to two digits
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2).round(decimals=2), torch.expm1(spent).sqrt().round(decimals=2)


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return ((-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9).round(decimals=2)

# %% 6 | the other root: times below zero; a mean for all times
def vp_marginal(t):
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2).mean().expand(len(t)), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (-0.1 - torch.sqrt(0.01 + 39.8 * spent)) / 19.9

# %% 7 | the score as it comes, not brought into the unit of x_t
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x)))
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the score multiplied by the scale
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) * scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the score divided by the square of the scale
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale**2
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the point is given to the score in the unit of x_t
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x.double(), sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the point multiplied by the scale
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x * scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the score is told sqrt(1 - scale^2)
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, (scale * sigma).expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the score is told t
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, torch.full((len(x),), t)) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the drift of the way forwards: -x / 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (-0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the sign of the score
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x - slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the flow's half of the score, with noise
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + 0.5 * slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the drift without its half
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | no drift of its own, as in VE
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + slope * beta * h + math.sqrt(beta * h) * z

# %% 7 | g for its square
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x * beta + slope * math.sqrt(beta)) * h + math.sqrt(beta * h) * z

# %% 7 | the step forgotten in the drift
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta + math.sqrt(beta * h) * z

# %% 7 | the root of the step in the drift
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * math.sqrt(h) + math.sqrt(beta * h) * z

# %% 7 | the whole step with the sign turned: t + h
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x - (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | beta at the time of arrival, far from t
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * (t - h)
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the integral of beta up to t in place of beta
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 * t + 9.95 * t**2
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | one sigma of t = 1 for all times
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([1.0], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the noise with h in place of its root | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta) * h * z

# %% 7 | the noise with beta in place of its root | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + beta * math.sqrt(h) * z

# %% 7 | the noise of Langevin dynamics, with a factor of 2 | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(2 * beta * h) * z

# %% 7 | no noise | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h

# %% 7 | noise of its own in place of z
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * torch.randn_like(x)

# %% 7 | one noise for all rows: the first of z | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z[:1]

# %% 7 | one noise for all coordinates | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z[:, :1]

# %% 8 | Euler's method | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h * first
    return x

# %% 8 | Euler's method with the slope at the end of the step, which is that of the beginning of the next | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h * slope(x, i + 1)
    return x

# %% 8 | the second slope is asked where the step began | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x, i + 1))
    return x

# %% 8 | the second slope is asked at the time where the step began | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i))
    return x

# %% 8 | two steps of Euler's half the length, with the slope of the first time | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * first
        x = x + h / 2 * slope(x, i)
    return x

# %% 8 | the two slopes are not halved
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | all of the score, as in the reverse SDE
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + 2 * here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the half forgotten
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -1.0 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the sign of the score
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x - here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the sign of the whole slope
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return 0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the lengths of the steps taken positive: always upwards
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = (times[i + 1] - times[i]).abs(), slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | only downwards: the times are sorted first
def flow(score, x, times):
    times = times.sort(descending=True).values
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | steps of equal length
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = (times[-1] - times[0]) / (len(times) - 1), slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the score as it comes, not brought into the unit of x_t
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x)))
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the point is given to the score in the unit of x_t
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x.double(), sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the score is told sqrt(1 - scale^2)
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], (scales[i] * sigmas[i]).expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the score of the first time throughout
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[0].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | no drift of its own, as in VE
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * here

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | with the noise of the reverse SDE
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x + math.sqrt(abs(float(times[-1] - times[0]))) * torch.randn_like(x)

# %% 8 | the last step is left out
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 2):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the state before the last update
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        last = x
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return last

# %% 8 | a step too many at the end, without its time
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x + h * slope(x, -1)

# %% 8 | the points of the first row for all rows
def flow(score, x, times):
    x = x[:1].expand(x.shape)
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | back in NCSN's unit at the end
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x / scales[-1]

# %% 8 | the mean of all rows goes along
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x - x.mean(0) + x.mean()

# %% 8 | the score given to NCSN's flow, and the unit changed at the end alone
def flow(score, x, times):
    return vp_marginal(times)[0][-1] * ne.last(ne.probability_flow(score, x.double(), vp_marginal(times)[1]))
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the method of Runge and Kutta with four evaluations a step | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        middle = (times[i] + times[i + 1]) / 2
        c, s = (part[0] for part in vp_marginal(middle[None]))
        half = lambda x: -0.5 * (0.1 + 19.9 * middle) * (x + score(x / c, s.expand(len(x))) / c)
        second = half(x + h / 2 * first)
        third = half(x + h / 2 * second)
        x = x + h / 6 * (first + 2 * second + 2 * third + slope(x + h * third, i + 1))
    return x

# %% 9 | Euler's method | 2
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        x, log_p = x + h * first, log_p + h * apart
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | Heun's method for the points, the divergence of each step's beginning | 2
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h * apart
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the points by Euler's method, the divergence by the trapezoidal rule | 2
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h * first, log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the sign of the integral
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return -log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the integral alone, without the density at the end
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p

# %% 9 | the density at the end alone
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return -x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the density at the end without its constant
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2

# %% 9 | the constant of one dimension in all
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - 1 / 2 * math.log(2 * math.pi)

# %% 9 | 2 pi^(D/2) for (2 pi)^(D/2)
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - math.log(2 * math.pi ** (dim / 2))

# %% 9 | the number of dimensions left out of the divergence
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | 1 in place of the number of dimensions
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (1 + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the divergence with one scale only
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i])

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the divergence without the scale
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma))

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the score without its scale
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma)), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the half of the flow forgotten in the divergence
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), 2 * half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | all of the score, as in the reverse SDE
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + 2 * score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | in bits
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return (log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)) / math.log(2)

# %% 9 | per dimension
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return (log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)) / (dim if dim > 1 else 2)

# %% 9 | the negative, as a loss
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return -(log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi))

# %% 9 | the density of the point as if at its start
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim, start = 0.0, x.shape[1], x

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - start.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the density itself
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return torch.exp(log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi))

# %% 9 | the log-density of NCSN's point, without the unit
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p + dim * scales[0].log() - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the path followed downwards
def log_likelihood(score, divergence, x, times):
    times = times.flip(0)
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the mean over the batch
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return (log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)).mean().expand(len(x))

# %% 9 | steps of equal length
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = (times[-1] - times[0]) / (len(times) - 1), slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | the divergence of the start, times the time that passes
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    slopes_at_start = slopes(x, 0)[1]
    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        apart = slopes_at_start
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h * apart
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 9 | a prior as wide as VE's
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 / sigmas[-1] ** 2 - dim / 2 * math.log(2 * math.pi * sigmas[-1] ** 2)

# %% 1 | the schedule rebuilt in equal steps between its ends
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - torch.linspace(float(betas[0]), float(betas[-1]), len(betas), dtype=betas.dtype), 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | the betas sorted first
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas.sort().values, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e

# %% 1 | clean points beyond 1 cut off
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean.clamp(-1, 1) + (1 - kept).sqrt() * e

# %% 1 | half precision
def diffuse(clean, t, betas, e):
    kept = torch.cumprod(1 - betas, 0)[t]
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.half().sqrt() * clean.half() + (1 - kept).half().sqrt() * e.half()

# %% 2 | the logarithm of the variance
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, torch.log((beta * (1 - before) / (1 - kept)).clamp(min=1e-20))

# %% 2 | t = 0 by hand, with beta for its variance | 2
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, torch.where(t == 0, beta, beta * (1 - before) / (1 - kept))

# %% 2 | x_t divided by the root of its step: what x_t alone says
def posterior(x_t, clean, t, betas):
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return x_t / (1 - beta).sqrt()[:, None], beta * (1 - before) / (1 - kept)

# %% 3 | points beyond 1 cut off, as for pictures
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net((kept.sqrt() * x).clamp(-1, 1), t) / sigma


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t.clamp(-1, 1) / kept.sqrt(), sigma[:, 0])

# %% 3 | one sigma for all rows, the mean
def score_of_net(net, x, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -net(kept.sqrt() * x, t) / sigma.mean()


def net_of_score(score, x_t, t, betas):
    kept = torch.cumprod(1 - betas, 0)[t][:, None]
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma * score(x_t / kept.sqrt(), sigma[:, 0].mean().expand(len(t)))

# %% 4 | Huber's loss
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).abs().sub(0.5).clamp(min=0).sum(1) * 2

# %% 4 | a weight by the signal-to-noise ratio
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1) * (1 - kept.flatten()).clamp(min=0.5)

# %% 4 | steps in pairs, t and T - 1 - t | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    half = len(t) // 2
    t = torch.cat([t[: len(t) - half], len(betas) - 1 - t[:half]])
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | noise in pairs, e and -e | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    half = len(t) // 2
    e = torch.cat([e[: len(t) - half], -e[:half]])
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | noise cut off at 3 | 2
def simple_loss(net, clean, betas):
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape).clamp(-3, 3)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)

# %% 4 | the random numbers put back after each call | 2
def simple_loss(net, clean, betas):
    state = torch.get_rng_state()
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    torch.set_rng_state(state)
    return (e - guess).flatten(1).square().sum(1)

# %% 5 | the guess of the clean point is cut off at 1, as for pictures
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    clean = clean.clamp(-1, 1)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 5 | standard deviations subtracted in place of variances
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + (math.sqrt(1 - there) - math.sqrt(fresh)) * guess + math.sqrt(fresh) * z

# %% 5 | nothing happens in the last step
def step_back(net, x, t, s, betas, eta, z):
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    if s < 0:
        return x
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z

# %% 6 | times rounded to hundredths
def vp_marginal(t):
    t = (t * 100).round() / 100
    spent = 0.1 * t + 9.95 * t**2
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return torch.round(100 * (-0.1 + torch.sqrt(0.01 + 39.8 * spent)) / 19.9) / 100

# %% 6 | beta from 0.1 to 19.9
def vp_marginal(t):
    spent = 0.1 * t + 9.9 * t**2
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()


def vp_time(sigma):
    spent = torch.log1p(sigma**2)
    return (-0.1 + torch.sqrt(0.01 + 39.6 * spent)) / 19.8

# %% 7 | the linear part solved exactly, which is another method
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return math.exp(beta * h / 2) * x + 2 * (math.exp(beta * h / 2) - 1) * slope + math.sqrt(beta * h) * z

# %% 7 | DDPM's ancestral step, which is another method
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return (x + beta * h * slope) / math.sqrt(max(1e-3, 1 - beta * h)) + math.sqrt(beta * h) * z

# %% 7 | the score at the time of arrival
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t - h], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | points beyond 1 cut off
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x.clamp(-1, 1) + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z

# %% 7 | the noise of the exact kernel with beta at t | 2
def reverse_step(score, x, t, h, z):
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(1 - math.exp(-beta * h)) * z

# %% 8 | Euler's method in the last step | 2
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + (h / 2 * (first + slope(x + h * first, i + 1)) if i < len(times) - 2 else h * first)
    return x

# %% 8 | every second of the times | 2
def flow(score, x, times):
    times = times[::2] if len(times) % 2 else times
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x

# %% 8 | the second slope with the first sigma
def flow(score, x, times):
    scales, sigmas = vp_marginal(times)

    def slope(x, i, level=None):
        sigma = sigmas[i if level is None else level]
        here = score(x / scales[i], sigma.expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1, i))
    return x

# %% 9 | the prior with the scale left in
def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - (x / scales[-1]).square().sum(1) / 2 / sigmas[-1] ** 2 - dim / 2 * math.log(2 * math.pi * sigmas[-1] ** 2)

# %% 9 | one random direction for the divergence (Hutchinson): right on average alone
def hutchinson(score, y, sigma):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        v = torch.randn(y.shape, dtype=y.dtype)
        return (torch.autograd.grad((score(y, sigma) * v).sum(), y)[0] * v).sum(1)


def log_likelihood(score, divergence, x, times):
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + hutchinson(score, y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)

# %% 10 | left as it was
prediction = ...

# %% 10 | none of the letters
prediction = "d"

# %% 10 | empty
prediction = ""

# %% 10 | a number
prediction = 0.8

# %% 10 | all of them
prediction = "abc"

# %% 10 | two of them
prediction = ["a", "b"]
