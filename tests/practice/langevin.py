"""Answers to the exercises of notebook 2."""

# %% langevin_step | right: NumPy
def my_step(x, score, alpha, z):
    x, z = x.numpy(), z.numpy()
    return x + 0.5 * alpha * score(x) + np.sqrt(alpha) * z

# %% langevin_step | right: in place, and it prints
def my_step(x, score, alpha, z):
    print("step")
    s = score(x)
    x += alpha * s / 2
    x.add_(z, alpha=alpha**0.5)
    return x

# %% langevin_step | right: in the letters of physics, eps = alpha / 2
def my_step(x, score, alpha, z):
    eps = alpha / 2
    return x + eps * score(x) + (2 * eps) ** 0.5 * z

# %% langevin_step | wrong: no noise | gradient ascent
def my_step(x, score, alpha, z):
    return x + alpha / 2 * score(x)

# %% langevin_step | wrong: standard deviation alpha | the root forgotten
def my_step(x, score, alpha, z):
    return x + alpha / 2 * score(x) + alpha * z

# %% langevin_step | wrong: twice too strong | the half forgotten
def my_step(x, score, alpha, z):
    return x + alpha * score(x) + math.sqrt(alpha) * z

# %% langevin_step | wrong: size 2 alpha | the convention of physics with our alpha
def my_step(x, score, alpha, z):
    return x + alpha * score(x) + math.sqrt(2 * alpha) * z

# %% langevin_step | wrong: returned nothing | changed in place, and not returned
def my_step(x, score, alpha, z):
    x += alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% langevin_step | wrong: the change | only what is added
def my_step(x, score, alpha, z):
    return alpha / 2 * score(x) + math.sqrt(alpha) * z

# %% langevin_step | wrong: expected | noise of its own
def my_step(x, score, alpha, z):
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn(x.shape)

# %% acceptance | right: NumPy's minimum of 0 first
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    return np.exp(np.minimum(0, np.asarray(log_p_new + log_q_back - log_p - log_q_forth)))

# %% acceptance | right: a loop
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    rows = zip(log_p, log_p_new, log_q_forth, log_q_back)
    return [1.0 if a + f <= b + k else math.exp(b + k - a - f) for a, b, f, k in rows]

# %% acceptance | right: far first
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    return torch.exp((log_p_new - log_p) + (log_q_back - log_q_forth)).clamp(max=1)

# %% acceptance | wrong: exchanged | the wrong way round
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    return torch.exp(log_p_new + log_q_forth - log_p - log_q_back).clamp(max=1)

# %% acceptance | wrong: not symmetric | Metropolis without Hastings
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    return torch.exp(log_p_new - log_p).clamp(max=1)

# %% acceptance | wrong: above 1 | no minimum
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    return torch.exp(log_p_new + log_q_back - log_p - log_q_forth)

# %% acceptance | wrong: nan | densities in place of logarithms: 0 / 0 far away
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
    ratio = log_p_new.exp() * log_q_back.exp() / (log_p.exp() * log_q_forth.exp())
    return torch.minimum(torch.ones(()), ratio)
