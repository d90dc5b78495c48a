"""How good are samples? Weights and shapes of modes, distances between two sets of samples, what a classifier says.

A number comes with its uncertainty where one can be had, and no number is enough: a Gaussian fit has a small Frechet
distance, learned-by-heart images have all of a classifier's confidence. This file does NOT draw, and does not know how
samples were made.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .checks import check_count, check_points
from .core import exact
from .distributions import GaussianMixture


class ModeWeights(NamedTuple):
    """Share of samples in each mode, with a confidence interval; each field has shape (K,)."""

    weight: Tensor
    low: Tensor
    high: Tensor


def mode_weights(x: Tensor, mixture: GaussianMixture, *, confidence: float = 0.95) -> ModeWeights:
    """Share of the samples x (B, D) in each component of a mixture, with Wilson's interval.

    A sample counts for the component most likely to have made it. The interval holds for independent samples;
    chains started apart are, successive states of one chain are not.
    """
    from scipy.stats import binomtest

    counts = torch.bincount(_assign(x, mixture), minlength=mixture.n_components)
    tests = [binomtest(int(count), len(x)).proportion_ci(confidence, method="wilson") for count in counts]
    low, high = torch.tensor([(t.low, t.high) for t in tests], dtype=torch.float64).T
    return ModeWeights(counts / len(x), low, high)


def quantiles(mixture: GaussianMixture, shares: Tensor, sigma: float = 0.0) -> Tensor:
    """Points (N, 1), float64, below which these shares (N,) of a mixture on a line lie, after noise of sigma.

    By bisection of its distribution function. The mean distance of N sorted samples from the quantiles (i + 1/2) / N is
    their Wasserstein distance to the mixture, up to what N points can tell.
    """
    if mixture.dim != 1:
        raise ValueError(f"quantiles are for a line, and this mixture is in {mixture.dim}-D")
    shares = exact(shares)
    if shares.ndim != 1 or not ((shares > 0) & (shares < 1)).all():
        raise ValueError("shares are one row of numbers between 0 and 1, such as (torch.arange(100) + 0.5) / 100")
    means, stds = mixture.means[:, 0], mixture.perturb(sigma).covariances[:, 0, 0].sqrt()
    low, high = (means - 40 * stds).min().expand_as(shares), (means + 40 * stds).max().expand_as(shares)
    for _ in range(80):
        middle = (low + high) / 2
        below = torch.special.ndtr((middle[:, None] - means) / stds) @ mixture.weights < shares
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return middle[:, None]


def mode_moments(x: Tensor, mixture: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Mean (K, D) and covariance (K, D, D) of the samples in each mode; NaN for a mode with too few samples."""
    mode = _assign(x, mixture)
    x = exact(x)
    n_modes, dim = mixture.n_components, x.shape[1]
    means, covariances = x.new_full((n_modes, dim), torch.nan), x.new_full((n_modes, dim, dim), torch.nan)
    for k in range(n_modes):
        inside = x[mode == k]
        if len(inside) >= 2:
            means[k] = inside.mean(0)
            covariances[k] = inside.T.cov()
    return means, covariances


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """||mu_x - mu_y||^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) of samples (n, *D), (m, *D): Dowson & Landau 1982, squared.

    Between Gaussians with the samples' means and covariances, in whatever space the samples are given: pixels here.
    (With the features of Inception it is called FID.) Estimated from samples it is too large, by about 1/n + 1/m.
    """
    x, y = _pair(x, y)
    s_x, s_y = x.T.cov(), y.T.cov()
    values, vectors = torch.linalg.eigh(s_x)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # The eigenvalues of root S_y root are those of S_x S_y, and real.
    overlap = torch.linalg.eigvalsh(root @ s_y @ root).clamp(min=0).sqrt().sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + s_x.trace() + s_y.trace() - 2 * overlap).item()


def nearest(x: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance (n,) from each of x (n, *D) to the nearest of data (m, *D), and which one that is (n,)."""
    check_points(x), check_points(data)
    if x.shape[1:] != data.shape[1:]:
        raise ValueError(f"x {tuple(x.shape)} and data {tuple(data.shape)} must be of one shape but for the first size")
    flat = _exact(data)  # in float32 an image would be 0.01 from itself
    parts = [torch.cdist(part, flat).min(1) for part in _exact(x).split(1024)]
    distances, which = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return distances.to(x), which.to(x.device)


class Judgement(NamedTuple):
    """What `judge` finds. Compare it with that of real images."""

    sure: float  # share of images that the classifier is sure of: its largest probability is above 0.9
    classes: Tensor  # (n_classes,) share of images that it puts into each class
    frechet: float  # Frechet distance to held-out images, in pixels
    # Mean distance to the nearest training image / that to the nearest held-out one: far below 1 for copies.
    memory: float


def judge(
    x: Tensor, classifier: Callable[[Tensor], Tensor], *, train: Tensor, held_out: Tensor, sure: float = 0.9
) -> Judgement:
    """Judge images x (n, C, H, W) in [0, 1] by a classifier and by real images: about as many to train as held out.

    classifier(x) -> logits (n, n_classes). Values beyond [0, 1] are cut off first, as a display does.
    """
    x = x.clamp(0, 1)
    with torch.no_grad():
        probabilities = torch.cat([classifier(part) for part in x.split(512)]).softmax(1)
    top, label = probabilities.max(1)
    memory = nearest(x, train)[0].mean() / nearest(x, held_out)[0].mean()
    shares = torch.bincount(label, minlength=probabilities.shape[1]) / len(x)
    return Judgement((top > sure).float().mean().item(), shares, frechet_distance(x, held_out), memory.item())


# ---- distances in the space of a feature net -----------------------------------------------------------------------


class Features(NamedTuple):
    """What a feature net (features.py) makes of n images. Its name goes with every number computed from them."""

    net: str
    values: Tensor  # (n, D)
    probabilities: Tensor  # (n, n_classes)


class Measured(NamedTuple):
    """A number about samples, with all that it means nothing without."""

    name: str
    value: float
    low: float  # 95 % interval, by the bootstrap: what another draw of the same images might give
    high: float
    net: str  # whose features
    n: int  # samples
    n_reference: int = 0  # images that they were compared with, if any

    def __str__(self) -> str:
        against = f" against {self.n_reference}" if self.n_reference else ""
        interval = f"[{self.low:.4g}, {self.high:.4g}]"
        return f"{self.name} {self.value:.4g} {interval} (features of {self.net}, {self.n} images{against})"


INCEPTION = "Inception-v3"
# The names that are known from papers belong to one net only.
PUBLISHED = {"Frechet distance": "FID", "kernel distance": "KID", "classifier score": "inception score"}


def frechet(x: Features, y: Features, *, n_bootstrap: int = 100, generator: torch.Generator | None = None) -> Measured:
    """`frechet_distance` of features; called FID where Inception made them (Heusel et al. 2017).

    The interval shows the scatter and not the bias: with n samples the distance is too large by about a constant / n,
    so compare numbers of equal n only. Refuses fewer than D + 1 images: their covariance has no inverse, and the
    distance says more about their number than about them.
    """
    dim = _comparable(x, y)
    for features in (x, y):
        if len(features.values) <= dim:
            raise ValueError(
                f"{len(features.values)} images are too few for a covariance of {dim} features: give at least {dim + 1}"
            )
    value = frechet_distance(x.values, y.values)

    def redrawn(values: Tensor) -> Tensor:
        return values[_redrawn(len(values), generator)]

    n_bootstrap = check_count("n_bootstrap", n_bootstrap)
    again = [frechet_distance(redrawn(x.values), redrawn(y.values)) for _ in range(n_bootstrap)]
    return _measured("Frechet distance", value, again, x, y)


def kernel_distance(
    x: Features, y: Features, *, n_bootstrap: int = 100, chunk: int = 1024, generator: torch.Generator | None = None
) -> Measured:
    """Squared maximum mean discrepancy with the kernel (a b / D + 1)^3 (Binkowski et al. 2018): KID with Inception.

    Unbiased at any number of images; 0 on average if both come from one distribution, and then negative half the time.
    """
    dim = _comparable(x, y)
    a, b = x.values.double(), y.values.double()
    n_bootstrap = check_count("n_bootstrap", n_bootstrap)

    def counts(n: int) -> Tensor:
        """How often each of n images is drawn, (n, 1 + n_bootstrap): once, and in each of the bootstrap's draws."""
        drawn = [_redrawn(n, generator).bincount(minlength=n) for _ in range(n_bootstrap)]
        return torch.stack([torch.ones(n, dtype=torch.int64), *drawn], 1).double()

    def mean(p: Tensor, p_counts: Tensor, q: Tensor, q_counts: Tensor) -> Tensor:
        """The mean of the kernel over pairs, (1 + n_bootstrap,): the kernel is computed once for all draws."""
        total = torch.zeros(1 + n_bootstrap, dtype=torch.float64)
        for rows, first in zip(p.split(chunk), range(0, len(p), chunk), strict=True):
            kernel = (rows @ q.T / dim + 1) ** 3
            if p is q:  # pairs of an image with itself do not count
                kernel[:, first : first + len(rows)].fill_diagonal_(0)
            total = total + (p_counts[first : first + len(rows)] * (kernel @ q_counts)).sum(0)
        weight = p_counts.sum(0) * q_counts.sum(0) - ((p_counts**2).sum(0) if p is q else 0)
        return total / weight

    c, d = counts(len(a)), counts(len(b))
    values = (mean(a, c, a, c) + mean(b, d, b, d) - 2 * mean(a, c, b, d)).tolist()
    return _measured("kernel distance", values[0], values[1:], x, y)


def classifier_score(x: Features, *, n_bootstrap: int = 100, generator: torch.Generator | None = None) -> Measured:
    """exp(mean KL(p(class | image) || p(class))): the inception score if the classifier is Inception (Salimans 2016).

    From 1, for images that all look alike to the classifier, to the number of classes. It never looks at real images.
    """
    p = x.probabilities.double()

    def score(rows: Tensor) -> float:
        q = rows.mean(0)
        return torch.xlogy(rows, rows / q.clamp(min=1e-300)).sum(1).mean().exp().item()

    again = [score(p[_redrawn(len(p), generator)]) for _ in range(check_count("n_bootstrap", n_bootstrap))]
    return _measured("classifier score", score(p), again, x)


def precision_recall(
    x: Features, y: Features, *, k: int = 3, n_bootstrap: int = 100, generator: torch.Generator | None = None
) -> tuple[Measured, Measured]:
    """Share of samples x near real images y, and share of y near x (Kynkaanniemi et al. 2019).

    Near means: inside a ball around one of the others, as wide as the distance to its k-th nearest fellow. The
    interval is over the images that are counted, with the balls as they are.
    """
    _comparable(x, y)
    k, n_bootstrap = check_count("k", k), check_count("n_bootstrap", n_bootstrap)
    if min(len(x.values), len(y.values)) <= k:
        raise ValueError(f"k = {k} nearest neighbours need more than {k} images on either side")

    def share(name: str, points: Tensor, centres: Tensor) -> Measured:
        radii = torch.cat([torch.cdist(part, centres).kthvalue(k + 1).values for part in centres.split(1024)])
        inside = torch.cat([(torch.cdist(part, centres) <= radii).any(1) for part in points.split(1024)]).double()
        again = [inside[_redrawn(len(inside), generator)].mean().item() for _ in range(n_bootstrap)]
        return _measured(name, inside.mean().item(), again, x, y)

    a, b = x.values.double(), y.values.double()
    return share("precision", a, b), share("recall", b, a)


def _comparable(x: Features, y: Features) -> int:
    """The number of features of both."""
    if x.net != y.net:
        raise ValueError(f"these are features of two nets, {x.net} and {y.net}: extract both with one")
    return x.values.shape[1]


def _redrawn(n: int, generator: torch.Generator | None) -> Tensor:
    return torch.randint(n, (n,), generator=generator, device=_device_of(generator)).cpu()


def _device_of(generator: torch.Generator | None) -> torch.device | str:
    return generator.device if generator is not None else "cpu"


def _exact(x: Tensor) -> Tensor:
    """Rows (n, D) in float64, for sums of squares that cancel."""
    return exact(x).flatten(1)


def _measured(name: str, value: float, again: list[float], x: Features, y: Features | None = None) -> Measured:
    """With the bootstrap's quantiles around `value`: a redrawn set repeats images, which shifts all of them alike."""
    spread = torch.tensor(again, dtype=torch.float64)
    low, high = (spread - spread.mean()).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    name = PUBLISHED.get(name, name) if x.net == INCEPTION else name
    return Measured(name, value, value + low, value + high, x.net, len(x.values), len(y.values) if y else 0)


# ---- distances that need no features -------------------------------------------------------------------------------


def gaussian_fit(
    images: Tensor, n: int, *, rank: int | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """n draws (n, *D) of the Gaussian with the mean and covariance of images (N, *D): what a model should beat.

    With `rank`, of its largest principal components only: smooth, and without any noise.
    """
    flat = _exact(check_points(images))
    values, vectors = torch.linalg.eigh(flat.T.cov())  # ascending
    keep = min(check_count("rank", rank), len(values)) if rank is not None else len(values)
    scaled = vectors[:, -keep:] * values[-keep:].clamp(min=0).sqrt()
    device = torch.device(_device_of(generator))
    dtype = torch.float64 if device.type == "cpu" else torch.float32  # Apple's GPU has no other
    z = torch.randn(check_count("n", n), keep, dtype=dtype, generator=generator, device=device).cpu().double()
    return (flat.mean(0) + z @ scaled.T).to(images).view(n, *images.shape[1:])


def energy_distance(x: Tensor, y: Tensor, *, unbiased: bool = True, chunk: int = 2048) -> float:
    """Squared energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely & Rizzo 2013) of samples (n, *D), (m, *D).

    Zero exactly when the two distributions are equal. The unbiased estimate scatters around it and can be negative;
    with unbiased=False pairs of a point with itself count too: never negative, too large by about
    E|X - X'| / n + E|Y - Y'| / m.
    Distances are formed `chunk` rows at a time, so memory grows like chunk x (n + m).
    """
    x, y = _pair(x, y)
    return _energy(x, y, unbiased, check_count("chunk", chunk))


def energy_test(
    x: Tensor, y: Tensor, *, n_permutations: int = 200, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """Energy distance and the p-value of "x and y come from one distribution", by permuting who belongs to whom.

    The p-value counts the permutations that look at least as different, (1 + count) / (1 + n_permutations).
    All pairwise distances are held at once: (n + m)^2 numbers.
    """
    x, y = _pair(x, y)
    distances = torch.cdist(torch.cat([x, y]), torch.cat([x, y]))
    side = torch.cat([torch.full((len(x),), 1 / len(x)), torch.full((len(y),), -1 / len(y))]).to(distances)
    n, device = check_count("n_permutations", n_permutations), _device_of(generator)
    orders = torch.stack([torch.randperm(len(side), generator=generator, device=device) for _ in range(n)]).cpu()
    sides = torch.cat([side[None], side[orders]])  # (1 + n_permutations, n + m)
    # 2 E|X-Y| - E|X-X'| - E|Y-Y'|, in which pairs of a point with itself count.
    statistics = -(sides @ distances * sides).sum(1)
    rounding = 1e-12 * distances.mean()  # sums in another order; for equal sets all that there is, of either sign
    p_value = (statistics >= statistics[0] - rounding).double().mean().item()
    return _energy(x, y, True, 2048), p_value


def _assign(x: Tensor, mixture: GaussianMixture) -> Tensor:
    check_points(x, mixture.dim)
    if not x.isfinite().all():
        raise ValueError("x holds NaN or infinity: these chains ran away, so their modes cannot be counted")
    return mixture.responsibilities(x.detach()).argmax(1).cpu()


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    check_points(x), check_points(y)
    if x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"two sets of at least two samples of one shape are needed, not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    return _exact(x), _exact(y)


def _energy(x: Tensor, y: Tensor, unbiased: bool, chunk: int) -> float:
    def total(a: Tensor, b: Tensor) -> float:
        return sum(torch.cdist(part, b).sum().item() for part in a.split(chunk))

    n, m = len(x), len(y)
    pairs_x, pairs_y = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    return 2 * total(x, y) / (n * m) - total(x, x) / pairs_x - total(y, y) / pairs_y
