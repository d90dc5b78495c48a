# Notebooks of learners who think otherwise; see harness.py.

# %% 5 | step sizes of one level
def step_sizes(sigmas, eps, level=None):
    alphas = eps * sigmas**2 / sigmas[-1] ** 2
    return alphas if level is None else float(alphas[level])

# %% 6 | step sizes of one level
def largest_eps(sigmas, data_var):
    v = float(np.min(np.asarray(data_var)))
    return min(4 * (v + float(s) ** 2) / step_sizes(sigmas, 1.0, level=i) for i, s in enumerate(sigmas))

# %% 7 | step sizes of one level
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for i in range(len(sigmas)):
        alpha = step_sizes(sigmas, eps, level=i)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigmas[i]) + alpha**0.5 * torch.randn(x.shape)
    return x

# %% 5 | step sizes as pairs in a dictionary, when asked in that way
def step_sizes(sigmas, eps, as_pairs=False):
    alphas = [eps * float(s / sigmas[-1]) ** 2 for s in sigmas]
    return list(zip([float(s) for s in sigmas], alphas)) if as_pairs else np.array(alphas)

# %% 7 | step sizes as pairs in a dictionary, when asked in that way
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in step_sizes(sigmas, eps, as_pairs=True):
        for _ in range(n_steps_each):
            x = x + 0.5 * alpha * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x

# %% 5 | wrong step sizes | 0
def step_sizes(sigmas, eps):
    return eps * sigmas / sigmas[-1]

# %% 6 | wrong step sizes
def largest_eps(sigmas, data_var):
    return (4 * (torch.as_tensor(data_var).min() + sigmas**2) / step_sizes(sigmas, 1.0)).min()

# %% 7 | wrong step sizes
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha**0.5 * torch.randn_like(x)
    return x

# %% 0 | double precision, errors for warnings, and no gradients
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
np.seterr(all="raise")
import warnings
warnings.simplefilter("error")
torch.set_printoptions(precision=2)
