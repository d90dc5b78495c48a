# Notebooks of learners who think otherwise; see harness.py.

# %% 2 | trains with its own implicit loss
def jacobian_trace(x, score, create_graph=False):
    x = x.clone().requires_grad_()
    s = score(x)
    total = 0
    for i in range(x.shape[1]):
        total = total + torch.autograd.grad(s[:, i].sum(), x, retain_graph=True, create_graph=create_graph)[0][:, i]
    return total

# %% 3 | trains with its own implicit loss
def implicit_loss(x, score, create_graph=False):
    return jacobian_trace(x, score, create_graph=create_graph) + (score(x) ** 2).sum(1) / 2

# %% 9 | trains with its own implicit loss
torch.manual_seed(1)
learned_score = torch.nn.Sequential(
    torch.nn.Linear(2, 64), torch.nn.Softplus(), torch.nn.Linear(64, 64), torch.nn.Softplus(), torch.nn.Linear(64, 2)
)
optimiser = torch.optim.Adam(learned_score.parameters(), lr=1e-2)
for i in range(500):
    batch = data[torch.randint(len(data), (512,))]
    loss = implicit_loss(batch + 0.5 * torch.randn_like(batch), learned_score, create_graph=True).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 1e-2 * (1 - i / 500)

# %% 4 | the slice without the second term, as an option
def sliced_loss(x, score, v, reduced=False):
    s, jv = torch.func.jvp(score, (x,), (v,))
    second = (s**2).sum(1) if reduced else (v * s).sum(1) ** 2
    return (v * jv).sum(1) + second / 2

# %% 5 | the slice without the second term, as an option
def sliced_vr_loss(x, score, n_projections):
    signs = [torch.sign(torch.rand(x.shape) - 0.5) for _ in range(n_projections)]
    return sum(sliced_loss(x, score, v, reduced=True) for v in signs) / n_projections

# %% 2 | arguments the other way round in a helper of its own
def trace_of(score, x):
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return jacobian.diagonal(dim1=1, dim2=2).sum(1)

def jacobian_trace(x, score, *, swap=False):
    return trace_of(x, score) if swap else trace_of(score, x)

# %% 3 | arguments the other way round in a helper of its own
def implicit_loss(x, score):
    return jacobian_trace(score, x, swap=True) + score(x).pow(2).sum(1) / 2

# %% 2 | a wrong helper in NumPy | 0
def jacobian_trace(x, score):
    return np.zeros(len(x))

# %% 3 | a wrong helper in NumPy
def implicit_loss(x, score):
    return torch.as_tensor(jacobian_trace(x, score)) + 0.5 * score(x).square().sum(1)

# %% 9 | a net of TorchScript
torch.manual_seed(0)
layers = torch.nn.Sequential(torch.nn.Linear(2, 96), torch.nn.Tanh(), torch.nn.Linear(96, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
learned_score = torch.jit.script(layers)
optimiser = torch.optim.Adam(learned_score.parameters(), lr=1e-2)
for i in range(500):
    clean = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(clean)
    loss = (0.5 * learned_score(clean + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 1e-2 * (1 - i / 500)

# %% 9 | a net that was traced, compiled without a compiler, behind *arguments
torch.manual_seed(0)
layers = torch.nn.Sequential(torch.nn.Linear(2, 96), torch.nn.Tanh(), torch.nn.Linear(96, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
compiled = torch.compile(layers, backend="eager")
optimiser = torch.optim.Adam(layers.parameters(), lr=1e-2)
for i in range(500):
    clean = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(clean)
    loss = (0.5 * layers(clean + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 1e-2 * (1 - i / 500)
learned_score = lambda *arguments: compiled(arguments[0])

# %% 0 | from torch import *, and a number called as a built-in
from torch import *
from builtins import range
import torch
sum = 0

# %% 2 | from torch import *, and a number called as a built-in
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    return torch.stack([torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(x.shape[1])]).sum(0)
