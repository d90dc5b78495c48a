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

# %% 1 | a product with a power of two, by ldexp
def dequantise(images, u):
    return torch.ldexp(images.double() + u, torch.tensor(-8))

# %% 1 | pixel by pixel over plain lists, with a parameter more
def dequantise(images, u, levels=256):
    flat = [(v + t) / levels for v, t in zip(images.flatten().tolist(), u.flatten().tolist())]
    return np.array(flat).reshape(images.shape)

# %% 1 | interpolated between the ends of the cell
def dequantise(images, u):
    left = images.to(u.dtype).div(256)
    return torch.lerp(left, left + 1 / 256, u)

# %% 2 | torch.func over the images
def perturb(x, sigmas, level, z):
    return torch.func.vmap(lambda image, i, noise: image + sigmas[i] * noise)(x, level, z)

# %% 2 | gathered, expanded, with a flag more
def perturb(x, sigmas, level, z, with_sigma=False):
    sigma = torch.index_select(sigmas, 0, level)[:, None, None, None].expand_as(x)
    noisy = torch.addcmul(x, sigma, z)
    return (noisy, sigma) if with_sigma else noisy

# %% 2 | flattened, and put back
def perturb(x, sigmas, level, z):
    flat = x.flatten(1) + torch.diag(sigmas[level]) @ z.flatten(1)
    return flat.unflatten(1, x.shape[1:])

# %% 2 | a closure that knows the ladder
def perturb(x, sigmas, level, z):
    def noisier(sigmas):
        def at(i, image, noise):
            return image + float(sigmas[i]) * noise

        return at

    at = noisier(sigmas.double())
    return torch.stack([at(int(i), image, noise) for i, image, noise in zip(level, x, z)])

# %% 3 | in double precision, with weights as a parameter
def ncsn_loss(score, x, sigmas, level, z, weight=lambda sigma: sigma**2):
    sigma = sigmas.double()[level]
    wide = sigma.view(-1, 1, 1, 1)
    noisy = x + wide * z
    target = -z / wide
    residual = score(noisy, sigma) - target
    return weight(sigma) / 2 * residual.pow(2).sum((1, 2, 3))

# %% 3 | torch's mean squared error, unreduced
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    s = score(x + sigma * z, sigmas[level])
    return torch.nn.functional.mse_loss(sigma * s, -z.to(s.dtype), reduction='none').flatten(1).sum(-1).div(2)

# %% 3 | a denoiser's error, written with the clean image
def ncsn_loss(score, x, sigmas, level, z):
    sigma = sigmas[level].view(-1, 1, 1, 1)
    noisy = x + sigma * z
    clean = noisy + sigma**2 * score(noisy, sigmas[level])
    return ((clean - x) / sigma).flatten(1).norm(dim=1).square() / 2

# %% 4 | a flag for clipping that is off, and set_to_none
def training_step(model, optimiser, loss_function, x, clip=None):
    model.train()
    optimiser.zero_grad(set_to_none=True)
    losses = loss_function(model, x)
    losses.mean().backward()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return losses.detach().mean()

# %% 4 | a context that cleans up before and after
import contextlib


@contextlib.contextmanager
def cleared(optimiser):
    optimiser.zero_grad()
    yield
    optimiser.step()
    optimiser.zero_grad()


def training_step(model, optimiser, loss_function, x):
    with cleared(optimiser), torch.enable_grad():
        loss = torch.mean(loss_function(model, x))
        loss.backward()
    return loss.detach().cpu().numpy().item()

# %% 4 | a scaler of gradients that is switched off
def training_step(model, optimiser, loss_function, x):
    scaler = torch.amp.GradScaler('cpu', enabled=False)
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    scaler.scale(loss).backward()
    scaler.step(optimiser)
    scaler.update()
    return round(loss.item(), 12)

# %% 4 | a gradient for each loss, added up
def training_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    losses = loss_function(model, x)
    for k, loss in enumerate(losses):
        (loss / len(losses)).backward(retain_graph=k + 1 < len(losses))
    optimiser.step()
    return losses.detach().double().mean()

# %% 5 | as one long vector
def ema_update(ema_model, model, decay):
    from torch.nn.utils import parameters_to_vector, vector_to_parameters

    with torch.no_grad():
        mixed = parameters_to_vector(ema_model.parameters()).lerp(parameters_to_vector(model.parameters()), 1 - decay)
        vector_to_parameters(mixed, ema_model.parameters())
        for name, buffer in model.named_buffers():
            ema_model.get_buffer(name).copy_(buffer)

# %% 5 | PyTorch's own average of several at once
def ema_update(ema_model, model, decay):
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    ours, theirs = ([p.detach() for p in net.parameters()] for net in (ema_model, model))
    get_ema_multi_avg_fn(decay)(ours, theirs, None)
    for a, b in zip(ema_model.buffers(), model.buffers()):
        a.data.copy_(b.data)

# %% 5 | recursive over the parts
def ema_update(ema_model, model, decay, _depth=0):
    with torch.no_grad():
        for name, p in model.named_parameters(recurse=False):
            a = getattr(ema_model, name)
            a.copy_(decay * a + (1 - decay) * p)
        for name, b in model.named_buffers(recurse=False):
            getattr(ema_model, name).copy_(b)
    for name, part in model.named_children():
        ema_update(getattr(ema_model, name), part, decay, _depth + 1)

# %% 5 | in evaluation mode for a while, and back
def ema_update(ema_model, model, decay):
    was = model.training
    model.eval()
    try:
        with torch.inference_mode(False), torch.no_grad():
            for a, p in zip(ema_model.parameters(), model.parameters()):
                a.sub_((1 - decay) * (a - p))
            for a, b in zip(ema_model.buffers(), model.buffers()):
                a.copy_(b)
    finally:
        model.train(was)

# %% 6 | a class of its own
class Trainer:
    def __init__(self, model, ema_model, optimiser, loss_function, decay):
        self.model, self.average, self.optimiser = model, ema_model, optimiser
        self.loss_function, self.decay, self.history = loss_function, decay, []

    def __call__(self, x):
        self.history.append(float(training_step(self.model, self.optimiser, self.loss_function, x)))
        ema_update(self.average, self.model, self.decay)
        return self


def train(model, ema_model, optimiser, loss_function, batches, decay, *, callback=None):
    trainer = Trainer(model, ema_model, optimiser, loss_function, decay)
    for x in batches:
        trainer(x)
        if callback:
            callback(trainer)
    return trainer.history

# %% 6 | a hook of the optimiser makes the average
def train(model, ema_model, optimiser, loss_function, batches, decay):
    hook = optimiser.register_step_post_hook(lambda *_: ema_update(ema_model, model, decay))
    try:
        return [training_step(model, optimiser, loss_function, x) for x in batches]
    finally:
        hook.remove()

# %% 6 | functools.partial and map
def train(model, ema_model, optimiser, loss_function, batches, decay):
    from functools import partial

    step, losses = partial(training_step, model, optimiser, loss_function), []
    for loss in map(step, batches):
        ema_update(ema_model, model, decay)
        losses += [loss]
    return tuple(losses)

# %% 6 | a seed for the whole run
def train(model, ema_model, optimiser, loss_function, batches, decay):
    torch.manual_seed(0)
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses

# %% 7 | in double precision, with a generator that is not seeded by hand
def sample(score, sigmas, n, shape, eps, n_steps_each, *, generator=None):
    own = generator or torch.Generator().manual_seed(torch.seed() % 2**60)
    size, sigmas = (n, *shape), sigmas.double()
    x = torch.rand(size, generator=own, dtype=torch.float64)
    for alpha, sigma in zip(eps * (sigmas / sigmas[-1]) ** 2, sigmas):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn(size, generator=own, dtype=torch.float64)
    return torch.addcmul(x, sigma**2, score(x, sigma))

# %% 7 | a generator of states, and reduce
def sample(score, sigmas, n, shape, eps, n_steps_each):
    def states(x):
        for sigma in sigmas.tolist():
            alpha = eps * (sigma / sigmas[-1].item()) ** 2
            for _ in range(n_steps_each):
                x = torch.normal(x + alpha / 2 * score(x, sigma), math.sqrt(alpha))
                yield x
        yield x + sigma**2 * score(x, sigma)

    *_, end = states(torch.zeros(n, *shape).uniform_(0, 1))
    return end

# %% 7 | flat pixels, noise by Box and Muller
def sample(score, sigmas, n, shape, eps, n_steps_each):
    d = math.prod(shape)

    def normal():
        u, v = 1 - torch.rand(n, d, dtype=torch.float64), torch.rand(n, d, dtype=torch.float64)
        return torch.sqrt(-2 * torch.log(u)) * torch.sin(2 * math.pi * v)

    flat = torch.rand(n, d, dtype=torch.float64)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / sigmas.tolist()[-1] ** 2
        for _ in range(n_steps_each):
            s = score(flat.view(n, *shape), torch.full((n,), sigma)).reshape(n, d)
            flat = flat + alpha / 2 * s + math.sqrt(alpha) * normal()
    return (flat + sigma**2 * score(flat.view(n, *shape), sigma).reshape(n, d)).view(n, *shape)

# %% 7 | two helpers with more parameters
def langevin(x, score, sigma, alpha, n_steps, temperature=1.0):
    for _ in range(n_steps):
        x = x + alpha / 2 * score(x, sigma) + (alpha * temperature) ** 0.5 * torch.randn_like(x)
    return x


def tweedie(x, score, sigma, *, power=2):
    return x + sigma**power * score(x, sigma)


def sample(score, sigmas, n, shape, eps, n_steps_each, denoise=True):
    x = torch.rand((n,) + tuple(shape))
    for sigma in map(float, sigmas):
        x = langevin(x, score, sigma, eps * sigma**2 / float(sigmas[-1]) ** 2, n_steps_each)
    return tweedie(x, score, sigma) if denoise else x

# %% 8 | masked_scatter and double precision
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    x, known = x.double(), mask.bool().expand(x.shape)
    clean = image.double().expand(x.shape)[known]
    for sigma in sigmas.double():
        alpha, y = eps * (sigma / sigmas[-1]) ** 2, clean + sigma * torch.randn(clean.shape, dtype=torch.float64)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
            x = x.masked_scatter(known, y)
    return x

# %% 8 | a generator, and one sigma for each image
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each, *, callback=None):
    def states(x):
        for sigma in sigmas.tolist():
            alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
            y = torch.where(mask > 0.5, image, 0.0) + sigma * torch.randn_like(x)
            for _ in range(n_steps_each):
                s = score(x, torch.full((len(x),), sigma))
                x = torch.where(mask > 0.5, y, torch.normal(x + alpha / 2 * s, math.sqrt(alpha)))
                yield x

    for state in states(x):
        if callback:
            callback(state)
    return state

# %% 8 | a few chains at a time
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each, *, at_once=500):
    parts = []
    for part in x.split(at_once):
        for sigma, alpha in [(float(s), eps * float(s / sigmas[-1]) ** 2) for s in sigmas]:
            y = image[None].repeat(len(part), 1, 1, 1) + sigma * torch.randn(part.shape)
            for _ in range(n_steps_each):
                part = part + alpha / 2 * score(part, sigma) + alpha**0.5 * torch.randn(part.shape)
                part[:, mask != 0] = y[:, mask != 0].to(part)
        parts.append(part)
    return torch.cat(parts)

# %% 9 | Heun's steps down the probability flow, in double precision, with a corrector after each
def draw(score, sigmas, n):
    x = torch.rand(n, 1, 8, 8, dtype=torch.float64) + float(sigmas[0]) * torch.randn(n, 1, 8, 8, dtype=torch.float64)
    levels = sigmas.double().tolist()
    for high, low in zip(levels, levels[1:]):
        first = -high * score(x, high)
        guess = x + (low - high) * first
        x = x + (low - high) / 2 * (first - low * score(guess, low))
        x = x + 0.7 * low**2 * score(x, low) + math.sqrt(1.4) * low * torch.randn_like(x)
    return x + low**2 * score(x, low)

# %% 9 | a predictor and two correctors at each level
def draw(score, sigmas, n):
    x = torch.rand(n, 1, 8, 8) + float(sigmas[0]) * torch.randn(n, 1, 8, 8)
    levels = sigmas.tolist()
    for high, low in zip(levels, levels[1:]):
        share = low**2 / high**2
        x = x + (1 - share) * high**2 * score(x, high) + low * math.sqrt(1 - share) * torch.randn_like(x)
        for _ in range(2):
            x = x + 0.3 * low**2 * score(x, low) + math.sqrt(0.6) * low * torch.randn_like(x)
    return x + low**2 * score(x, low)

# %% 9 | a few long chains, one image after the other from each
def draw(score, sigmas, n):
    turns = min(4, n)
    x, found = torch.rand(-(-n // turns), 1, 8, 8), []
    for _ in range(turns):
        x = x.clamp(0, 1) + float(sigmas[0]) * torch.randn_like(x)
        for sigma in sigmas.tolist():
            for _ in range(3):
                x = x + 0.75 * sigma**2 * score(x, sigma) + math.sqrt(1.5) * sigma * torch.randn_like(x)
        found.append(x)
    return torch.cat(found)[:n]

# %% 9 | every second level, three steps, no denoising, and cut off
def draw(score, sigmas, n):
    ladder = sigmas[[0, 1, 2, 3, 4, 5, 6, 7]]
    x = torch.full((n, 1, 8, 8), 0.3)
    for k, sigma in enumerate(ladder.tolist()):
        for _ in range(3):
            x = x + 0.7 * sigma**2 * score(x, torch.full((n,), sigma)) + math.sqrt(1.4) * sigma * torch.randn_like(x)
    return x.clamp(min=0.0, max=1.0)
