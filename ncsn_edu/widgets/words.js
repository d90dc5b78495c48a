// What ipywidgets leaves out of an explorer that a kernel answers: names for screen readers, and a line that says so
// once the kernel is gone. `model` holds `names` (selector -> name of a picture), `busy` and `gone` (the line), and is
// told `pixel_ratio`, that of the screen.
// This file does NOT know what is explored.

const WORDS_STYLE = `
.ncsn-words { max-width: 780px; padding: 4px 0; font-weight: bold; }
.ncsn-answered.jupyter-widgets-disconnected::before, .ncsn-answered .jupyter-widgets-disconnected::before { display: none; }
.ncsn-answered [inert] { opacity: 0.55; }`;

// Only what differs, so that what follows changes comes to rest.
function put(element, name, value) {
  if (value === null ? element.hasAttribute(name) : element.getAttribute(name) !== value) {
    if (value === null) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
}

const PLAY = { play: "Play", pause: "Pause", stop: "Stop", retweet: "Repeat" }; // buttons by their icons

// Unique on a page, on which each explorer of a notebook is a module of its own.
const LINE = `ncsn-says-${Math.random().toString(36).slice(2)}`;
let described = 0;

function nameAll(root, model) {
  const each = (selector, mend) => root.querySelectorAll(selector).forEach(mend);
  each(".fa", (icon) => put(icon, "aria-hidden", "true"));
  each(".widget-slider", (slider) => {
    const label = slider.querySelector(".widget-label").textContent.trim();
    const number = slider.querySelector(".widget-readout"), handle = slider.querySelector(".noUi-handle");
    const off = handle.closest("[disabled]") ? "true" : null;
    put(handle, "aria-label", label);
    put(handle, "aria-valuetext", number.textContent.trim()); // of a slider over powers of ten not the exponent
    put(handle, "aria-disabled", off);
    put(number, "role", "textbox");
    put(number, "aria-label", `${label}, as a number`);
    put(number, "aria-disabled", off);
  });
  each(".widget-play button", (button) => {
    const icon = Object.keys(PLAY).find((name) => button.querySelector(`.fa-${name}`));
    put(button, "aria-label", PLAY[icon] ?? null);
  });
  each(".widget-toggle-button", (button) => put(button, "aria-pressed", String(button.classList.contains("mod-active"))));
  const line = root.querySelector(".widget-html-content:has(.ncsn-readout)");
  if (line) {
    line.id ||= `${LINE}-${described++}`;
    put(line, "aria-live", "polite");
    put(line, "aria-busy", String(model.get("busy"))); // not read aloud ten times a second
  }
  for (const [selector, name] of Object.entries(model.get("names"))) {
    each(selector, (picture) => {
      put(picture, "role", "img");
      put(picture, "tabindex", null); // a canvas of ipycanvas takes all keys, and lets none out
      put(picture, picture.tagName === "IMG" ? "alt" : "aria-label", name);
      if (line) put(picture, "aria-describedby", line.id);
    });
  }
}

function showWords(el, model) {
  const line = Object.assign(document.createElement("div"), { className: "ncsn-words" });
  const style = Object.assign(document.createElement("style"), { textContent: WORDS_STYLE });
  line.setAttribute("role", "status");
  el.append(style, line);
  let root = null, frame = 0;
  const isDead = () => root.classList.contains("jupyter-widgets-disconnected");
  const mend = () => {
    const dead = isDead();
    line.hidden = !dead;
    if (dead && !line.textContent) line.textContent = model.get("gone");
    for (const part of root.children) part.inert = dead && part.querySelector("button, input, select, .noUi-handle") !== null;
    nameAll(root, model);
  };
  // Notebook 7 would take a slider's arrow keys; Ctrl+S and its like stay the notebook's.
  const keep = (event) => {
    const handle = root?.contains(event.target) && event.target.closest(".noUi-handle");
    const own = event.key.startsWith("Arrow") && !(event.ctrlKey || event.metaKey || event.altKey);
    if (handle) put(handle, "data-lm-suppress-shortcuts", own ? "true" : null);
  };
  window.addEventListener("keydown", keep, true); // before the notebook hears of it
  const tellScreen = () => {
    if (isDead() || model.get("pixel_ratio") === window.devicePixelRatio) return;
    model.set("pixel_ratio", window.devicePixelRatio);
    model.save_changes();
  };
  const observer = new MutationObserver(mend);
  const begin = () => { // this is made before it is put into its box
    root = el.parentElement;
    if (!root) {
      frame = requestAnimationFrame(begin);
      return;
    }
    root.classList.add("ncsn-answered");
    const attributeFilter = ["class", "disabled", "aria-valuetext", "tabindex"];
    observer.observe(root, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter });
    model.on("change:busy change:names", mend);
    mend();
    window.addEventListener("resize", tellScreen); // so is zooming
    tellScreen();
  };
  begin();
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
    window.removeEventListener("keydown", keep, true);
    window.removeEventListener("resize", tellScreen);
    model.off("change:busy change:names", mend);
  };
}

export default { render: ({ model, el }) => showWords(el, model) };
