"""Answers to the exercises of notebook 6."""

# %% weighted_error | right: NumPy, a scalar product
def my_divergence(difference, log_p, cell):
    squares = np.einsum("nd,nd->n", difference, difference)
    return cell / 2 * np.dot(np.exp(log_p), squares)

# %% weighted_error | right: the root of the weight with the difference
def my_divergence(difference, log_p, cell):
    weighted = difference * (log_p / 2).exp()[:, None] * math.sqrt(cell / 2)
    return weighted.square().sum()

# %% weighted_error | right: a loop
def my_divergence(difference, log_p, cell):
    total = 0
    for arrow, value in zip(difference, log_p):
        total = total + math.exp(value) * arrow.norm() ** 2 / 2
    return total * cell

# %% weighted_error | wrong: half | the mean squared error
def my_divergence(difference, log_p, cell):
    return (log_p.exp() * difference.square().sum(1)).sum() * cell

# %% weighted_error | wrong: plain mean | no weight
def my_divergence(difference, log_p, cell):
    return 0.5 * difference.square().sum(1).mean()

# %% weighted_error | wrong: area of a cell | no area
def my_divergence(difference, log_p, cell):
    return 0.5 * (log_p.exp() * difference.square().sum(1)).sum()

# %% weighted_error | wrong: exponential | log p as the weight
def my_divergence(difference, log_p, cell):
    return 0.5 * cell * (log_p * difference.square().sum(1)).sum()

# %% weighted_error | wrong: made to sum to one | an average over the grid
def my_divergence(difference, log_p, cell):
    return 0.5 * (log_p.softmax(0) * difference.square().sum(1)).sum()

# %% weighted_error | wrong: squared | lengths
def my_divergence(difference, log_p, cell):
    return 0.5 * cell * (log_p.exp() * difference.norm(dim=1)).sum()

# %% chance_of_none | right: a power
def my_chance(n, c):
    return (1 - 4 * math.pi * math.exp(-c)) ** n

# %% chance_of_none | right: the law of small numbers
def my_chance(n, c):
    return np.exp(-n * 4 * np.pi * np.exp(-c))

# %% chance_of_none | right: logarithms in tensors
def my_chance(n, c):
    q = torch.tensor(4 * math.pi, dtype=torch.float64) * torch.tensor(-c, dtype=torch.float64).exp()
    return torch.exp(n * torch.log1p(-q))

# %% chance_of_none | wrong: expected number | n q
def my_chance(n, c):
    return n * 4 * math.pi * math.exp(-c)

# %% chance_of_none | wrong: one at least | the other event
def my_chance(n, c):
    return 1 - (1 - 4 * math.pi * math.exp(-c)) ** n

# %% chance_of_none | wrong: all of them | one draw
def my_chance(n, c):
    return 1 - 4 * math.pi * math.exp(-c)

# %% chance_of_none | wrong: 4 pi | the density in place of the probability
def my_chance(n, c):
    return (1 - math.exp(-c)) ** n
