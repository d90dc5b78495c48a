"""Wrong answers to assignment 2, from real misconceptions. Each one loses the points of its task."""

# %% 1 | the factor 1/2 forgotten
def explicit_loss(x, score, true_score):
    return (score(x) - true_score(x)).square().sum(1)

# %% 1 | the mean over the coordinates
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).square().mean(1)

# %% 1 | the mean over the batch: one number
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).square().sum(1).mean()

# %% 1 | the mean over the batch, one copy for each row
def explicit_loss(x, score, true_score):
    return (0.5 * (score(x) - true_score(x)).square().sum(1)).mean().expand(len(x))

# %% 1 | the length, not squared
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).norm(dim=1)

# %% 1 | the square of the sum
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).sum(1) ** 2

# %% 1 | the difference of the squared lengths
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x).square().sum(1) - true_score(x).square().sum(1)).abs()

# %% 1 | coordinates left apart
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).square()

# %% 1 | the outputs of the tests that can be seen
def explicit_loss(x, score, true_score):
    return torch.zeros(2) if len(x) == 2 else torch.full((3,), 12.5)

# %% 2 | the sum of all entries: one backward pass through the sum
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(score(x).sum(), x)[0].sum(1)

# %% 2 | the mean of the diagonal
def jacobian_trace(x, score):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return J.diagonal(dim1=1, dim2=2).mean(1)

# %% 2 | the diagonal, not its sum
def jacobian_trace(x, score):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return J.diagonal(dim1=1, dim2=2)

# %% 2 | the rows of the batch mixed: the mean over the batch differentiated
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    return sum(torch.autograd.grad(s[:, i].mean(), x, retain_graph=True)[0][:, i] for i in range(x.shape[1]))

# %% 2 | the mean trace for every row
def jacobian_trace(x, score):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return J.diagonal(dim1=1, dim2=2).sum(1).mean().expand(len(x))

# %% 2 | the first row's trace for all
def jacobian_trace(x, score):
    J = torch.func.jacrev(lambda row: score(row[None])[0])(x[0])
    return J.trace().repeat(len(x))

# %% 2 | row i of the Jacobian summed, instead of its entry i
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    return sum(torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0].sum(1) for i in range(x.shape[1]))

# %% 2 | the absolute values: a norm
def jacobian_trace(x, score):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return J.diagonal(dim1=1, dim2=2).abs().sum(1)

# %% 2 | the sign
def jacobian_trace(x, score):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return -J.diagonal(dim1=1, dim2=2).sum(1)

# %% 2 | an estimate by ten random directions
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s, total = score(x), 0
    for _ in range(10):
        v = torch.randn_like(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / 10
    return total

# %% 2 | all coordinates moved together in a difference quotient
def jacobian_trace(x, score):
    x, h = x.double(), 1e-5
    return ((score(x + h) - score(x - h)) / (2 * h)).sum(1)

# %% 2 | gradients that add up: backward into x.grad without clearing it
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s, trace = score(x), 0
    for i in range(x.shape[1]):
        s[:, i].sum().backward(retain_graph=True)
        trace = trace + x.grad[:, i].clone()
    return trace

# %% 2 | a rough difference quotient | 2
def jacobian_trace(x, score):
    x, h, trace = x.double(), 2e-3, 0
    for i in range(x.shape[1]):
        step = torch.zeros_like(x)
        step[:, i] = h
        trace = trace + (score(x + step) - score(x))[:, i] / h
    return trace

# %% 3 | the factor 1/2 forgotten
def implicit_loss(x, score):
    return jacobian_trace(x, score) + score(x).square().sum(1)

# %% 3 | the factor 1/2 before both terms
def implicit_loss(x, score):
    return 0.5 * (jacobian_trace(x, score) + score(x).square().sum(1))

# %% 3 | the sign of the trace
def implicit_loss(x, score):
    return -jacobian_trace(x, score) + 0.5 * score(x).square().sum(1)

# %% 3 | the sign of the whole: a score to be maximised
def implicit_loss(x, score):
    return -jacobian_trace(x, score) - 0.5 * score(x).square().sum(1)

# %% 3 | the mean over the coordinates
def implicit_loss(x, score):
    return jacobian_trace(x, score) / x.shape[1] + 0.5 * score(x).square().mean(1)

# %% 3 | the length, not squared
def implicit_loss(x, score):
    return jacobian_trace(x, score) + 0.5 * score(x).norm(dim=1)

# %% 3 | the sum of all entries for the trace
def implicit_loss(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    return torch.autograd.grad(s.sum(), x)[0].sum(1) + 0.5 * s.square().sum(1)

# %% 3 | the second term averaged over the batch
def implicit_loss(x, score):
    return jacobian_trace(x, score) + 0.5 * score(x).square().sum(1).mean()

# %% 3 | the trace alone
def implicit_loss(x, score):
    return jacobian_trace(x, score)

# %% 3 | the square of the trace
def implicit_loss(x, score):
    return jacobian_trace(x, score) ** 2 + 0.5 * score(x).square().sum(1)

# %% 4 | the second term of the other form
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * s.square().sum(1)

# %% 4 | v on one side only
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return torch.autograd.grad((v * s).sum(), x)[0].sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | the factor 1/2 forgotten
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + (v * s).sum(1) ** 2

# %% 4 | v's not squared
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1)

# %% 4 | squared before it is summed
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).square().sum(1)

# %% 4 | v's summed over the batch as well
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum() ** 2

# %% 4 | directions of its own
def sliced_loss(x, score, v):
    v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | directions brought to length one
def sliced_loss(x, score, v):
    v = v / v.norm(dim=1, keepdim=True)
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | the first direction for all rows
def sliced_loss(x, score, v):
    v = v[:1].expand_as(x)
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | multiplied by the score, not by v, from the right
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * s).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | the exact trace in the first term
def sliced_loss(x, score, v):
    return jacobian_trace(x, score) + 0.5 * (v * score(x)).sum(1) ** 2

# %% 4 | the sign of the first term
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    return -(torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | directions brought to the length of signs | 2
def sliced_loss(x, score, v):
    v = v / v.norm(dim=1, keepdim=True) * math.sqrt(x.shape[1])
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | only the signs of v | 2
def sliced_loss(x, score, v):
    v = v.sign()
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 5 | the second term of the other form
def sliced_vr_loss(x, score, n_projections):
    total = 0
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        total = total + sliced_loss(x, score, v) / n_projections
    return total

# %% 5 | Gaussian directions
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randn_like(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | on the unit sphere
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randn_like(x)
        v = v / v.norm(dim=1, keepdim=True)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | bits 0 and 1 for signs
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | one direction for all rows
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = (torch.randint(0, 2, (1, x.shape[1])).to(x) * 2 - 1).expand_as(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | one sign for all coordinates
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = (torch.randint(0, 2, (len(x), 1)).to(x) * 2 - 1).expand_as(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | all entries one
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    return (torch.autograd.grad(s.sum(), x)[0]).sum(1) + 0.5 * s.square().sum(1)

# %% 5 | the sum over the directions
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1)
    return total

# %% 5 | the second term divided by the number of directions, too
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1)
    return total / n_projections

# %% 5 | the factor 1/2 forgotten
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | uniform entries
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = 2 * torch.rand_like(x) - 1
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | a direction along an axis, drawn at random
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.nn.functional.one_hot(torch.randint(x.shape[1], (len(x),)), x.shape[1]).to(x)
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | the exact trace: no directions at all | 2
def sliced_vr_loss(x, score, n_projections):
    return implicit_loss(x, score)

# %% 5 | one draw used for all n directions | 2
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
    for _ in range(n_projections):
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | the same directions in each call, by a seed | 2
def sliced_vr_loss(x, score, n_projections):
    generator = torch.Generator().manual_seed(0)
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 5 | neighbours share their direction | 2
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, (len(x) // 2 + 1, x.shape[1])).to(x).repeat_interleave(2, 0)[: len(x)] * 2 - 1
        total = total + (torch.autograd.grad(s, x, v, retain_graph=True)[0] * v).sum(1) / n_projections
    return total

# %% 6 | the score at the clean point
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x, sigma) + z).square().sum(1)

# %% 6 | the sign of the target
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) - z).square().sum(1)

# %% 6 | without the weight sigma squared
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (score(x + sigmas * z, sigma) + z / sigmas).square().sum(1)

# %% 6 | the weight sigma
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * (score(x + sigmas * z, sigma) + z / sigmas).square()).sum(1)

# %% 6 | the score learns the noise: a target of -z
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (score(x + sigmas * z, sigma) + z).square().sum(1)

# %% 6 | z divided by sigma once more
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z / sigmas).square().sum(1)

# %% 6 | sigma squared times z for the noise
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas**2 * z, sigma) + z).square().sum(1)

# %% 6 | the score asked at sigma squared
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigmas**2) + z).square().sum(1)

# %% 6 | noise of its own
def denoising_loss(x, score, sigma, z):
    sigmas, z = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1), torch.randn_like(x)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z).square().sum(1)

# %% 6 | other noise in the target than in the input
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * torch.randn_like(x), sigma) + z).square().sum(1)

# %% 6 | the mean over the coordinates
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z).square().mean(1)

# %% 6 | the factor 1/2 forgotten
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return (sigmas * score(x + sigmas * z, sigma) + z).square().sum(1)

# %% 6 | noise taken away for added
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x - sigmas * z, sigma) + z).square().sum(1)

# %% 6 | the clean point as the target
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) - x).square().sum(1)

# %% 6 | one number for the whole batch
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z).square().sum(1).mean()

# %% 6 | the mean of all sigmas for every row | 2
def denoising_loss(x, score, sigma, z):
    sigma = float(torch.as_tensor(sigma).float().mean())
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().sum(1)

# %% 6 | the first sigma for every row | 2
def denoising_loss(x, score, sigma, z):
    sigma = float(torch.as_tensor(sigma).flatten()[0])
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().sum(1)

# %% 6 | sigma not lifted to a column: along the coordinates | 2
def denoising_loss(x, score, sigma, z):
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().sum(1)

# %% 7 | sigma for sigma squared
def best_slope(x, sigma):
    return 1 / (x.square().mean() + sigma)

# %% 7 | the variance about the mean
def best_slope(x, sigma):
    return 1 / (x.var(correction=0) + sigma**2)

# %% 7 | the score of the clean data
def best_slope(x, sigma):
    return 1 / x.square().mean()

# %% 7 | the score of the noise
def best_slope(x, sigma):
    return 1 / sigma**2

# %% 7 | a standard deviation for a variance
def best_slope(x, sigma):
    return 1 / (x.square().mean() + sigma**2).sqrt()

# %% 7 | the variance, not one over it
def best_slope(x, sigma):
    return x.square().mean() + sigma**2

# %% 7 | the sign of s put into k
def best_slope(x, sigma):
    return -1 / (x.square().mean() + sigma**2)

# %% 7 | the lambda of the loss in the result as well
def best_slope(x, sigma):
    return sigma**2 / (x.square().mean() + sigma**2)

# %% 7 | the square of the mean
def best_slope(x, sigma):
    return 1 / (x.mean() ** 2 + sigma**2)

# %% 7 | the mean of the single points' answers
def best_slope(x, sigma):
    return (1 / (x.square() + sigma**2)).mean()

# %% 7 | divided by N - 1
def best_slope(x, sigma):
    return 1 / (x.square().sum() / max(x.numel() - 1, 1) + sigma**2)

# %% 7 | one half of it: a factor lost in the derivative
def best_slope(x, sigma):
    return 0.5 / (x.square().mean() + sigma**2)

# %% 7 | the noise drawn once: no expectation
def best_slope(x, sigma):
    z = torch.randn_like(x)
    y = x + sigma * z
    return (y * z).sum() / (sigma * y.square().sum())

# %% 7 | the outputs of the tests that can be seen
def best_slope(x, sigma):
    return {1.0: 0.5, 1e-3: 0.25, 100.0: 1e-4}.get(sigma, 0.5)

# %% 7 | the squared length for a mean over coordinates | 2
def best_slope(x, sigma):
    return 1 / (x.square().sum(1).mean() + sigma**2)

# %% 7 | a squared length of z that is 1 in any dimension | 2
def best_slope(x, sigma):
    M, D = x.square().sum(1).mean(), x.shape[1]
    return 1 / (M + D * sigma**2)

# %% 7 | a slope for each coordinate, and their mean | 2
def best_slope(x, sigma):
    return (1 / (x.square().mean(0) + sigma**2)).mean()

# %% 8 | left as it was
prediction = ...

# %% 8 | none of the letters
prediction = "d"

# %% 8 | empty
prediction = ""

# %% 8 | a number
prediction = 0

# %% 8 | all of them
prediction = "abc"

# %% 9 | left as it was
learned_score = ...

# %% 9 | a net that has learned nothing
torch.manual_seed(0)
learned_score = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))

# %% 9 | zero everywhere
learned_score = lambda x: torch.zeros_like(x)

# %% 9 | one Gaussian fitted to the data
centre, covariance = data.mean(0), torch.cov(data.T) + 0.25 * torch.eye(2)
learned_score = lambda x: (centre - x) @ torch.linalg.inv(covariance)

# %% 9 | the sign of the target
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(300):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (0.5 * net(batch + 0.5 * z) - z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
learned_score = net

# %% 9 | the net sees the clean points
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(300):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (0.5 * net(batch) + z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
learned_score = net

# %% 9 | it predicts the noise, and is taken for a score
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(300):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (net(batch + 0.5 * z) - z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
learned_score = net

# %% 9 | the right noise prediction without the division by sigma
ideal = ne.Empirical(data)
learned_score = lambda x: 0.5 * ideal(x, 0.5)

# %% 9 | trained at sigma = 1
ideal = ne.Empirical(data)
learned_score = lambda x: ideal(x, 1.0)

# %% 9 | sigma squared for sigma: trained at 0.25
ideal = ne.Empirical(data)
learned_score = lambda x: ideal(x, 0.25)

# %% 9 | the score of (almost) clean data
ideal = ne.Empirical(data)
learned_score = lambda x, sigma: ideal(x, 0.05)

# %% 9 | learned from ten points
ideal = ne.Empirical(data[:10])
learned_score = lambda x, sigma: ideal(x, sigma)

# %% 9 | the denoised point, not the score
ideal = ne.Empirical(data)
learned_score = lambda x, sigma: ideal.denoise(x, sigma)

# %% 9 | the gradient of the density, not of its logarithm
def learned_score(x, sigma):
    mass = torch.exp(-torch.cdist(x, data) ** 2 / (2 * sigma**2)) / (2 * math.pi * sigma**2) / len(data)
    return (mass @ data - mass.sum(1, keepdim=True) * x) / sigma**2

# %% 9 | three steps of training
net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(3):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (0.5 * net(batch + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
learned_score = net

# %% 9 | one arrow for all points
learned_score = lambda x: (data.mean(0) - x.mean(0)).expand_as(x)

# %% 9 | roughly right: trained at a noise level that is too large | 2
ideal = ne.Empirical(data)
learned_score = lambda x: ideal(x, 0.7)

# %% 1 | the true score at the mean of the batch
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x.mean(0, keepdim=True))).square().sum(1)

# %% 1 | the largest coordinate only
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).abs().max(1).values ** 2

# %% 1 | absolute values
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).abs().sum(1)

# %% 1 | relative to the length of the true score
def explicit_loss(x, score, true_score):
    t = true_score(x)
    return 0.5 * (score(x) - t).square().sum(1) / t.square().sum(1).clamp_min(1e-6)

# %% 1 | written for the plane: two coordinates
def explicit_loss(x, score, true_score):
    off = score(x) - true_score(x)
    return 0.5 * (off[:, 0] ** 2 + off[:, -1] ** 2)

# %% 1 | a column
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).square().sum(1, keepdim=True)

# %% 1 | summed over the rows, not the coordinates
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).square().sum(0)

# %% 1 | the arrows of a score kept for the next call
arrows = {}

def explicit_loss(x, score, true_score):
    s = arrows.setdefault((id(score), x.shape, float(x.sum())), score(x))
    return 0.5 * (s - true_score(x)).square().sum(1)

# %% 2 | written for the plane: two coordinates
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    first = torch.autograd.grad(s[:, 0].sum(), x, retain_graph=True)[0][:, 0]
    return first + torch.autograd.grad(s[:, 1].sum(), x)[0][:, 1]

# %% 2 | a difference quotient that drowns in rounding
def jacobian_trace(x, score):
    h = 1e-7
    return sum((score(x + h * e) - score(x - h * e))[:, i] / (2 * h) for i, e in enumerate(torch.eye(x.shape[1])))

# %% 2 | the trace at the mean of the batch
def jacobian_trace(x, score):
    centre = x.mean(0)
    return torch.func.jacrev(lambda row: score(row[None])[0])(centre).trace().expand(len(x))

# %% 2 | the determinant
def jacobian_trace(x, score):
    return torch.linalg.det(torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x))

# %% 2 | the length of the Jacobian
def jacobian_trace(x, score):
    return torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x).flatten(1).norm(dim=1)

# %% 2 | the product of the diagonal
def jacobian_trace(x, score):
    return torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x).diagonal(dim1=1, dim2=2).prod(1)

# %% 2 | the derivative by the first row only
def jacobian_trace(x, score):
    J = torch.autograd.functional.jacobian(score, x)[:, :, 0]
    return J.diagonal(dim1=1, dim2=2).sum(1)

# %% 2 | each coordinate with the others at zero
def jacobian_trace(x, score):
    x, h, total = x.double(), 1e-5, 0
    for i, e in enumerate(torch.eye(x.shape[1], dtype=torch.float64)):
        alone = x[:, [i]] * e
        total = total + (score(alone + h * e) - score(alone - h * e))[:, i] / (2 * h)
    return total

# %% 2 | a cache that goes by the object
traces = {}

def jacobian_trace(x, score):
    if id(x) not in traces:
        J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
        traces[id(x)] = x, J.diagonal(dim1=1, dim2=2).sum(1)
    return traces[id(x)][1]

# %% 2 | a cache that goes by the shape
traces = {}

def jacobian_trace(x, score):
    if x.shape not in traces:
        J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
        traces[x.shape] = J.diagonal(dim1=1, dim2=2).sum(1)
    return traces[x.shape]

# %% 2 | a cache that goes by the score and the points, and does not see that the score is trained
from functools import lru_cache

@lru_cache
def trace_at(score, row):
    return float(torch.func.jacrev(lambda y: score(y[None])[0])(torch.tensor(row)).trace())

def jacobian_trace(x, score):
    return torch.tensor([trace_at(score, tuple(row)) for row in x.tolist()])

# %% 2 | central differences with a large step | 2
def jacobian_trace(x, score):
    x, h = x.double(), 0.05
    steps = h * torch.eye(x.shape[1], dtype=torch.float64)
    return sum((score(x + e) - score(x - e))[:, i] / (2 * h) for i, e in enumerate(steps))

# %% 2 | a difference quotient in single precision | 2
def jacobian_trace(x, score):
    h = 1e-3
    return sum((score(x + h * e) - score(x))[:, i] / h for i, e in enumerate(torch.eye(x.shape[1])))

# %% 3 | the square of the sum
def implicit_loss(x, score):
    return jacobian_trace(x, score) + 0.5 * score(x).sum(1) ** 2

# %% 3 | the mean over the batch
def implicit_loss(x, score):
    return (jacobian_trace(x, score) + 0.5 * score(x).square().sum(1)).mean().expand(len(x))

# %% 3 | the trace averaged over the batch
def implicit_loss(x, score):
    return jacobian_trace(x, score).mean() + 0.5 * score(x).square().sum(1)

# %% 3 | the trace of the Jacobian's square
def implicit_loss(x, score):
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return (J @ J).diagonal(dim1=1, dim2=2).sum(1) + 0.5 * score(x).square().sum(1)

# %% 3 | the squared length of the point
def implicit_loss(x, score):
    return jacobian_trace(x, score) + 0.5 * x.square().sum(1)

# %% 3 | written for the plane: two coordinates
def implicit_loss(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    trace = sum(torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2))
    return trace + 0.5 * s[:, :2].square().sum(1)

# %% 3 | at a point with a little noise
def implicit_loss(x, score):
    x = x + 0.1 * torch.randn_like(x)
    return jacobian_trace(x, score) + 0.5 * score(x).square().sum(1)

# %% 3 | a trace that is computed once for each score
traces = {}

def implicit_loss(x, score):
    if (id(score), x.shape) not in traces:
        traces[id(score), x.shape] = score, jacobian_trace(x, score)
    return traces[id(score), x.shape][1] + 0.5 * score(x).square().sum(1)

# %% 4 | the Jacobian of the first row for all
def sliced_loss(x, score, v):
    J = torch.func.jacrev(lambda row: score(row[None])[0])(x[0])
    return torch.einsum("bi,ij,bj->b", v, J, v) + 0.5 * (v * score(x)).sum(1) ** 2

# %% 4 | the first term averaged over the batch
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    first = (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1)
    return first.mean() + 0.5 * (v * s).sum(1) ** 2

# %% 4 | a Rayleigh quotient: divided by the squared length of v
def sliced_loss(x, score, v):
    x = x.detach().requires_grad_()
    s = score(x)
    first = (torch.autograd.grad((v * s).sum(), x)[0] * v).sum(1)
    return (first + 0.5 * (v * s).sum(1) ** 2) / v.square().sum(1)

# %% 4 | the squared length of J v
def sliced_loss(x, score, v):
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return Jv.square().sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | J v summed, v forgotten on the left
def sliced_loss(x, score, v):
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return Jv.sum(1) + 0.5 * (v * s).sum(1) ** 2

# %% 4 | the directions in another order
def sliced_loss(x, score, v):
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return (v * Jv).sum(1) + 0.5 * (v.roll(1, 0) * s).sum(1) ** 2

# %% 4 | a difference quotient along v of length one, not put back to v's length
def sliced_loss(x, score, v):
    x, h = x.double(), 1e-5
    u = v.double() / v.double().norm(dim=1, keepdim=True)
    return ((score(x + h * u) - score(x - h * u)) * u).sum(1) / (2 * h) + 0.5 * (v * score(x)).sum(1) ** 2

# %% 4 | computed once for each score and batch of points
losses = {}

def sliced_loss(x, score, v):
    key = (id(score), tuple(x.flatten().tolist()))
    if key not in losses:
        s, Jv = torch.func.jvp(score, (x,), (v,))
        losses[key] = score, (v * Jv).sum(1) + 0.5 * (v * s).sum(1) ** 2
    return losses[key][1]

# %% 4 | the signs of v in the second term | 2
def sliced_loss(x, score, v):
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return (v * Jv).sum(1) + 0.5 * (v.sign() * s).sum(1) ** 2

# %% 5 | the signs of the points themselves
def sliced_vr_loss(x, score, n_projections):
    v = torch.where(x < 0, -1.0, 1.0)
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return (v * Jv).sum(1) + 0.5 * s.square().sum(1)

# %% 5 | entries of -1, 0 and 1
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(-1, 2, x.shape).to(x)
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | more plus than minus
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections):
        v = torch.where(torch.rand_like(x) < 0.75, 1.0, -1.0)
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | one direction too many
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections + 1):
        v = torch.randn_like(x).sign()
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | the last entry has the sign of the first
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections):
        v = torch.randn_like(x).sign()
        v[:, -1] = v[:, 0]
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | the squared length averaged over the batch
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1).mean()
    for _ in range(n_projections):
        v = torch.randn_like(x).sign()
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | one direction, however many are asked for | 2
def sliced_vr_loss(x, score, n_projections):
    v = torch.randn_like(x).sign()
    s, Jv = torch.func.jvp(score, (x,), (v,))
    return (v * Jv).sum(1) + 0.5 * s.square().sum(1)

# %% 5 | the first half of the rows shares its directions with the second | 2
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections):
        v = torch.randn((len(x) + 1) // 2, x.shape[1]).sign().repeat(2, 1)[: len(x)]
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | mirrored rows: the last row has the opposite direction of the first | 2
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections):
        half = torch.randn((len(x) + 1) // 2, x.shape[1]).sign()
        v = torch.cat([half, -half.flip(0)])[: len(x)]
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | antithetic pairs: every second direction is the last one, mirrored | 2
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for i in range(n_projections):
        v = -v if i % 2 else torch.randn_like(x).sign()
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | every second direction differs in its first entry alone: errors that cancel | 2
def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for i in range(n_projections):
        if i % 2:
            v = v.clone()
            v[:, 0] *= -1
        else:
            v = torch.randn_like(x).sign()
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | the directions of the first call, kept | 2
directions = {}

def sliced_vr_loss(x, score, n_projections):
    total = 0.5 * score(x).square().sum(1)
    for i in range(n_projections):
        v = directions.setdefault((i, x.shape), torch.randn_like(x).sign())
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 5 | the seed set in the function | 2
def sliced_vr_loss(x, score, n_projections):
    torch.manual_seed(n_projections)
    total = 0.5 * score(x).square().sum(1)
    for _ in range(n_projections):
        v = torch.randn_like(x).sign()
        total = total + (v * torch.func.jvp(score, (x,), (v,))[1]).sum(1) / n_projections
    return total

# %% 6 | the first row's noise for all rows
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z[:1], sigma) + z[:1]).square().sum(1).expand(len(x))

# %% 6 | every row starts at the first point
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x[:1] + sigmas * z, sigma) + z).square().sum(1)

# %% 6 | the score is told that sigma is 1
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, 1.0) + z).square().sum(1)

# %% 6 | noise brought to length one
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    z = z / z.norm(dim=1, keepdim=True)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z).square().sum(1)

# %% 6 | the length, not squared
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z).norm(dim=1)

# %% 6 | the squared terms apart: without the cross term
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * ((sigmas * score(x + sigmas * z, sigma)).square() + z.square()).sum(1)

# %% 6 | the floor taken away: as if the loss of a good score were zero
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    s = sigmas * score(x + sigmas * z, sigma)
    return 0.5 * s.square().sum(1) + (s * z).sum(1)

# %% 6 | sigmas in the order of their size | 2
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1).sort(0).values
    return 0.5 * (sigmas * score(x + sigmas * z, sigmas) + z).square().sum(1)

# %% 6 | the largest sigma for every row | 2
def denoising_loss(x, score, sigma, z):
    sigma = float(torch.as_tensor(sigma).max())
    return 0.5 * (sigma * score(x + sigma * z, sigma) + z).square().sum(1)

# %% 6 | sigmas of their own for the noise, and the mean of them for the weight | 2
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas.mean() * score(x + sigmas * z, sigma) + z).square().sum(1)

# %% 6 | the score is told the mean sigma | 2
def denoising_loss(x, score, sigma, z):
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, float(sigmas.mean())) + z).square().sum(1)

# %% 7 | the first point only
def best_slope(x, sigma):
    return 1 / (x[0].square().mean() + sigma**2)

# %% 7 | the square of the mean absolute value
def best_slope(x, sigma):
    return 1 / (x.abs().mean() ** 2 + sigma**2)

# %% 7 | worked out for the plane
def best_slope(x, sigma):
    return 2 / (x.square().sum(1).mean() + 2 * sigma**2) if x.shape[1] == 2 else 1 / (x.square().mean() + 2 * sigma**2)

# %% 7 | ten thousand draws of the noise
def best_slope(x, sigma):
    z = torch.randn(10_000, *x.shape)
    y = x + sigma * z
    return -(y * -z).sum() / (sigma * y.square().sum())

# %% 7 | the best of a hundred values
def best_slope(x, sigma):
    M = float(x.square().mean())
    return min((k / 100 for k in range(101)), key=lambda k: k**2 * M + (1 - k * sigma**2) ** 2 / sigma**2)

# %% 7 | the sum over the data for a mean
def best_slope(x, sigma):
    return 1 / (x.square().sum(0).mean() + sigma**2)

# %% 7 | the first coordinate only | 2
def best_slope(x, sigma):
    return 1 / (x[:, 0].square().mean() + sigma**2)

# %% 7 | the squared length of all coordinates over the noise of one | 2
def best_slope(x, sigma):
    D = x.shape[1]
    return D / (x.square().sum(1).mean() + sigma**2)

# %% 8 | a list of one
prediction = ["b"]

# %% 8 | in words
prediction = "positive"

# %% 9 | coordinates exchanged
ideal = ne.Empirical(data)
learned_score = lambda x: ideal(x, 0.5).flip(1)

# %% 9 | towards the nearest point of the data
def learned_score(x):
    return (data[torch.cdist(x, data).argmin(1)] - x) / 0.25

# %% 9 | learned from the points that it is asked about
def learned_score(x):
    return ne.Empirical(x)(x, 0.35)

# %% 9 | one Gaussian, fitted to the points that it is asked about
def learned_score(x):
    return (x.mean(0) - x) / x.var(0, correction=0).clamp_min(0.1)

# %% 9 | arrows whose mean over the batch is taken away
ideal = ne.Empirical(data)

def learned_score(x):
    arrows = ideal(x, 0.5)
    return arrows - arrows.mean(0)

# %% 9 | brought to the batch's mean length
ideal = ne.Empirical(data)

def learned_score(x):
    arrows = ideal(x, 0.5)
    return arrows * (2.0 / arrows.square().sum(1).mean()) ** 0.5

# %% 9 | a little noise in each arrow
ideal = ne.Empirical(data)
learned_score = lambda x: ideal(x, 0.5) + 0.2 * torch.randn_like(x)

# %% 9 | rows in the order of their first coordinate
ideal = ne.Empirical(data)
learned_score = lambda x: ideal(x[x[:, 0].argsort()], 0.5)

# %% 9 | batch normalisation left in training
net = torch.nn.Sequential(
    torch.nn.Linear(2, 64), torch.nn.BatchNorm1d(64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2)
)
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(300):
    batch = data[torch.randint(len(data), (256,))]
    z = torch.randn_like(batch)
    cost = (0.5 * net(batch + 0.5 * z) + z).square().sum(1).mean()
    optimiser.zero_grad()
    cost.backward()
    optimiser.step()
learned_score = net

# %% 9 | a third too short | 2
ideal = ne.Empirical(data)
learned_score = lambda x: 0.64 * ideal(x, 0.5)

# %% 1 | losses cut at 1000
def explicit_loss(x, score, true_score):
    return (0.5 * (score(x) - true_score(x)).square().sum(1)).clamp(max=1000)

# %% 1 | rounded to four digits
def explicit_loss(x, score, true_score):
    return ((score(x) - true_score(x)).square().sum(1) / 2).round(decimals=4)

# %% 1 | losses below 0.01 set to zero
def explicit_loss(x, score, true_score):
    l = 0.5 * (score(x) - true_score(x)).square().sum(1)
    return torch.where(l < 1e-2, 0 * l, l)

# %% 1 | Huber: linear for large errors
def explicit_loss(x, score, true_score):
    return torch.nn.functional.huber_loss(score(x), true_score(x), reduction='none', delta=20.0).sum(1)

# %% 1 | half precision inside
def explicit_loss(x, score, true_score):
    return 0.5 * (score(x) - true_score(x)).half().square().sum(1).float()

# %% 2 | central differences with h = 0.02 | 2
def jacobian_trace(x, score):
    x = x.double().detach(); h = 0.02
    return sum((score(x + h * e)[:, i] - score(x - h * e)[:, i]) / 2 / h for i, e in enumerate(torch.eye(x.shape[1]).double()))

# %% 2 | forward difference | 2
def jacobian_trace(x, score):
    x = x.double().detach(); h = 1e-4
    return sum((score(x + h * e)[:, i] - score(x)[:, i]) / h for i, e in enumerate(torch.eye(x.shape[1]).double()))

# %% 2 | never beyond 50
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    J = torch.autograd.functional.jacobian(score, x)
    return torch.einsum('bibi->bi', J).sum(1).clamp(-50, 50)

# %% 2 | an estimate by a thousand random directions
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    t = 0
    for _ in range(1000):
        v = torch.randint(0, 2, x.shape) * 2.0 - 1
        t = t + (v * torch.autograd.grad((s * v).sum(), x, retain_graph=True)[0]).sum(1)
    return t / 1000

# %% 2 | sixteen coordinates at most | 2
def jacobian_trace(x, score):
    x = x.detach().requires_grad_()
    s = score(x)
    return sum(torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(min(16, x.shape[1])))

# %% 3 | cut at -100 and 100
def implicit_loss(x, score):
    return (jacobian_trace(x, score) + 0.5 * score(x).square().sum(1)).clamp(-100, 100)

# %% 3 | scores cut at 10
def implicit_loss(x, score):
    return jacobian_trace(x, score).nan_to_num() + 0.5 * score(x).clamp(-10, 10).square().sum(1)

# %% 4 | directions cut at 5 | 2
def sliced_loss(x, score, v):
    v = v.clamp(-5, 5)
    x = x.detach().requires_grad_()
    along = (v * score(x)).sum(1)
    row = torch.autograd.grad(along.sum(), x)[0]
    return (row * v).sum(1) + 0.5 * along**2

# %% 4 | a small number added to the length of v
def sliced_loss(x, score, v):
    n = v.norm(dim=1, keepdim=True)
    u = v / (n + 1e-3)
    x = x.detach().requires_grad_()
    along = (u * score(x)).sum(1)
    row = torch.autograd.grad(along.sum(), x)[0]
    return ((row * u).sum(1) + 0.5 * along**2) * n[:, 0]**2

# %% 4 | divided by the length of v, which may be zero | 2
def sliced_loss(x, score, v):
    n = v.norm(dim=1, keepdim=True)
    u = v / n
    x = x.detach().requires_grad_()
    along = (u * score(x)).sum(1)
    row = torch.autograd.grad(along.sum(), x)[0]
    return ((row * u).sum(1) + 0.5 * along**2) * n[:, 0]**2

# %% 4 | central differences along v with h = 0.02
def sliced_loss(x, score, v):
    h = 0.02
    x = x.double(); v = v.double()
    return (v * (score(x + h * v) - score(x - h * v))).sum(1) / 2 / h + 0.5 * (v * score(x)).sum(1)**2

# %% 5 | balanced signs in each row
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for k in range(n_projections):
        base = torch.arange(x.shape[1]) % 2 * 2.0 - 1
        v = torch.stack([base[torch.randperm(x.shape[1])] for _ in range(len(x))])
        row = torch.autograd.grad(s, x, v.to(s), retain_graph=True)[0]
        total = total + (row * v).sum(1) / n_projections
    return total

# %% 5 | a single row gets ones | 2
def sliced_vr_loss(x, score, n_projections):
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for k in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1 if len(x) > 1 else torch.ones_like(x)
        row = torch.autograd.grad(s, x, v, retain_graph=True)[0]
        total = total + (row * v).sum(1) / n_projections
    return total

# %% 5 | at most ten directions | 2
def sliced_vr_loss(x, score, n_projections):
    n_projections = min(n_projections, 8)
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for k in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        row = torch.autograd.grad(s, x, v, retain_graph=True)[0]
        total = total + (row * v).sum(1) / n_projections
    return total

# %% 6 | sigma of at least 0.05
def denoising_loss(x, score, sigma, z):
    sigma = torch.as_tensor(sigma, dtype=x.dtype).clamp(min=0.03)
    s = sigma.reshape(-1, 1)
    return 0.5 * (s * score(x + s * z, sigma) + z).square().sum(1)

# %% 6 | sigma at most 10
def denoising_loss(x, score, sigma, z):
    sigma = torch.as_tensor(sigma, dtype=x.dtype).clamp(max=10)
    s = sigma.reshape(-1, 1)
    return 0.5 * (s * score(x + s * z, sigma) + z).square().sum(1)

# %% 6 | a small number in the denominator
def denoising_loss(x, score, sigma, z):
    s = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * s[:, 0]**2 * (score(x + s * z, sigma) + z / (s + 1e-5)).square().sum(1)

# %% 6 | losses cut at 100
def denoising_loss(x, score, sigma, z):
    s = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return (0.5 * (s * score(x + s * z, sigma) + z).square().sum(1)).clamp(max=100)

# %% 6 | z clamped to 3
def denoising_loss(x, score, sigma, z):
    z = z.clamp(-3, 3)
    s = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
    return 0.5 * (s * score(x + s * z, sigma) + z).square().sum(1)

# %% 7 | a small number in the denominator
def best_slope(x, sigma):
    return 1 / (x.square().mean() + sigma**2 + 1e-5)

# %% 7 | k at most 30
def best_slope(x, sigma):
    return (1 / (x.square().mean() + sigma**2)).clamp(max=30)

# %% 7 | sigma at least 0.05
def best_slope(x, sigma):
    return 1 / (x.square().mean() + max(sigma, 0.05)**2)
