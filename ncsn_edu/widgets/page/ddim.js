// DDPM against DDIM from the same starts, as ladders.py has it, with the same noise.

const goesLeft = (x) => Array.from({ length: x.length / 2 }, (_, i) => x[2 * i] + x[2 * i + 1] < 0);
const share = (truths) => truths.filter((truth) => truth).length / truths.length;

explorers.DdimExplorer = {
  panels: 2,

  idle({ eta }) {
    return eta === 0 ? ["seed"] : [];
  },

  compute({ n_steps: nSteps, eta, seed }, { mixture, start, flow, ends: [highest, lowest] }) {
    const sigmas = geometric(highest, lowest, nSteps + 1);
    const path = [start, ...ddim(scoreOf(mixture), Float64Array.from(start), { sigmas, eta, noise: torchNoise(seed) })];
    const end = path[nSteps], left = goesLeft(end), toLeft = goesLeft(flow);
    const right = [0, 1].map((side) => end.filter((_, at) => at % 2 === side && !left[Math.floor(at / 2)]));
    const shown = [false, true].flatMap((side) => [...toLeft.keys()].filter((i) => toLeft[i] === side).slice(0, 4));
    const off = Array.from(left, (_, i) => Math.hypot(end[2 * i] - flow[2 * i], end[2 * i + 1] - flow[2 * i + 1]));
    return {
      end, toLeft, sigmas,
      lines: shown.map((i) => ({
        toLeft: toLeft[i], along: path.map((x, level) => x[2 * i] / Math.sqrt(1 + sigmas[level] ** 2)),
      })),
      left: share(left),
      spread: right[0].length < 2 ? NaN : (Math.sqrt(variance(right[0])) + Math.sqrt(variance(right[1]))) / 2,
      same: share(left.map((side, i) => side === toLeft[i])),
      apart: off.reduce((sum, distance) => sum + distance, 0) / off.length,
    };
  },

  draw(context, places, { end, toLeft, sigmas, lines }, { fixed: { mixture, extent, ends: range }, look }) {
    const whole = [-extent, extent], colours = [look.orange, look.purple];
    const ends = new Panel(context, places[0], { x: whole, y: whole, equal: true });
    this.density ??= relativeDensity(mixture, extent);
    ends.heat(this.density, look.density);
    for (const side of [false, true]) {
      const of = (axis) => end.filter((_, at) => at % 2 === axis && toLeft[Math.floor(at / 2)] === side);
      ends.dots(of(0), of(1), { colour: colours[Number(side)], alpha: 1 });
    }
    if (allOutside(end, extent)) ends.note("all chains are outside", look.red);
    ends.legend([["the flow leads right", colours[0], "dot"], ["the flow leads left", colours[1], "dot"]], "left");
    ends.frame({ title: "where the chains end", xlabel: "x_1", ylabel: "x_2" });
    const paths = new Panel(context, places[1], { x: range, y: [-7, 7], log: "x" });
    for (const { toLeft: side, along } of lines) paths.line(sigmas, along, { colour: colours[Number(side)], width: 1.3 });
    paths.frame({ title: "eight of them on the way", xlabel: "\u03c3", ylabel: "x_1 / \u221a(1 + \u03c3^2)" });
  },

  says({ n_steps: nSteps, eta, seed }, { left, spread, same, apart }) {
    return (
      `<b>${nSteps}</b> steps, eta <b>${decimal(eta, 2)}</b>, seed <b>${seed}</b>: left mode ${decimal(left, 2)} ` +
      `(truth 0.20), standard deviation of the right one ${decimal(spread, 2)} (truth 1.00)<br>` +
      `${decimal(100 * same, 0)}% of the chains end in the mode that the flow leads to, ` +
      `and on average ${decimal(apart, 2)} from its end`
    );
  },
};
