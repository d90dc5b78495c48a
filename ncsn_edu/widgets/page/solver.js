// Solvers of a diffusion on a line against their steps, as sdes.py has it, with the same noise.

// How each runs, its evaluations of the score in a step, and its colour.
const SOLVERS = {
  "reverse SDE": [reverseSde, 1, "orange"],
  "predictor-corrector": [predictorCorrector, 2, "red"],
  "flow, Euler": [(score, x, path) => flow(score, x, { ...path, heun: false }), 1, "green"],
  "flow, Heun": [flow, 2, "blue"],
};
const solverNoise = remembered(() => replayed(torchNoise(0, 64)));

explorers.SolverExplorer = {
  panels: 2,
  widths: [1.5, 1],
  tall: 300,

  // Where the points end, and how far that is from the density there.
  end(name, solver, n, { data, sdes, nPoints }) {
    const sde = sdeOf(sdes[name]), { tMin } = sdes[name], noise = solverNoise();
    this.spread ??= remembered((of, t) => spreadPoints(data, sdeOf(sdes[of]), t, nPoints));
    noise.rewind();
    const path = { sde, times: linspace(1, tMin, n + 1), noise };
    const x = lastOf(SOLVERS[solver][0](scoreOnLine(data), this.spread(name, 1), path));
    return { x, error: wasserstein(x, this.spread(name, tMin)) };
  },

  compute({ sde: name, solver, n_steps: n }, fixed) {
    this.known ??= {};
    this.known[name] ??= Object.fromEntries(Object.keys(SOLVERS).map((one) => [one, []]));
    const { x, error } = this.end(name, solver, n, fixed), axis = linspace(-3, 3, 241), sde = sdeOf(fixed.sdes[name]);
    return {
      error,
      half: this.end(name, solver, Math.floor(n / 2), fixed).error,
      evaluations: SOLVERS[solver][1] * n,
      heights: histogram(x, -3, 3, 60).map((count) => count / fixed.nPoints / 0.1),
      axis,
      exact: axis.map((at) => densityAt(fixed.data, sde, fixed.sdes[name].tMin, at)),
      curves: this.known[name],
    };
  },

  // The errors of all solvers, of each SDE once, while the page stays awake.
  *steps({ curves }, { sde: name }, fixed) {
    for (const [solver, errors] of Object.entries(curves)) {
      while (errors.length < fixed.steps.length) { // another view of them may have gone on meanwhile
        errors.push(this.end(name, solver, fixed.steps[errors.length], fixed).error);
        yield;
      }
    }
  },

  draw(context, places, { error, evaluations, heights, axis, exact, curves }, { fixed: { steps }, look }) {
    const errors = new Panel(context, places[0], { x: [4, 500], y: [1e-5, 3], log: "xy" });
    for (const [solver, [, each, colour]] of Object.entries(SOLVERS)) {
      const along = steps.map((n) => each * n).slice(0, curves[solver].length);
      errors.line(along, curves[solver], { colour: look[colour], width: 1.2 });
      errors.dots(along, curves[solver], { colour: look[colour], radius: 3, alpha: 1 });
    }
    errors.rings([evaluations], [error], { colour: "black", radius: 6 });
    errors.legend(Object.entries(SOLVERS).map(([solver, [, , colour]]) => [solver, look[colour], "marks"]), "bottom");
    errors.frame({ xlabel: "evaluations of the score", ylabel: "distance to the exact density" });
    const ends = new Panel(context, places[1], { x: [-3, 3], y: [0, 1.8] });
    ends.bars(linspace(-3, 3, 61), heights, { colour: look.blue, alpha: 0.4 });
    ends.line(axis, exact, { colour: "black" });
    ends.frame({ title: "ends, and the exact density", xlabel: "x at the end" });
  },

  says({ sde: name, solver, n_steps: n }, { error, half, evaluations }, { fixed: { nPoints } }) {
    const order = solver.startsWith("flow") ? ` (order ${decimal(Math.log2(half / error), 1)})` : "";
    const scatter = order ? "" : `; ${nPoints} points that are drawn are off by 0.03 or so in any case`;
    return (
      `<b>${name}</b>, ${solver}, <b>${n}</b> steps, <b>${evaluations}</b> evaluations: distance to the exact ` +
      `density <b>${general(error, 2)}</b> of its standard deviations<br>with half of the steps it is ` +
      `${general(half, 2)}, ${decimal(half / error, 1)} times as much${order}${scatter}`
    );
  },
};
