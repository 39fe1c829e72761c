// The controls, made from the node's table, and the changes that the page asks for.
import { byId, fillTrack, make, sayAnswer } from "./dom.js";

const SETTLING = 300; // milliseconds after an answer in which the node's new state arrives

/** Sends changes one at a time: those that are wanted meanwhile are merged, so dragging a slider builds no queue. */
export class Changes {
  constructor(connection) {
    this._connection = connection;
    this._wanted = {};
    this._asking = false;
    this._settling = null; // a timer
    this._held = null; // the slider under the pointer
    this.onDone = () => {};
    document.addEventListener("pointerdown", (event) => { this._held = event.target; });
    for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { this._held = null; });
  }

  /** Ask the node for these values. */
  want(values) {
    Object.assign(this._wanted, values);
    if (!this._asking) this._ask();
  }

  /** Whether the user is changing one of these fields right now, or the node's state is older than a request. */
  isBusy(fields = []) {
    const typing = document.activeElement;
    return this._asking || this._settling || fields.some((field) => field === this._held || (field === typing && field.dataset.modified));
  }

  async _ask() {
    this._asking = true;
    while (Object.keys(this._wanted).length) {
      const wanted = this._wanted;
      this._wanted = {};
      sayAnswer(await this._connection.ask({ do: "change", wanted }), true);
    }
    this._asking = false;
    clearTimeout(this._settling);
    this._settling = setTimeout(() => { this._settling = null; this.onDone(); }, SETTLING);
  }
}

export class Controls {
  constructor(changes) {
    this.changes = changes;
    this._fields = new Map(); // {input, show(value)} by the name of dynamic_reconfigure's field
    this._levels = []; // {level, row, input}
    byId("reset").addEventListener("click", () => this._reset());
  }

  /** Make the editors from the table: [{group, controls}]. */
  build(table) {
    if (this._fields.size) return; // connected again
    this._defaults = {};
    byId("control-groups").replaceChildren(...table.map(({ group, controls }, index) => {
      const rows = make("div", { class: "rows" });
      for (const control of controls) {
        if (control.resets) this._defaults[control.name] = control.name === "strength" ? control.default : "";
        if (control.kind === "levels") this._addLevels(rows, control);
        else rows.append(this._row(control.name, control.label, control.help, this._editor(control)));
      }
      return make("details", { open: index === 0 }, make("summary", { text: group }), rows);
    }));
  }

  /** Show the levels and the defaults of the model. */
  showModel(model) {
    if (!model || this._model === model) return;
    this._model = model;
    for (const { level, row } of this._levels) row.hidden = !model.levels.includes(level);
    this._offer("method", undefined, model.method);
    this._offer("swap_level", model.swap_levels, model.swap_levels[0]);
  }

  /** Show the node's values by field. */
  follow(values) {
    for (const [name, field] of this._fields) {
      if (name in values && !this.changes.isBusy([field.input])) field.show(values[name]);
    }
  }

  _editor(control) {
    const id = `control-${control.name}`;
    const send = (value) => this.changes.want({ [control.name]: value });
    if (control.kind === "slider") return slider(id, control.low, control.high, control.default, send);
    if (control.kind === "choice") return this._choice(id, control, send);
    const number = control.kind !== "text";
    const input = make("input", number
      ? { type: "number", id, min: control.low, max: control.high, step: control.kind === "integer" ? 1 : "any", class: "wide" }
      : { type: "text", id, placeholder: control.own, class: "wide", maxlength: 200, autocomplete: "off" });
    input.addEventListener("input", () => { input.dataset.modified = "1"; });
    input.addEventListener("change", () => {
      delete input.dataset.modified;
      if (input.reportValidity()) send(number && input.value !== "" ? Number(input.value) : input.value.trim());
    });
    const show = (value) => { input.value = value; };
    show(control.default === null ? "" : control.default);
    return { input, show, parts: [input] };
  }

  _choice(id, control, send) {
    const input = make("select", { id, class: "wide" });
    const offer = (choices, own) => {
      const options = choices.map((choice) => make("option", { value: choice, text: String(choice) }));
      if (control.own) options.unshift(make("option", { value: "", text: own === undefined ? control.own : `${control.own} (${own})` }));
      const before = input.value;
      input.replaceChildren(...options);
      input.value = before;
    };
    offer(control.choices);
    input.addEventListener("change", () => send(input.value));
    const show = (value) => { input.value = value || ""; };
    show(control.default);
    return { input, show, parts: [input], offer: (choices, own) => offer(choices || control.choices, own) };
  }

  _offer(name, choices, own) {
    const field = this._fields.get(name);
    if (field && field.offer) field.offer(choices, own);
  }

  _addLevels(rows, control) {
    const levels = control.levels;
    rows.append(make("p", { class: "help", id: `help-${control.name}`, text: control.help }));
    for (const level of levels) {
      const editor = slider(`control-level-${level}`, 0, 1, 1, () => this.changes.want({ [control.name]: this._levelStrength() }));
      const row = this._row(`${control.name}_${level}`, `Level ${level}`, "", editor);
      editor.input.setAttribute("aria-describedby", `help-${control.name}`);
      this._levels.push({ level, row, input: editor.input });
      rows.append(row);
    }
  }

  /** The levels below their full strength, as the control's text: "2:0.5,1:0.8". */
  _levelStrength() {
    return this._levels.filter(({ row, input }) => !row.hidden && input.value < 1).map(({ level, input }) => `${level}:${input.value}`).join(",");
  }

  _row(name, label, help, editor) {
    const row = make("div", { class: "row" }, make("label", { for: editor.input.id, text: label }), ...editor.parts);
    if (help) {
      const id = `help-${name}`;
      editor.input.setAttribute("aria-describedby", id);
      row.append(make("p", { class: "help", id, text: help }));
    }
    editor.input.dataset.live = "";
    this._fields.set(name, editor);
    return row;
  }

  _reset() {
    this.changes.want({ ...this._defaults });
  }
}

function slider(id, low, high, number, send) {
  const input = make("input", { type: "range", id, min: low, max: high, step: 0.01 });
  const output = make("output", { for: id });
  const label = () => { output.value = Number(input.value).toFixed(2); fillTrack(input); };
  const show = (value) => { input.value = value; label(); };
  input.addEventListener("input", () => { label(); send(Number(input.value)); });
  show(number);
  return { input, show, parts: [input, output] };
}
