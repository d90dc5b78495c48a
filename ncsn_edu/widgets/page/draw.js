// Pictures on a canvas with the look of plots.py: axes with ticks, heat maps, images, arrows, lines, dots, bars.
// This file does NOT compute.

const FONT = "'DejaVu Sans', Verdana, sans-serif";
const MARGIN = { left: 58, right: 14, top: 26, bottom: 46 }; // of a panel: for title, numbers and labels

// Give the canvas its size in CSS pixels, sharp on every screen. Returns the context, white all over.
function sheet(canvas, width, height) {
  const ratio = globalThis.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  return context;
}

// Boxes of n panels, side by side, or one below the other where there is no room; and the height of all.
// `widths` of panels side by side, in shares; `tall`: height of axes, at most; `above`: entries of a legend over the axes; `strip`: height to width of one more panel across, at the bottom.
function boxes({ panels: n, widths, tall = 370, above = 0, strip = 0 }, width) {
  const stacked = width < (n > 2 ? 720 : 640), each = stacked ? width : width / n;
  const columns = width < 880 ? 1 : 2, top = Math.max(MARGIN.top, 17 * Math.ceil(above / columns) + 6);
  const height = Math.min(each - MARGIN.left - MARGIN.right, tall) + top + MARGIN.bottom;
  const shares = (widths ?? new Array(n).fill(1)).map((share, _, all) => share / all.reduce((sum, one) => sum + one, 0));
  const places = shares.map((share, i) => {
    const x = width * shares.slice(0, i).reduce((sum, one) => sum + one, 0);
    return { x: stacked ? 0 : x, y: stacked ? i * height : 0, width: stacked ? width : share * width, height, top, columns };
  });
  const all = stacked ? n * height : height;
  if (!strip) return { places, height: all };
  const below = strip * (width - MARGIN.left - MARGIN.right) + MARGIN.top + MARGIN.bottom;
  places.push({ x: 0, y: all, width, height: below, top: MARGIN.top, columns });
  return { places, height: all + below };
}

// Round numbers from low to high, at most about `count` of them, and how each is written; a step is `least` or more.
function ticks(low, high, count, least = 0) {
  const rough = Math.max((high - low) / count, least), unit = 10 ** Math.floor(Math.log10(rough) + 1e-9);
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const tick = (first + i) * step;
    return [tick, tick.toFixed(digits).replace("-", "\u2212")];
  });
}

// Powers of ten from low to high, at most about `count` of them.
function powers(low, high, count) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const step = Math.max(1, Math.ceil((last - first) / count));
  const from = Math.ceil(first / step) * step;
  return Array.from({ length: Math.floor((last - from) / step) + 1 }, (_, i) => {
    const power = from + i * step;
    return [10 ** power, `10^{${String(power).replace("-", "\u2212")}}`];
  });
}

// Two to nine times the powers of ten from low to high, if these are few.
function betweenPowers(low, high) {
  const [first, last] = [low, high].map((end) => Math.floor(Math.log10(end)));
  if (last - first > 7) return [];
  const all = Array.from({ length: last - first + 1 }, (_, i) => [2, 3, 4, 5, 6, 7, 8, 9].map((k) => k * 10 ** (first + i)));
  return all.flat().filter((tick) => tick >= low && tick <= high);
}

// Write a text in which "_1" or "_{i}" stands below the line, and "^2" above it. `align` is a canvas's textAlign.
function write(context, text, x, y, { size, align = "left", style = "" }) {
  const parts = [...text.matchAll(/([_^])(?:\{([^}]*)\}|(.))|[^_^]+/gu)].map(([all, mark, many, one]) => {
    return { words: mark ? many ?? one : all, lift: { _: 0.25, "^": -0.4 }[mark] ?? 0, share: mark ? 0.72 : 1 };
  });
  const font = ({ share }) => (context.font = `${share < 1 ? "" : style} ${Math.round(size * share)}px ${FONT}`);
  const widths = parts.map((part) => font(part) && context.measureText(part.words).width);
  const whole = widths.reduce((sum, width) => sum + width, 0);
  let at = x - whole * { left: 0, center: 0.5, right: 1 }[align];
  context.textAlign = "left";
  parts.forEach((part, i) => {
    font(part);
    context.fillText(part.words, at, y + part.lift * size);
    at += widths[i];
  });
  return whole;
}

class Panel {
  // place: from `boxes`; x, y: [low, high] in data units. With `equal` a unit is as long in both directions;
  // `log` names the axes that are logarithmic: "x", "y" or "xy".
  constructor(context, place, { x, y, equal = false, log = "" }) {
    Object.assign(this, { context, x, y, log, columns: place.columns });
    this.left = place.x + MARGIN.left;
    this.top = place.y + place.top;
    this.width = place.width - MARGIN.left - MARGIN.right;
    this.height = place.height - place.top - MARGIN.bottom;
    if (equal) {
      const side = Math.min(this.width, this.height);
      this.left += (this.width - side) / 2;
      this.width = this.height = side;
    }
  }

  right(x) {
    return this.left + this._share(x, "x") * this.width;
  }

  down(y) {
    return this.top + (1 - this._share(y, "y")) * this.height;
  }

  // How far along an axis a value lies, from 0 to 1.
  _share(value, axis) {
    const far = this.log.includes(axis) ? (number) => Math.log10(Math.max(number, 1e-300)) : (number) => number;
    const [low, high] = this[axis];
    return (far(value) - far(low)) / (far(high) - far(low));
  }

  // Draw within the axes alone.
  inside(draw) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(this.left, this.top, this.width, this.height);
    context.clip();
    draw(context);
    context.restore();
  }

  // values: row by row from the bottom left, 0 to 1, at the points of a square grid from edge to edge; or of so many
  // columns, as pixels that fill the axes.
  heat(values, colours, columns = null) {
    const across = columns ?? Math.sqrt(values.length), rows = values.length / across;
    const small = Object.assign(document.createElement("canvas"), { width: across, height: rows });
    const pixels = new ImageData(across, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < across; column++) {
        const value = Math.min(1, Math.max(0, values[row * across + column]));
        const colour = colours[Math.round(value * (colours.length - 1))];
        pixels.data.set([...colour, 255], 4 * ((rows - 1 - row) * across + column));
      }
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
    const pad = columns ? 0 : this.width / (across - 1) / 2; // pixels are centred on the points
    this.inside((context) => {
      context.imageSmoothingEnabled = true;
      context.drawImage(small, this.left - pad, this.top - pad, this.width + 2 * pad, this.height + 2 * pad);
    });
  }

  // An image of grey values, 0 to 1, row by row from the top left, one pixel to a unit of the axes.
  image(values, columns) {
    const rows = values.length / columns, small = document.createElement("canvas");
    Object.assign(small, { width: columns, height: rows });
    const pixels = new ImageData(columns, rows);
    values.forEach((value, i) => {
      const grey = Math.round(255 * Math.min(1, Math.max(0, value)));
      pixels.data.set([grey, grey, grey, 255], 4 * i);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    this.inside((context) => {
      context.imageSmoothingEnabled = false;
      context.drawImage(small, this.left, this.top, this.width, this.height);
    });
  }

  // A part of the picture in a pale colour; without x or y, from edge to edge.
  zone({ x = this.x, y = this.y, colour, alpha = 0.15 }) {
    this.inside((context) => {
      Object.assign(context, { fillStyle: colour, globalAlpha: alpha });
      const [left, right, top, bottom] = [this.right(x[0]), this.right(x[1]), this.down(y[1]), this.down(y[0])];
      context.fillRect(left, top, right - left, bottom - top);
    });
  }

  line(xs, ys, { colour, width = 1.8, dash = [], alpha = 1 }) {
    this.inside((context) => {
      Object.assign(context, { strokeStyle: colour, lineWidth: width, globalAlpha: alpha, lineJoin: "round" });
      context.setLineDash(dash);
      context.beginPath();
      const far = 1e5; // in pixels: beyond it a canvas may draw nonsense
      const cut = (place) => Math.min(far, Math.max(-far, place));
      for (let i = 0; i < xs.length; i++) context.lineTo(cut(this.right(xs[i])), cut(this.down(ys[i])));
      context.stroke();
    });
  }

  dots(xs, ys, { colour, radius = 1.7, alpha = 0.6 }) {
    this.inside((context) => {
      Object.assign(context, { fillStyle: colour, globalAlpha: alpha });
      for (let i = 0; i < xs.length; i++) {
        context.beginPath();
        context.arc(this.right(xs[i]), this.down(ys[i]), radius, 0, 2 * Math.PI);
        context.fill();
      }
    });
  }

  rings(xs, ys, { colour, radius }) {
    this.inside((context) => {
      Object.assign(context, { strokeStyle: colour, lineWidth: 2 });
      for (let i = 0; i < xs.length; i++) {
        context.beginPath();
        context.arc(this.right(xs[i]), this.down(ys[i]), radius, 0, 2 * Math.PI);
        context.stroke();
      }
    });
  }

  // Arrows (u, v) in data units from (x, y), with a head as long as the arrow allows.
  arrows(list, colour) {
    this.inside((context) => {
      Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: 1.2 });
      for (const { x, y, u, v } of list) {
        const [fromX, fromY, toX, toY] = [this.right(x), this.down(y), this.right(x + u), this.down(y + v)];
        const length = Math.hypot(toX - fromX, toY - fromY);
        if (length < 0.5) continue;
        const [ex, ey, head] = [(toX - fromX) / length, (toY - fromY) / length, Math.min(6, length)];
        context.beginPath();
        context.moveTo(fromX, fromY);
        context.lineTo(toX - ex * head * 0.8, toY - ey * head * 0.8);
        context.stroke();
        context.beginPath();
        context.moveTo(toX, toY);
        context.lineTo(toX - ex * head - ey * head * 0.36, toY - ey * head + ex * head * 0.36);
        context.lineTo(toX - ex * head + ey * head * 0.36, toY - ey * head - ex * head * 0.36);
        context.fill();
      }
    });
  }

  // Bars of these heights between edges, one more than heights; `sideways`: from the left.
  bars(edges, heights, { colour, alpha, sideways = false }) {
    this.inside((context) => {
      Object.assign(context, { fillStyle: colour, globalAlpha: alpha });
      context.beginPath();
      heights.forEach((height, i) => {
        if (sideways) {
          const [low, high, start] = [this.down(edges[i]), this.down(edges[i + 1]), this.right(0)];
          context.rect(start, high, this.right(height) - start, low - high);
          return;
        }
        const [from, to, top] = [this.right(edges[i]), this.right(edges[i + 1]), this.down(height)];
        context.rect(from, top, to - from, this.down(0) - top);
      });
      context.fill();
    });
  }

  // Short lines over the lower edge, at these x.
  rug(xs, colour) {
    this.inside((context) => {
      context.fillStyle = colour;
      for (const x of xs) context.fillRect(this.right(x) - 0.6, this.top + this.height - 6, 1.2, 6);
    });
  }

  // Axes, numbers and words, over what was drawn. `whole`: only whole numbers along x. `xticks`, `yticks`: others
  // than round ones. Labels as `write` has them; `bare`: numbers along x, and no axes.
  frame({ title = "", xlabel, ylabel = "", whole = false, xticks, yticks, bare = false }) {
    const { context, left, top, width, height, log } = this;
    Object.assign(context, { strokeStyle: "black", fillStyle: "black", lineWidth: 0.8 });
    const path = bare ? [] : [[left, top + height, left + width, top + height], [left, top, left, top + height]];
    const [across, up] = [Math.max(3, width / 40), Math.max(3, height / 40)];
    context.textBaseline = "top";
    const [low, high] = [Math.min(...this.x), Math.max(...this.x)]; // an axis may fall
    for (const [tick, text] of xticks ?? (log.includes("x") ? powers : ticks)(low, high, across, whole ? 1 : 0)) {
      path.push([this.right(tick), top + height, this.right(tick), top + height + 4]);
      const below = log.includes("x") ? 11 : 7; // room for powers
      write(context, text, this.right(tick), top + height + below, { size: 13, align: "center" });
    }
    context.textBaseline = "middle";
    for (const [tick, text] of bare ? [] : yticks ?? (log.includes("y") ? powers : ticks)(...this.y, up)) {
      path.push([left - 4, this.down(tick), left, this.down(tick)]);
      write(context, text, left - 7, this.down(tick), { size: 13, align: "right" });
    }
    if (log.includes("x") && !xticks) {
      for (const tick of betweenPowers(low, high)) path.push([this.right(tick), top + height, this.right(tick), top + height + 2]);
    }
    if (log.includes("y") && !yticks) {
      for (const tick of betweenPowers(...this.y)) path.push([left - 2, this.down(tick), left, this.down(tick)]);
    }
    context.beginPath();
    for (const [x1, y1, x2, y2] of path) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
    context.textBaseline = "alphabetic";
    context.font = `15px ${FONT}`;
    const fits = (15 * (width + 2 * MARGIN.right)) / context.measureText(title).width;
    write(context, title, left + width / 2, top - 9, { size: Math.floor(Math.min(15, fits)), align: "center" });
    this._label(xlabel, left + width / 2, top + height + 38, 0);
    this._label(ylabel, left - (log.includes("y") ? 45 : 38), top + height / 2, -Math.PI / 2);
  }

  _label(text, x, y, angle) {
    const { context } = this;
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    write(context, text, 0, 0, { size: 14, align: "center", style: /[a-z]{2}/i.test(text) ? "" : "italic" }); // words, letters
    context.restore();
  }

  // What stands beside the words of a legend; "marks" are a line with a dot.
  sample(kind, x, y) {
    const { context } = this;
    context.globalAlpha = { box: 0.6, pale: 0.2 }[kind] ?? 1;
    if (kind === "dashes") [0, 10, 20].forEach((dash) => context.fillRect(x + dash, y - 1, 6, 2));
    else if (kind === "box" || kind === "pale") context.fillRect(x, y - 5, 26, 10);
    else {
      if (kind !== "dot") context.fillRect(x, y - 1, 26, 2);
      if (kind === "line") return;
      context.beginPath();
      context.arc(x + 13, y, 4, 0, 2 * Math.PI);
      context.fill();
    }
  }

  // entries: [text, colour, a kind of `sample`], at the "left" or the "right" from the top, at the left down to the
  // "bottom", or "above" the axes. A text alone is their title.
  legend(entries, side) {
    const { context } = this, above = side === "above", size = above ? 12 : 13, step = above ? 17 : 20;
    context.save();
    context.font = `${size}px ${FONT}`;
    const wide = Math.max(...entries.map(([text]) => context.measureText(text.replace(/[_^{}]/g, "")).width)) + 40;
    const across = above ? this.columns : 1, rows = Math.ceil(entries.length / across);
    const start = {
      left: this.left + 12,
      bottom: this.left + 12,
      right: this.left + this.width - wide - 8,
      above: Math.max(this.left, this.left + (this.width - across * (wide + 8)) / 2),
    }[side];
    const below = step * (rows - 1); // the first
    const first = { above: this.top - 10 - below, bottom: this.top + this.height - 16 - below }[side] ?? this.top + 18;
    entries.forEach(([text, colour, kind], i) => {
      const x = start + Math.floor(i / rows) * (wide + 8), y = first + step * (i % rows);
      Object.assign(context, { fillStyle: colour, textBaseline: "middle" });
      if (kind) this.sample(kind, x, y);
      Object.assign(context, { fillStyle: "black", globalAlpha: 1 });
      write(context, text, kind ? x + (above ? 32 : 36) : x, y, { size });
    });
    context.restore();
  }

  // Words in the middle, on white.
  note(text, colour) {
    const { context } = this, [x, y] = [this.left + this.width / 2, this.top + this.height / 2];
    context.save();
    Object.assign(context, { font: `14px ${FONT}`, textAlign: "center", textBaseline: "middle", fillStyle: "white" });
    const wide = context.measureText(text).width + 12;
    context.fillRect(x - wide / 2, y - 13, wide, 26);
    context.fillStyle = colour;
    context.fillText(text, x, y);
    context.restore();
  }
}
