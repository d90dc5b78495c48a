# %% [markdown]
# # 12 · Judging samples
#
# *Reading and trying: about 70 minutes. Running every cell: about 40 seconds on a laptop, at full scale for what is asked here (known Gaussians of up to 50,000 samples, and digits of 8x8 pixels).*
#
# A paper says that its samples have a distance of 10. You compute the
# distance of the same samples and get 39. Neither of you made a mistake:
# the paper took 50,000 samples, and you took 1000. This notebook is about
# numbers for samples: what each of them sees, what it does not see, and
# what has to be said beside it. You will
#
# - derive and measure by how much the Frechet distance is too large, and
#   take the error out by extrapolation;
# - write the distance of two Gaussians yourself;
# - give known defects to good images, and see which number notices which;
# - trade precision against recall by one number;
# - fool a score that never looks at real images;
# - read a bootstrap interval, and know what it leaves out;
# - read a published table of numbers: which rows differ, and in what.
#
# You need: means, covariances and their eigenvalues. The digits and the
# classifier are those of
# [10 · Train and sample](10_train_and_sample.ipynb), where three such
# numbers were met for the first time. The letters are on the page of
# [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import math

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt

from ncsn_edu import datasets, practice, save_figure, show
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.metrics import (
    Features,
    classifier_score,
    frechet,
    frechet_distance,
    gaussian_fit,
    kernel_distance,
    nearest,
    precision_recall,
)
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, images, use_style

use_style()

# %% [markdown]
# ## 12.1 What we would like, and what we can have
#
# A model is good if its distribution $q$ equals the distribution $p$ of the
# data. We have samples of both and neither density. (Some models know their
# density. Most do not, and a good density is no guarantee of good samples
# either.) So everything in this notebook compares two sets of images.
#
# Comparing pixels is simple and misleading. A digit that is moved by one
# pixel is far from itself, and a blurred image is near many others. Hence
# the usual way: send both sets through a network that was trained to tell
# images apart, and compare the activations of its last hidden layer. These
# numbers are called **features**.
#
# | number | compares | in the space of |
# |---|---|---|
# | Frechet distance | means and covariances | any features; with Inception-v3 it is called FID |
# | kernel distance | all moments up to the third, by a kernel | any features; with Inception-v3 it is called KID |
# | precision, recall | who lies near whom | any features |
# | classifier score | nothing: it looks at the samples alone | class probabilities; with Inception-v3 it is called IS |
#
# A number is only called FID if Inception-v3 made the features, from 50,000
# samples, resized in the way of the original code. The library takes that
# literally: each result carries the name of its net, and the word FID
# appears for one net only.
#
# What are features good for? A net that tells classes apart has learned to
# ignore what does not matter for that: a shift, a thicker pen, a little
# slant. So distances between features come nearer to what a person calls
# similar. For the same reason they do not show what the net was taught to
# ignore. Nobody knows exactly what that is; you find out by trying, as in
# section 12.3 and in exercise 2. And features of a net that was trained on
# photographs of dogs and cars say little about galaxies.
#
# Our net is the classifier of digits that ships with the package. It is
# right on 99.6 % of digits that it has never seen. Its last hidden layer
# has 256 units.

# %%
net = classifier_net("digits")
train, labels = datasets.load("digits")
train, held_out = train / 255, datasets.load("digits", split="test")[0] / 255
reference = extract(held_out, net)
n_images, n_features = reference.values.shape
print(f"{n_images} held-out digits, {n_features} features each, by {reference.net}")

# %% [markdown]
# ## 12.2 The Frechet distance, and its bias
#
# Take two Gaussians with means $\mu_x, \mu_y$ and covariances $S_x, S_y$.
# Moving the mass of one to the other, along straight lines and at the least
# total squared distance, costs
#
# $$ d^2 = \lVert \mu_x - \mu_y \rVert^2 + \operatorname{tr}\big( S_x + S_y - 2\,(S_x S_y)^{1/2} \big) . $$
#
# The Frechet distance of two sets is this formula, with their means and
# covariances put in. (By habit the square is called the distance.) It
# compares the sets by two moments, as if they were Gaussian.
#
# The root is the *matrix* root: $R$ with $R R = S_x S_y$, not the root of
# each entry. You need only its trace. $S_x S_y$ is not symmetric, but its
# eigenvalues are real and not negative: they are those of
# $S_x^{1/2} S_y\, S_x^{1/2}$. The eigenvalues of a root are the roots of
# the eigenvalues, and the trace is their sum.
#
# **Write it.** The distance from two means and two covariances. Two lines
# are enough.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_distance(mean_x, mean_y, cov_x, cov_y):
#     roots = torch.linalg.eigvals(cov_x @ cov_y).real.clamp(min=0).sqrt()
#     return (mean_x - mean_y).square().sum() + (cov_x + cov_y).trace() - 2 * roots.sum()
# ```
# </details>


# %%
def my_distance(mean_x, mean_y, cov_x, cov_y):  # (D,), (D,), (D, D), (D, D); returns a number
    ...


practice.gaussian_distance(my_distance)

# %% [markdown]
# The library's version takes samples, and works with symmetric matrices
# throughout, because their eigenvalues come out real:

# %%
show(frechet_distance, docstring=False)

# %% [markdown]
# Now let both sets come from the *same* distribution. The true distance is 0.
# What do we get from $n$ samples each, in $D$ dimensions? Take a standard
# normal. The means differ by noise of variance $2/n$ in each coordinate:
# together $2D/n$. For two covariances that are both near the identity the
# trace is, to lowest order, a quarter of the squared difference,
#
# $$ \operatorname{tr}\big( S_x + S_y - 2\,(S_x S_y)^{1/2} \big) \approx \tfrac14 \lVert S_x - S_y \rVert_F^2 . $$
#
# (In one dimension it says that
# $(\sqrt a - \sqrt b)^2 \approx (a - b)^2 / 4$ for $a, b$ near 1.) An entry
# of a sample covariance has variance $1/n$ off the diagonal and $2/n$ on
# it. Two of them differ by twice as much, and summed over $D(D-1)$ and $D$
# entries that is $2 D (D + 1)/n$. A quarter of it, and all together:
#
# $$ \mathbb E\, d^2 \;\approx\; \frac{2}{n} \Big( D + \frac{D(D+1)}{4} \Big) . $$
#
# It falls like $1/n$, and it **grows like $D^2$**. The estimate is never
# below the truth on average, and with few samples it mostly tells how few
# they are.
#
# **Predict:** for $D = 64$ and $n = 1000$ the formula says 2.2. With how
# many samples is it below 0.05? In the figure, on logarithmic axes: which
# slope?
#
# <details><summary>Answer</summary>
#
# $2 \cdot 1104 / n < 0.05$ needs about 44,000 samples. The slope is $-1$.
# And the measured points lie on the line, within a few percent: a single
# pair of sets scatters little, because thousands of entries are summed.
# </details>

# %%
dim, generator = 64, torch.Generator().manual_seed(0)
sizes, found = (100, 300, 1000, 3000, 10_000, 50_000), {}
for n in sizes:
    x, y = torch.randn(2, n, dim, generator=generator, dtype=torch.float64)
    found[n] = frechet_distance(x, y)

# %%
fig, ax = plt.subplots(figsize=(5.6, 3.4))
ax.loglog(sizes, [2 / n * (dim + dim * (dim + 1) / 4) for n in sizes], color=BLUE, label="theory")
ax.loglog(sizes, list(found.values()), "o", color=ORANGE, label="two sets from one Gaussian")
ax.set(xlabel="samples in each set, $n$", ylabel="Frechet distance", title="64 dimensions; the truth is 0")
ax.legend()
save_figure(
    fig,
    "judging_bias",
    alt="The Frechet distance of two sets from one Gaussian against the size of the sets, both axes logarithmic. "
    "Six points fall along a straight line, from about 24 at 100 samples to 0.04 at 50,000.",
    caption="Two sets from one Gaussian in 64 dimensions: the distance is all bias, and falls like $1/n$.",
    numbers={f"n_{n}": found[n] * n / 2208 for n in sizes},
    tolerance=0.02,
)

# %% [markdown]
# Two things follow. **Never compare distances at different $n$.** And never
# quote a distance without its $n$.
#
# Where do "39" and "10" come from? Suppose a model whose true distance is
# some $d_\infty^2 > 0$. The bias comes on top, nearly the same as above:
# $d_n^2 \approx d_\infty^2 + c/n$. From 39 at $n = 1000$ and 10 at
# $n = 50{,}000$ you get $c = 29/(1/1000 - 1/50{,}000) \approx 30{,}000$. So
# 0.6 of the 10 is bias, and 30 of the
# 39. For equal variances the formula above says about $D^2/2$, two million
#     for
# the 2048 features of Inception. Their variances are very unequal, which
# makes $c$ smaller (exercise 1).
#
# The remedy uses the $1/n$. Measure at several $n$, plot against $1/n$, and
# extend the line to $1/n = 0$ (Chong & Forsyth 2020). We try it where the
# truth is known: a second Gaussian, moved by 0.3 in every direction and 10
# % wider. Its distance is $64 \cdot 0.3^2 + 64 \cdot 0.1^2 = 6.4$.
#
# Beside it we draw the **kernel distance** (Binkowski et al. 2018). It
# compares all pairs by $k(a, b) = (a \cdot b / D + 1)^3$, within each set
# and between the two,
#
# $$ \mathbb E\, k(x, x') + \mathbb E\, k(y, y') - 2\, \mathbb E\, k(x, y) . $$
#
# A third power contains products of up to three features: means,
# covariances and skewness, all in one number. It is 0 for equal
# distributions, and each of the three means can be estimated from pairs
# without any bias, as long as no image is paired with itself. The price:
# its unit says nothing to anybody. And an estimate of 0 without bias must
# be negative now and then. How often? Its mean is 0 and it is skewed to the
# right, so that more than half of the estimates lie below 0:

# %%
own = torch.Generator().manual_seed(1)
draws = [[Features("none", part, part) for part in torch.randn(2, 100, 64, generator=own)] for _ in range(400)]
nulls = torch.tensor([kernel_distance(*pair, n_bootstrap=1, generator=own).value for pair in draws])
below = (nulls < 0).double().mean()
assert 0.5 < below < 0.65 and abs(nulls.mean()) < 3 * nulls.std() / 20
print(
    f"of 400 estimates of 0, {below:.0%} lie below it; their mean is {nulls.mean() / nulls.std() * 20:.1f} s.e. from 0"
)

# %% [markdown]
# **Predict:** from $n \le 8000$ only: will the line through the points hit
# 6.4 to within 5 %? The kernel distance is divided by its own value at the
# largest $n$. Will it rise for small $n$ as well?
#
# <details><summary>Answer</summary>
#
# It will: the points lie on a line, and the line ends at 6.3. (Each point
# scatters by some percent, because the mean of 1000 samples does.) The
# kernel distance is flat: its estimate leaves out the pairs of an image
# with itself, and is right on average at any $n$. What grows for small $n$
# is its scatter.
#
# (Were the line drawn through points at much smaller $n$, it would miss:
# the next term of the bias, in $1/n^2$, bends it.)
# </details>

# %%
counts, frechets, kernels = (1000, 1500, 2000, 4000, 8000), [], []
for n in counts:
    x, y = torch.randn(2, n, dim, generator=generator, dtype=torch.float64)
    both = [Features("none", values, values) for values in (x, 0.3 + 1.1 * y)]
    frechets.append(frechet_distance(*(f.values for f in both)))
    kernels.append(kernel_distance(*both, n_bootstrap=1, generator=generator).value)
inverse = torch.tensor([1000 / n for n in counts], dtype=torch.float64)
line = torch.linalg.lstsq(torch.stack([inverse, torch.ones(5)], 1).double(), torch.tensor(frechets)[:, None].double())
slope, at_infinity = line.solution.flatten().tolist()

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3))
left.plot(inverse, frechets, "o", color=ORANGE, label="measured")
left.plot([0, 1], [at_infinity, at_infinity + slope], color=ORANGE, lw=1)
left.axhline(6.4, color=BLUE, label="truth")
left.set(xlabel="$1000/n$", ylabel="Frechet distance", ylim=(0, None), title=f"at $1/n = 0$: {at_infinity:.2f}")
left.legend(loc="lower right")
right.plot(inverse, [k / kernels[-1] for k in kernels], "o-", color=GREEN)
right.set(
    xlabel="$1000/n$", xlim=(0, 1.05), ylabel="kernel distance, relative", ylim=(0, 2), title="no bias, more scatter"
)
save_figure(
    fig,
    "judging_extrapolation",
    alt="Left: five Frechet distances against 1000 over n lie on a rising line, which meets the left edge near 6.3; "
    "the truth, 6.4, is a level line. Right: the kernel distance over its own value at 8000 stays near 1.",
    caption="Two Gaussians at a distance of 6.4: the Frechet distance extrapolates to it, the kernel distance is flat.",
    numbers={"at_infinity": at_infinity, "slope": slope, "excess": frechets[0] / 6.4},
    tolerance=0.02,
)

# %% [markdown]
# On the left the point at $n = 1000$ lies 40 % above the truth. Whoever
# compares "our model, 1000 samples" with "their model, 50,000" draws the
# wrong conclusion, with any number of decimals.
#
# **Trap: too few samples for a covariance.** With $n \le D$ samples the
# covariance has no inverse: there are whole directions in which the set
# seems to have no width. The formula still returns a number. The library
# refuses:

# %%
try:
    frechet(extract(held_out[:200], net), reference)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 12.3 Known defects
#
# Which defects does a number notice? We take 600 training digits, which are
# as good as samples can be, and give them defects that we know:
#
# - **noise** of 0.05, of 0.1: a sampler that stopped a level too early, or
#   forgot the denoising step;
# - **a class missing**, five classes missing: modes that were lost;
# - **blur** over $3 \times 3$ pixels: a model that predicts means;
# - **a Gaussian** with the right mean and covariance of pixels;
# - **ten images**, one of each class, sixty times each: total collapse;
# - **copies** of the training set, which have no other defect.

# %%
chosen = torch.randperm(len(train), generator=generator)[:600]
healthy, their_labels = train[chosen], labels[chosen]


def without(n_classes: int) -> torch.Tensor:
    kept = train[labels >= n_classes]
    return kept[torch.randint(len(kept), (600,), generator=generator)]


# %%
z = torch.randn(healthy.shape, generator=generator)
defective = {
    "copies": healthy,
    "noise 0.05": healthy + 0.05 * z,
    "noise 0.1": healthy + 0.1 * z,
    "one class missing": without(1),
    "five missing": without(5),
    "blur": F.avg_pool2d(healthy, 3, stride=1, padding=1),
    "Gaussian": gaussian_fit(train, 600, generator=generator),
    "ten images": torch.cat([train[labels == k][:1] for k in range(10)]).repeat(60, 1, 1, 1),
}

# %% [markdown]
# Five numbers for each. `memory` is the one of notebook 10: the mean
# distance to the nearest training image, divided by that to the nearest
# held-out one.

# %%
table = {}
for name, x in defective.items():
    features = extract(x := x.clamp(0, 1), net)
    precision, recall = precision_recall(features, reference, n_bootstrap=1, generator=generator)
    table[name] = {
        "pixels": frechet_distance(x, held_out),
        "features": frechet(features, reference, n_bootstrap=1, generator=generator).value,
        "precision": precision.value,
        "recall": recall.value,
        "memory": (nearest(x, train)[0].mean() / nearest(x, held_out)[0].mean()).item(),
    }

# %% [markdown]
# **Predict:** five bars for each set: Frechet distance in pixels, in
# features, precision, recall, memory. Which set is as good as any in all of
# the first four, and worthless? Which number sees that a class is missing,
# and which does not? Put three sets in the order of their distance in
# features: the Gaussian, ten images, five classes missing.
#
# <details><summary>Answer</summary>
#
# The copies: they have the smallest distances and the best recall, and a
# precision of 0.885. That number scatters by 0.013, so that 0.90 for the
# ten images and 0.89 for a missing class are no better. Missing classes
# show in recall, and in both distances; precision hardly moves, because
# every single image is fine. The order is ten images (47), Gaussian (67),
# five classes missing (76): by its distance, the set that has collapsed is
# the best of the three.
# </details>

# %%
fig, axes = plt.subplots(1, 5, figsize=(11, 3.6), sharey=True)
colours = {"pixels": GREY, "features": BLUE, "precision": GREEN, "recall": ORANGE, "memory": RED}
for ax, (number, color) in zip(axes, colours.items(), strict=True):
    values = [row[number] for row in table.values()]
    bars = ax.barh(range(len(table)), values, color=color)
    ax.bar_label(bars, fmt="%.0f" if number == "features" else "%.2f", padding=2, fontsize=8)
    kind = "Frechet distance,\n" if number in ("pixels", "features") else ""
    ax.set(title=kind + number, xlim=(0, 1.3 * max(values)), xticks=[])
axes[0].set(yticks=range(len(table)), yticklabels=table)
axes[0].invert_yaxis()
numbers = {f"{name}, {number}": row[number] for name, row in table.items() for number in row}
scatter = {"pixels": 0.02, "features": 1.0, "precision": 0.02, "recall": 0.02, "memory": 0.02}
save_figure(
    fig,
    "judging_defects",
    alt="Bars of five numbers for eight sets of digits. Copies are best in all but memory. Blur and ten images have "
    "large distances in pixels. In features ten images have 47, the Gaussian 67, five missing classes 76, blur 142.",
    caption="Five numbers for sets with known defects: small is good on the left, large on the right.",
    numbers=numbers,
    tolerance={key: scatter[key.partition(", ")[2]] for key in numbers},
)

# %% [markdown]
# Begin with the last row, the best lesson of this notebook.
#
# > **Ten images have a Frechet distance of 47 in features. That is better than the
# > Gaussian (67), and better than five missing classes (76).**
#
# The set holds nothing but ten images, sixty times each. Ten good images,
# one of each class, have nearly the right mean and a part of the right
# covariance, and the distance sees nothing else. Their precision is 0.90,
# that of real images. Only recall tells what has happened: it is 0.00.
# Whoever chooses models by the distance alone prefers total collapse to the
# loss of half of the classes.
#
# The other rows:
#
# - **Copies** are judged as well as any set. No number in the space of
#   features can object to a training set: it *is* a set of real images.
#   Memorising has to be looked for on purpose, by the distance to the
#   training images against that to others.
# - **Noise of 0.05** is nearly invisible to a person, and moves every
#   number a little. So the last step of a sampler, which removes noise of
#   0.01, is worth its one evaluation (Jolicoeur-Martineau et al. 2021).
#   Noise also hides copies: at 0.1 half of the distance to the nearest
#   training image is noise, and `memory` is half of what new digits have. A
#   test for memorising should denoise first.
# - **A missing class** is what a person does not notice in a sheet of
#   samples. The distances do, and recall says what it is.
# - **Blur** is bad in every column but memory, although each image can
#   still be read. Features trained on sharp images have never seen a
#   blurred one.
# - **The Gaussian** is as near as a set with one class missing, in pixels:
#   its means and covariances *are* the right ones, up to what is cut off at
#   0 and 1, and the number compares nothing else. In features it is nearly
#   as far as half of the classes missing. Whoever reports pixel distances
#   alone has to report that of a Gaussian beside them.
#
# So it takes at least three numbers: "are they real", "are they all there",
# "are they new".
#
# ## 12.4 Precision against recall
#
# Precision asks what share of the samples lies near real images, recall
# what share of the real images lies near samples. Near means: inside a ball
# around one of the others, whose radius is the distance to its third
# neighbour of its own kind.
#
# Both definitions look at balls and not at densities. A set that has one
# sample in every place where the data are has full recall, however unequal
# the weights. Neither number can see that a mode is ten times too frequent.
# And an outlier among the real images has a huge ball, in which anything
# counts as precise. The numbers are useful when sets are of equal size and
# the features few; they are no probabilities.
#
# They can be traded. Pull every digit towards the mean of its class,
# $x' = m_c + t\,(x - m_c)$: with $t < 1$ the set gets narrower, and its
# outliers move to the centre. (Guidance and "truncation" in large models
# have this effect, on purpose.)
#
# **Predict:** from $t = 1$ down to 0.4: does precision rise all the way?
# Recall? And the Frechet distance, which knows nothing of either?
#
# <details><summary>Answer</summary>
#
# Recall falls all the way, at first slowly and then to nothing. Precision
# rises a little, and falls again in the end: means of images are blurred,
# and no longer near any digit. The distance grows from the first moment on,
# since the covariance is wrong at once. It does not reward samples that
# look clean.
# </details>

# %%
means = torch.stack([train[labels == k].mean(0) for k in range(10)])[their_labels]
knob, curves = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), {"precision": [], "recall": [], "distance": []}
for t in knob:
    features = extract(means + t * (healthy - means), net)
    pair = precision_recall(features, reference, n_bootstrap=1, generator=generator)
    distance = frechet(features, reference, n_bootstrap=1, generator=generator).value
    for name, value in zip(curves, (pair[0].value, pair[1].value, distance), strict=True):
        curves[name].append(value)

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2), width_ratios=[1.1, 1, 1.5])
for name, color in (("precision", GREEN), ("recall", ORANGE)):
    left.plot(knob, curves[name], "o-", color=color)
    left.annotate(name, (0.7, curves[name][3]), (4, 8), textcoords="offset points", color=color)
left.set(ylabel="share of the images", ylim=(0, 1))
middle.plot(knob, curves["distance"], "o-", color=BLUE)
middle.set(ylabel="Frechet distance, features", ylim=(0, None))
for ax in (left, middle):
    ax.set(xlabel="$t$ (1: unchanged)", xlim=(1.03, 0.37))
shown = torch.cat([means[:8] + t * (healthy[:8] - means[:8]) for t in (1.0, 0.7, 0.4)])
images(right, shown, columns=8)
for row, t in enumerate((1.0, 0.7, 0.4)):
    right.text(-1, 9 * row + 4, f"$t$ = {t}", ha="right", va="center")
numbers = {f"{name} {t}": curves[name][i] for name in curves for i, t in enumerate(knob)}
save_figure(
    fig,
    "judging_tradeoff",
    alt="As t falls from 1 to 0.4, precision rises from 0.89 to 0.91 and falls to 0.70; recall falls from 0.88 to "
    "0.01; the Frechet distance grows from 3 to 25. Right: eight digits at t of 1, 0.7 and 0.4, ever smoother.",
    caption="Digits pulled towards the mean of their class: recall is lost first, and the distance grows at once.",
    numbers=numbers,
    tolerance={key: 0.3 if key.startswith("distance") else 0.02 for key in numbers},
)

# %% [markdown]
# A model that is narrowed like this makes prettier sheets of samples. It is
# a worse model of the data. Both are true, and a single number can only say
# one of them.
#
# ## 12.5 A score that never looks at real images
#
# The classifier score (Salimans et al. 2016) asks two things of the class
# probabilities: each image should belong to one class for sure, and the
# classes should all occur,
#
# $$ \exp\, \mathbb E\, \mathrm{KL}\big( p(c \mid x) \,\big\Vert\, p(c) \big) \;\in\; [1, 10] . $$

# %%
rows = {
    "held-out digits": held_out,
    "copies": healthy,
    "ten images": defective["ten images"],
    "blur": defective["blur"],
}
for name, x in rows.items():
    print(f"{name:16} {classifier_score(extract(x, net), n_bootstrap=1, generator=generator).value:5.1f}")

# %% [markdown]
# Ten images, one of each class, beat all real digits, because real digits
# are not all equally clear, nor exactly equal in number. The score is about
# *ten clear classes* and nothing else. It was made for photographs of many
# classes, with the classes of ImageNet. On faces, which are all of one
# class, it says nothing.
#
# The score is still quoted, because it is old, cheap, and needs no
# reference. Quote it beside others, never alone.
#
# ## 12.6 What an interval says
#
# The library gives every number an interval, by the **bootstrap**: draw as
# many images *from the set*, with repetition, compute the number again, do
# so a hundred times, and look at the spread.

# %%
print("noise 0.05:", end=" ")
found = frechet(extract(defective["noise 0.05"].clamp(0, 1), net), reference, generator=generator)
print(f"{found.name} between {math.floor(found.low)} and {math.ceil(found.high)}")
show(frechet, docstring=False)

# %% [markdown]
# It answers: how would the number scatter, if somebody drew other images
# from the same model and the same data? It does not answer
#
# - how biased the number is. Redrawn sets repeat images, have fewer
#   different ones, and so an even larger bias: the spread is taken around
#   *their* mean and put around the number. Section 12.2 says what the bias
#   is;
# - how the number depends on the training seed. That spread is usually
#   larger, and takes other trainings to measure;
# - whether the features see what you care about.
#
# A test of whether the interval is right: draw sets again and again, and
# count how often the interval holds the mean of all of them. The library's
# own tests do that.
#
# ## 12.7 Reading a published table
#
# Table 1 of Song & Ermon 2019 compares models of CIFAR-10 that do not know
# the classes. All numbers are those of the paper; the middle column is
# ours:
#
# | model | what kind of model, and what it is trained for | inception score | FID |
# |---|---|---|---|
# | PixelCNN | autoregressive: the likelihood of a pixel given those before it | 4.60 | 65.93 |
# | PixelIQN | autoregressive: quantiles of a pixel given those before it | 5.29 | 49.46 |
# | EBM | an energy, by maximum likelihood with Langevin samples | 6.02 | 40.58 |
# | WGAN-GP | a GAN: fool a critic | 7.86 ± 0.07 | 36.4 |
# | MoLM | a generator that matches moments of learned features | 7.90 ± 0.10 | 18.9 |
# | SNGAN | a GAN | 8.22 ± 0.05 | 21.7 |
# | ProgressiveGAN | a GAN | 8.80 ± 0.05 | not given |
# | **NCSN** | a score, by denoising at ten levels | **8.87 ± 0.12** | 25.32 |
#
# Before you go on: which sentence about NCSN does this table support, and
# which number is missing for the opposite sentence?

# %%
rows = {"WGAN-GP": (7.86, 0.07, 36.4), "MoLM": (7.90, 0.10, 18.9), "SNGAN": (8.22, 0.05, 21.7)}
rows |= {"ProgressiveGAN": (8.80, 0.05, math.inf), "NCSN": (8.87, 0.12, 25.32)}
by_score = sorted(rows, key=lambda name: -rows[name][0])
by_distance = sorted((name for name in rows if rows[name][2] < math.inf), key=lambda name: rows[name][2])
apart = (8.87 - 8.80) / math.hypot(0.12, 0.05)
assert apart < 1
print("by inception score:", ", ".join(by_score))
print("by FID:            ", ", ".join(by_distance))
print(f"NCSN and ProgressiveGAN are {apart:.1f} of their joint ± apart")

# %% [markdown]
# - **Two numbers, two orders.** By inception score NCSN comes first, by FID
#   third. The abstract says "state-of-the-art inception score", and that is
#   all it can say.
# - **Which rows differ?** 8.87 and 8.80 do not: they are half of their
#   joint ± apart.
# - **What is the ±?** For an inception score it is usual to cut the samples
#   into ten parts and to give the standard deviation of the ten scores.
#   That says how one set of samples scatters. It says nothing of another
#   training run, and no FID has a ± here.
# - **What do real images get?** 11.24 ± 0.12 for the training images of
#   CIFAR-10 (Salimans et al. 2016). The table has no such row; without it
#   you cannot tell whether 8.87 is nearly all or half of the way.
# - **Were the rows measured alike?** They are taken from as many papers.
#   How many samples, which code, which resizing stands there, or nowhere.
#   NCSN's FID is from 50,000 samples.
# - **Were the models made for this?** PixelCNN was trained for likelihood,
#   which it has in closed form, and there the order is another one: a GAN
#   has no likelihood to compare at all. A low row in this table is no
#   verdict on a model of densities.
# - **What is missing?** Recall, copies, and the price of a sample. NCSN
#   asks its network a thousand times for an image, a GAN once.
#
# The table supports this: in 2019 a score model made samples that these two
# numbers cannot tell from those of good GANs, and without a critic. For
# "better than GANs" the FID speaks against it; for "worse", a recall would
# be needed.
#
# ## 12.8 Before you believe a number
#
# A list for the numbers of papers, and for your own.
#
# 1. How many samples, how many reference images? Equal for all that is
#    compared?
# 2. Which net, which layer, which resizing? An image that was made smaller
#    without a filter, or stored as JPEG, moves FID by more than most papers
#    gain.
# 3. Against the training images or against held-out ones? Models that
#    memorise look better against the first.
# 4. What do real images get, at the same $n$? It is the floor, and not 0.
# 5. What do simple things get: a Gaussian, real images with noise?
# 6. The best checkpoint of how many? A minimum over many noisy numbers is
#    too small on average.
# 7. Is there a number for each of: real, complete, new?
#
# The command does 1, 4 and 5 for you:
#
# ```
# python -m ncsn_edu sample digits --n 1000 --npy digits.npy
# python -m ncsn_edu evaluate digits.npy
# ```
#
# ## What you should be able to do now
#
# - Say by how much a Frechet distance of $n$ samples is too large, how that
#   depends on $D$, and how to extrapolate.
# - Explain "39 against 10" to a colleague.
# - Name a defect that each number does not notice, and a set that a single
#   number prefers wrongly.
# - Say what precision and recall trade, and why pretty samples may be a bad
#   sign.
# - Read a bootstrap interval, and name three things that it leaves out.
# - Say of a published table which rows differ, and what is not in it.
#
# ## Exercises
#
# 1. The bias for unequal variances. Repeat section 12.2 with a Gaussian
#    whose standard deviations are $1/k$, $k = 1 \dots 64$. Is it nearer to
#    that of 64 equal dimensions or to that of a few? Derive it: for small
#    differences the trace is $\sum_{ij} (\Delta_{ij})^2 / (2 (s_i + s_j))$
#    with variances $s_i$.
#    <details><summary>Hint</summary>
#
#    $\mathbb E\,\Delta_{ij}^2 = 2\,s_i s_j (1 + \delta_{ij})/n$ for two
#    sets of $n$.
#    </details>
#    <details><summary>Answer</summary>
#
#    To that of a few.
#    $n\,\mathbb E\,d^2 = 2 \sum_i s_i + \sum_{ij} s_i s_j (1 + \delta_{ij})/(s_i + s_j) = 3.3 + 6.5 = 9.8$.
#    Two equal dimensions of variance 1 have 7, three have 12, and 64 have 2208.
#    Five pairs of sets give 8.2 at $n = 300$, 10.7 at 1000 and 7.9 at
#    10,000, each give or take 1. So the bias depends on how many directions
#    are wide, not on how many there are.
#    </details>
# 2. Invent a defect that leaves the Frechet distance in features as it is,
#    to within its interval, and that a person sees at once. (Look for what
#    the classifier was taught to ignore.)
#    <details><summary>Hint</summary>
#
#    Which pixels never change in the training images? And what does a
#    classifier not need to know of a stroke?
#    </details>
#    <details><summary>Answer</summary>
#
#    Two of many. *A grey dot in the upper left corner of every image* (0.5
#    where all training digits are black): 5.0 in place of 4.8, with an
#    interval from 3.0 to 7.3. The classifier's weights for that pixel were
#    never trained. *All greys to the power 0.7*, brighter and thicker
#    strokes: 4.6 in place of 3.7, with an interval from 2.4 to 5.5. (The
#    two were measured on different sets of 600 digits.) Not every dot is
#    ignored: a white one in the lower left corner, where a few digits have
#    ink, gives 10.7.
#    </details>
# 3. `precision_recall` with $k = 1$ and $k = 10$: what happens to the
#    values for real images, the best that samples can get? Which $k$ would
#    you choose for 100 images, and which for 100,000?
#    <details><summary>Answer</summary>
#
#    Precision and recall of 600 training digits against as many held-out
#    ones are 0.63 and 0.59 for $k = 1$, 0.91 and 0.89 for 3, 0.99 and 0.98
#    for 10. With larger balls everything is near everything: at $k = 10$
#    there is hardly any room between real images and worse ones. For 100
#    images and $k = 10$ both are 1.00, and say nothing; take $k$ of 3 or
#    less, and expect to be off by several hundredths. With 100,000 images
#    the balls are small, and $k = 10$ costs nothing and scatters less.
#    </details>
#
# ## References
#
# - D. C. Dowson and B. V. Landau, *The Frechet distance between
#   multivariate normal distributions*, Journal of Multivariate Analysis 12, 1982.
# - M. Heusel et al., *GANs trained by a two time-scale update rule converge
#   to a local Nash equilibrium*, NeurIPS 2017: FID.
# - M. Binkowski et al., *Demystifying MMD GANs*, ICLR 2018: KID, and the
#   bias of FID.
# - M. J. Chong and D. Forsyth, *Effectively unbiased FID and inception
#   score and where to find them*, CVPR 2020: extrapolation.
# - T. Salimans et al., *Improved techniques for training GANs*, NeurIPS
#   2016: the inception score.
# - T. Kynkaanniemi et al., *Improved precision and recall metric for
#   assessing generative models*, NeurIPS 2019.
# - G. Parmar et al., *On aliased resizing and surprising subtleties in GAN
#   evaluation*, CVPR 2022.
#
# **Next:** samples of your own.
# [13 · CIFAR-10 at full scale](13_cifar10_at_full_scale.ipynb) has the
# commands, and a network that is judged by these numbers.
