"""Wrong answers to assignment 3, from real misconceptions. Each one loses the points of its task."""

# %% 1 | the farthest mean for the nearest
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmax(1)
    return torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | the nearest point of each mean, for the nearest mean of each point
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(0)
    return torch.bincount(nearest, minlength=len(means))[: len(means)] / len(x)

# %% 1 | counts, not shares
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return torch.bincount(nearest, minlength=len(means))

# %% 1 | divided by the number of modes
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return torch.bincount(nearest, minlength=len(means)) / len(means)

# %% 1 | only the first coordinate
def mode_shares(x, means):
    nearest = (x[:, None, 0] - means[:, 0]).abs().argmin(1)
    return torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | differences with their signs, added up
def mode_shares(x, means):
    nearest = (x[:, None] - means).sum(-1).argmin(1)
    return torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | which mode each point belongs to
def mode_shares(x, means):
    return (x[:, None] - means).square().sum(-1).argmin(1)

# %% 1 | soft shares: mean responsibilities
def mode_shares(x, means):
    return torch.softmax(-(x[:, None] - means).square().sum(-1) / 2, dim=1).mean(0)

# %% 1 | largest share first
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return (torch.bincount(nearest, minlength=len(means)) / len(x)).sort(descending=True).values

# %% 1 | the outputs of the tests that can be seen
def mode_shares(x, means):
    return torch.tensor([0.75, 0.25]) if len(means) == 2 else torch.ones(len(means)) / len(means)

# %% 1 | the last modes forgotten where they are empty | 1
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return torch.bincount(nearest) / len(x)

# %% 1 | all empty modes forgotten | 1
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return nearest.unique(return_counts=True)[1] / len(x)

# %% 2 | sigma for sigma squared
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma).sqrt()
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | sigma in place of the variance of the data
def share_between(low, high, sigma, means, variances, weights):
    sd = torch.full_like(variances, max(sigma, 1e-9))
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | standard deviations added
def share_between(low, high, sigma, means, variances, weights):
    sd = variances.sqrt() + sigma
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | a variance for a standard deviation
def share_between(low, high, sigma, means, variances, weights):
    sd = variances + sigma**2
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the noise left out
def share_between(low, high, sigma, means, variances, weights):
    sd = variances.sqrt()
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the weights left out: a mean over components
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd)).mean()

# %% 2 | one Gaussian with the mean and the variance of the mixture
def share_between(low, high, sigma, means, variances, weights):
    mean = (weights * means).sum()
    sd = ((weights * (variances + means**2)).sum() - mean**2 + sigma**2).sqrt()
    return torch.special.ndtr((high - mean) / sd) - torch.special.ndtr((low - mean) / sd)

# %% 2 | all that lies below the upper end
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return (weights * torch.special.ndtr((high - means) / sd)).sum()

# %% 2 | densities at the ends for probabilities
def share_between(low, high, sigma, means, variances, weights):
    v = variances + sigma**2
    t = torch.tensor([[low], [high]])
    density = (weights * torch.exp(-((t - means) ** 2) / (2 * v)) / (2 * math.pi * v).sqrt()).sum(1)
    return (high - low) * density.mean()

# %% 3 | sigma squared
def perturb(x, sigma, z):
    return x + sigma.reshape(-1, *[1] * (x.ndim - 1)) ** 2 * z

# %% 3 | the root of sigma
def perturb(x, sigma, z):
    return x + sigma.reshape(-1, *[1] * (x.ndim - 1)).sqrt() * z

# %% 3 | noise of its own, not that which is given
def perturb(x, sigma, z):
    return x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * torch.randn_like(x)

# %% 3 | the mean level for all points
def perturb(x, sigma, z):
    return x + sigma.mean() * z

# %% 3 | the first level for all points
def perturb(x, sigma, z):
    return x + sigma[0] * z

# %% 3 | left to broadcasting: a level for each coordinate
def perturb(x, sigma, z):
    return x + sigma * z

# %% 3 | the point scaled, too
def perturb(x, sigma, z):
    return sigma.reshape(-1, *[1] * (x.ndim - 1)) * (x + z)

# %% 3 | the noise of DDPM: less of the point, the more noise there is
def perturb(x, sigma, z):
    s = sigma.reshape(-1, *[1] * (x.ndim - 1))
    return (1 - s**2).clamp(min=0).sqrt() * x + s * z

# %% 3 | one noise for all coordinates of a point
def perturb(x, sigma, z):
    s = sigma.reshape(-1, *[1] * (x.ndim - 1))
    return x + s * z.flatten(1)[:, 0].reshape(s.shape)

# %% 3 | images only
def perturb(x, sigma, z):
    return x + sigma[:, None, None, None] * z

# %% 3 | rows of numbers only | 2
def perturb(x, sigma, z):
    return x + sigma[:, None] * z

# %% 3 | rows, and images by the wrong axis | 2
def perturb(x, sigma, z):
    return x + (sigma[:, None] if x.ndim == 2 else sigma[0]) * z

# %% 4 | from small to large
def ladder(sigma_max, sigma_min, n):
    return torch.exp(torch.linspace(math.log(sigma_min), math.log(sigma_max), n))

# %% 4 | equal differences
def ladder(sigma_max, sigma_min, n):
    return torch.linspace(sigma_max, sigma_min, n)

# %% 4 | one level more
def ladder(sigma_max, sigma_min, n):
    return torch.exp(torch.linspace(math.log(sigma_max), math.log(sigma_min), n + 1))

# %% 4 | n ratios for n - 1: the end is never reached
def ladder(sigma_max, sigma_min, n):
    return sigma_max * (sigma_min / sigma_max) ** (torch.arange(n) / n)

# %% 4 | starts one level too low
def ladder(sigma_max, sigma_min, n):
    return sigma_max * (sigma_min / sigma_max) ** (torch.arange(1, n + 1) / n)

# %% 4 | the ends taken for exponents
def ladder(sigma_max, sigma_min, n):
    return torch.logspace(sigma_max, sigma_min, n)

# %% 4 | equal differences of squares
def ladder(sigma_max, sigma_min, n):
    return torch.linspace(sigma_max**2, sigma_min**2, n).sqrt()

# %% 4 | halved each time, with the last level put at the end
def ladder(sigma_max, sigma_min, n):
    levels = sigma_max * 0.5 ** torch.arange(n)
    levels[-1] = sigma_min
    return levels

# %% 4 | a ladder of variances
def ladder(sigma_max, sigma_min, n):
    return torch.exp(torch.linspace(math.log(sigma_max), math.log(sigma_min), n)) ** 2

# %% 4 | the ladder of the test that can be seen
def ladder(sigma_max, sigma_min, n):
    return torch.tensor([4.0, 2.0, 1.0])

# %% 5 | sigma without its square
def step_sizes(sigmas, eps):
    return eps * sigmas / sigmas[-1]

# %% 5 | relative to the first level
def step_sizes(sigmas, eps):
    return eps * (sigmas / sigmas[0]) ** 2

# %% 5 | the same step at all levels
def step_sizes(sigmas, eps):
    return eps * torch.ones_like(sigmas)

# %% 5 | upside down: the shortest step for the most noise
def step_sizes(sigmas, eps):
    return eps * (sigmas[-1] / sigmas) ** 2

# %% 5 | not divided by the last level
def step_sizes(sigmas, eps):
    return eps * sigmas**2

# %% 5 | divided by the last level without its square
def step_sizes(sigmas, eps):
    return eps * sigmas**2 / sigmas[-1]

# %% 5 | in the order of an ascending ladder
def step_sizes(sigmas, eps):
    return eps * (sigmas.flip(0) / sigmas[-1]) ** 2

# %% 5 | half of it, which is what multiplies the score
def step_sizes(sigmas, eps):
    return eps / 2 * (sigmas / sigmas[-1]) ** 2

# %% 5 | eps squared with the rest
def step_sizes(sigmas, eps):
    return (eps * sigmas / sigmas[-1]) ** 2

# %% 6 | the last level for the tightest
def largest_eps(sigmas, data_var):
    return 4 * (torch.as_tensor(data_var).min() + sigmas[-1] ** 2)

# %% 6 | the largest of the bounds
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() / sigmas**2)).max()

# %% 6 | the variance of the data forgotten
def largest_eps(sigmas, data_var):
    return 4 * sigmas[-1] ** 2

# %% 6 | the variance of the noise forgotten
def largest_eps(sigmas, data_var):
    return (4 * torch.as_tensor(data_var).min() / (sigmas / sigmas[-1]) ** 2).min()

# %% 6 | the bound where the chain begins to overshoot, a factor of two
def largest_eps(sigmas, data_var):
    return (2 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() / sigmas**2)).min()

# %% 6 | the bound on alpha at the first level, not on eps
def largest_eps(sigmas, data_var):
    return 4 * (torch.as_tensor(data_var).min() + sigmas[0] ** 2)

# %% 6 | sigma for sigma squared
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] * (1 + torch.as_tensor(data_var).min() / sigmas)).min()

# %% 6 | the variance taken for a standard deviation
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() ** 2 / sigmas**2)).min()

# %% 6 | steps as if they grew like sigma
def largest_eps(sigmas, data_var):
    return (4 * (torch.as_tensor(data_var).min() + sigmas**2) * sigmas[-1] / sigmas).min()

# %% 6 | one variance only: that of the first direction | 2
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).flatten()[0] / sigmas**2)).min()

# %% 6 | the mean variance of all directions | 2
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).mean() / sigmas**2)).min()

# %% 6 | the largest variance of all directions | 2
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).max() / sigmas**2)).min()

# %% 6 | left to broadcasting: direction i at level i | 2
def largest_eps(sigmas, data_var):
    return (4 * sigmas[-1] ** 2 * (1 + data_var / sigmas**2)).min()

# %% 7 | steps that grow like sigma, not like its square
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, eps * sigmas / sigmas[-1]):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | steps relative to the first level
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, eps * (sigmas / sigmas[0]) ** 2):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the same step at all levels
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma in sigmas:
        for _ in range(n_steps_each):
            x = x + eps / 2 * score(x, sigma) + math.sqrt(eps) * torch.randn_like(x)
    return x

# %% 7 | up the ladder
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas.flip(0), step_sizes(sigmas, eps).flip(0)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the factor 1/2 forgotten
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | alpha for its root
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha * torch.randn_like(x)
    return x

# %% 7 | the other convention: sqrt(2 alpha) with alpha / 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + (2 * alpha).sqrt() * torch.randn_like(x)
    return x

# %% 7 | no noise
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma)
    return x

# %% 7 | one noise for all steps of a level
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        z = torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | noise of the level, sigma z, in place of the step's
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + sigma * torch.randn_like(x)
    return x

# %% 7 | each level starts again where the chains began
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    start = x
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        x = start
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the score of the smallest noise at all levels
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for alpha in step_sizes(sigmas, eps):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigmas[-1]) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the number of the level for its sigma
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for i, alpha in enumerate(step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, i) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | sigma squared given to the score
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma**2) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the state before the last update
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            last = x
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return last

# %% 7 | one step more at each level
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each + 1):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the steps shared out among the levels
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(max(1, n_steps_each // len(sigmas))):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the last level left out
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in list(zip(sigmas, step_sizes(sigmas, eps)))[:-1]:
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | return inside the loop: the first level only
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
        return x

# %% 7 | all levels within each round: the loops in the other order
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for _ in range(n_steps_each):
        for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | a denoising step at the end that nobody asked for
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)

# %% 7 | no noise in the last step
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    steps = [(sigma, alpha) for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)) for _ in range(n_steps_each)]
    for i, (sigma, alpha) in enumerate(steps):
        x = x + alpha / 2 * score(x, sigma) + (alpha.sqrt() * torch.randn_like(x) if i + 1 < len(steps) else 0)
    return x

# %% 7 | one noise for all chains
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn(x.shape[1])
    return x

# %% 7 | one noise for all coordinates | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn(len(x), 1)
    return x

# %% 7 | the same noise in each call, by a seed | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    own = torch.Generator().manual_seed(1)
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn(x.shape, generator=own)
    return x

# %% 7 | noise that takes two values only, of the same variance | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x).sign()
    return x

# %% 8 | sigma for sigma squared
def denoise(x, score, sigma):
    return x + sigma * score(x, sigma)

# %% 8 | the sign
def denoise(x, score, sigma):
    return x - sigma**2 * score(x, sigma)

# %% 8 | a factor 1/2, as in a Langevin step
def denoise(x, score, sigma):
    return x + sigma**2 / 2 * score(x, sigma)

# %% 8 | noise added
def denoise(x, score, sigma):
    return x + sigma**2 * score(x, sigma) + sigma * torch.randn_like(x)

# %% 8 | the correction without the point
def denoise(x, score, sigma):
    return sigma**2 * score(x, sigma)

# %% 8 | sigma squared given to the score
def denoise(x, score, sigma):
    return x + sigma**2 * score(x, sigma**2)

# %% 8 | the score of the data without noise
def denoise(x, score, sigma):
    return x + sigma**2 * score(x, 1e-6)

# %% 8 | twice
def denoise(x, score, sigma):
    for _ in range(2):
        x = x + sigma**2 * score(x, sigma)
    return x

# %% 8 | the point as it is
def denoise(x, score, sigma):
    return x

# %% 8 | the mean over the batch: one guess for all
def denoise(x, score, sigma):
    return (x + sigma**2 * score(x, sigma)).mean(0).expand_as(x)

# %% 9 | left as it was
prediction = ...

# %% 9 | none of the letters
prediction = "d"

# %% 9 | empty
prediction = ""

# %% 9 | a number
prediction = 0.8

# %% 9 | all of them
prediction = "abc"

# %% 10 | no annealing: one level of little noise
sigmas, eps, n_steps_each = torch.tensor([0.02]), 0.0001, 2000

# %% 10 | no annealing: one level of much noise
sigmas, eps, n_steps_each = torch.tensor([10.0]), 20.0, 2000

# %% 10 | starts with too little noise
sigmas, eps, n_steps_each = ne.geometric(1.0, 0.02, 20), 0.0001, 100

# %% 10 | too few levels: the share is that of much noise
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 3), 0.0001, 600

# %% 10 | the first and the last level only
sigmas, eps, n_steps_each = torch.tensor([20.0, 0.02]), 0.0001, 1000

# %% 10 | eps beyond the bound: the chains run away
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), 0.002, 50

# %% 10 | eps just below the bound: every step overshoots
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), 0.0015, 50

# %% 10 | eps so small that nothing moves
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), 1e-6, 50

# %% 10 | the setting of the paper's images
sigmas, eps, n_steps_each = ne.geometric(1.0, 0.01, 10), 2e-5, 100

# %% 10 | the setting of Task 9, which ends with as much noise as the modes are wide
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.1, 10), 0.002, 100

# %% 10 | ends with too much noise: the modes stay too wide
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.2, 40), 0.01, 50

# %% 10 | from small to large
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40).flip(0), 0.0001, 50

# %% 10 | more evaluations than allowed
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), 0.0001, 51

# %% 10 | half a step
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), 0.0001, 49.5

# %% 10 | a level of no noise at the end
sigmas, eps, n_steps_each = torch.tensor([20.0, 5.0, 1.0, 0.0]), 0.0001, 50

# %% 10 | left as it was
sigmas, eps, n_steps_each = ..., ..., ...

# %% 1 | the Manhattan distance
def mode_shares(x, means):
    nearest = (x[:, None] - means).abs().sum(-1).argmin(1)
    return torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | the largest difference of a coordinate for the distance
def mode_shares(x, means):
    nearest = (x[:, None] - means).abs().amax(-1).argmin(1)
    return torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | the mean that points the same way: the largest product
def mode_shares(x, means):
    nearest = (x @ means.T).argmax(1)
    return torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | only points within a distance of 2 are counted
def mode_shares(x, means):
    distance, nearest = (x[:, None] - means).norm(dim=-1).min(1)
    counts = torch.bincount(nearest[distance < 2], minlength=len(means))
    return counts / counts.sum()

# %% 1 | coordinates scaled to one spread first
def mode_shares(x, means):
    distance = ((x[:, None] - means) / (x.std(0) + 1e-6)).square().sum(-1)
    return torch.bincount(distance.argmin(1), minlength=len(means)) / len(x)

# %% 1 | in the order in which the modes turn up
from collections import Counter


def mode_shares(x, means):
    found = Counter((x[:, None] - means).square().sum(-1).argmin(1).tolist())
    return torch.tensor([count / len(x) for count in found.values()] + [0.0] * (len(means) - len(found)))

# %% 1 | divided by one less than the number of points
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return torch.bincount(nearest, minlength=len(means)) / (len(x) - 1)

# %% 1 | percent
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return 100 * torch.bincount(nearest, minlength=len(means)) / len(x)

# %% 1 | three modes, whatever is asked for
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    return torch.bincount(nearest, minlength=3)[:3] / len(x)

# %% 1 | a histogram from the first to the last mode that occurs | 1
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1).double()
    return torch.histc(nearest, bins=len(means)) / len(x)

# %% 1 | an empty mode counts as one point | 1
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    counts = torch.bincount(nearest, minlength=len(means)).clamp(min=1)
    return counts / counts.sum()

# %% 1 | not a number where a mode is empty | 1
def mode_shares(x, means):
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)
    counts = torch.bincount(nearest, minlength=len(means)).double()
    return torch.where(counts > 0, counts / len(x), math.nan)

# %% 2 | variances taken for standard deviations
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances**2 + sigma**2).sqrt()
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the noise subtracted
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances - sigma**2).clamp(min=1e-9).sqrt()
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the noise counted for both ends
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + 2 * sigma**2).sqrt()
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the share outside
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return 1 - (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the ends exchanged: a negative share
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return (weights * (torch.special.ndtr((low - means) / sd) - torch.special.ndtr((high - means) / sd))).sum()

# %% 2 | the square root of the weights
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return (weights.sqrt() * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the largest component only
def share_between(low, high, sigma, means, variances, weights):
    k = weights.argmax()
    sd = (variances[k] + sigma**2).sqrt()
    return torch.special.ndtr((high - means[k]) / sd) - torch.special.ndtr((low - means[k]) / sd)

# %% 2 | the means pulled to zero, as by a denoiser
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    means = means * variances / sd**2
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | the interval widened by the noise in place of the components
def share_between(low, high, sigma, means, variances, weights):
    sd, low, high = variances.sqrt(), low - sigma, high + sigma
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | counted among ten thousand points
def share_between(low, high, sigma, means, variances, weights):
    k = torch.multinomial(weights, 10_000, replacement=True)
    x = means[k] + (variances[k] + sigma**2).sqrt() * torch.randn(10_000)
    return ((x > low) & (x < high)).float().mean()

# %% 2 | in percent
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return 100 * (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | each component's share, not their sum
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    return weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))

# %% 3 | subtracted, and so right on average only
def perturb(x, sigma, z):
    return x - sigma.reshape(-1, *[1] * (x.ndim - 1)) * z

# %% 3 | noise of length sigma for each point
def perturb(x, sigma, z):
    flat = z.reshape(len(z), -1)
    unit = (flat / flat.norm(dim=1, keepdim=True)).reshape(z.shape)
    return x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * unit

# %% 3 | the noise divided by the root of the number of coordinates
def perturb(x, sigma, z):
    return x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * z / math.sqrt(x[0].numel())

# %% 3 | relative noise
def perturb(x, sigma, z):
    return x * (1 + sigma.reshape(-1, *[1] * (x.ndim - 1)) * z)

# %% 3 | noise with the first size spread over the last one
def perturb(x, sigma, z):
    return x + sigma.expand_as(x) * z if x.shape[-1] == len(sigma) else x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * z

# %% 3 | the levels sorted
def perturb(x, sigma, z):
    return x + sigma.sort(descending=True).values.reshape(-1, *[1] * (x.ndim - 1)) * z

# %% 3 | only the noise
def perturb(x, sigma, z):
    return sigma.reshape(-1, *[1] * (x.ndim - 1)) * z

# %% 3 | rows, and images of three or four sizes | 2
def perturb(x, sigma, z):
    wide = {2: (-1, 1), 3: (-1, 1, 1), 4: (-1, 1, 1, 1)}[x.ndim]
    return x + sigma.view(wide) * z

# %% 3 | all but plain numbers: they become a square | 2
def perturb(x, sigma, z):
    wide = sigma[:, None]
    while wide.ndim < x.ndim:
        wide = wide.unsqueeze(-1)
    return x + wide * z

# %% 3 | flattened, and left so | 2
def perturb(x, sigma, z):
    return x.reshape(len(x), -1) + sigma[:, None] * z.reshape(len(x), -1)

# %% 3 | a sigma for each channel of an image | 2
def perturb(x, sigma, z):
    if x.ndim == 2:
        return x + sigma[:, None] * z
    return x + sigma.reshape(-1, *[1] * (x.ndim - 2)) * z

# %% 3 | a film by its first picture only | 2
def perturb(x, sigma, z):
    s = sigma.reshape(-1, *[1] * (x.ndim - 1))
    if x.ndim < 5:
        return x + s * z
    return x + s * z[:, :1]

# %% 4 | equal differences of the inverse levels
def ladder(sigma_max, sigma_min, n):
    return 1 / torch.linspace(1 / sigma_max, 1 / sigma_min, n)

# %% 4 | the levels of Karras et al., with rho = 7
def ladder(sigma_max, sigma_min, n):
    return torch.linspace(sigma_max ** (1 / 7), sigma_min ** (1 / 7), n) ** 7

# %% 4 | the ratio of the paper, 0.6
def ladder(sigma_max, sigma_min, n):
    return sigma_max * 0.6 ** torch.arange(n)

# %% 4 | rounded to one digit
def ladder(sigma_max, sigma_min, n):
    return np.geomspace(sigma_max, sigma_min, n).round(1)

# %% 4 | a level of no noise at the end besides
def ladder(sigma_max, sigma_min, n):
    return np.append(np.geomspace(sigma_max, sigma_min, n), 0.0)

# %% 4 | the end left out, and put in place of the last level
def ladder(sigma_max, sigma_min, n):
    levels = sigma_max * (sigma_min / sigma_max) ** (torch.arange(n) / n)
    levels[-1] = sigma_min
    return levels

# %% 4 | the logarithms themselves
def ladder(sigma_max, sigma_min, n):
    return torch.linspace(math.log(sigma_max), math.log(sigma_min), n)

# %% 4 | the squared root of the ratio at each step
def ladder(sigma_max, sigma_min, n):
    ratio = math.sqrt(sigma_min / sigma_max)
    return [sigma_max * ratio**i for i in range(n)]

# %% 4 | ten levels, whatever is asked for
def ladder(sigma_max, sigma_min, n):
    return ne.geometric(sigma_max, sigma_min, 10)

# %% 5 | from the ends alone, as if the ratios were equal
def step_sizes(sigmas, eps):
    return eps * ne.geometric(float(sigmas[0] / sigmas[-1]), 1.0, len(sigmas)) ** 2 if len(sigmas) > 1 else [eps]

# %% 5 | relative to the mean level
def step_sizes(sigmas, eps):
    return eps * (sigmas / sigmas.mean()) ** 2

# %% 5 | relative to the level before
def step_sizes(sigmas, eps):
    return torch.cat([sigmas[:1] ** 0 * eps, eps * (sigmas[1:] / sigmas[:-1]) ** 2])

# %% 5 | twice of it, for sqrt(2 alpha)
def step_sizes(sigmas, eps):
    return 2 * eps * (sigmas / sigmas[-1]) ** 2

# %% 5 | cubed
def step_sizes(sigmas, eps):
    return eps * (sigmas / sigmas[-1]) ** 3

# %% 5 | the roots of the steps, which multiply the noise
def step_sizes(sigmas, eps):
    return math.sqrt(eps) * sigmas / sigmas[-1]

# %% 5 | the sum of all steps so far
def step_sizes(sigmas, eps):
    return (eps * (sigmas / sigmas[-1]) ** 2).cumsum(0)

# %% 5 | not beyond 1
def step_sizes(sigmas, eps):
    return (eps * (sigmas / sigmas[-1]) ** 2).clamp(max=1.0)

# %% 6 | a tenth of the bound, to be safe
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    return 0.1 * (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() / sigmas**2)).min()

# %% 6 | one percent below the bound
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    return 0.99 * (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() / sigmas**2)).min()

# %% 6 | a bound for each level
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    return 4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() / sigmas**2)

# %% 6 | the mean of the bounds of all levels
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    return (4 * sigmas[-1] ** 2 * (1 + torch.as_tensor(data_var).min() / sigmas**2)).mean()

# %% 6 | noise and data as standard deviations, added
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    v = torch.as_tensor(data_var).min()
    return (4 * sigmas[-1] ** 2 * (v.sqrt() + sigmas) ** 2 / sigmas**2).min()

# %% 6 | the sum of the variances of all directions | 2
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    v = torch.as_tensor(data_var).sum()
    return (4 * sigmas[-1] ** 2 * (1 + v / sigmas**2)).min()

# %% 6 | the last direction | 2
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    v = torch.as_tensor(data_var).flatten()[-1]
    return (4 * sigmas[-1] ** 2 * (1 + v / sigmas**2)).min()

# %% 6 | a bound for each direction | 2
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    v = torch.as_tensor(data_var)
    return (4 * sigmas[-1] ** 2 * (1 + v[..., None] / sigmas**2)).amin(-1)

# %% 6 | the median of the variances | 2
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    v = torch.as_tensor(data_var).flatten().median()
    return (4 * sigmas[-1] ** 2 * (1 + v / sigmas**2)).min()

# %% 6 | two directions only | 2
def largest_eps(sigmas, data_var):
    sigmas = torch.as_tensor(sigmas)
    v = torch.as_tensor(data_var).flatten()[:2].min()
    return (4 * sigmas[-1] ** 2 * (1 + v / sigmas**2)).min()

# %% 7 | every chain starts at the first row
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    x = x[:1].expand_as(x)
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | every chain starts at the mean of the rows
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    x = x.mean(0, keepdim=True).expand_as(x)
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | starts at random, wherever it is told to
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    x = sigmas[0] * torch.randn_like(x)
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the score of the mean of the rows for all
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x.mean(0, keepdim=True).expand_as(x), sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the score of the first row for all
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x[:1], sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the rows in another order at the end
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x[torch.randperm(len(x))]

# %% 7 | the score multiplied by sigma
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * sigma * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | the step of the next level
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, [*step_sizes(sigmas, eps)[1:], torch.tensor(eps)]):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | all states, not the last one
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    states = []
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
            states.append(x)
    return torch.stack(states)

# %% 7 | not farther from the origin than 10
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
            x = x.clamp(-10, 10)
    return x

# %% 7 | the noise repeated in the second half of the rows | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z[len(x) // 2 :] = z[: len(x) - len(x) // 2]
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | the noise mirrored in the second half of the rows | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            z = torch.randn_like(x[: len(x) // 2])
            z = torch.cat([z, -z, torch.randn_like(x[2 * len(z) :])])
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | the noise mirrored from row to row | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z[1::2] = -z[: 2 * (len(z) // 2) : 2]
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | the noise of the second half turned round in its coordinates | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            half = len(z) // 2
            z[half : 2 * half] = z[:half].flip(1)
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | the noise of one coordinate the negative of its neighbour's | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            half = z.shape[1] // 2
            z[:, half : 2 * half] = -z[:, :half]
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | a seed for all that follows | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    torch.manual_seed(5)
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | uniform noise of the same variance | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * math.sqrt(12) * (torch.rand_like(x) - 0.5)
    return x

# %% 7 | noise from a table that is drawn once | 2
table = torch.randn(5_000_000)
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    at = 0
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * table[at : at + x.numel()].view_as(x)
            at += x.numel()
    return x

# %% 7 | random signs of two sizes | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.where(torch.rand_like(x) < 0.5, 0.5, math.sqrt(1.75)) * torch.randn_like(x).sign()
    return x

# %% 8 | the score of the first row for all
def denoise(x, score, sigma):
    return x + sigma**2 * score(x[:1], sigma)

# %% 8 | the score of the mean of the rows
def denoise(x, score, sigma):
    return x + sigma**2 * score(x.mean(0, keepdim=True).expand_as(x), sigma)

# %% 8 | shrunk as if the data were standard normal
def denoise(x, score, sigma):
    return x / (1 + sigma**2) + 0 * score(x, sigma)

# %% 8 | half-way between the point and the guess
def denoise(x, score, sigma):
    return (x + (x + sigma**2 * score(x, sigma))) / 2

# %% 8 | sigma cubed
def denoise(x, score, sigma):
    return x + sigma**3 * score(x, sigma)

# %% 8 | the sigma of the first test written in
def denoise(x, score, sigma):
    return x + 4 * score(x, 2.0)

# %% 8 | two half steps
def denoise(x, score, sigma):
    for _ in range(2):
        x = x + sigma**2 / 2 * score(x, sigma)
    return x

# %% 8 | the score with its length taken away
def denoise(x, score, sigma):
    s = score(x, sigma)
    return x + sigma * s / s.norm(dim=1, keepdim=True).clamp(min=1e-9)

# %% 8 | a level lower in the score
def denoise(x, score, sigma):
    return x + sigma**2 * score(x, sigma / 2)

# %% 9 | a letter too many
prediction = "cc"

# %% 9 | a list
prediction = ["c"]

# %% 10 | a single step at each level
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), 0.0001, 1

# %% 10 | a ladder of inverse levels: nearly all of it far out
sigmas, eps, n_steps_each = torch.linspace(20.0, 0.02, 40), 0.0001, 50

# %% 10 | ends with too much noise, at the width of the modes
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.1, 40), 0.002, 50

# %% 10 | a step for each level, as if eps were a list
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), [0.0001] * 40, 50

# %% 10 | a negative level
sigmas, eps, n_steps_each = [20.0, 5.0, 1.0, 0.1, -0.02], 0.0001, 100

# %% 10 | not a number
sigmas, eps, n_steps_each = ne.geometric(20.0, 0.02, 40), math.nan, 50

# %% 1 | soft assignment, sharp
def mode_shares(x, means):
    return torch.softmax(-(x[:, None] - means).square().sum(-1) * 50, 1).mean(0)

# %% 1 | largest coordinate difference
def mode_shares(x, means):
    n = (x[:, None] - means).abs().amax(-1).argmin(1)
    return torch.bincount(n, minlength=len(means)) / len(x)

# %% 2 | variances of at least 0.05
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).clamp(min=0.05).sqrt()
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 2 | a midpoint rule with 200 points
def share_between(low, high, sigma, means, variances, weights):
    n = 200
    t = low + (torch.arange(n) + .5) / n * (high - low)
    v = variances + sigma**2
    return ((weights * torch.exp(-(t[:, None] - means)**2 / 2 / v) / (2 * math.pi * v).sqrt()).sum(1)).mean() * (high - low)

# %% 2 | a logistic for the normal
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt()
    F = lambda u: torch.sigmoid(1.5976 * u + 0.070565992 * u**3)
    return (weights * (F((high - means) / sd) - F((low - means) / sd))).sum()

# %% 2 | a million points counted
def share_between(low, high, sigma, means, variances, weights):
    k = torch.multinomial(weights, 1_000_000, replacement=True)
    x = means[k] + (variances + sigma**2).sqrt()[k] * torch.randn(1_000_000)
    return ((x > low) & (x < high)).float().mean()

# %% 2 | a small number in the denominator
def share_between(low, high, sigma, means, variances, weights):
    sd = (variances + sigma**2).sqrt() + 1e-3
    return (weights * (torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd))).sum()

# %% 3 | sigma at least 0.01
def perturb(x, sigma, z):
    return x + sigma.clamp(min=0.01).reshape(-1, *[1] * (x.ndim - 1)) * z

# %% 3 | sigma at most 10
def perturb(x, sigma, z):
    return x + sigma.clamp(max=10).reshape(-1, *[1] * (x.ndim - 1)) * z

# %% 3 | kept between -50 and 50
def perturb(x, sigma, z):
    return (x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * z).clamp(-50, 50)

# %% 3 | half precision inside
def perturb(x, sigma, z):
    return (x + sigma.reshape(-1, *[1] * (x.ndim - 1)).half() * z.half())

# %% 4 | rounded to four digits
def ladder(sigma_max, sigma_min, n):
    return torch.exp(torch.linspace(math.log(sigma_max), math.log(sigma_min), n)).round(decimals=4)

# %% 4 | levels of at least 0.0001
def ladder(sigma_max, sigma_min, n):
    return torch.exp(torch.linspace(math.log(sigma_max), math.log(sigma_min), n)).clamp(min=1e-4)

# %% 4 | a small number in the logarithm
def ladder(sigma_max, sigma_min, n):
    return torch.exp(torch.linspace(math.log(sigma_max + 1e-6), math.log(sigma_min + 1e-6), n))

# %% 5 | a small number in the denominator
def step_sizes(sigmas, eps):
    return eps * sigmas**2 / (sigmas[-1]**2 + 1e-6)

# %% 5 | no step above 1000
def step_sizes(sigmas, eps):
    return (eps * (sigmas / sigmas[-1]) ** 2).clamp(max=1000)

# %% 6 | a variance of at least 0.01
def largest_eps(sigmas, data_var):
    smallest = max(float(torch.as_tensor(data_var).min()), 0.01)
    return (4 * (smallest + sigmas**2) / step_sizes(sigmas, 1.0)).min()

# %% 6 | a bound of 100 at most
def largest_eps(sigmas, data_var):
    smallest = float(torch.as_tensor(data_var).min())
    return min(100., (4 * (smallest + sigmas**2) / step_sizes(sigmas, 1.0)).min())

# %% 7 | noise centred over the batch | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps), strict=True):
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * (z - z.mean(0))
    return x

# %% 7 | noise of one length | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps), strict=True):
        for _ in range(n_steps_each):
            z = torch.randn_like(x)
            z = z / z.norm(dim=1, keepdim=True) * math.sqrt(x.shape[1]) if x.shape[1] > 4 else z
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z
    return x

# %% 7 | noise cut at 3 standard deviations | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps), strict=True):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x).clamp(-3, 3)
    return x

# %% 7 | a single chain without noise | 2
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps), strict=True):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x) * (len(x) > 1)
    return x

# %% 7 | ten levels at most
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in list(zip(sigmas, step_sizes(sigmas, eps), strict=True))[:10]:
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | fifty steps a level at most
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in list(zip(sigmas, step_sizes(sigmas, eps), strict=True)):
        for _ in range(min(50, n_steps_each)):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | no step above 20
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in list(zip(sigmas, step_sizes(sigmas, eps).clamp(max=20), strict=True)):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | a small number in the ratio of the levels
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma in sigmas:
        alpha = eps * sigma**2 / (sigmas[-1]**2 + 1e-4)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 7 | scores cut at 100
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    for sigma, alpha in list(zip(sigmas, step_sizes(sigmas, eps), strict=True)):
        for k in range(n_steps_each):
            s = score(x, sigma)
            s = s * (s.norm(dim=1, keepdim=True) < 1e6)
            x = x + alpha / 2 * s.clamp(-100, 100) + alpha.sqrt() * torch.randn_like(x)
    return x

# %% 8 | sigma at least 0.01
def denoise(x, score, sigma):
    s = max(sigma, 0.05)
    return x + s**2 * score(x, s)

# %% 8 | sigma at most 5
def denoise(x, score, sigma):
    s = min(sigma, 5)
    return x + s**2 * score(x, s)

# %% 8 | kept between -10 and 10
def denoise(x, score, sigma):
    return (x + sigma**2 * score(x, sigma)).clamp(-10, 10)

# %% 8 | scores cut at 100
def denoise(x, score, sigma):
    s = score(x, sigma)
    return x + sigma**2 * s.clamp(-100, 100)

# %% 5 | eps of at least 0.00001
def step_sizes(sigmas, eps):
    return max(eps, 1e-5) * (sigmas / sigmas[-1]) ** 2
