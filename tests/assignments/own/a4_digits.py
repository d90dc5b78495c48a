# Notebooks of learners who think otherwise; see harness.py.

# %% 2 | the noise level of each image comes back, too
def perturb(x, sigmas, level, z, with_sigma=False):
    sigma = sigmas[level][:, None, None, None]
    noisy = x + sigma * z
    return (noisy, sigma) if with_sigma else noisy

# %% 3 | the noise level of each image comes back, too
def ncsn_loss(score, x, sigmas, level, z):
    noisy, sigma = perturb(x, sigmas, level, z, with_sigma=True)
    return ((sigma * score(noisy, sigmas[level]) + z) ** 2).flatten(1).sum(1) / 2

# %% 4 | a step with clipped gradients, and an average with a warm-up, as options
def training_step(model, optimiser, loss_function, x, clip=None):
    optimiser.zero_grad(set_to_none=True)
    loss = loss_function(model, x).mean()
    loss.backward()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return loss.detach()

# %% 5 | a step with clipped gradients, and an average with a warm-up, as options
@torch.no_grad()
def ema_update(ema_model, model, decay, step=None):
    decay = decay if step is None else min(decay, (1 + step) / (10 + step))
    ours, theirs = ema_model.state_dict(), model.state_dict()
    parameters = dict(model.named_parameters())
    for name in ours:
        if name in parameters:
            ours[name].copy_(decay * ours[name] + (1 - decay) * theirs[name])
        else:
            ours[name].copy_(theirs[name])

# %% 6 | a step with clipped gradients, and an average with a warm-up, as options
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(float(training_step(model, optimiser, loss_function, x, clip=1e9)))
        ema_update(ema_model, model, decay, step=10**9)
    return losses

# %% 2 | a helper that makes the noise from levels that are numbers | 0
def perturb(x, sigma, z):
    return x + sigma.reshape(-1, 1, 1, 1) * z

# %% 3 | a helper that makes the noise from levels that are numbers
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level]
    off = sigma.reshape(-1, 1, 1, 1) * score(perturb(x, sigma, z), sigma) + z
    return 0.5 * off.square().sum((1, 2, 3))

# %% 4 | a step that does nothing, and an average that raises | 0
def training_step(model, optimiser, loss_function, x):
    return 0.0

# %% 5 | a step that does nothing, and an average that raises | 0
def ema_update(ema_model, model, decay):
    raise KeyError(decay)

# %% 6 | a step that does nothing, and an average that raises
history = []

def train(model, ema_model, optimiser, loss_function, batches, decay):
    for x in batches:
        history.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    losses = list(history)
    history.clear()
    return losses

# %% 0 | double precision
torch.set_default_dtype(torch.float64)

# %% 0 | deterministic, with anomaly detection, and names of its own
torch.use_deterministic_algorithms(True)
torch.autograd.set_detect_anomaly(True)
load = copy = nearest = None
