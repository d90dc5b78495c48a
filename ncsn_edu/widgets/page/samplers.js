// Samplers that ask a score for nothing but score(x, sigma), as in diffusion.py, mcmc.py and sdes.py: points on a line
// or in the plane, x = [x_1, y_1, x_2, ...]. Each yields x after a step. This file does NOT draw.

// The score of a mixture in the plane.
function scoreOf(mixture) {
  const out = { shares: [] };
  return (x, sigma) => {
    const components = noisy(mixture, sigma), score = new Float64Array(x.length);
    for (let at = 0; at < x.length; at += 2) {
      evaluate(components, x[at], x[at + 1], out);
      score[at] = out.scoreX;
      score[at + 1] = out.scoreY;
    }
    return score;
  };
}

// x + a v, number by number.
function plus(x, a, v) {
  const sum = x.slice();
  for (let i = 0; i < sum.length; i++) sum[i] += a * v[i];
  return sum;
}

const pairs = (numbers) => Array.from(numbers).slice(1).map((after, i) => [numbers[i], after]);

function lastOf(states) {
  let last;
  for (const state of states) last = state;
  return last;
}

// ---- down a ladder ---------------------------------------------------------------------------------------

// Chains down a ladder (Song & Ermon 2019, Algorithm 1). Yields {x, level, step, ranAway}, level and step from 0;
// chains that run away end it.
function* annealedLangevin(score, x, { sigmas, eps, nStepsEach, noise }) {
  const smallest = sigmas[sigmas.length - 1];
  for (let level = 0; level < sigmas.length; level++) {
    const alpha = eps * (sigmas[level] / smallest) ** 2, root = Math.sqrt(alpha);
    for (let step = 0; step < nStepsEach; step++) {
      const z = noise.normals(x.length);
      if (!x.every((value) => value * value < LARGEST)) {
        yield { x, level, step, ranAway: true };
        return;
      }
      x = plus(plus(x, alpha / 2, score(x, sigmas[level])), root, z);
      yield { x, level, step, ranAway: false };
    }
  }
}

// DDIM's steps (Song, Meng & Ermon 2021, eq. 12): eta 1 is ancestral sampling, eta 0 Euler's method for the flow.
function* ddim(score, x, { sigmas, eta, noise }) {
  for (const [sigma, lower] of pairs(sigmas)) {
    const fresh = eta * lower * Math.sqrt(1 - (lower / sigma) ** 2), left = Math.sqrt(lower ** 2 - fresh ** 2);
    x = plus(x, sigma * (sigma - left), score(x, sigma));
    if (eta) x = plus(x, fresh, noise.normals(x.length));
    yield x;
  }
}

// ---- in continuous time ----------------------------------------------------------------------------------

// An SDE by its numbers: scale and sigma of x_t = scale (x_0 + sigma z), the drift f x and the variance rate g^2.
function sdeOf({ kind, sigmaMin, sigmaMax, betaMin, betaMax }) {
  if (kind === "VE") {
    const growth = Math.log(sigmaMax / sigmaMin), sigma = (t) => sigmaMin * Math.exp(growth * t);
    return { scale: () => 1, sigma, drift: () => 0, rate: (t) => 2 * growth * sigma(t) ** 2 };
  }
  const beta = (t) => betaMin + t * (betaMax - betaMin), integral = (t) => (t * (betaMin + beta(t))) / 2;
  const fading = { scale: (t) => Math.exp(-integral(t) / 2), drift: (t) => -beta(t) / 2 };
  return kind === "VP"
    ? { ...fading, sigma: (t) => Math.sqrt(Math.expm1(integral(t))), rate: beta }
    : { ...fading, sigma: (t) => 2 * Math.sinh(integral(t) / 2), rate: (t) => -beta(t) * Math.expm1(-2 * integral(t)) };
}

// The SDE whose time is the noise level (Karras et al. 2022): any ladder is a row of its times.
const EDM = { scale: () => 1, sigma: (t) => t, drift: () => 0, rate: (t) => 2 * t };

// [r, variance] of x_t = r x_s + std z, s < t.
function transition(sde, s, t) {
  return [sde.scale(t) / sde.scale(s), sde.scale(t) ** 2 * (sde.sigma(t) ** 2 - sde.sigma(s) ** 2)];
}

// The gradient of log p_t at x_t, by the score of data with noise.
function scoreOn(sde, score, x, t) {
  const scale = sde.scale(t), sigma = sde.sigma(t);
  return scale === 1 ? score(x, sigma) : score(x.map((value) => value / scale), sigma).map((s) => s / scale);
}

// The reverse SDE dx = [f x - g^2 score] dt + g dw, by Euler and Maruyama (Song et al. 2021, eq. 6).
function* reverseSde(score, x, { sde, times, noise }) {
  for (const [t, before] of pairs(times)) {
    const variance = sde.rate(t) * (t - before), fade = sde.drift(t) * (t - before);
    const s = scoreOn(sde, score, x, t), z = noise.normals(x.length);
    x = x.map((value, i) => value - fade * value + variance * s[i] + Math.sqrt(variance) * z[i]);
    yield x;
  }
}

// Reverse diffusion x_s = (2 - r) x_t + std^2 s + std z, and a step of Langevin x + a s + sqrt(2a) z, a = 2 r^2 (snr
// ||z|| / ||s||)^2 with mean squares over all, in turn (Song et al. 2021, Algorithms 2 to 5).
function* predictorCorrector(score, x, { sde, times, noise, snr = 0.16 }) {
  for (const [t, before] of pairs(times)) {
    const [kept, added] = transition(sde, before, t);
    let s = scoreOn(sde, score, x, t), z = noise.normals(x.length);
    x = x.map((value, i) => (2 - kept) * value + added * s[i] + Math.sqrt(added) * z[i]);
    [s, z] = [scoreOn(sde, score, x, before), noise.normals(x.length)];
    const square = s.reduce((sum, value) => sum + value ** 2, 0) / s.length;
    const a = (2 * (kept * snr) ** 2) / Math.max(square, 1e-20);
    x = plus(plus(x, a, s), Math.sqrt(2 * a), z);
    yield x;
  }
}

// The flow dx/dt = f x - g^2 score / 2 (Song et al. 2021, eq. 13), by Heun's method or by Euler's.
function* flow(score, x, { sde, times, heun = true }) {
  const slope = (x, t) => {
    const s = scoreOn(sde, score, x, t), f = sde.drift(t), half = sde.rate(t) / 2;
    return x.map((value, i) => f * value - half * s[i]);
  };
  for (const [t, after] of pairs(times)) {
    const here = slope(x, t), ahead = plus(x, after - t, here);
    x = heun ? plus(plus(x, (after - t) / 2, here), (after - t) / 2, slope(ahead, after)) : ahead;
    yield x;
  }
}
