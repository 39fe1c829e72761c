// The camera's and the stylized frame: drawn, arranged, compared.
import { unpack } from "./connection.js";
import { byId } from "./dom.js";

const MAX_SIDE = 2880; // pixels that the page asks for
const STALE = 2000; // milliseconds after which the stylized frame is shown as old, if only camera frames come

export class Pictures {
  constructor(connection) {
    this.connection = connection;
    this.camera = "";
    this.shown = { frames: 0, width: 0, height: 0 };
    this._place = byId("pictures");
    this._canvases = { camera: byId("camera-picture"), painted: byId("painted-picture") };
    this._last = 0;
    this._painted = 0;
    this._place.dataset.blank = "true";
    connection.addEventListener("frame", (event) => this._draw(event.detail));
    connection.addEventListener("open", () => { this._last = 0; this.look(); });
    document.addEventListener("visibilitychange", () => this.look());
    let resizing;
    new ResizeObserver(() => { clearTimeout(resizing); resizing = setTimeout(() => this.look(), 200); }).observe(this._place);
    const stored = localStorage.getItem("layout");
    const layout = ["slider", "side", "painted"].includes(stored) ? stored : innerWidth < 900 ? "slider" : "side";
    for (const input of document.querySelectorAll("[name=layout]")) {
      input.checked = input.value === layout;
      input.addEventListener("change", () => { localStorage.setItem("layout", input.value); this._arrange(input.value); });
    }
    this._arrange(layout);
    byId("cut").addEventListener("input", (event) => this._place.style.setProperty("--cut", `${event.target.value}%`));
    const full = byId("full");
    full.hidden = !document.fullscreenEnabled;
    full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : byId("stage").requestFullscreen()));
  }

  /** Tell the server what is looked at, and how large. */
  look() {
    const width = this._canvases.painted.clientWidth || 640, height = this._canvases.painted.clientHeight || 480;
    this.connection.tell({
      do: "view",
      camera: this.camera,
      both: this._place.dataset.layout !== "painted",
      side: Math.max(1, Math.min(MAX_SIDE, Math.round(Math.max(width, height) * devicePixelRatio))),
      visible: document.visibilityState === "visible",
    });
  }

  /** Show another camera. */
  choose(camera) {
    this.camera = camera;
    this._last = 0;
    this._place.dataset.blank = "true";
    for (const canvas of Object.values(this._canvases)) canvas.width = canvas.height = 1;
    this.look();
  }

  _arrange(layout) {
    this._place.dataset.layout = layout;
    this.look();
  }

  async _draw(buffer) {
    const frame = unpack(buffer, "image/jpeg");
    try {
      const pictures = Object.entries(frame.pictures);
      const bitmaps = await Promise.all(pictures.map(([, blob]) => createImageBitmap(blob)));
      const newest = frame.number > this._last && frame.camera === this.camera; // a smaller one may be ready earlier
      bitmaps.forEach((bitmap, index) => {
        if (newest) this._paint(pictures[index][0], bitmap);
        bitmap.close();
      });
      if (newest) this._drawn(frame);
    } finally {
      this.connection.tell({ do: "confirm", number: frame.number });
    }
  }

  _paint(kind, bitmap) {
    const canvas = this._canvases[kind];
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      this._place.style.setProperty("--ratio", bitmap.width / bitmap.height);
    }
    canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
  }

  _drawn(frame) {
    const now = Date.now();
    this._last = frame.number;
    const { width, height } = this._canvases[frame.pictures.painted ? "painted" : "camera"];
    this.shown = { frames: this.shown.frames + 1, width, height };
    if (frame.pictures.painted) this._painted = now;
    this._place.dataset.blank = "false";
    this._place.dataset.stale = String(now - this._painted > STALE);
    this._place.dispatchEvent(new CustomEvent("drawn", { detail: { number: frame.number, stamp: frame.stamp } }));
  }
}
