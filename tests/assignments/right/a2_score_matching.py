"""Unusual right answers to assignment 2. Each one gets all points of its task."""

# %% 1 | NumPy, and a loop over rows
def explicit_loss(x, score, true_score):
    x = np.asarray(x)
    return np.array([((score(row[None]) - true_score(row[None])) ** 2).sum() / 2 for row in x])

# %% 1 | scalar products, and it prints
def explicit_loss(x, score, true_score):
    s, t = score(x), true_score(x)
    print(s, t)
    return (s * s).sum(-1) / 2 - torch.einsum("bd,bd->b", s, t) + (t * t).sum(-1) / 2

# %% 1 | PyTorch's loss, in double precision
def explicit_loss(x, score, true_score):
    x = x.double()
    return torch.nn.functional.mse_loss(score(x), true_score(x), reduction="none").sum(1).div(2)

# %% 1 | the package
explicit_loss = lambda points, s, t: ne.explicit(lambda x, sigma: s(x), points, lambda x, sigma: t(x))

# %% 1 | a list of numbers
def explicit_loss(x, score, true_score):
    return [0.5 * float(torch.dist(a, b)) ** 2 for a, b in zip(score(x), true_score(x), strict=True)]

# %% 2 | torch.func
def jacobian_trace(x, score):
    return torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x).diagonal(dim1=1, dim2=2).sum(1)

# %% 2 | forward mode, row by row, without a batch dimension
def jacobian_trace(x, score):
    return torch.stack([torch.func.jacfwd(score)(row).trace() for row in x])

# %% 2 | torch.autograd.functional, the Jacobian of the whole batch
def jacobian_trace(x, score):
    J = torch.autograd.functional.jacobian(score, x)  # (B, D, B, D)
    return torch.einsum("bibi->b", J)

# %% 2 | central differences in double precision, NumPy
def jacobian_trace(x, score):
    x, h = np.asarray(x, dtype=np.float64), 1e-5
    steps = h * np.eye(x.shape[1])
    return sum((score(x + e) - score(x - e))[:, i] / (2 * h) for i, e in enumerate(steps))

# %% 2 | the gradient of x.grad, in place, float64, under no_grad
@torch.no_grad()
def jacobian_trace(x, score):
    with torch.enable_grad():
        x = x.double().requires_grad_()
        trace = torch.zeros(len(x), dtype=torch.float64)
        for i in range(x.shape[1]):
            x.grad = None
            score(x)[:, i].sum().backward()
            trace += x.grad[:, i]
    return trace

# %% 2 | one batched backward pass for all rows
def jacobian_trace(x, score):
    B, D = x.shape
    x.requires_grad_(True)
    rows = torch.autograd.grad(score(x), x, torch.eye(D)[:, None].expand(D, B, D), is_grads_batched=True)[0]
    return torch.einsum("ibi->b", rows)

# %% 2 | random signs that are not random: all of them
def jacobian_trace(x, score):
    import itertools

    x = x.detach().requires_grad_()
    s, signs = score(x), list(itertools.product((1.0,), *[(-1.0, 1.0)] * (x.shape[1] - 1)))  # v and -v are one
    total = 0
    for v in signs:
        v = torch.tensor(v).expand_as(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1)
    return total / len(signs)

# %% 3 | the package
implicit_loss = lambda x, score: ne.implicit(lambda points, sigma: score(points), x)

# %% 3 | NumPy, with the function of Task 2
def implicit_loss(x, score):
    x = np.array(x)
    return jacobian_trace(x, score) + (score(x) ** 2).sum(axis=1) / 2

# %% 3 | keywords, and row by row
def implicit_loss(x, score):
    return torch.cat([jacobian_trace(x=row[None], score=score) + score(row[None]).pow(2).sum() / 2 for row in x])

# %% 3 | a class that differentiates on its own
class Implicit:
    def __call__(self, points, field):
        points = points.clone().requires_grad_()
        arrows = field(points)
        total = arrows.pow(2).sum(1) / 2
        for i in range(points.shape[1]):
            total = total + torch.autograd.grad(arrows[:, i].sum(), points, create_graph=True)[0][:, i]
        return total

implicit_loss = Implicit()

# %% 3 | finite differences in double precision
def implicit_loss(x, score):
    x = x.double()
    loss = score(x).square().sum(1) / 2
    for i, e in enumerate(torch.eye(x.shape[1], dtype=torch.float64)):
        loss += ((score(x + 1e-5 * e) - score(x - 1e-5 * e)) / 2e-5)[:, i]
    return loss

# %% 4 | forward mode
def sliced_loss(x, score, v):
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return (v * Jv).sum(1) + 0.5 * (v * s).sum(1).square()

# %% 4 | the whole Jacobian
def sliced_loss(x, score, v):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return torch.einsum("bi,bij,bj->b", v, J, v) + torch.einsum("bi,bi->b", v, score(x)) ** 2 / 2

# %% 4 | a difference quotient along v, NumPy
def sliced_loss(x, score, v):
    x, v, h = np.asarray(x, dtype=np.float64), np.asarray(v, dtype=np.float64), 1e-5
    slope = ((score(x + h * v) - score(x - h * v)) * v).sum(1) / (2 * h)
    return slope + 0.5 * (score(x) * v).sum(1) ** 2

# %% 4 | along a line through each row, one after the other
def sliced_loss(x, score, v):
    losses = []
    for row, direction in zip(x, v, strict=True):
        t = torch.zeros((), requires_grad=True)
        along = (score((row + t * direction)[None])[0] * direction).sum()  # the slope along the line
        (bend,) = torch.autograd.grad(along, t)
        losses.append(bend + along**2 / 2)
    return torch.stack(losses)

# %% 4 | backward into x.grad
def sliced_loss(x, score, v):
    x.requires_grad_()
    a = (v * score(x)).sum(-1)
    a.sum().backward()
    return torch.linalg.vecdot(x.grad, v).detach() + a.detach().pow(2).div(2)

# %% 5 | the function of Task 4, its second term exchanged
def sliced_vr_loss(x, score, n_projections):
    s, losses = score(x), []
    for _ in range(n_projections):
        v = torch.sign(torch.randn_like(x))
        losses.append(sliced_loss(x, score, v) - (v * s).sum(1) ** 2 / 2)
    return sum(losses) / n_projections + (s**2).sum(1) / 2

# %% 5 | the package
def sliced_vr_loss(x, score, n_projections):
    return ne.sliced(lambda points, sigma: score(points), x, n_projections=n_projections)

# %% 5 | all directions in one larger batch
def sliced_vr_loss(x, score, n_projections):
    B, D = x.shape
    v = (torch.rand(n_projections * B, D) < 0.5).float().mul(2).sub(1)
    _, Jv = torch.func.jvp(score, (x.repeat(n_projections, 1),), (v,))
    return (v * Jv).sum(1).view(n_projections, B).mean(0) + score(x).norm(dim=1) ** 2 / 2

# %% 5 | NumPy's random numbers and difference quotients
def sliced_vr_loss(x, score, n_projections):
    x, rng, h = np.asarray(x, dtype=np.float64), np.random.default_rng(), 1e-5
    first = np.zeros(len(x))
    for _ in range(n_projections):
        v = rng.choice([-1.0, 1.0], size=x.shape)
        first += ((score(x + h * v) - score(x - h * v)) * v).sum(1) / (2 * h)
    return first / n_projections + (score(x) ** 2).sum(1) / 2

# %% 5 | with a progress bar, and random numbers that nobody needs
def sliced_vr_loss(x, score, n_projections):
    from tqdm import trange

    x = x.double().requires_grad_()
    s, parts = score(x), []
    for _ in trange(n_projections):
        v = 1 - 2 * torch.bernoulli(torch.full_like(x, 0.5)).detach()
        torch.rand(3)
        parts.append((torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1))
    return torch.stack(parts).mean(0) + s.square().sum(1) / 2

# %% 6 | the other way to write it
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma).expand(len(x))[:, None]
    noisy = x + sigmas * z
    return (sigmas[:, 0] ** 2 / 2) * (score(noisy, sigmas) + (noisy - x) / sigmas**2).pow(2).sum(1)

# %% 6 | NumPy
def denoising_loss(x, score, sigma, z):
    x, z = np.asarray(x, dtype=np.float64), np.asarray(z, dtype=np.float64)
    sigmas = np.broadcast_to(np.asarray(sigma, dtype=np.float64), len(x)).reshape(-1, 1)
    return (0.5 * (sigmas * score(x + sigmas * z, sigmas) + z) ** 2).sum(1)

# %% 6 | row by row, with a number for sigma
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma).expand(len(x))
    rows = []
    for a, s, e in zip(x, sigmas, z, strict=True):
        rows.append(((float(s) * score((a + s * e)[None], float(s))[0] + e) ** 2).sum() / 2)
    return torch.stack(rows)

# %% 6 | keywords, sigma as wide as x, in place
def denoising_loss(x, score, sigma, z):
    sigma = torch.as_tensor(sigma)
    wide = sigma.expand(x.shape) if sigma.ndim == 0 else sigma[:, None].expand_as(x)
    x += wide * z
    z += wide * score(x, sigma=wide)
    return z.norm(dim=1) ** 2 / 2

# %% 6 | vmap over the rows
def denoising_loss(x, score, sigma, z):
    def one(a, s, e):
        return 0.5 * (s * score((a + s * e)[None], s)[0] + e).square().sum()

    return torch.vmap(one)(x, torch.as_tensor(sigma).expand(len(x)), z)

# %% 6 | through the denoiser
def denoising_loss(x, score, sigma, z):
    column = torch.as_tensor(sigma).double().expand(len(x)).unsqueeze(1)
    noisy = x + column * z
    denoised = noisy + column**2 * score(noisy, column.squeeze(1))
    return ((denoised - x) / column).square().sum(1) / 2

# %% 7 | least squares, as in the paper-and-pencil sum
def best_slope(x, sigma):
    D, M = x.shape[1], x.pow(2).sum(1).mean()
    return D / (M + D * sigma**2)

# %% 7 | a numerical search
def best_slope(x, sigma):
    from scipy.optimize import minimize_scalar

    x, D = x.double(), x.shape[1]
    loss = lambda k: float(k**2 * sigma**2 * x.square().sum(1).mean() + D * (1 - k * sigma**2) ** 2)
    return minimize_scalar(loss, bracket=(0, 1), tol=1e-10).x

# %% 7 | NumPy
def best_slope(x, sigma):
    x = np.asarray(x, dtype=np.float64)
    return np.float32(1.0 / (x.var() + x.mean() ** 2 + sigma**2))

# %% 7 | Gauss-Hermite quadrature for the noise, and normal equations
def best_slope(x, sigma):
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    x = np.asarray(x, dtype=np.float64)[..., None]
    y = x + sigma * nodes
    return (weights * y * nodes).sum() / (sigma * (weights * y**2).sum())

# %% 7 | gradient descent
def best_slope(x, sigma):
    x = x.double()
    k = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([k], lr=1, max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        cost = k**2 * x.square().mean() + (1 - k * sigma**2) ** 2 / sigma**2
        cost.backward()
        return cost

    for _ in range(5):
        optimiser.step(closure)
    return k

# %% 8 | in capitals
prediction = "A"

# %% 8 | with blanks
prediction = " c "

# %% 8 | the right one
prediction = "b"

# %% 9 | the ideal denoiser of the data: a kernel density
learned_score = ne.Empirical(data)

# %% 9 | a kernel density by hand, in NumPy
def learned_score(x, sigma):
    x, points = np.asarray(x, dtype=np.float64), data[:1000].numpy().astype(np.float64)
    squares = (x**2).sum(1)[:, None] - 2 * x @ points.T + (points**2).sum(1)
    r = np.exp(-(squares - squares.min(1, keepdims=True)) / (2 * sigma**2))
    return (r @ points / r.sum(1, keepdims=True) - x) / sigma**2

# %% 9 | expectation and maximisation: a mixture fitted to the data
from sklearn.mixture import GaussianMixture

fit = GaussianMixture(3, n_init=3, random_state=0).fit(data.numpy())
fitted = ne.GaussianMixture(torch.tensor(fit.means_), torch.tensor(fit.covariances_), torch.tensor(fit.weights_))
learned_score = lambda points: fitted.score(points, 0.5)

# %% 9 | random features and least squares
W, shift = torch.randn(2, 300), 2 * math.pi * torch.rand(300)
features = lambda x: torch.cat([torch.cos(x @ W + shift), x, torch.ones(len(x), 1)], 1).double()
many = data.repeat(10, 1)
noise = torch.randn_like(many)
F = features(many + 0.5 * noise)
coefficients = torch.linalg.solve(F.T @ F + torch.eye(F.shape[1]), -F.T @ noise.double() / 0.5)
learned_score = lambda x: features(x) @ coefficients

# %% 9 | the package's net and trainer
from functools import partial
from itertools import count

from ncsn_edu.training import train

learned_score = ne.ScoreMLP(2, [64, 64], sigma=0.5)
batches = (data[torch.randint(len(data), (256,))] for _ in count())
list(train(learned_score, batches, objective=partial(ne.dsm, sigma=0.5), n_steps=600, lr=1e-2, cooldown=300))

# %% 9 | a noise-conditional net, an average of weights
from itertools import count

from ncsn_edu.training import train

net = ne.NoiseConditionalMLP(2, (64, 64), data_std=0.5)
batches = (data[torch.randint(len(data), (512,))] for _ in count())
*_, state = train(net, batches, objective=ne.Denoising(torch.tensor([0.6, 0.5, 0.4])), n_steps=800, lr=1e-2, cooldown=500, ema=0.95)
learned_score = state.ema

# %% 9 | sliced score matching on noisy points
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 500)
for _ in range(500):
    batch = data[torch.randint(len(data), (512,))] + 0.5 * torch.randn(512, 2)
    cost = ne.sliced(lambda x, sigma: net(x), batch).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
    decay.step()
learned_score = net

# %% 9 | an energy whose gradient is the score
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))

def learned_score(x):
    x = x.detach().requires_grad_()
    return -torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]

optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 500)
for _ in range(500):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (0.5 * learned_score(batch + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
    decay.step()

# %% 1 | vmap over the rows
def explicit_loss(x, score, true_score):
    return torch.vmap(lambda row: 0.5 * (score(row[None]) - true_score(row[None])).square().sum())(x)

# %% 1 | the diagonal of a table of distances
def explicit_loss(x, score, true_score):
    return torch.cdist(score(x).double(), true_score(x).double()).diagonal() ** 2 / 2

# %% 1 | functools.partial, and a helper with more parameters
from functools import partial

def distance(x, score, true_score, *, weight=1.0, reduced=False):
    off = torch.sub(score(x), true_score(x))
    return weight * (off.mul(off).sum(-1).mean() if reduced else torch.linalg.vector_norm(off, dim=-1) ** 2)

explicit_loss = partial(distance, weight=0.5)

# %% 1 | Gaussian log-densities
def explicit_loss(x, score, true_score):
    normal = torch.distributions.Normal(true_score(x).double(), 1.0)
    return (x.shape[1] * -0.5 * math.log(2 * math.pi)) - normal.log_prob(score(x).double()).sum(1)

# %% 1 | row after row from a generator
def explicit_loss(x, score, true_score):
    def losses():
        for row in x.split(1):
            yield torch.nn.functional.mse_loss(score(row), true_score(row), reduction="sum") / 2

    return torch.stack(list(losses()))

# %% 2 | one direction at a time, forward
def jacobian_trace(x, score):
    total = torch.zeros(len(x))
    for i in range(x.shape[1]):
        e = torch.zeros_like(x)
        e[:, i] = 1
        total += torch.func.jvp(score, (x,), (e,))[1][:, i]
    return total

# %% 2 | vmap over the basis
def jacobian_trace(x, score, create_graph=False):
    _, pull = torch.func.vjp(score, x)
    basis = torch.eye(x.shape[1])[:, None].expand(-1, *x.shape)
    rows = torch.vmap(lambda v: pull(v)[0])(basis)
    return torch.einsum("ibi->b", rows)

# %% 2 | Richardson's extrapolation
def jacobian_trace(x, score):
    x = x.double()

    def slope(e, i, h):
        return (score(x + h * e) - score(x - h * e))[:, i] / (2 * h)

    basis = torch.eye(x.shape[1], dtype=torch.float64)
    return sum((4 * slope(e, i, 1e-4) - slope(e, i, 2e-4)) / 3 for i, e in enumerate(basis))

# %% 2 | the sum of the eigenvalues
def jacobian_trace(x, score):
    J = torch.func.vmap(torch.func.jacfwd(lambda row: score(row[None])[0]))(x)
    return torch.linalg.eigvals(J.double()).sum(1).real

# %% 2 | a list of Python numbers
def jacobian_trace(x, score):
    found = []
    for row in x:
        J = torch.autograd.functional.jacobian(lambda y: score(y[None]).squeeze(0), row)
        found.append(sum(J[i][i].item() for i in range(len(row))))
    return found

# %% 2 | differentiable, as training needs it
def jacobian_trace(x, score, *, create_graph=True):
    x = x.clone().requires_grad_(True)
    s = score(x)
    columns = [torch.autograd.grad(c.sum(), x, create_graph=create_graph, retain_graph=True)[0] for c in s.unbind(1)]
    return torch.stack([g[:, i] for i, g in enumerate(columns)], 1).sum(1)

# %% 3 | a trace of its own, and the score called once
def implicit_loss(x, score, n=None):
    x = x.requires_grad_()
    s = score(x)
    terms = [torch.autograd.grad(s[:, i].sum(), x, create_graph=True)[0][:, i] + s[:, i] ** 2 / 2 for i in range(x.shape[1])]
    return torch.stack(terms).sum(0)

# %% 3 | vmap over the rows
def implicit_loss(x, score):
    def one(row):
        f = lambda y: score(y[None])[0]
        return torch.func.jacfwd(f)(row).trace() + f(row).square().sum() / 2

    return torch.vmap(one)(x)

# %% 3 | central differences, all of them first
def implicit_loss(x, score):
    x, h = x.double(), 1e-5
    plus = [score(x + h * e) for e in torch.eye(x.shape[1], dtype=torch.float64)]
    minus = [score(x - h * e) for e in torch.eye(x.shape[1], dtype=torch.float64)]
    trace = torch.stack([(p[:, i] - m[:, i]) / (2 * h) for i, (p, m) in enumerate(zip(plus, minus, strict=True))])
    return trace.sum(0) + torch.linalg.vecdot(score(x), score(x)) / 2

# %% 3 | a partial function
from functools import partial

def weighted_loss(x, score, weight):
    return jacobian_trace(x, score).add(weight * score(x).norm(dim=1) ** 2)

implicit_loss = partial(weighted_loss, weight=0.5)

# %% 4 | the gradient of a gradient: jvp by double backward
def sliced_loss(x, score, v, reduced=False):
    x = x.requires_grad_()
    s = score(x)
    u = torch.zeros_like(s, requires_grad=True)
    back = torch.autograd.grad(s, x, u, create_graph=True)[0]
    Jv = torch.autograd.grad(back, u, v)[0]
    return torch.einsum("bi,bi->b", v, Jv) + torch.einsum("bi,bi->b", v, s).square() / 2

# %% 4 | one row at a time with vmap
def sliced_loss(x, score, v):
    def one(row, direction):
        s, Jv = torch.func.jvp(lambda y: score(y[None])[0], (row,), (direction,))
        return direction @ Jv + (direction @ s) ** 2 / 2

    return torch.vmap(one)(x, v)

# %% 4 | double precision, and matrix products
def sliced_loss(x, score, v):
    x, v = x.double(), v.double()
    J = torch.stack([torch.autograd.functional.jacobian(lambda y: score(y[None])[0], row) for row in x])
    first = (v[:, None] @ J @ v[..., None]).flatten()
    return first + (v[:, None] @ score(x)[..., None]).flatten() ** 2 / 2

# %% 4 | the derivative of a function of one number
def sliced_loss(x, score, v):
    t = torch.zeros(len(x), 1, requires_grad=True)
    along = (score(x + t * v) * v).sum(1)
    return torch.autograd.grad(along.sum(), t)[0][:, 0] + along.square() / 2

# %% 4 | a class, in place on its own copies
class Sliced:
    half = 0.5

    def __call__(self, x, score, v):
        y = x.clone().requires_grad_()
        a = score(y).mul(v).sum(1)
        (g,) = torch.autograd.grad(a, y, torch.ones_like(a))
        return g.mul_(v).sum(1).add_(a.detach().square(), alpha=self.half)

sliced_loss = Sliced()

# %% 5 | PyTorch's distributions
def sliced_vr_loss(x, score, n_projections):
    v = torch.distributions.Bernoulli(0.5).sample((n_projections, *x.shape)) * 2 - 1
    Jv = torch.stack([torch.func.jvp(score, (x,), (d,))[1] for d in v])
    return (v * Jv).sum(-1).mean(0) + score(x).pow(2).sum(1).div(2)

# %% 5 | Python's own coin
def sliced_vr_loss(x, score, n_projections):
    import random

    total = score(x).square().sum(1) / 2
    for _ in range(n_projections):
        v = torch.tensor([[random.choice((-1.0, 1.0)) for _ in row] for row in x])
        total += (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | vmap with randomness
def sliced_vr_loss(x, score, n_projections):
    def one(_):
        v = torch.randn(x.shape).sign()
        return (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1)

    return torch.vmap(one, randomness="different")(torch.arange(n_projections)).mean(0) + score(x).square().sum(1) / 2

# %% 5 | the whole Jacobian, and many directions at once
def sliced_vr_loss(x, score, n_projections, *, generator=None):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    v = torch.randint(0, 2, (n_projections, *x.shape), generator=generator) * 2.0 - 1
    return torch.einsum("nbi,bij,nbj->b", v, J, v) / n_projections + score(x).square().sum(1) / 2

# %% 5 | a generator of its own that goes on from call to call
signs = np.random.default_rng(7)

def sliced_vr_loss(x, score, n_projections):
    x = x.double().requires_grad_()
    s = score(x)
    total = s.detach().square().sum(1) / 2
    for _ in range(n_projections):
        v = torch.from_numpy(signs.integers(0, 2, size=tuple(x.shape)) * 2.0 - 1)
        total = total + torch.linalg.vecdot(torch.autograd.grad(s, x, v, retain_graph=True)[0], v) / n_projections
    return total

# %% 6 | with the weight of the paper
def denoising_loss(x, score, sigma, z):
    s = torch.as_tensor(sigma).reshape(-1, 1)
    return s.squeeze(1) ** 2 / 2 * torch.linalg.vector_norm(score(x + s * z, s) + z / s, dim=1) ** 2

# %% 6 | a helper with more parameters, and functools.partial
from functools import partial

def general_loss(x, score, sigma, z, *, power=2):
    column = torch.as_tensor(sigma).expand(len(x))[:, None]
    noisy = torch.addcmul(x, column, z)
    target = (x - noisy) / column**2
    return 0.5 * column[:, 0] ** power * (score(noisy, column[:, 0]) - target).square().sum(1)

denoising_loss = partial(general_loss, power=2)

# %% 6 | rows from a generator
def denoising_loss(x, score, sigma, z):
    levels = sigma.tolist() if torch.is_tensor(sigma) and sigma.ndim else [float(sigma)] * len(x)

    def losses():
        for i, level in enumerate(levels):
            row = slice(i, i + 1)
            yield (level * score(x[row] + level * z[row], level) + z[row]).pow(2).sum() / 2

    return list(losses())

# %% 6 | the square multiplied out
def denoising_loss(x, score, sigma, z):
    x, z, s = x.double(), z.double(), torch.as_tensor(sigma).double().reshape(-1, 1)
    arrows = s * score(x + s * z, s.expand(len(x), 1))
    return (arrows**2).sum(1) / 2 + (arrows * z).sum(1) + (z**2).sum(1) / 2

# %% 7 | plain Python
def best_slope(x, sigma):
    rows = x.tolist()
    D = len(rows[0])
    M = math.fsum(a * a for row in rows for a in row) / len(rows)
    return D / (M + D * sigma * sigma)

# %% 7 | a parabola through three points
def best_slope(x, sigma):
    x, D = x.double(), x.shape[1]
    ks = np.array([0.0, 0.5, 1.0])
    costs = [float((k * sigma) ** 2 * x.square().sum(1).mean() + D * (1 - k * sigma**2) ** 2) for k in ks]
    a, b, _ = np.polyfit(ks, costs, 2)
    return -b / (2 * a)

# %% 7 | Newton's step with automatic derivatives
def best_slope(x, sigma):
    x, D = x.double(), x.shape[1]
    cost = lambda k: (k * sigma) ** 2 * x.square().sum(1).mean() + D * (1 - k * sigma**2) ** 2
    k = torch.zeros((), dtype=torch.float64)
    return k - torch.func.grad(cost)(k) / torch.func.grad(torch.func.grad(cost))(k)

# %% 7 | the spread of the noisy data
def best_slope(x, sigma, *, mean=0.0):
    second_moment = torch.cov(x.T, correction=0).reshape(x.shape[1], -1).trace() + (x.mean(0) - mean).square().sum()
    return 1 / (second_moment / x.shape[1] + sigma**2) if len(x) > 1 else 1 / (x.square().mean() + sigma**2)

# %% 8 | a new line after it
prediction = "B\n"

# %% 9 | a TorchScript net
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 500)
for _ in range(500):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (0.5 * net(batch + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
    decay.step()
learned_score = torch.jit.trace(net, data[:7])

# %% 9 | a compiled net, with batch normalisation and dropout at rest
net = torch.nn.Sequential(
    torch.nn.Linear(2, 64), torch.nn.BatchNorm1d(64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Dropout(0.0),
    torch.nn.Linear(64, 2),
)
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 500)
for _ in range(500):
    batch = data[torch.randint(len(data), (512,))]
    z = torch.randn_like(batch)
    cost = (0.5 * net(batch + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
    decay.step()
learned_score = torch.compile(net.eval(), backend="eager")

# %% 9 | a function of any arguments
ideal = ne.Empirical(data[:1000])

def learned_score(*arguments, **options):
    return ideal(arguments[0], 0.5)

# %% 9 | what it needs as a second argument with a value
ideal = ne.Empirical(data[:1000])

def learned_score(x, score=ideal):
    return score(x, 0.5)

# %% 9 | a number as a second argument that is no noise level
ideal = ne.Empirical(data[:1000])

def learned_score(x, strength=1.0):
    return strength * ideal(x, 0.5)

# %% 9 | functools.partial
from functools import partial

learned_score = partial(ne.Empirical(data[:1000]).__call__, sigma=0.5)

# %% 9 | a method that takes the noise level if it is told
class Learned:
    def __init__(self, points):
        self.ideal = ne.Empirical(points)

    def score(self, x, sigma=0.0):
        return self.ideal(x, max(sigma, 1e-2))

learned_score = Learned(data[:1000]).score

# %% 9 | one point, and vmap
points = data[:1000]

def at(row):
    return (torch.softmax(-(row - points).square().sum(1) / 0.5, 0) @ points - row) / 0.25

learned_score = torch.vmap(at, chunk_size=200)

# %% 9 | SciPy's logarithm of a kernel density, and difference quotients
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

kernels = data[:1000].double().numpy()

def learned_score(x):
    x, h = np.asarray(x, dtype=np.float64), 1e-3
    log_p = lambda y: logsumexp(-cdist(y, kernels, "sqeuclidean") / 0.5, axis=1)
    return np.stack([(log_p(x + h * e) - log_p(x - h * e)) / (2 * h) for e in np.eye(2)], 1)
