// The score field of two Gaussians, as fields.py has it.

function twoGaussians({ weight, distance, std, correlation }) {
  const variance = std ** 2;
  return {
    weights: [weight, 1 - weight],
    means: [[-distance / 2, 0], [distance / 2, 0]],
    covariances: [[variance, correlation * variance, variance], [1, 0, 1]],
  };
}

explorers.ScoreFieldExplorer = {
  panels: 2,

  compute(values, { extent, nPoints, nArrows, nLine }) {
    const components = noisy(twoGaussians(values), values.sigma), axis = linspace(-extent, extent, nPoints);
    const heat = new Float64Array(nPoints ** 2), out = { shares: [] };
    for (let i = 0; i < heat.length; i++) {
      heat[i] = evaluate(components, axis[i % nPoints], axis[Math.floor(i / nPoints)], out).logProb;
    }
    const top = heat.reduce((a, b) => Math.max(a, b));
    const arrows = [], cells = linspace(-0.95 * extent, 0.95 * extent, nArrows);
    for (const y of cells) {
      for (const x of cells) {
        evaluate(components, x, y, out);
        arrows.push({ x, y, u: out.scoreX, v: out.scoreY });
      }
    }
    const longest = Math.max(1e-12, ...arrows.map(({ u, v }) => Math.hypot(u, v)));
    const scale = ((2 * extent) / nArrows / longest) * 1.1;
    for (const arrow of arrows) [arrow.u, arrow.v] = [arrow.u * scale, arrow.v * scale];
    const line = linspace(-extent, extent, nLine), logProb = [], slope = [];
    for (const x of line) {
      evaluate(components, x, 0, out);
      logProb.push(out.logProb);
      slope.push(out.scoreX);
    }
    const highest = Math.max(...logProb);
    return {
      heat: heat.map((value) => Math.exp(value - top)),
      arrows,
      line,
      density: logProb.map((value) => 4 * Math.exp(value - highest)),
      slope,
      middle: evaluate(components, 0, 0),
    };
  },

  draw(context, places, { heat, arrows, line, density, slope }, { fixed: { extent }, look }) {
    const whole = [-extent, extent];
    const field = new Panel(context, places[0], { x: whole, y: whole, equal: true });
    field.heat(heat, look.density);
    field.arrows(arrows, look.arrow);
    field.line(whole, [0, 0], { colour: look.red, width: 1.1, dash: [4, 2] });
    field.frame({ title: "density and score", xlabel: "x_1", ylabel: "x_2" });
    const cut = new Panel(context, places[1], { x: whole, y: [-6, 6] });
    cut.line(whole, [0, 0], { colour: look.grey, width: 0.8 });
    cut.line(line, density, { colour: look.blue });
    cut.line(line, slope, { colour: look.red });
    cut.legend([["density (scaled)", look.blue, "line"], ["score, first coordinate", look.red, "line"]], "right");
    cut.frame({ title: "along the dashed line", xlabel: "x_1" });
  },

  says({ weight, distance, std, correlation, sigma }, { middle }) {
    return (
      `left: weight <b>${weight.toFixed(2)}</b>, std <b>${std.toFixed(1)}</b>, ` +
      `correlation <b>${correlation.toFixed(1)}</b>; ` +
      `distance <b>${distance.toFixed(2)}</b>, noise sigma <b>${sigma.toFixed(1)}</b><br>` +
      `score at the origin (${signed(middle.scoreX, 3)}, ${signed(middle.scoreY, 3)}); ` +
      `the left component claims ${(100 * middle.shares[0]).toFixed(1)}% of it`
    );
  },
};
