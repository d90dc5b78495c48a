# %% [markdown]
# # 10 · Train and sample
#
# *Reading and trying: about 45 minutes. Running every cell: about five minutes on a laptop without a GPU, at laptop scale: small images (8x8, and 28x28 from stored weights), compact networks, the paper's algorithms.*
#
# All parts are on the table: the ladder and its loss
# ([notebook 8](08_noise_conditional.ipynb)), the network
# ([notebook 9](09_architecture.ipynb)), annealed Langevin dynamics
# ([notebook 7](07_annealing.ipynb)). Now they meet on images. You will
#
# - train a score network on handwritten digits, from nothing, in about two minutes;
# - sample from it, and watch digits condense out of noise (the paper's Figure 4);
# - ask whether the samples are any good: a classifier, a distance, and the nearest
#   training image each have a say, and each alone can be fooled;
# - see two ways to fail: a network that knows one noise level only, and a perfect
#   score that has learned its data by heart.

# %%
import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import annealed_langevin, batches, denoise, geometric, langevin, last, load_trained, show
from ncsn_edu.datasets import load
from ncsn_edu.figures import save_figure
from ncsn_edu.metrics import frechet_distance, judge, nearest
from ncsn_edu.plots import BLUE, GREY, ORANGE, RED, images, use_style
from ncsn_edu.trained import load_judge
from ncsn_edu.training import Training, train
from ncsn_edu.widgets import SamplingExplorer, watch

use_style()

# %% [markdown]
# ## 10.1 The data
#
# scikit-learn brings 1797 digits of 8x8 pixels, so nothing has to be downloaded. A
# fixed random half is for training. The other half the network never sees; it tells
# us later what *new* digits look like.
#
# Why a random half, and not the first one? The file is sorted by writer, and people
# write differently. Two halves by different hands are further apart than any good
# sampler is from its data: the distance of section 10.5 between them is 0.29,
# between two random halves 0.08. Whoever wants to know whether a network has
# learned a *distribution* has to compare with new draws from that same
# distribution. (Whether it can also imitate hands that it has never seen is another
# question, and a harder one.)
#
# The pixels have 17 grey values. A density over numbers that are all multiples of
# 1/16 would be a comb of spikes, and no score is right for that
# ([notebook 5](05_manifold.ipynb)). So every time an image is drawn, its pixels are
# **dequantised**: an integer $v$ of $0 \dots 255$ becomes $(v + u)/256$ with a
# fresh uniform $u$. That is what `batches` serves, shuffled, endlessly.

# %%
train_images, _ = load("digits")
train_set = train_images.float() / 255
held_out = load("digits", split="test")[0].float() / 255
sigmas = geometric(1.0, 0.01, 10)
print(f"{len(train_images)} images to train on, {len(held_out)} held out, {train_images[0].numel()} pixels each")

# %% [markdown]
# ## 10.2 Training, live
#
# The network of the paper is large for a laptop. In its place we train a compact
# U-Net, a third of a million parameters, that is told $\log \sigma$ (notebook 9). It
# guesses the noise $z$, and `EpsScore` makes the score of that: $-f/\sigma$. What it
# sees is $u = (2x - 1)/\sqrt{1 + 4\sigma^2}$: pixels of about the same size at every
# level, so that the first layer meets no surprise. The loss is the paper's (equation 6, with $\lambda = \sigma^2$): one
# random level per image,
#
# $$ \tfrac12 \, \big\lVert \sigma\, s_\theta(x + \sigma z, \sigma) + z \big\rVert^2 . $$
#
# The training step is the library's, and short enough to be read whole. It is an
# iterator: one `next`, one step of the optimiser.

# %%
show(Training.__next__, docstring=False)

# %% [markdown]
# Two lines deserve a second look. The average of the weights (`ema`) is updated
# **after** the optimiser's step; before it, the average would lag a step behind.
# And a loss that is not finite stops everything *before* it reaches the parameters,
# so that the last good weights survive.
#
# Because training is an iterator, whatever watches it is an ordinary `for` around
# it. In a running notebook, `watch` draws the losses and a few samples as they
# come; here we keep losses and levels ourselves, and some samples on the way.
#
# The settings: batches of 64, Adam with a step of 0.002, 1500 steps. That is 107
# times through the 898 images, each time with other noise, at another level, with
# other grains. The average forgets with a rate of 0.995 a step, so it remembers
# about the last 200 steps. Its purpose is to remove the fluctuation that a constant
# learning rate leaves in the weights. (For 300,000 steps NCSNv2 takes 0.999. For a
# short training that would be too long a memory: after 1500 steps a fifth of the
# average would still be the untrained network.)
#
# **Predict:** the zero score costs $D/2 = 32$. Where will the loss end: near 0,
# near 10, near 30? And which levels will be cheap, the large noises or the small
# ones?
#
# <details><summary>Answer</summary>
#
# Near 10, and it will never reach 0: the noise $z$ cannot be guessed from
# $x + \sigma z$ alone. At $\sigma = 1$ the noise drowns the image, and the network
# can guess most of $z$ by saying "all of what I see is noise": the cheapest level.
# The smallest noise, $\sigma = 0.01$, is the most expensive level. It costs 18 and
# not 32, because about half of the pixels are plain black, and on black even the
# finest noise shows. On the grey ones the network does not find it, although it
# could be found: the 17 grey values are 16/256 apart, six times this noise. A rule
# that knows them, and looks at each pixel alone, has a loss of 1.4. So most of the
# 18 is no floor. A smooth network does not learn such a comb. (At $\sigma = 0.03$
# the comb is hidden, and the same rule costs 17.)
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
right.semilogx(sigmas, by_level, "o-", color=ORANGE)
right.axhline(32, color=GREY, ls="--", lw=0.8)
right.set(title="loss by level, last 500 steps", xlabel=r"$\sigma$", ylim=(0, 36))
numbers = {"loss_at_end": curve[-25:].mean(), "largest_noise": by_level[0], "smallest_noise": by_level[-1]}
save_figure(fig, "digits_training", numbers=numbers, tolerance=1.0)
plt.show()
assert curve[-25:].mean() < 11

# %% [markdown]
# Most of the descent happens in the first two hundred steps: they teach the network
# which pixels are dark and which belong together. What comes after makes digits of
# shadows, and in the loss it is hardly visible. Look at samples instead.
#
# **Predict:** the next figure shows samples after 50, 200, 600 and all steps, from
# the same starting noise. After how many would you call them digits?
#
# <details><summary>Answer</summary>
#
# After 50 none: it is noise, as the averaged weights still remember the untrained
# network. After 200 there are shadows with the build of digits, after 600 many can
# be read. Between the last two pictures the loss falls by a tenth, which hardly
# shows in the left curve above.
# </details>

# %%
fig, axes = plt.subplots(1, 4, figsize=(8.4, 1.5))
for ax, (step, x) in zip(axes, early.items(), strict=True):
    images(ax, x, columns=8).set_title(f"step {step}")
save_figure(fig, "digits_growing")
plt.show()

# %% [markdown]
# The lesson is general: **the loss does not tell how good the samples are.** It is
# an average over noise levels and pixels, and what makes a digit a digit is a small
# part of it. Most of it comes from the small levels, where the digit is settled and
# only the noise on each pixel remains to be found. How far could it fall? The least
# possible loss on *digits* is not known. The least possible one on *these 898
# images* is that of the ideal denoiser of section 10.7: 1.6, 2.3, 1.2 and 0.2 at the
# four largest levels and less than 0.5 at each of the others, 0.6 in the mean,
# where the network is at 10. But a network with a loss of 0.6 would not draw better
# digits: it would have learned the training set by heart. How much of it a network
# has memorised shows in the loss on held-out images: the shipped RefineNet has 9.0
# on training images and 9.7 on held-out ones.
#
# Nor does a better loss mean better samples when two networks are compared. It does
# compare a network with *itself*: a curve that rises, or jumps, says that something
# broke. Use it for that, and judge samples as samples.
#
# ## 10.3 Algorithm 1, seen from inside
#
# Annealed Langevin dynamics needs three choices. The paper takes $T = 100$ steps a
# level and $\epsilon = 2 \cdot 10^{-5}$, which is a step of
# $\alpha_i / 2 = 0.1\, \sigma_i^2$ and a thousand evaluations. On digits we take
# $T = 10$ and $\alpha_i / 2 = 0.3\, \sigma_i^2$: a tenth of the work, and section
# 10.5 will show that it is not worse. The last choice is to end with a **denoising
# step**, $x + \sigma_L^2\, s(x, \sigma_L)$: it takes away the last bit of noise,
# too little to see and enough to spoil distances between images.
#
# Where do the step sizes come from? Notebook 7 gave the limit: a step is stable
# while $\alpha_i < 4\,(\sigma_i^2 + s^2)$, with $s^2$ the variance of the data in
# its narrowest direction. Black border pixels do not vary at all, so $s = 0$, and
# $\alpha_i / 2 < 2\,\sigma_i^2$ remains. With 0.3 we stay well below that, and
# forget the past at each step by 30 % in those directions: ten steps leave
# $0.7^{10} \approx 3$ % of what the chain brought along. With the paper's 0.1 it
# takes about 33 steps to get as far. In the wide directions, in which digits differ
# from one another, both move slowly; what counts there is that the level above has
# put the chain in the right place.
#
# The start is uniform noise on $[0, 1]$, as in the paper. It is not a sample of
# $p_{\sigma_1}$, but close enough for ten steps with $\sigma_1 = 1$: each of them
# takes away about 30 % of what is wrong.
#
# **Predict:** the figure follows eight chains through the ladder; column $i$ shows
# them at the end of level $i$. At which $\sigma$ is it settled *which* digit a
# chain becomes, and what do the last four levels do?
#
# <details><summary>Answer</summary>
#
# The digit is settled between $\sigma = 0.6$ and $0.2$: there the blurred
# distribution falls apart into classes. Before that the chain is noise with a
# trend; after that it only gets cleaner. The last four levels change nothing that
# you can see: a screen shows 256 greys, and $\sigma = 0.02$ is five of them.
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
save_figure(fig, "fig4_intermediate_digits")
plt.show()

# %% [markdown]
# Two traps hide in these few lines.
#
# **Trap: storing the state before the update.** A loop that appends $x$ and then
# updates it never returns its last state, and shows every frame one step late. Here
# a sampler yields what it has just made, so the last thing that it yields is the
# result.
#
# **Trap: clamping.** Pixels of $x$ leave $[0, 1]$ all the time; at $\sigma = 1$
# most of them do. Cutting them off belongs to the *display*, where `images` does
# it. Inside the chain it would change the distribution: $p_\sigma$ has no walls.
# The columns on the left are a case in point: black and white pixels there are
# values far below 0 and far above 1.
#
# Now turn the knobs yourself. The package ships the paper's network as well: a
# RefineNet, narrow enough for this image size, trained on the same half of the
# digits. `load_trained` gives its score and the ladder that goes with it; the model
# card beside the weights says how it was made. Press *Sample*, then scrub back
# through the chain. What happens with a larger `eps`? With a single step a level?

# %%
shipped = load_trained("digits")
SamplingExplorer(shipped.score, shipped.sigmas, shipped.shape, n=16, eps=6e-5, n_steps_each=10)

# %% [markdown]
# The readout shows $\sqrt{\mathbb E \lVert \sigma s \rVert^2 / D}$. For a chain
# that is distributed as $p_\sigma$, the optimal score keeps it at or below 1, at
# every level: $-\sigma s$ is the part of the noise that can be guessed, and a guess
# varies less than what is guessed. A peak at the first steps of a level is the
# chain coming down from the level above, with too much noise for the new one. If it
# *stays* above 1, chains are where the network has never been.
#
# ## 10.4 Uncurated samples
#
# No picking: the first hundred that come out, as in the paper's Figure 5.
#
# **Predict:** 100 samples, as they come, from our two-minute network and from the
# shipped one. How many of a hundred will you be unable to read?
#
# <details><summary>Answer</summary>
#
# From ours perhaps fifteen or twenty, from the shipped one perhaps ten. Some real
# digits of this data set are hard to read, too: 8x8 pixels are few.
# </details>

# %%
ours, theirs = sample(score, 512), sample(shipped.score, 100)

# %%
fig, axes = plt.subplots(1, 3, figsize=(8.8, 3.2))
shown = {"held-out images": held_out, "U-Net, trained above": ours, "RefineNet, shipped": theirs}
for ax, (title, x) in zip(axes, shown.items(), strict=True):
    images(ax, x[:100]).set_title(title)
save_figure(fig, "fig5_uncurated_digits")
plt.show()

# %% [markdown]
# "Uncurated" means that nobody chose. It is worth insisting on: with a hundred
# samples a sheet of sixteen good ones can be picked from nearly any model. A figure
# of samples should say how they were chosen, from how many, and by which settings
# of the sampler.
#
# What did it cost? A sample takes 101 evaluations of the network, and with 512
# chains at once that is 101 passes over a batch of 512. Nothing of it can be run in
# parallel over the steps: each needs the one before. That is the price of annealed
# Langevin dynamics, a thousand times that of a generator that needs one pass if the
# paper's settings are taken, and much of what followed the paper was about lowering
# it.
#
# ## 10.5 Are they any good?
#
# Looking is not enough: it takes time, and one sees what one hopes for. Three
# numbers, each with its weak side:
#
# - **sure**: the share of samples for which a classifier's largest probability is
#   above 0.9. The classifier never saw the held-out half, is right on 99.6 % of it,
#   and its confidence is honest: on average it equals its accuracy. (One that is
#   always sure would praise everything.) *Weak side:* a sampler that makes one
#   perfect 3 again and again gets full marks.
# - **Frechet distance** between samples and held-out images: the squared distance
#   $\lVert \mu - \mu' \rVert^2 + \operatorname{tr}(S + S' - 2 (S S')^{1/2})$ of two
#   Gaussians with the same means and covariances of the pixels. *Weak side:* it
#   sees nothing but means and covariances. (With Inception's features in place of
#   pixels it is called FID.)
# - **memory**: the mean distance to the nearest *training* image, divided by that
#   to the nearest *held-out* image. New digits are as far from both: about 1. *Weak
#   side:* noise is as far from both, too.
#
# To show the weak sides we invite three cheats. The **Gaussian fit** draws from
# $\mathcal N(\mu, S)$ with the mean and covariance of the training images. The
# **copier** returns training images. And then there are real images, which show
# what a perfect sampler would get.
#
# **Predict:** which of the three numbers exposes which cheat?
#
# <details><summary>Answer</summary>
#
# The Gaussian fit passes `memory`, and the classifier is sure of hardly more than
# half of it. (Its Frechet distance is a story of its own, told below.) The copier
# has the classifier's full confidence and a Frechet distance as good as it gets;
# only `memory` gives it away: 0. No number exposes every cheat.
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
save_figure(fig, "digits_judged", numbers=numbers, tolerance=0.06)
plt.show()

# %% [markdown]
# (The shipped RefineNet is left out to save a minute. Its model card has the
# numbers of 1024 samples: sure 0.90, Frechet distance 0.14, memory 0.95.)
#
# Two things to know when reading such numbers. A Frechet distance from samples is
# never 0: even the copies, which are real, stand above it, because means and
# covariances are estimated. What counts is the distance to *that* floor. The floor
# depends on how many images there are: the new digits, 400 of them against 499,
# stand higher than the copies, 512 against 899, and both are real. So two such
# numbers may be compared only if they come from equally many samples.
#
# And the samples were cut to $[0, 1]$ first, as a display does. That gives the
# Gaussian fit away, which has many pixels below 0. Judged as drawn, it is as good
# as anyone: the Frechet distance measures precisely what it was fitted to. A number
# does not judge a model that was fitted to it.

# %%
as_drawn = frechet_distance(gaussian_fit(n), held_out)
u_net = found["U-Net"]
print("the Gaussian fit, as drawn, is nearer than", f"{as_drawn + 0.05:.1f}")
print("U-Net: sure of 80 % or more:", u_net.sure >= 0.80, "| distance at most 0.20:", u_net.frechet <= 0.20)
print("every class at least 4 %:", bool(u_net.classes.min() >= 0.04), "| no memory:", u_net.memory >= 0.8)

# %% [markdown]
# The last line says that no class is missing: a sampler that has lost the 8s would
# not be told by any of the three numbers.
#
# Of the real new digits the classifier is sure of 99 %, of ours of 87 %. One sample
# in eight is a shape between two digits, which is what a chain makes of a start
# between two modes when the score there is not sharp enough. Longer training raises
# the number: the RefineNet of the package is at 90 %. So do more steps a level, at
# the price of variety (exercise 1).
#
# The nearest neighbours deserve a look of their own. Under each sample stands the
# training image that is nearest to it, and under that the nearest held-out image.
#
# **Predict:** if the network copied, what would the first two rows look like? Which
# of the lower two rows will be more like the samples?
#
# <details><summary>Answer</summary>
#
# They would be equal, pixel by pixel. They are relatives, not copies: slant,
# thickness and single strokes differ. The third row is as near as the second.
# </details>

# %%
neighbours = [ours[:12], train_set[nearest(ours[:12], train_set)[1]], held_out[nearest(ours[:12], held_out)[1]]]
fig, axes = plt.subplots(3, 1, figsize=(8.4, 2.6))
for ax, x, title in zip(axes, neighbours, ["samples", "nearest in training", "nearest held out"], strict=True):
    images(ax, x, columns=12).set_title(title, fontsize=9)
save_figure(fig, "digits_neighbours")
plt.show()

# %% [markdown]
# Such a picture can refute, it cannot prove. Had the network learned by heart with
# small changes (a shift by one pixel, another brightness), the nearest image by
# pixels would not show it. That is why one looks for neighbours in the space of a
# classifier's features as well, where a shift counts for little.
#
# ## 10.6 A network that knows one level
#
# Is the ladder needed at all? The paper's baseline is the same network with a
# single noise level, trained and sampled with that level alone: plain Langevin
# dynamics. [Notebook 6](06_low_density.ipynb) and [notebook 7](07_annealing.ipynb)
# said why that should fail, on points in the plane. Here are images, with two
# choices of the level, and as many evaluations as above.
#
# **Predict:** what comes out with $\sigma = 0.01$, and what with $\sigma = 0.3$?
#
# <details><summary>Answer</summary>
#
# With 0.01 nothing: a start of uniform noise is far from all images, where a score
# for $\sigma = 0.01$ was never trained, and steps of the size that this level
# allows hardly move. With 0.3 the score is good wherever the chain goes and the
# chain gets somewhere; but what it samples is $p_{0.3}$. A final denoising step
# turns its noisy samples into averages: soft shapes, some of them digits.
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
    images(ax, x[:64]).set_title(rf"one level, $\sigma = {sigma}$")
images(axes[2], ours[:64]).set_title("ten levels")
numbers = {f"frechet {sigma}": verdict[sigma].frechet for sigma in single}
save_figure(fig, "single_level_fails", numbers=numbers, tolerance={"frechet 0.01": 2.0, "frechet 0.3": 0.1})
plt.show()
assert min(j.frechet for j in verdict.values()) > 2 * u_net.frechet

# %% [markdown]
# The left third looks like the start. In a hundred steps with
# $\alpha = 6 \cdot 10^{-5}$ the noise moves a pixel by about 0.08, and the score,
# asked where it was never trained, knows no way. In the middle, chains have found
# digits of a sort: $\sigma = 0.3$ joins neighbouring digits, and one denoising step
# from there returns the mean of all digits that might be meant. For 8x8 pixels that
# is not so bad, and still its Frechet distance is more than twice that of ten
# levels. For larger images such means are fog.
#
# The two failures are the two halves of the ladder's purpose. Large noise leads
# there from anywhere, and blurs. Small noise is sharp, and blind at a distance. A
# ladder has both, and each level hands over to the next where that one can see.
#
# ## 10.7 A perfect score that learned by heart
#
# One more cheat, the most instructive. The training images themselves are a
# distribution: 898 points. Blurred with noise, it is a Gaussian mixture with 898
# components,
#
# $$ \hat p_\sigma(\tilde x) = \frac1N \sum_{n=1}^{N} \mathcal N(\tilde x;\, x_n,\, \sigma^2 I), \qquad
#    \nabla \log \hat p_\sigma(\tilde x) = \frac{\mathbb E[x \mid \tilde x] - \tilde x}{\sigma^2}, $$
#
# with $\mathbb E[x \mid \tilde x] = \sum_n w_n x_n$ and weights
# $w_n \propto \exp(-\lVert \tilde x - x_n \rVert^2 / 2\sigma^2)$ that sum to 1. Its
# score is known in closed form (`Empirical`), and that mean is called the *ideal
# denoiser*. It minimises the training loss, up to the dequantisation, which makes a
# small cube of each point. No network can do better on it: section 10.2 has its loss
# at each level.
#
# **Predict:** we put this best of all scores into Algorithm 1. What are the
# samples? What do the three numbers say?
#
# <details><summary>Answer</summary>
#
# Training images, every one, to the last pixel. The classifier is sure of nearly
# all of them, the Frechet distance is that of real images, and `memory` is 0. The
# best score for the *training set* is useless as a generator. What makes a network
# generate is that it does **not** reach the minimum: it is too small, or stopped
# too early, or too smooth, to learn the 898 points by heart. Train our U-Net ten
# times as long, and `memory` falls.
# </details>

# %%
ideal = ne.Empirical(train_set)
by_heart = sample(ideal, 256)
distance, _ = nearest(by_heart, train_set)
verdict = judge(by_heart, classifier, train=train_set, held_out=held_out)
print("largest distance to a training image:", f"{distance.max():.3f}", "| memory:", f"{verdict.memory:.2f}")

# %%
fig, axes = plt.subplots(2, 1, figsize=(8.4, 1.9))
images(axes[0], by_heart[:12], columns=12).set_title("samples of the ideal denoiser", fontsize=9)
images(axes[1], train_set[nearest(by_heart[:12], train_set)[1]], columns=12).set_title(
    "nearest in training", fontsize=9
)
save_figure(fig, "ideal_denoiser_copies", numbers={"memory": verdict.memory}, tolerance=0.01)
plt.show()
assert distance.max() < 0.1

# %% [markdown]
# Why does it end exactly on an image? At small $\sigma$ the weights $w_n$ leave one
# image only, the nearest, and the final denoising step returns just that.
#
# Keep this in mind when a loss is low. A generative model is wanted for what it
# does *between* the training points, and the training loss does not look there. Our
# U-Net has 365,000 parameters for 57,472 training pixels: it *could* learn them by
# heart, given time. With few data, `memory` and a loss on held-out images belong
# beside every training curve.
#
# The three experiments belong together. One level: too little is learned, and the
# samples are fog or noise. All of the training set: too much is learned, and the
# samples are copies. Between the two lies what we want, and neither the loss nor
# any single number tells where.
#
# ## 10.8 MNIST, from weights that ship
#
# Handwritten digits of 28x28 pixels: twelve times as many numbers, and nothing in
# the method changes. What changes is the bill. One evaluation of this network, a
# RefineNet of the paper with 28 filters in place of 64, costs seventeen times one of
# the network for 8x8, and it was trained for hours on two CPU cores, where the paper
# had GPUs. So its weights come with the package; the
# [model card](../ncsn_edu/weights/mnist.md) says which command made them, and how
# its samples were judged. No image of MNIST is needed to sample.
#
# One setting is another: forty steps a level in place of ten. Larger images need
# more steps to agree on what they show. Larger steps are no way out. The chain of a
# step $\alpha/2 = 0.8\,\sigma^2$ settles at 1.67 times the variance of its level, that
# of $0.3\,\sigma^2$ at 1.18 times ([notebook 2](02_langevin.ipynb) has the formula).
# The network takes the surplus for strokes, and the digits come out too bold.
#
# We draw six chains, keep what four of them look like at the end of every second
# level, and show the results as they come. It takes about a minute, nearly all of
# it inside the convolutions.
#
# **Predict:** strokes here are two or three pixels wide, in an image of 28. At
# which $\sigma$ do you expect the first strokes: at the same one as in the 8x8
# digits, at a larger or at a smaller one? Think of how many pixels say the same
# thing.
#
# <details><summary>Answer</summary>
#
# At about the same one or a little larger. What counts is not a pixel but a shape:
# noise averages out over the pixels of a stroke, $\sigma/\sqrt K$ for $K$ of them,
# and here a stroke has some fifty pixels where it had ten. The grain of the noise is
# visible for longer all the same, because each pixel alone is as noisy as before.
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
save_figure(fig, "fig5_uncurated_mnist", numbers={"ink": ink}, tolerance=0.02)
plt.show()

# %% [markdown]
# Count those that you can read, and be strict. Then compare with the published
# samples of Figure 5, from a network with five times as many parameters that saw
# fifty times as many images: the method is the same, the budget is not. What is
# missing shows where digits are decided, in the middle of the ladder:
# strokes that are well drawn and do not know of each other.
#
# ## 10.9 The same on the command line
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
# A run is a folder: checkpoints that are whole or not there, and a log with the
# loss by level, which TensorBoard shows where it is installed
# (`tensorboard --logdir runs`). Whatever stops a run, Ctrl-C, a full disk or a
# power cut, `--resume` continues from the last checkpoint as if nothing had
# happened: on a CPU to the last bit, on a GPU up to rounding. `sample` takes the
# folder of a run in place of `digits`.
#
# ## What you should be able to do now
#
# - write down the loss and the sampler of a noise-conditional score network on
#   images, and name every setting;
# - say what the loss does not tell;
# - judge samples by three numbers, and name a cheat for each;
# - explain why one noise level is not enough, large or small;
# - explain why the best score for the training set is no generator, and how to
#   notice.
#
# ## Exercises
#
# 1. *Steps against quality.* Sample with 2, 5, 10 and 30 steps a level at
#    $\alpha_i / 2 = 0.3\,\sigma_i^2$, and draw `sure` and `frechet` against the
#    number of evaluations. Which of the two keeps improving, and what does the
#    other do?
# 2. *No denoising.* Leave out the final denoising step. Which of the three numbers
#    notices? By how much should the squared distance to any image grow in theory?
#    ($\sigma_L^2$ for each of the 64 pixels, to begin with.)
# 3. *Learning by heart.* Train the U-Net on the first 50 images only, with the same
#    number of steps, and follow `memory` with `watch`. When does it begin to copy?
#
# ## References
#
# - Y. Song, S. Ermon: [Generative Modeling by Estimating Gradients of the Data
#   Distribution](https://arxiv.org/abs/1907.05600), NeurIPS 2019. Algorithm 1,
#   Figures 4 and 5, and the single-level baseline in the appendix.
# - A. Jolicoeur-Martineau, R. Piche-Taillefer, R. Tachet des Combes, I. Mitliagkas:
#   [Adversarial score matching and improved sampling for image
#   generation](https://arxiv.org/abs/2009.05475), ICLR 2021. The final denoising
#   step.
# - M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter: [GANs trained
#   by a two time-scale update rule converge to a local Nash
#   equilibrium](https://arxiv.org/abs/1706.08500), NeurIPS 2017. The Frechet
#   distance as a measure of samples.
# - D. C. Dowson, B. V. Landau: [The Frechet distance between multivariate normal
#   distributions](https://doi.org/10.1016/0047-259X(82)90077-X), Journal of
#   Multivariate Analysis 12, 1982.
#
# **Next:** [11 · Inpainting](11_inpainting.ipynb)
