"""Answers to the exercises of notebook 17."""

# %% forward_step | right: NumPy
def my_step(x, f, g, dt, z):
    return (1 + f * dt) * x.numpy() + g * np.sqrt(dt) * z.numpy()

# %% forward_step | right: the increment of the Wiener process by itself
def my_step(x, f, g, dt, z):
    dw = math.sqrt(dt) * z
    dx = f * x * dt + g * dw
    return x + dx

# %% forward_step | right: a row at a time
def my_step(x, f, g, dt, z):
    return [row + f * dt * row + math.sqrt(g * g * dt) * noise for row, noise in zip(x, z)]

# %% forward_step | wrong: variance g^2 dt | noise like the drift
def my_step(x, f, g, dt, z):
    return x + (f * x + g * z) * dt

# %% forward_step | wrong: this is its variance | variance for standard deviation
def my_step(x, f, g, dt, z):
    return x + f * x * dt + g**2 * dt * z

# %% forward_step | wrong: this is the change | dx alone
def my_step(x, f, g, dt, z):
    return f * x * dt + g * math.sqrt(dt) * z

# %% forward_step | wrong: dt is missing in the noise | g z
def my_step(x, f, g, dt, z):
    return torch.add(x, f * x, alpha=dt) + g * z

# %% reverse_step | right: NumPy, collected
def my_back(x, s, f, g, dt, z):
    x, s, z = x.numpy(), s.numpy(), z.numpy()
    return (1 - f * dt) * x + g**2 * dt * s + g * dt**0.5 * z

# %% reverse_step | right: forward in the reversed time
def my_back(x, s, f, g, dt, z):
    drift = -f * x + g**2 * s
    return torch.normal(x + drift * dt, 0.0) + g * math.sqrt(dt) * z

# %% reverse_step | wrong: this walks forward | dt positive
def my_back(x, s, f, g, dt, z):
    return x + (f * x - g**2 * s) * dt + g * math.sqrt(dt) * z

# %% reverse_step | wrong: half of g^2 belongs to the flow | the flow with noise
def my_back(x, s, f, g, dt, z):
    return x - f * x * dt + 0.5 * g**2 * s * dt + g * math.sqrt(dt) * z

# %% reverse_step | wrong: neither | dw dropped
def my_back(x, s, f, g, dt, z):
    return x - (f * x - g**2 * s) * dt

# %% reverse_step | wrong: f has kept its sign | only the score turned
def my_back(x, s, f, g, dt, z):
    return x + f * x * dt + g**2 * s * dt + g * math.sqrt(dt) * z

# %% reverse_step | wrong: this is a step of the flow | the flow, without noise
def my_back(x, s, f, g, dt, z):
    slope = f * x - g * g / 2 * s
    return x - slope * dt

# %% reverse_step | wrong: x itself is lost | dx alone
def my_back(x, s, f, g, dt, z):
    return dt * (g**2 * s - f * x) + g * math.sqrt(dt) * z

# %% flow_slope | right: NumPy
def my_slope(x, s, f, g):
    return f * x.numpy() - np.square(g) * s.numpy() / 2

# %% flow_slope | right: the mean of the drifts forward and of the reverse SDE
def my_slope(x, s, f, g):
    forward, reverse = f * x, f * x - g * g * s
    return (forward + reverse) / 2

# %% flow_slope | wrong: this is the drift of the reverse SDE | all of g^2
def my_slope(x, s, f, g):
    return f * x - g**2 * s

# %% flow_slope | wrong: score's sign is wrong | towards the data
def my_slope(x, s, f, g):
    return f * x + g**2 * s / 2

# %% flow_slope | wrong: squared with g it is a quarter | half of g, then squared
def my_slope(x, s, f, g):
    return f * x - (0.5 * g) ** 2 * s

# %% flow_slope | wrong: half belongs to the score alone | a half of everything
def my_slope(x, s, f, g):
    return 0.5 * (f * x - g**2 * s)
