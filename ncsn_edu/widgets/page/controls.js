// An explorer on a page: labelled controls, a canvas that follows them, a line of numbers.
// `model` holds `settings`, `values`, and `ran`: the values whose run has come to its end, or none; in a notebook it is
// shared with Python, and with other views of the explorer. This file does NOT know what is explored.

// By the name of the class: the layout (see `boxes`), and compute, draw, says. `steps` run at a button; where there is
// none they go on by themselves, once what has moved is shown. `idle` names the controls that change nothing while the
// others stand at these values.
const explorers = {};
const PIECE = 10; // milliseconds of a run between two pictures

const STYLE = `
.ncsn-explorer { max-width: 940px; font-size: 14px; }
.ncsn-controls { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 4px 24px; padding: 4px 4px 0; }
.ncsn-control { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; min-height: 30px; }
.ncsn-control > label { flex: 0 0 130px; }
.ncsn-control.ncsn-check > label { flex: 1 1 auto; }
.ncsn-control input[type=range] { flex: 1 1 80px; min-width: 60px; height: 26px; touch-action: pan-y; }
.ncsn-control input[type=number] { width: 76px; }
.ncsn-control input[step=any] { appearance: textfield; }
.ncsn-control input[step=any]::-webkit-inner-spin-button { display: none; }
.ncsn-control.ncsn-idle { opacity: 0.5; }
.ncsn-control select, .ncsn-control input[type=number], .ncsn-buttons button {
  font: inherit; color: inherit; background: transparent; border: 1px solid #8888; border-radius: 3px; padding: 2px 6px; }
.ncsn-control option { color: black; background: white; }
.ncsn-buttons { display: flex; gap: 8px; align-items: center; min-height: 30px; }
.ncsn-buttons button { min-width: 64px; }
.ncsn-buttons button.ncsn-run { color: white; background: #0072B2; border-color: #0072B2; }
.ncsn-explorer :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
.ncsn-picture { display: block; margin: 8px 0; }
.ncsn-alone, .jupyter-widgets-disconnected:has(> div > .ncsn-explorer)::before { display: none; }
.jupyter-widgets-disconnected .ncsn-alone { display: block; }
.ncsn-readout { font-size: 110%; line-height: 1.45; min-height: 4.4em; }`;

function make(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The value that a control can stand at, nearest to x: on its steps and between its ends, with six digits as in Python.
function settle(control, x) {
  const { kind, min, max, step } = control, place = kind === "log" ? Math.log10(Math.max(x, 1e-300)) : x;
  const inside = Math.min(max, Math.max(min, min + step * Math.round((place - min) / step)));
  return Number((kind === "log" ? 10 ** inside : inside).toPrecision(6));
}

// A value as it stands in the number field.
function written(control, value) {
  if (control.kind === "log") return general(value, 3);
  const digits = (String(control.step).split(".")[1] || "").length;
  return value.toFixed(digits);
}

const ALONE = "The kernel has ended or was started anew: this goes on in the page. Run the cell again for Python to follow.";

// Unique on a page, on which each explorer of a notebook may be a module of its own.
const OWN = Math.random().toString(36).slice(2);
let made = 0;
const newId = (kind) => `ncsn-${kind}-${OWN}-${made++}`;

function sliderControl(control, changed) {
  const id = newId("control"), log = control.kind === "log";
  const { min, max, step } = control;
  const range = make("input", { type: "range", id, min, max, step });
  const field = make("input", { type: "number", step: log ? "any" : step });
  field.setAttribute("aria-label", `${control.label}, as a number`);
  let now = control.start;
  const show = (value) => {
    const typing = field === document.activeElement && value === now; // it may be half a number
    now = value;
    range.value = log ? Math.log10(value) : value;
    range.setAttribute("aria-valuetext", written(control, value));
    if (!typing) field.value = written(control, value);
  };
  range.addEventListener("input", () => changed(settle(control, log ? 10 ** Number(range.value) : Number(range.value))));
  field.addEventListener("keydown", (event) => { // the browser's own arrows would add 1, whatever the power of ten
    const by = { ArrowUp: step, ArrowDown: -step }[event.key];
    if (!log || !by) return;
    event.preventDefault();
    changed(settle(control, now * 10 ** by));
  });
  field.addEventListener("change", () => {
    const typed = field.value.trim() === "" ? NaN : Number(field.value);
    const value = Number.isFinite(typed) ? settle(control, typed) : now; // nothing typed: as it was
    field.value = written(control, value);
    changed(value);
  });
  const element = make("div", { className: "ncsn-control" }, [make("label", { htmlFor: id, textContent: control.label }), range, field]);
  return { element, show };
}

function choiceControl(control, changed) {
  const id = newId("control");
  const select = make("select", { id }, control.options.map((option) => make("option", { value: option, textContent: option })));
  select.addEventListener("change", () => changed(select.value));
  const label = make("label", { htmlFor: id, textContent: control.label });
  return { element: make("div", { className: "ncsn-control" }, [label, select]), show: (value) => (select.value = value) };
}

function checkControl(control, changed) {
  const id = newId("control"), box = make("input", { type: "checkbox", id });
  box.addEventListener("change", () => changed(box.checked));
  const label = make("label", { htmlFor: id, textContent: control.label });
  return { element: make("div", { className: "ncsn-control ncsn-check" }, [box, label]), show: (value) => (box.checked = value) };
}

const KINDS = { linear: sliderControl, log: sliderControl, choice: choiceControl, check: checkControl };

// Put an explorer into the element `el`. Returns what takes it away again.
function show(el, model) {
  const settings = model.get("settings"), explorer = explorers[settings.explorer];
  const posed = new Posed(explorer, settings.fixed), byItself = explorer.steps && !settings.action;
  const canvas = make("canvas", { className: "ncsn-picture" }), readout = make("div", { className: "ncsn-readout" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", settings.alt);
  readout.id = newId("says");
  readout.setAttribute("aria-live", "polite");
  canvas.setAttribute("aria-describedby", readout.id);
  const alone = make("small", { className: "ncsn-alone", textContent: ALONE });
  const tell = (news) => {
    for (const [name, value] of Object.entries(news)) model.set(name, value);
    model.save_changes();
  };
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const ran = () => same(model.get("ran"), model.get("values"));
  const change = (some) => {
    const old = model.get("values"), values = { ...old, ...some };
    if (!same(values, old)) tell({ values, ran: {} });
    follow();
  };
  const controls = settings.controls.map((control) => {
    return { name: control.name, ...KINDS[control.kind](control, (value) => change({ [control.name]: value })) };
  });
  const reset = make("button", { type: "button", textContent: "Reset" });
  reset.addEventListener("click", () => {
    const values = Object.fromEntries(settings.controls.map((c) => [c.name, c.start]));
    tell({ values, ran: settings.action ? values : {} }); // what runs came with a result
    follow();
  });
  const run = make("button", { type: "button", className: "ncsn-run", textContent: settings.action });
  run.addEventListener("click", () => {
    posed.pose(model.get("values"));
    if (posed.running) {
      posed.stop();
      tell({ ran: {} });
    } else posed.start();
    follow();
  });
  const buttons = make("div", { className: "ncsn-buttons" }, settings.action ? [run, reset] : [reset]);
  const rows = make("div", { className: "ncsn-controls" }, [...controls.map((c) => c.element), buttons]);
  const root = make("div", { className: "ncsn-explorer" }, [make("style", { textContent: STYLE }), rows, canvas, readout, alone]);
  // Keys are the controls', and JupyterLab does not get them (a letter would add a cell, Ctrl+Backspace join two): all
  // but those that save the notebook and search in it.
  const share = (event) => {
    const asked = (event.ctrlKey || event.metaKey) && ["s", "f"].includes(event.key.toLowerCase());
    if (root.contains(event.target)) event.target.toggleAttribute("data-lm-suppress-shortcuts", !asked);
  };
  window.addEventListener("keydown", share, true); // before the notebook hears of it
  el.append(root);

  let frame = 0, width = 0, said = "";
  const draw = () => {
    frame = 0;
    posed.pose(model.get("values"));
    if (ran() && !posed.done && !posed.running) posed.start(); // as it was shown before, or ran in Python
    if (posed.running) posed.work(PIECE);
    const { places, height } = boxes(explorer, width);
    explorer.draw(sheet(canvas, width, height), places, posed.found, settings);
    readout.setAttribute("aria-busy", posed.running && !byItself); // is read aloud at the end of a run, not all the way
    const line = explorer.says(posed.values, posed.found, settings);
    if (line !== said) readout.innerHTML = said = line; // once, while only the picture goes on
    if (byItself && !posed.running && !posed.done) {
      posed.start();
      posed.work(0); // one step, or none where all is known
    }
    run.textContent = posed.running ? "Stop" : settings.action;
    if (posed.running) frame = requestAnimationFrame(draw);
    else if (posed.done && !byItself && !ran()) tell({ ran: posed.values });
  };
  const follow = () => { // at most once a frame, however many keys were pressed
    const values = model.get("values"), idle = explorer.idle ? explorer.idle(values) : [];
    for (const { name, show, element } of controls) {
      show(values[name]);
      element.classList.toggle("ncsn-idle", idle.includes(name));
      for (const part of element.querySelectorAll("input, select")) part.disabled = idle.includes(name);
    }
    if (!frame && width) frame = requestAnimationFrame(draw);
  };
  const rerun = () => { // a result that is given up elsewhere, by Python or in another view, is given up here
    if (posed.done && !byItself && !ran()) posed.forget();
    follow();
  };
  const observer = new ResizeObserver(() => {
    const room = Math.min(920, Math.floor(root.clientWidth));
    if (room && room !== width) {
      width = room;
      follow();
    }
  });
  observer.observe(root);
  window.addEventListener("resize", follow); // another zoom, or another screen, has other pixels
  model.on("change:values", follow);
  model.on("change:ran", rerun);
  follow();
  return () => {
    observer.disconnect();
    window.removeEventListener("resize", follow);
    window.removeEventListener("keydown", share, true);
    cancelAnimationFrame(frame);
    model.off("change:values", follow);
    model.off("change:ran", rerun);
    root.remove();
  };
}

// On a page without a kernel: the values live in the page alone, and what runs is shown with a result.
function showAll() {
  for (const el of document.querySelectorAll("[data-ncsn-explorer]:not([data-ncsn-shown])")) {
    const settings = JSON.parse(el.dataset.ncsnExplorer);
    const values = Object.fromEntries(settings.controls.map((c) => [c.name, c.start]));
    const held = { settings, values, ran: "action" in settings ? values : {} };
    const none = () => {};
    el.setAttribute("data-ncsn-shown", "");
    show(el, { get: (name) => held[name], set: (name, value) => (held[name] = value), save_changes: none, on: none, off: none });
  }
}
