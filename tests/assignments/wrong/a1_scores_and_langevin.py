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
