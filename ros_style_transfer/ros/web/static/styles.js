// The styles: thumbnails, mixtures, cross-fades, and pictures that become styles.
import { byId, fillTrack, make, say, sayAnswer } from "./dom.js";

const MAX_SIDE = 1024; // pixels of an added style; the node uses no more
const MAX_UPLOAD = 32 * 2 ** 20; // bytes, as the server

export class Styles {
  /** `changes`: see controls.js. */
  constructor(changes) {
    this.changes = changes;
    this._listed = "";
    this._buttons = new Map();
    this._weights = new Map(); // sliders of a mixture, by name
    this._mix = byId("mix");
    this._mix.addEventListener("change", () => this._onMix());
    this._fade = byId("fade");
    const stored = localStorage.getItem("fade");
    if (stored !== null) this._fade.value = stored;
    this._showFade();
    this._fade.addEventListener("input", () => { localStorage.setItem("fade", this._fade.value); this._showFade(); });
    this._mask = byId("mask");
    this._mask.addEventListener("change", () => changes.want({ mask: this._mask.value }));
    byId("random").addEventListener("click", () => this._ask(["random"]));
    byId("from-camera").addEventListener("click", () => this._ask(["camera"]));
    for (const id of ["take", "choose"]) byId(id).addEventListener("change", (event) => this._add(event.target));
  }

  /** Show the styles that the node has: [{name, version}]. */
  list(styles) {
    const listed = JSON.stringify(styles);
    if (listed === this._listed) return;
    this._listed = listed;
    this._buttons = new Map(styles.map((style) => [style.name, this._make(style)]));
    byId("style-list").replaceChildren(...this._buttons.values());
    this._press(this._chosen);
  }

  /** Offer the masks that the node has; `current` is in force. */
  offerMasks(masks, current) {
    if (this.changes.isBusy([this._mask])) return;
    const names = [...new Set(["none", "topic", ...masks, current || "none"])];
    if (names.join() !== [...this._mask.options].map((option) => option.value).join()) {
      this._mask.replaceChildren(...names.map((name) => make("option", { value: name, text: name })));
    }
    this._mask.value = current || "none";
  }

  /** Show the node's current styles and their weights. */
  follow(names, weights) {
    if (this.changes.isBusy([...this._weights.values()])) return;
    const largest = Math.max(...weights, 0) || 1;
    const shown = new Map(names.map((name, index) => [name, weights.length ? weights[index] / largest : 1]));
    if (shown.size > 1) this._mix.checked = true;
    this._press([...shown.keys()]);
    this._showWeights(shown);
  }

  _chosen = [];

  _make({ name, version }) {
    const thumb = make("span", { class: "thumb", "aria-hidden": "true" });
    const image = make("img", { src: `/styles/${encodeURIComponent(name)}.jpg?v=${version}`, alt: "", loading: "lazy" });
    image.addEventListener("error", () => image.replaceWith(name.slice(0, 2)));
    thumb.append(image);
    const label = make("span", { class: "name", text: name.replace(/_/g, " ") });
    const button = make("button", { type: "button", class: "style", "aria-pressed": "false", title: name, "data-style": name, "data-live": true }, thumb, label);
    button.addEventListener("click", () => this._onClick(name));
    return button;
  }

  _onClick(name) {
    let chosen = [name];
    if (this._mix.checked) {
      chosen = this._chosen.includes(name) ? this._chosen.filter((other) => other !== name) : [...this._chosen, name];
      if (!chosen.length) return;
    }
    this._press(chosen);
    this._showWeights(new Map(chosen.map((each) => [each, this._weights.has(each) ? Number(this._weights.get(each).value) : 1])));
    this._ask(chosen);
  }

  _onMix() {
    if (this._mix.checked || this._chosen.length < 2) return;
    const first = this._chosen.slice(0, 1);
    this._press(first);
    this._showWeights(new Map());
    this._ask(first);
  }

  _press(names) {
    this._chosen = names;
    for (const [name, button] of this._buttons) button.setAttribute("aria-pressed", String(names.includes(name)));
  }

  _showWeights(weights) {
    const place = byId("weights"), names = [...weights.keys()];
    place.hidden = names.length < 2;
    if (names.join() !== [...this._weights.keys()].join()) {
      this._weights = new Map();
      place.replaceChildren(...names.map((name, index) => {
        const slider = make("input", { type: "range", id: `weight-${index}`, min: 0, max: 1, step: 0.01 });
        const output = make("output", { for: slider.id });
        slider.addEventListener("input", () => { this._showWeight(slider, output); this._askWeights(); });
        this._weights.set(name, slider);
        return make("div", { class: "row" }, make("label", { for: slider.id, text: name.replace(/_/g, " ") }), slider, output);
      }));
    }
    for (const [name, slider] of this._weights) {
      slider.value = weights.get(name);
      this._showWeight(slider, slider.nextElementSibling);
    }
  }

  _showWeight(slider, output) {
    output.value = Number(slider.value).toFixed(2);
    fillTrack(slider);
  }

  _askWeights() {
    if ([...this._weights.values()].some((slider) => Number(slider.value) > 0)) this._ask(this._chosen, 0);
  }

  _ask(styles, fade = Number(this._fade.value)) {
    const weights = styles.length > 1 ? styles.map((name) => Number(this._weights.get(name).value)) : [];
    this.changes.want({ styles, weights, fade });
  }

  _showFade() {
    byId("fade-number").value = `${Number(this._fade.value).toFixed(1)} s`;
    fillTrack(this._fade);
  }

  async _add(input) {
    const [file] = input.files;
    if (!file) return;
    const taken = input.id === "take";
    const name = taken ? `picture_${new Date().toTimeString().slice(0, 8).replace(/:/g, "")}` : file.name.replace(/\.[^.]*$/, "");
    say(`Adding ${name} …`);
    try {
      const body = await shrink(file);
      if (body.size > MAX_UPLOAD) throw new Error(`The picture has ${Math.round(body.size / 2 ** 20)} MB; at most ${MAX_UPLOAD / 2 ** 20} can be sent.`);
      const use = this._mix.checked ? 0 : 1;
      const answer = await fetch(`/styles?use=${use}&name=${encodeURIComponent(name)}`, { method: "POST", body });
      const text = await answer.text();
      sayAnswer(text.startsWith("{") ? JSON.parse(text) : { success: false, message: text.trim() });
    } catch (error) {
      say(error.message || String(error), true);
    } finally {
      input.value = "";
    }
  }
}

/** A picture file, scaled down if this browser can read it and it is larger than a style needs to be. */
async function shrink(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file; // the robot may know its format
  }
  const scale = MAX_SIDE / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return file;
  const canvas = make("canvas", { width: Math.round(scale * bitmap.width), height: Math.round(scale * bitmap.height) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob || file), "image/jpeg", 0.95));
}
