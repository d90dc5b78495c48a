// Pictures on a canvas with the look of plots.py: axes with ticks, heat maps, arrows, lines, dots, bars.
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
function boxes(n, width) {
  const stacked = width < 640, each = stacked ? width : width / n;
  const height = Math.min(each - MARGIN.left - MARGIN.right, 370) + MARGIN.top + MARGIN.bottom;
  const places = Array.from({ length: n }, (_, i) => ({
    x: stacked ? 0 : i * each, y: stacked ? i * height : 0, width: each, height,
  }));
  return { places, height: stacked ? n * height : height };
}

// Round numbers from low to high, at most about `count` of them, and how each is written.
function ticks(low, high, count) {
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const tick = (first + i) * step;
    return [tick, tick.toFixed(digits).replace("-", "\u2212")];
  });
}

class Panel {
  // place: from `boxes`; x, y: [low, high] in data units. With `equal` a unit is as long in both directions.
  constructor(context, place, { x, y, equal = false }) {
    Object.assign(this, { context, x, y });
    this.left = place.x + MARGIN.left;
    this.top = place.y + MARGIN.top;
    this.width = place.width - MARGIN.left - MARGIN.right;
    this.height = place.height - MARGIN.top - MARGIN.bottom;
    if (equal) {
      const side = Math.min(this.width, this.height);
      this.left += (this.width - side) / 2;
      this.width = this.height = side;
    }
  }

  right(x) {
    return this.left + ((x - this.x[0]) / (this.x[1] - this.x[0])) * this.width;
  }

  down(y) {
    return this.top + ((this.y[1] - y) / (this.y[1] - this.y[0])) * this.height;
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

  // values: n x n, row by row from the bottom left, 0 to 1, at the points of a grid from edge to edge.
  heat(values, colours) {
    const n = Math.sqrt(values.length), small = document.createElement("canvas");
    small.width = small.height = n;
    const pixels = new ImageData(n, n);
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const value = Math.min(1, Math.max(0, values[row * n + column]));
        const colour = colours[Math.round(value * (colours.length - 1))];
        pixels.data.set([...colour, 255], 4 * ((n - 1 - row) * n + column));
      }
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
    const pad = this.width / (n - 1) / 2; // pixels are centred on the points
    this.inside((context) => {
      context.imageSmoothingEnabled = true;
      context.drawImage(small, this.left - pad, this.top - pad, this.width + 2 * pad, this.height + 2 * pad);
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

  // Bars of these heights between edges, one more than heights.
  bars(edges, heights, { colour, alpha }) {
    this.inside((context) => {
      Object.assign(context, { fillStyle: colour, globalAlpha: alpha });
      context.beginPath();
      heights.forEach((height, i) => {
        const [from, to, top] = [this.right(edges[i]), this.right(edges[i + 1]), this.down(height)];
        context.rect(from, top, to - from, this.down(0) - top);
      });
      context.fill();
    });
  }

  // Axes, numbers and words, over what was drawn. A label "x_1" has its 1 below the line.
  frame({ title, xlabel, ylabel = "" }) {
    const { context, left, top, width, height } = this;
    Object.assign(context, { strokeStyle: "black", fillStyle: "black", lineWidth: 0.8 });
    const path = [[left, top, left, top + height], [left, top + height, left + width, top + height]];
    context.font = `13px ${FONT}`;
    Object.assign(context, { textAlign: "center", textBaseline: "top" });
    for (const [tick, text] of ticks(...this.x, Math.max(3, width / 40))) {
      path.push([this.right(tick), top + height, this.right(tick), top + height + 4]);
      context.fillText(text, this.right(tick), top + height + 7);
    }
    Object.assign(context, { textAlign: "right", textBaseline: "middle" });
    for (const [tick, text] of ticks(...this.y, Math.max(3, height / 40))) {
      path.push([left - 4, this.down(tick), left, this.down(tick)]);
      context.fillText(text, left - 7, this.down(tick));
    }
    context.beginPath();
    for (const [x1, y1, x2, y2] of path) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
    Object.assign(context, { textAlign: "center", textBaseline: "alphabetic", font: `15px ${FONT}` });
    context.fillText(title, left + width / 2, top - 9);
    this._label(xlabel, left + width / 2, top + height + 38, 0);
    this._label(ylabel, left - 38, top + height / 2, -Math.PI / 2);
  }

  _label(text, x, y, angle) {
    const { context } = this, [base, below = ""] = text.split("_");
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    context.font = `italic 14px ${FONT}`;
    context.fillText(base, 0, 0);
    const after = context.measureText(base).width / 2;
    Object.assign(context, { font: `10px ${FONT}`, textAlign: "left" });
    context.fillText(below, after + 1, 4);
    context.restore();
  }

  // entries: [text, colour, "line" or "box"], from the top, at the left or the right.
  legend(entries, side) {
    const { context } = this;
    context.save();
    Object.assign(context, { font: `13px ${FONT}`, textAlign: "left", textBaseline: "middle" });
    const wide = Math.max(...entries.map(([text]) => context.measureText(text).width)) + 40;
    const x = side === "left" ? this.left + 12 : this.left + this.width - wide - 8;
    entries.forEach(([text, colour, kind], i) => {
      const y = this.top + 18 + 20 * i;
      context.globalAlpha = kind === "box" ? 0.6 : 1;
      context.fillStyle = colour;
      context.fillRect(x, y - (kind === "box" ? 5 : 1), 26, kind === "box" ? 10 : 2);
      Object.assign(context, { fillStyle: "black", globalAlpha: 1 });
      context.fillText(text, x + 36, y);
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
