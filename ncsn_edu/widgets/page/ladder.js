// A noise ladder to be designed, as ladders.py has it; the lengths that are measured are others, as they are drawn here.

// Lengths of n vectors of standard normal noise in so many dimensions, by Marsaglia and Tsang's gamma numbers (2000).
const lengthsOfNoise = remembered((dim, n) => {
  const noise = torchNoise(0), d = dim / 2 - 1 / 3, c = 1 / Math.sqrt(9 * d), lengths = [];
  while (lengths.length < n) {
    const u = noise.uniforms(4096);
    noise.normals(4096).forEach((x, i) => {
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(u[i]) < (x * x) / 2 + d * (1 - v + Math.log(v))) lengths.push(Math.sqrt(2 * d * v));
    });
  }
  return lengths.slice(0, n);
});

// Noise of two neighbours, as technique 2 sees it and as it is.
function shells(gamma, dim, lengths) {
  const middle = Math.sqrt(dim), width = Math.sqrt(0.5);
  const [low, high] = [Math.max(0, gamma * (middle - 3 * width)), gamma * (middle + 3 * width)];
  const line = linspace(Math.max(0, middle - 4), Math.max(high, middle + 4), 300);
  const [upper, lower] = [gamma, 1].map((factor) => line.map((length) => {
    const z = (length / factor - middle) / width;
    return Math.exp((-z * z) / 2) / (factor * width * Math.sqrt(2 * Math.PI));
  }));
  const edges = linspace(line[0], middle + 4, 41), counts = histogram(lengths, line[0], middle + 4, 40);
  const all = counts.reduce((sum, count) => sum + count, 0) * (edges[1] - edges[0]);
  const within = (i) => edges[i] >= low && edges[i + 1] <= high;
  return {
    low, high, line, upper, lower, edges,
    inside: counts.map((count, i) => (within(i) ? count / all : 0)),
    outside: counts.map((count, i) => (within(i) ? 0 : count / all)),
    measured: lengths.filter((length) => low < length && length < high).length / lengths.length,
    predicted: ratioOverlap(gamma, dim),
  };
}

explorers.LadderExplorer = {
  panels: 2,
  tall: 300,
  above: 4,

  compute({ data, sigma_1: sigma1, sigma_L: sigmaL, n_levels: nLevels, n_steps_each: n }, fixed, lengths) {
    if (sigma1 <= sigmaL) return { ladder: null };
    const { sizes, nLengths, epsEnds } = fixed, dim = sizes[data], gamma = (sigma1 / sigmaL) ** (1 / (nLevels - 1));
    const steps = linspace(...epsEnds.map(Math.log), 120).map(Math.exp), best = epsForSteps(gamma, n);
    const capped = (ratio) => Array.from(steps, (eps) => Math.min(1e9, ratio(gamma, eps, n)));
    return {
      gamma, steps, best,
      ...shells(gamma, dim, lengths ?? lengthsOfNoise(dim, nLengths)),
      half: levelsForHalf(sigma1, sigmaL, dim),
      ratio: capped(varianceRatio),
      ladder: capped(settledVarianceRatio),
      atBest: varianceRatio(gamma, best, n),
      below: settledVarianceRatio(gamma, best, n),
    };
  },

  draw(context, places, found, { fixed: { epsEnds, ticks: marks, noLadder }, look }) {
    const { ladder, line, gamma } = found, whole = ladder ? [line[0], line[line.length - 1]] : [0, 1];
    const noise = new Panel(context, places[0], { x: whole, y: [0, 0.7] });
    const top = ladder ? Math.max(4, Math.min(3 * gamma ** 2, 1000)) : 4, pad = (epsEnds[1] / epsEnds[0]) ** 0.05;
    const steps = new Panel(context, places[1], { x: [epsEnds[0] / pad, epsEnds[1] * pad], y: [0.8, top], log: "xy" });
    if (ladder) this.curves(noise, steps, found, look);
    else for (const panel of [noise, steps]) panel.note(noLadder, look.red);
    noise.legend([
      ["\u03c3_{i\u22121}, the level above", look.blue, "line"], ["within 3 std of it", look.blue, "pale"],
      ["\u03c3_i", look.orange, "line"], ["measured, in the band", look.orange, "box"],
    ], "above");
    noise.frame({ xlabel: "length of the noise, in units of \u03c3_i", ylabel: "density" });
    steps.legend([
      ["down the whole ladder", look.purple, "line"], ["after one level (technique 4)", look.red, "line"],
      ["its best eps", look.red, "dot"],
    ], "above");
    const yticks = marks.filter((tick) => tick <= top).map((tick) => [tick, String(tick)]);
    steps.frame({ xlabel: "\u03b5 / \u03c3_L^2", ylabel: "variance after a level, in \u03c3_i^2", yticks });
  },

  curves(noise, steps, found, look) {
    noise.zone({ x: [found.low, found.high], colour: look.blue });
    noise.bars(found.edges, found.outside, { colour: look.grey, alpha: 0.35 });
    noise.bars(found.edges, found.inside, { colour: look.orange, alpha: 0.5 });
    noise.line(found.line, found.upper, { colour: look.blue });
    noise.line(found.line, found.lower, { colour: look.orange });
    steps.line(steps.x, [1, 1], { colour: look.grey, width: 1, dash: [4, 2] });
    steps.line(found.steps, found.ladder, { colour: look.purple });
    steps.line(found.steps, found.ratio, { colour: look.red });
    steps.dots([found.best], [found.atBest], { colour: look.red, radius: 4, alpha: 1 });
  },

  says({ sigma_1: sigma1, sigma_L: sigmaL, n_levels: nLevels, n_steps_each: n }, found, { fixed: { noLadder }, look }) {
    if (!found.ladder) return inRed(noLadder, look);
    const settled = found.below < Infinity ? decimal(found.below, 3) : inRed("more at every level", look);
    return (
      `<b>${nLevels}</b> levels from <b>${general(sigma1, 3)}</b> to <b>${general(sigmaL, 3)}</b>, ` +
      `ratio ${decimal(found.gamma, 4)}; overlap: predicted <b>${decimal(found.predicted, 3)}</b>, ` +
      `measured <b>${decimal(found.measured, 3)}</b>; ${found.half} levels overlap by one half<br>` +
      `<b>${n}</b> steps each: best eps ${general(found.best * sigmaL ** 2, 3)}, with ${decimal(found.atBest, 3)} of the ` +
      `variance that is wanted after one level, ${settled} down the ladder; ${nLevels * n} evaluations of the net`
    );
  },
};
