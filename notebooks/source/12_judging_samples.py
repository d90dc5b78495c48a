# %% [markdown]
# # 12 · Judging samples
#
# *Reading and trying: about 40 minutes. Running every cell: about 40 seconds on a laptop, at full scale for what is asked here (known Gaussians of up to 50,000 samples, and digits of 8x8 pixels).*
#
# A paper says that its samples have a distance of 10. You compute the distance of
# the same samples and get 39. Nobody made a mistake. This notebook is about numbers
# for samples: what each of them sees, what it does not see, and what has to be said
# beside it. You will
#
# - derive and measure by how much the Frechet distance is too large, and take the
#   error out by extrapolation;
# - give known defects to good images, and see which number notices which;
# - trade precision against recall by one number;
# - fool a score that never looks at real images;
# - read a bootstrap interval, and know what it leaves out.
#
# You need: means, covariances and their eigenvalues. The digits and the classifier
# are those of [10 · Train and sample](10_train_and_sample.ipynb), where three such
# numbers were met for the first time.

# %%
import math

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt

from ncsn_edu import datasets, save_figure, show
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
# A model is good if its distribution $q$ is the data's $p$. We have samples of both
# and neither density. (Some models know their density. Most do not, and a good
# density is no guarantee of good samples either.) So everything in this notebook
# compares two sets of images.
#
# Comparing pixels is honest and short-sighted. A digit that is moved by one pixel
# is far from itself, and a blur is near everything. Hence the usual way: send both
# sets through a network that was trained to tell images apart, and compare the
# activations of its last hidden layer. These numbers are called **features**.
#
# | number | compares | in the space of |
# |---|---|---|
# | Frechet distance | means and covariances | any features; with Inception-v3 it is called FID |
# | kernel distance | all moments up to the third, by a kernel | any features; with Inception-v3 it is called KID |
# | precision, recall | who lies near whom | any features |
# | classifier score | nothing: it looks at the samples alone | class probabilities; with Inception-v3 it is called IS |
#
# A number is only called FID if Inception-v3 made the features, from 50,000 samples,
# resized in the way of the original code. The library takes that literally: each
# result carries the name of its net, and the word FID appears for one net only.
#
# What are features good for? A net that tells classes apart has learned to ignore
# what does not matter for that: a shift, a thicker pen, a little slant. So distances
# in its features come nearer to what a person calls similar. By the same token they
# are blind to whatever the net was taught to ignore. Nobody knows exactly what that
# is; one finds out by trying, as in section 12.3. And features of a net that was
# trained on photographs of dogs and cars say little about galaxies.
#
# Our net is the classifier of digits that ships with the package. It is right on
# 99.6 % of digits that it has never seen. Its last hidden layer has 256 numbers.

# %%
net = classifier_net("digits")
train, labels = datasets.load("digits")
train, held_out = train / 255, datasets.load("digits", split="test")[0] / 255
reference = extract(held_out, net)
print(reference.values.shape, "features of the held-out digits, by", reference.net)

# %% [markdown]
# ## 12.2 The Frechet distance, and its bias
#
# Take two Gaussians with means $\mu_x, \mu_y$ and covariances $S_x, S_y$. Moving the
# mass of one to the other, along straight lines and at the least total squared
# distance, costs
#
# $$ d^2 = \lVert \mu_x - \mu_y \rVert^2 + \operatorname{tr}\big( S_x + S_y - 2\,(S_x S_y)^{1/2} \big) . $$
#
# The Frechet distance of two sets is this formula, with their means and
# covariances put in. (By habit the square is called the distance.) It compares the
# sets by two moments, as if they were Gaussian.
#
# Now let both sets come from the *same* distribution. The true distance is 0. What
# do we get from $n$ samples each, in $D$ dimensions? Take a standard normal. The
# means differ by noise of variance $2/n$ in each coordinate: together $2D/n$. For
# two covariances that are both near the identity the trace is, to lowest order, a
# quarter of the squared difference,
#
# $$ \operatorname{tr}\big( S_x + S_y - 2\,(S_x S_y)^{1/2} \big) \approx \tfrac14 \lVert S_x - S_y \rVert_F^2 . $$
#
# (In one dimension it says that $(\sqrt a - \sqrt b)^2 \approx (a - b)^2 / 4$ for
# $a, b$ near 1.) An entry of a sample covariance has variance $1/n$ off the
# diagonal and $2/n$ on it. Two of them differ by twice as much, and summed over
# $D(D-1)$ and $D$ entries that is $2 D (D + 1)/n$. A quarter of it, and all
# together:
#
# $$ \mathbb E\, d^2 \;\approx\; \frac{2}{n} \Big( D + \frac{D(D+1)}{4} \Big) . $$
#
# It falls like $1/n$, and it **grows like $D^2$**. The estimate is never below the
# truth on average, and with few samples it mostly tells how few they are.
#
# **Predict:** for $D = 64$ and $n = 1000$ the formula says 2.2. With how many
# samples is it below 0.05? In the figure, on logarithmic axes: which slope?
#
# <details><summary>Answer</summary>
#
# $2 \cdot 1104 / n < 0.05$ needs about 44,000 samples. The slope is $-1$. And the
# measured points lie on the line: a single pair of sets scatters little, because
# thousands of entries are summed.
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
ax.loglog(sizes, list(found.values()), "o", color=ORANGE, label="two heaps of one Gaussian")
ax.set(xlabel="samples in each heap, $n$", ylabel="Frechet distance", title="64 dimensions; the truth is 0")
ax.legend()
save_figure(fig, "judging_bias", numbers={f"n_{n}": found[n] * n for n in sizes}, tolerance=200)
plt.show()

# %% [markdown]
# Two things follow. **Never compare distances at different $n$.** And never quote
# one without its $n$.
#
# Where do "39" and "10" come from? Suppose a model whose true distance is some
# $d_\infty^2 > 0$. The bias comes on top, nearly the same as above:
# $d_n^2 \approx d_\infty^2 + c/n$. With 50,000 samples little is added, and one
# reads the truth. With 1000 it is fifty times as much. Inception has 2048 features
# with very unequal variances, so that $c$ is smaller than $D^2$ would make it, and
# still tens of thousands.
#
# The way out is to use the $1/n$. Measure at several $n$, plot against $1/n$, and
# extend the line to $1/n = 0$ (Chong & Forsyth 2020). We try it where the truth is
# known: a second Gaussian, moved by 0.3 in every direction and 10 % wider. Its
# distance is $64 \cdot 0.3^2 + 64 \cdot 0.1^2 = 6.4$.
#
# Beside it we draw the **kernel distance** (Binkowski et al. 2018). It compares all
# pairs by $k(a, b) = (a \cdot b / D + 1)^3$, within each set and between the two,
#
# $$ \mathbb E\, k(x, x') + \mathbb E\, k(y, y') - 2\, \mathbb E\, k(x, y) . $$
#
# A third power contains products of up to three features: means, covariances and
# skewness, all in one number. It is 0 for equal distributions, and each of the three
# means can be estimated from pairs without any bias, as long as no image is paired
# with itself. The price: it has no unit that anybody knows, and when the truth is 0
# the estimate is negative a little more than half of the time: its mean is 0, and it
# is skewed to the right.
#
# **Predict:** from $n \le 8000$ only: will the line through the points hit 6.4 to
# within 5 %? The kernel distance is divided by its own value at the largest
# $n$. Will it rise for small $n$ as well?
#
# <details><summary>Answer</summary>
#
# It does: the points lie on a line, and the line ends at 6.3. (Each point scatters by
# some percent, because the mean of 1000 samples does.) The kernel distance is flat:
# its estimate leaves out the pairs of an image with itself, and is right on average
# at any $n$. What grows for small $n$ is its scatter.
#
# (Were the line drawn through points at much smaller $n$, it would miss: the next
# term of the bias, in $1/n^2$, bends it.)
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
save_figure(fig, "judging_extrapolation", numbers={"at_infinity": at_infinity, "slope": slope}, tolerance=0.02)
plt.show()

# %% [markdown]
# On the left the point at $n = 1000$ lies 40 % above the truth. Someone who had
# compared "our model, 1000 samples" with "their model, 50,000" would have drawn the
# wrong conclusion, with any number of decimals.
#
# **Trap: too few samples for a covariance.** With $n \le D$ samples the covariance
# has no inverse and whole directions in which the set seems to have no width. The
# formula still returns a number. The library refuses:

# %%
try:
    frechet(extract(held_out[:200], net), reference)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 12.3 Known defects
#
# A number is worth what it notices. We take 600 training digits, which are as good
# as samples can be, and give them defects whose nature we know:
#
# - **noise** of 0.05, of 0.1: a sampler that stopped a level too early, or forgot
#   the denoising step;
# - **a class missing**, five classes missing: modes that were lost;
# - **blur** over $3 \times 3$ pixels: a model that predicts means;
# - **a Gaussian** with the right mean and covariance of pixels;
# - **ten images**, one of each class, sixty times each: total collapse;
# - and no defect, except that they are **copies** of the training set.

# %%
chosen = torch.randperm(len(train), generator=generator)[:600]
healthy, their_labels = train[chosen], labels[chosen]


def without(n_classes: int) -> torch.Tensor:
    kept = train[labels >= n_classes]
    return kept[torch.randint(len(kept), (600,), generator=generator)]


# %%
z = torch.randn(healthy.shape, generator=generator)
heaps = {
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
# Five numbers for each. `memory` is the one of notebook 10: the mean distance to the
# nearest training image, divided by that to the nearest held-out one.

# %%
table = {}
for name, x in heaps.items():
    x = x.clamp(0, 1)
    features = extract(x, net)
    precision, recall = precision_recall(features, reference, n_bootstrap=1, generator=generator)
    table[name] = {
        "pixels": frechet_distance(x, held_out),
        "features": frechet(features, reference, n_bootstrap=1, generator=generator).value,
        "precision": precision.value,
        "recall": recall.value,
        "memory": (nearest(x, train)[0].mean() / nearest(x, held_out)[0].mean()).item(),
    }

# %% [markdown]
# **Predict:** five bars for each set: Frechet distance in pixels, in features,
# precision, recall, memory. Which set is as good as any in all of the first four,
# and worthless? Which number sees that a class is missing, and which does not? What
# does the distance in pixels say of the Gaussian, and what does the one in features
# say?
#
# <details><summary>Answer</summary>
#
# The copies: they have the smallest distances and the best recall, and a precision
# of 0.885, which scatters by 0.013, so that 0.90 for the ten images and 0.89 for a
# missing class are no better. Missing classes show in recall, and in both
# distances; precision hardly moves, because every single image is fine. In pixels
# the Gaussian has a small distance: its means and covariances *are* the right ones,
# up to what is cut off at 0 and 1, and that is all that the number looks at. The
# features see that it is no digit.
# </details>

# %%
fig, axes = plt.subplots(1, 5, figsize=(11, 3.4), sharey=True)
colours = {"pixels": GREY, "features": BLUE, "precision": GREEN, "recall": ORANGE, "memory": RED}
for ax, (number, color) in zip(axes, colours.items(), strict=True):
    values = [row[number] for row in table.values()]
    ax.barh(range(len(table)), values, color=color)
    ax.set(title=number, xlim=(0, 1 if number in ("precision", "recall") else None))
axes[0].set(yticks=range(len(table)), yticklabels=table)
axes[0].invert_yaxis()
numbers = {f"{name}, {number}": table[name][number] for name in table for number in ("precision", "recall")}
save_figure(fig, "judging_diseases", numbers=numbers, tolerance=0.02)
plt.show()

# %% [markdown]
# Read it row by row.
#
# - **Copies** are judged as well as any set. No number in the space of features can
#   object to a training set: it *is* a set of real images. Memorising has to be
#   looked for on purpose, by the distance to the training images against that to
#   others.
# - **Noise of 0.05** is nearly invisible to a person. It moves every number a little:
#   the last step of a sampler, which removes noise of 0.01, is worth its one
#   evaluation (Jolicoeur-Martineau et al. 2021). It also hides copies: at 0.1 half of
#   the distance to the nearest training image is noise, and `memory` is half of what
#   new digits have. A test for memorising should denoise first.
# - **A missing class** is what a person does not notice in a sheet of samples. The
#   distances do, and recall says what it is.
# - **Blur** is a catastrophe in every column but memory, although each image can still
#   be read. Features trained on sharp images have never seen a blur.
# - **The Gaussian** is as near as a set with one class missing, in pixels. In
#   features it is as far as one with nearly half of the classes missing. Whoever
#   reports pixel distances alone has to report that of a Gaussian beside them.
# - **Ten images** have the precision of real images and no recall. Their
#   Frechet distance in features, 47, is *smaller* than that of the Gaussian
#   (66) and that of the set with five classes missing (76): ten good images
#   have nearly the right mean, and part of the covariance. A distance alone
#   would prefer total collapse.
#
# So it takes at least two numbers: one for "are they real", one for "are they all
# there", and a third one for "are they new".

# %% [markdown]
# ## 12.4 Precision against recall
#
# Precision asks what share of the samples lies near real images, recall what share
# of the real images lies near samples. Near means: inside a ball around one of the
# others, whose radius is the distance to its third neighbour of its own kind.
#
# Both definitions look at balls and not at densities. A set that has one sample in
# every place where the data are has full recall, however unequal the weights: that
# one mode is ten times too frequent, neither of the two can see. And an outlier
# among the real images has a huge ball, in which anything counts as precise. The
# numbers are useful when sets are of equal size and the features few; they are no
# probabilities.
#
# They can be traded. Pull every digit towards the mean of its class,
# $x' = m_c + t\,(x - m_c)$: with $t < 1$ the set gets narrower, and its outliers
# move to the centre. (Guidance and "truncation" in large models do this on
# purpose.)
#
# **Predict:** from $t = 1$ down to 0.4: does precision rise all the way? Recall? And
# the Frechet distance, which knows nothing of either?
#
# <details><summary>Answer</summary>
#
# Recall falls all the way, at first slowly and then to nothing. Precision rises a
# little, and falls again in the end: means of images are blurred, and no longer
# near any digit. The distance grows from the first moment on, since the covariance
# is wrong at once. It does not reward samples that look clean.
# </details>

# %%
means = torch.stack([train[labels == k].mean(0) for k in range(10)])[their_labels]
knob, curves = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), {"precision": [], "recall": [], "distance / 100": []}
for t in knob:
    features = extract(means + t * (healthy - means), net)
    pair = precision_recall(features, reference, n_bootstrap=1, generator=generator)
    distance = frechet(features, reference, n_bootstrap=1, generator=generator).value
    for name, value in zip(curves, (pair[0].value, pair[1].value, distance / 100), strict=True):
        curves[name].append(value)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=[1.2, 1])
for (name, values), color in zip(curves.items(), (GREEN, ORANGE, BLUE), strict=True):
    left.plot(knob, values, "o-", color=color, label=name)
left.set(xlabel="$t$", xlim=(1.02, 0.38), ylim=(0, 1))
left.legend()
shown = torch.cat([means[:8] + t * (healthy[:8] - means[:8]) for t in (1.0, 0.7, 0.4)])
images(right, shown, columns=8).set_title("$t$ = 1, 0.7, 0.4")
numbers = {f"{name} {t}": curves[name][i] for name in ("precision", "recall") for i, t in enumerate(knob)}
save_figure(fig, "judging_tradeoff", numbers=numbers, tolerance=0.02)
plt.show()

# %% [markdown]
# A model that is narrowed like this makes prettier sheets of samples. It is a worse
# model of the data. Both are true, and a single number can only say one of them.
#
# ## 12.5 A score that never looks at real images
#
# The classifier score (Salimans et al. 2016) asks two things of the class
# probabilities: each image should belong to one class for sure, and the classes
# should all occur,
#
# $$ \exp\, \mathbb E\, \mathrm{KL}\big( p(c \mid x) \,\big\Vert\, p(c) \big) \;\in\; [1, 10] . $$

# %%
rows = {"held-out digits": held_out, "copies": healthy, "ten images": heaps["ten images"], "blur": heaps["blur"]}
for name, x in rows.items():
    print(f"{name:16} {classifier_score(extract(x, net), n_bootstrap=1, generator=generator).value:5.1f}")

# %% [markdown]
# Ten images, one of each class, beat all real digits, for real digits are not all
# of the same clarity nor exactly equal in number. The score is about *ten clear
# classes* and nothing else. It was made for ImageNet, whose classes are most of what
# there is to see. On faces, which are all of one class, it says nothing.
#
# It is still quoted, because it is old, cheap, and needs no reference. Then let it
# be one of several.
#
# ## 12.6 What an interval says
#
# The library gives every number an interval, by the **bootstrap**: draw as many
# images *from the set*, with repetition, compute the number again, do so a hundred
# times, and look at the spread.

# %%
print("noise 0.05:", end=" ")
found = frechet(extract(heaps["noise 0.05"].clamp(0, 1), net), reference, generator=generator)
print(f"{found.name} between {math.floor(found.low)} and {math.ceil(found.high)}")
show(frechet, docstring=False)

# %% [markdown]
# It answers: how would the number scatter, if somebody drew other images from the
# same model and the same data? It does not answer
#
# - how biased it is. Redrawn sets repeat images, have fewer different ones, and so
#   an even larger bias: the spread is taken around *their* mean and put around the
#   number. What the bias is, section 12.2 says;
# - how the number depends on the training seed. That is another spread, usually a
#   larger one, and takes other trainings;
# - whether the features see what you care about.
#
# A test of whether it is right: draw sets again and again, and count how often the
# interval holds the mean of all of them. The library's own tests do that.
#
# ## 12.7 Before you believe a number
#
# A list for papers, and for your own.
#
# 1. How many samples, how many reference images? Equal for all that is compared?
# 2. Which net, which layer, which resizing? An image that was made smaller without
#    a filter, or stored as JPEG, moves FID by more than most papers gain.
# 3. Against the training images or against held-out ones? Models that memorise look
#    better against the first.
# 4. What do real images get, at the same $n$? It is the floor, and not 0.
# 5. What do simple things get: a Gaussian, real images with noise?
# 6. Best checkpoint of how many? A minimum over many noisy numbers is biased
#    downwards.
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
# - Say by how much a Frechet distance of $n$ samples is too large, how that depends
#   on $D$, and how to extrapolate.
# - Explain "39 against 10" to a colleague.
# - Name a defect that each number does not notice.
# - Say what precision and recall trade, and why pretty samples may be a bad sign.
# - Read a bootstrap interval, and name three things that it leaves out.
#
# ## Exercises
#
# 1. The bias for unequal variances. Repeat 16.2 with a Gaussian whose standard
#    deviations are $1/k$, $k = 1 \dots 64$. Is it nearer to that of 64 equal
#    dimensions or to that of a few? Derive it: for small differences the trace is
#    $\sum_{ij} (\Delta_{ij})^2 / (2 (s_i + s_j))$ with variances $s_i$.
# 2. Invent a defect that leaves the Frechet distance in features as it is, to within
#    its interval, and that a person sees at once. (Look for what the classifier was
#    taught to ignore.)
# 3. `precision_recall` with $k = 1$ and $k = 10$: what happens to the floor, that is
#    to the values for real images? Which $k$ would you choose for 100 images, and
#    which for 100,000?
#
# ## References
#
# - D. C. Dowson and B. V. Landau, *The Frechet distance between multivariate normal
#   distributions*, Journal of Multivariate Analysis 12, 1982.
# - M. Heusel et al., *GANs trained by a two time-scale update rule converge to a local
#   Nash equilibrium*, NeurIPS 2017: FID.
# - M. Binkowski et al., *Demystifying MMD GANs*, ICLR 2018: KID, and the bias of FID.
# - M. J. Chong and D. Forsyth, *Effectively unbiased FID and inception score and where
#   to find them*, CVPR 2020: extrapolation.
# - T. Salimans et al., *Improved techniques for training GANs*, NeurIPS 2016: the
#   inception score.
# - T. Kynkaanniemi et al., *Improved precision and recall metric for assessing
#   generative models*, NeurIPS 2019.
# - G. Parmar et al., *On aliased resizing and surprising subtleties in GAN
#   evaluation*, CVPR 2022.
#
# **Next:** samples of your own. [13 · CIFAR-10 at full
# scale](13_cifar10_at_full_scale.ipynb) has the commands, and a network that is judged
# by these numbers.
