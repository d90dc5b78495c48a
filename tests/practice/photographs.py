"""Answers to the exercises of notebook 13."""

# %% preconditioned | right: from the denoised image, with c_skip and c_out
def my_score(f, x, sigma):
    wide = 1 + 4 * sigma**2
    u = (2 * x - 1) / wide**0.5
    denoised = x + sigma / wide**0.5 * f(u, math.log(sigma)) - 2 * sigma**2 * (2 * x - 1) / wide
    return (denoised - x) / sigma**2

# %% preconditioned | right: a Gaussian's score and a correction, in NumPy
def my_score(f, x, sigma):
    root = np.sqrt(1 + 4 * sigma**2)
    gaussian = -(x - 0.5) / (0.25 + sigma**2)
    return gaussian + f((2 * x - 1) / float(root), float(np.log(sigma))) / (sigma * float(root))

# %% preconditioned | wrong: middle | away from it
def my_score(f, x, sigma):
    root = math.sqrt(1 + 4 * sigma**2)
    u = (2 * x - 1) / root
    return (f(u, math.log(sigma)) / sigma + 2 * u) / root

# %% preconditioned | wrong: told log sigma | told sigma
def my_score(f, x, sigma):
    root = math.sqrt(1 + 4 * sigma**2)
    u = (2 * x - 1) / root
    return (f(u, sigma) / sigma - 2 * u) / root

# %% preconditioned | wrong: not x | the net sees the unscaled image
def my_score(f, x, sigma):
    root = math.sqrt(1 + 4 * sigma**2)
    return (f(x, math.log(sigma)) / sigma - 2 * (2 * x - 1) / root) / root

# %% preconditioned | wrong: not divided by sigma | the noise is guessed, not the score
def my_score(f, x, sigma):
    root = math.sqrt(1 + 4 * sigma**2)
    u = (2 * x - 1) / root
    return (f(u, math.log(sigma)) - 2 * u) / root

# %% preconditioned | wrong: what the Gaussian knows | the net alone
def my_score(f, x, sigma):
    root = math.sqrt(1 + 4 * sigma**2)
    return f((2 * x - 1) / root, math.log(sigma)) / sigma / root

# %% consistent_step | right: from the denoised image
def my_step(x, s, sigma, lower, eta, z):
    clean = x + sigma**2 * s
    stays = (1 - eta) * sigma
    return eta * clean + (1 - eta) * x + math.sqrt(lower**2 - stays**2) * z

# %% consistent_step | right: NumPy
def my_step(x, s, sigma, lower, eta, z):
    rest = np.sqrt(lower**2 - np.square(sigma - eta * sigma))
    return np.asarray(x) + eta * sigma**2 * np.asarray(s) + rest * np.asarray(z)

# %% consistent_step | wrong: there already | all of the next level's noise
def my_step(x, s, sigma, lower, eta, z):
    return x + eta * sigma**2 * s + lower * z

# %% consistent_step | wrong: variances do | a difference of standard deviations
def my_step(x, s, sigma, lower, eta, z):
    return x + eta * sigma**2 * s + (lower - (1 - eta) * sigma) * z

# %% consistent_step | wrong: not eta | the share that goes in place of the one that stays
def my_step(x, s, sigma, lower, eta, z):
    return x + eta * sigma**2 * s + math.sqrt(abs(lower**2 - eta**2 * sigma**2)) * z

# %% consistent_step | wrong: no fresh noise | taken away only
def my_step(x, s, sigma, lower, eta, z):
    return x + eta * sigma**2 * s

# %% consistent_step | wrong: not sigma s | one sigma
def my_step(x, s, sigma, lower, eta, z):
    return x + eta * sigma * s + math.sqrt(lower**2 - (1 - eta) ** 2 * sigma**2) * z
