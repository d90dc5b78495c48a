// Mixtures of Gaussians in the plane, their scores, and Langevin dynamics, as in distributions.py and mcmc.py.
// This file does NOT draw.

const LARGEST = 3.4e38; // of float32, in which the package runs chains: a square beyond it has run away

// The mixture with noise of standard deviation sigma: what `evaluate` needs of each component.
// mixture = {weights: [w], means: [[x, y]], covariances: [[xx, xy, yy]]}
function noisy(mixture, sigma) {
  return mixture.weights.map((weight, k) => {
    const [a, b, c] = [mixture.covariances[k][0] + sigma ** 2, mixture.covariances[k][1], mixture.covariances[k][2] + sigma ** 2];
    const det = a * c - b * b;
    const scale = Math.log(weight) - Math.log(2 * Math.PI) - Math.log(det) / 2;
    return { x: mixture.means[k][0], y: mixture.means[k][1], xx: c / det, xy: -b / det, yy: a / det, scale };
  });
}

// log p, score and the components' shares at one point; `out` is used anew, as there are many points.
function evaluate(components, x, y, out = { shares: [] }) {
  let top = -Infinity;
  for (let k = 0; k < components.length; k++) {
    const q = components[k], dx = x - q.x, dy = y - q.y;
    out.shares[k] = q.scale - (q.xx * dx * dx + 2 * q.xy * dx * dy + q.yy * dy * dy) / 2;
    if (out.shares[k] > top) [top, out.best] = [out.shares[k], k];
  }
  let sum = 0;
  for (let k = 0; k < components.length; k++) sum += out.shares[k] = Math.exp(out.shares[k] - top);
  out.scoreX = out.scoreY = 0;
  for (let k = 0; k < components.length; k++) {
    const q = components[k], dx = q.x - x, dy = q.y - y, share = (out.shares[k] /= sum);
    out.scoreX += share * (q.xx * dx + q.xy * dy);
    out.scoreY += share * (q.xy * dx + q.yy * dy);
  }
  out.logProb = top + Math.log(sum);
  return out;
}

// The density of a mixture over its largest value on the points of a grid, n x n, row by row from the bottom left.
function relativeDensity(mixture, extent, n = 120) {
  const components = noisy(mixture, 0), axis = linspace(-extent, extent, n);
  const logProb = Array.from(axis, (y) => Array.from(axis, (x) => evaluate(components, x, y).logProb)).flat();
  const top = logProb.reduce((a, b) => Math.max(a, b));
  return logProb.map((value) => Math.exp(value - top));
}

// ---- random numbers --------------------------------------------------------------------------------------

// Whole numbers below 2^32, by the Mersenne Twister (Matsumoto & Nishimura 1998).
function twister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let at = 624;
  return () => {
    if (at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

// The noise that PyTorch draws on a CPU, in float32 or in float64, from torch.Generator().manual_seed(seed): by
// torch.rand(n), and by torch.randn(n) of 16 or more (Box & Muller 1958, eight pairs at a time; the last 16 anew).
// `doubles` are uniform numbers in float64 in any case.
function torchNoise(seed, bits = 32) {
  const draw = twister(seed);
  const single = () => (draw() & 0xffffff) / 2 ** 24, double = () => ((draw() & 0x1fffff) * 2 ** 32 + draw()) / 2 ** 53;
  const many = (one) => (n) => Float64Array.from({ length: n }, one);
  const doubles = many(double), uniforms = bits === 32 ? many(single) : doubles;
  const sixteen = (numbers, from) => {
    for (let i = from; i < from + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - numbers[i])), angle = 2 * Math.PI * numbers[i + 8];
      [numbers[i], numbers[i + 8]] = [radius * Math.cos(angle), radius * Math.sin(angle)];
    }
  };
  const normals = (n) => {
    const numbers = uniforms(n);
    for (let from = 0; from + 16 <= n; from += 16) sixteen(numbers, from);
    if (n % 16) {
      numbers.set(uniforms(16), n - 16);
      sixteen(numbers, n - 16);
    }
    return numbers;
  };
  return { uniforms, normals, doubles };
}

// n points of a mixture without correlations, [x_1, y_1, x_2, ...], as GaussianMixture.sample draws them.
function sampled({ weights, means, covariances }, n, noise) {
  let below = 0;
  const ends = weights.map((weight) => (below += weight));
  const chosen = noise.doubles(n).map((u) => Math.max(0, ends.findIndex((end) => end >= u)));
  return noise.normals(2 * n).map((z, at) => {
    const k = chosen[Math.floor(at / 2)], side = at % 2;
    return means[k][side] + Math.sqrt(covariances[k][2 * side]) * z;
  });
}

// Noise that is drawn once, and from `rewind` on is the same again.
function replayed(noise) {
  const blocks = [];
  let at = 0;
  const next = (draw) => (n) => {
    if (at === blocks.length) blocks.push(draw(n));
    return blocks[at++];
  };
  const rewind = () => (at = 0);
  return { uniforms: next(noise.uniforms), normals: next(noise.normals), rewind };
}

// A function that computes once for each of its arguments.
function remembered(compute) {
  const known = new Map();
  return (...of) => {
    const key = of.join();
    if (!known.has(key)) known.set(key, compute(...of));
    return known.get(key);
  };
}

// ---- Langevin dynamics -----------------------------------------------------------------------------------

// Chains from x = [x_1, y_1, x_2, y_2, ...], unadjusted or with the Metropolis correction (MALA).
// Returns all states, the start first, the share of moves accepted, and whether they ran away.
function langevin(mixture, x, { alpha, nSteps, metropolis = false, sigma = 0, noise }) {
  const components = noisy(mixture, sigma), n = x.length / 2, root = Math.sqrt(alpha), path = [x];
  const now = Array.from({ length: n }, () => ({ shares: [] })), next = { shares: [] };
  let accepted = 0;
  for (let i = 0; i < n; i++) evaluate(components, x[2 * i], x[2 * i + 1], now[i]);
  for (let step = 0; step < nSteps; step++) {
    const old = path[step], to = new Float64Array(old.length), z = noise.normals(2 * n);
    const u = metropolis ? noise.uniforms(n) : null;
    for (let i = 0; i < n; i++) {
      const at = 2 * i, [ax, ay, here] = [old[at], old[at + 1], now[i]];
      if (!metropolis && !(ax * ax < LARGEST && ay * ay < LARGEST)) return { path, ranAway: true, rate: 0 };
      const bx = ax + (alpha / 2) * here.scoreX + root * z[at];
      const by = ay + (alpha / 2) * here.scoreY + root * z[at + 1];
      evaluate(components, bx, by, next);
      if (metropolis) {
        const back = (ax - bx - (alpha / 2) * next.scoreX) ** 2 + (ay - by - (alpha / 2) * next.scoreY) ** 2;
        const forth = (bx - ax - (alpha / 2) * here.scoreX) ** 2 + (by - ay - (alpha / 2) * here.scoreY) ** 2;
        const ratio = next.logProb - here.logProb + (forth - back) / (2 * alpha);
        if (!(Math.log(u[i]) < ratio)) {
          [to[at], to[at + 1]] = [ax, ay];
          continue;
        }
        accepted++;
      }
      [to[at], to[at + 1]] = [bx, by];
      [here.scoreX, here.scoreY, here.logProb] = [next.scoreX, next.scoreY, next.logProb];
    }
    path.push(to);
  }
  return { path, ranAway: false, rate: accepted / (n * nSteps) };
}

// Steps on a Gaussian of variance 1 diverge from 4 on; below they settle in a variance above 1.
const STABLE_ALPHA = 4;
const stationaryVariance = (alpha) => (alpha < STABLE_ALPHA ? 1 / (1 - alpha / STABLE_ALPHA) : Infinity);

// ---- what is counted -------------------------------------------------------------------------------------

// The share count / n with the ends of its 95 % interval (Wilson 1927).
function wilson(count, n) {
  const z = 1.959963984540054, p = count / n, scale = 1 + (z * z) / n;
  const middle = (p + (z * z) / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [p, middle - half, middle + half];
}

// The sample variance of numbers.
function variance(numbers) {
  const mean = numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  return numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (numbers.length - 1);
}

// How many of the numbers lie in each of n bins between low and high, of which the last holds its end.
function histogram(numbers, low, high, n) {
  const counts = new Array(n).fill(0);
  for (const number of numbers) {
    const bin = number === high ? n - 1 : Math.floor(((number - low) / (high - low)) * n);
    if (bin >= 0 && bin < n) counts[bin]++;
  }
  return counts;
}

// How many of the chains x each component claims, as most likely to have made them; and the mean of the variances of
// their two coordinates, NaN where there are fewer than two.
function claimed(components, x) {
  const parts = components.map(() => [[], []]), out = { shares: [] };
  for (let at = 0; at < x.length; at += 2) {
    const part = parts[evaluate(components, x[at], x[at + 1], out).best];
    part[0].push(x[at]);
    part[1].push(x[at + 1]);
  }
  return parts.map(([first, second]) => ({
    count: first.length,
    variance: first.length < 2 ? NaN : (variance(first) + variance(second)) / 2,
  }));
}

// The mean distance of the points x to the points y, or among themselves.
function meanDistance(x, y = x) {
  let sum = 0;
  for (let i = 0; i < x.length; i += 2) {
    for (let j = y === x ? i + 2 : 0; j < y.length; j += 2) {
      const dx = x[i] - y[j], dy = x[i + 1] - y[j + 1];
      sum += Math.sqrt(dx * dx + dy * dy);
    }
  }
  const n = x.length / 2;
  return sum / (y === x ? (n * (n - 1)) / 2 : (n * y.length) / 2);
}

// A function of points: their squared energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| to the points y, without bias
// (Szekely & Rizzo 2013).
function energyDistanceTo(y) {
  const among = meanDistance(y);
  return (x) => 2 * meanDistance(x, y) - meanDistance(x) - among;
}

// Whether no chain of x is in the picture, which goes from -extent to extent.
function allOutside(x, extent) {
  for (let at = 0; at < x.length; at += 2) if (Math.abs(x[at]) < extent && Math.abs(x[at + 1]) < extent) return false;
  return true;
}

// A warning, as HTML, as base.py has it.
const inRed = (text, look) => `<b style='border-bottom:2px solid ${look.red}'>${text}</b>`;

// A number as Python writes it with the format ".{digits}f".
function decimal(x, digits) {
  return Number.isFinite(x) ? x.toFixed(digits) : general(x, digits);
}

// A number as Python writes it with the format ".{digits}g".
function general(x, digits) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  const [mantissa, power] = x.toExponential(digits - 1).split("e"), exponent = Number(power);
  const short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent >= -4 && exponent < digits) return short(x.toFixed(digits - 1 - exponent));
  return `${short(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

// A number as Python writes it with the format "+.{digits}f".
function signed(x, digits) {
  return (x < 0 || Object.is(x, -0) ? "-" : "+") + Math.abs(x).toFixed(digits);
}

// n numbers from low to high, both ends included.
function linspace(low, high, n) {
  return Float64Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));
}
