// What JupyterLab and Notebook 7 load of an extension is a container of modules. This one has two: `./style` adds
// style.css, and `./extension` gives pictures the words that a notebook stores beside them, for who does not see them.
const here = document.currentScript.src;
let shared; // modules of JupyterLab itself: name -> version -> {get}

async function loaded(name) {
  const [version] = Object.values(shared[name]);
  return (await version.get())();
}

function style() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("style.css", here).href;
  document.head.append(link);
  return {};
}

async function extension() {
  const { IRenderMimeRegistry, RenderedImage } = await loaded("@jupyterlab/rendermime");
  class PictureInWords extends RenderedImage {
    async render(model) {
      await super.render(model);
      const { alt } = model.metadata[this.mimeType] ?? {};
      if (alt) this.node.querySelector("img").alt = alt;
    }
  }
  const factory = {
    safe: true,
    mimeTypes: ["image/png"],
    defaultRank: 90, // that of the renderer in whose place it comes
    createRenderer: options => new PictureInWords(options),
  };
  const plugin = {
    id: "ncsn-edu:pictures-in-words",
    autoStart: true,
    requires: [IRenderMimeRegistry],
    activate: (_, registry) => registry.addFactory(factory),
  };
  return { __esModule: true, default: plugin };
}

window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB["ncsn-edu"] = {
  init: scope => {
    shared = scope;
  },
  get: async name => {
    if (name === "./style") return style;
    const found = await extension();
    return () => found;
  },
};
