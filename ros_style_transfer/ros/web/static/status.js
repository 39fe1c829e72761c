// The status: rate, latency, where the time goes, what was lost.
import { byId, make } from "./dom.js";

const TIMES = [["decode", "decode"], ["network", "network"], ["encode", "encode"], ["publish", "publish"]];

export class Status {
  constructor(pictures) {
    this._pictures = pictures;
    this._before = { frames: 0, time: performance.now() };
    this._rate = 0;
  }

  /** Show the state; called each second, and when it changes. */
  show(state, isOpen) {
    const { status, model = {}, viewers } = state;
    const chip = byId("state");
    chip.dataset.state = !isOpen ? "lost" : status ? status.state : "error";
    byId("state-text").textContent = !isOpen ? "connection lost" : status ? status.state : "no node";
    const rate = byId("rate"), live = isOpen && status && status.state === "ready";
    rate.hidden = !live;
    if (live) rate.textContent = `${status.output_rate.toFixed(1)} fps · ${milliseconds(status.latency)}`;
    this._showTimes(live ? status : null);
    const facts = [];
    if (status) {
      facts.push(
        ["Frames in", `${status.input_rate.toFixed(1)} per second`],
        ["Frames out", `${status.output_rate.toFixed(1)} per second`],
        ["Latency", milliseconds(status.latency)],
        ["Dropped", String(status.dropped)],
        ["Failed", String(status.failed)],
        ["Model", [status.model, model.precision].filter(Boolean).join(", ")],
        ["Device", model.device],
        ["Memory", model["memory of the process"]],
        ["Last error", model["last error"]],
        ["Message", status.message],
      );
    }
    facts.push(["This page", this._describePage(viewers)]);
    byId("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]));
  }

  _describePage(viewers) {
    const { frames, width, height } = this._pictures.shown, now = performance.now();
    if (now - this._before.time > 900) {
      this._rate = (1000 * (frames - this._before.frames)) / (now - this._before.time);
      this._before = { frames, time: now };
    }
    return `${this._rate.toFixed(1)} frames per second, ${width}×${height}` + (viewers > 1 ? `, ${viewers} viewers` : "");
  }

  _showTimes(status) {
    const place = byId("times");
    place.hidden = !status;
    if (!status) return;
    const times = TIMES.map(([name, label]) => [label, status.times[name] || 0]);
    const bar = make("div", { class: "bar" });
    for (const [, seconds] of times) {
      const part = make("span");
      part.style.flexGrow = String(1000 * seconds);
      bar.append(part);
    }
    place.replaceChildren(bar, make("ul", {}, ...times.map(([label, seconds]) => make("li", { text: `${label} ${milliseconds(seconds)}` }))));
    place.setAttribute("aria-label", "Where the time of a frame goes: " + times.map(([label, seconds]) => `${label} ${milliseconds(seconds)}`).join(", "));
  }
}

function milliseconds(seconds) {
  return `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}
