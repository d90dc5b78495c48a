"""Answers to the exercises of notebook 18."""

# %% score_of_v | right: Tweedie on the clean point, NumPy
def my_score(v, x, sigma):
    v, x = v.numpy(), x.numpy()
    a = 1 / np.sqrt(1 + sigma**2)
    clean = a * (a * x - sigma * v)
    return (clean - x) / sigma**2

# %% score_of_v | right: the score of x_t, and the chain rule
def my_score(v, x, sigma):
    angle = math.atan(sigma)
    a, b = math.cos(angle), math.sin(angle)
    score_t = -(b * (a * x) + a * v) / b
    return a * score_t

# %% score_of_v | right: the library's converter
def my_score(v, x, sigma):
    return ne.convert(v, x, sigma, source="v", target="score")

# %% score_of_v | wrong: v is taken for the noise | as of a net that guesses the noise
def my_score(v, x, sigma):
    return -v / sigma

# %% score_of_v | wrong: clean point | stopped half way
def my_score(v, x, sigma):
    a = (1 + sigma**2) ** -0.5
    return a * (a * x - sigma * v)

# %% score_of_v | wrong: x is taken for x_t | the factor of x forgotten
def my_score(v, x, sigma):
    a = (1 + sigma**2) ** -0.5
    return (a * x - sigma * a * v - x) / sigma**2

# %% score_of_v | wrong: divide by sigma as well | minus the noise
def my_score(v, x, sigma):
    a = (1 + sigma**2) ** -0.5
    return -a * (sigma * a * x + v)

# %% score_of_v | wrong: taken for the velocity | the formula of flow matching
def my_score(v, x, sigma):
    clean = (x - sigma * v) / (1 + sigma)
    return (clean - x) / sigma**2

# %% score_of_v | wrong: the point is x | Tweedie at x_t
def my_score(v, x, sigma):
    a = (1 + sigma**2) ** -0.5
    return (a * (a * x - sigma * v) - a * x) / sigma**2

# %% velocity_of_score | right: the library's inverse of FlowScore
def my_velocity(score, x_t, t):
    return ne.ScoreVelocity(score)(x_t, t)

# %% velocity_of_score | right: noise less clean
def my_velocity(score, x_t, t):
    sigma = t / (1 - t)
    x = x_t / (1 - t)
    s = score(x, sigma)
    return -sigma * s - (x + sigma**2 * s)

# %% velocity_of_score | right: in t alone, a point at a time
def my_velocity(score, x_t, t):
    rows = [score(row[None] / (1 - t), t / (1 - t))[0] * t / (1 - t) + row for row in x_t]
    return -torch.stack(rows) / (1 - t)

# %% velocity_of_score | wrong: the other way round | from noise to data
def my_velocity(score, x_t, t):
    x, sigma = x_t / (1 - t), t / (1 - t)
    return x + sigma * (1 + sigma) * score(x, sigma)

# %% velocity_of_score | wrong: asked at x_t | x_t for x
def my_velocity(score, x_t, t):
    sigma = t / (1 - t)
    return -x_t - sigma * (1 + sigma) * score(x_t, sigma)

# %% velocity_of_score | wrong: go to the score as they are | neither x_t nor t changed
def my_velocity(score, x_t, t):
    s = score(x_t, t)
    return -t * s - (x_t + t**2 * s)

# %% velocity_of_score | wrong: the x in front | divided in the score alone
def my_velocity(score, x_t, t):
    sigma = t / (1 - t)
    return -x_t - sigma * (1 + sigma) * score(x_t / (1 - t), sigma)

# %% velocity_of_score | wrong: guess of the noise | the clean point forgotten
def my_velocity(score, x_t, t):
    sigma = t / (1 - t)
    return -sigma * score(x_t / (1 - t), sigma)

# %% flow_loss | right: lerp and einsum
def my_loss(velocity, x, t, z):
    off = velocity(torch.lerp(x, z, t[:, None]), t) - z + x
    return torch.einsum("bd,bd->b", off, off)

# %% flow_loss | right: an example at a time
def my_loss(velocity, x, t, z):
    return [
        ((velocity((x[i] + t[i] * (z[i] - x[i]))[None], t[i : i + 1])[0] - (z[i] - x[i])) ** 2).sum()
        for i in range(len(x))
    ]

# %% flow_loss | wrong: no factor 1/2 | half the square, as in dsm
def my_loss(velocity, x, t, z):
    s = t[:, None]
    return (velocity((1 - s) * x + s * z, t) - (z - x)).square().sum(1) / 2

# %% flow_loss | wrong: told 1 - t | the time of the other direction
def my_loss(velocity, x, t, z):
    s = t[:, None]
    return (velocity((1 - s) * x + s * z, 1 - t) - (z - x)).square().sum(1)

# %% flow_loss | wrong: not x - z | towards the data
def my_loss(velocity, x, t, z):
    s = t[:, None]
    return (velocity((1 - s) * x + s * z, t) - (x - z)).square().sum(1)

# %% flow_loss | wrong: exchanged | noise at t = 0
def my_loss(velocity, x, t, z):
    s = t[:, None]
    return (velocity(s * x + (1 - s) * z, t) - (z - x)).square().sum(1)

# %% flow_loss | wrong: with the noise | a net for the noise
def my_loss(velocity, x, t, z):
    s = t[:, None]
    return (velocity((1 - s) * x + s * z, t) - z).square().sum(1)

# %% flow_loss | wrong: not their roots | variance preserving
def my_loss(velocity, x, t, z):
    s = t[:, None]
    return (velocity((1 - s).sqrt() * x + s.sqrt() * z, t) - (z - x)).square().sum(1)
