// Renders: start, progress, the curve of the loss, preview, cancel, result.
import { byId, make, sayAnswer } from "./dom.js";

const WIDTH = 300, HEIGHT = 90, MARGIN = 6; // of the curve, in its own units

export class Renders {
  constructor(connection) {
    this._image = byId("rendered").querySelector("img");
    this._shown = "";
    byId("render-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const number = (id) => Number(byId(id).value);
      const goal = { size: number("render-size"), time_budget: number("render-time"), iterations: number("render-iterations") };
      sayAnswer(await connection.ask({ do: "render", ...goal }), true);
    });
    byId("render-cancel").addEventListener("click", async () => sayAnswer(await connection.ask({ do: "cancel" }), true));
  }

  /** Show the state of renders. */
  follow(render) {
    const { own, others, progress } = render;
    const active = own || others;
    byId("render-start").dataset.busy = own ? "1" : "";
    byId("render-cancel").disabled = !active;
    const bar = byId("render-progress"), total = progress ? progress.seconds + progress.remaining : 0;
    bar.hidden = !active;
    bar.value = total ? Math.min(1, progress.seconds / total) : 0;
    byId("render-text").textContent = active && progress
      ? `Size ${progress.scale} of ${progress.scales} (${progress.width}×${progress.height}), iteration ${progress.iteration} of ${progress.iterations}, ${Math.round(progress.remaining || 0)} s to go. ${progress.note}`
      : active || render.message ? render.message : "";
    this._showPicture(render, active);
  }

  /** Draw the loss over time: [[seconds, loss, scale], ...]. */
  draw(losses) {
    const figure = byId("losses"), points = losses.filter(([seconds, loss]) => seconds !== null && loss > 0);
    figure.hidden = points.length < 2;
    if (figure.hidden) return;
    const values = points.map(([, loss]) => Math.log(loss));
    const low = Math.min(...values), high = Math.max(...values), end = points[points.length - 1][0] || 1;
    const x = (seconds) => ((WIDTH * seconds) / end).toFixed(1);
    const y = (value) => (MARGIN + (HEIGHT - 2 * MARGIN) * (high > low ? (high - value) / (high - low) : 0.5)).toFixed(1);
    const parts = [];
    let path = "";
    points.forEach(([seconds, , scale], index) => {
      const first = index === 0 || points[index - 1][2] !== scale;
      if (first && index) parts.push(shape("line", { x1: x(seconds), x2: x(seconds), y1: 0, y2: HEIGHT }));
      path += `${first ? "M" : "L"}${x(seconds)} ${y(values[index])}`;
    });
    parts.push(shape("path", { d: path }));
    figure.querySelector("svg").replaceChildren(...parts);
    figure.querySelector("figcaption").textContent = `loss ${points[points.length - 1][1].toPrecision(4)} after ${Math.round(end)} s, logarithmic; dashed: the next size`;
  }

  _showPicture({ preview, picture }, active) {
    const source = active && preview !== this._seen ? `/preview.jpg?n=${preview}` : picture && !active ? `/render.jpg?n=${picture.number}` : this._shown;
    if (!active) this._seen = preview; // of earlier renders
    byId("rendered").hidden = !source;
    byId("render-download").hidden = !picture;
    if (picture) byId("render-size-text").textContent = active ? "preview" : `${picture.width}×${picture.height}`;
    else byId("render-size-text").textContent = "preview";
    if (!source || source === this._shown) return;
    this._shown = source;
    const next = make("img", { alt: active ? "Preview of the render" : "The render", src: source });
    next.decode().then(() => {
      if (source === this._shown) { this._image.replaceWith(next); this._image = next; } // no flicker
    }, () => {});
  }
}

function shape(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
