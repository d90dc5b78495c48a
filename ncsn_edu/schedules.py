"""Noise ladders and step sizes: geometric ladders, conversions between conventions, stability.

Step sizes follow x <- x + alpha/2 s + sqrt(alpha) z everywhere, with alpha_i = eps sigma_i^2 / sigma_L^2 on a ladder
(Song & Ermon 2019, Algorithm 1). Other texts use other letters; the converters say which is which.
This file does NOT sample: it predicts what a sampler will do.
"""

import math

import torch
from torch import Tensor

from .checks import check_count, check_ladder, check_points, check_positive
from .core import as_tensor, exact


def geometric(sigma_max: float, sigma_min: float, n: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Noise levels sigma_1 = sigma_max > ... > sigma_n = sigma_min with equal ratios, shape (n,).

    Song & Ermon 2019, section 4.1. The paper's images: geometric(1, 0.01, 10).
    """
    n = check_count("n", n)
    sigma_max, sigma_min = check_positive("sigma_max", sigma_max), check_positive("sigma_min", sigma_min)
    if (sigma_max == sigma_min) != (n == 1) or sigma_max < sigma_min:
        raise ValueError(
            f"a ladder of {n} levels cannot go from {sigma_max} down to {sigma_min}: "
            "it needs sigma_max > sigma_min and n >= 2 (or one level with both equal)"
        )
    ladder = torch.logspace(math.log(sigma_max), math.log(sigma_min), n, base=math.e, dtype=torch.float64)
    ladder[0], ladder[-1] = sigma_max, sigma_min  # the ends exactly
    return ladder.to(dtype or torch.get_default_dtype())


def karras(sigma_max: float, sigma_min: float, n: int, *, rho: float = 7.0) -> Tensor:
    """Noise levels with equal steps of sigma^(1 / rho), shape (n,): few at large sigma, where little is decided.

    Karras et al. 2022, eq. 5, for solvers of the probability flow.
    """
    n, rho = check_count("n", n), check_positive("rho", rho)
    ends = geometric(sigma_max, sigma_min, min(n, 2), dtype=torch.float64)
    ladder = torch.linspace(ends[0] ** (1 / rho), ends[-1] ** (1 / rho), n, dtype=torch.float64) ** rho
    ladder[0], ladder[-1] = sigma_max, sigma_min
    return ladder.to(torch.get_default_dtype())


# ---- DDPM's schedules: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) e ----------------------------


def ddpm_betas(n: int = 1000, beta_1: float = 1e-4, beta_n: float = 0.02) -> Tensor:
    """The variances beta_t that DDPM adds at t = 1 ... n, in equal steps upwards, (n,), float64 (Ho et al. 2020)."""
    n, beta_1, beta_n = check_count("n", n), check_positive("beta_1", beta_1), check_positive("beta_n", beta_n)
    if not beta_1 <= beta_n < 1:
        raise ValueError(
            f"beta_1 <= beta_n < 1: they rise, as small steps matter where the image is nearly clean, not "
            f"{beta_1} and {beta_n}"
        )
    return torch.linspace(beta_1, beta_n, n, dtype=torch.float64)


def cosine_betas(n: int = 1000, *, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """The beta_t of alpha_bar_t ~ cos^2(pi/2 (t/n + s)/(1 + s)), s = offset, (n,), float64 (Nichol & Dhariwal 2021).

    Less of the way is spent on what is nearly noise. `largest` cuts off the last ones, as theirs does.
    """
    n, offset, largest = check_count("n", n), check_positive("offset", offset), check_positive("largest", largest)
    t = torch.arange(n + 1, dtype=torch.float64) / n
    left = torch.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - left[1:] / left[:-1]).clamp(max=largest)


def alphas_bar_of(betas: Tensor) -> Tensor:
    """alpha_bar_t = (1 - beta_1) ... (1 - beta_t), the share of the clean image's variance that is left, shape (T,)."""
    betas = exact(betas)
    if betas.ndim != 1 or len(betas) == 0:
        raise ValueError(f"betas are one row of variances, shape (T,), not {tuple(betas.shape)}: use ddpm_betas()")
    outside = torch.nonzero(~((betas > 0) & (betas < 1))).flatten()
    if len(outside):
        i = int(outside[0])
        raise ValueError(f"betas[{i}] = {betas[i]:.4g} is not between 0 and 1: use ddpm_betas() or cosine_betas()")
    return (1 - betas).cumprod(0)


def sigmas_of_alphas_bar(alphas_bar: Tensor) -> Tensor:
    """The noise level of x_t / sqrt(alpha_bar_t) = x_0 + sigma z: sigma = sqrt((1 - alpha_bar) / alpha_bar)."""
    kept = _shares(alphas_bar)
    return ((1 - kept) / kept).sqrt()


def alphas_bar_of_sigmas(sigmas: Tensor) -> Tensor:
    """The inverse of sigmas_of_alphas_bar: alpha_bar = 1 / (1 + sigma^2)."""
    sigmas = torch.as_tensor(sigmas)
    if not ((sigmas >= 0) & sigmas.isfinite()).all():
        raise ValueError("sigmas are standard deviations: finite and 0 or more")
    return 1 / (1 + sigmas**2)


def _shares(alphas_bar: Tensor) -> Tensor:
    kept = torch.as_tensor(alphas_bar)
    if not ((kept > 0) & (kept <= 1)).all():
        raise ValueError("alpha_bar is the share of the variance that is left of the clean image: above 0, 1 at most")
    return kept


def nearest_level(sigma: float | Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """The place on a ladder (L,) nearest to sigma in its logarithm, and |log sigma - log sigma_i|: (B or 1,) each."""
    wanted = as_tensor(sigma, sigmas).reshape(-1)
    distance, place = (wanted.log()[:, None] - sigmas.log()).abs().min(1)
    return place, distance


# ---- step sizes: one quantity, four names --------------------------------------------------------------


def eps_from_step_lr(step_lr: float) -> float:
    """Step size of x + step s + sqrt(2 step) z (published NCSN and NCSNv2 code) in the convention used here."""
    return 2 * check_positive("step_lr", step_lr)


def step_lr_from_eps(eps: float) -> float:
    """The inverse of eps_from_step_lr: alpha/2 = step, so half of eps."""
    return check_positive("eps", eps) / 2


def snr_from_eps(eps: float, sigma_min: float) -> float:
    """Signal-to-noise ratio of one step as the SDE samplers count it (Song et al. 2021, Algorithm 4).

    Their corrector takes step = 2 (snr ||z|| / ||s||)^2; with ||s|| = ||z|| / sigma this is alpha/2 = 2 snr^2 sigma^2.
    """
    return math.sqrt(check_positive("eps", eps)) / (2 * check_positive("sigma_min", sigma_min))


def eps_from_snr(snr: float, sigma_min: float) -> float:
    """The inverse of snr_from_eps."""
    return (2 * check_positive("snr", snr) * check_positive("sigma_min", sigma_min)) ** 2


def step_sizes(sigmas: Tensor, eps: float) -> Tensor:
    """alpha_i = eps sigma_i^2 / sigma_L^2 at every level of a ladder, shape (L,) (Song & Ermon 2019, Algorithm 1)."""
    sigmas = check_ladder(sigmas)
    return check_positive("eps", eps) * (sigmas / sigmas[-1]) ** 2


# ---- stability -----------------------------------------------------------------------------------------


def stable_alpha(data_var: float | Tensor, sigma: float = 0.0) -> float:
    """Langevin steps on N(0, s^2 + sigma^2) diverge from this alpha on: alpha < 4 (s^2 + sigma^2).

    One step multiplies x by 1 - alpha / (2 variance), and |that| < 1 is the condition. With several variances
    (one per direction or component) the smallest decides.
    """
    return 4 * (_smallest(data_var) + sigma**2)


def stable_eps(sigmas: Tensor, data_var: float | Tensor = 0.0) -> float:
    """Upper bound on eps for a whole ladder: eps / sigma_L^2 < 4 (1 + s^2 / sigma_i^2) at every level i.

    The first level is the tightest (all are alike where data_var is 0). data_var is s^2, the smallest variance of the
    clean data in any direction (0 for data on a manifold or a finite set).
    """
    sigmas = exact(check_ladder(sigmas))
    bounds = 4 * (1 + _smallest(data_var) / sigmas**2) * sigmas[-1] ** 2
    return bounds.min().item()


def stationary_variance(alpha: float, data_var: float | Tensor) -> float | Tensor:
    """Variance in which unadjusted Langevin steps settle on N(0, s^2): s^2 / (1 - alpha / (4 s^2)), or inf.

    From v = (1 - alpha / (2 s^2))^2 v + alpha.
    """
    alpha = check_positive("alpha", alpha)
    variance = exact(data_var)
    settled = torch.where(alpha < 4 * variance, variance / (1 - alpha / (4 * variance)), math.inf)
    return settled if isinstance(data_var, Tensor) else settled.item()


# ---- choosing a ladder: Song & Ermon 2020 ("improved techniques") --------------------------------------


def max_pairwise_distance(data: Tensor, *, chunk: int = 1024) -> float:
    """Largest Euclidean distance between two rows of data (N, *D): technique 1's choice of sigma_1."""
    rows = check_points(data).flatten(1)
    if len(rows) < 2:
        raise ValueError(f"a distance needs two points, but data has shape {tuple(data.shape)}")
    return max(torch.cdist(part, rows).max().item() for part in rows.split(chunk))


def ratio_overlap(gamma: float, dim: int) -> float:
    """Mass that two neighbouring noise levels share, in D dimensions, at ratio gamma = sigma_{i-1} / sigma_i.

    Technique 2: Phi(sqrt(2D) (gamma - 1) + 3 gamma) - Phi(sqrt(2D) (gamma - 1) - 3 gamma).
    """
    from scipy.stats import norm

    shift = math.sqrt(2 * check_count("dim", dim)) * (check_positive("gamma", gamma) - 1)
    return float(norm.cdf(shift + 3 * gamma) - norm.cdf(shift - 3 * gamma))


def levels_for_overlap(sigma_max: float, sigma_min: float, dim: int, overlap: float = 0.5) -> int:
    """Number of levels from sigma_max to sigma_min whose neighbours' overlap is nearest to `overlap` (technique 2).

    For many dimensions: below five the overlap exceeds one half at any ratio, and the answer is two levels.
    """
    from scipy.optimize import brentq

    sigma_max, sigma_min = check_positive("sigma_max", sigma_max), check_positive("sigma_min", sigma_min)
    dim = check_count("dim", dim)
    most = ratio_overlap(1.0, dim)
    if sigma_max <= sigma_min:
        raise ValueError(f"sigma_max must exceed sigma_min, but {sigma_max} <= {sigma_min}")
    if not 0 < overlap < most:
        raise ValueError(f"overlap must lie between 0 and {most:.4f} (what two equal levels share), not {overlap}")
    widest = 2.0
    while ratio_overlap(widest, dim) > overlap and widest < sigma_max / sigma_min:
        widest *= 2
    if ratio_overlap(widest, dim) > overlap:
        return 2
    gamma = brentq(lambda ratio: ratio_overlap(ratio, dim) - overlap, 1.0, widest, xtol=1e-12)
    return max(2, 1 + round(math.log(sigma_max / sigma_min) / math.log(gamma)))


def variance_ratio(sigmas: Tensor, eps: float, n_steps_each: int) -> float:
    """Variance after T steps at a level, over that level's own: s_T^2 / sigma_i^2 for data at a point (technique 4).

    The same at every level of a geometric ladder; 1 is the aim. In the paper's letters e = eps / 2 (its steps are
    e s + sqrt(2 e) z): (1 - e/sL^2)^(2T) (gamma^2 - v) + v, with v = 2e / (sL^2 - sL^2 (1 - e/sL^2)^2).
    It takes the level above at its word; `settled_variance_ratio` takes what that one really leaves behind.
    """
    kept, settled, square = _within_level(sigmas, eps, n_steps_each)
    return kept * (square - settled) + settled if settled < math.inf else math.inf


def settled_variance_ratio(sigmas: Tensor, eps: float, n_steps_each: int) -> float:
    """What variance_ratio becomes far down a long ladder, where no level begins with sigma_{i-1}^2 exactly.

    The fixed point r of r = kept (gamma^2 r - v) + v, kept = (1 - e/sL^2)^(2T); inf where the chain falls ever further
    behind the ladder, kept gamma^2 >= 1.
    """
    kept, settled, square = _within_level(sigmas, eps, n_steps_each)
    return settled * (1 - kept) / (1 - kept * square) if settled < math.inf and kept * square < 1 else math.inf


def _within_level(sigmas: Tensor, eps: float, n_steps_each: int) -> tuple[float, float, float]:
    """The share of an excess of variance that T steps keep, v where they settle (inf: they diverge), and gamma^2."""
    sigmas = _geometric_ladder(sigmas)
    step = check_positive("eps", eps) / 2 / sigmas[-1].item() ** 2  # e / sigma_L^2
    n, square = check_count("n_steps_each", n_steps_each), (sigmas[0] / sigmas[1]).item() ** 2
    return ((1 - step) ** (2 * n), 2 / (2 - step), square) if step < 2 else (math.inf, math.inf, square)


def eps_for_steps(sigmas: Tensor, n_steps_each: int) -> float:
    """The eps whose variance_ratio comes nearest to 1 with T steps a level (technique 4)."""
    from scipy.optimize import minimize_scalar

    sigmas = _geometric_ladder(sigmas)
    check_count("n_steps_each", n_steps_each)
    smallest_square = sigmas[-1].item() ** 2

    def excess(log_step: float) -> float:
        return abs(variance_ratio(sigmas, 2 * math.exp(log_step) * smallest_square, n_steps_each) - 1)

    # The curve has a wide bowl; a coarse grid finds it, the minimiser polishes. step < 1: no overshooting chains.
    grid = torch.linspace(math.log(1e-8), math.log(0.999), 400).tolist()
    start = min(range(len(grid)), key=lambda i: excess(grid[i]))
    bounds = (grid[max(start - 1, 0)], grid[min(start + 1, len(grid) - 1)])
    best = minimize_scalar(excess, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return 2 * math.exp(best.x) * smallest_square


def _geometric_ladder(sigmas: Tensor) -> Tensor:
    sigmas = exact(check_ladder(sigmas))
    if len(sigmas) < 2:
        raise ValueError("this needs a ladder of at least two levels, e.g. geometric(1, 0.01, 10)")
    ratios = sigmas[:-1] / sigmas[1:]
    if (ratios / ratios[0] - 1).abs().max() > 1e-3:
        raise ValueError(
            "technique 4 is for a ladder with equal ratios: make it with geometric(sigma_max, sigma_min, n)"
        )
    return sigmas


def _smallest(data_var: float | Tensor) -> float:
    smallest = float(torch.as_tensor(data_var).min())
    if not (math.isfinite(smallest) and smallest >= 0):
        raise ValueError(f"data_var is a variance: it must be finite and 0 or more, not {smallest}")
    return smallest
