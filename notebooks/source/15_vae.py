# %% [markdown]
# # 15 · Variational autoencoders
#
# *Reading and trying: about two hours. Running every cell: about 90 seconds on a laptop, at laptop scale (digits of 8x8 pixels; the nets are trained in seconds).*
#
# The notebooks so far model data by their score, because the density
# itself seemed out of reach. This one takes another way: a model
# whose log-density cannot be computed, but can be **bounded from
# below**, and the bound can be trained. You will
#
# - see why maximum likelihood is the smallest KL divergence, and why a net
#   that guesses images by least squares must blur;
# - derive the bound (ELBO) and measure its gap on a model where all is
#   known;
# - write the KL divergence of the latents, the draw of the latents, and the
#   likelihood of the decoder;
# - compute what goes wrong with nine formulas and sentences in circulation;
# - train a VAE on digits, let its decoder's width run from sharp to
#   useless, and find out what its samples lack;
# - meet DDPM as the same bound with a fixed encoder.
#
# You need: Gaussians in several dimensions, and [12 · Judging
# samples](12_judging_samples.ipynb) for the numbers in section 15.10.
# Nothing here needs a score. The letters are on the page of
# [symbols](symbols.md); new are the latents $v$, the encoder
# $q(v \mid x)$ and the decoder $p(x \mid v)$.
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import math

import torch
from matplotlib import pyplot as plt
from torch.distributions import MultivariateNormal, Normal

import ncsn_edu as ne
from ncsn_edu import BoundObjective, ConvVAE, datasets, elbo, gaussian_kl, kl_to_standard, practice, save_figure, show
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.metrics import frechet_distance, gaussian_fit, precision_recall
from ncsn_edu.plots import BLUE, GREY, ORANGE, PURPLE, RED, images, use_style
from ncsn_edu.trained import load_any
from ncsn_edu.training import train
from ncsn_edu.vae import gaussian_log_likelihood
from ncsn_edu.widgets import LatentExplorer

use_style()
F64 = torch.float64

# %% [markdown]
# ## 15.1 Likelihood, and why least squares blurs
#
# A model $p_\theta$ is to be near the distribution of the data. With
# the KL divergence as the measure of "near",
#
# $$
# \mathrm{KL}(p_{\text{data}} \Vert p_\theta) = \mathbb E_{p_{\text{data}}}[\log p_{\text{data}}(x)] - \mathbb E_{p_{\text{data}}}[\log p_\theta(x)] .
# $$
#
# The first term is minus the entropy of the data. It does not contain
# $\theta$. So the smallest KL divergence belongs to the $\theta$ with
# the largest mean log-likelihood: **maximum likelihood**. The mean
# over $p_{\text{data}}$ is replaced by the mean over training
# examples, and the entropy, which nobody knows, is never needed.
#
# We check it where the entropy is known. The data are a mixture of
# two Gaussians on the line, and four models are single Gaussians.

# %%
data = ne.GaussianMixture(torch.tensor([[-2.0], [2.0]], dtype=F64), 1.0, [0.2, 0.8])
x = torch.linspace(-15, 15, 6001, dtype=F64)
log_p = data.log_prob(x[:, None])
mass = log_p.exp() * (x[1] - x[0])
for mean, std in ((1.2, 1.887), (1.2, 1.0), (0.0, 3.0), (2.0, 1.0)):
    cross = -(mass * Normal(mean, std).log_prob(x)).sum()
    kl = (mass * (log_p - Normal(mean, std).log_prob(x))).sum()
    print(f"N({mean}, {std}^2): KL {kl:.4f}, mean of -log p_theta {cross:.4f}, difference {cross - kl:.4f}")

# %% [markdown]
# The last column is the entropy each time, 1.8725 nats. The first row
# has the mean and the standard deviation of the data, and the
# smallest KL of all Gaussians.
#
# The order of the two arguments is a choice with consequences. The
# average is over the *data*: a model that gives next to no density to
# a place where data are pays without limit, and a model that gives
# density to places where no data are pays only by having less
# elsewhere. So a model that is too simple spreads itself over all of
# the data, as the first row does over both modes, rather than
# describe one part well. Keep that in mind for section 15.3, where
# the arguments stand the other way round.
#
# Why not simply train a net to guess the image, by least squares?
# Suppose that the net is told something, such as the left half of an
# image, and is to guess the rest. The guess $c$ that minimises
# $\mathbb E\,(x - c)^2$ is the **conditional mean** of $x$, because
#
# $$
# \mathbb E\,(x - c)^2 = \mathbb E\,(x - \mathbb E x)^2 + (\mathbb E x - c)^2 ,
# $$
#
# and only the last term depends on $c$. The guess that minimises
# $\mathbb E\,|x - c|$ is a **conditional median**: moving $c$ to the
# right costs a little for every outcome on its left and saves as much
# for every outcome on its right, and at the median the two are
# balanced. Where several answers are possible, a mean is none of
# them.
#
# (Least squares is itself maximum likelihood, of a Gaussian whose
# width is fixed. It is not a bad loss. It belongs to a model that
# expects one answer with noise around it.)
#
# The next cell has the smallest example: a row of nine pixels, dark
# on the left and bright on the right. The edge is at one of five
# places, all equally likely. Each pixel is guessed by itself; the
# best grey of 1001 is found by trying all of them.
#
# **Predict:** what do the best row by squares and the best row by
# absolute values look like? And with *two* edges, equally likely:
# which grey between the two is the best by absolute values?
#
# <details><summary>Answer</summary>
#
# By squares: a ramp from dark to bright, which is a blurred edge and
# occurs nowhere in the data. By absolute values: a sharp edge, at the
# middle place, always the same one; four of the five edges never
# occur. With two edges every grey from 0 to 1 costs the same, 0.5:
# half of the rows are bright there, and half are dark.
# </details>

# %%
rows = (torch.arange(9) >= torch.tensor([2, 3, 4, 5, 6])[:, None]).float()  # (5, 9), five edges
greys = torch.linspace(0, 1, 1001)
off = rows[:, :, None] - greys  # (5, 9, 1001)
by_squares = greys[off.square().mean(0).argmin(1)]
by_values = greys[off.abs().mean(0).argmin(1)]
two = off[[1, 3], 3]  # edges at 3 and at 5, the pixel between them
for name, cost in (("squares", two.square().mean(0)), ("absolute values", two.abs().mean(0))):
    print(f"two edges, {name}: greys 0, 0.5, 1 cost " + ", ".join(f"{cost[i]:.2f}" for i in (0, 500, 1000)))

# %%
fig, axes = plt.subplots(3, 1, figsize=(5.2, 4.2), height_ratios=[5, 1.2, 1.2])
guesses = {"the data: five rows": rows, "best by squares": by_squares[None], "best by values": by_values[None]}
for ax, (title, row) in zip(axes, guesses.items(), strict=True):
    ax.imshow(row, cmap="gray", vmin=0, vmax=1, aspect="auto")
    ax.set(title=title, yticks=[], xticks=range(9), xlabel="pixel" if ax is axes[2] else None)
    ax.spines[:].set_visible(True)
alt = "Five rows with an edge at five places. The best row by squares is a ramp; by values it is a sharp edge."
caption = "Five equally likely edges: least squares returns their mean, least absolute values their median."
numbers = {f"squares_{i}": by_squares[i] for i in range(9)} | {f"values_{i}": by_values[i] for i in range(9)}
save_figure(fig, "vae_edges", alt=alt, caption=caption, numbers=numbers, tolerance=0.01)

# %% [markdown]
# A model that returns *one* answer cannot be right where several are
# possible, whichever loss it has. The remedy is to give the model
# something to draw: a random **latent** $v$ that says which of the
# edges it is. Given $v$, least squares is harmless. That is a model
# with latents:
#
# $$
# p_\theta(x) = \int p_\theta(x \mid v)\, p(v)\, dv, \qquad p(v) = \mathcal N(0, I) .
# $$
#
# To draw from it is easy: draw $v$, then draw $x$ from
# $p_\theta(x \mid v)$, the **decoder**. To train it by maximum
# likelihood is hard: the integral is over all $v$, and for a given
# image nearly all of them explain nothing.
#
# ## 15.2 The bound, one step a line
#
# Take any distribution $q(v \mid x)$ of latents for an image, the
# **encoder**. Then
#
# $$ \begin{aligned}
# \log p(x) &= \log \int p(x, v)\, dv && \text{marginal} \\
# &= \log \int q(v \mid x)\, \frac{p(x, v)}{q(v \mid x)}\, dv && \text{times } 1 \\
# &= \log \mathbb E_{q(v \mid x)} \frac{p(x, v)}{q(v \mid x)} && \text{an expectation} \\
# &\ge \mathbb E_{q(v \mid x)} \log \frac{p(x, v)}{q(v \mid x)} && \text{Jensen: log is concave} \\
# &= \mathbb E_q \log p(x \mid v) + \mathbb E_q \log \frac{p(v)}{q(v \mid x)} && p(x, v) = p(x \mid v)\, p(v) \\
# &= \underbrace{\mathbb E_q \log p(x \mid v)}_{\text{reconstruction}} - \underbrace{\mathrm{KL}\big(q(v \mid x) \Vert p(v)\big)}_{\text{KL to the prior}} .
# \end{aligned} $$
#
# This is the **evidence lower bound**, or ELBO. The step with the
# inequality in numbers: the mean of 1 and 9 is 5, and $\log 5 = 1.61$; the
# mean of $\log 1$ and $\log 9$ is 1.10. A logarithm punishes small values
# more than it rewards large ones.
#
# Read the last line as two wishes. The *reconstruction* wants latents from
# which the decoder can say what the image was. Alone it would make
# $q(v \mid x)$ a narrow spot, at a place of its own for each image: an
# ordinary autoencoder. The *KL to the prior* wants $q(v \mid x)$ to look
# like $p(v)$ for every image. Alone it would make the latents useless. A
# VAE pays nats for information about the image, and spends them where the
# decoder gains most by it.
#
# How much is lost? Write
# $p(x, v) = p(v \mid x)\, p(x)$ in the fourth line instead:
#
# $$
# \log p(x) - \text{ELBO} = \mathbb E_q \log \frac{q(v \mid x)}{p(v \mid x)}
# = \mathrm{KL}\big(q(v \mid x) \Vert p(v \mid x)\big) \;\ge\; 0 .
# $$
#
# The gap is the KL divergence of the encoder from the true **posterior**
# $p(v \mid x)$. It is 0 only if the encoder equals the posterior.
#
# In a VAE the encoder is a net. It sees an image once and says at once what
# mean and what width its latents have. The alternative would be to look for
# the best $q$ anew for each image, by many steps. That the net answers for
# all images is called *amortised* inference. It costs a second gap, where
# the net's answer is not the best one of its kind.
#
# There are bounds between the ELBO and $\log p(x)$. Averaging $n$ ratios *before* the
# logarithm,
#
# $$
# \mathbb E \log \frac1n \sum_{k=1}^n \frac{p(x, v_k)}{q(v_k \mid x)},
# \qquad v_k \sim q(v \mid x),
# $$
#
# is the **importance-weighted** bound (Burda et al. 2016). It is the ELBO
# at $n = 1$, never falls as $n$ grows, and tends to $\log p(x)$.
#
# We need a model where all three are known. Let the decoder be linear,
# $x = A v + s\,e$, with three pixels and two latents. Then $p(x)$ is the
# Gaussian $\mathcal N(0, A A^\top + s^2 I)$, and the posterior is a
# Gaussian with the inverse covariance (the *precision*)
# $P = I + A^\top A / s^2$. To see this, collect what is quadratic in $v$:
#
# $$
# \log p(x, v) = -\frac{\lVert x - A v \rVert^2}{2 s^2} - \frac{\lVert v \rVert^2}{2} + \dots
# = -\tfrac12\, v^\top \Big( I + \frac{A^\top A}{s^2} \Big) v
# + v^\top \frac{A^\top x}{s^2} + \dots
# $$
#
# so the mean is $P^{-1} A^\top x / s^2$. The encoder is the best Gaussian
# that has a **diagonal** covariance: with the right mean, and variances
# $1/P_{kk}$. Neither $P$ nor the gap depends on $x$.

# %%
A = torch.tensor([[1.0, 0.9], [0.9, 1.1], [0.4, 0.7]], dtype=F64)


class Linear:  # x = matrix v + std e: an Autoencoder, and the exact log p(x) beside it
    def __init__(self, std: float, matrix: torch.Tensor = A) -> None:
        self.std, self.matrix = std, matrix
        self.precision = torch.eye(2, dtype=F64) + matrix.T @ matrix / std**2  # of p(v | x)
        self.cov = matrix @ matrix.T + std**2 * torch.eye(3, dtype=F64)  # of p(x)

    def encode(self, x):
        mean = x @ torch.linalg.solve(self.precision, self.matrix.T / self.std**2).T
        return mean, self.precision.diagonal().rsqrt().expand(len(x), 2)

    def log_likelihood(self, x, v):
        return gaussian_log_likelihood(x, v @ self.matrix.T, self.std)

    def log_prob(self, x):
        return MultivariateNormal(torch.zeros(3, dtype=F64), self.cov).log_prob(x)


# %%
def gap_of(model) -> float:  # KL(q(v | x) || p(v | x)), the same for every x: the means are equal
    zero, narrow = torch.zeros(2, dtype=F64), torch.diag(1 / model.precision.diagonal())
    return gaussian_kl(zero, narrow, zero, model.precision.inverse()).item()


# %% [markdown]
# The library's `elbo` takes any object that has `encode` and
# `log_likelihood`. Its four lines are the last line of the
# derivation, with one draw of $v$ in place of the expectation:

# %%
show(elbo, docstring=False)

# %% [markdown]
# The average of four million draws for a single $x$ is compared with
# $\log p(x)$, and their difference with the KL divergence, by the
# formula of section 15.4.

# %%
truth, generator = Linear(0.5), torch.Generator().manual_seed(0)
points = torch.randn(200, 3, generator=generator, dtype=F64) @ torch.linalg.cholesky(truth.cov).T  # draws of p(x)
point = points[:1].expand(500_000, 3)
draws = torch.cat([elbo(truth, point, generator=generator).total for _ in range(8)])
exact, bound = truth.log_prob(points[:1]).item(), draws.mean().item()
print(f"log p(x) {exact:.3f}, ELBO ≈ {bound:.4f}, gap ≈ {exact - bound:.4f}; KL(q || p(v | x)) {gap_of(truth):.4f}")
assert abs(exact - bound - gap_of(truth)) < 1e-3

# %% [markdown]
# They agree to a thousandth. It takes four million draws to see that:
# a single draw scatters by 1.5 nats, so that the mean of $n$ draws is
# known to $1.5/\sqrt n$, and 0.7 thousandths need $n = 4 \cdot 10^6$.
#
# Now the importance-weighted bound, averaged over the 200 points and
# over ten repetitions.

# %%
exact, many = truth.log_prob(points).mean().item(), points.repeat(10, 1)
bounds = [ne.importance_bound(truth, many, n, generator=generator).mean().item() for n in (1, 5, 50, 500)]
print(f"ELBO, from its gap {exact - gap_of(truth):.3f}; exact log p {exact:.3f}")
print("importance-weighted, n = 1, 5, 50, 500: ≈ " + ", ".join(f"{bound:.3f}" for bound in bounds))
assert abs(bounds[0] - (exact - gap_of(truth))) < 0.06 and bounds == sorted(bounds) and 0.05 < exact - bounds[3] < 0.3

# %% [markdown]
# The order is as it should be. Even 500 draws are 0.16 nats short:
# this $q$ is narrower than the posterior, so that a few rare draws
# far out have most of the weight. Importance weights repair a bad $q$
# slowly.
#
# ### Trap: "maximising the bound is equivalent"
#
# It is often said that since $\log p(x) \ge \text{ELBO}$, maximising
# one maximises the other. That would be so if the gap were constant.
# But the gap depends on $\theta$ as well, and the bound rewards
# models whose posteriors are *easy for the encoder*.
#
# We try it with one parameter. The data are drawn with $s = 0.5$, the
# matrix $A$ is known, and the width $s$ of the decoder is to be
# found. Both expectations are in closed form here: no noise, no
# training.
#
# **Predict:** the likelihood has its maximum at the true $s = 0.5$.
# Where is the maximum of the bound: at a smaller $s$, at the same, or
# at a larger one?
#
# <details><summary>Answer</summary>
#
# At a larger one, 0.63. The two columns of $A$ are nearly parallel,
# so the latents are strongly correlated given $x$, and a diagonal
# encoder is bad at that. A wider decoder makes the posterior rounder
# (more like the prior), and the gap smaller. The bound pays for that
# with likelihood.
# </details>


# %%
def mean_log_p(model):  # under the distribution of the data
    return -0.5 * (torch.logdet(2 * math.pi * model.cov) + torch.linalg.solve(model.cov, truth.cov).trace()).item()


stds = torch.linspace(0.35, 1.0, 131, dtype=F64)
likelihood = torch.tensor([mean_log_p(Linear(s)) for s in stds.tolist()])
bound = likelihood - torch.tensor([gap_of(Linear(s)) for s in stds.tolist()])
best, best_bound = int(likelihood.argmax()), int(bound.argmax())
lost = likelihood[best] - likelihood[best_bound]
print(f"largest likelihood at s = {stds[best]:.3f}, largest bound at s = {stds[best_bound]:.3f}; lost {lost:.3f} nats")

# %%
fig, ax = plt.subplots(figsize=(5.8, 3.4))
for curve, color, name, place in ((likelihood, BLUE, r"$\log p(x)$", best), (bound, ORANGE, "ELBO", best_bound)):
    ax.plot(stds, curve, color=color, label=f"mean of {name}")
    ax.axvline(stds[place], color=color, ls=":", lw=1)
ax.set(xlabel="width $s$ of the model's decoder", ylabel="nats", title="data drawn with $s$ = 0.5", ylim=(-5.2, -3.6))
ax.legend(loc="lower right")
numbers = {"likelihood": stds[best], "bound": stds[best_bound], "lost": lost, "gap": (likelihood - bound)[best]}
alt = "Two curves over the width s. The likelihood is highest at 0.5, the bound, which lies below it, at 0.63."
caption = "The likelihood and the bound of a linear model, with the best diagonal encoder at each $s$: two maxima."
save_figure(fig, "vae_not_equivalent", alt=alt, caption=caption, numbers=numbers, tolerance=0.006)

# %% [markdown]
# The true statement: maximising the bound over $\theta$ *and over
# all* $q$, with nothing forbidden, is equivalent, for then the gap
# can always be made 0. With a restricted encoder the result is a
# compromise. How large it is in a real VAE nobody can say exactly,
# since the likelihood is unknown. The importance-weighted bound gives
# an idea: what it gains over the ELBO is a part of the gap. For
# `vae_digits` it gains 4 nats on held-out digits, with 64 draws, by
# its model card. (If the matrix may be chosen too, this model has a
# way out: exercise 1.)
#
# ## 15.3 A diagonal encoder is a choice
#
# "$q(v \mid x)$ is a Gaussian with diagonal covariance" stands in
# most texts as if it were obvious. It is chosen because it is cheap:
# the encoder puts out $2K$ numbers, the KL divergence has a closed
# form, and draws cost nothing. What does it cost? Two cases.
#
# - **A correlated posterior.** Two latents with correlation $\rho$ given
#   $x$. The best diagonal $q$ has the *conditional* variances
#   $1 - \rho^2$, not the marginal ones, and the gap is
#   $-\tfrac12 \log(1 - \rho^2)$ nats.
# - **Two modes.** Let $x = v^2 + 0.2\,e$ and suppose that $x = 1$. Both
#   $v = 1$ and $v = -1$ explain it, equally well.
#
# **Predict:** in the second case, where does the best Gaussian $q$
# lie: on one of the modes, or over both? What is the gap, in nats?
# (Think of what is lost if one of two equally good explanations is
# forgotten.)
#
# <details><summary>Answer</summary>
#
# On one mode. $\mathrm{KL}(q \Vert p)$ is an average over $q$, so $q$
# is punished for every place where $p$ is small, and between the
# modes $p$ is tiny. Half of the posterior is forgotten, which costs
# $\log 2 = 0.693$ nats, and a little more because a mode is no exact
# Gaussian. The best $q$ over both modes costs 6.5 nats.
# </details>

# %%
v = torch.linspace(-3, 3, 1201, dtype=F64)
log_posterior = Normal(0.0, 1.0).log_prob(v) + Normal(v**2, 0.2).log_prob(torch.ones(1, dtype=F64))
log_posterior -= torch.logsumexp(log_posterior, 0) + math.log(0.005)  # the step of the grid
means, stds = torch.linspace(0, 1.5, 61, dtype=F64)[:, None, None], torch.linspace(0.05, 1.5, 59, dtype=F64)[:, None]
log_q = Normal(means, stds).log_prob(v)  # (61, 59, 1201)
gaps = 0.005 * (log_q.exp() * (log_q - log_posterior)).sum(2)
i, j = divmod(int(gaps.argmin()), 59)
print(f"best q: mean {means[i].item():.3f}, std {stds[j].item():.3f}, gap {gaps.min():.3f} nats", end="; ")
print(f"best over both modes (mean 0): gap {gaps[0].min():.3f} nats")

# %%
for rho in (0.5, 0.9, 0.99):
    zero, eye, turned = torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64), torch.ones(2, 2, dtype=F64)
    cost = gaussian_kl(zero, (1 - rho**2) * eye, zero, (1 - rho) * eye + rho * turned)
    print(f"correlation {rho}: gap {cost:.3f} nats, and -1/2 log(1 - rho^2) is {-0.5 * math.log(1 - rho**2):.3f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
angle = torch.linspace(0, 2 * math.pi, 200, dtype=F64)
ring = torch.stack([angle.cos(), angle.sin()])
root = torch.linalg.cholesky((1 - 0.9) * eye + 0.9 * turned)
for radius in (1, 2):
    left.plot(*(radius * root @ ring), color=BLUE)
    left.plot(*(radius * 0.19**0.5 * ring), color=ORANGE)
left.set(title="correlation 0.9: 0.83 nats", xlabel="$v_1$", ylabel="$v_2$", aspect="equal", xlim=(-3.4, 3.4))
right.plot(v, log_posterior.exp(), color=BLUE, label="posterior")
right.plot(v, log_q[i, j].exp(), color=ORANGE, label="best $q$")
right.set(title=f"two modes: {gaps.min():.2f} nats", xlabel="$v$", ylabel="density", ylim=(0, None))
right.legend(loc="upper left")
alt = "Left: a long tilted ellipse and a small circle in it. Right: two peaks, and a higher one over the right of them."
caption = "Posteriors (blue) and the best diagonal Gaussian $q$: correlated (one and two widths), and with two modes."
numbers = {"one_mode": gaps.min(), "both_modes": gaps[0].min(), "mean": means[i].item(), "std": stds[j].item()}
save_figure(fig, "vae_diagonal", alt=alt, caption=caption, numbers=numbers, tolerance=0.005)

# %% [markdown]
# Both kinds of $q$ are too *narrow*: the small circle on the left has
# 19 % of the true variance of each latent. That is the other order of
# the arguments at work. In $\mathrm{KL}(q \Vert p)$ the average is
# over $q$. A place that $q$ leaves out costs nothing there, and a
# place that $q$ covers and $p$ does not is expensive. So $q$ hides
# inside of $p$, and of two modes it takes one. (With the arguments
# exchanged, the best Gaussian would have the mean and the variance of
# both modes together.)
#
# Better encoders exist: full covariances, chains of invertible maps,
# the importance weights above. Most VAEs use none of them, because
# training moves the decoder towards posteriors that a diagonal
# Gaussian fits. That works, and the trap of section 15.2 is its
# price.
#
# ## 15.4 The KL divergence of two Gaussians
#
# For full covariances in $K$ dimensions,
#
# $$
# \mathrm{KL}\big(\mathcal N(\mu, C) \Vert \mathcal N(\mu', C')\big) = \tfrac12 \Big[ \operatorname{tr}(C'^{-1} C) + (\mu' - \mu)^\top C'^{-1} (\mu' - \mu) - K + \log\frac{\det C'}{\det C} \Big] .
# $$
#
# It comes from three expectations under the first Gaussian: that of
# its own quadratic form is $K$, that of the other one is the trace
# plus the distance of the means, and the logarithms of the constants
# stay. We check it in three dimensions against the definition,
# $\mathbb E_{p}[\log p(v) - \log p'(v)]$ over a million draws, in
# both orders.

# %%
generator = torch.Generator().manual_seed(1)
mixing, means = torch.randn(2, 3, 3, generator=generator, dtype=F64), torch.randn(2, 3, generator=generator, dtype=F64)
covs, z = mixing @ mixing.mT + 0.5 * torch.eye(3), torch.randn(1_000_000, 3, generator=generator, dtype=F64)
first, second = (MultivariateNormal(m, c) for m, c in zip(means, covs, strict=True))
for a, b, order in ((first, second, "as they are"), (second, first, "exchanged")):
    formula = gaussian_kl(a.mean, a.covariance_matrix, b.mean, b.covariance_matrix).item()
    v = a.mean + z @ a.scale_tril.T
    found, error = (a.log_prob(v) - b.log_prob(v)).mean().item(), (a.log_prob(v) - b.log_prob(v)).std().item() / 1000
    print(f"{order:12} formula {formula:.4f}; Monte Carlo ≈ {found:.3f}, standard error ≈ {error:.3f}")
    assert abs(found - formula) < 4 * error

# %% [markdown]
# The two orders differ: a KL divergence is no distance. In a VAE the
# second Gaussian is the prior $\mathcal N(0, I)$ and the first is
# diagonal. Put $C' = I$, $\mu' = 0$ and
# $C = \operatorname{diag}(s^2)$ into the formula: the trace is
# $\sum_k s_k^2$, the distance of the means is $\sum_k \mu_k^2$, and
# the logarithm is $-\sum_k \log s_k^2$. What is left is a sum over
# the latents, so that each of them has a price of its own in nats:
#
# - a mean of 1 costs half a nat, and one of 3 costs 4.5;
# - a width of 0.1 costs 1.8 nats, and each further factor of 10 costs 2.3
#   more: that is what it takes to say where $v$ is, ten times as precisely;
# - $\mu = 0$ and $s = 1$ cost nothing, and tell nothing of the image.
#
# The last point is worth a look in any training: a latent whose price is
# 0 for every image is one that the decoder does not use. Section 15.9
# counts them.
#
# **Write it.** The KL divergence of
# $q = \mathcal N(\mu, \operatorname{diag}(s^2))$ from the prior, for
# each example. `std` holds standard deviations $s$.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_kl(mean, std):
#     return 0.5 * (mean**2 + std**2 - (std**2).log() - 1).sum(1)
# ```
# </details>


# %%
def my_kl(mean, std):  # (B, K) each; returns (B,)
    ...


practice.latent_kl(my_kl)

# %% [markdown]
# ### Traps: three wrong KL divergences
#
# All three are in circulation, and each runs without an error.
#
# 1. **$\mu$ for $\mu^2$.** A real KL divergence cannot be negative. This
#    one is *unbounded below*: its slope in $\mu$ is constant, and training
#    drives the means to $-\infty$.
# 2. **The arguments exchanged**, $\mathrm{KL}(p(v) \Vert q)$. It does not
#    follow from the bound, and it explodes for a narrow $q$.
# 3. **$\operatorname{diag}(s)$ for $\operatorname{diag}(s^2)$**: a
#    standard deviation passed where a covariance belongs.

# %%
print("mean      right   mu for mu^2   (std 1)")
for mu in (1.0, -1.0, -10.0, -100.0):
    right = kl_to_standard(torch.tensor([[mu]]), torch.ones(1, 1)).item()
    print(f"{mu:6.0f} {right:8.1f} {0.5 * mu:11.1f}")

# %%
mu, s, zero, eye = torch.tensor([0.5], dtype=F64), 0.1, torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64)
right, exchanged = gaussian_kl(mu, s**2 * eye, zero, eye), gaussian_kl(zero, eye, mu, s**2 * eye)
print(f"q = N(0.5, 0.1^2): right {right:.3f}, exchanged {exchanged:.2f}", end=", ")
print(f"diag(s) for diag(s^2) {gaussian_kl(mu, s * eye, zero, eye):.3f}")

# %% [markdown]
# Which one is right? The definition decides, by a million draws of
# each first argument:

# %%
q, prior, e = Normal(0.5, 0.1), Normal(0.0, 1.0), z[:, 0]
for a, b, v, formula in ((q, prior, 0.5 + 0.1 * e, right), (prior, q, e, exchanged)):
    found = (a.log_prob(v) - b.log_prob(v)).mean().item()
    print(f"Monte Carlo ≈ {found:.2f}")
    assert abs(found / formula - 1) < 0.01

# %% [markdown]
# With $s$ in the place of $s^2$ the KL divergence still vanishes at
# $\mu = 0$, $s = 1$, so that a test with a standard normal passes. At
# $s = 0.1$ it is less than half of what it should be, and the encoder
# gets its information too cheaply.
#
# ## 15.5 A gradient through a draw
#
# The reconstruction term is an expectation over $q_\phi(v \mid x)$,
# and $\phi$ is to be trained. How does a gradient pass through a
# random draw? One cannot simply differentiate $f(v)$ at the values of
# $v$ that were drawn: they are numbers, and $\phi$ does not occur in
# them. It occurs in the density that they were drawn from.
#
# The remedy: write the draw as a function of the parameters and of
# noise that does not depend on them (**reparameterisation**, Kingma &
# Welling 2014):
#
# $$
# v = \mu_\phi(x) + s_\phi(x)\, e, \quad e \sim \mathcal N(0, I), \qquad \nabla_\phi\, \mathbb E_e f(\mu + s\,e) = \mathbb E_e \nabla_\phi f(\mu + s\,e) .
# $$
#
# **Write it.** The draw. Many encoders put out the logarithm of the
# variance, $\log s^2$, because any real number is allowed there; so
# does this one.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_draw(mean, log_var, e):
#     return mean + (0.5 * log_var).exp() * e
# ```
# </details>


# %%
def my_draw(mean, log_var, e):  # (B, K) each, log_var is log s^2; returns v (B, K)
    ...


practice.latent_draw(my_draw)

# %% [markdown]
# ### Trap: $s^2 e$ for $s\,e$
#
# If $v = \mu + s^2 e$, the draw has variance $s^4$, while the KL term
# still speaks of $s^2$. The two halves of the bound then talk about
# different encoders. At $s = 1$ both are the same, which hides the
# mistake at the start of training.

# %%
for s in (1.0, 0.5, 0.1):
    variances = [(0.7 + factor * e).var().item() for factor in (s, s**2)]
    print(f"s {s}: wanted {s**2:.4f}, with s e ≈ {variances[0]:.4f}, with s^2 e ≈ {variances[1]:.4f}")
    assert abs(variances[0] / s**2 - 1) < 0.01 and abs(variances[1] / s**4 - 1) < 0.01

# %% [markdown]
# ### The other gradient
#
# There is a way without reparameterisation, the **score-function**
# estimator (REINFORCE). With $\nabla q = q\, \nabla \log q$,
#
# $$
# \nabla_\mu\, \mathbb E_q f(v) = \mathbb E_q\big[ f(v)\, \nabla_\mu \log q(v) \big] = \mathbb E_q\Big[ f(v)\, \frac{v - \mu}{s^2} \Big] .
# $$
#
# It needs no derivative of $f$, so it works for discrete latents as
# well. A constant (a *baseline*) may be subtracted from $f$ without
# changing the mean, because $\nabla \log q$ has mean 0. (That score
# is the gradient in the parameter $\mu$. The scores of the other
# notebooks are gradients in the point $x$.)
#
# We compare the gradients for a decoder with $K$ pixels and $K$
# latents, $f(v) = -\lVert x - v \rVert^2 / (2 \cdot 0.5^2)$ with
# $x = (1, \dots, 1)$, at $\mu = 0$ and $s = 0.5$. The true gradient
# in $\mu_1$ is $(x_1 - \mu_1)/0.25 = 4$.
#
# **Predict:** all three have the mean 4. As $K$ grows from 1 to 100,
# which of the three variances stay as they are, and which grows like
# $K^2$?
#
# <details><summary>Answer</summary>
#
# Reparameterised: 4 for every $K$, because the slope of $f$ in $v_1$
# depends on $v_1$ alone. The score-function estimator multiplies the
# *whole* value of $f$, a sum over $K$ pixels, with noise: its
# variance grows like $K^2$. A baseline takes the mean of $f$ away and
# leaves its scatter, which grows like $K$. At $K = 100$ the two are
# about 60,000 and 460 times as large as the first.
# </details>

# %%
names = ("reparameterised", "score function", "with baseline")
table, generator = {}, torch.Generator().manual_seed(5)
for K in (1, 3, 10, 30, 100):
    e = torch.randn(100_000, K, generator=generator, dtype=F64)
    v = 0.5 * e  # mu is 0
    f, mean_f = -(1 - v).square().sum(1) / 0.5, -K * (1 + 0.25) / 0.5
    slope = e[:, 0] / 0.5  # of log q in mu_1: (v_1 - mu_1) / s^2
    table[K] = [(1 - v[:, 0]) / 0.25, f * slope, (f - mean_f) * slope]

# %%
for K, gradients in table.items():
    tests = [(g.mean() - 4).item() / (g.std().item() / len(g) ** 0.5) for g in gradients]
    print(f"K {K:3}: z of the means ≈ {tests[0]:.1f}, {tests[1]:.1f}, {tests[2]:.1f}", end="; ")
    print("variances ≈ " + ", ".join(f"{g.var().item():.3g}" for g in gradients))
    assert max(map(abs, tests)) < 3.5 and abs(gradients[0].var() / 4 - 1) < 0.03

# %%
fig, ax = plt.subplots(figsize=(5.6, 3.4))
for i, (name, color) in enumerate(zip(names, (BLUE, RED, ORANGE), strict=True)):
    ax.loglog(list(table), [gradients[i].var().item() for gradients in table.values()], "o-", color=color, label=name)
ax.set(xlabel="latents $K$", ylabel="variance of the gradient in $\\mu_1$", ylim=(1, 1e6))
ax.set_xticks(list(table), [str(K) for K in table], minor=False)
ax.legend()
logs = {f"{name} {K}": table[K][i].var().log10() for i, name in enumerate(names) for K in table}
alt = "Variance against the number of latents: one level line at 4, one with slope 1, one with slope 2 up to 250,000."
caption = "Variance of three unbiased estimates of one gradient, both axes logarithmic."
save_figure(fig, "vae_gradients", alt=alt, caption=caption, numbers=logs, tolerance=0.03)

# %% [markdown]
# The $z$ of a mean is its distance from 4 in standard errors. All are
# of order one: the three estimates are unbiased. They differ in what
# a single draw is worth. The plain score function at $K = 100$ needs
# about 60,000 draws where the reparameterised one needs one. Hence
# VAEs reparameterise.
#
# Why is the difference so large? The reparameterised gradient knows
# *in which direction* $f$ rises, for each latent by itself. The score
# function knows one number, how good the whole draw was, and has to
# find out by many trials which of the $K$ latents it was due to.
# Where latents are discrete, or where $f$ is a game or a simulator
# without derivatives, there is no other choice, and much work goes
# into better baselines.
#
# ## 15.6 One draw is an estimate
#
# `elbo` takes *one* draw of $v$ for each image. Texts write
# $\mathbb E_q \log p(x \mid v)$ and then put the one draw in its
# place, as if it were the expectation. It is an **unbiased estimate**
# of it, with a scatter. The scatter of a mean over a batch has two
# parts: the examples differ, and the draws do. With $B$ examples and
# $M$ draws for each,
#
# $$
# \operatorname{Var} = \frac1B \Big( \operatorname{Var}_x[\text{ELBO}(x)] + \frac{\mathbb E_x \operatorname{Var}_v}{M} \Big) .
# $$
#
# ### Trap: one draw taken for the expectation
#
# The next cell asks three things of one $x$. How much do single draws
# scatter? How often does one draw for each of two models ($s = 0.5$
# and the worse $s = 1$) put them in the wrong order? And what does
# the shortcut give that looks like a remedy: leave the noise away,
# and take $v = \mu$?

# %%
mean, std = truth.encode(points[:1])
at_mean = (truth.log_likelihood(points[:1], mean) - kl_to_standard(mean, std)).item()
other = torch.cat([elbo(Linear(1.0), point, generator=generator).total for _ in range(2)])
wrong_order = (other > draws[:1_000_000]).double().mean().item()
print(f"single draws scatter by ≈ {draws.std():.2f} around ≈ {draws.mean():.2f}; v = mu gives {at_mean:.2f}")
print(f"the worse model has ≈ {other.mean():.2f}, and by single draws it wins ≈ {100 * wrong_order:.0f} times of 100")
assert 0.2 < wrong_order < 0.5 and at_mean > draws.mean() + 0.3

# %% [markdown]
# The shortcut has no scatter, and it is wrong. The decoder is asked
# at its best place only, and the value, -5.37, lies above
# $\log p(x) = -5.54$: it is no bound of anything.
#
# A number for a test set averages over hundreds of images and is
# precise enough. A number for one image needs many draws, or the
# importance-weighted bound.
#
# In training a batch does the averaging. Is it better to spend 64
# evaluations of the decoder on 64 images with one draw each, or on 16
# images with four?

# %%
batch = torch.randn(64_000, 3, generator=generator, dtype=F64) @ torch.linalg.cholesky(truth.cov).T
per_draw = torch.stack([elbo(truth, batch, generator=generator).total for _ in range(64)], 1)  # (64,000, 64)
within = per_draw.var(1).mean().item()
between = per_draw.mean(1).var().item() - within / 64
for B, M in ((64, 1), (16, 4), (1, 64)):
    variance, formula = per_draw[:, :M].mean(1).view(-1, B).mean(1).var(), (between + within / M) / B
    print(f"{B:2} examples with {M:2} draws: variance ≈ {variance:.4f}, formula ≈ {formula:.4f}")
    assert abs(variance / formula - 1) < 0.12

# %% [markdown]
# The rows have the same price, 64 evaluations of the decoder, and the
# last is 30 times as bad as the first.
#
# More images with one draw each are always at least as good as fewer
# images with several: every term is divided by $B$, and only one of
# them by $M$. So one draw is what everybody takes. It is right
# because of the batch, and not because one draw were the expectation.
#
# ## 15.7 The decoder's likelihood, to the last constant
#
# A Gaussian decoder with mean $m(v)$ and one width $s$ for all $D$
# pixels says
#
# $$
# \log p(x \mid v) = -\frac{\lVert x - m(v) \rVert^2}{2 s^2} - \frac D2 \log(2 \pi s^2) .
# $$
#
# **Write it.**
#
# <details><summary>Solution</summary>
#
# ```python
# def my_log_likelihood(x, mean, std):
#     z, D = (x - mean) / std, x.shape[1]
#     return -0.5 * (z**2).sum(1) - D * math.log(std) - D / 2 * math.log(2 * math.pi)
# ```
# </details>


# %%
def my_log_likelihood(x, mean, std):  # (B, D), (B, D), a number; returns (B,)
    ...


practice.decoder_log_likelihood(my_log_likelihood)

# %% [markdown]
# ### Trap: $2\pi^{n/2}$ for $(2\pi)^{n/2}$
#
# The constant of a Gaussian in $n$ dimensions is $(2\pi)^{n/2} s^n$.
# It is often printed as $2\pi^{n/2} s^n$. A density must have the
# integral 1, so we integrate both over a grid, in one, two and three
# dimensions.

# %%
line = torch.linspace(-5, 5, 81, dtype=F64)
for n in (1, 2, 3):
    grid = torch.cartesian_prod(*[line] * n).view(-1, n)
    kernel = (-grid.square().sum(1) / 2).exp().sum() * (line[1] - line[0]) ** n  # s is 1
    print(f"n = {n}: right {kernel / (2 * math.pi) ** (n / 2):.4f}, wrong {kernel / (2 * math.pi ** (n / 2)):.4f}")
nats = 64 / 2 * math.log(2 * math.pi) - math.log(2) - 64 / 2 * math.log(math.pi)
print(f"64 pixels: {nats:.2f} nats too many, {nats / 64 / math.log(2):.3f} bits a pixel")

# %% [markdown]
# The wrong constant is right in *two* dimensions, where such formulas
# are tested. In general the integral is $2^{n/2 - 1}$. With 64 pixels
# a model seems better by 21.5 nats, or half a bit a pixel. The right
# one needs no memory: a Gaussian with independent coordinates is a
# product of $n$ Gaussians on the line, each with the constant
# $\sqrt{2\pi}\, s$, and the product of $n$ such factors is
# $(2\pi)^{n/2} s^n$.
#
# When does the constant matter? For a fixed $s$ it shifts the loss
# and changes no gradient, so many programs drop it. In two cases it
# must not be dropped. **If $s$ is learned,** the term $-D \log s$ is
# what keeps it from growing: without it the widest decoder is the
# best. **If bits are reported,** or two models are compared, every
# constant counts.

# %%
errors = 0.15 * torch.randn(2000, 64, generator=generator, dtype=F64)  # x - m(v), of a decoder that errs by 0.15
candidates = torch.linspace(0.05, 1.0, 96, dtype=F64).tolist()
whole = torch.stack([gaussian_log_likelihood(errors, 0 * errors, s).mean() for s in candidates])
without = torch.stack([-(errors.square().sum(1) / (2 * s**2)).mean() for s in candidates])
print(f"best s {candidates[whole.argmax()]:.2f}, without -D log s {candidates[without.argmax()]:.2f}")

# %% [markdown]
# The best $s$ is the root mean square of the errors, and without the
# constant it is the largest that was tried. So a decoder's width can
# be learned, and `ConvVAE` does so unless it is given one.
#
# **Bits.** A density of dequantised images $x = (g + u)/256$, with
# grey levels $g = 0 \dots 255$ and uniform $u$, gives a bound for the
# greys: on average $-\log_2 P(g) \le 8 D - \log_2 p(x)$. (The 8 are
# $\log_2 256$, because a grey level is $1/256$ wide.) From nats to
# bits a pixel: divide by $64 \log 2 = 44.4$ and take that from 8. A
# bound of 22 nats is $8 - 22/44.4 = 7.5$ bits a pixel. A uniform
# density on $[0, 1]^D$ has $\log p = 0$, and 8 bits a pixel. (These
# digits have only 17 different greys, of which none of our models is
# told; knowing that alone would give $\log_2 17 = 4.1$ bits.)
#
# ## 15.8 A VAE of digits, trained here
#
# The net has three convolutions down and three up, an encoder of 16
# means and 16 widths, and the learned width $s$ of the decoder. 1200
# steps take a few seconds. Every 100 steps we ask for the bound on
# training images and on held-out ones, the mean of five draws for
# each image.
#
# The images are dequantised, as above: training draws fresh noise for
# each batch, and the bounds are asked for with one fixed draw of it.
#
# `trained_vae` is used for all nets of this notebook, with other
# widths, numbers of latents or steps. The learning rate falls to 0
# over the last third of the steps, so that the last weights are not
# those of a random moment. Nothing else is special: Adam, batches of
# 64, the bound.

# %%
train_images, labels = datasets.load("digits")
held_images, generator = datasets.load("digits", split="test")[0], torch.Generator().manual_seed(0)
x_train, x_held = ((g + torch.rand(g.shape, generator=generator)) / 256 for g in (train_images, held_images))


@torch.no_grad()
def mean_bounds(net, n_draws: int = 5) -> list[float]:  # on training images and on held-out ones
    total = [[elbo(net, x, generator=generator).total.mean() for x in (x_train, x_held)] for _ in range(n_draws)]
    return torch.tensor(total).mean(0).tolist()


# %%
def trained_vae(n_steps: int, curve=None, *, lr: float = 2e-3, width: int = 12, **settings) -> ConvVAE:
    torch.manual_seed(0)
    net, draws = ConvVAE(1, 8, width=width, **settings), torch.Generator().manual_seed(1)
    stream, objective = (
        datasets.batches(train_images, 64, dequantize=True, generator=draws),
        BoundObjective(generator=draws),
    )
    for state in train(net, stream, objective=objective, n_steps=n_steps, lr=lr, cooldown=n_steps // 3):
        if curve is not None and state.step % 100 == 0:
            curve.append([state.step, *mean_bounds(net)])
    return net.eval().requires_grad_(False)


# %%
curve = []
vae = trained_vae(1200, curve)

# %% [markdown]
# The bound and nothing else is minimised:

# %%
show(BoundObjective.__call__, docstring=False)

# %% [markdown]
# **Predict:** on the left the two curves of the bound, on the right
# held-out digits, their reconstructions, and samples (decoder means
# of $v \sim \mathcal N(0, I)$). Will the held-out curve lie far below
# the other after 1200 steps? What will the reconstructions lack?
#
# <details><summary>Answer</summary>
#
# The curves stay close: 1200 steps of 64 images are 86 passes over
# 898 images, not enough to learn them by heart. The reconstructions
# are smooth: thin strokes are wider and greyer than in the originals,
# because the decoder's mean is an average over all images that
# $q(v \mid x)$ cannot tell apart. The samples look like
# reconstructions at best, and some of them like no digit.
# </details>

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.3), width_ratios=[1, 2])
steps, *values = zip(*curve, strict=True)
for name, bounds, color in zip(("training images", "held-out images"), values, (BLUE, ORANGE), strict=True):
    left.plot(steps, bounds, "o-", ms=3, color=color, label=name)
left.set(xlabel="step", ylabel="bound of $\\log p(x)$, nats", title=f"learned width $s$ = {vae.std:.2f}")
left.legend()
samples = vae.sample(10, generator=torch.Generator().manual_seed(3))
images(right, torch.cat([held_images[:10] / 255, vae(vae.encode(x_held[:10])[0]), samples]), columns=10)
for row, name in enumerate(("held out", "rebuilt", "samples")):
    right.text(-2, 9 * row + 4, name, ha="right", va="center")
alt = "Left: two bounds rise together from -8 to 25 and 22 nats. Right: ten digits, smoother copies, blurred samples."
caption = "A VAE after 1200 steps: the bound, reconstructions of held-out digits, and samples (decoder means)."
numbers, tolerance = (
    {"train": curve[-1][1], "held_out": curve[-1][2], "s": vae.std},
    {"train": 3, "held_out": 3, "s": 0.02},
)
save_figure(fig, "vae_digits", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# The first row and the second differ in what the decoder cannot say
# in 16 numbers that cost nats: the exact grey of each pixel, and
# strokes that few digits have. The third row begins with a $v$ that
# belongs to no image.
#
# The learned width comes from the errors: $s = 0.16$, and the means
# of $q(v \mid x)$ are decoded with an error of 0.15 on held-out
# images. (A little less, because the bound decodes draws and not
# means.)
#
# On the left the two curves have just begun to part. What if we train
# on? The next run has a net a third wider, a higher rate, and 3000
# steps (214 passes over the data).
#
# **Predict:** on training images the bound rises all the way. And on
# held-out ones? On the right the bounds of the *final* net are drawn
# against the width $s$, with all other weights as they are. Where
# will the held-out curve have its maximum: at the learned $s$, below,
# or above?
#
# <details><summary>Answer</summary>
#
# On held-out images it rises to about 28 nats, after 1000 steps, and
# then falls to about 0. The learned $s$, 0.07, is the size of the
# errors on images that the net has seen 200 times each. On new images
# its errors are nearly twice as large, and the best $s$ there, 0.12,
# is as large as they are. With that $s$ the bound is 28 nats again.
# </details>

# %%
long_curve, by_width, widths = [], {}, torch.linspace(0.04, 0.3, 53).tolist()
long = trained_vae(3000, long_curve, width=16, lr=3e-3)
for name, x in (("training images", x_train), ("held-out images", x_held)):
    mean, std = long.encode(x)
    decoded = long(mean + std * torch.randn(mean.shape, generator=generator))
    kl = kl_to_standard(mean, std).mean()
    by_width[name] = torch.stack([gaussian_log_likelihood(x, decoded, s).mean() - kl for s in widths])

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4), sharey=True)
steps, *values = zip(*long_curve, strict=True)
for name, bounds, color in zip(by_width, values, (BLUE, ORANGE), strict=True):
    left.plot(steps, bounds, color=color, label=name)
    right.plot(widths, by_width[name], color=color, label=name)
right.axvline(long.std, color=GREY, ls="--", lw=0.8, label="the learned $s$")
left.set(xlabel="step", ylabel="bound of $\\log p(x)$, nats", ylim=(-40, 80), title="while it is trained")
right.set(xlabel="width $s$ of the decoder", title="the final net, with another $s$")
right.legend(fontsize=8)
alt = "Left: one bound rises to 65 nats, the other to 28 and then falls to 0. Right: they are highest at 0.07 and 0.12."
caption = "Trained too long: the learned width of the decoder suits the training images alone."
numbers = {name: widths[int(bounds.argmax())] for name, bounds in by_width.items()}
save_figure(fig, "vae_width", alt=alt, caption=caption, numbers=numbers, tolerance=0.016)


# %%
def rmse(net, x) -> float:
    return (net(net.encode(x)[0]) - x).square().mean().sqrt().item()


highest, at_end, top = max(values[1]), values[1][-1], by_width["held-out images"].max().item()
print(f"s ≈ {long.std:.3f}; errors ≈ {rmse(long, x_train):.3f}, on held-out images ≈ {rmse(long, x_held):.3f}")
print(f"held-out bound: highest ≈ {highest:.0f} nats, at the end ≈ {at_end:.0f}, and with the best s ≈ {top:.0f}")
assert highest > at_end + 10 and top > at_end + 10 and rmse(long, x_held) > 1.3 * long.std

# %% [markdown]
# So the learned width is a statement about the *training* images, and
# it is the first thing that overfits: at the end the held-out bound
# is no better than that of a *uniform* density, which is 0, and
# another $s$ alone, with no other weight changed, repairs it. A bound
# without the word "held-out" says nothing about new images.
#
# For this reason the VAE that ships with the package, `vae_digits`,
# has a fixed width of 0.12. It has 12 latents, more weights, and 4000
# steps behind it.

# %%
shipped = load_any("vae_digits").net
for name, net in (("trained here", vae), ("vae_digits", shipped)):
    bounds = mean_bounds(net)
    print(f"{name:12} s ≈ {net.std:.3f}; bound ≈ {bounds[0]:.0f} nats, on held-out images ≈ {bounds[1]:.0f}", end=" ")
    print(f"(≈ {8 - bounds[1] / 64 / math.log(2):.2f} bits a pixel); errors there ≈ {rmse(net, x_held):.3f}")
    assert bounds[1] > (10 if net is vae else 30)

# %% [markdown]
# ## 15.9 The decoder's variance is the weight of the KL
#
# Multiply minus the bound by $s^2$ and leave constants away:
#
# $$
# \tfrac12 \lVert x - m(v) \rVert^2 + s^2\, \mathrm{KL}\big(q(v \mid x) \Vert p(v)\big) .
# $$
#
# So a fixed $s$ decides what a nat is worth in squared error. A
# $\beta$-VAE (Higgins et al. 2017) has a factor $\beta$ before the KL
# term. With a Gaussian decoder that is nothing new: weight $\beta$
# and variance $s^2$ have the gradient of weight 1 and variance
# $\beta s^2$, up to a factor. We check it on an untrained net, for
# $\beta = 4$:

# %%
slopes = []
for beta, std in ((4.0, 0.1), (1.0, 0.2)):
    torch.manual_seed(0)
    net, objective = (
        ConvVAE(1, 8, width=12, std=std),
        BoundObjective(beta=beta, generator=torch.Generator().manual_seed(0)),
    )
    objective(net, x_train[:64]).weighted.mean().backward()
    slopes.append(torch.cat([p.grad.flatten() for p in net.parameters()]) / beta)
print(f"all {len(slopes[0])} derivatives: the two differ by less than 0.01 %")
assert (slopes[0] - slopes[1]).norm() < 1e-4 * slopes[1].norm()

# %% [markdown]
# (The print says only that much, because rounding differs from
# machine to machine. The factor $\beta$ is a matter of the learning
# rate, and Adam does not even see it.) So there are not two knobs,
# but one. Whoever quotes a $\beta$ has to say the variance with it. A
# squared error without any $1/(2 s^2)$, as many programs have it, is
# $s^2 = 1/2$: with pixels in $[0, 1]$ that is $s = 0.71$, a very wide
# decoder. A *mean* over the 64 pixels in place of the sum makes it
# $\sqrt{64} = 8$ times as wide again.
#
# What does the weight do? We train five nets with fixed $s$, from
# 0.05 to 1, and the same 1000 steps each. Beside each we count the
# latents that are *active*: those with a KL divergence above 0.1 nats
# on average. An inactive latent has $q(v_k \mid x) = p(v_k)$ for
# every image: the decoder ignores it.
#
# For a *linear* decoder all is known (Lucas et al. 2019). The best
# one gives the model the covariance of the data, as far as it can: in
# each direction (each eigenvector of the covariance, with variance
# $\lambda$) the model has $s^2$ without a latent, and more with one.
# If $\lambda > s^2$ a latent pays: it brings the variance to
# $\lambda$ and costs $\tfrac12 \log(\lambda/s^2)$ nats. If
# $\lambda < s^2$ there is already too much variance, and a latent
# would only add to it. The largest $\lambda$ of our digits is
# $0.81^2$. So at $s = 1$ a linear VAE uses no latent at all:
# **posterior collapse**.

# %%
eigenvalues = torch.linalg.eigvalsh((train_images / 255).flatten(1).double().T.cov())
print(
    f"largest standard deviation of a direction: {eigenvalues.max().sqrt():.3f}; total variance {eigenvalues.sum():.2f}"
)


def sharpness(x) -> float:  # squared differences of neighbouring pixels, relative to real images
    squares = [y.diff(dim=-1).square().mean() + y.diff(dim=-2).square().mean() for y in (x, held_images / 255)]
    return (squares[0] / squares[1]).item()


# %%
sweep = {s: trained_vae(1000, std=s) for s in (0.05, 0.1, 0.2, 0.4, 1.0)}

# %% [markdown]
# **Predict:** five rows of pictures come next, reconstructions on the
# left and samples on the right, from $s = 0.05$ to 1. In which row
# are the reconstructions sharpest? In which are the samples most
# readable? What is in the last row?
#
# <details><summary>Answer</summary>
#
# Reconstructions are sharpest at the top, where the KL term weighs
# least. The samples there are bad: the encoder uses narrow spots that
# the prior hardly ever hits. In the middle the samples are more
# readable, and both sides are blurred. In the last row every image is
# the same grey cloud, the mean of all digits: no latent is used.
# </details>

# %%
fig, axes = plt.subplots(5, 1, figsize=(9, 3.6))
for ax, (s, net) in zip(axes, sweep.items(), strict=True):
    drawn = net.sample(9, generator=torch.Generator().manual_seed(3))
    images(ax, torch.cat([net(net.encode(x_held[:9])[0]), torch.ones(1, 1, 8, 8), drawn]), columns=19)
    ax.text(-2, 4, f"$s$ = {s}", ha="right", va="center")
for column, name in ((40, "reconstructions of held-out digits"), (130, "samples")):
    axes[0].text(column, -3, name, ha="center", va="bottom")
spreads = {f"spread {s}": net(net.encode(x_held)[0]).std(0).mean() for s, net in sweep.items()}
alt = "Five rows: clear digits and ragged samples at the top, blur in the middle, one and the same grey cloud at last."
caption = "From a narrow decoder to a wide one: sharp codes that the prior misses, blur, posterior collapse."
save_figure(fig, "vae_sweep", alt=alt, caption=caption, numbers=spreads, tolerance=0.03)

# %%
for s, net in sweep.items():
    mean, std = net.encode(x_held)
    each = 0.5 * (mean**2 + std**2 - 2 * std.log() - 1).mean(0)  # of each latent
    active, linear = int((each > 0.1).sum()), 0.5 * (eigenvalues[-16:] / s**2).clamp(min=1).log().sum()
    sharp = [sharpness(x.clamp(0, 1)) for x in (net(mean), net.sample(1000, generator=generator))]
    print(f"s {s:4}: linear theory {linear:5.2f} nats; KL ≈ {each.sum():5.2f}, active ≈ {active:2}", end=", ")
    print(f"sharp: rebuilt ≈ {sharp[0]:.2f}, samples ≈ {sharp[1]:.2f}; bound ≈ {mean_bounds(net)[1]:.0f}")
    assert (each.sum() < 0.3 and active == 0) if s == 1 else each.sum() > 1.5

# %% [markdown]
# Read the columns from top to bottom.
#
# - The KL divergence and the number of active latents fall, until at
#   $s = 1$ nothing is left. The linear theory said so: $1 > 0.81$. (It
#   is for 16 latents, as many as the net has; at $s = 0.05$ 48
#   directions would be worth one.) It is a guide and no law for a net
#   that bends: with $s$ from 0.1 to 0.4 this one spends fewer nats than
#   the linear one.
# - The sharpness of reconstructions falls all the way (1 is that of real
#   digits).
# - The samples do not follow. At $s = 0.05$ they are no sharper than at
#   0.2, because a code that the prior draws is not one that the decoder has
#   seen.
# - The held-out bound has its maximum in between, near the error that the
#   decoder really makes. Bounds at different $s$ may be compared, since
#   they have all their constants.
#
# In the language of the $\beta$-VAE the rows are $\beta = 0.25$, 1,
# 4, 16 and 100, relative to $s = 0.1$. A large $\beta$ is a wide
# decoder, and a wide decoder says that fine detail is noise. Where
# latents collapse and that is not wanted, look at the width of the
# decoder first. (Not every collapse is the fault of the width:
# exercise 2.)
#
# ## 15.10 Where the latents are, and what is drawn
#
# Samples begin with $v$ from the prior $p(v)$. The decoder was
# trained on $v$ from $q(v \mid x)$, with $x$ from the data. Together
# those are draws of the **aggregate posterior**
#
# $$
# q(v) = \int q(v \mid x)\, p_{\text{data}}(x)\, dx .
# $$
#
# If $q(v)$ is not $p(v)$, the decoder is asked at places that it has
# never seen. The KL term of the bound looks after that, but it looks
# after something else as well. It is a sum of two parts,
#
# $$
# \mathbb E_x\, \mathrm{KL}\big(q(v \mid x) \Vert p(v)\big) = I(x; v) + \mathrm{KL}\big(q(v) \Vert p(v)\big),
# $$
#
# and the first, the **mutual information**, is what the latents know
# of the image. To see it, add and subtract $\log q(v)$ in the
# expectation:
#
# $$
# \mathbb E \log \frac{q(v \mid x)}{p(v)}
# = \underbrace{\mathbb E \log \frac{q(v \mid x)}{q(v)}}_{I(x; v)}
# + \underbrace{\mathbb E \log \frac{q(v)}{p(v)}}_{\mathrm{KL}(q(v) \Vert p(v))} .
# $$
#
# One wants the second part small and not the first. Moreover $N$
# images cannot be told apart by more than $\log N$ nats: with our 898
# training images $I \le 6.8$.
#
# Over the training images $q(v)$ is a mixture of 898 Gaussians, so
# that both parts can be measured.


# %%
def parts_of_kl(net, x) -> tuple[float, float]:  # I(x; v) and KL(q(v) || p(v)), nats
    mean, std = net.encode(x)
    v = mean + std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    log_q = Normal(mean, std).log_prob(v[:, None]).sum(2)  # (N, N): log q(v_i | x_j)
    information = (log_q.diagonal() - torch.logsumexp(log_q, 1)).mean().item() + math.log(len(x))
    return information, kl_to_standard(mean, std).mean().item() - information


# %%
flat = trained_vae(1500, n_latents=2, std=0.2)
for name, net in (("two latents", flat), ("trained here", vae), ("vae_digits", shipped)):
    known, apart = parts_of_kl(net, x_train)
    print(f"{name:12} KL ≈ {known + apart:5.2f} = I(x; v) ≈ {known:.2f} + KL(q(v) || p(v)) ≈ {apart:.2f} nats")
    assert known < math.log(len(x_train)) + 1e-3 and (apart > 5 if net is shipped else apart < 4)

# %% [markdown]
# `vae_digits` knows nearly every training image by name: 6.79 nats of
# information are all that there is, $\log 898 = 6.80$. The other 7.9
# nats are distance between $q(v)$ and the prior: the prior's mass is
# spread over a space of which the codes fill 898 small spots.
#
# With two latents we can look.
#
# **Predict:** on the left draws of $q(v)$, coloured by class, over
# the circles that hold 50 % and 99 % of the prior. Will they fill the
# circles evenly? On the right the decoder's mean on a grid over the
# square from -3 to 3. What is between two classes?
#
# <details><summary>Answer</summary>
#
# Roughly: $q(v)$ is as wide as the prior, but it has holes and
# ridges, and some draws lie beyond the outer circle. Most classes have
# a region of their own; fives, ones and eights have two or three.
# Between two regions the decoder is continuous, so it shows images that
# are half one digit and half another: neither occurs in the data.
# </details>

# %%
mean, std = flat.encode(x_train)
codes, ticks = (
    mean + std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(4)),
    torch.linspace(-3, 3, 13),
)
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.5))
points = left.scatter(*codes.T, c=labels, s=5, cmap="tab10", vmin=-0.5, vmax=9.5)
fig.colorbar(points, ax=left, ticks=range(10), shrink=0.8)
for radius in (1.177, 3.035):  # of 50 % and of 99 % of the prior: (-2 log(1 - share))^(1/2)
    left.plot(*(radius * ring), color="black", lw=1)
for label in range(10):
    left.text(*mean[labels == label].median(0).values, str(label), weight="bold", ha="center", va="center")
left.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xlabel="$v_1$", ylabel="$v_2$", title="draws of $q(v)$ by class")
images(right, flat(torch.cartesian_prod(ticks.flip(0), ticks).flip(1)), columns=13)  # from the top left
right.set_title("decoder's mean, $v_1$ and $v_2$ from -3 to 3")
alt = "Left: ten classes of dots fill two circles unevenly. Right: a grid of digits that change into one another."
caption = "Aggregate posterior, over circles with 50 % and 99 % of the prior, and what the decoder makes of the plane."
numbers = {"std_v1": codes[:, 0].std(), "std_v2": codes[:, 1].std()}
save_figure(fig, "vae_aggregate", alt=alt, caption=caption, numbers=numbers, tolerance=0.15)

# %% [markdown]
# Look for the holes on the left, and for what the decoder draws there
# on the right. A draw of the prior falls into a hole as often as its
# area says, and gets an image that no training image asked for. In
# two dimensions the holes are small, and
# $\mathrm{KL}(q(v) \Vert p(v))$ is half a nat. With the twelve
# latents of `vae_digits` it is 8 nats.
#
# Two latents have another price: with 4.6 nats they tell about 100
# images apart ($e^{4.6}$), so the digits on the right are types
# rather than images.
#
# ### Trap: "without the noise"
#
# Many programs draw $v$ and show the decoder's *mean* $m(v)$, and
# call it a sample of $p(x)$. It is not. A sample of the model is
# $m(v) + s\,e$, with noise in every pixel. The means are smoother
# than any data: they have too little variance, by $D s^2$ in total.
# The likelihood that was trained is that of the noisy ones.
#
# Which of the two looks better is another question. The decoder is
# told to explain what it cannot predict as independent noise in each
# pixel, and nobody likes to look at that. So papers show means, and
# quote the likelihood of the other model.

# %%
generator, real = torch.Generator().manual_seed(6), x_train.flatten(1).var(0).sum()
for name, noise in (("means", False), ("samples", True)):
    total = vae.sample(20_000, noise=noise, generator=generator).flatten(1).var(0).sum()
    print(f"{name:8} total variance ≈ {total:.1f}, where real digits have {real:.1f}")
    assert abs(total / real - 1) < 0.15 if noise else total < 3.9
print(f"64 s^2 is {64 * 0.156**2:.1f} for an s of 0.156")

# %% [markdown]
# Now all of them before the judge of notebook 12: the share of images
# of which a classifier is sure, the Frechet distance in pixels and in
# the classifier's features, precision and recall. 898 images each.
#
# "Codes" means draws of the aggregate posterior: encode a random
# training image, draw $v$, decode.

# %%
classifier = classifier_net("digits")
reference = extract(held_images, classifier)
codes, sharp_codes = (ne.aggregate_posterior(net, x_train, 898, generator=generator) for net in (vae, shipped))
sets = {
    "real (training)": train_images / 255,
    "Gaussian fit": gaussian_fit(train_images / 255, 898, generator=generator),
    "here, prior": vae.sample(898, generator=generator),
    "here, prior, noise": vae.sample(898, noise=True, generator=generator),
    "here, codes": vae.sample(898, v=codes),
    "here, codes, noise": vae.sample(898, v=codes, noise=True, generator=generator),
    "vae_digits, prior": shipped.sample(898, generator=generator),
    "vae_digits, codes": shipped.sample(898, v=sharp_codes),
}

# %%
shares = {}
for name, x in sets.items():
    features = extract(x := x.clamp(0, 1), classifier)
    shares[name] = (features.probabilities.max(1).values > 0.9).double().mean().item()
    near = [m.value for m in precision_recall(features, reference, n_bootstrap=1)]
    pair = frechet_distance(x, held_images / 255), frechet_distance(features.values, reference.values)
    print(f"{name:19}sure ≈ {shares[name]:.2f}, pixels ≈ {pair[0]:.2f}, features ≈ {pair[1]:5.1f}", end=", ")
    print(f"precision ≈ {near[0]:.2f}, recall ≈ {near[1]:.2f}, sharp ≈ {sharpness(x):.2f}")
assert shares["here, prior"] < shares["here, codes"] < shares["real (training)"]

# %% [markdown]
# **Predict:** the same sets as pictures, a row each. In which rows
# would you notice the blur? Which row would you take for real digits?
#
# <details><summary>Answer</summary>
#
# The blur shows in the rows "here": strokes are wide and grey. With
# noise the strokes are as grey, under grains. The codes of
# `vae_digits` look real; they are near copies of training images
# (each code was made from one). Its samples from the prior have sharp
# strokes, and some of them form no digit.
# </details>

# %%
fig, axes = plt.subplots(len(sets), 1, figsize=(7.6, 4.4))
for ax, (name, x) in zip(axes, sets.items(), strict=True):
    images(ax, x[:16], columns=16)
    ax.text(-2, 4, name, ha="right", va="center")
alt = "Eight rows of digits: real, Gaussian, blurred, grainy, blurred, grainy, ragged ones from the prior, clear codes."
caption = "What is drawn: from the prior and from codes, with and without the decoder's noise."
numbers = {f"sure, {name}": share for name, share in shares.items()}
save_figure(fig, "vae_samples", alt=alt, caption=caption, numbers=numbers, tolerance=0.06)

# %% [markdown]
# What do the numbers say, beside real digits (first row) and a
# Gaussian that knows the mean and the covariance of the pixels and
# nothing else (second row)?
#
# - **Blurred.** The net trained here has 0.64 of the sharpness of real
#   digits, `vae_digits` 0.79. The widths $s$ say why: detail smaller than
#   0.16 a pixel (or 0.12) is not worth the nats that a latent would need to
#   carry it, so the decoder returns the mean over all images with the same
#   code. That is section 15.1 again, with "given the code" in the place of
#   "given the left half".
# - **Lower.** From the prior about 0.8 of the images are clear digits, with
#   either net; from the codes 0.93 and 0.99. The decoders are the same. The
#   difference is the distance between $q(v)$ and the prior: 2 nats for one
#   net and 8 for the other. The NCSN of
#   [notebook 10](10_train_and_sample.ipynb) has 0.90 here, and 0.16 in
#   pixels, by its card.
# - **Noise** brings the pixels nearer to the data (0.80 becomes 0.61,
#   because the variance is right), and the features away from it (29
#   becomes 54). It is the better sample of $p(x)$ and the worse picture.
# - **The Gaussian** is nearer than the net trained here in pixels, and has
#   the better recall: it is as wide as the data. In features it is twice as
#   far away. Notebook 12 warned of such comparisons.
# - **Codes of `vae_digits`** are nearly as good as real digits, but for
#   the recall. They are decoded training images, and a test for copies
#   finds that (exercise 3).
# - **Recall** falls with codes (0.24 to 0.08, 0.74 to 0.65), although
#   they cover more digits. It counts real images that lie within a ball
#   around a sample, as large as the distance to the sample's own
#   neighbours. Clean samples lie close together and have small balls,
#   ragged or noisy ones have large balls. Read it beside precision
#   only.
#
# (Another draw of 898 images moves the distances in features by about
# 2, those in pixels by 0.03 and the shares by 0.02.)
#
# A narrower decoder gives up the prior, a wider one the detail. With
# one layer of latents, a Gaussian prior and independent pixels there
# is no setting that does both.
#
# ## 15.11 From one layer of latents to DDPM
#
# A VAE with latents in several layers is **hierarchical**: the
# decoder draws $v_T$ from the prior, then $v_{T-1}$ given $v_T$, and
# so on, and $x$ last. The encoder climbs the other way. The bound is
# the same, by the same six lines:
#
# $$
# \log p(x) \ge \mathbb E_q \log \frac{p(v_T)\, p(v_{T-1} \mid v_T) \cdots p(x \mid v_1)}{q(v_1 \mid x)\, q(v_2 \mid v_1) \cdots q(v_T \mid v_{T-1})} .
# $$
#
# **DDPM** is this model with three decisions:
#
# | | VAE | hierarchical VAE | DDPM |
# |---|---|---|---|
# | layers of latents | 1 | a few | a thousand |
# | size of a latent | small | differs | that of the data |
# | encoder | learned | learned | **fixed**: shrink a little, add a little noise |
# | decoder | one net | a net for each layer | one net for all, told the layer |
# | gap | what $q$ cannot say | the same | what the *decoder* cannot say in a small step |
#
# In the last row the gap is the same KL divergence, of $q$ from the
# posterior of the latents. In a VAE the encoder is trained to close
# it. In DDPM the encoder stays, and the decoder has to.
#
# A fixed encoder cannot collapse, and at the top layer next to
# nothing is left of $x$ by construction. So the aggregate posterior
# of $v_T$ *is* the prior, and the trouble of section 15.10 is gone.
# The price is that the latents are no summary of the image, and that
# a sample takes $T$ steps.
#
# We compute the bound of a two-layer model by hand. The data are a
# mixture on the line, so that $\log p(x)$ is known. The encoder is
# DDPM's,
# $q(v_t \mid v_{t-1}) = \mathcal N(\sqrt{1 - \beta_t}\, v_{t-1}, \beta_t)$.
# The decoder knows the exact conditional means and takes Gaussians of
# variance $\beta_t$ around them. (Notebook 16 derives its mean; here
# it is taken as given.) `ddpm_bound` computes the same bound with two
# of the expectations in closed form.
#
# The code follows the formula factor by factor. First the encoder
# climbs from $x$ to $v_1$ and to $v_2$, and notes the density of each
# draw. Then the decoder descends and notes its own: of $v_2$ under
# the prior, of $v_1$ given $v_2$, of $x$ given $v_1$. The bound is
# the mean of the difference.

# %%
line_data = ne.GaussianMixture(torch.tensor([[-1.0], [1.0]], dtype=F64), 0.3, [0.3, 0.7])
generator = torch.Generator().manual_seed(7)
x = line_data.sample(100_000, generator=generator).double()
kept = ne.alphas_bar_of(ne.cosine_betas(2)).double()
net = ne.ScoreNoise(line_data, kept)


def clean(v, t: int):  # E[x | v_t], by the exact guess of the noise
    return (v - (1 - kept[t]).sqrt() * net(v, torch.full((len(v),), t))) / kept[t].sqrt()


# %%
(a_1, a_2), e = kept, torch.randn(2, *x.shape, generator=generator, dtype=F64)
beta_1, beta_2 = 1 - a_1, 1 - a_2 / a_1
q_1 = Normal(a_1.sqrt() * x, beta_1.sqrt())
v_1 = q_1.mean + q_1.stddev * e[0]
q_2 = Normal((1 - beta_2).sqrt() * v_1, beta_2.sqrt())
v_2 = q_2.mean + q_2.stddev * e[1]
log_q = q_1.log_prob(v_1) + q_2.log_prob(v_2)

# %%
mean_1 = (a_1.sqrt() * beta_2 * clean(v_2, 1) + (1 - beta_2).sqrt() * (1 - a_1) * v_2) / (1 - a_2)
log_p = Normal(0.0, 1.0).log_prob(v_2) + Normal(mean_1, beta_2.sqrt()).log_prob(v_1)
by_hand = (log_p + Normal(clean(v_1, 0), beta_1.sqrt()).log_prob(x) - log_q).mean()
library = -ne.ddpm_bound(net, x, kept, variance="beta", generator=generator).total.mean()
exact = line_data.log_prob(x).mean()
print(f"two layers by hand ≈ {by_hand:.3f}, by ddpm_bound ≈ {library:.3f}; exact log p ≈ {exact:.3f}")
assert abs(by_hand - library) < 0.02 and library < exact - 0.08

# %% [markdown]
# The gap of the two-layer model is about 0.11 nats. Its encoder is
# fixed, so no training of an encoder can close it.
#
# **Predict:** what does the gap do as the layers grow from 1 to 100,
# with the exact means in every decoder?
#
# <details><summary>Answer</summary>
#
# It falls towards 0. In a small step the true $p(v_{t-1} \mid v_t)$
# is nearly a Gaussian of variance $\beta_t$, and that is what the
# decoder says. In a large step it is not: from one layer the decoder
# would have to say a mixture.
# </details>

# %%
few, gaps, bars = x[:40_000], {}, {}
for T in (1, 2, 3, 5, 10, 30, 100):
    kept = ne.alphas_bar_of(ne.cosine_betas(T))
    bound = ne.ddpm_bound(ne.ScoreNoise(line_data, kept), few, kept, variance="beta", generator=generator)
    each = line_data.log_prob(few) + bound.total
    gaps[T], bars[T] = each.mean().item(), each.std().item() / len(few) ** 0.5

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.2))
ax.errorbar(list(gaps), list(gaps.values()), [2 * e for e in bars.values()], fmt="o-", capsize=2, color=PURPLE)
ax.set_xscale("log")
ax.set_xticks(list(gaps), [str(T) for T in gaps], minor=False)
ax.set(xlabel="layers $T$", ylabel="$\\log p(x)$ - bound, nats", ylim=(-0.01, 0.16), title="a fixed encoder")
alt = "The gap between log p and the bound falls from 0.14 nats with one layer to nearly nothing with a hundred."
caption = "The bound of a hierarchical model with a fixed encoder and exact means; bars are two standard errors."
save_figure(fig, "vae_layers", alt=alt, caption=caption, numbers={f"T_{T}": g for T, g in gaps.items()}, tolerance=0.01)

# %% [markdown]
# From ten layers on each gap is within two or three bars of the next:
# its fall is certain, its form is not.
#
# So there are two ways to a tight bound: a clever encoder for one
# layer of latents, or a trivial encoder and many layers. DDPM takes
# the second. [Notebook 16](16_ddpm.ipynb) derives its bound and shows
# that the decoder it needs is a score.
#
# | | a VAE | a score model |
# |---|---|---|
# | is trained with | a bound of $\log p(x)$ | a regression on noise |
# | gives a sample in | one evaluation | tens to thousands |
# | $\log p(x)$ | a bound, tighter with importance weights | by another road (an ODE), or DDPM's bound |
# | a summary of an image | its code | none |
# | weak where | the prior misses the codes, detail below $s$ | time |
#
# **A VAE is not a `Score`.** The other models of this package obey
# one contract, `score(x, sigma)`. A VAE has no noise levels, and the
# gradient of its log-density is as much out of reach as the
# log-density. It has a bound (`elbo`) and `sample`, and a class of
# its own. The samplers of notebook 7 cannot use it, and
# `load_trained` says so:

# %%
try:
    ne.load_trained("vae_digits")
except ValueError as error:
    print(str(error).split("weights")[-1].lstrip("/\\"))
print("it has:", ", ".join(name for name in ("encode", "log_likelihood", "sample", "score") if hasattr(shipped, name)))

# %% [markdown]
# ## 15.12 Your turn
#
# The explorer shows `vae_digits`. A walk leads in a straight line
# from the code of one held-out digit to that of another. Two latents
# can be chosen and moved by hand; the numbers after KL say how many
# nats each carries on average. The decoder's noise is drawn with the
# width that the slider says.
#
# - **Walk** from image 0, a five, to image 1, a one. How far does it stay
#   a five? Is there another digit on the way? What does the length of $v$
#   do, and why?
# - Back to walk 0. Set **first latent** to 6 and move it by 4. What happens
#   to the image? What does its KL divergence say? How long is $v$ now?
# - Move the first latent back to 0, and the **second latent**, which is 3,
#   from -4 to 4. Which digits do you see, and where is the red dot then?
# - Tick **with the decoder's noise**. Which of the two pictures is a draw
#   of $p(x \mid v)$? Lower **decoder std** to 0.03: what would a net with
#   this width claim, and what did section 15.8 say of such a claim?
#
# <details><summary>Answers</summary>
#
# - Up to about 0.55. Then it is a six for a while, by the eye and by the
#   classifier, and from 0.75 on a one. The length falls from 2.60 to
#   1.71 in the middle and rises to 2.48: a straight line between two
#   points of a shell leads through its inside, where the prior has few
#   draws.
# - Nothing: no pixel moves by more than 0.04. The latent has 0.00 nats: the
#   encoder says the same of every image, and the decoder has learned to
#   look away. The length of $v$ is 4.77, and means nothing. Four of the
#   twelve latents are like this one: 6, 8, 9 and 12.
# - A nought from -2.5 down, the five, and a seven from 2.5 up. At both ends
#   the red dot leaves the dense part of the cloud.
# - The noisy one; the pixels reach from -0.26 to 1.18, beyond black and
#   white. At 0.03 the noise is hardly visible: a net with this width claims
#   to predict each pixel to 0.03. On new digits this one errs by 0.10, and
#   the bound would be far below 0.
# </details>

# %%
LatentExplorer(load_any("vae_digits").net, datasets.load("digits", split="test")[0] / 255)

# %% [markdown]
# ## 15.13 The errors of this notebook, in one table
#
# | what is written | what is right | what the wrong one did here |
# |---|---|---|
# | maximising the bound is equivalent | only if $q$ may be anything | $s$ = 0.63 in place of 0.50 |
# | $q$ is diagonal, of course | a choice, and it costs | 0.83 nats for a correlation of 0.9, 0.70 for two modes |
# | $\mu$ | $\mu^2$ | a KL divergence of -50 |
# | $\mathrm{KL}(p(v) \Vert q)$ | $\mathrm{KL}(q \Vert p(v))$ | 59.7 nats in place of 1.93 |
# | $\operatorname{diag}(s)$ | $\operatorname{diag}(s^2)$ | 0.83 nats in place of 1.93 |
# | $\mu + s^2 e$ | $\mu + s\, e$ | a variance of 0.0001 in place of 0.01 |
# | one draw is the expectation | an unbiased estimate of it | the worse model wins 39 times of 100 |
# | $2\pi^{n/2}$ | $(2\pi)^{n/2}$ | an integral of 1.41 in three dimensions |
# | without the noise one draws samples | one draws means | a variance of 2.8 in place of 4.6 |
#
# ## What you should be able to do now
#
# - Say why maximum likelihood is the smallest KL divergence, and why least
#   squares blurs.
# - Derive the bound in six lines, name its gap, and say when maximising
#   it is *not* maximising the likelihood.
# - Write the KL divergence, the draw and the decoder's likelihood without a
#   lost square, order or constant.
# - Explain why gradients are taken through the draw, and why one draw is
#   enough.
# - Predict what a narrower or a wider decoder does to reconstructions,
#   samples and latents.
# - Tell samples of a VAE from means, and the prior from the aggregate
#   posterior.
# - Say in which three decisions DDPM differs from a VAE.
#
# ## Exercises
#
# 1. In section 15.2 the matrix was given. Take $A R$ in its place, with a
#    rotation $R$ of the latents. What happens to $p(x)$? Choose $R$ so that
#    the posterior has a diagonal covariance, and find the maximum of the
#    bound again.
#    <details><summary>Hint</summary>
#
#    $P = I + R^\top A^\top A R / s^2$. With $A = U S V^\top$, which $R$
#    makes it diagonal? `Linear` takes a matrix.
#    </details>
#    <details><summary>Answer</summary>
#
#    $p(x)$ stays, because $A R R^\top A^\top = A A^\top$. With $R = V$ the
#    precision is diagonal at every $s$, the gap is 0, and the bound is the
#    likelihood: its maximum is at 0.500 and is -3.738, where the given $A$
#    had 0.630 and -4.396. A VAE that may choose its matrix turns its latents
#    until a diagonal encoder fits. For a linear decoder that finds the
#    principal components; a net cannot always turn so far.
#    </details>
# 2. The linear theory says that at $s = 0.6$ four directions of the digits
#    are worth a latent. Train with $s = 0.6$ for 1000 steps, and for 4000,
#    and do the same with $s = 1$. Which collapse is a property of the model,
#    and which of the training? (Half a minute.)
#    <details><summary>Answer</summary>
#
#    At 0.6 the KL divergence is 0.06 nats after 1000 steps, no latent is
#    active, and the bound is near -32.6; after 4000 steps they are 1.43 nats
#    and -32.1. The collapse was a plateau of the training. At $s = 1$ it is
#    0.000 after both, with a bound of -61.15. That is the held-out
#    log-likelihood of the best linear model at this $s$, which has no
#    latents at all: here it is the model.
#    </details>
# 3. Repair the prior after training: fit a Gaussian with a full covariance
#    to draws of $q(v)$ of `vae_digits`, draw $v$ from it, and judge the
#    images as in section 15.10. Then a mixture of 100 Gaussians
#    (`sklearn.mixture.GaussianMixture`). How far can one go before the
#    samples are copies?
#    <details><summary>Hint</summary>
#
#    `ncsn_edu.metrics.judge` has the number `memory`: the mean distance to
#    the nearest training image over that to the nearest held-out one.
#    </details>
#    <details><summary>Answer</summary>
#
#    | $v$ from | sure | pixels | features | memory |
#    |---|---|---|---|---|
#    | the prior | 0.81 | 0.31 | 19 | 0.93 |
#    | a Gaussian | 0.82 | 0.24 | 16 | 0.93 |
#    | 10 Gaussians | 0.89 | 0.19 | 9 | 0.92 |
#    | 100 Gaussians | 0.91 | 0.17 | 7 | 0.86 |
#    | $q(v)$ itself, 898 Gaussians | 0.99 | 0.11 | 4 | 0.47 |
#
#    Much of what was lacking can be had by a better distribution of the
#    codes. (The distances in features scatter by 2.) The last row is paid
#    with copies: its images lie half as far from the training images as from
#    others. *Latent diffusion* is this idea with a score
#    model for the distribution of the codes (Vahdat et al. 2021, Rombach et
#    al. 2022).
#    </details>
#
# ## References
#
# - D. P. Kingma and M. Welling, *Auto-encoding variational Bayes*, ICLR
#   2014; D. J. Rezende, S. Mohamed and D. Wierstra, *Stochastic
#   backpropagation and approximate inference in deep generative models*,
#   ICML 2014.
# - Y. Burda, R. Grosse and R. Salakhutdinov, *Importance weighted
#   autoencoders*, ICLR 2016.
# - R. J. Williams, *Simple statistical gradient-following algorithms for
#   connectionist reinforcement learning*, Machine Learning 8, 1992: the
#   score-function estimator.
# - I. Higgins et al., *beta-VAE: learning basic visual concepts with a
#   constrained variational framework*, ICLR 2017.
# - M. D. Hoffman and M. J. Johnson, *ELBO surgery*, NeurIPS workshop 2016:
#   the two parts of the KL term.
# - J. Lucas, G. Tucker, R. Grosse and M. Norouzi, *Don't blame the ELBO! A
#   linear VAE perspective on posterior collapse*, NeurIPS 2019.
# - J. Ho, A. Jain and P. Abbeel, *Denoising diffusion probabilistic
#   models*, NeurIPS 2020.
#
# **Next:** [16 · DDPM](16_ddpm.ipynb): a thousand layers, one net, and the
# score again.
