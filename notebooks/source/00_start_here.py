# %% [markdown]
# # Start here
#
# *Reading: 20 minutes, exercises aside. Running every cell: about 10 seconds on a laptop, at full scale, without a GPU and without the internet.*
#
# This is a collection of notebooks about **score-based generative models**: how to
# draw new samples, such as images, from a distribution of which only examples are
# known, by learning a field of arrows that points to where data are likely. It
# begins with two Gaussians in the plane, where everything can be computed and seen,
# and leads to a network trained on photographs. You need some probability, calculus
# and Python; the first notebooks say what exactly.
#
# Below you find: a check that your installation is complete, one picture of where
# all this goes, the map, and how to work with the notebooks.
#
# ## Is everything there?
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
from ncsn_edu.doctor import missing

print("missing:", ", ".join(missing()) or "nothing, all is there")

# %% [markdown]
# If something is missing, `python -m ncsn_edu doctor` in a terminal says how to
# fix it. It also tells what is optional (a GPU, data sets) and whether you have
# it.
#
# ## The idea in one picture
#
# Take 1000 points in the shape of a word. Forget the word, keep only its **score**:
# at every place of the plane, and for every amount of noise $\sigma$, an arrow that
# says in which direction points of the (noisy) word get more likely. Now throw 2000
# new points into the plane, at random, and let them follow the arrows, with a
# little jitter, while the noise level goes down.

# %%
import torch
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ncsn_edu import Empirical, annealed_langevin, geometric, progress, save_figure
from ncsn_edu.plots import BLUE, scatter, use_style

use_style()

# %% [markdown]
# First the points. We write the word with Matplotlib and keep the places of dark
# pixels, some of them.


# %%
def points_of(word: str, n: int, generator: torch.Generator) -> torch.Tensor:
    figure = Figure(figsize=(4, 1.2), dpi=100)
    FigureCanvasAgg(figure).figure.text(0.5, 0.5, word, size=60, weight="bold", ha="center", va="center")
    figure.canvas.draw()
    pixels = torch.tensor(figure.canvas.buffer_rgba().tolist())[:, :, 0]
    row, column = torch.nonzero(pixels < 128, as_tuple=True)
    chosen = torch.randperm(len(row), generator=generator)[:n]
    return torch.stack([column[chosen] - 200.0, 60.0 - row[chosen]], 1) / 32


# %%
generator = torch.Generator().manual_seed(0)
word = points_of("score", 1000, generator)

# %% [markdown]
# Now the two objects that this whole collection is about. `Empirical(word)` is a
# *score*: a function of places and a noise level. Later a neural network will take
# its place. `annealed_langevin` is a *sampler*: it sees nothing of the word except
# that function. The `for` loop only watches.
#
# **Predict:** what will the five pictures below show, from $\sigma = 3$ down to
# $\sigma = 0.01$? When will you be able to read the word?
#
# <details><summary>Answer</summary>
#
# Two shapeless clouds, wider than the word; then a long blob in which strokes can
# be guessed; then the word, from the fourth picture on. It can be read once
# $\sigma$ is clearly smaller than the strokes of the letters. Coarse things are
# decided early, at high noise, and details late. That order is the reason why the
# method works, and notebook 7 explains it.
# </details>

# %%
model = Empirical(word)
sigmas = geometric(3, 0.01, 13)
x = 3 * torch.randn(2000, 2, generator=generator)
frames = []
states = annealed_langevin(model, x, sigmas, eps=2e-5, n_steps_each=12, generator=generator)
for state in progress(states, total=13 * 12):
    if state.step == 11 and state.level % 3 == 0:
        frames.append((state.sigma, state.x))

# %%
fig, axes = plt.subplots(1, 5, figsize=(14, 2.1))
for ax, (sigma, x) in zip(axes, frames, strict=True):
    scatter(ax, x, extent=(-4.4, 4.4, -2.2, 2.2), color=BLUE, ms=1.5)
    ax.set(title=rf"$\sigma = {sigma:.2g}$", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
distance = torch.cdist(frames[-1][1], word).min(1).values.mean()
alt = (
    "Five clouds of points, from high to low noise. The first two have no shape, the third is a blob with the strokes "
    "of letters in it, and the last two read 'score'; the last is the sharper one."
)
caption = r"Two thousand points follow the score of the word, while the noise level $\sigma$ falls from left to right."
save_figure(fig, "start_word", alt=alt, caption=caption, numbers={"mean_distance": distance}, tolerance=0.001)

# %% [markdown]
# Every point ended on the word, although none was told where it is. You may have
# noticed a flaw. How far is each new point from the nearest of the 1000 old ones? If it
# were an old point with Gaussian noise of the last level, $\sigma = 0.01$, in both
# coordinates, the distance would be $\sqrt{\pi/2}\,\sigma$ on average.

# %%
copies = (torch.pi / 2) ** 0.5 * 0.01
print(f"mean distance to the nearest old point: ≈ {distance:.3f}; of noisy copies: {copies:.3f}")
assert copies < distance < 1.3 * copies

# %% [markdown]
# The new points are the old ones with a little noise. The exact score of a finite data
# set can only give the data back. A network that *learns* the score from examples does
# not remember each of them, and that is where new images come from. Where it
# generalises, and where it fails, is the subject of the notebooks.
#
# ## The map
#
# The minutes are for reading, predicting and trying, without the exercises.
#
# | notebook | question | minutes |
# |---|---|---|
# | [01 Scores](01_scores.ipynb) | What is a score, and why does it not need the normalising constant? | 60 |
# | [02 Langevin dynamics](02_langevin.ipynb) | How do arrows become samples, and with which error? | 80 |
# | [03 Score matching](03_score_matching.ipynb) | How can a score be learned from samples? | 90 |
# | [04 Slices, and their price](04_slices.ipynb) | How does score matching get affordable in many dimensions, and what does each way cost? | 70 |
# | [05 The manifold](05_manifold.ipynb) | Why does learning fail on images, and how does invisible noise repair it? | 80 |
# | [06 Low density](06_low_density.ipynb) | Where is a learned score wrong, and what does that do to samples? | 100 |
# | [07 Annealing](07_annealing.ipynb) | Why do chains get the weights of modes wrong, and how does a ladder of noise repair it? | 90 |
# | [08 One network for all noise levels](08_noise_conditional.ipynb) | How does one network learn the scores of a whole ladder, and what is its loss worth? | 110 |
# | [09 Architecture](09_architecture.ipynb) | What is each part of the paper's network for, and what breaks without it? | 120 |
# | [10 Train and sample](10_train_and_sample.ipynb) | How do digits come out of noise, and how good are they? | 90 |
# | [11 Inpainting](11_inpainting.ipynb) | How does the same network complete what is missing, and is that the true conditional? | 100 |
# | [12 Judging samples](12_judging_samples.ipynb) | What does each number for samples see, and what has to be said beside it? | 70 |
# | [13 CIFAR-10 at full scale](13_cifar10_at_full_scale.ipynb) | What does a network for photographs cost, and how few evaluations make a sample that is as good? | 100 |
# | [14 Improved techniques](14_improved_techniques.ipynb) | Where do the ladder, the step and the averaged weights come from, and what is lost without each? | 110 |
# | [15 Variational autoencoders](15_vae.ipynb) | How can a bound of the likelihood be trained, and what do its samples lack? | 120 |
# | [16 DDPM](16_ddpm.ipynb) | How does a chain that destroys images become NCSN's loss, and how do twenty steps do for a thousand? | 150 |
# | [17 SDEs](17_sdes.ipynb) | What do NCSN and DDPM become when their steps get infinitely small, and how likely is an image? | 140 |
# | [18 Any model, any sampler](18_any_model_any_sampler.ipynb) | Which samplers run with which models, what does each letter cost, and how are score, noise, image and velocity one thing? | 100 |
# | [19 Conditions](19_conditions.ipynb) | How does one score draw what is asked for: a class, the missing part, colours, a sharper image, and how far is each way from the exact answer? | 120 |
#
# The notebooks build on each other in this order. Five **assignments** go with them, in
# the folder `assignments`: notebooks in which you write the code, with tests that tell
# you how you are doing. A letter that you have forgotten is on the page of
# [symbols](symbols.md).
#
# ## How to work with it
#
# `make lab` has opened **a copy of the notebooks that is yours**, the folder `work` (or
# another: `make lab ARGS="--folder PATH"`). Without `make` the same is
# `python -m ncsn_edu lab`.
#
# - Notebooks in the copy have **no outputs**, so that you can predict before you look.
# - Figures that you make go to the folder `figures` **of the copy**. Nothing that you do
#   there changes the project.
# - A notebook is spoilt? **Delete it, and run `make lab` again**: you get a fresh one.
# - After an update of the project, `make lab` replaces the notebooks whose cells you
#   have not changed. One that you have changed stays as it is, and the new version lies
#   beside it, as `07_annealing.new.ipynb` for example.
#
# Then, in each notebook:
#
# - **Run** a cell with Shift+Enter. Every notebook runs from top to bottom (menu
#   *Run*, *Run All Cells*) in seconds, those that train nets in minutes.
# - **Predict before you look.** Before each plot stands a question in bold, with
#   its answer folded beneath. A prediction that fails teaches more than ten plots
#   that you nodded at.
# - **Write the lines that matter.** Cells marked *Write it* have a function's head and
#   `...` in the place of its body. Run them: they say *not written yet*, *right*, or
#   what is wrong. An unwritten cell stops nothing below it.
# - **Move the sliders.** Most of the other notebooks have an explorer near the end.
#   With a slider in focus the arrow keys work as well.
# - **Read the code.** `show(function)` displays the very source that runs; it is
#   short, and uses the symbols of the papers.
# - **Break things.** Change a number and run again. Cells marked *trap* break them
#   for you.
# - **Do the exercises** at the end, by hand or in new cells. Each has its answer folded
#   below it.
#
# The convention that holds everywhere: `score(x, sigma)` is
# $\nabla_x \log p_\sigma(x)$, where `x` has shape `(B, *D)`, a batch of points or
# images, and $p_\sigma$ is the distribution of the data after adding noise of
# standard deviation `sigma`. Any model that keeps this promise works with any
# sampler.
#
# ## What you should be able to do now
#
# - Say in two sentences what a score is and what a sampler does with it.
# - Find the notebook for a question, run it, and get a fresh one when you have spoilt it.
# - Explain why the points in the picture above ended on the word, and why that is
#   not yet a generative model.
#
# ## Exercises
#
# 1. Write your name instead of the word. Then, with the old word, let all points begin at
#    its left end: `x = torch.tensor([-3.5, 0.0]) + 0.5 * torch.randn(2000, 2, generator=generator)`.
#    Run it with the ladder from $\sigma = 3$, and with `geometric(0.5, 0.01, 13)`. Do not
#    trust your eye: which share of the points ends in each fifth of the word's width, and
#    which share of `word` is there?
#    <details><summary>Hint</summary>
#
#    `torch.histc(x[:, 0], 5, min, max) / len(x)` with `word[:, 0].min()` and
#    `word[:, 0].max()`.
#    </details>
#    <details><summary>Answer</summary>
#
#    The word has 20, 16, 24, 14 and 27 % in its fifths. From $\sigma = 3$ about 29, 18, 21,
#    11 and 20 % arrive: the start is nearly forgotten. From 0.5 it is 79, 20, 1, 0 and 0 %:
#    at that noise level the right half of the word cannot be seen from the left end. Both
#    clouds lie on the word, at the same mean distance of 0.013. Looking at places alone
#    shows nothing; notebook 7 is about the shares.
#    </details>
# 2. Set `eps` to a tenth of its value. Why do the points not arrive? (`eps`
#    shortens the drift and the jitter together.) Then take ten times, and thirty
#    times its value. `ncsn_edu.stable_eps(sigmas)` says which of the two will
#    explode.
#    <details><summary>Answer</summary>
#
#    At a tenth the mean distance to the word is about 0.5, and the farthest point is 2.7
#    away: with 12 steps a level the points cannot follow the noise level down. The limit is
#    $4 \cdot 10^{-4}$. Ten times, $2 \cdot 10^{-4}$, is below it: the points arrive, with
#    a mean distance of 0.017 instead of 0.014, a little too wide. Thirty times is above it,
#    and the sampler stops with an error that says where the chains ran away. Notebook 2
#    derives the limit.
#    </details>
# 3. Use 15 points of the word instead of 1000: `Empirical(word[:15])`. What do the 2000 new
#    points do? What does that say about memorising?
#    <details><summary>Answer</summary>
#
#    Each ends beside one of the 15, 1.4 $\sigma$ away on average, and each of the 15 gets
#    some 100 to 190 of them. The exact score of a data set memorises it perfectly,
#    however small or large the set is. Nothing between two points is ever drawn.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the Data
#   Distribution*, NeurIPS 2019: the paper that this collection follows.
# - Y. Song, *Generative Modeling by Estimating Gradients of the Data Distribution*,
#   blog post, 2021: an overview by the author.
