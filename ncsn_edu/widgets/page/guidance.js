// Chains guided towards one of three classes, as conditions.py has it, from the same starts.

// The score of a mixture, and `scale` times the gradient of log p(label | x, sigma) by the best classifier, its logits
// times `sharpness` (Dhariwal & Nichol 2021).
function guided(mixture, { label, scale, sharpness }) {
  const out = { shares: [] };
  return (x, sigma) => {
    const components = noisy(mixture, sigma), score = new Float64Array(x.length);
    for (let at = 0; at < x.length; at += 2) {
      evaluate(components, x[at], x[at + 1], out);
      const told = out.shares.map((share) => share ** sharpness), all = told.reduce((sum, one) => sum + one, 0);
      [score[at], score[at + 1]] = [out.scoreX, out.scoreY];
      components.forEach((q, k) => {
        const dx = q.x - x[at], dy = q.y - x[at + 1], push = scale * sharpness * (Number(k === label) - told[k] / all);
        score[at] += push * (q.xx * dx + q.xy * dy);
        score[at + 1] += push * (q.xy * dx + q.yy * dy);
      });
    }
    return score;
  };
}

// For each class, how far points are from samples of its own.
function toClasses({ means, covariances }, n, noise) {
  return means.map((mean, k) => {
    return energyDistanceTo(sampled({ weights: [1], means: [mean], covariances: [covariances[k]] }, n, noise));
  });
}

explorers.GuidanceExplorer = {
  panels: 2,

  idle({ scale }) {
    return scale === 0 ? ["sharpness"] : [];
  },

  compute({ label, scale, sharpness, seed }, { mixture, ends, nLevels, nChains, nLines, ownSeed }) {
    const sigmas = geometric(...ends, nLevels), start = torchNoise(seed).normals(2 * nChains).map((z) => ends[0] * z);
    const states = [...flow(guided(mixture, { label, scale, sharpness }), start, { sde: EDM, times: sigmas })];
    const seen = (x, i, sigma) => evaluate(noisy(mixture, sigma), x[2 * i], x[2 * i + 1]);
    const x = states[nLevels - 2], classes = Array.from({ length: nChains }, (_, i) => seen(x, i, 0));
    const told = (i) => states.map((state, level) => seen(state, i, sigmas[level + 1]).shares[label]);
    const [first, second] = [0, 1].map((side) => x.filter((_, at) => at % 2 === side));
    this.distances ??= toClasses(mixture, nChains, torchNoise(ownSeed));
    return {
      x, first, second, sigmas,
      best: classes.map(({ best }) => best),
      lines: Array.from({ length: nLines }, (_, i) => told(i)),
      share: classes.filter(({ best }) => best === label).length / nChains,
      mean: classes.reduce((sum, { shares }) => sum + shares[label], 0) / nChains,
      std: (Math.sqrt(variance(first)) + Math.sqrt(variance(second))) / 2,
      distance: this.distances[label](x),
    };
  },

  draw(context, places, { x, first, second, sigmas, best, lines }, { fixed: { mixture, extent, ends: range }, look }) {
    const whole = [-extent, extent], colours = [look.orange, look.green, look.purple];
    const ends = new Panel(context, places[0], { x: whole, y: whole, equal: true });
    this.density ??= relativeDensity(mixture, extent);
    ends.heat(this.density, look.density);
    colours.forEach((colour, k) => {
      const [xs, ys] = [first, second].map((side) => side.filter((_, i) => best[i] === k));
      ends.dots(xs, ys, { colour, alpha: 1 });
    });
    colours.forEach((colour, k) => ends.rings([mixture.means[k][0]], [mixture.means[k][1]], { colour, radius: 6 }));
    if (allOutside(x, extent)) ends.note("all chains are outside", look.red);
    ends.legend([["to the classifier"], ...colours.map((colour, k) => [`class ${k}`, colour, "dot"])], "left");
    ends.frame({ title: "where the chains end", xlabel: "x_1", ylabel: "x_2" });
    const paths = new Panel(context, places[1], { x: range, y: [0, 1.02], log: "x" });
    lines.forEach((line, i) => paths.line(sigmas.slice(1), line, { colour: colours[best[i]], width: 1.3 }));
    paths.frame({ title: "how sure the classifier is on the way", xlabel: "\u03c3", ylabel: "p(y | x, \u03c3)" });
  },

  says({ label, scale, sharpness, seed }, { share, mean, std, distance }) {
    return (
      `class <b>${label}</b>, scale <b>${general(scale, 6)}</b>, sharpness <b>${general(sharpness, 6)}</b>, seed ` +
      `<b>${seed}</b>: ${decimal(share, 2)} of the chains are of the class to the best classifier (of the class's own ` +
      `samples 0.89), which gives it ${decimal(mean, 2)} on average<br>their standard deviation is ` +
      `${decimal(std, 2)} (of the class 1.00), their energy distance to the class ${decimal(distance, 3)}`
    );
  },
};
