// Chains of Langevin dynamics on two unit Gaussians, as chains.py has it, with the same noise.

// By what is drawn in turn: starts or none, normal numbers with or without uniform ones.
const langevinNoise = remembered((drawsStarts, metropolis) => replayed(torchNoise(0)));

explorers.LangevinExplorer = {
  panels: 2,

  compute({ alpha, n_steps: nSteps, start, metropolis }, { mixture, extent, nChains, places, nBars }) {
    const noise = langevinNoise(!(start in places), metropolis);
    noise.rewind();
    const x = start in places
      ? Float64Array.from({ length: 2 * nChains }, (_, i) => places[start][i % 2])
      : noise.uniforms(2 * nChains).map((u) => (2 * u - 1) * extent);
    const { path, ranAway, rate } = langevin(mixture, x, { alpha, nSteps, metropolis, noise });
    const ends = path[path.length - 1], first = ends.filter((_, i) => i % 2 === 0), second = ends.filter((_, i) => i % 2);
    const edges = linspace(-extent, extent, nBars + 1), width = (2 * extent) / nBars;
    const heights = histogram(first, -extent, extent, nBars).map((count) => count / nChains / width);
    const components = noisy(mixture, 0);
    const left = claimed(components, ends)[0].count, outside = allOutside(ends, extent);
    return { path, ranAway, rate, first, second, edges, heights, outside, share: wilson(left, nChains) };
  },

  draw(context, places, found, { fixed: { mixture, extent, nDrawn }, look }) {
    const whole = [-extent, extent], components = noisy(mixture, 0);
    const field = new Panel(context, places[0], { x: whole, y: whole, equal: true });
    this.density ??= relativeDensity(mixture, extent);
    field.heat(this.density, look.density);
    for (let i = 0; i < nDrawn; i++) {
      const [xs, ys] = [0, 1].map((side) => found.path.map((state) => state[2 * i + side]));
      field.line(xs, ys, { colour: look.green, width: 1.1, alpha: 0.8 });
    }
    field.dots(found.first, found.second, { colour: look.orange });
    if (found.outside) field.note("all chains are outside", look.red);
    field.frame({ title: "chains: paths of ten, ends of all", xlabel: "x_1", ylabel: "x_2" });
    const histogram = new Panel(context, places[1], { x: whole, y: [0, 0.5] });
    histogram.bars(found.edges, found.heights, { colour: look.orange, alpha: 0.6 });
    const line = linspace(-extent, extent, 300), truth = Array.from(line, (x) => {
      return Math.exp(evaluate(components, x, 0).logProb) * Math.sqrt(2 * Math.PI); // the other coordinate is N(0, 1)
    });
    histogram.line(line, truth, { colour: look.blue });
    histogram.legend([["chains", look.orange, "box"], ["truth", look.blue, "line"]], "left");
    histogram.frame({ title: "first coordinate at the end", xlabel: "x_1" });
  },

  says({ alpha, n_steps: nSteps, metropolis }, { path, ranAway, rate, second, share }, { look }) {
    const stable = alpha < STABLE_ALPHA || metropolis ? "" : `, ${inRed("unstable", look)}`;
    const moved = metropolis ? `acceptance rate <b>${rate.toFixed(3)}</b>; ` : "";
    const [found, low, high] = share.map((value) => value.toFixed(3));
    const expected = general(metropolis ? 1 : stationaryVariance(alpha), 4);
    const result = ranAway
      ? inRed(`the chains ran away at step ${path.length}`, look)
      : `left mode <b>${found}</b> [${low}, ${high}], truth 0.200<br>` +
        `variance of x<sub>2</sub> ${general(variance(second), 4)}, expected in the long run ${expected}`;
    return `step alpha <b>${general(alpha, 3)}</b>${stable}, <b>${nSteps}</b> steps; ${moved}${result}`;
  },
};
