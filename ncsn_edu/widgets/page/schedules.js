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
