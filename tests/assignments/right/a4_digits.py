"""Unusual right answers to assignment 4. Each one gets all points of its task."""

# %% 1 | NumPy, in double precision
def dequantise(images, u):
    return (np.asarray(images, dtype=np.float64) + np.asarray(u)) / 256.0

# %% 1 | in place, and it prints
def dequantise(images, u):
    print("so many images:", len(images))
    u += images
    u *= 2**-8
    return u

# %% 1 | byte by byte, by a table
def dequantise(images, u):
    left = torch.arange(256, dtype=torch.float32) / 256
    return left[images.long()] + u / 256

# %% 1 | as in the lecture: images in [0, 1] first
def dequantise(images, u):
    x = images.float() / 255
    return (255 * x + u) / 256

# %% 2 | a loop over images, NumPy
def perturb(x, sigmas, level, z):
    x, sigmas, z = x.numpy(), sigmas.numpy(), z.numpy()
    return np.stack([image + sigmas[int(i)] * noise for image, i, noise in zip(x, level, z)])

# %% 2 | einsum
def perturb(x, sigmas, level, z):
    return x + torch.einsum("b,bchw->bchw", sigmas[level], z)

# %% 2 | one level at a time, by a mask, in place
def perturb(x, sigmas, level, z):
    for i, sigma in enumerate(sigmas):
        x[level == i] += sigma * z[level == i]
    return x

# %% 2 | a one-hot matrix, in double precision, axes turned round
def perturb(x, sigmas, level, z):
    sigma = torch.nn.functional.one_hot(level, len(sigmas)).double() @ sigmas.double()
    return (x.double().permute(1, 2, 3, 0) + sigma * z.permute(1, 2, 3, 0)).permute(3, 0, 1, 2)

# %% 3 | as it stands in the paper
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level]
    wide = sigma[:, None, None, None]
    noisy = x + wide * z
    return sigma**2 / 2 * ((score(noisy, sigma) + (noisy - x) / wide**2) ** 2).sum(dim=(1, 2, 3))

# %% 3 | one image at a time, sigma as a number
def ncsn_loss(score, x, sigmas, level, z):
    losses = []
    for image, i, noise in zip(x, level.tolist(), z):
        sigma = float(sigmas[i])
        s = score((image + sigma * noise)[None], sigma)[0]
        losses.append((sigma * s + noise).norm() ** 2 / 2)
    return torch.stack(losses)

# %% 3 | one level at a time
def ncsn_loss(score, x, sigmas, level, z):
    losses = torch.zeros(len(x))
    for i in level.unique():
        rows = level == i
        noisy = x[rows] + sigmas[i] * z[rows]
        losses[rows] = 0.5 * (sigmas[i] * score(noisy, sigmas[i]) + z[rows]).pow(2).flatten(1).sum(1)
    return losses

# %% 3 | a class, with sigma of four axes, and einsum
class Loss:
    def __call__(self, score, x, sigmas, level, z):
        sigma = sigmas[level].reshape(-1, 1, 1, 1)
        left = sigma * score(perturb(x, sigmas, level, z), sigma) + z
        return torch.einsum("bchw,bchw->b", left, left) / 2

ncsn_loss = Loss()

# %% 4 | gradients set to nothing by hand
def training_step(model, optimiser, loss_function, x):
    for parameter in model.parameters():
        parameter.grad = None
    losses = loss_function(model, x)
    loss = losses.sum() / len(losses)
    loss.backward()
    optimiser.step()
    return float(loss)

# %% 4 | a closure
def training_step(model, optimiser, loss_function, x):
    def closure():
        optimiser.zero_grad()
        loss = loss_function(model, x).mean()
        loss.backward()
        return loss

    return optimiser.step(closure).detach()

# %% 4 | gradients by autograd.grad
def training_step(model, optimiser, loss_function, x):
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    loss = loss_function(model, x).mean()
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = g
    optimiser.step()
    return np.float64(loss.detach().numpy())

# %% 4 | backward from all losses at once, cleared before and after
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad(set_to_none=False)
    losses = loss_function(model, x)
    losses.backward(torch.full_like(losses, 1 / len(losses)))
    optimiser.step()
    optimiser.zero_grad()
    return sum(losses.tolist()) / len(losses)

# %% 5 | by the state, written back
def ema_update(ema_model, model, decay):
    state, averaged = model.state_dict(), dict(ema_model.named_parameters())
    mixed = {
        name: decay * averaged[name].detach() + (1 - decay) * value if name in averaged else value
        for name, value in state.items()
    }
    ema_model.load_state_dict(mixed)

# %% 5 | lerp and .data, and it returns the copy
def ema_update(ema_model, model, decay):
    for average, value in zip(ema_model.parameters(), model.parameters()):
        average.data.lerp_(value.data, 1 - decay)
    for average, value in zip(ema_model.buffers(), model.buffers()):
        average.data.copy_(value.data)
    return ema_model

# %% 5 | new parameters in place of the old ones
def ema_update(ema_model, model, decay):
    for (_, ours), (_, theirs) in zip(list(ema_model.named_modules()), list(model.named_modules())):
        for name, value in list(theirs.named_parameters(recurse=False)):
            mixed = decay * getattr(ours, name).detach() + (1 - decay) * value.detach()
            setattr(ours, name, torch.nn.Parameter(mixed, requires_grad=False))
        for name, value in list(theirs.named_buffers(recurse=False)):
            setattr(ours, name, value.clone())

# %% 5 | many at once, decorated
@torch.no_grad()
def ema_update(ema_model, model, decay):
    averages = list(ema_model.parameters())
    torch._foreach_mul_(averages, decay)
    torch._foreach_add_(averages, list(model.parameters()), alpha=1 - decay)
    buffers = dict(model.named_buffers())
    for name, buffer in ema_model.named_buffers():
        buffer[...] = buffers[name]

# %% 5 | NumPy, through memory that both share
def ema_update(ema_model, model, decay):
    theirs = dict(model.named_parameters())
    for name, average in ema_model.named_parameters():
        a, b = average.detach().numpy(), theirs[name].detach().numpy()
        a[...] = b + decay * (a - b)
    theirs = dict(model.named_buffers())
    for name, buffer in ema_model.named_buffers():
        buffer.copy_(theirs[name])

# %% 6 | everything by hand
def train(model, ema_model, optimiser, loss_function, batches, decay):
    found = []
    for batch in batches:
        optimiser.zero_grad()
        loss = loss_function(model, batch).mean()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for a, p in zip(ema_model.parameters(), model.parameters()):
                a += (1 - decay) * (p - a)
        found.append(loss.item())
    return np.array(found)

# %% 6 | a generator inside, with a progress bar
def train(model, ema_model, optimiser, loss_function, batches, decay):
    from tqdm import tqdm

    def steps():
        for x in tqdm(batches):
            loss = training_step(model, optimiser, loss_function, x)
            ema_update(ema_model, model, decay)
            yield loss

    return list(steps())

# %% 6 | a while loop, and a tensor
def train(model, ema_model, optimiser, loss_function, batches, decay):
    stream, losses = iter(batches), torch.zeros(0)
    while (x := next(stream, None)) is not None:
        losses = torch.cat([losses, torch.tensor([training_step(model, optimiser, loss_function, x)])])
        ema_update(ema_model, model, decay)
    return losses

# %% 7 | NumPy
def sample(score, sigmas, n, shape, eps, n_steps_each):
    rng, sigmas = np.random.default_rng(), np.asarray(sigmas, dtype=np.float64)
    x = rng.uniform(size=(n, *shape))
    for sigma in sigmas:
        alpha = eps * (sigma / sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x += alpha / 2 * score(x, sigma) + np.sqrt(alpha) * rng.standard_normal(x.shape)
    return x + sigmas[-1] ** 2 * score(x, sigmas[-1])

# %% 7 | the package, with sigma as one number for each image
def sample(score, sigmas, n, shape, eps, n_steps_each):
    def each(x, sigma):
        return score(x, torch.full((len(x),), sigma))

    x = torch.rand(n, *shape)
    return ne.last(ne.annealed_langevin(each, x, sigmas, eps=eps, n_steps_each=n_steps_each, denoising=True))

# %% 7 | in pieces of a hundred images, all noise drawn beforehand
def sample(score, sigmas, n, shape, eps, n_steps_each):
    pieces = []
    for first in range(0, n, 1000):
        x = torch.empty(min(1000, n - first), *shape).uniform_()
        for sigma in sigmas:
            noise = torch.randn(n_steps_each, *x.shape, dtype=torch.float64)
            alpha = eps * (sigma / sigmas[-1]) ** 2
            for z in noise:
                x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
        pieces.append(x + sigmas[-1] ** 2 * score(x, sigmas[-1]))
    return torch.cat(pieces)

# %% 7 | one list of sigmas for all steps, the evaluation at the end inside of the loop
def sample(score, sigmas, n, shape, eps, n_steps_each):
    plan = [float(s) for s in sigmas for _ in range(n_steps_each)] + [None]
    x, last = torch.rand(*(n, *shape)), float(sigmas[-1])
    for sigma in plan:
        if sigma is None:
            drift, spread, sigma = last**2, 0.0, last
        else:
            drift, spread = eps * sigma**2 / last**2 / 2, math.sqrt(eps) * sigma / last
        x = torch.distributions.Normal(x + drift * score(x, sigma), spread + 1e-12).sample()
    return x

# %% 8 | the package
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    return ne.last(ne.inpaint(score, x, sigmas, image=image, mask=mask, eps=eps, n_steps_each=n_steps_each))

# %% 8 | NumPy, and assignments by an index
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    rng, x = np.random.default_rng(), np.array(x, dtype=np.float64)
    known = np.broadcast_to(np.asarray(mask) > 0.5, x.shape)
    clean, sigmas = np.broadcast_to(np.asarray(image), x.shape)[known], np.asarray(sigmas, dtype=np.float64)
    for sigma in sigmas:
        alpha = eps * (sigma / sigmas[-1]) ** 2
        y = clean + sigma * rng.standard_normal(clean.shape)
        for _ in range(n_steps_each):
            x += alpha / 2 * score(x, sigma) + np.sqrt(alpha) * rng.standard_normal(x.shape)
            x[known] = y
    return x

# %% 8 | hidden pixels set to zero first, then products
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    image = torch.nan_to_num(image) * mask
    for sigma in sigmas:
        alpha, y = eps * (sigma / sigmas[-1]) ** 2, torch.normal(image.expand_as(x), float(sigma))
        for _ in range(n_steps_each):
            step = alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
            x = (x + step) * (1 - mask) + y * mask
    return x

# %% 8 | a class with a method for each step; the known pixels are never moved
class Inpainter:
    def __call__(self, score, x, sigmas, image, mask, eps, n_steps_each):
        self.known, self.hidden = mask.bool().expand_as(x), ~mask.bool().expand_as(x)
        clean = image.expand_as(x)[self.known]
        for sigma in sigmas.double().tolist():
            self.alpha = eps * sigma**2 / sigmas[-1].item() ** 2
            y = clean + sigma * torch.randn(len(clean))
            for _ in range(n_steps_each):
                x = self.step(x, score(x, sigma), y)
        return x

    def step(self, x, s, y):
        new = torch.empty_like(x)
        new[self.known] = y
        z = torch.randn(int(self.hidden.sum()))
        new[self.hidden] = x[self.hidden] + self.alpha / 2 * s[self.hidden] + self.alpha**0.5 * z
        return new

inpaint = Inpainter()

# %% 9 | without the last levels, but with four steps
def draw(score, sigmas, n):
    x = torch.rand(n, 1, 8, 8)
    for sigma in sigmas[:7].tolist():
        for _ in range(4):
            x = x + 0.6 * sigma**2 * score(x, sigma) + math.sqrt(1.2) * sigma * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 9 | NumPy, image by image in batches of 16
def draw(score, sigmas, n):
    rng, parts = np.random.default_rng(), []
    for part in np.array_split(np.arange(n), math.ceil(n / 16)):
        x = rng.random((len(part), 1, 8, 8))
        for sigma in map(float, sigmas):
            for _ in range(3):
                x = x + 0.8 * sigma**2 * score(x, sigma) + math.sqrt(1.6) * sigma * rng.standard_normal(x.shape)
        parts.append(x + sigma**2 * score(x, sigma))
    return np.concatenate(parts)

# %% 9 | another sampler: ancestral, one evaluation a level
def draw(score, sigmas, n):
    x = torch.rand(n, 1, 8, 8) + float(sigmas[0]) * torch.randn(n, 1, 8, 8)
    x = ne.last(ne.ancestral(score, x, sigmas))
    return ne.denoise(score, x, float(sigmas[-1]))

# %% 9 | another sampler: consistent annealed sampling, watched step by step, cut off to [0, 1]
def draw(score, sigmas, n):
    x = torch.rand(n, 1, 8, 8) + float(sigmas[0]) * torch.randn(n, 1, 8, 8)
    for state in ne.consistent_annealed(score, x, sigmas, eta=0.9):
        x = state.x
    return ne.denoise(score, x, float(sigmas[-1])).clamp(0, 1)

# %% 10 | in capitals
prediction = "A"

# %% 10 | with blanks
prediction = " c "

# %% 10 | the right one
prediction = "b"
