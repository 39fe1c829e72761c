// The WebSocket: sections of the node's state and frames come in, requests go out.  It connects again by itself.

const FIRST_DELAY = 300, LONGEST_DELAY = 4000; // milliseconds until another attempt
const SILENCE = 20000; // milliseconds without a message after which the connection counts as lost

export class Connection extends EventTarget {
  // Events: "state" (detail: names of the changed sections), "frame" (detail: ArrayBuffer), "open", "lost" (detail: why).

  constructor() {
    super();
    this.state = {};
    this.isOpen = false;
    this._delay = FIRST_DELAY;
    this._count = 0;
    this._waiting = new Map();
    this._heard = Date.now();
    this._connect();
    setInterval(() => this.isOpen && Date.now() - this._heard > SILENCE && this._socket.close(), 2000);
    addEventListener("online", () => this._connect());
  }

  /** Send a message that needs no answer. */
  tell(message) {
    if (this.isOpen) this._socket.send(JSON.stringify(message));
  }

  /** Send a request; resolves to its answer, {success, message}. */
  ask(message) {
    if (!this.isOpen) return Promise.resolve({ success: false, message: "The connection to the robot is lost." });
    const id = ++this._count;
    this.tell({ ...message, id });
    return new Promise((resolve) => this._waiting.set(id, resolve));
  }

  _connect() {
    clearTimeout(this._timer);
    if (this._socket && this._socket.readyState < WebSocket.CLOSING) return;
    this._socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    this._socket.binaryType = "arraybuffer";
    this._socket.onopen = () => {
      this.isOpen = true;
      this._delay = FIRST_DELAY;
      this._heard = Date.now();
      this._emit("open");
    };
    this._socket.onmessage = (event) => {
      this._heard = Date.now();
      if (event.data instanceof ArrayBuffer) this._emit("frame", event.data);
      else this._receive(JSON.parse(event.data));
    };
    this._socket.onclose = () => this._lost();
  }

  _receive(message) {
    if (message.answer) {
      const resolve = this._waiting.get(message.answer.id);
      this._waiting.delete(message.answer.id);
      if (resolve) resolve(message.answer);
      else if (!message.answer.success) console.warn(message.answer.message);
      return;
    }
    Object.assign(this.state, message);
    this._emit("state", Object.keys(message));
  }

  async _lost() {
    this.isOpen = false;
    for (const resolve of this._waiting.values()) resolve({ success: false, message: "The connection to the robot was lost." });
    this._waiting.clear();
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._connect(), this._delay);
    this._delay = Math.min(2 * this._delay, LONGEST_DELAY);
    this._emit("lost", "");
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) this._emit("lost", (await answer.text()).trim());
    } catch { /* nobody answers */ }
  }

  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The header and the pictures of a binary message: {..., pictures: {kind: Blob}}; see `pack` in server.py. */
export function unpack(buffer, type) {
  const length = new DataView(buffer).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let start = 4 + length;
  const pictures = {};
  for (const [kind, size] of header.pictures) {
    pictures[kind] = new Blob([new Uint8Array(buffer, start, size)], { type });
    start += size;
  }
  return { ...header, pictures };
}
