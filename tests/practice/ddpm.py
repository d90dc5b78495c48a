"""Answers to the exercises of notebook 16."""

# %% noised | right: NumPy
def my_noised(x, betas, t, e):
    kept = np.cumprod(1 - betas.numpy())[t.numpy()][:, None]
    return np.sqrt(kept) * x.numpy() + np.sqrt(1 - kept) * e.numpy()

# %% noised | right: an example at a time, by logarithms
def my_noised(x, betas, t, e):
    rows = []
    for row, i, noise in zip(x, t.tolist(), e):
        log_kept = torch.log1p(-betas[: i + 1]).sum()
        rows.append((log_kept / 2).exp() * row + (1 - log_kept.exp()).sqrt() * noise)
    return torch.stack(rows)

# %% noised | right: the chain's own slope and variance, step by step
def my_noised(x, betas, t, e):
    out = torch.zeros_like(x)
    for b, i in enumerate(t):
        slope, variance = 1.0, 0.0
        for beta in betas[: int(i) + 1].tolist():
            slope, variance = slope * math.sqrt(1 - beta), (1 - beta) * variance + beta
        out[b] = slope * x[b] + math.sqrt(variance) * e[b]
    return out

# %% noised | wrong: one step of the chain | beta for the product
def my_noised(x, betas, t, e):
    return (1 - betas[t])[:, None].sqrt() * x + betas[t][:, None].sqrt() * e

# %% noised | wrong: last factor is missing | range(t)
def my_noised(x, betas, t, e):
    kept = torch.stack([torch.prod(1 - betas[:i]) for i in t.tolist()])[:, None]
    return kept.sqrt() * x + (1 - kept).sqrt() * e

# %% noised | wrong: square roots are missing | a mixture of x and e
def my_noised(x, betas, t, e):
    return torch.lerp(e, x, (1 - betas).cumprod(0)[t][:, None])

# %% noised | wrong: do not add up to the sum | variances added up
def my_noised(x, betas, t, e):
    kept = (1 - betas).cumprod(0)[t][:, None]
    return kept.sqrt() * x + betas.cumsum(0)[t][:, None].sqrt() * e

# %% noised | wrong: root of the noise is missing | variance for standard deviation
def my_noised(x, betas, t, e):
    kept = (1 - betas).cumprod(0)[t][:, None]
    return kept.sqrt() * x + (1 - kept) * e

# %% posterior | right: precisions
def my_posterior(x_t, x_0, beta, kept, before):
    precision = 1 / (1 - before) + (1 - beta) / beta
    weighted = before**0.5 * x_0 / (1 - before) + (1 - beta) ** 0.5 * x_t / beta
    return weighted / precision, 1 / precision

# %% posterior | right: a regression of x_{t-1} on x_t, given x_0
def my_posterior(x_t, x_0, beta, kept, before):
    gain = math.sqrt(1 - beta) * (1 - before) / (1 - kept)
    mean = math.sqrt(before) * x_0 + gain * (x_t - math.sqrt(kept) * x_0)
    return [mean, (1 - before) - gain * math.sqrt(1 - beta) * (1 - before)]

# %% posterior | wrong: sqrt(alpha_bar_t) stands | the root of all steps
def my_posterior(x_t, x_0, beta, kept, before):
    mean = (kept**0.5 * (1 - before) * x_t + before**0.5 * beta * x_0) / (1 - kept)
    return mean, beta * (1 - before) / (1 - kept)

# %% posterior | wrong: each other's weight | exchanged
def my_posterior(x_t, x_0, beta, kept, before):
    mean = ((1 - beta) ** 0.5 * (1 - before) * x_0 + before**0.5 * beta * x_t) / (1 - kept)
    return mean, beta * (1 - before) / (1 - kept)

# %% posterior | wrong: this is beta_t | the variance of the step forward
def my_posterior(x_t, x_0, beta, kept, before):
    return ((1 - beta) ** 0.5 * (1 - before) * x_t + before**0.5 * beta * x_0) / (1 - kept), beta

# %% posterior | wrong: standard deviation | its root
def my_posterior(x_t, x_0, beta, kept, before):
    precision = 1 / (1 - before) + (1 - beta) / beta
    mean = (before**0.5 * x_0 / (1 - before) + (1 - beta) ** 0.5 * x_t / beta) / precision
    return mean, precision**-0.5

# %% posterior | wrong: two numbers | the mean alone
def my_posterior(x_t, x_0, beta, kept, before):
    return ((1 - beta) ** 0.5 * (1 - before) * x_t + before**0.5 * beta * x_0) / (1 - kept)

# %% simple_loss | right: an example at a time
def my_loss(net, x, kept, t, e):
    losses = []
    for i in range(len(x)):
        a = kept[t[i]]
        x_t = (a.sqrt() * x[i] + (1 - a).sqrt() * e[i])[None]
        losses.append(((e[i] - net(x_t, t[i : i + 1])[0]) ** 2).sum())
    return losses

# %% simple_loss | right: through the noise level, as VE
def my_loss(net, x, kept, t, e):
    sigma = ((1 - kept[t]) / kept[t]).sqrt()[:, None]
    return torch.linalg.vector_norm(net((x + sigma * e) / (1 + sigma**2).sqrt(), t) - e, dim=-1) ** 2

# %% simple_loss | wrong: compares it with the clean | the clean image as target
def my_loss(net, x, kept, t, e):
    a = kept[t].unsqueeze(1)
    return (x - net(a.sqrt() * x + (1 - a).sqrt() * e, t)).square().sum(1)

# %% simple_loss | wrong: DDPM's net sees x_t | variance exploding
def my_loss(net, x, kept, t, e):
    sigma = ((1 - kept[t]) / kept[t]).sqrt()[:, None]
    return (e - net(x + sigma * e, t)).square().sum(1)

# %% simple_loss | wrong: of each example | mse_loss
def my_loss(net, x, kept, t, e):
    a = kept[t].unsqueeze(1)
    return torch.nn.functional.mse_loss(net(a.sqrt() * x + (1 - a).sqrt() * e, t), e)

# %% simple_loss | wrong: score's target | divided by the noise
def my_loss(net, x, kept, t, e):
    a = kept[t].unsqueeze(1)
    s = -net(a.sqrt() * x + (1 - a).sqrt() * e, t) / (1 - a).sqrt()
    return (s + e / (1 - a).sqrt()).square().sum(1)

# %% ddim_step | right: in sigma, NumPy
def my_step(x, e, kept, before, eta, z):
    sigma, lower = np.sqrt((1 - kept) / kept), np.sqrt((1 - before) / before)
    fresh = eta * lower * np.sqrt(1 - (lower / sigma) ** 2)
    there = x.numpy() / np.sqrt(kept) + (np.sqrt(lower**2 - fresh**2) - sigma) * e.numpy() + fresh * z.numpy()
    return there * np.sqrt(before)

# %% ddim_step | right: coefficients of x, e and z
def my_step(x, e, kept, before, eta, z):
    sd = eta * ((1 - before) / (1 - kept)) ** 0.5 * (1 - kept / before) ** 0.5
    ratio = (before / kept) ** 0.5
    return ratio * x + ((1 - before - sd**2) ** 0.5 - ratio * (1 - kept) ** 0.5) * e + sd * z

# %% ddim_step | wrong: all of the noise stays | fresh noise on top
def my_step(x, e, kept, before, eta, z):
    sd = eta * ((1 - before) / (1 - kept) * (1 - kept / before)) ** 0.5
    clean = (x - (1 - kept) ** 0.5 * e) / kept**0.5
    return before**0.5 * clean + (1 - before) ** 0.5 * e + sd * z

# %% ddim_step | wrong: x_t itself stands | the clean image forgotten
def my_step(x, e, kept, before, eta, z):
    variance = eta**2 * (1 - before) / (1 - kept) * (1 - kept / before)
    return before**0.5 * x + (1 - before - variance) ** 0.5 * e + variance**0.5 * z

# %% ddim_step | wrong: eta multiplies the standard deviation | eta in the variance
def my_step(x, e, kept, before, eta, z):
    variance = eta * (1 - before) / (1 - kept) * (1 - kept / before)
    clean = (x - (1 - kept) ** 0.5 * e) / kept**0.5
    return before**0.5 * clean + (1 - before - variance) ** 0.5 * e + variance**0.5 * z

# %% ddim_step | wrong: division is missing | the clean image too small
def my_step(x, e, kept, before, eta, z):
    variance = eta**2 * (1 - before) / (1 - kept) * (1 - kept / before)
    return before**0.5 * (x - (1 - kept) ** 0.5 * e) + (1 - before - variance) ** 0.5 * e + variance**0.5 * z
