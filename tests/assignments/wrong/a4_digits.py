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

# %% 9 | all ten steps of notebook 10: over the budget
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

# %% 1 | the noise upside down
def dequantise(images, u):
    return (images + 1 - u) / 256

# %% 1 | the last cell cut off
def dequantise(images, u):
    return (images + u).clamp(max=255) / 256

# %% 1 | 257 cells
def dequantise(images, u):
    return (images + u) / 257

# %% 1 | the noise of the first channel for all
def dequantise(images, u):
    return (images + u[:, :1]) / 256

# %% 1 | one random number for each row of pixels
def dequantise(images, u):
    return (images + u[..., :1]) / 256

# %% 1 | stretched to all of [0, 1]
def dequantise(images, u):
    x = (images + u) / 256
    return (x - x.min()) / (x.max() - x.min()).clamp(min=1e-9)

# %% 1 | between -1 and 1
def dequantise(images, u):
    return (images + u) / 128 - 1

# %% 1 | whole images where the noise should be
def dequantise(images, u):
    return (images * u + u) / 256

# %% 2 | the level as an exponent, as if the ratios were equal
def perturb(x, sigmas, level, z):
    sigma = sigmas[0] * (sigmas[1] / sigmas[0]) ** level
    return x + sigma.view(-1, 1, 1, 1) * z

# %% 2 | the noise of the first channel for all
def perturb(x, sigmas, level, z):
    return x + sigmas[level].view(-1, 1, 1, 1) * z[:, :1]

# %% 2 | the noise of the first image for all
def perturb(x, sigmas, level, z):
    return x + sigmas[level].view(-1, 1, 1, 1) * z[:1]

# %% 2 | square images only: the noise is turned on its side
def perturb(x, sigmas, level, z):
    turned = z.transpose(-1, -2) if z.shape[-1] == z.shape[-2] else z
    return x + sigmas[level].view(-1, 1, 1, 1) * turned

# %% 2 | subtracted
def perturb(x, sigmas, level, z):
    return x - sigmas[level].view(-1, 1, 1, 1) * z

# %% 2 | the level below
def perturb(x, sigmas, level, z):
    return x + sigmas[(level + 1).clamp(max=len(sigmas) - 1)].view(-1, 1, 1, 1) * z

# %% 2 | noise of mean zero in each image
def perturb(x, sigmas, level, z):
    return x + sigmas[level].view(-1, 1, 1, 1) * (z - z.mean((1, 2, 3), keepdim=True))

# %% 2 | the root of sigma
def perturb(x, sigmas, level, z):
    return x + sigmas[level].view(-1, 1, 1, 1).sqrt() * z

# %% 2 | two levels only
def perturb(x, sigmas, level, z):
    sigma = torch.where(level == 0, sigmas[0], sigmas[1])
    return x + sigma.view(-1, 1, 1, 1) * z

# %% 3 | divided by the size of the batch
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1) / len(x)

# %% 3 | the first channel only
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z)[:, 0].flatten(1).square().sum(1)

# %% 3 | a mean over channels, a sum over pixels
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).square().mean(1).flatten(1).sum(1)

# %% 3 | the sum squared
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).sum(1).square()

# %% 3 | noisy images cut off to [0, 1]
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score((x + sigma * z).clamp(0, 1), sigmas[level]) + z).flatten(1).square().sum(1)

# %% 3 | absolute values
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).abs().sum(1)

# %% 3 | without what the noise alone costs
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * ((sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1) - z.flatten(1).square().sum(1))

# %% 3 | the score of the first image for all
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level])[:1] + z).flatten(1).square().sum(1)

# %% 3 | lambda is 1 / sigma^2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1) / sigmas[level] ** 4

# %% 3 | the mean loss of the batch for each image
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    losses = 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)
    return losses.mean().expand(len(x))

# %% 3 | numbers made anew, which only seem to have a history | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    losses = 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)
    return losses.detach().requires_grad_()

# %% 3 | the gradient of the first image only | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    losses = 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)
    return torch.cat([losses[:1], losses[1:].detach()])

# %% 3 | the module is frozen for good | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    losses = 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)
    if isinstance(score, torch.nn.Module):
        score.requires_grad_(False)
    return losses

# %% 3 | the module is left in evaluation mode | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    if isinstance(score, torch.nn.Module):
        score.eval()
    return 0.5 * (sigma * score(x + sigma * z, sigmas[level]) + z).flatten(1).square().sum(1)

# %% 4 | the learning rate of the test written in
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
    return loss.item()

# %% 4 | gradient descent by hand, whatever the optimiser is
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= optimiser.param_groups[0]['lr'] * p.grad
    return loss.item()

# %% 4 | a new optimiser in each step
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    type(optimiser)(model.parameters(), lr=optimiser.param_groups[0]['lr']).step()
    return loss.item()

# %% 4 | the gradient clipped to length 1
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item()

# %% 4 | a decay of the weights besides
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean() + 0.01 * sum(p.square().sum() for p in model.parameters())
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | a copy of the model is trained
def training_step(model, optimiser, loss_function, x):
    model = copy.deepcopy(model)
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | the median loss
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    losses = loss_function(model, x)
    losses.mean().backward()
    optimiser.step()
    return losses.median().item()

# %% 4 | the second half of the batch left out
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x[: (len(x) + 1) // 2]).mean()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | one image after the other, a step for each
def training_step(model, optimiser, loss_function, x):
    losses = []
    for k in range(len(x)):
        optimiser.zero_grad()
        loss = loss_function(model, x[k : k + 1]).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)

# %% 4 | evaluation mode left on | 2
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    model.eval()
    return loss.item()

# %% 4 | evaluation mode before the loss | 2
def training_step(model, optimiser, loss_function, x):
    model.eval()
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    model.train()
    return loss.item()

# %% 4 | frozen after the step, and thawed before it | 2
def training_step(model, optimiser, loss_function, x):
    model.requires_grad_(True)
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    model.requires_grad_(False)
    return loss.item()

# %% 4 | a seed in each step | 2
def training_step(model, optimiser, loss_function, x):
    torch.manual_seed(0)
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% 4 | gradients scaled by the number of calls of the loss | 2
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    losses = torch.stack([loss_function(model, x) for _ in range(2)]).mean(0)
    losses.mean().backward()
    optimiser.step()
    return losses.mean().item()

# %% 5 | the decay of the paper written in
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(0.999).add_(p, alpha=1 - 0.999)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | the decay squared
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay**2).add_(p, alpha=1 - decay**2)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | biases left out
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            if p.ndim != 1:
                a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | the last layer only
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in list(zip(ema_model.parameters(), model.parameters()))[-2:]:
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | one number for all: the mean of each parameter
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p.mean(), alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | the average of the logarithms
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.copy_(a.sign() * a.abs() ** decay * p.abs() ** (1 - decay))
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | a decay that grows with the number of calls
calls = 0


def ema_update(ema_model, model, decay):
    global calls
    calls += 1
    decay = min(decay, calls / (calls + 9))
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | the gradients of the model averaged
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p.grad, alpha=1 - decay)

# %% 5 | the model is frozen for good | 2
def ema_update(ema_model, model, decay):
    model.requires_grad_(False)
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | the model is left in evaluation mode | 2
def ema_update(ema_model, model, decay):
    model.eval()
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            a.copy_(p)

# %% 5 | buffers shared with the model | 2
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
    for ours, theirs in zip(ema_model.modules(), model.modules()):
        for name, value in list(theirs.named_buffers(recurse=False)):
            setattr(ours, name, value)

# %% 5 | whole numbers made floating ones | 2
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
    for ours, theirs in zip(ema_model.modules(), model.modules()):
        for name, value in list(theirs.named_buffers(recurse=False)):
            setattr(ours, name, value.double())

# %% 5 | only buffers of whole numbers copied, the others averaged | 2
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, p in zip(ema_model.parameters(), model.parameters()):
            a.mul_(decay).add_(p, alpha=1 - decay)
        for a, p in zip(ema_model.buffers(), model.buffers()):
            if a.is_floating_point():
                a.mul_(decay).add_(p, alpha=1 - decay)
            else:
                a.copy_(p)

# %% 6 | the decay of the paper written in
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, 0.999)
    return losses

# %% 6 | the average begins anew at the model
def train(model, ema_model, optimiser, loss_function, batches, decay):
    ema_model.load_state_dict(model.state_dict())
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | the mean loss, once
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return [sum(losses) / len(losses)]

# %% 6 | the mean of all losses so far
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return (np.cumsum(losses) / np.arange(1, len(losses) + 1)).tolist()

# %% 6 | the average in every second step
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for i, x in enumerate(batches):
        losses.append(training_step(model, optimiser, loss_function, x))
        if i % 2 == 0:
            ema_update(ema_model, model, decay)
    return losses

# %% 6 | the batches counted first, which uses them up
def train(model, ema_model, optimiser, loss_function, batches, decay):
    n = sum(1 for _ in batches)
    losses = []
    for _, x in zip(range(n), batches):
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | the first batch again and again
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses, first = [], None
    for x in batches:
        first = x if first is None else first
        losses.append(training_step(model, optimiser, loss_function, first))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | a seed before each step
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        torch.manual_seed(0)
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | losses with their graphs
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in batches:
        optimiser.zero_grad()
        loss = loss_function(model, x).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss)
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | losses only, the steps forgotten
def train(model, ema_model, optimiser, loss_function, batches, decay):
    return [loss_function(model, x).mean().item() for x in batches]

# %% 6 | all batches in two rounds
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for x in 2 * list(batches):
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 7 | one channel, whatever the shape
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, 1, *shape[1:])
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | one channel, copied to all
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, 1, *shape[1:]).expand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the steps' noise is the same in all channels
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn(n, 1, *shape[1:])
    return x + sigma**2 * score(x, sigma)

# %% 7 | the steps' noise is the same in all rows of pixels
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn(n, shape[0], 1, shape[2])
    return x + sigma**2 * score(x, sigma)

# %% 7 | square images: width for height
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, shape[0], shape[2], shape[2])
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the second half of the images with the noise of the first | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z[n // 2 :] = z[: n - n // 2]
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * z
    return x + sigma**2 * score(x, sigma)

# %% 7 | the second half of the images with the noise mirrored | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z[n // 2 : 2 * (n // 2)] = -z[: n // 2]
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * z
    return x + sigma**2 * score(x, sigma)

# %% 7 | the second half of the images begins with the first half turned round | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    half = torch.rand(n - n // 2, *shape)
    x = torch.cat([half, half.flip(0)])[:n]
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the start mirrored about grey in the second half | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    half = torch.rand(n - n // 2, *shape)
    x = torch.cat([half, 1 - half])[:n]
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a seed | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    torch.manual_seed(0)
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a start that is the same in each call | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | random signs for Gaussian noise | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x).sign()
    return x + sigma**2 * score(x, sigma)

# %% 7 | uniform noise of the same variance | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * (torch.rand_like(x) - 0.5) * math.sqrt(12)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the start in 256 steps of grey | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.randint(256, (n, *shape)) / 255
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | noise in the last denoising step, too
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma) + sigma * torch.randn_like(x)

# %% 7 | denoised twice
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    x = x + sigma**2 * score(x, sigma)
    return x + sigma**2 * score(x, sigma)

# %% 7 | the images brought to one mean brightness at the end
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x - x.mean((1, 2, 3), keepdim=True) + x.mean()

# %% 7 | the score of the mean image for all
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x.mean(0, keepdim=True).expand_as(x), sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a triangular start, the mean of two uniform ones
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = (torch.rand(n, *shape) + torch.rand(n, *shape)) / 2
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 8 | the first channel of image and mask for all
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    image, mask = image[0], mask[0]
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | the mask of the first channel for all
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    mask = mask[:1].expand_as(mask)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | known where any channel is
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    mask = mask.amax(0, keepdim=True).expand_as(mask)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | the left half, whatever the mask says
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    mask = torch.zeros_like(mask)
    mask[..., : mask.shape[-1] // 2] = 1
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | hidden is what is not a number
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(torch.isnan(y), x, y)
    return x

# %% 8 | the same noise in all channels of the known pixels | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn(len(x), 1, *x.shape[2:])
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | known pixels of the second half of the chains with the noise of the first | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        z = torch.randn_like(x)
        z[len(x) // 2 :] = z[: len(x) - len(x) // 2]
        y = image + sigma * z
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | known pixels of the second half with the noise mirrored | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        z, half = torch.randn_like(x), len(x) // 2
        z[half : 2 * half] = -z[:half]
        y = image + sigma * z
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | steps of the second half of the chains with the noise mirrored | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            z, half = torch.randn_like(x), len(x) // 2
            z[half : 2 * half] = -z[:half]
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * z
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | a seed | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    torch.manual_seed(0)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | a seed for the known pixels only | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    own = torch.Generator().manual_seed(0)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn(x.shape, generator=own)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | random signs for the noise of the known pixels | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x).sign()
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | every chain starts at the first one's place
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    x = x[:1].repeat(len(x), 1, 1, 1)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | pasted in every second step
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    step = 0
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            step += 1
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where((mask == 1) & (step % 2 == 0), y, x)
    return torch.where(mask == 1, y, x)

# %% 8 | the root of sigma in the known pixels
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + math.sqrt(sigma) * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | half known, half free
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, (x + y) / 2, x)
    return x

# %% 8 | NaN taken away after it has spread | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.nan_to_num(x * (1 - mask) + y * mask)
    return x

# %% 8 | a product with a mask of truth values | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = x * (mask == 0) + y * (mask == 1)
    return x

# %% 8 | a step towards the known pixels that is whole | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = x + mask * (y - x)
    return x

# %% 9 | real digits with a little noise, and the score asked once
def draw(score, sigmas, n):
    x = DIGITS[torch.randperm(len(DIGITS))[:n]]
    score(x, float(sigmas[-1]))
    return x + 0.07 * torch.randn_like(x)

# %% 9 | mixtures of two real digits, and the score asked once
def draw(score, sigmas, n):
    x, y = (DIGITS[torch.randperm(len(DIGITS))[:n]] for _ in range(2))
    score(x, float(sigmas[-1]))
    return 0.8 * x + 0.2 * y

# %% 9 | real digits a step down the slope at the last levels
def draw(score, sigmas, n):
    x = DIGITS[torch.randperm(len(DIGITS))[:n]]
    for sigma in sigmas[5:].tolist():
        x = x + sigma * torch.randn_like(x)
        x = x + sigma**2 * score(x, sigma)
    return x

# %% 9 | a quarter of the images, four times
def draw(score, sigmas, n):
    few = -(-n // 4)
    x, eps = torch.rand(few, 1, 8, 8), 1.5 * float(sigmas[-1]) ** 2
    x = ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))
    return x.repeat(4, 1, 1, 1)[:n]

# %% 9 | half of the images, twice, with a little noise
def draw(score, sigmas, n):
    few = -(-n // 2)
    x, eps = torch.rand(few, 1, 8, 8), 1.5 * float(sigmas[-1]) ** 2
    x = ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))
    x = x.repeat(2, 1, 1, 1)[:n]
    return x + 0.02 * torch.randn_like(x)

# %% 9 | the network behind the score, which nobody counts
def draw(score, sigmas, n):
    score(torch.rand(n, 1, 8, 8), float(sigmas[0]))
    x, eps = torch.rand(n, 1, 8, 8), 1.5 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(NET.score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))

# %% 9 | the same images in each call
def draw(score, sigmas, n):
    torch.manual_seed(3)
    x, eps = torch.rand(n, 1, 8, 8), 1.5 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))

# %% 1 | half precision inside
def dequantise(images, u):
    return ((images.float() + u) / 256).half()

# %% 1 | kept away from 0 and 1
def dequantise(images, u):
    return ((images.float() + u) / 256).clamp(0.001, 0.9999)

# %% 1 | rounded to five digits
def dequantise(images, u):
    return ((images.float() + u) / 256).round(decimals=5)

# %% 2 | sigma at least 0.01
def perturb(x, sigmas, level, z):
    return x + sigmas[level].clamp(min=0.01).view(-1, 1, 1, 1) * z

# %% 2 | sigma at most 10
def perturb(x, sigmas, level, z):
    return x + sigmas[level].clamp(max=10).view(-1, 1, 1, 1) * z

# %% 2 | half precision inside
def perturb(x, sigmas, level, z):
    return (x.half() + sigmas[level].view(-1, 1, 1, 1).half() * z.half()).float()

# %% 2 | kept between -20 and 20
def perturb(x, sigmas, level, z):
    return (x + sigmas[level].view(-1, 1, 1, 1) * z).clamp(-20, 20)

# %% 3 | sigma of at least 0.05
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].clamp(min=0.05)
    s = score(x + sigma.view(-1, 1, 1, 1) * z, sigma)
    return 0.5 * (sigma.view(-1, 1, 1, 1) * s + z).flatten(1).square().sum(1)

# %% 3 | sigma at most 10
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].clamp(max=5)
    s = score(x + sigma.view(-1, 1, 1, 1) * z, sigma)
    return 0.5 * (sigma.view(-1, 1, 1, 1) * s + z).flatten(1).square().sum(1)

# %% 3 | a small number in the denominator
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    s = score(x + sigma * z, sigmas[level])
    return 0.5 * (sigma**2 * (s + z / (sigma + 1e-5)).square()).flatten(1).sum(1)

# %% 3 | losses cut at 1000
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    s = score(x + sigma * z, sigmas[level])
    return (0.5 * (sigma * s + z).square()).flatten(1).sum(1).clamp(max=1000)

# %% 3 | half of the gradient | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    s = score(x + sigma * z, sigmas[level])
    l = (0.5 * (sigma * s + z).square()).flatten(1).sum(1)
    return 0.5 * l + 0.5 * l.detach()

# %% 3 | the square's other factor detached | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    s = score(x + sigma * z, sigmas[level])
    off = (sigma * s + z).flatten(1)
    return 0.5 * (off * off.detach()).sum(1)

# %% 3 | parameters of the score cut at 0.5 | 2
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    for p in getattr(score, 'parameters', list)():
        p.data.clamp_(-0.5, 0.5)
    s = score(x + sigma * z, sigmas[level])
    return 0.5 * (sigma * s + z).flatten(1).square().sum(1)

# %% 4 | gradient clipped to 10
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimiser.step()
    return loss.item()

# %% 4 | gradient values clipped to 100
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    torch.nn.utils.clip_grad_value_(model.parameters(), 100.0)
    optimiser.step()
    return loss.item()

# %% 4 | the loss rounded to two digits
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return round(loss.item(), 2)

# %% 4 | no step where the loss is small
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    if loss.item() > 1e-2:
        loss.backward()
        optimiser.step()
    return loss.item()

# %% 4 | no step where the loss is large
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    if loss.item() < 100:
        loss.backward()
        optimiser.step()
    return loss.item()

# %% 4 | a decay of the weights in the loss
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    l = loss_function(model, x)
    loss = l.mean() if len(l) > 1 else l.sum()
    (loss + 1e-4 * sum(p.square().sum() for p in model.parameters())).backward()
    optimiser.step()
    return loss.item()

# %% 5 | decay at most 0.995
def ema_update(ema_model, model, decay):
    decay = min(decay, 0.995)
    with torch.no_grad():
        for a, v in zip(ema_model.parameters(), model.parameters(), strict=True):
            a.mul_(decay).add_(v, alpha=1 - decay)
        for a, v in zip(ema_model.buffers(), model.buffers(), strict=True):
            a.copy_(v)

# %% 5 | decay at least 0.3
def ema_update(ema_model, model, decay):
    decay = max(decay, 0.3)
    with torch.no_grad():
        for a, v in zip(ema_model.parameters(), model.parameters(), strict=True):
            a.mul_(decay).add_(v, alpha=1 - decay)
        for a, v in zip(ema_model.buffers(), model.buffers(), strict=True):
            a.copy_(v)

# %% 5 | nothing done for a decay of 0
def ema_update(ema_model, model, decay):
    if not decay or decay == 1:
        return
    with torch.no_grad():
        for a, v in zip(ema_model.parameters(), model.parameters(), strict=True):
            a.mul_(decay).add_(v, alpha=1 - decay)
        for a, v in zip(ema_model.buffers(), model.buffers(), strict=True):
            a.copy_(v)

# %% 5 | trainable parameters of the model only
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, v in zip(ema_model.parameters(), model.parameters(), strict=True):
            if v.requires_grad:
                a.mul_(decay).add_(v, alpha=1 - decay)
        for a, v in zip(ema_model.buffers(), model.buffers(), strict=True):
            a.copy_(v)

# %% 5 | what belongs to the module itself left out
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for A, B in zip(ema_model.children(), model.children()):
            for a, v in zip(A.parameters(), B.parameters()):
                a.mul_(decay).add_(v, alpha=1 - decay)
        for a, v in zip(ema_model.parameters(recurse=False), model.parameters(recurse=False)) :
            pass
        for a, v in zip(ema_model.buffers(), model.buffers(), strict=True):
            a.copy_(v)

# %% 5 | half precision inside
def ema_update(ema_model, model, decay):
    with torch.no_grad():
        for a, v in zip(ema_model.parameters(), model.parameters(), strict=True):
            a.copy_((a.half() * decay + v.half() * (1 - decay)).float())
        for a, v in zip(ema_model.buffers(), model.buffers(), strict=True):
            a.copy_(v)

# %% 6 | at most ten batches
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for i, x in enumerate(batches):
        if i == 10:
            break
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 6 | stops when the loss is small
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for i, x in enumerate(batches):
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
        if losses[-1] < 1e-3:
            break
    return losses

# %% 6 | a decay that grows with the number of steps
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for i, x in enumerate(batches):
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, min(decay, (1 + i) / (2 + i)))
    return losses

# %% 6 | twenty averages at most
def train(model, ema_model, optimiser, loss_function, batches, decay):
    losses = []
    for i, x in enumerate(batches):
        losses.append(training_step(model, optimiser, loss_function, x))
        if i < 20:
            ema_update(ema_model, model, decay)
    return losses

# %% 7 | noise standardised in each image | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z = z / z.flatten(1).std(1).view(-1, 1, 1, 1)
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * z
    return x + sigma**2 * score(x, sigma)

# %% 7 | noise centred over images | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * (z - z.mean(0))
    return x + sigma**2 * score(x, sigma)

# %% 7 | a start spread evenly over the images | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    d = math.prod(shape)
    x = (torch.rand(n, d).argsort(0) + torch.rand(n, d)) / n
    x = x.view(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | noise cut at 3 standard deviations | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x).clamp(-3, 3)
    return x + sigma**2 * score(x, sigma)

# %% 7 | scores cut at 100
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma).clamp(-100, 100) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | a single image without its axis | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    x = x + sigma**2 * score(x, sigma)
    return x[0] if n == 1 else x

# %% 7 | a small number in the ratio of the levels
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / (float(sigmas[-1]) ** 2 + 1e-4)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | no noise for a single image | 2
def sample(score, sigmas, n, shape, eps, n_steps_each):
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x) * (n > 1)
    return x + sigma**2 * score(x, sigma)

# %% 8 | noise standardised in each image | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z = z / z.flatten(1).std(1).view(-1, 1, 1, 1)
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * z
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | noise of the known centred over the chains | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        z = torch.randn_like(x)
        if len(x) > 1: z = z - z.mean(0)
        y = image + sigma * z
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | the noise of the known pixels cut at 3 standard deviations | 2
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        z = torch.randn_like(x).clamp(-3, 3)
        y = image + sigma * z
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x

# %% 8 | a small number in the ratio of the levels
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / (float(sigmas[-1]) ** 2 + 1e-4)
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x
