"""Answers to the exercises of notebook 19."""

# %% class_gradient | right: of the cross-entropy, with the other sign
def my_class_gradient(classifier, x, sigma, label):
    x = x.clone().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(classifier(x, sigma), torch.full((len(x),), label), reduction="sum")
    loss.backward()
    return -x.grad

# %% class_gradient | right: by the Jacobian of the logits, and their softmax
def my_class_gradient(classifier, x, sigma, label):
    slopes = torch.autograd.functional.jacobian(lambda x: classifier(x, sigma).sum(0), x).transpose(0, 1)  # (B, K, D)
    p = torch.softmax(classifier(x, sigma), 1)
    return slopes[:, label] - (p[:, :, None] * slopes).sum(1)

# %% class_gradient | right: a row at a time, from probabilities
def my_class_gradient(classifier, x, sigma, label):
    rows = []
    for row in x:
        row = row[None].detach().requires_grad_()
        p = torch.softmax(classifier(row, sigma), 1)[0, label]
        rows.append(torch.autograd.grad(p, row)[0][0] / p.detach())
    return torch.stack(rows)

# %% class_gradient | wrong: gradient of the logit | no log_softmax
def my_class_gradient(classifier, x, sigma, label):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(classifier(x, sigma)[:, label].sum(), x)[0]

# %% class_gradient | wrong: of the probability | no logarithm
def my_class_gradient(classifier, x, sigma, label):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(classifier(x, sigma).softmax(1)[:, label].sum(), x)[0]

# %% class_gradient | wrong: the sign is that of the loss | cross-entropy as it is
def my_class_gradient(classifier, x, sigma, label):
    x = x.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(classifier(x, sigma), torch.full((len(x),), label), reduction="sum")
    return torch.autograd.grad(loss, x)[0]

# %% class_gradient | wrong: mean over the rows | mean for sum
def my_class_gradient(classifier, x, sigma, label):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(classifier(x, sigma).log_softmax(1)[:, label].mean(), x)[0]

# %% class_gradient | wrong: asked at sigma 0 | a classifier of clean images
def my_class_gradient(classifier, x, sigma, label):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(classifier(x, 0.0).log_softmax(1)[:, label].sum(), x)[0]

# %% class_gradient | wrong: over the rows | softmax along the batch
def my_class_gradient(classifier, x, sigma, label):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(classifier(x, sigma).log_softmax(0)[:, label].sum(), x)[0]

# %% class_gradient | right: a gradient function mapped over the rows
def my_class_gradient(classifier, x, sigma, label):
    def log_p(row):
        return classifier(row[None], sigma).log_softmax(1)[0, label]

    return torch.func.vmap(torch.func.grad(log_p))(x)

# %% guidance | right: as a weighted sum
def my_guidance(s, s_class, scale):
    return (1 - scale) * s + scale * s_class

# %% guidance | right: NumPy
def my_guidance(s, s_class, scale):
    s, s_class = s.numpy(), s_class.numpy()
    return s_class + (scale - 1) * (s_class - s)

# %% guidance | right: torch.lerp
def my_guidance(s, s_class, scale):
    return torch.lerp(s, s_class, scale)

# %% guidance | wrong: another convention | Ho and Salimans' w
def my_guidance(s, s_class, scale):
    return (1 + scale) * s_class - scale * s

# %% guidance | wrong: has the score of all in it already | added on top
def my_guidance(s, s_class, scale):
    return s + scale * s_class

# %% guidance | wrong: exchanged | the other way round
def my_guidance(s, s_class, scale):
    return scale * s + (1 - scale) * s_class

# %% guidance | wrong: s is missing | the difference alone
def my_guidance(s, s_class, scale):
    return scale * (s_class - s)

# %% guidance | wrong: the guide's sign | away from the class
def my_guidance(s, s_class, scale):
    return s + scale * (s - s_class)

# %% pull | right: the inverse, row by row
def my_pull(A, y, m, variance, noise):
    inverse = torch.linalg.inv(variance * A @ A.T + noise**2 * torch.eye(len(A)))
    return torch.stack([A.T @ inverse @ (y - A @ row) for row in m])

# %% pull | right: on the other side of A, by Woodbury
def my_pull(A, y, m, variance, noise):
    D = A.shape[1]
    whole = torch.linalg.inv(variance * A.T @ A + noise**2 * torch.eye(D))
    return (y - m @ A.T) @ A @ whole

# %% pull | right: the gradient of a Gaussian's logarithm in m
def my_pull(A, y, m, variance, noise):
    m = m.clone().requires_grad_()
    of_y = torch.distributions.MultivariateNormal(m @ A.T, variance * A @ A.T + noise**2 * torch.eye(len(A)))
    return torch.autograd.grad(of_y.log_prob(y).sum(), m)[0]

# %% pull | wrong: without `variance` in front | Kalman's gain
def my_pull(A, y, m, variance, noise):
    gain = variance * A.T @ torch.linalg.inv(variance * A @ A.T + noise**2 * torch.eye(len(A)))
    return (y - m @ A.T) @ gain.T

# %% pull | wrong: on the diagonal alone | noise^2 added to every entry
def my_pull(A, y, m, variance, noise):
    return torch.linalg.solve(variance * A @ A.T + noise**2, (y - m @ A.T).T).T @ A

# %% pull | wrong: not diagonal | a division for each measurement
def my_pull(A, y, m, variance, noise):
    return (y - m @ A.T) / (variance * A.square().sum(1) + noise**2) @ A

# %% pull | wrong: m is taken for certain | the denoised image as if it were x_0
def my_pull(A, y, m, variance, noise):
    return (y - m @ A.T) @ A / noise**2

# %% pull | wrong: square it | noise for noise^2
def my_pull(A, y, m, variance, noise):
    return torch.linalg.solve(variance * A @ A.T + noise * torch.eye(len(A)), (y - m @ A.T).T).T @ A

# %% pull | wrong: the noise of y is missing | only the variance
def my_pull(A, y, m, variance, noise):
    return torch.linalg.solve(variance * A @ A.T, (y - m @ A.T).T).T @ A

# %% pull | wrong: A A' is missing | a number for the covariance
def my_pull(A, y, m, variance, noise):
    return (y - m @ A.T) @ A / (variance + noise**2)

# %% pull | wrong: the sign | away from y
def my_pull(A, y, m, variance, noise):
    return torch.linalg.solve(variance * A @ A.T + noise**2 * torch.eye(len(A)), (m @ A.T - y).T).T @ A

# %% pull | wrong: shape | still in the space of y
def my_pull(A, y, m, variance, noise):
    return torch.linalg.solve(variance * A @ A.T + noise**2 * torch.eye(len(A)), (y - m @ A.T).T).T
