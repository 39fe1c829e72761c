// Short names for the document.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element with properties (`class`, `text`, any attribute) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Colour a slider's track up to its handle. */
export function fillTrack(slider) {
  const low = Number(slider.min), high = Number(slider.max);
  slider.style.setProperty("--part", `${(100 * (slider.value - low)) / (high - low)}%`);
}

let hiding;

/** Show a line of text for some seconds. */
export function say(text, bad = false) {
  const message = byId("message");
  clearTimeout(hiding);
  message.textContent = text;
  message.dataset.bad = bad;
  message.dataset.shown = "true";
  hiding = setTimeout(() => { message.dataset.shown = "false"; }, bad ? 9000 : 4000);
}

/** Show a request's answer, unless it is a success and `quiet`; returns whether it is a success. */
export function sayAnswer(answer, quiet = false) {
  if (!answer.success || !quiet) say(answer.message, !answer.success);
  return answer.success;
}
