// Schedules of DDPM to be designed, as ladders.py has it; digit and noise are Python's.

const PAPER = alphasBar(linearBetas(1000, 1e-4, 0.02)); // Ho et al. 2020

explorers.ScheduleExplorer = {
  panels: 2,
  tall: 260,
  strip: 8 / 98, // of the digits: their height to their width

  idle({ schedule }) {
    return schedule === "cosine" ? ["beta_n"] : [];
  },

  compute({ schedule, n_steps: n, beta_n: largest }, { times, digit, noise }) {
    const betas = schedule === "cosine" ? cosineBetas(n) : linearBetas(n, Math.min(1e-4, largest), largest);
    const kept = alphasBar(schedule === "linear, falling" ? betas.reverse() : betas);
    const digits = times.map((time) => {
      const left = time ? kept[Math.round(time * n) - 1] : 1;
      return digit.map((x, i) => (Math.sqrt(left) * x + Math.sqrt(1 - left) * noise[i] + 1) / 2);
    });
    const half = kept.findIndex((left) => left < 0.5) + 1;
    return { kept, half, digits, bits: -Math.log1p(-kept[n - 1]) / 2 / Math.LN2 };
  },

  draw(context, places, { kept, digits }, { fixed: { times }, look }) {
    const ratios = (shares) => shares.map((left) => Math.max(1e-12, left / (1 - left)));
    const along = (n) => Float64Array.from({ length: n }, (_, t) => (t + 1) / n);
    const left = new Panel(context, places[0], { x: [0, 1], y: [0, 1.03] });
    const ratio = new Panel(context, places[1], { x: [0, 1], y: [1e-5, 1e5], log: "y" });
    ratio.line([0, 1], [1, 1], { colour: look.grey, width: 1, dash: [1, 2] });
    for (const [panel, of] of [[left, (shares) => shares], [ratio, ratios]]) {
      panel.line(along(1000), of(PAPER), { colour: look.grey, width: 1.2, dash: [5, 3] });
      panel.line(along(kept.length), of(kept), { colour: look.blue });
    }
    left.legend([["linear, to 0.02 in 1000 steps", look.grey, "dashes"]], "right");
    left.frame({ title: "signal left, \u1fb1_t", xlabel: "t / T" });
    ratio.frame({ title: "signal to noise, \u1fb1_t / (1 \u2212 \u1fb1_t)", xlabel: "t / T" });
    const columns = 9 * times.length - 1, picture = new Float64Array(8 * columns).fill(1); // a white pixel between
    digits.forEach((digit, k) => digit.forEach((grey, i) => (picture[Math.floor(i / 8) * columns + 9 * k + (i % 8)] = grey)));
    const strip = new Panel(context, places[2], { x: [-0.5, columns - 0.5], y: [0, 1] });
    strip.image(picture, columns);
    const xticks = times.map((time, k) => [3.5 + 9 * k, time.toFixed(1)]);
    strip.frame({ title: "one digit, one draw of the noise", xlabel: "t / T", xticks, bare: true });
  },

  says({ schedule, n_steps: n, beta_n: largest }, { kept, half, bits }, { look }) {
    const middle = half
      ? `signal and noise are equal at t = ${half}`
      : inRed("the signal never gets below the noise", look);
    const beta = schedule === "cosine" ? "" : `, largest beta <b>${general(largest, 3)}</b>`;
    const [first, last] = [kept[0], kept[n - 1]].map((left) => general(sigmaOfAlphaBar(left), 3));
    return (
      `<b>${schedule}</b>, <b>${n}</b> steps${beta}: ${middle}<br>at the end ${general(kept[n - 1], 3)} of the signal's ` +
      `variance is left, ${general(bits, 3)} bits of a pixel of 1 or -1; sigma goes from ${first} to ${last}`
    );
  },
};
