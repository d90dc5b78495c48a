// Noise ladders, step sizes and DDPM's schedules, as in schedules.py, which names the papers. This file does NOT draw.

// Noise levels from sigmaMax down to sigmaMin with equal ratios, n of them, 2 or more.
function geometric(sigmaMax, sigmaMin, n) {
  const [high, low] = [Math.log(sigmaMax), Math.log(sigmaMin)];
  return Array.from({ length: n }, (_, i) => {
    return i === 0 ? sigmaMax : i === n - 1 ? sigmaMin : Math.exp(high + ((low - high) * i) / (n - 1));
  });
}

// Steps alpha_i of a ladder against their limits 4 (1 + sigma_i^2), for data of variance 1.
function againstLimits(sigmas, eps) {
  const smallest = sigmas[sigmas.length - 1];
  return sigmas.map((sigma) => (eps * (sigma / smallest) ** 2) / (STABLE_ALPHA * (1 + sigma ** 2)));
}

// From this eps on chains on data of variance 1 run away at some level.
const stableEps = (sigmas) => 1 / Math.max(...againstLimits(sigmas, 1));

// ---- choosing a ladder: techniques 2 and 4 ----------------------------------------------------------------

// The distribution function of the standard normal, by Marsaglia's series (2004).
function normalBelow(x) {
  if (Math.abs(x) > 8) return x > 0 ? 1 : 0;
  let sum = x, term = x;
  for (let i = 3; Math.abs(term) > 1e-17 * Math.abs(sum); i += 2) sum += term *= (x * x) / i;
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

// Mass that two neighbours share at this ratio of their noise, in so many dimensions (technique 2).
function ratioOverlap(gamma, dim) {
  const shift = Math.sqrt(2 * dim) * (gamma - 1);
  return normalBelow(shift + 3 * gamma) - normalBelow(shift - 3 * gamma);
}

// Number of levels from sigmaMax to sigmaMin whose neighbours share about one half.
function levelsForHalf(sigmaMax, sigmaMin, dim) {
  const most = sigmaMax / sigmaMin;
  let low = 1, high = 2;
  while (ratioOverlap(high, dim) > 0.5 && high < most) high *= 2;
  if (ratioOverlap(high, dim) > 0.5) return 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    [low, high] = ratioOverlap(middle, dim) > 0.5 ? [middle, high] : [low, middle];
  }
  return Math.max(2, 1 + Math.round(Math.log(most) / Math.log(low)));
}

// Of an excess of variance the share that n steps keep, and where the variance settles; eps in units of sigma_L^2.
function withinLevel(eps, n) {
  return eps / 2 < 2 ? { kept: (1 - eps / 2) ** (2 * n), settled: 2 / (2 - eps / 2) } : { kept: Infinity, settled: Infinity };
}

// Variance after n steps at a level, in units of that level's own (technique 4).
function varianceRatio(gamma, eps, n) {
  const { kept, settled } = withinLevel(eps, n);
  return settled < Infinity ? kept * (gamma ** 2 - settled) + settled : Infinity;
}

// The same far down a long ladder; without end where the chains fall ever further behind it.
function settledVarianceRatio(gamma, eps, n) {
  const { kept, settled } = withinLevel(eps, n), behind = kept * gamma ** 2;
  return settled < Infinity && behind < 1 ? (settled * (1 - kept)) / (1 - behind) : Infinity;
}

// The eps, in units of sigma_L^2, whose varianceRatio is nearest to 1: a coarse grid finds the bowl, golden sections
// its bottom.
function epsForSteps(gamma, n) {
  const excess = (logStep) => Math.abs(varianceRatio(gamma, 2 * Math.exp(logStep), n) - 1);
  const grid = linspace(Math.log(1e-8), Math.log(0.999), 400), heights = Array.from(grid, excess);
  const start = heights.indexOf(Math.min(...heights)), golden = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [grid[Math.max(start - 1, 0)], grid[Math.min(start + 1, grid.length - 1)]];
  for (let i = 0; i < 60; i++) {
    const [left, right] = [high - golden * (high - low), low + golden * (high - low)];
    [low, high] = excess(left) < excess(right) ? [low, right] : [left, high];
  }
  return 2 * Math.exp((low + high) / 2);
}

// ---- DDPM's schedules ---------------------------------------------------------------------------------------

// The variances beta_t that are added at t = 1 ... n, in equal steps upwards (Ho et al. 2020).
const linearBetas = (n, first, last) => linspace(first, last, n);

// The betas of alpha_bar_t ~ cos^2(pi/2 (t/n + s)/(1 + s)) (Nichol & Dhariwal 2021).
function cosineBetas(n, offset = 0.008, largest = 0.999) {
  const left = (t) => Math.cos((((t / n + offset) / (1 + offset)) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: n }, (_, t) => Math.min(largest, 1 - left(t + 1) / left(t)));
}

// The share of the clean image's variance that is left after each step.
function alphasBar(betas) {
  let left = 1;
  return betas.map((beta) => (left *= 1 - beta));
}

const sigmaOfAlphaBar = (left) => Math.sqrt((1 - left) / left);
