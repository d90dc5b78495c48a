"""Answers to the exercise of notebook 12."""

# %% gaussian_distance | right: eigenvalues of the product
def my_distance(mean_x, mean_y, cov_x, cov_y):
    roots = torch.linalg.eigvals(cov_x @ cov_y).real.clamp(min=0).sqrt()
    return (mean_x - mean_y).square().sum() + (cov_x + cov_y).trace() - 2 * roots.sum()

# %% gaussian_distance | right: singular values of two factors, in NumPy
def my_distance(mean_x, mean_y, cov_x, cov_y):
    a, b = np.linalg.cholesky(cov_x.numpy()), np.linalg.cholesky(cov_y.numpy())
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return float(((mean_x - mean_y) ** 2).sum()) + (a**2).sum() + (b**2).sum() - 2 * nuclear

# %% gaussian_distance | right: the matrix root of SciPy, with a complex rest
def my_distance(mean_x, mean_y, cov_x, cov_y):
    from scipy.linalg import sqrtm

    root = sqrtm(cov_x.double().numpy() @ cov_y.double().numpy()).real
    return np.sum((mean_x - mean_y).numpy() ** 2) + np.trace(cov_x + cov_y - 2 * root)

# %% gaussian_distance | wrong: each entry | the root entry by entry
def my_distance(mean_x, mean_y, cov_x, cov_y):
    product = (cov_x @ cov_y).abs().sqrt()
    return (mean_x - mean_y).square().sum() + (cov_x + cov_y - 2 * product).trace()

# %% gaussian_distance | wrong: commute | a root of each
def my_distance(mean_x, mean_y, cov_x, cov_y):
    def root(s):
        values, vectors = torch.linalg.eigh(s)
        return vectors @ torch.diag(values.sqrt()) @ vectors.T

    return (mean_x - mean_y).square().sum() + (cov_x + cov_y - 2 * root(cov_x) @ root(cov_y)).trace()

# %% gaussian_distance | wrong: off the diagonal | standard deviations alone
def my_distance(mean_x, mean_y, cov_x, cov_y):
    widths = cov_x.diagonal().sqrt() - cov_y.diagonal().sqrt()
    return (mean_x - mean_y).square().sum() + widths.square().sum()

# %% gaussian_distance | wrong: squared | the norm of the difference of the means
def my_distance(mean_x, mean_y, cov_x, cov_y):
    roots = torch.linalg.eigvals(cov_x @ cov_y).real.sqrt()
    return (mean_x - mean_y).norm() + (cov_x + cov_y).trace() - 2 * roots.sum()

# %% gaussian_distance | wrong: twice | one overlap
def my_distance(mean_x, mean_y, cov_x, cov_y):
    roots = torch.linalg.eigvals(cov_x @ cov_y).real.sqrt()
    return (mean_x - mean_y).square().sum() + (cov_x + cov_y).trace() - roots.sum()

# %% gaussian_distance | wrong: is its root | a distance with the unit of one
def my_distance(mean_x, mean_y, cov_x, cov_y):
    roots = torch.linalg.eigvals(cov_x @ cov_y).real.clamp(min=0).sqrt()
    return ((mean_x - mean_y).square().sum() + (cov_x + cov_y).trace() - 2 * roots.sum()).sqrt()

# %% gaussian_distance | wrong: shape | a matrix: the trace forgotten
def my_distance(mean_x, mean_y, cov_x, cov_y):
    return (mean_x - mean_y).square().sum() + cov_x + cov_y - 2 * (cov_x @ cov_y)
