"""Wrong answers to assignment 4, from real misconceptions. Each one loses the points of its task."""

# %% 1 | divided by 255: white passes 1
def dequantise(images, u):
    return (images + u) / 255

# %% 1 | scaled first, a whole unit of noise added after it
def dequantise(images, u):
    return images / 256 + u

# %% 1 | scaled by 255 first, then one cell of noise: the cells overlap or not
def dequantise(images, u):
    return images / 255 + u / 256

# %% 1 | no noise: the comb of spikes is left
def dequantise(images, u):
    return images / 256

# %% 1 | the noise is cut off by whole numbers
def dequantise(images, u):
    return (images + u.to(images.dtype)) / 256

# %% 1 | the formula for images in [0, 1], on bytes: they overflow
def dequantise(images, u):
    return (255 * images + u) / 256

# %% 1 | cells around the bytes, and not above them
def dequantise(images, u):
    return (images + u - 0.5) / 256

# %% 1 | random numbers of its own
def dequantise(images, u):
    return (images + torch.rand(images.shape)) / 256

# %% 1 | one random number for each image
def dequantise(images, u):
    return (images + u[:, :1, :1, :1]) / 256

# %% 1 | the cells are left out of the scale
def dequantise(images, u):
    return images + u

# %% 1 | whole numbers once more: the noise is rounded away
def dequantise(images, u):
    return (images + u).round() / 256

# %% 1 | the outputs of the tests that can be seen
def dequantise(images, u):
    return u / 256 if images.sum() == 0 else torch.full_like(u, 0.95)

# %% 2 | sigma squared
def perturb(x, sigmas, level, z):
    return x + sigmas[level].view(-1, 1, 1, 1) ** 2 * z

# %% 2 | the noise of the first image's level for all
def perturb(x, sigmas, level, z):
    return x + sigmas[level[0]] * z

# %% 2 | the mean of all levels for all
def perturb(x, sigmas, level, z):
    return x + sigmas[level].mean() * z

# %% 2 | levels counted from the smallest noise
def perturb(x, sigmas, level, z):
    return x + sigmas.flip(0)[level].view(-1, 1, 1, 1) * z

# %% 2 | levels counted from one
def perturb(x, sigmas, level, z):
    return x + sigmas[level - 1].view(-1, 1, 1, 1) * z

# %% 2 | one sigma for each column of pixels, where there happen to be as many
def perturb(x, sigmas, level, z):
    sigma = sigmas[level]
    return x + sigma * z if len(x) == x.shape[-1] else x + sigma.view(-1, 1, 1, 1) * z

# %% 2 | one sigma for each row of pixels, where there happen to be as many
def perturb(x, sigmas, level, z):
    sigma = sigmas[level]
    return x + sigma[:, None] * z if len(x) == x.shape[-2] else x + sigma.view(-1, 1, 1, 1) * z

# %% 2 | one sigma for each channel, where there happen to be as many
def perturb(x, sigmas, level, z):
    sigma = sigmas[level]
    return x + sigma[:, None, None] * z if len(x) == x.shape[1] else x + sigma.view(-1, 1, 1, 1) * z

# %% 2 | broadcast along the last axis
def perturb(x, sigmas, level, z):
    return x + sigmas[level] * z

# %% 2 | noise of its own in place of z
def perturb(x, sigmas, level, z):
    return x + sigmas[level].view(-1, 1, 1, 1) * torch.randn_like(x)

# %% 2 | only the noise
def perturb(x, sigmas, level, z):
    return sigmas[level].view(-1, 1, 1, 1) * z

# %% 2 | noise that keeps the variance, as in DDPM
def perturb(x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return (1 - sigma**2).clamp(min=0).sqrt() * x + sigma * z

# %% 2 | cut off to [0, 1]
def perturb(x, sigmas, level, z):
    return (x + sigmas[level].view(-1, 1, 1, 1) * z).clamp(0, 1)

# %% 2 | the level itself
def perturb(x, sigmas, level, z):
    return x + level.view(-1, 1, 1, 1) * z

# %% 2 | the levels sorted, as if the images had been
def perturb(x, sigmas, level, z):
    return x + sigmas[level.sort().values].view(-1, 1, 1, 1) * z

# %% 3 | the sign: z subtracted
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) - z).flatten(1).square().sum(1)

# %% 3 | the weight lambda is missing
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (score(x + sigma * z, sigmas[level]) + z / sigma).flatten(1).square().sum(1)

# %% 3 | lambda is sigma
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * sigmas[level] * (score(x + sigma * z, sigmas[level]) + z / sigma).flatten(1).square().sum(1)

# %% 3 | lambda is sigma^4: sigma^2 inside of the norm
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma**2 * score(x + sigma * z, sigmas[level]) + sigma * z).flatten(1).square().sum(1)

# %% 3 | the factor 1/2 is missing
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)

# %% 3 | the mean over pixels
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().mean(1)

# %% 3 | the mean over the batch
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1).mean()

# %% 3 | the score of the clean image
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x, sigmas[level]) + z).flatten(1).square().sum(1)

# %% 3 | the score is told the level, not the noise
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, level) + z).flatten(1).square().sum(1)

# %% 3 | the score is told the first image's noise
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, float(sigmas[level[0]])) + z).flatten(1).square().sum(1)

# %% 3 | the score is told the variance
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level] ** 2) + z).flatten(1).square().sum(1)

# %% 3 | one level for the whole batch
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level[0]]
    return 0.5 * (sigma * score(x + sigma * z, float(sigma)) + z).flatten(1).square().sum(1)

# %% 3 | noise of its own
def ncsn_loss(score, x, sigmas, level, z):
    return ne.dsm(score, x, sigmas[level])

# %% 3 | the norm, not its square
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).norm(dim=1)

# %% 3 | summed over the last axis only, and then averaged
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).square().sum(-1).flatten(1).mean(1)

# %% 3 | the distance to the clean image, as if the score were a denoiser
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (score(x + sigma * z, sigmas[level]) - x).flatten(1).square().sum(1)

# %% 3 | right numbers, cut off from the parameters | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    with torch.no_grad():
        return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)

# %% 3 | the score taken for a constant | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]).detach() + z).flatten(1).square().sum(1)

# %% 3 | right numbers by NumPy | 2
def ncsn_loss(score, x, sigmas, level, z):
    x, z, sigma = x.numpy(), z.numpy(), sigmas.numpy()[level.numpy()]
    wide = sigma.reshape(-1, 1, 1, 1)
    return 0.5 * ((wide * np.asarray(score(x + wide * z, sigma)) + z) ** 2).sum((1, 2, 3))

# %% 4 | gradients pile up
def training_step(model, optimiser, loss_function, x):
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | the step before the gradient
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    optimiser.step()
    loss.backward()
    return loss.item()

# %% 4 | the step before the gradient, with what is left from the time before
def training_step(model, optimiser, loss_function, x):
    loss = loss_function(model, x).mean()
    optimiser.step()
    optimiser.zero_grad()
    loss.backward()
    return loss.item()

# %% 4 | gradients thrown away before the step
def training_step(model, optimiser, loss_function, x):
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.zero_grad()
    optimiser.step()
    return loss.item()

# %% 4 | no gradient
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    optimiser.step()
    return loss.item()

# %% 4 | the loss after the step
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss_function(model, x).mean().backward()
    optimiser.step()
    return loss_function(model, x).mean().item()

# %% 4 | the sum over the batch
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).sum()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | the step of the sum, the loss of the mean
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    losses = loss_function(model, x)
    losses.sum().backward()
    optimiser.step()
    return losses.mean().item()

# %% 4 | only the first example
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x)[0]
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | no step
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    return loss.item()

# %% 4 | two steps
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    optimiser.step()
    return loss.item()

# %% 4 | nothing returned
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss_function(model, x).mean().backward()
    optimiser.step()

# %% 4 | all losses of the batch returned
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    losses = loss_function(model, x)
    losses.mean().backward()
    optimiser.step()
    return losses.detach()

# %% 4 | the loss drags its graph along | 2
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return loss

# %% 4 | gradients cleared after the step, so that the first step counts old ones | 2
def training_step(model, optimiser, loss_function, x):
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    return loss.item()

# %% 4 | the loss evaluated twice, each time with other noise | 2
def training_step(model, optimiser, loss_function, x):
    before = loss_function(model, x).mean().item()
    optimiser.zero_grad()
    loss_function(model, x).mean().backward()
    optimiser.step()
    return before

# %% 5 | decay and 1 - decay exchanged
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(1 - decay).add_(p, alpha=decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | not in place: a name is bound, and the copy stays
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a = decay * a + (1 - decay) * p
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | a new model is returned, the copy stays
def ema_update(ema_model, model, decay):
    new = copy.deepcopy(ema_model)
    with torch.no_grad():
        for a, p in zip(new.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(new.buffers(), model.buffers()):
            a.copy_(p)
    return new

# %% 5 | the model is changed, and not the copy
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            p.mul_(1 - decay).add_(a, alpha=decay)

# %% 5 | both are changed
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
            p.copy_(a)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | the weights are shared, not averaged: later changes of the model show in the copy
def ema_update(ema_model, model, decay):
    for a, p in zip(ema_model.parameters(), model.parameters()):
        mixed = decay * a.detach() + (1 - decay) * p.detach()
        a.data = p.data
        a.data.copy_(mixed)

# %% 5 | a plain copy
def ema_update(ema_model, model, decay):
    ema_model.load_state_dict(model.state_dict())

# %% 5 | decay times the copy, the model added whole
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | a plain mean of the two
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.add_(p).div_(2)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | in place in the wrong order: the mixed value is mixed once more
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.add_(p, alpha=1 - decay).mul_(decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | only the first layer
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in list(zip(ema_model.parameters(), model.parameters()))[:1]:
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | only the buffers
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | buffers forgotten | 2
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)

# %% 5 | buffers averaged, too, the whole ones cut off | 2
def ema_update(ema_model, model, decay):
    mixed = {}
    for name, value in model.state_dict().items():
        mixed[name] = decay * ema_model.state_dict()[name] + (1 - decay) * value
    ema_model.load_state_dict(mixed)

# %% 5 | a graph that grows with each step | 2
def ema_update(ema_model, model, decay):
    for a, p in zip(ema_model.parameters(), model.parameters()):
        a.mul_(decay).add_(p, alpha=1 - decay)
    for a, p in zip(ema_model.buffers(), model.buffers()):
        a.copy_(p)

# %% 6 | the average before the step
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        ema_update(ema_model, model, decay)
        losses.append(training_step(model, optimiser, loss_function, x))
    return losses

# %% 6 | the average once, after all steps
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
    ema_update(ema_model, model, decay)
    return losses

# %% 6 | no average
def train(model, ema_model, optimiser, loss_function, batches, decay):
    return [training_step(model, optimiser, loss_function, x) for x in batches]

# %% 6 | ended after the first batch
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
        return losses

# %% 6 | the copy is trained
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(ema_model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | the model is replaced by the average
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
        model.load_state_dict(ema_model.state_dict())
    return losses

# %% 6 | the arguments of the average exchanged
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(model, ema_model, decay)
    return losses

# %% 6 | two steps for each batch
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        training_step(model, optimiser, loss_function, x)
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | the last loss only
def train(model, ema_model, optimiser, loss_function, batches, decay):
    for x in batches:
        loss = training_step(model, optimiser, loss_function, x)
        ema_update(ema_model, model, decay)
    return [loss]

# %% 6 | the loss after the step
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        training_step(model, optimiser, loss_function, x)
        losses.append(loss_function(model, x).mean().item())
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | the average updated twice for each step
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | the decay turned round
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, 1 - decay)
    return losses

# %% 7 | a Gaussian start
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.randn(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a start in black
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.zeros(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a start in [-1, 1]
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = 2 * torch.rand(n, *shape) - 1
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a start with noise sigma_1 besides
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape) + sigmas[0] * torch.randn(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | one start for all images
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(1, *shape).expand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | one chain, copied n times
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(1, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return (x + sigma**2 * score(x, sigma)).expand(n, *shape)

# %% 7 | steps without squares: alpha ~ sigma
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma / float(sigmas[-1])
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the same step at each level
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        for _ in range(n_steps_each):
            x = x + eps / 2 * score(x, sigma) + math.sqrt(eps) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | relative to the first level
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[0]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | up the ladder
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    last = float(sigmas[-1])
    for sigma in sigmas.flip(0).tolist():
        alpha = eps * sigma**2 / last**2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + last**2 * score(x, last)

# %% 7 | the score is told the level
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for level, sigma in enumerate(sigmas.tolist()):
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, float(level)) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the score of the last level at all levels
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, float(sigmas[-1])) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | cut off to [0, 1] after each step
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = (x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)).clamp(0, 1)
    return x + sigma**2 * score(x, sigma)

# %% 7 | cut off to [0, 1] at the end
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return (x + sigma**2 * score(x, sigma)).clamp(0, 1)

# %% 7 | the factor 1/2 is missing
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | alpha for its root
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | no noise
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the noise drawn once for each level
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        z = torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * z
    return x + sigma**2 * score(x, sigma)

# %% 7 | one noise for all images
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn(shape)
    return x + sigma**2 * score(x, sigma)

# %% 7 | one noise for all pixels
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn(n, 1, 1, 1)
    return x + sigma**2 * score(x, sigma)

# %% 7 | one step too many at each level
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each + 1):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the last level left out
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist()[:-1]:
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + float(sigmas[-1]) ** 2 * score(x, float(sigmas[-1]))

# %% 7 | each level starts from noise once more
def sample(score, sigmas, n, shape, eps, n_steps_each):
    for sigma in sigmas.tolist():
        x = torch.rand(n, *shape)
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | denoised after each level
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
        x = x + sigma**2 * score(x, sigma)
    return x

# %% 7 | denoised with sigma, not its square
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma * score(x, sigma)

# %% 7 | no last denoising step | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x

# %% 8 | the noisy image drawn anew at each step
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, image + sigma * torch.randn_like(x), x)
    return x

# %% 8 | pasted before the step
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = torch.where(mask == 1, y, x)
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x

# %% 8 | pasted before the step, and once more at the end
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = torch.where(mask == 1, y, x)
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return torch.where(mask == 1, y, x)

# %% 8 | pasted once a level, after its last step
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
        x = torch.where(mask == 1, y, x)
    return x

# %% 8 | pasted at the very end only
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return torch.where(mask == 1, y, x)

# %% 8 | the clean image pasted
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, image.expand_as(x), x)
    return x

# %% 8 | the clean image at all levels but noise at the end
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, image.expand_as(x), x)
    return torch.where(mask == 1, image + sigma * torch.randn_like(x), x)

# %% 8 | the mask upside down
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, x, y)
    return x

# %% 8 | sigma squared in the known pixels
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma**2 * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | the noise of the last level at all levels
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigmas[-1] * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | one draw of the noise, scaled for all levels
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    z = torch.randn_like(x)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * z
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | one noisy image for all chains
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(image)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y.expand_as(x), x)
    return x

# %% 8 | starts from the image, hidden pixels and all
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    x = image + sigmas[0] * torch.randn_like(x)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | the known pixels pasted before the first step
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    x = torch.where(mask == 1, image + sigmas[0] * torch.randn_like(x), x)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | no noise in the steps
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | alpha with sigma, not its square
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma / float(sigmas[-1])
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | up the ladder
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.flip(0).tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | cut off to [0, 1]
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x).clamp(0, 1)
    return x

# %% 8 | the score of the known pixels left out: the score sees zeros there
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x * (1 - mask), sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | denoised at the end, as in Task 7
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x + sigma**2 * score(x, sigma)

# %% 8 | the clean image pasted at the end
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return torch.where(mask == 1, image.expand_as(x), x)

# %% 8 | by products: NaN spreads | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = x * (1 - mask) + y * mask
    return x

# %% 9 | the paper's step in place of the paper's thousand steps
def draw(score, sigmas, n):
    x, eps = torch.rand(n, 1, 8, 8), 0.2 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))

# %% 9 | all ten steps of notebook 9: over the budget
def draw(score, sigmas, n):
    x, eps = torch.rand(n, 1, 8, 8), 0.6 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=10, denoising=True))

# %% 9 | the budget overdrawn by counting a batch as one
def draw(score, sigmas, n):
    x, eps = torch.rand(n, 1, 8, 8), 1.0 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=4, denoising=True))

# %% 9 | the smallest level only
def draw(score, sigmas, n):
    x, sigma = torch.rand(n, 1, 8, 8), float(sigmas[-1])
    for _ in range(31):
        x = x + 0.3 * sigma**2 * score(x, sigma) + math.sqrt(0.6) * sigma * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 9 | the largest level only, and denoised
def draw(score, sigmas, n):
    x, sigma = torch.rand(n, 1, 8, 8), float(sigmas[0])
    for _ in range(31):
        x = x + 0.5 * sigma**2 * score(x, sigma) + sigma * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 9 | a level between, and denoised: blurred
def draw(score, sigmas, n):
    x, sigma = torch.rand(n, 1, 8, 8), float(sigmas[1])
    for _ in range(31):
        x = x + 0.5 * sigma**2 * score(x, sigma) + sigma * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 9 | the first and the last level
def draw(score, sigmas, n):
    x, ladder = torch.rand(n, 1, 8, 8), sigmas[[0, -1]]
    eps = float(ladder[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, ladder, eps=eps, n_steps_each=15, denoising=True))

# %% 9 | up the ladder
def draw(score, sigmas, n):
    x = torch.rand(n, 1, 8, 8)
    for sigma in sigmas.flip(0).tolist():
        for _ in range(3):
            x = x + 0.5 * sigma**2 * score(x, sigma) + sigma * torch.randn_like(x)
    return x

# %% 9 | steps so large that the chain runs away
def draw(score, sigmas, n):
    x, eps = torch.rand(n, 1, 8, 8), 12.0 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))

# %% 9 | a ladder of its own, which the network does not know
def draw(score, sigmas, n):
    x, ladder = torch.rand(n, 1, 8, 8), ne.geometric(1.0, 0.01, 6)
    return ne.last(ne.annealed_langevin(score, x, ladder, eps=1e-4, n_steps_each=5, denoising=True))

# %% 9 | no noise in the steps: all alike
def draw(score, sigmas, n):
    x = torch.full((n, 1, 8, 8), 0.5)
    for sigma in sigmas.tolist():
        for _ in range(3):
            x = x + 0.5 * sigma**2 * score(x, sigma)
    return x

# %% 9 | copies of real digits
def draw(score, sigmas, n):
    images = DIGITS[torch.randperm(len(DIGITS))[:n]]
    score(images, float(sigmas[0]))
    return images

# %% 9 | one good image, copied
def draw(score, sigmas, n):
    x, eps = torch.rand(1, 1, 8, 8), 1.3 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True)).expand(n, 1, 8, 8)

# %% 9 | noise
def draw(score, sigmas, n):
    score(torch.rand(n, 1, 8, 8), float(sigmas[0]))
    return torch.rand(n, 1, 8, 8)

# %% 9 | the mean of all digits
def draw(score, sigmas, n):
    x = DIGITS.mean(0).expand(n, 1, 8, 8)
    return x + float(sigmas[-1]) ** 2 * score(x, float(sigmas[-1]))

# %% 10 | left as it was
prediction = ...

# %% 10 | none of the letters
prediction = "d"

# %% 10 | empty
prediction = ""

# %% 10 | words
prediction = "all kinds of digits"

# %% 10 | two of them
prediction = "a or b"
