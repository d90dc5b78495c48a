// Annealed Langevin dynamics on the mixture of Fig. 3, as chains.py has it, with the same noise.

explorers.AnnealingExplorer = {
  panels: 3,

  compute({ sigma_1: sigma1, sigma_L: sigmaL, n_levels: nLevels, eps }) {
    const sigmas = sigma1 > sigmaL ? geometric(sigma1, sigmaL, nLevels) : null;
    const before = sigmas ? { against: againstLimits(sigmas, eps), limit: stableEps(sigmas) } : { against: [] };
    return { sigmas, nLevels, ...before, x: null, shares: [], modes: null, ranAway: false };
  },

  // `shares`: of the chains in the small mode, after each level. `modes`: what there is of both at the end.
  *steps(found, { eps, n_steps_each: nStepsEach }, { mixture, nChains, startWidth }) {
    Object.assign(found, { shares: [], modes: null, ranAway: false });
    if (!found.sigmas) return;
    const clean = noisy(mixture, 0), noise = torchNoise(0);
    found.x = noise.uniforms(2 * nChains).map((u) => (2 * u - 1) * startWidth);
    const chains = annealedLangevin(scoreOf(mixture), found.x, { sigmas: found.sigmas, eps, nStepsEach, noise });
    for (const { x, step, ranAway } of chains) {
      Object.assign(found, { x, ranAway });
      if (step === nStepsEach - 1 && !ranAway) found.shares.push(claimed(clean, x)[0].count / nChains);
      yield;
    }
    if (!found.ranAway) found.modes = claimed(clean, found.x);
  },

  draw(context, places, { nLevels, against, x, shares }, { fixed: { mixture, extent }, look }) {
    const whole = [-extent, extent], levels = [0, nLevels + 1];
    const field = new Panel(context, places[0], { x: whole, y: whole, equal: true });
    this.density ??= relativeDensity(mixture, extent);
    field.heat(this.density, look.density);
    if (x) {
      const [first, second] = [0, 1].map((side) => x.filter((_, i) => i % 2 === side));
      field.dots(first, second, { colour: look.orange });
      if (allOutside(x, extent)) field.note("all chains are outside", look.red);
    }
    field.frame({ title: "chains at the end", xlabel: "x_1", ylabel: "x_2" });
    const numbers = against.map((_, i) => i + 1);
    const steps = new Panel(context, places[1], { x: levels, y: [1e-6, 1e3], log: "y" });
    steps.zone({ y: [1, 1e3], colour: look.red });
    steps.line(numbers, against, { colour: look.blue, width: 1.1 });
    steps.dots(numbers, against, { colour: look.blue, radius: 2.8, alpha: 1 });
    steps.frame({ title: "step / stable limit, by level", xlabel: "level", whole: true });
    const share = new Panel(context, places[2], { x: levels, y: [0, 1.05] });
    share.line(levels, [0.2, 0.2], { colour: look.blue, width: 1.1, dash: [4, 2] });
    share.line(numbers.slice(0, shares.length), shares, { colour: look.orange });
    share.dots(numbers.slice(0, shares.length), shares, { colour: look.orange, radius: 3.5, alpha: 1 });
    share.frame({ title: "share in the small mode", xlabel: "level", whole: true });
  },

  says({ sigma_1: sigma1, sigma_L: sigmaL, n_levels: nLevels, n_steps_each: nStepsEach, eps }, found, { fixed, look }) {
    const { limit, x, shares, modes, ranAway } = found;
    if (!found.sigmas) return inRed(fixed.noLadder, look);
    const stable = eps < limit ? "stable" : inRed("unstable: with enough steps the chains run away", look);
    const before =
      `sigma ${general(sigma1, 3)} to ${general(sigmaL, 3)}, L <b>${nLevels}</b>, T <b>${nStepsEach}</b>: ` +
      `${nLevels * nStepsEach} evaluations<br>eps <b>${general(eps, 3)}</b> against a limit of ${general(limit, 3)}: ${stable}`;
    if (!x) return `${before}. Press Run`;
    if (ranAway) return `${before}.<br>Result: ${inRed(`the chains ran away at level ${shares.length + 1}`, look)}`;
    if (!modes) return `${before}.<br>after level ${shares.length} of ${nLevels}`;
    const [small, big] = modes.map((mode) => decimal(Math.sqrt(mode.variance), 2));
    const [share, low, high] = wilson(modes[0].count, fixed.nChains).map((value) => decimal(value, 3));
    return (
      `${before}.<br>Result: small mode <b>${share}</b> [${low}, ${high}], truth 0.200; ` +
      `std of the modes ${small} and ${big}, truth 1.00`
    );
  },
};
