// Any model under any sampler, as grid.py has it: a net that errs, with the same starts and the same noise.

// How much of the clean point that a net guesses goes with what it predicts, as adapters.py has it.
const CLEAN_PER = {
  score: (sigma) => sigma ** 2,
  noise: (sigma) => -sigma,
  clean: () => 1,
  v: (sigma) => -sigma / Math.sqrt(1 + sigma ** 2),
  velocity: (sigma) => -sigma / (1 + sigma),
};

// The score by a net that errs by `error`, root mean square, in what it predicts; `asked` counts.
function erring(truth, kind, error, waves) {
  const score = (x, sigma) => {
    score.asked++;
    const right = truth(x, sigma), size = (CLEAN_PER[kind](sigma) / sigma ** 2) * error * Math.SQRT2;
    const width = Math.sqrt(1 + sigma ** 2);
    for (let at = 0; error && at < x.length; at += 2) {
      for (const side of [0, 1]) {
        right[at + side] += size * Math.sin((x[at] * waves[0][side] + x[at + 1] * waves[1][side]) / width);
      }
    }
    return right;
  };
  return Object.assign(score, { asked: 0 });
}

// (score, x, evaluations, ends of the noise levels, noise) -> x after each step; the last evaluation is the denoising.
const SAMPLERS = {
  *"annealed Langevin"(score, x, n, ends, noise) {
    const most = Math.max(2, Math.min(20, Math.floor(n / 2))), spent = (levels) => Math.floor(n / levels) * levels;
    let nLevels = Math.min(10, most);
    for (let levels = nLevels; levels <= most; levels++) if (spent(levels) >= spent(nLevels)) nLevels = levels;
    const sigmas = geometric(...ends, nLevels), nStepsEach = Math.max(1, Math.floor(n / nLevels));
    const eps = Number((epsForSteps(sigmas[0] / sigmas[1], nStepsEach) * ends[1] ** 2).toPrecision(4));
    for (const state of annealedLangevin(score, x, { sigmas, eps, nStepsEach, noise })) yield state.x;
  },
  "ancestral (DDPM)": (score, x, n, ends, noise) => ddim(score, x, { sigmas: geometric(...ends, n + 1), eta: 1, noise }),
  "DDIM, eta 1/2": (score, x, n, ends, noise) => ddim(score, x, { sigmas: geometric(...ends, n + 1), eta: 0.5, noise }),
  "DDIM (flow by Euler)": (score, x, n, ends) => ddim(score, x, { sigmas: geometric(...ends, n + 1), eta: 0 }),
  "predictor-corrector"(score, x, n, ends, noise) {
    return predictorCorrector(score, x, { sde: EDM, times: geometric(...ends, Math.floor(n / 2) + 1), noise });
  },
  "flow by Heun": (score, x, n, ends) => flow(score, x, { sde: EDM, times: geometric(...ends, Math.floor(n / 2) + 1) }),
};

explorers.GridExplorer = {
  panels: 2,

  compute({ predicts, error, sampler, evaluations }, { mixture, ends, nChains, nReal, waves, seeds }) {
    this.distance ??= energyDistanceTo(sampled(mixture, nReal, torchNoise(seeds.real, 64)));
    this.start ??= torchNoise(seeds.start, 64).normals(2 * nChains).map((z) => ends[0] * z);
    this.noise ??= replayed(torchNoise(seeds.noise, 64));
    this.noise.rewind();
    const score = erring(scoreOf(mixture), predicts, error, waves), lowest = ends[1];
    const x = lastOf(SAMPLERS[sampler](score, this.start, evaluations - 1, ends, this.noise));
    const end = plus(x, lowest ** 2, score(x, lowest)), components = noisy(mixture, 0), out = { shares: [] };
    let right = 0;
    for (let at = 0; at < end.length; at += 2) right += evaluate(components, end[at], end[at + 1], out).shares[0] / nChains;
    return { predicts, end, asked: score.asked, distance: this.distance(end), right };
  },

  draw(context, places, { predicts, end }, { fixed: { mixture, extent, ends: [highest, lowest] }, look }) {
    const whole = [-extent, extent], pad = (highest / lowest) ** 0.05;
    const samples = new Panel(context, places[0], { x: whole, y: whole, equal: true });
    this.density ??= relativeDensity(mixture, extent);
    samples.heat(this.density, look.density);
    samples.dots(...[0, 1].map((side) => end.filter((_, at) => at % 2 === side)), { colour: look.orange, alpha: 1 });
    if (allOutside(end, extent)) samples.note("all chains are outside", look.red);
    samples.frame({ title: "samples", xlabel: "x_1", ylabel: "x_2" });
    const errors = new Panel(context, places[1], { x: [lowest / pad, highest * pad], y: [1e-3, 500], log: "xy" });
    const sigmas = geometric(highest, lowest, 60), colours = [look.red, look.blue, look.green, look.orange, look.purple];
    const kinds = Object.keys(CLEAN_PER).map((kind, i) => [kind, colours[i]]);
    for (const [kind, colour] of kinds) {
      const off = sigmas.map((sigma) => Math.abs(CLEAN_PER[kind](sigma)));
      errors.line(sigmas, off, { colour, width: kind === predicts ? 4.5 : 1.3 });
    }
    errors.legend(kinds.map(([kind, colour]) => [kind, colour, "line"]), "left");
    errors.frame({ title: "error of the clean guess, for an error of 1", xlabel: "\u03c3" });
  },

  says({ predicts, error, sampler, evaluations }, { asked, distance, right }) {
    const spent = `<b>${asked}</b>${asked < evaluations ? ` of ${evaluations}` : ""}`;
    return (
      `a net that predicts <b>${predicts}</b> and errs by <b>${decimal(error, 2)}</b>, sampled by <b>${sampler}</b> ` +
      `with ${spent} evaluations:<br>energy distance to the truth <b>${decimal(distance, 4)}</b> (two draws of ` +
      `the truth: 0 +- 0.003), share of the right mode ${decimal(right, 3)} (truth 0.400)`
    );
  },
};
