"""Answers to the exercises of notebook 5."""

# %% lowest_loss | right: NumPy, a norm
def my_lowest(s):
    return -np.mean(np.linalg.norm(s.numpy(), axis=1) ** 2) / 2

# %% lowest_loss | right: a loop over the points, plain numbers
def my_lowest(s):
    total = 0.0
    for row in s.tolist():
        total -= sum(a * a for a in row) / 2
    return total / len(s)

# %% lowest_loss | right: D times the mean of all entries
def my_lowest(s):
    return -0.5 * s.shape[1] * (s * s).mean()

# %% lowest_loss | wrong: below zero | the Fisher divergence of the zero field
def my_lowest(s):
    return 0.5 * s.square().sum(1).mean()

# %% lowest_loss | wrong: half | no half
def my_lowest(s):
    return -s.square().sum(1).mean()

# %% lowest_loss | wrong: for each point | no mean
def my_lowest(s):
    return -0.5 * s.square().sum(1)

# %% lowest_loss | wrong: over the coordinates | the mean of all entries
def my_lowest(s):
    return -0.5 * s.square().mean()

# %% lowest_loss | wrong: square first | the square of the mean score
def my_lowest(s):
    return -0.5 * s.mean(0).square().sum()

# %% share_of_bound | right: statistics
def my_share(losses, sigma, D):
    import statistics

    return -2 * sigma**2 / D * statistics.fmean(losses[-(len(losses) // 3) :])

# %% share_of_bound | right: a tensor cut in three
def my_share(losses, sigma, D):
    return torch.tensor(losses).chunk(3)[2].mean() / -(D / (2 * sigma**2))

# %% share_of_bound | right: the units of the score first
def my_share(losses, sigma, D):
    tail = np.asarray(losses)[2 * len(losses) // 3 :]
    return (tail * sigma**2).mean() / (-D / 2)

# %% share_of_bound | wrong: sigma squared | one sigma
def my_share(losses, sigma, D):
    return np.mean(losses[-(len(losses) // 3) :]) / (-D / (2 * sigma))

# %% share_of_bound | wrong: whole run | the mean of all
def my_share(losses, sigma, D):
    return sum(losses) / len(losses) / (-D / (2 * sigma**2))

# %% share_of_bound | wrong: the sign | the bound without its minus
def my_share(losses, sigma, D):
    return np.mean(losses[-(len(losses) // 3) :]) / (D / (2 * sigma**2))

# %% share_of_bound | wrong: D is missing | a line's bound
def my_share(losses, sigma, D):
    return np.mean(losses[-(len(losses) // 3) :]) / (-1 / (2 * sigma**2))

# %% share_of_bound | wrong: belongs above | upside down
def my_share(losses, sigma, D):
    return (-D / (2 * sigma**2)) / np.mean(losses[-(len(losses) // 3) :])
