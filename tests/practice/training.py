"""Answers to the exercises of notebook 10."""

# %% averaged | right: lerp
def my_average(averages, weights, decay):
    return [torch.lerp(new, old, decay) for old, new in zip(averages, weights)]

# %% averaged | right: in place, as an optimiser would
def my_average(averages, weights, decay):
    for old, new in zip(averages, weights):
        old += (1 - decay) * (new - old)
    return averages

# %% averaged | right: NumPy
def my_average(averages, weights, decay):
    return [np.average([old.numpy(), new.numpy()], axis=0, weights=[decay, 1 - decay]) for old, new in zip(averages, weights)]

# %% averaged | wrong: exchanged | the new weights keep the share decay
def my_average(averages, weights, decay):
    return [(1 - decay) * old + decay * new for old, new in zip(averages, weights)]

# %% averaged | wrong: sum to 1 | the new weights added whole
def my_average(averages, weights, decay):
    return [decay * old + new for old, new in zip(averages, weights)]

# %% averaged | wrong: not moved | the result thrown away
def my_average(averages, weights, decay):
    for old, new in zip(averages, weights):
        old = decay * old + (1 - decay) * new
    return averages

# %% averaged | wrong: a list of 3 | one tensor of all
def my_average(averages, weights, decay):
    flat = [torch.cat([each.flatten() for each in part]) for part in (averages, weights)]
    return decay * flat[0] + (1 - decay) * flat[1]

# %% chain_states | right: accumulate
def my_chain(step, x, n):
    import itertools

    path = itertools.accumulate(range(n), lambda state, _: step(state), initial=x)
    return list(path)[1:]

# %% chain_states | right: one tensor, filled
def my_chain(step, x, n):
    states = x.new_empty(n, *x.shape)
    for i in range(n):
        states[i] = step(x if i == 0 else states[i - 1])
    return states

# %% chain_states | right: recursion, NumPy
def my_chain(step, x, n):
    if n == 0:
        return []
    x = step(x)
    return [x.numpy(), *my_chain(step, x, n - 1)]

# %% chain_states | wrong: before its update | append, then step
def my_chain(step, x, n):
    states = []
    for _ in range(n):
        states.append(x)
        x = step(x)
    return states

# %% chain_states | wrong: not the result of an update | the start among them
def my_chain(step, x, n):
    states = [x]
    for _ in range(n):
        states.append(step(states[-1]))
    return states

# %% chain_states | wrong: alike | one tensor, changed in place
def my_chain(step, x, n):
    states = []
    for _ in range(n):
        x.copy_(step(x))
        states.append(x)
    return states

# %% chain_states | wrong: for 4 updates | the last one only
def my_chain(step, x, n):
    for _ in range(n):
        x = step(x)
    return [x]
