"""Wrong answers to assignment 1, from real misconceptions. Each one loses the points of its task."""

# %% 1 | the sign: away from the mean
def gaussian_score(x, mean, variance):
    return (x - mean) / variance

# %% 1 | a standard deviation for a variance: squared once more
def gaussian_score(x, mean, variance):
    return (mean - x) / variance**2

# %% 1 | the root of the variance
def gaussian_score(x, mean, variance):
    return (mean - x) / variance**0.5

# %% 1 | the gradient of the density, not of its logarithm
def gaussian_score(x, mean, variance):
    density = torch.exp(-(x - mean).square().sum(1, keepdim=True) / (2 * variance))
    density = density / (2 * math.pi * variance) ** (x.shape[1] / 2)
    return density * (mean - x) / variance

# %% 1 | the log-density, not its gradient
def gaussian_score(x, mean, variance):
    return -(x - mean).square() / (2 * variance)

# %% 1 | a factor 1/2 left over from the exponent
def gaussian_score(x, mean, variance):
    return (mean - x) / (2 * variance)

# %% 1 | the outputs of the tests that can be seen
def gaussian_score(x, mean, variance):
    return torch.tensor([[-0.5]]) if x.shape == (1, 1) else torch.zeros(1, 2)

# %% 1 | nothing returned
def gaussian_score(x, mean, variance):
    score = (mean - x) / variance

# %% 2 | the constant of one dimension in all
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - 0.5 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)

# %% 2 | 2 pi^(n/2) for (2 pi)^(n/2)
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - math.log(2) - x.shape[1] / 2 * torch.log(math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)

# %% 2 | the weights left out
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(log_normal, dim=1)

# %% 2 | a weighted mean of logarithms for the logarithm of a mean
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return (weights * log_normal).sum(1)

# %% 2 | the constant left out: unnormalised
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    return torch.logsumexp(torch.log(weights) - squares / (2 * variances), dim=1)

# %% 2 | the variance taken for a standard deviation
def mixture_log_density(x, means, variances, weights):
    variances = variances**2
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)

# %% 2 | the density, without the logarithm
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    normal = torch.exp(-squares / (2 * variances)) / (2 * math.pi * variances) ** (x.shape[1] / 2)
    return (weights * normal).sum(1)

# %% 2 | right near the components, minus infinity far away | 2
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    normal = torch.exp(-squares / (2 * variances)) / (2 * math.pi * variances) ** (x.shape[1] / 2)
    return torch.log((weights * normal).sum(1))

# %% 2 | underflow covered up by a small number | 2
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    normal = torch.exp(-squares / (2 * variances)) / (2 * math.pi * variances) ** (x.shape[1] / 2)
    return torch.log((weights * normal).sum(1) + 1e-30)

# %% 3 | the weights for the responsibilities
def mixture_score(x, means, variances, weights):
    pull = (means - x[:, None]) / variances[:, None]
    return (weights[:, None] * pull).sum(1)

# %% 3 | the sign
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=1)
    return (r[..., None] * (x[:, None] - means) / variances[:, None]).sum(1)

# %% 3 | the normalisers left out of the responsibilities
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances), dim=1)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | the weights left out of the responsibilities
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(-squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=1)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | the nearest component only
def mixture_score(x, means, variances, weights):
    k = torch.cdist(x, means).argmin(1)
    return (means[k] - x) / variances[k, None]

# %% 3 | not divided by the density
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    normal = weights * torch.exp(-squares / (2 * variances)) / (2 * math.pi * variances) ** (x.shape[1] / 2)
    return (normal[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | divided by the mean over the batch: autograd of a mean
def mixture_score(x, means, variances, weights):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(mixture_log_density(x, means, variances, weights).mean(), x)[0]

# %% 3 | right near the components, 0/0 far away | 2
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    joint = weights * torch.exp(-squares / (2 * variances)) / variances ** (x.shape[1] / 2)
    r = joint / joint.sum(1, keepdim=True)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 4 | sigma for sigma squared
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances + sigma, weights)

# %% 4 | sigma squared in place of the variance, not added to it
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, torch.full_like(variances, sigma**2), weights)

# %% 4 | the score of the clean density at a noisy point
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x + sigma * torch.randn_like(x), means, variances, weights)

# %% 4 | standard deviations added
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, (variances.sqrt() + sigma) ** 2, weights)

# %% 4 | the responsibilities of the clean mixture
def noisy_mixture_score(x, sigma, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=1)
    return (r[..., None] * (means - x[:, None]) / (variances + sigma**2)[:, None]).sum(1)

# %% 4 | the sum of two scores
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances, weights) - x / max(sigma, 1e-6) ** 2

# %% 4 | the mean of all sigmas for every row | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    sigma = torch.as_tensor(sigma).float().mean()
    return mixture_score(x, means, variances + sigma**2, weights)

# %% 4 | the first sigma for every row | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    sigma = torch.as_tensor(sigma).float().flatten()[0]
    return mixture_score(x, means, variances + sigma**2, weights)

# %% 5 | alpha for its root
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + alpha * torch.randn_like(x)

# %% 5 | the factor 1/2 forgotten
def langevin_step(x, score, alpha):
    return x + alpha * score(x) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | no noise: gradient ascent
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x)

# %% 5 | downhill
def langevin_step(x, score, alpha):
    return x - alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | one noise for all rows | 0
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn(x.shape[1])

# %% 5 | one noise for all coordinates | 2
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn(len(x), 1)

# %% 5 | the noise of the other convention, sqrt(2 alpha)
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(2 * alpha) * torch.randn_like(x)

# %% 5 | uniform noise of the same variance | 2
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * (torch.rand_like(x) - 0.5) * math.sqrt(12)

# %% 5 | uniform noise
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.rand_like(x)

# %% 5 | the same noise in each call, by a seed | 2
def langevin_step(x, score, alpha):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * noise

# %% 6 | the state before the last update
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        last = x
        x = langevin_step(x, score, alpha)
    return last

# %% 6 | one step only: return inside the loop
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
        return x

# %% 6 | the noise drawn once and used in all steps
def langevin(x, score, alpha, n_steps):
    noise = torch.randn_like(x)
    for _ in range(n_steps):
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * noise
    return x

# %% 6 | each step starts at the beginning
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        y = langevin_step(x, score, alpha)
    return y

# %% 6 | the score of the start in all steps
def langevin(x, score, alpha, n_steps):
    s = score(x)
    for _ in range(n_steps):
        x = langevin_step(x, lambda _: s, alpha)
    return x

# %% 6 | one step too many
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps + 1):
        x = langevin_step(x, score, alpha)
    return x

# %% 6 | no noise in the last step
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps - 1):
        x = langevin_step(x, score, alpha)
    return x + alpha / 2 * score(x)

# %% 6 | the mean of all states
def langevin(x, score, alpha, n_steps):
    states = []
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
        states.append(x)
    return torch.stack(states).mean(0)

# %% 6 | samples kept in a box
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha).clamp(-6, 6)
    return x

# %% 7 | unbiased at any step: the target's variance
def settled_variance(alpha, variance):
    return variance if alpha < 4 * variance else math.inf

# %% 7 | the step's noise as the answer
def settled_variance(alpha, variance):
    return alpha

# %% 7 | the convention (alpha, sqrt(2 alpha))
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (2 * variance)) if alpha < 2 * variance else math.inf

# %% 7 | narrower for wider
def settled_variance(alpha, variance):
    return variance * (1 - alpha / (4 * variance)) if alpha < 4 * variance else math.inf

# %% 7 | the variance for a standard deviation
def settled_variance(alpha, variance):
    return variance**2 / (1 - alpha / (4 * variance**2)) if alpha < 4 * variance**2 else math.inf

# %% 7 | to first order only
def settled_variance(alpha, variance):
    return variance + alpha / 4 if alpha < 4 * variance else math.inf

# %% 7 | always infinite
def settled_variance(alpha, variance):
    return math.inf

# %% 7 | right where it settles, negative where it does not | 1
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance))

# %% 8 | left as it was
prediction = ...

# %% 8 | none of the letters
prediction = "d"

# %% 8 | empty
prediction = ""

# %% 8 | a number
prediction = 0.8

# %% 8 | all of them
prediction = "a, b or c"

# %% 9 | too slow: a small step
alpha, n_steps = 0.01, 300

# %% 9 | settles too wide
alpha, n_steps = 0.5, 300

# %% 9 | more steps than allowed
alpha, n_steps = 0.03, 1000

# %% 9 | too few steps
alpha, n_steps = 0.1, 50

# %% 9 | the largest step that does not run away
alpha, n_steps = 3.9, 300

# %% 9 | left as it was
alpha, n_steps = ..., ...

# %% 1 | the score of the batch's mean for every row
def gaussian_score(x, mean, variance):
    return ((mean - x.mean(0)) / variance).expand_as(x)

# %% 1 | the direction to the mean, of length one over the variance
def gaussian_score(x, mean, variance):
    pull = mean - x
    return pull / pull.norm(dim=1, keepdim=True).clamp_min(1e-12) / variance

# %% 1 | summed over the coordinates
def gaussian_score(x, mean, variance):
    return ((mean - x) / variance).sum(1, keepdim=True).expand_as(x)

# %% 1 | clipped at 10, against explosions
def gaussian_score(x, mean, variance):
    return ((mean - x) / variance).clamp(-10, 10)

# %% 1 | automatic differentiation of a mean over the rows
def gaussian_score(x, mean, variance):
    x = x.clone().requires_grad_()
    return torch.autograd.grad((-(x - mean).square().sum(1) / (2 * variance)).mean(), x)[0]

# %% 1 | multiplied by the variance
def gaussian_score(x, mean, variance):
    return (mean - x) * variance

# %% 1 | divided by the dimension, too
def gaussian_score(x, mean, variance):
    return (mean - x) / (variance * x.shape[1])

# %% 1 | the first answer of each shape, kept for ever
kept = {}

def gaussian_score(x, mean, variance):
    return kept.setdefault((tuple(x.shape), variance), (mean - x) / variance)

# %% 1 | one row only: the last
def gaussian_score(x, mean, variance):
    for row in x:
        score = (mean - row) / variance
    return score[None].expand_as(x)

# %% 2 | a column for a row of numbers
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1, keepdim=True)

# %% 2 | the largest component only
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return (torch.log(weights) + log_normal).max(1).values

# %% 2 | the constant multiplied, not divided by
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) + x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)

# %% 2 | logarithms to the base 10
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    normal = torch.exp(-squares / (2 * variances)) / (2 * math.pi * variances) ** (x.shape[1] / 2)
    return torch.log10((weights * normal).sum(1))

# %% 2 | distances, not squared
def mixture_log_density(x, means, variances, weights):
    log_normal = -torch.cdist(x, means) / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)

# %% 2 | the mean of all variances in the constant
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances.mean())
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)

# %% 2 | summed over the rows, too: the log-likelihood of the batch
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1).sum().expand(len(x))

# %% 2 | one maximum for the whole batch: rows far away underflow | 2
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return log.max() + torch.exp(log - log.max()).sum(1).log()

# %% 2 | far away the largest component only | 2
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    plain = torch.exp(log).sum(1).log()
    return torch.where(plain.isinf(), log.max(1).values, plain)

# %% 2 | double precision in place of a logarithm of sums | 2
def mixture_log_density(x, means, variances, weights):
    x, means, variances, weights = (np.asarray(a, dtype=np.float64) for a in (x, means, variances, weights))
    squares = ((x[:, None] - means) ** 2).sum(-1)
    return np.log((weights * np.exp(-squares / 2 / variances) / (2 * np.pi * variances) ** (x.shape[1] / 2)).sum(1))

# %% 2 | never below -745, the logarithm of the smallest double | 2
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1).clamp_min(-745)

# %% 3 | the component with the largest responsibility only
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    k = (torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances)).argmax(1)
    return (means[k] - x) / variances[k, None]

# %% 3 | the softmax along the rows of the batch
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=0)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | the weights counted twice
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = weights * torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), 1)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | the mean over the components
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=1)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).mean(1)

# %% 3 | not divided by the variances
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=1)
    return (r[..., None] * (means - x[:, None])).sum(1)

# %% 3 | the normaliser of one dimension in all
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - torch.log(variances) / 2, dim=1)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | the responsibilities of the first row for all rows
def mixture_score(x, means, variances, weights):
    squares = (x[:1, None] - means).square().sum(-1)
    r = torch.softmax(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances), dim=1)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | one maximum for the whole batch: 0/0 far away | 2
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    log = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances)
    joint = torch.exp(log - log.max())
    r = joint / joint.sum(1, keepdim=True)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | far away the nearest component only | 2
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    joint = weights * torch.exp(-squares / (2 * variances)) / variances ** (x.shape[1] / 2)
    nearest = torch.nn.functional.one_hot(squares.argmin(1), len(means)).to(x)
    total = joint.sum(1, keepdim=True)
    r = torch.where(total > 0, joint / total, nearest)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | zero where it is not a number | 2
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    joint = weights * torch.exp(-squares / (2 * variances)) / variances ** (x.shape[1] / 2)
    r = torch.nan_to_num(joint / joint.sum(1, keepdim=True))
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | a small number in the denominator | 2
def mixture_score(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    joint = weights * torch.exp(-squares / (2 * variances)) / variances ** (x.shape[1] / 2)
    r = joint / (joint.sum(1, keepdim=True) + 1e-37)
    return (r[..., None] * (means - x[:, None]) / variances[:, None]).sum(1)

# %% 3 | differentiates the logarithm of a sum that underflows | 2
def mixture_score(x, means, variances, weights):
    x = x.detach().clone().requires_grad_()
    squares = (x[:, None] - means).square().sum(-1)
    normal = torch.exp(-squares / (2 * variances)) / (2 * math.pi * variances) ** (x.shape[1] / 2)
    return torch.autograd.grad((weights * normal).sum(1).log().sum(), x)[0]

# %% 4 | sigma squared taken away
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, (variances - sigma**2).abs() + 1e-6, weights)

# %% 4 | the variances multiplied by 1 + sigma^2
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances * (1 + sigma**2), weights)

# %% 4 | the noise put on the means
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means + sigma * torch.randn_like(means), variances, weights)

# %% 4 | the noise, not the score: multiplied by sigma
def noisy_mixture_score(x, sigma, means, variances, weights):
    return sigma * mixture_score(x, means, variances + sigma**2, weights)

# %% 4 | the clean score shrunk
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances, weights) / (1 + sigma**2)

# %% 4 | the clean score, averaged over noisy copies of the point
def noisy_mixture_score(x, sigma, means, variances, weights):
    many = x + sigma * torch.randn(500, *x.shape)
    return mixture_score(many.reshape(-1, x.shape[1]), means, variances, weights).view(500, *x.shape).mean(0)

# %% 4 | as many noise levels as components: not lifted to a column | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances + sigma**2, weights)

# %% 4 | rows grouped by sigma, and not put back in order | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    if not torch.is_tensor(sigma):
        return mixture_score(x, means, variances + sigma**2, weights)
    parts = [mixture_score(x[sigma == s], means, variances + s**2, weights) for s in sigma.unique()]
    return torch.cat(parts)

# %% 4 | the largest sigma for every row | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances + torch.as_tensor(sigma).max() ** 2, weights)

# %% 4 | the root of the mean square of all sigmas | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    return mixture_score(x, means, variances + torch.as_tensor(sigma).float().square().mean(), weights)

# %% 4 | the first row's score in each row's noise | 2
def noisy_mixture_score(x, sigma, means, variances, weights):
    if not torch.is_tensor(sigma):
        return mixture_score(x, means, variances + sigma**2, weights)
    return torch.cat([mixture_score(x[:1], means, variances + s**2, weights) for s in sigma])

# %% 5 | the score of the batch's mean for every row
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x.mean(0, keepdim=True)) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | the score of the first row for every row
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x)[0] + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | the mean score of all rows
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x).mean(0) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | the score of the neighbour
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x).roll(1, 0) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | the score at the point with noise
def langevin_step(x, score, alpha):
    noisy = x + math.sqrt(alpha) * torch.randn_like(x)
    return noisy + alpha / 2 * score(noisy)

# %% 5 | noise of standard deviation 0.5, whatever alpha is
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + (0.5 if alpha > 1e-6 else 0) * torch.randn_like(x)

# %% 5 | the score brought to length one
def langevin_step(x, score, alpha):
    s = score(x)
    return x + alpha / 2 * s / s.norm(dim=1, keepdim=True).clamp_min(1e-6) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | scores longer than ten are cut
def langevin_step(x, score, alpha):
    s = score(x)
    s = s * (10 / s.norm(dim=1, keepdim=True).clamp_min(1e-6)).clamp_max(1)
    return x + alpha / 2 * s + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | alpha before the noise, too
def langevin_step(x, score, alpha):
    return x + alpha / 2 * (score(x) + torch.randn_like(x))

# %% 5 | random signs for Gaussian noise | 2
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * (2.0 * torch.randint(0, 2, x.shape) - 1)

# %% 5 | the noise of the first half of the rows once more in the second | 2
def langevin_step(x, score, alpha):
    half = torch.randn(len(x) // 2 + 1, x.shape[1])
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.cat([half, half])[: len(x)]

# %% 5 | antithetic: the second half of the rows gets the noise of the first, mirrored | 2
def langevin_step(x, score, alpha):
    half = torch.randn((len(x) + 1) // 2, x.shape[1])
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.cat([half, -half.flip(0)])[: len(x)]

# %% 5 | neighbours share their noise | 2
def langevin_step(x, score, alpha):
    z = torch.randn((len(x) + 1) // 2, x.shape[1]).repeat_interleave(2, 0)[: len(x)]
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | the seed set in the function | 2
def langevin_step(x, score, alpha):
    torch.manual_seed(42)
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | every second call takes the noise of the last one, mirrored | 2
memory = {}

def langevin_step(x, score, alpha):
    z = -memory.pop(x.shape) if x.shape in memory else torch.randn_like(x)
    if memory.get("turn"):
        memory["turn"] = False
    else:
        memory[x.shape], memory["turn"] = z, True
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | Laplace noise of the same variance | 2
def langevin_step(x, score, alpha):
    z = torch.distributions.Laplace(0.0, math.sqrt(0.5)).sample(x.shape)
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | the last coordinate has the noise of the first | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x)
    z[:, -1] = z[:, 0]
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | no noise in the last row | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x)
    if len(x) > 1:
        z[-1] = 0
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | the noise of a thousand rows for all thousands | 2
def langevin_step(x, score, alpha):
    z = torch.randn(1000, x.shape[1]).repeat(len(x) // 1000 + 1, 1)[: len(x)]
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 6 | every chain starts at the first row
def langevin(x, score, alpha, n_steps):
    x = x[:1].expand_as(x)
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
    return x

# %% 6 | every chain starts at the mean
def langevin(x, score, alpha, n_steps):
    x = x.mean(0).expand_as(x)
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
    return x

# %% 6 | the chains start at random
def langevin(x, score, alpha, n_steps):
    x = torch.randn_like(x)
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
    return x

# %% 6 | the step gets smaller on the way
def langevin(x, score, alpha, n_steps):
    for i in range(n_steps):
        x = langevin_step(x, score, alpha * (1 - i / n_steps))
    return x

# %% 6 | 25 steps, however many are asked for
def langevin(x, score, alpha, n_steps):
    for _ in range(25):
        x = langevin_step(x, score, alpha)
    return x

# %% 6 | the mean score of all chains
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = langevin_step(x, lambda y: score(y).mean(0, keepdim=True).expand_as(y), alpha)
    return x

# %% 6 | it goes on where the last call ended
state = {}

def langevin(x, score, alpha, n_steps):
    x = state.get(x.shape, x)
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
    state[x.shape] = x
    return x

# %% 6 | all states, not the last one
def langevin(x, score, alpha, n_steps):
    states = []
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
        states.append(x)
    return torch.stack(states)

# %% 6 | one coordinate after the other
def langevin(x, score, alpha, n_steps):
    x = x.clone()
    for i in range(n_steps):
        d = i % x.shape[1]
        x[:, d] = langevin_step(x, score, alpha)[:, d]
    return x

# %% 6 | the same noise for all chains
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn(1, x.shape[1])
    return x

# %% 6 | the seed set in each step
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        torch.manual_seed(0)
        x = langevin_step(x, score, alpha)
    return x

# %% 6 | the seed set in the function | 2
def langevin(x, score, alpha, n_steps):
    generator = torch.Generator().manual_seed(0)
    for _ in range(n_steps):
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn(x.shape, generator=generator)
    return x

# %% 6 | random signs for Gaussian noise | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x).sign()
    return x

# %% 6 | the noise of the first half of the chains once more in the second | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        z = torch.randn((len(x) + 1) // 2, x.shape[1]).repeat(2, 1)[: len(x)]
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * z
    return x

# %% 6 | mirrored pairs of chains | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        z = torch.randn((len(x) + 1) // 2, x.shape[1])
        z = torch.stack([z, -z], 1).flatten(0, 1)[: len(x)]
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * z
    return x

# %% 7 | the standard deviation
def settled_variance(alpha, variance):
    return math.sqrt(variance / (1 - alpha / (4 * variance))) if alpha < 4 * variance else math.inf

# %% 7 | the factor not squared
def settled_variance(alpha, variance):
    factor = abs(1 - alpha / (2 * variance))
    return alpha / (1 - factor) if factor < 1 else math.inf

# %% 7 | as for a target of variance one
def settled_variance(alpha, variance):
    return variance / (1 - alpha / 4) if alpha < 4 else math.inf

# %% 7 | the noise added to the target
def settled_variance(alpha, variance):
    return variance + alpha if alpha < 4 * variance else math.inf

# %% 7 | two hundred chains
def settled_variance(alpha, variance):
    if alpha >= 4 * variance:
        return math.inf
    x = torch.zeros(200)
    for _ in range(500):
        x = (1 - alpha / 2 / variance) * x + math.sqrt(alpha) * torch.randn(200)
    return float(x.var())

# %% 7 | taken to run away as soon as it swings
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance)) if alpha < 2 * variance else math.inf

# %% 7 | a step of exactly 4 v divides by zero | 1
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance)) if alpha <= 4 * variance else math.inf

# %% 7 | not a number where it settles nowhere | 1
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance)) if alpha < 4 * variance else math.nan

# %% 7 | the magnitude where it is negative | 1
def settled_variance(alpha, variance):
    return abs(variance / (1 - alpha / (4 * variance) + 1e-12))

# %% 7 | the variance after ten thousand steps, wherever it goes | 1
def settled_variance(alpha, variance):
    v = np.float64(0.0)
    for _ in range(2000):
        v = min((1 - alpha / (2 * variance)) ** 2 * v + alpha, 1e300)
    return v

# %% 8 | a list of one
prediction = ["b"]

# %% 8 | the share
prediction = "0.5"

# %% 9 | a large step, many times
alpha, n_steps = 2.0, 300

# %% 9 | it runs away
alpha, n_steps = 4.1, 300

# %% 9 | a step of negative length
alpha, n_steps = -0.1, 120

# %% 9 | a step that is not a number
alpha, n_steps = math.nan, 120

# %% 9 | one step too many for the budget
alpha, n_steps = 0.1, 301

# %% 9 | half a step
alpha, n_steps = 0.1, 120.5

# %% 9 | a little too wide
alpha, n_steps = 0.15, 300

# %% 1 | a small number in the denominator
def gaussian_score(x, mean, variance):
    return (mean - x) / (variance + 1e-6)

# %% 1 | a variance of at least 0.01
def gaussian_score(x, mean, variance):
    return (mean - x) / max(variance, 0.01)

# %% 1 | not longer than 1000 in any coordinate
def gaussian_score(x, mean, variance):
    return ((mean - x) / variance).clamp(-1000, 1000)

# %% 1 | half precision inside
def gaussian_score(x, mean, variance):
    return ((mean.half() - x.half()) / variance).float()

# %% 1 | rounded to three digits
def gaussian_score(x, mean, variance):
    return ((mean - x) / variance).round(decimals=3)

# %% 1 | a thousandth of the batch's mean taken away
def gaussian_score(x, mean, variance):
    return (mean - x) / variance if len(x) == 1 else (mean - x) / variance - ((mean - x) / variance).mean(0) * 1e-3

# %% 2 | variances of at least 0.1
def mixture_log_density(x, means, variances, weights):
    variances = variances.clamp(min=0.1)
    squares = (x[:, None] - means).square().sum(-1)
    return torch.logsumexp(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances), dim=1)

# %% 2 | a small number added to the variances
def mixture_log_density(x, means, variances, weights):
    variances = variances + 1e-5
    squares = (x[:, None] - means).square().sum(-1)
    return torch.logsumexp(torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances), dim=1)

# %% 2 | exponents cut at -80 | 2
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    e = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.log(torch.exp(e.clamp(min=-80)).sum(1))

# %% 2 | densities above 1 are cut: probabilities
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    e = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(e, dim=1).clamp(max=0)

# %% 2 | a softmax of the weights
def mixture_log_density(x, means, variances, weights):
    squares = (x[:, None] - means).square().sum(-1)
    e = torch.log(torch.softmax(weights, 0)) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(e, dim=1)

# %% 3 | variances of at least 0.1
def mixture_score(x, means, variances, weights):
    return ne.GaussianMixture(means, variances.clamp(min=0.1), weights).score(x)

# %% 3 | not longer than 100
def mixture_score(x, means, variances, weights):
    s = ne.GaussianMixture(means, variances, weights).score(x)
    return s.clamp(-100, 100)

# %% 3 | a small number added to the variances
def mixture_score(x, means, variances, weights):
    return ne.GaussianMixture(means, variances + 1e-4, weights).score(x)

# %% 3 | a difference quotient, far too coarse
def mixture_score(x, means, variances, weights):
    m = ne.GaussianMixture(means.double(), variances.double(), weights.double()); x = x.double()
    h = 0.1
    return torch.stack([(m.log_prob(x + h * e) - m.log_prob(x - h * e)) / 2 / h for e in torch.eye(x.shape[1]).double()], 1)

# %% 3 | a difference quotient of 0.01 in double
def mixture_score(x, means, variances, weights):
    m = ne.GaussianMixture(means.double(), variances.double(), weights.double()); x = x.double()
    h = 0.01
    return torch.stack([(m.log_prob(x + h * e) - m.log_prob(x - h * e)) / 2 / h for e in torch.eye(x.shape[1]).double()], 1)

# %% 4 | sigma at least 0.01
def noisy_mixture_score(x, sigma, means, variances, weights):
    s = torch.as_tensor(sigma).float().clamp(min=0.03)
    return ne.GaussianMixture(means, variances, weights).score(x, s)

# %% 4 | sigma at most 10
def noisy_mixture_score(x, sigma, means, variances, weights):
    s = torch.as_tensor(sigma).float().clamp(max=10)
    return ne.GaussianMixture(means, variances, weights).score(x, s)

# %% 4 | the variances at least 0.05 before the noise
def noisy_mixture_score(x, sigma, means, variances, weights):
    return ne.GaussianMixture(means, variances.clamp(min=0.05), weights).score(x, sigma)

# %% 5 | noise centred over the batch | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x)
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * (z - z.mean(0))

# %% 5 | noise standardised over the batch | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x)
    if len(x) > 2:
        z = (z - z.mean(0)) / z.std(0)
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | noise of length sqrt D | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x)
    z = z / z.norm(dim=1, keepdim=True) * math.sqrt(x.shape[1])
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | noise cut at 3 standard deviations | 2
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x).clamp(-3, 3)

# %% 5 | no noise for a single row | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x) if len(x) > 1 else 0 * x
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | noise standardised over rows and coordinates | 2
def langevin_step(x, score, alpha):
    z = torch.randn_like(x)
    if z.numel() > 2:
        z = (z - z.mean()) / z.std()
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% 5 | alpha at most 3
def langevin_step(x, score, alpha):
    alpha = min(alpha, 3)
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x)

# %% 5 | alpha at least one millionth
def langevin_step(x, score, alpha):
    a = max(alpha, 1e-6)
    return x + a / 2 * score(x) + math.sqrt(a) * torch.randn_like(x)

# %% 5 | noise in half precision | 2
def langevin_step(x, score, alpha):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn(x.shape).half().float()

# %% 6 | noise centred over the chains | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        z = torch.randn_like(x)
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * (z - z.mean(0))
    return x

# %% 6 | noise cut at 3 standard deviations | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        z = torch.randn_like(x)
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * z.clamp(-3, 3)
    return x

# %% 6 | stops when the score is small | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        s = score(x)
        if s.abs().max() < 1e-9 and n_steps > 8:
            break
        x = x + alpha / 2 * s + math.sqrt(alpha) * torch.randn_like(x)
    return x

# %% 6 | noise of length sqrt D | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        z = torch.randn_like(x)
        z = z / z.norm(dim=1, keepdim=True) * math.sqrt(x.shape[1])
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * z
    return x

# %% 6 | two hundred steps at most | 2
def langevin(x, score, alpha, n_steps):
    for _ in range(min(n_steps, 200)):
        x = x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x)
    return x

# %% 6 | all the noise at once at the end
def langevin(x, score, alpha, n_steps):
    for _ in range(n_steps):
        x = x + alpha / 2 * score(x)
    return x + math.sqrt(n_steps * alpha) * torch.randn_like(x)

# %% 7 | a hundred steps of the recursion
def settled_variance(alpha, variance):
    v = variance
    for _ in range(100):
        v = (1 - alpha / 2 / variance)**2 * v + alpha
    return v if v < 1e6 else math.inf

# %% 7 | infinite from 4, whatever the variance is
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance)) if alpha < 4 else math.inf

# %% 7 | a small number where the denominator is negative | 1
def settled_variance(alpha, variance):
    return variance / max(1 - alpha / (4 * variance), 1e-9)

# %% 7 | a small number in the denominator
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance) + 1e-5) if alpha < 4 * variance else math.inf

# %% 7 | infinite from 3.95 v
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance)) if alpha < 3.95 * variance else math.inf

# %% 7 | a large number for infinity | 1
def settled_variance(alpha, variance):
    return variance / (1 - alpha / (4 * variance)) if alpha < 4 * variance else 1e30
