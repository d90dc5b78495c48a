# %% [markdown]
# # 10 · Train and sample
#
# *Reading and trying: about 90 minutes, and another hour for the exercises. Running every cell: about four minutes on a laptop without a GPU, at laptop scale: small images (8x8, and 28x28 from stored weights), compact networks, the paper's algorithms.*
#
# You have all parts: the ladder and its loss ([notebook
# 8](08_noise_conditional.ipynb)), the network ([notebook
# 9](09_architecture.ipynb)), annealed Langevin dynamics ([notebook
# 7](07_annealing.ipynb)). Now they meet on images. You will
#
# - train a score network on handwritten digits, from nothing, in about two
#   minutes;
# - find out how much of its loss is floor, how much is memory, and how much
#   is the network's own;
# - sample from it, and watch digits condense out of noise (the paper's
#   Figure 4);
# - ask whether the samples are any good: a classifier, a distance, and the
#   nearest training image each have a say, and each alone can be fooled;
# - see two ways to fail: a network that knows one noise level only, and a
#   perfect score that has learned its data by heart.
#
# All letters are on the page of [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import annealed_langevin, batches, denoise, geometric, langevin, last, load_trained, practice, show
from ncsn_edu.datasets import load
from ncsn_edu.figures import save_figure
from ncsn_edu.metrics import frechet_distance, judge, nearest
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, images, level_axis, use_style
from ncsn_edu.trained import load_judge
from ncsn_edu.training import Training, train
from ncsn_edu.widgets import SamplingExplorer, watch

use_style()

# %% [markdown]
# ## 10.1 The data
#
# scikit-learn brings 1797 digits of 8x8 pixels, so nothing has to be
# downloaded. A fixed random half is for training. The other half the
# network never sees; it tells us later what *new* digits look like.
#
# Why a random half, and not the first one? The file is sorted by writer,
# and people write differently. Two halves by different hands are further
# apart than any good sampler is from its data: the distance of section 10.6
# between them is 0.29, between two random halves 0.08. Whoever wants to
# know whether a network has learned a *distribution* has to compare with
# new draws from that same distribution. (Whether it can also imitate hands
# that it has never seen is another question, and a harder one.)
#
# The pixels have 17 grey values. A density over numbers that are all
# multiples of 1/16 would be a comb of spikes, and no score is right for
# that ([notebook 5](05_manifold.ipynb)). So every time an image is drawn,
# its pixels are **dequantised**: an integer $v$ of $0 \dots 255$ becomes
# $(v + u)/256$ with a fresh uniform $u$. That is what `batches` serves,
# shuffled, endlessly.

# %%
train_images, _ = load("digits")
train_set = train_images.float() / 255
held_out = load("digits", split="test")[0].float() / 255
sigmas = geometric(1.0, 0.01, 10)
print(f"{len(train_images)} images to train on, {len(held_out)} held out, {train_images[0].numel()} pixels each")
print(f"distance of the two halves: {frechet_distance(train_set, held_out):.2f}")

# %% [markdown]
# ## 10.2 Training, live
#
# The network of the paper is large for a laptop. In its place we train a
# compact U-Net, a third of a million parameters, that is told $\log \sigma$
# (notebook 9). It guesses the noise $z$, and `EpsScore` makes the score of
# that: $-f/\sigma$. What it sees is $u = (2x - 1)/\sqrt{1 + 4\sigma^2}$:
# pixels of about the same size at every level, so that the first layer
# meets no surprise. The loss is the paper's (equation 6, with
# $\lambda = \sigma^2$): one random level per image,
#
# $$ \tfrac12 \, \big\lVert \sigma\, s_\theta(x + \sigma z, \sigma) + z \big\rVert^2 . $$
#
# Each step of the optimiser is followed by one of the *average of the
# weights*. The net that we sample from is the average, not the net itself.
#
# **Write it.** The new averages: the past keeps the share `decay`, the new
# weights get the rest. Both are lists of tensors, a tensor for each
# parameter. Run the cell: it says how you are doing, and an unwritten cell
# stops nothing below it.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_average(averages, weights, decay):
#     return [decay * old + (1 - decay) * new for old, new in zip(averages, weights)]
# ```
# </details>


# %%
def my_average(averages, weights, decay):  # two lists of tensors, a number; returns a list of tensors
    ...


practice.averaged(my_average)

# %% [markdown]
# The training step is the library's, and short enough to be read whole. It
# is an iterator: one `next`, one step of the optimiser. (`ema` is the
# average.)

# %%
show(Training.__next__, docstring=False)

# %% [markdown]
# Two lines deserve a second look. The average of the weights (`ema`) is
# updated **after** the optimiser's step; before it, the average would lag a
# step behind. And a loss that is not finite stops training *before* it
# reaches the parameters, so that the last good weights survive.
#
# Because training is an iterator, whatever watches it is an ordinary `for`
# around it. In a running notebook, `watch` draws the losses and a few
# samples as they come; here we keep losses and levels ourselves, and some
# samples on the way.
#
# The settings: batches of 64, Adam with a step of 0.002, 1500 steps. That
# is 107 times through the 898 images, each time with other noise, at
# another level, with other grains. The average forgets with a rate of 0.995
# a step, so it remembers about the last 200 steps. Its purpose is to remove
# the fluctuation that a constant learning rate leaves in the weights. (For
# 300,000 steps NCSNv2 takes 0.999. For a short training that would be too
# long a memory: after 1500 steps a fifth of the average would still be the
# untrained network.)
#
# **Predict:** the zero score costs $D/2 = 32$. Where will the loss end:
# near 0, near 10, near 30? And which levels will be cheap, the large noises
# or the small ones?
#
# <details><summary>Answer</summary>
#
# Near 10, and it will never reach 0: the noise $z$ cannot be guessed from
# $x + \sigma z$ alone. At $\sigma = 1$ the noise drowns the image, and the
# network can guess most of $z$ by saying "all of what I see is noise": the
# cheapest level. The smallest noise, $\sigma = 0.01$, is the most expensive
# level. It costs 18 and not 32, because about half of the pixels are plain
# black, and on black even the finest noise shows. Section 10.3 asks how
# much of the 10 is the network's fault.
# </details>


# %%
def sample(score, n: int, seed: int = 0) -> torch.Tensor:
    """n digits by annealed Langevin dynamics, in about a hundred evaluations of the score."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, 8, 8, generator=generator)
    return last(annealed_langevin(score, x, sigmas, eps=6e-5, n_steps_each=10, denoising=True, generator=generator))


# %%
torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
n_steps = 1500
stream = batches(train_images, 64, generator=generator)
net = ne.EpsScore(ne.UNet(1, 32), data_mean=0.5, data_std=0.5)
objective = ne.Denoising(sigmas, generator=generator)
states = train(net, stream, objective=objective, n_steps=n_steps, lr=2e-3, ema=0.995)

# %%
losses, levels, early = [], [], {}
for state in watch(states, every=100, sample=lambda model: sample(model, 32)):
    losses.append(state.losses)
    levels.append(state.level)
    if state.step in (50, 200, 600, n_steps):
        early[state.step] = sample(state.ema, 40, seed=1)
score = state.ema

# %%
curve = torch.stack(losses).mean(1).view(-1, 20).mean(1)
end_levels, end_losses = torch.cat(levels[-500:]), torch.cat(losses[-500:])
by_level = torch.stack([end_losses[end_levels == i].mean() for i in range(10)])

fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
left.plot(torch.arange(len(curve)) * 20 + 10, curve, color=BLUE)
left.axhline(32, color=GREY, ls="--", lw=0.8, label="zero score, $D/2$")
left.set(title="loss, mean of 20 steps", xlabel="step", ylim=(0, 36))
left.legend()
right.plot(sigmas, by_level, "o-", color=ORANGE)
right.axhline(32, color=GREY, ls="--", lw=0.8)
level_axis(right, sigmas).set(title="loss by level, last 500 steps", ylim=(0, 36))
numbers = {"loss_at_end": curve[-25:].mean(), "largest_noise": by_level[0], "smallest_noise": by_level[-1]}
tolerance = {"loss_at_end": 0.3, "largest_noise": 0.1, "smallest_noise": 0.4}
alt = "The loss falls from 25 to 10 in 1500 steps; by level it ends at 2 for sigma 1 and at 18 for 0.01."
caption = "Training on digits: the loss over time, and by noise level in the last 500 steps."
save_figure(fig, "digits_training", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)
assert curve[-25:].mean() < 11

# %% [markdown]
# Most of the descent happens in the first two hundred steps: they teach the
# network which pixels are dark and which belong together. What comes after
# makes digits of shadows, and in the loss it is hardly visible. Look at
# samples instead.
#
# **Predict:** the next figure shows samples after 50, 200, 600 and all
# steps, from the same starting noise. After how many would you call them
# digits?
#
# <details><summary>Answer</summary>
#
# After 50 none: it is noise, as the averaged weights still remember the
# untrained network. After 200 there are shadows with the build of digits,
# after 600 many can be read. Between the last two pictures the loss falls
# by a tenth, which hardly shows in the left curve above.
# </details>

# %%
fig, axes = plt.subplots(4, 1, figsize=(8.4, 4.4))
for ax, (step, x) in zip(axes, early.items(), strict=True):
    images(ax, x[:12], columns=12).set_title(f"after {step} steps", fontsize=10)
alt = "Four rows of samples: noise after 50 steps, grey shapes after 200, digits after 600 and after 1500."
save_figure(fig, "digits_growing", alt=alt, caption="The same twelve starts, sampled at four times of the training.")

# %% [markdown]
# The lesson is general: **the loss does not tell how good the samples
# are.** It is an average over noise levels and pixels, and what makes a
# digit a digit is a small part of it. Most of the loss comes from the small
# levels, where the digit is settled and only the noise on each pixel
# remains to be found.
#
# Nor does a better loss mean better samples when two networks are compared.
# It does compare a network with *itself*: a curve that rises, or jumps,
# says that something broke. Use it for that, and judge samples as samples.
#
# ## 10.3 What the loss is made of
#
# The network ends at 10. How far could the loss fall? There is a score that
# nothing beats on the training set. The training images themselves are a
# distribution, 898 points. Blurred with noise, it is a Gaussian mixture
# with 898 components,
#
# $$ \hat p_\sigma(\tilde x) = \frac1N \sum_{n=1}^{N} \mathcal N(\tilde x;\, x_n,\, \sigma^2 I), \qquad
#    \nabla \log \hat p_\sigma(\tilde x) = \frac{\mathbb E[x \mid \tilde x] - \tilde x}{\sigma^2}, $$
#
# with $\mathbb E[x \mid \tilde x] = \sum_n w_n x_n$ and weights
# $w_n \propto \exp(-\lVert \tilde x - x_n \rVert^2 / 2\sigma^2)$ that sum
# to 1. Its score is known in closed form (`Empirical`), and that mean is
# called the **ideal denoiser**. It minimises the training loss. (Up to the
# dequantisation, which makes a small cube of each point. We take the
# middles of the cubes.)
#
# A second score without any training knows nothing about digits, and all
# about grains. It looks at each pixel alone, and knows the 17 grey values
# and how frequent each is in the training images. The grey values are
# 16/256 apart, which is six times the smallest noise:

# %%
ideal = ne.Empirical((train_images + 0.5) / 256)
greys, counts = train_images.unique(return_counts=True)


def grain(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The score of independent pixels with 17 grey values."""
    value = (greys + 0.5) / 256
    weight = (counts.log() - (x[..., None] - value) ** 2 / (2 * sigma**2)).softmax(-1)
    return (weight @ value - x) / sigma**2


@torch.no_grad()
def loss_by_level(model, values: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    x = (values + torch.rand(values.shape, generator=generator)) / 256  # dequantised, as in training
    return torch.stack([ne.dsm(model, x, s, generator=generator).mean() for s in sigmas.tolist()])


# %% [markdown]
# Four curves: the network and the ideal denoiser, each on training images
# and on held-out ones. A fifth: the rule of the 17 greys, on held-out
# images.
#
# **Predict:** the ideal denoiser's loss on training images: at which levels
# is it far below the network's? And its loss on *held-out* images: a little
# above the network's, or a lot? (The axis is logarithmic for a reason.)
#
# <details><summary>Answer</summary>
#
# On training images it is below 3 at every level, and next to nothing in
# the middle: from $\sigma = 0.2$ on it knows which of the 898 images it
# sees. On held-out images it is a disaster, 6000 at the last level: it
# takes each new digit for the nearest one that it knows, a distance of
# about 1.1 away, and reports the difference as noise,
# $\frac12 (1.1/0.01)^2 \approx 6000$. The network is nearly as good on
# images that it has never seen.
# </details>

# %%
held_out_images = load("digits", split="test")[0]
parts = {
    "ideal, training": loss_by_level(ideal, train_images),
    "net, training": loss_by_level(score, train_images),
    "net, held out": loss_by_level(score, held_out_images),
    "ideal, held out": loss_by_level(ideal, held_out_images),
    "17 greys, held out": loss_by_level(grain, held_out_images),
}

# %%
fig, ax = plt.subplots(figsize=(7.6, 4.4))
for (name, found), color in zip(parts.items(), (RED, BLUE, BLUE, RED, GREEN), strict=True):
    ax.semilogy(sigmas, found, "o--" if "held" in name else "o-", ms=4, color=color, label=name)
ax.axhline(32, color=GREY, lw=0.8, label="zero score")
least = torch.stack([found for name, found in parts.items() if "held" in name]).amin(0)
ax.fill_between(sigmas, parts["ideal, training"], least, color=GREY, alpha=0.2, lw=0)
level_axis(ax, sigmas).set(title="loss by level", ylim=(0.001, 2e4))
ax.legend(fontsize=9, loc="upper left", ncols=2)
numbers = {f"{name}, {level}": found[level] for name, found in parts.items() for level in (0, 3, 9)}
tolerance = {name: 0.03 * value for name, value in numbers.items()}
alt = "Losses by level: two close curves of the net; the ideal denoiser far below, and held out far above."
caption = "What the loss is made of: the floor of digits lies in the grey band."
save_figure(fig, "digits_loss_parts", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %%
print(f"{'sigma':18}", "".join(f"{s:7.3f}" for s in sigmas.tolist()), "   mean")
for name in ("ideal, training", "ideal, held out", "17 greys, held out"):
    row = "".join(f"{value:7.2f}" if value < 100 else f"{value:7.0f}" for value in parts[name].tolist())
    print(f"{name:18}", row, f"{parts[name].mean():6.1f}")
gap = parts["net, held out"] - parts["net, training"]
assert 9 < parts["net, training"].mean() < 10.5 and 0 < gap.mean() < 0.8 and parts["ideal, held out"].mean() > 900
means = {name: found.mean() for name, found in parts.items()}
print(f"net: training ≈ {means['net, training']:.1f}, held out ≈ {means['net, held out']:.1f}, gap ≈ {gap.mean():.1f}")

# %% [markdown]
# Three things are mixed in a loss of 10.
#
# - **Floor**: what no score for *digits* can get below. Nobody knows it,
#   but it lies between two curves, the grey band. It is at most what any
#   score costs on held-out images. And it is at least what the ideal
#   denoiser costs on training images: for the ideal denoiser is the best
#   for those 898 images, better there than the true score. (In the mean
#   over training sets; ours is one of them.)
# - **Memory**: what a network knows about its training images and not about
#   digits. It is the gap between the loss on held-out images and on
#   training images. Our network has a gap of a third. The ideal denoiser
#   has one of a thousand.
# - **The network**: the rest. It is too small, too smooth, or has not
#   trained for long enough.
#
# Read the band from left to right. At $\sigma = 1$ it is narrow: the floor
# lies between 1.6 and 1.7, so nearly all of the network's 1.8 there is
# floor. (Even the ideal denoiser is better on held-out images there: in so
# much noise all images count, and what it knows by heart does no harm.) In
# the middle it is wide open, from 0.2 to 6.6 at $\sigma = 0.2$.
# There nobody can say how much better a network could be: to know the digit
# is to know the noise, and it is not known how far a new digit is
# determined by the others. At the last level the rule of the 17 greys
# closes the band from above: the floor is at most 1.5, and the network is
# at 17. **So at least 15 of the 17 are the network's.** The grain could be
# found, and a smooth network does not learn such a comb. (At
# $\sigma = 0.03$ the comb is hidden, and the same rule costs 17.) Nobody
# minds: to know the grain would not make the digits any better.
#
# The ideal denoiser ends at 0.4 and not at 0. That is the dequantisation: a
# uniform variable of width 1/256 has variance $1/(12 \cdot 256^2)$, and
# $\frac{64}{2} \cdot \frac{1}{12 \cdot 256^2} / 0.01^2 = 0.41$.
#
# A network with a loss of 0.6, the ideal denoiser's, would not draw better
# digits. It would have learned the training set by heart, and section 10.8
# shows what it draws. Longer training goes that way: the RefineNet that
# ships has 8.9 on training images and 9.7 on held-out ones, a gap of 0.8.
#
# ## 10.4 Algorithm 1, seen from inside
#
# Annealed Langevin dynamics needs three choices. The paper takes $T = 100$
# steps a level and $\epsilon = 2 \cdot 10^{-5}$, which is a step of
# $\alpha_i / 2 = 0.1\, \sigma_i^2$ and a thousand evaluations. On digits we
# take $T = 10$ and $\alpha_i / 2 = 0.3\, \sigma_i^2$: a tenth of the work.
# Section 10.6 judges what comes out, and exercise 1 takes more steps. The
# last choice is to end with a **denoising step**,
# $x + \sigma_L^2\, s(x, \sigma_L)$: it takes away the last bit of noise.
# On digits nobody notices (exercise 2); the feature nets by which
# photographs are judged do.
#
# Where do the step sizes come from? Notebook 7 gave the limit: a step is
# stable while $\alpha_i < 4\,(\sigma_i^2 + s^2)$, with $s^2$ the variance
# of the data in its narrowest direction. Black border pixels do not vary at
# all, so $s = 0$, and $\alpha_i / 2 < 2\,\sigma_i^2$ remains. With 0.3 we
# stay well below that, and forget the past at each step by 30 % in those
# directions: ten steps leave $0.7^{10} \approx 3$ % of what the chain
# brought along. With the paper's 0.1 it takes about 33 steps to get as far.
#
# The noise that each step adds counts as well. Let
# $r = \alpha_i / 2\sigma_i^2$. On a black pixel a step multiplies the value
# by $1 - r$ and adds noise of variance $2 r \sigma_i^2$. A chain that comes
# from the level above, with variance $\gamma^2 \sigma_i^2$, has after $T$
# steps the variance
#
# $$ \sigma_i^2\, \big[ (1 - r)^{2T} (\gamma^2 - v) + v \big], \qquad v = \frac{2}{2 - r} . $$
#
# It should be $\sigma_i^2$. `variance_ratio` computes the bracket, and
# `eps_for_steps` looks for the $\epsilon$ that brings it nearest to 1 (Song
# & Ermon 2020, technique 4):

# %%
for n_each, eps in ((10, 6e-5), (100, 2e-5)):
    best, used = ne.eps_for_steps(sigmas, n_each), ne.variance_ratio(sigmas, eps, n_each)
    least = ne.variance_ratio(sigmas, best, n_each)
    print(f"T = {n_each:3}: eps {eps:.1e} gives {used:.2f}; the best, eps {best:.1e}, gives {least:.2f}")

# %% [markdown]
# With ten steps no $\epsilon$ is right: small steps do not get rid of the
# noise of the level above, and large ones add too much of their own. Our
# choice is a little larger than the best for a black pixel, and helps the
# directions that are wide. In the wide directions, in which digits differ
# from one another, both move slowly; what counts there is that the level
# above has put the chain in the right place.
#
# The start is uniform noise on $[0, 1]$, as in the paper. It is not a
# sample of $p_{\sigma_1}$, but close enough for ten steps with
# $\sigma_1 = 1$: each of them takes away about 30 % of what is wrong.
#
# **Predict:** the figure follows eight chains through the ladder; column
# $i$ shows them at the end of level $i$. At which $\sigma$ is it
# settled *which* digit a chain becomes, and what do the last four levels
# do?
#
# <details><summary>Answer</summary>
#
# The digit is settled between $\sigma = 0.6$ and $0.2$: there the blurred
# distribution falls apart into classes. Before that the chain is noise with
# a trend; after that it only gets cleaner. The last four levels change
# nothing that you can see: a screen shows 256 greys, and $\sigma = 0.02$ is
# five of them.
# </details>

# %%
generator = torch.Generator().manual_seed(2)
x = torch.rand(8, 1, 8, 8, generator=generator)
frames = [x]
for state in annealed_langevin(score, x, sigmas, eps=6e-5, n_steps_each=10, generator=generator):
    if state.step == 9:  # the state is the one AFTER the update: the tenth step of a level is in it
        frames.append(state.x)

# %%
fig, axes = plt.subplots(1, 11, figsize=(8.6, 6.2))
for ax, frame, title in zip(axes, frames, ["start", *(f"{sigma:.2f}" for sigma in sigmas)], strict=True):
    images(ax, frame, columns=1).set_title(title, fontsize=9)
fig.suptitle(r"after the level $\sigma$ =", fontsize=10)
alt = "Eight chains, a row each: noise in the first columns, digits from sigma 0.36 or 0.22 on."
save_figure(
    fig, "fig4_intermediate_digits", alt=alt, caption="Eight chains of annealed Langevin dynamics, level by level."
)

# %% [markdown]
# The same as it happens, for sixteen chains: every second step, with the
# place on the ladder beside it. Press play, or drag the slider.
#
# **Predict:** what appears first: the black frame around a digit, the
# strokes, or the grey at their edges? And how many steps pass between
# "noise" and "it is a 7"?
#
# <details><summary>Answer</summary>
#
# The black frame: the columns at the edge are dark in all digits, so that
# it costs nothing to know them, and at $\sigma = 0.36$ they begin to show.
# The strokes follow on the next level, within some ten steps, all over the
# image at once. The grey at their edges is settled last, together with the
# grain.
# </details>

# %%
generator = torch.Generator().manual_seed(2)
x = torch.rand(16, 1, 8, 8, generator=generator)
chain = annealed_langevin(score, x, sigmas, eps=6e-5, n_steps_each=10, denoising=True, generator=generator)
shown_steps = list(enumerate(chain, start=1))[::2]

fig, (left, right) = plt.subplots(1, 2, figsize=(5.6, 3.0), width_ratios=(1.1, 1))
right.semilogy(range(1, 101), sigmas.repeat_interleave(10), color=GREY, drawstyle="steps-mid")
(dot,) = right.plot([], [], "o", color=RED)
right.set(xlabel="step", title=r"noise level $\sigma$")


def draw(numbered):
    step, state = numbered
    left.clear()
    images(left, state.x, columns=4).set_title(f"after step {step}")
    dot.set_data([step], [state.sigma])


alt = "Sixteen images turn from noise into digits, while a dot walks down the ladder of noise levels."
ne.save_animation(fig, "digits_condensing", draw, shown_steps, alt=alt, caption="Digits condense out of noise.")

# %% [markdown]
# These few lines have room for two traps. The first is a matter of order.
#
# **Write it.** A list of $n$ states: `step(x)` returns the next $x$, and
# each of the $n$ states is kept *after* its update. The last of them is the
# result.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_chain(step, x, n):
#     states = []
#     for _ in range(n):
#         x = step(x)
#         states.append(x)
#     return states
# ```
#
# If `step` changed $x$ in place, all entries would be one and the same
# tensor: then append a copy, `x.clone()`.
# </details>


# %%
def my_chain(step, x, n):  # x: (B, D); returns n tensors (B, D)
    ...


practice.chain_states(my_chain)

# %% [markdown]
# **Trap: storing the state before the update.** A loop that appends $x$ and
# then updates it never returns its last state, and shows every frame one
# step late. Does it matter? We store the same chains as above in that
# order, and compare the frames:

# %%
generator, late = torch.Generator().manual_seed(2), []
x = torch.rand(8, 1, 8, 8, generator=generator)
for state in annealed_langevin(score, x, sigmas, eps=6e-5, n_steps_each=10, denoising=True, generator=generator):
    late.append(x)  # before x is what the step has made
    x = state.x
for level in (0, 4, 9):
    off = (late[10 * level + 9] - frames[level + 1]).square().mean().sqrt().item()
    assert 0.4 < off / sigmas[level] < 1.2
    print(f"frame after level {level + 1:2}, sigma {sigmas[level]:.2f}: off by ≈ {off:.3f} per pixel")
missing = (x - late[-1]).square().mean().sqrt().item()
assert 0.003 < missing < 0.02
print(f"the last frame lacks the denoising step, ≈ {missing:.3f} per pixel")

# %% [markdown]
# Each frame is off by one step, about $0.8\,\sigma$: the whole frame at the
# large levels, nothing that an eye could see at the last one. So nobody
# notices, until the result is taken from the list. Then the denoising step
# is lost; and in a sampler with a few large steps, such as those of
# notebook 13, a good part of the image. The library's samplers yield what
# they have just made, so that the last thing that they yield is the result.
#
# **Trap: clamping.** Pixels of $x$ leave $[0, 1]$ all the time; at
# $\sigma = 1$ most of them do. Cutting them off belongs to the *display*,
# where `images` does it. Inside the chain it would change the distribution:
# $p_\sigma$ has no walls. The columns on the left are a case in point:
# black and white pixels there are values far below 0 and far above 1.
#
# Now try the settings yourself. The package ships the paper's network as
# well: a RefineNet, narrow enough for this image size, trained on the same
# half of the digits. `load_trained` gives its score and the ladder that
# goes with it; the model card beside the weights says how it was made.
# Press *Sample*, then move the slider back through the chain.
#
# - At which $\sigma$ can you first tell which digit a chain becomes?
# - What happens with a larger `eps`: 0.0002, and 0.00044?
# - What happens with a single step a level?
#
# <details><summary>Answers</summary>
#
# - At 0.4 to 0.2, as in the figures above.
# - The strokes get bolder. At 0.0002 a chain settles at twice the variance
#   of its level, and the network takes the surplus for ink. 0.00044 is
#   above the limit of a black pixel, $4\,\sigma_L^2$. Pixels swing to 10,
#   but the chain does not run away, since the network's score out there is
#   not that of a Gaussian.
# - Black and white noise, with shadows at best: each level ends before the
#   noise of the level above is gone.
# </details>

# %%
shipped = load_trained("digits")
SamplingExplorer(shipped.score, shipped.sigmas, shipped.shape, n=16, eps=6e-5, n_steps_each=10)

# %% [markdown]
# The lower right part shows
# $\sqrt{\mathbb E \lVert \sigma s \rVert^2 / D}$. For a chain that is
# distributed as $p_\sigma$, the optimal score keeps it at or below 1, at
# every level: $-\sigma s$ is the part of the noise that can be guessed, and
# a guess varies less than what is guessed. A peak at the first steps of a
# level is the chain coming down from the level above, with too much noise
# for the new one. If it *stays* above 1, chains are where the network has
# never been.
#
# ## 10.5 Uncurated samples
#
# Nothing is picked: these are the first hundred that come out, as in the
# paper's Figure 5.
#
# **Predict:** 100 samples, as they come, from our two-minute network and
# from the shipped one. How many of a hundred will you be unable to read?
#
# <details><summary>Answer</summary>
#
# From ours perhaps fifteen or twenty, from the shipped one perhaps ten.
# Some real digits of this data set are hard to read, too: 8x8 pixels are
# few.
# </details>

# %%
ours, theirs = sample(score, 512), sample(shipped.score, 100)

# %%
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.9))
shown = {"held-out images": held_out, "U-Net, trained above": ours, "RefineNet, shipped": theirs}
for ax, (title, x) in zip(axes, shown.items(), strict=True):
    images(ax, x[:100], columns=10).set_title(title)
alt = "Three sheets of a hundred digits; here and there a sample is a shape between two digits."
caption = "A hundred digits each, as they come: real ones, ours, and those of the network that ships."
save_figure(fig, "fig5_uncurated_digits", alt=alt, caption=caption)

# %% [markdown]
# "Uncurated" means that nobody chose. This matters: from a hundred samples
# a sheet of sixteen good ones can be picked for nearly any model. A figure
# of samples should say how they were chosen, from how many, and by which
# settings of the sampler.
#
# What did it cost? A sample takes 101 evaluations of the network, and with
# 512 chains at once that is 101 passes over a batch of 512. The steps
# cannot be run in parallel: each needs the one before. With the paper's
# settings annealed Langevin dynamics costs a thousand times as much as a
# generator that needs one pass, and much of what followed the paper was
# about lowering this price.
#
# ## 10.6 Are they any good?
#
# Looking is not enough: it takes time, and one sees what one hopes for.
# Three numbers, each with its weak side:
#
# - **sure**: the share of samples for which a classifier's largest
#   probability is above 0.9. The classifier never saw the held-out half, is
#   right on 99.6 % of it, and its confidence is honest: on average it
#   equals its accuracy. (A classifier that is always sure would praise
#   everything.) *Weak side:* a sampler that makes one perfect 3 again and
#   again gets full marks.
# - **Frechet distance** between samples and held-out images: the squared
#   distance
#   $\lVert \mu - \mu' \rVert^2 + \operatorname{tr}(S + S' - 2 (S S')^{1/2})$
#   of two Gaussians with the same means and covariances of the
#   pixels. *Weak side:* it sees nothing but means and covariances. (With
#   Inception's features in place of pixels it is called FID.)
# - **memory**: the mean distance to the nearest *training* image, divided
#   by that to the nearest *held-out* image. New digits are as far from
#   both: about 1. *Weak side:* noise is as far from both, too.
#
# To show the weak sides we invite two cheats. The **Gaussian fit** draws
# from $\mathcal N(\mu, S)$ with the mean and covariance of the training
# images. The **copier** returns training images. New real digits show what
# a perfect sampler would get.
#
# **Predict:** which of the three numbers exposes which cheat?
#
# <details><summary>Answer</summary>
#
# The Gaussian fit passes `memory`, but the classifier is sure of hardly
# more than half of its samples. (The text below explains its Frechet
# distance.) The copier has the classifier's full confidence and a Frechet
# distance as good as it gets; only `memory` gives it away: 0. No number
# exposes every cheat.
# </details>


# %%
def gaussian_fit(n: int) -> torch.Tensor:
    flat = train_set.flatten(1).double()
    root = torch.linalg.cholesky(flat.T.cov() + 1e-9 * torch.eye(64))
    z = torch.randn(n, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return (flat.mean(0) + z @ root.T).float().view(n, 1, 8, 8)


# %%
classifier, n = load_judge("digits"), 512
candidates = {"U-Net": ours, "Gaussian fit": gaussian_fit(n), "copies": train_set[:n]}
found = {name: judge(x, classifier, train=train_set, held_out=held_out) for name, x in candidates.items()}
found["new digits"] = judge(held_out[:400], classifier, train=train_set[:499], held_out=held_out[400:])

# %%
fig, axes = plt.subplots(1, 3, figsize=(8.8, 2.6), sharey=True)
colours = [BLUE, ORANGE, RED, GREY]
for ax, field in zip(axes, ["sure", "frechet", "memory"], strict=True):
    values = [getattr(judgement, field) for judgement in found.values()]
    ax.barh(list(found), values, color=colours)
    ax.bar_label(ax.containers[0], fmt="%.2f", padding=3, fontsize=9)
    ax.set(title=field, xlim=(0, 1.3 * max(values)))
axes[0].invert_yaxis()
numbers = {f"{field} {name}": getattr(found[name], field) for name in found for field in ("sure", "frechet", "memory")}
tolerance = {name: 0.03 if "U-Net" in name else 0.002 for name in numbers}  # only the U-Net is trained here
alt = "Bars: the Gaussian fit has the lowest sure and the largest distance; the copies have memory 0."
caption = "Three numbers, two cheats and two honest sets: each number is fooled by one of the cheats."
save_figure(fig, "digits_judged", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# (The shipped RefineNet is left out to save a minute. Its model card has
# the numbers of 1024 samples: sure 0.90, Frechet distance 0.14,
# memory 0.95.)
#
# Whoever reads such numbers should know two things. A Frechet distance from
# samples is never 0: even the copies, which are real, stand above it,
# because means and covariances are estimated. What counts is the distance
# to *that* floor. The floor depends on how many images there are: the new
# digits, 400 of them against 499, stand higher than the copies, 512 against
# 899, and both are real. So two such numbers may be compared only if they
# come from equally many samples.
#
# And the samples were cut to $[0, 1]$ first, as a display does. That gives
# the Gaussian fit away, which has many pixels below 0. Judged as drawn, it
# is as good as anyone: the Frechet distance measures precisely what it was
# fitted to. A number does not judge a model that was fitted to it.

# %%
as_drawn, u_net = frechet_distance(gaussian_fit(n), held_out), found["U-Net"]
print(f"Gaussian fit, as drawn: distance {as_drawn:.2f}; cut to [0, 1]: {found['Gaussian fit'].frechet:.2f}")
print(f"U-Net: sure ≈ {u_net.sure:.2f}, distance ≈ {u_net.frechet:.2f}, memory ≈ {u_net.memory:.2f}")
print(f"smallest share of a class: ≈ {u_net.classes.min():.2f}")
assert u_net.sure >= 0.80 and u_net.frechet <= 0.20 and u_net.memory >= 0.9 and u_net.classes.min() >= 0.04

# %% [markdown]
# The last line says that no class is missing. None of the three numbers
# would tell that a sampler has lost the 8s.
#
# Of the real new digits the classifier is sure of 98.5 %, of ours of 87 %.
# One sample in eight is a shape between two digits, which is what a chain
# makes of a start between two modes when the score there is not sharp
# enough. Longer training raises the number: the RefineNet of the package is
# at 90 %. So do more steps a level, at the price of variety (exercise 1).
#
# The nearest neighbours deserve a look of their own. Under each sample
# stands the training image that is nearest to it, and under that the
# nearest held-out image.
#
# **Predict:** if the network copied, what would the first two rows look
# like? Which of the lower two rows will be more like the samples?
#
# <details><summary>Answer</summary>
#
# They would be equal, pixel by pixel. They are relatives, not copies:
# slant, thickness and single strokes differ. The third row is as near as
# the second.
# </details>

# %%
neighbours = [ours[:12], train_set[nearest(ours[:12], train_set)[1]], held_out[nearest(ours[:12], held_out)[1]]]
fig, axes = plt.subplots(3, 1, figsize=(8.4, 2.6))
for ax, x, title in zip(axes, neighbours, ["samples", "nearest in training", "nearest held out"], strict=True):
    images(ax, x, columns=12).set_title(title, fontsize=9)
alt = "Three rows of twelve digits: under each sample two real digits of its kind, with other strokes."
save_figure(fig, "digits_neighbours", alt=alt, caption="Samples and their nearest real images: relatives, not copies.")

# %% [markdown]
# Such a picture can refute, but it cannot prove. Had the network learned by
# heart with small changes (a shift by one pixel, another brightness), the
# nearest image by pixels would not show it. That is why one looks for
# neighbours in the space of a classifier's features as well, where a shift
# counts for little.
#
# ## 10.7 A network that knows one level
#
# Is the ladder needed at all? The paper's baseline is the same network with
# a single noise level, trained and sampled with that level alone: plain
# Langevin dynamics. [Notebook 6](06_low_density.ipynb) and [notebook
# 7](07_annealing.ipynb) said why that should fail, on points in the plane.
# Here are images, with two choices of the level, and as many evaluations as
# above. (Each net is trained for 250 steps. With ten levels each level had
# a tenth of 1500.)
#
# **Predict:** what comes out with $\sigma = 0.01$, and what with
# $\sigma = 0.3$?
#
# <details><summary>Answer</summary>
#
# With 0.01 nothing comes out: a start of uniform noise is far from all
# images, where a score for $\sigma = 0.01$ was never trained, and steps of
# the size that this level allows hardly move. With 0.3 the score is good
# wherever the chain goes and the chain gets somewhere; but what it samples
# is $p_{0.3}$. A final denoising step turns its noisy samples into
# averages: soft shapes, some of them digits.
# </details>


# %%
def single_level(sigma: float, n_steps: int = 250) -> torch.nn.Module:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    level, stream = torch.tensor([sigma]), batches(train_images, 64, generator=generator)
    net, objective = ne.EpsScore(ne.UNet(1, 32), data_mean=0.5, data_std=0.5), ne.Denoising(level, generator=generator)
    *_, state = train(net, stream, objective=objective, n_steps=n_steps, lr=2e-3, ema=0.99)
    return state.ema


def sample_single(score, sigma: float, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x, alpha = torch.rand(n, 1, 8, 8, generator=generator), 0.6 * sigma**2
    x = last(langevin(score, x, alpha=alpha, n_steps=100, sigma=sigma, generator=generator))
    return denoise(score, x, sigma)


# %%
single = {sigma: sample_single(single_level(sigma), sigma, 256) for sigma in (0.01, 0.3)}
verdict = {sigma: judge(x, classifier, train=train_set, held_out=held_out) for sigma, x in single.items()}

# %%
fig, axes = plt.subplots(1, 3, figsize=(8.8, 3.2))
for ax, (sigma, x) in zip(axes, single.items(), strict=False):
    images(ax, x[:64], columns=8).set_title(rf"one level, $\sigma = {sigma}$")
images(axes[2], ours[:64], columns=8).set_title("ten levels")
numbers = {f"frechet {sigma}": verdict[sigma].frechet for sigma in single}
alt = "Three sheets of samples: grey noise at level 0.01, soft shapes at 0.3, digits with ten levels."
caption = "One level is not enough: small noise finds nothing, large noise blurs."
tolerance = {"frechet 0.01": 0.3, "frechet 0.3": 0.05}
save_figure(fig, "single_level_fails", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)
assert min(j.frechet for j in verdict.values()) > 2 * u_net.frechet

# %% [markdown]
# The left third looks like the start. In a hundred steps with
# $\alpha = 6 \cdot 10^{-5}$ the noise moves a pixel by about 0.08, and the
# score is asked where it was never trained. In the middle, chains have
# found digits of a sort: $\sigma = 0.3$ joins neighbouring digits, and one
# denoising step from there returns the mean of all digits that might be
# meant. For 8x8 pixels that is not so bad, and still its Frechet distance
# is more than twice that of ten levels. For larger images such means are
# fog.
#
# The two failures say what a ladder is for. With large noise a chain finds
# its way from anywhere, and the samples are blurred. With small noise they
# would be sharp, but the score is wrong far from the data. A ladder has
# both, and each level leaves the chains where the score of the next is
# right.
#
# ## 10.8 A perfect score that learned by heart
#
# One more cheat is the most instructive. Section 10.3 has the ideal
# denoiser, the score that no network can beat on the training set.
#
# **Predict:** we put this best of all scores into Algorithm 1. What are the
# samples? What do the three numbers say?
#
# <details><summary>Answer</summary>
#
# Training images, all of them, to the last pixel. The classifier is sure of
# nearly all of them, the Frechet distance is that of real images, and
# `memory` is 0. The best score for the *training set* is useless as a
# generator. What makes a network generate is that it does **not** reach the
# minimum: it is too small, or stopped too early, or too smooth, to learn
# the 898 points by heart. Train our U-Net ten times as long, and `memory`
# falls.
# </details>

# %%
by_heart = sample(ideal, 256)
distance, which = nearest(by_heart, ideal.data)
verdict = judge(by_heart, classifier, train=ideal.data, held_out=held_out)
assert distance.max() < 0.01
print(f"largest distance to a training image: {distance.max():.3f}, memory: {verdict.memory:.2f}")
print(f"sure: {verdict.sure:.2f}, Frechet distance: {verdict.frechet:.2f}")

# %%
fig, axes = plt.subplots(2, 1, figsize=(8.4, 1.9))
images(axes[0], by_heart[:12], columns=12).set_title("samples of the ideal denoiser", fontsize=9)
images(axes[1], train_set[which[:12]], columns=12).set_title("nearest in training", fontsize=9)
alt = "Two equal rows of twelve digits."
caption = "The best score for the training set returns the training set."
save_figure(fig, "ideal_denoiser_copies", alt=alt, caption=caption, numbers={"memory": verdict.memory}, tolerance=0.01)

# %% [markdown]
# Why does it end exactly on an image? At small $\sigma$ the weights $w_n$
# leave one image only, the nearest, and the final denoising step returns
# just that.
#
# The training loss of this score is 0.6, the network's 9.5, and the network
# is the better generator. We want from a generative model what it
# does *between* the training points, and the training loss does not look
# there. Our U-Net has 365,000 parameters for 57,472 training pixels:
# it *could* learn them by heart, given time. With few data, `memory` and a
# loss on held-out images belong beside every training curve.
#
# The three experiments belong together. With one level too little is
# learned, and the samples are fog or noise. With all of the training set
# too much is learned, and the samples are copies. What we want lies between
# the two, and neither the loss nor any single number tells where.
#
# ## 10.9 MNIST, from weights that ship
#
# Handwritten digits of 28x28 pixels: twelve times as many numbers, and
# nothing in the method changes. What changes is the bill. One evaluation of
# this network, a RefineNet of the paper with 28 filters in place of 64,
# costs seventeen times one of the network for 8x8, and it was trained for
# hours on two CPU cores, where the paper had GPUs. So its weights come with
# the package; the [model card](../ncsn_edu/weights/mnist.md) says which
# command made them, and how its samples were judged. No image of MNIST is
# needed to sample.
#
# One setting differs: forty steps a level in place of ten. Larger images
# need more steps to agree on what they show. Larger steps are no way out.
# The chain of a step $\alpha/2 = 0.8\,\sigma^2$ settles at 1.67 times the
# variance of its level, that of $0.3\,\sigma^2$ at 1.18 times ([notebook
# 2](02_langevin.ipynb) has the formula). The network takes the surplus for
# strokes, and the digits come out too bold.
#
# We draw six chains, and keep what four of them look like at the end of
# every second level. It takes about a minute, nearly all of it inside the
# convolutions.
#
# **Predict:** strokes here are two or three pixels wide, in an image of 28.
# At which $\sigma$ do you expect the first strokes: at the same one as in
# the 8x8 digits, at a larger or at a smaller one? Think of how many pixels
# say the same thing.
#
# <details><summary>Answer</summary>
#
# At about the same one or a little larger. What counts is not a pixel but a
# shape: noise averages out over the pixels of a stroke, $\sigma/\sqrt K$
# for $K$ of them, and here a stroke has some fifty pixels where it had ten.
# The grain of the noise is visible for longer all the same, because each
# pixel alone is as noisy as before.
# </details>

# %%
mnist, generator = load_trained("mnist"), torch.Generator().manual_seed(4)
x = mnist.start(6, generator=generator)
settings, frames = vars(mnist.sampling), [x]
for state in annealed_langevin(mnist.score, x, mnist.sigmas, generator=generator, **settings):
    if state.level % 2 and state.step == settings["n_steps_each"] - 1:
        frames.append(state.x)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.9), width_ratios=[2, 1])
images(left, torch.stack(frames, 1)[:4].flatten(0, 1), columns=6)
left.set_title("four chains: start, after levels 2, 4, 6, 8, 10")
images(right, state.x, columns=2).set_title("six samples, as they came")
ink = (state.x > 0.5).double().mean().item()
alt = "Four chains from noise to a 2, a 6, a 7 and a 5; six samples, two of them hard to read."
caption = "MNIST digits out of noise, and six samples as they came."
save_figure(fig, "fig5_uncurated_mnist", alt=alt, caption=caption, numbers={"ink": ink}, tolerance=0.01)

# %% [markdown]
# Six are no sheet. A hundred chains take a quarter of an hour, so they were
# drawn when the weights were made: with the settings above, the first
# hundred as they came, from the [model card](../ncsn_edu/weights/mnist.md).
#
# ![Left, the loss of the network over 15,000 steps, from 350 down to 32. Right, a sheet of a hundred samples: about three quarters are digits that can be read, others are strokes that do not join.](../ncsn_edu/weights/mnist.png)
#
# Count those that you can read, and be strict. (The classifier of the card
# is sure of 76 % of 512 samples, and of 98 % of real images.) Then compare
# with the published samples of Figure 5, from a network with five times as
# many parameters that saw fifty times as many images: the method is the
# same, the budget is not. What is missing shows where digits are decided,
# in the middle of the ladder: the strokes are well drawn, and do not fit
# together.
#
# ## 10.10 The same on the command line
#
# The experiments above are recipes, at three scales:
#
# ```
# python -m ncsn_edu train digits_unet            # the compact network
# python -m ncsn_edu train digits                 # the RefineNet that ships
# python -m ncsn_edu train digits --resume        # resume after Ctrl-C, exactly
# python -m ncsn_edu sample digits --n 100        # a grid of samples, as a PNG
# python -m ncsn_edu sample digits --animate --out digits.gif
# ```
#
# A run is a folder: checkpoints that are whole or not there, and a log with
# the loss by level, which TensorBoard shows where it is installed
# (`tensorboard --logdir runs`). Whatever stops a run, Ctrl-C, a full disk
# or a power cut, `--resume` continues from the last checkpoint as if
# nothing had happened: on a CPU to the last bit, on a GPU up to rounding.
# `sample` takes the folder of a run in place of `digits`.
#
# ## What you should be able to do now
#
# - write down the loss and the sampler of a noise-conditional score network
#   on images, and name every setting;
# - say what the loss does not tell, and what of it is floor, memory, and
#   the network's own;
# - judge samples by three numbers, and name a cheat for each;
# - explain why one noise level is not enough, large or small;
# - explain why the best score for the training set is no generator, and how
#   to notice.
#
# ## Exercises
#
# 1. *Steps against quality.* Sample with 2, 5, 10 and 30 steps a level at
#    $\alpha_i / 2 = 0.3\,\sigma_i^2$, and draw `sure` and `frechet` against
#    the number of evaluations. Which of the two keeps improving, and what
#    does the other do?
#    <details><summary>Answer</summary>
#
#    With 256 samples each: `sure` 0.51, 0.75, 0.86, 0.90, and
#    `frechet` 1.8, 0.25, 0.23, 0.24. The classifier becomes surer, the
#    distance stops at ten steps. More steps bring chains nearer to where
#    digits are dense: the mean distance to the nearest training image falls
#    from 1.27 to 1.13. Shapes between digits vanish, and some of the
#    variety with them. (With 256 samples the distances are larger than with
#    the 512 of the text, as their floor is.)
#    </details>
# 2. *No denoising.* Leave out the final denoising step. Which of the three
#    numbers notices? By how much should the squared distance to any image
#    grow in theory? ($\sigma_L^2$ for each of the 64 pixels, to begin
#    with.)
#    <details><summary>Answer</summary>
#
#    None of the three notices: on 256 samples they are equal to three
#    digits. In theory the squared distance grows by
#    $64\,\sigma_L^2 = 0.0064$, times the 1.18 of section 10.4. The mean
#    squared distance to the nearest training image grew by 0.010,
#    from 1.69, which nobody would see.
#    </details>
# 3. *Learning by heart.* Train the U-Net on the first 50 images only, with
#    the same number of steps and batches of 50, and follow `memory` with
#    `watch`. When does it begin to copy?
#    <details><summary>Answer</summary>
#
#    `memory` after 200, 400, 600, 900, 1200 and 1500 steps: 1.12, 1.09, 0.87,
#    0.46, 0.27, 0.17. (It begins above 1, since the nearest of 50 images is
#    further away than the nearest of 899.) So copying begins at about 600
#    steps. That is 600 times through the 50 images, where the net of the
#    text went 107 times through its own. The loss falls from 12.7 to 4.1
#    meanwhile, and from step 900 on the classifier is sure of every sample:
#    two numbers that look better than ever.
#    </details>
#
# ## References
#
# - Y. Song, S. Ermon: [Generative Modeling by Estimating Gradients of the
#   Data Distribution](https://arxiv.org/abs/1907.05600), NeurIPS 2019.
#   Algorithm 1, Figures 4 and 5, and the single-level baseline in the
#   appendix.
# - A. Jolicoeur-Martineau, R. Piche-Taillefer, R. Tachet des Combes, I.
#   Mitliagkas: [Adversarial score matching and improved sampling for image
#   generation](https://arxiv.org/abs/2009.05475), ICLR 2021. The final
#   denoising step.
# - M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter: [GANs
#   trained by a two time-scale update rule converge to a local Nash
#   equilibrium](https://arxiv.org/abs/1706.08500), NeurIPS 2017. The
#   Frechet distance as a measure of samples.
# - D. C. Dowson, B. V. Landau: [The Frechet distance between multivariate
#   normal distributions](https://doi.org/10.1016/0047-259X(82)90077-X),
#   Journal of Multivariate Analysis 12, 1982.
#
# **Next:** [11 · Inpainting](11_inpainting.ipynb)
