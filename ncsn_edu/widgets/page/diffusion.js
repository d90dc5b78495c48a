// Diffusion in continuous time on a line where all densities are known, as the explorers of sdes.py have it, with the
// same noise.

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

// Density and score of a mixture {weights, means, variance} on a line, with noise of standard deviation sigma.
function onLine({ weights, means, variance: own }, x, sigma) {
  const all = own + sigma ** 2;
  let density = 0, slope = 0;
  for (let k = 0; k < means.length; k++) {
    const part = (weights[k] * Math.exp(-((x - means[k]) ** 2) / (2 * all))) / Math.sqrt(2 * Math.PI * all);
    density += part;
    slope += (part * (means[k] - x)) / all;
  }
  if (density > 0) return { density, score: slope / density };
  const near = means.reduce((best, mean) => (Math.abs(x - mean) < Math.abs(x - best) ? mean : best));
  return { density, score: (near - x) / all }; // so far out that one component is all there is
}

// n points that are spread as x_t is: its quantiles (i + 1/2) / n, interpolated in a table.
function spreadPoints(data, sde, t, n) {
  const std = Math.sqrt(data.variance + sde.sigma(t) ** 2);
  const axis = linspace(Math.min(...data.means) - 8 * std, Math.max(...data.means) + 8 * std, 4096);
  const below = axis.map((x) => {
    return data.means.reduce((sum, mean, k) => sum + data.weights[k] * normalBelow((x - mean) / std), 0);
  });
  let at = 1;
  return Float64Array.from({ length: n }, (_, i) => {
    const wanted = (i + 0.5) / n;
    while (below[at] < wanted) at++;
    const part = (wanted - below[at - 1]) / (below[at] - below[at - 1]);
    return sde.scale(t) * (axis[at - 1] + part * (axis[at] - axis[at - 1]));
  });
}

const densityAt = (data, sde, t, x) => onLine(data, x / sde.scale(t), sde.sigma(t)).density / sde.scale(t);
const scoreAt = (data, sde, t, x) => onLine(data, x / sde.scale(t), sde.sigma(t)).score / sde.scale(t);

// One step of all particles from time s to time t: of the chain forward, of the reverse SDE, or of the flow (Heun).
const STEPS = {
  forward(data, sde, x, s, t, noise) {
    const factor = sde.scale(t) / sde.scale(s), z = noise.normals(x.length);
    const std = Math.sqrt(sde.scale(t) ** 2 * (sde.sigma(t) ** 2 - sde.sigma(s) ** 2));
    return x.map((value, i) => factor * value + std * z[i]);
  },

  "back: reverse SDE"(data, sde, x, s, t, noise) {
    const variance = sde.rate(s) * (s - t), fade = sde.drift(s) * (s - t), z = noise.normals(x.length);
    return x.map((value, i) => {
      return value - fade * value + variance * scoreAt(data, sde, s, value) + Math.sqrt(variance) * z[i];
    });
  },

  "back: flow"(data, sde, x, s, t) {
    const slope = (value, time) => sde.drift(time) * value - (sde.rate(time) / 2) * scoreAt(data, sde, time, value);
    return x.map((value) => {
      const here = slope(value, s), ahead = value + (t - s) * here;
      return value + ((t - s) * (here + slope(ahead, t))) / 2;
    });
  },
};

explorers.DiffusionExplorer = {
  panels: 2,
  widths: [2.6, 1],
  tall: 300,

  compute({ sde: name, way, n_steps: nSteps }, { data, sdes, nPoints }) {
    const sde = sdeOf(sdes[name]), { tMin, priorStd } = sdes[name], height = 2.2 * Math.max(1.2, priorStd);
    const times = Array.from(way === "forward" ? linspace(tMin, 1, nSteps + 1) : linspace(1, tMin, nSteps + 1));
    const axis = linspace(-height, height, 161), columns = linspace(0.002, 1, 120);
    const exact = Array.from(axis, (x) => Array.from(columns, (t) => densityAt(data, sde, t, x))).flat();
    const top = axis.reduce((most, _, row) => Math.max(most, exact[120 * row]), 0) / 3;
    const heat = exact.map((density) => Math.sqrt(density / top));
    return { sde, times, height, axis, heat, path: [spreadPoints(data, sde, times[0], nPoints)] };
  },

  *steps(found, { way }, { data }) {
    const noise = torchNoise(0, 64), { sde, times } = found;
    found.path.length = 1;
    for (let step = 0; step + 1 < times.length; step++) {
      found.path.push(STEPS[way](data, sde, found.path[step], times[step], times[step + 1], noise));
      yield;
    }
  },

  draw(context, places, { sde, times, height, axis, heat, path }, { fixed: { data, nPoints, shown }, look }) {
    const whole = [-height, height], t = times[path.length - 1];
    const way = new Panel(context, places[0], { x: [0, 1], y: whole });
    way.heat(heat.map((value) => value / 1.6), look.greys, 120);
    shown.forEach((place, line) => {
      const colour = (line + 0.5) / shown.length < data.weights[0] ? look.purple : look.orange;
      way.line(times.slice(0, path.length), path.map((x) => x[place]), { colour, width: 1.2 });
    });
    way.rug(times, look.blue);
    way.frame({ title: "particles, coloured by where they start", xlabel: "t", ylabel: "x_t" });
    const exact = axis.map((x) => densityAt(data, sde, t, x)), width = (2 * height) / 60;
    const side = new Panel(context, places[1], { x: [0, 1.3 * Math.max(...exact)], y: whole });
    const counts = histogram(path[path.length - 1], -height, height, 60);
    side.bars(linspace(-height, height, 61), counts.map((count) => count / nPoints / width), {
      colour: look.blue, alpha: 0.4, sideways: true,
    });
    side.line(exact, axis, { colour: "black" });
    side.frame({ title: "now", xlabel: "density" });
  },

  says({ sde: name, way, n_steps: nSteps }, { sde, times, path }, { fixed: { data, nPoints } }) {
    const gone = path.length - 1, t = times[gone], sorted = path[gone].slice().sort();
    const exact = spreadPoints(data, sde, t, nPoints);
    const apart = sorted.reduce((sum, x, i) => sum + Math.abs(x - exact[i]), 0) / nPoints / Math.sqrt(variance(exact));
    return (
      `<b>${name}</b>, ${way}, <b>${gone}</b> of <b>${nSteps}</b> steps: t = ${decimal(t, 3)}, ` +
      `sigma = ${general(sde.sigma(t), 3)}<br>distance of ${nPoints} particles to the exact density: ` +
      `<b>${decimal(apart, 3)}</b> of its standard deviations`
    );
  },
};
