// Diffusion in continuous time on a line where all densities are known, as the explorers of sdes.py have it, with the
// same noise.

// Density and score of a mixture {weights, means, variance} on a line, with noise of standard deviation sigma.
function onLine({ weights, means, variance: own }, x, sigma) {
  const all = own + sigma ** 2;
  let sum = 0, slope = 0;
  for (let k = 0; k < means.length; k++) {
    const away = means[k] - x, part = weights[k] * Math.exp((-away * away) / (2 * all));
    sum += part;
    slope += part * away;
  }
  const density = sum / Math.sqrt(2 * Math.PI * all);
  if (density > 0) return { density, score: slope / sum / all };
  const near = means.reduce((best, mean) => (Math.abs(x - mean) < Math.abs(x - best) ? mean : best));
  return { density, score: (near - x) / all }; // so far out that one component is all there is
}

// n points that are spread as x_t is: its quantiles (i + 1/2) / n, interpolated in a table, and by a step of Newton's.
function spreadPoints(data, sde, t, n) {
  const sigma = sde.sigma(t), std = Math.sqrt(data.variance + sigma ** 2);
  const axis = linspace(Math.min(...data.means) - 8 * std, Math.max(...data.means) + 8 * std, 1024);
  const shareBelow = (x) => data.means.reduce((sum, mean, k) => sum + data.weights[k] * normalBelow((x - mean) / std), 0);
  const below = axis.map(shareBelow);
  let at = 1;
  return Float64Array.from({ length: n }, (_, i) => {
    const wanted = (i + 0.5) / n;
    while (below[at] < wanted) at++;
    const part = (wanted - below[at - 1]) / (below[at] - below[at - 1]);
    const near = axis[at - 1] + part * (axis[at] - axis[at - 1]);
    return sde.scale(t) * (near + (wanted - shareBelow(near)) / onLine(data, near, sigma).density);
  });
}

// How far points are from those that are spread exactly, in their standard deviations: the Wasserstein distance.
function wasserstein(x, exact) {
  const sorted = x.slice().sort();
  return sorted.reduce((sum, value, i) => sum + Math.abs(value - exact[i]), 0) / x.length / Math.sqrt(variance(exact));
}

const densityAt = (data, sde, t, x) => onLine(data, x / sde.scale(t), sde.sigma(t)).density / sde.scale(t);
const scoreOnLine = (data) => (x, sigma) => x.map((value) => onLine(data, value, sigma).score);

// The chain x_t = r x_s + std z, s < t, forward.
function* forward(score, x, { sde, times, noise }) {
  for (const [s, t] of pairs(times)) {
    const [kept, added] = transition(sde, s, t), z = noise.normals(x.length);
    x = x.map((value, i) => kept * value + Math.sqrt(added) * z[i]);
    yield x;
  }
}

const WAYS = { forward, "back: reverse SDE": reverseSde, "back: flow": flow };

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
    const { sde, times } = found;
    found.path.length = 1;
    for (const x of WAYS[way](scoreOnLine(data), found.path[0], { sde, times, noise: torchNoise(0, 64) })) {
      found.path.push(x);
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
    const gone = path.length - 1, t = times[gone], exact = spreadPoints(data, sde, t, nPoints);
    return (
      `<b>${name}</b>, ${way}, <b>${gone}</b> of <b>${nSteps}</b> steps: t = ${decimal(t, 3)}, ` +
      `sigma = ${general(sde.sigma(t), 3)}<br>distance of ${nPoints} particles to the exact density: ` +
      `<b>${decimal(wasserstein(path[gone], exact), 3)}</b> of its standard deviations`
    );
  },
};
