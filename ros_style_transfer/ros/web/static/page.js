// The page: connects its parts.
import { Connection, unpack } from "./connection.js";
import { Changes, Controls } from "./controls.js";
import { byId, make, say, sayAnswer } from "./dom.js";
import { Pictures } from "./pictures.js";
import { Renders } from "./render.js";
import { Status } from "./status.js";
import { Styles } from "./styles.js";

const connection = new Connection();
const pictures = new Pictures(connection);
const changes = new Changes(connection);
const styles = new Styles(changes);
const controls = new Controls(changes);
const renders = new Renders(connection);
const status = new Status(pictures);
let refusal = "";

connection.addEventListener("state", (event) => show(event.detail));
connection.addEventListener("open", () => { refusal = ""; show([]); });
connection.addEventListener("lost", (event) => { refusal = event.detail; show([]); });
changes.onDone = () => show(["parameters", "status"]);
setInterval(() => status.show(connection.state, connection.isOpen), 1000);

/** Show the sections of the state that have changed. */
function show(sections) {
  const { state } = connection;
  const live = connection.isOpen && Boolean(state.status);
  if (sections.includes("table")) controls.build(state.table);
  if (sections.includes("cameras")) showCameras(state.cameras);
  if (sections.includes("styles")) styles.list(state.styles);
  if (state.masks && state.parameters) styles.offerMasks(state.masks, state.parameters.mask);
  if (state.status) {
    if (sections.includes("status")) {
      controls.showModel(state.models[state.status.model]);
      controls.follow({ strength: state.status.strength });
      styles.follow(state.status.styles, state.status.weights);
    }
    if (sections.includes("parameters") && state.parameters) controls.follow(state.parameters);
  }
  if (sections.includes("render")) renders.follow(state.render);
  if (sections.includes("losses")) renders.draw(state.losses);
  showPaused(Boolean(state.parameters && state.parameters.paused));
  showNotice(state);
  status.show(state, connection.isOpen);
  for (const element of document.querySelectorAll("[data-live]")) {
    const off = !live || Boolean(element.dataset.busy);
    if ("disabled" in element) element.disabled = off;
    else element.toggleAttribute("data-off", off);
  }
}

function showNotice({ notices = {} }) {
  const lost = { kind: "error", text: refusal || "The connection to the robot is lost.", advice: refusal ? "" : "Trying again. Is web_panel still running?" };
  const notice = connection.isOpen ? notices[pictures.camera] : lost;
  const place = byId("notice");
  place.hidden = !notice;
  if (!notice) return;
  place.dataset.kind = notice.kind;
  byId("notice-text").textContent = notice.text;
  byId("notice-advice").textContent = notice.advice;
}

function showCameras(cameras) {
  byId("cameras").hidden = cameras.length < 2;
  byId("camera").replaceChildren(...cameras.map((name) => make("option", { value: name, text: name })));
  if (!cameras.includes(pictures.camera)) pictures.choose(cameras[0]);
  byId("camera").value = pictures.camera;
}

function showPaused(paused) {
  const button = byId("pause");
  button.dataset.paused = paused;
  button.querySelector("span").textContent = paused ? "Resume" : "Pause";
  button.querySelector("use").setAttribute("href", paused ? "#i-play" : "#i-pause");
  button.setAttribute("aria-label", paused ? "Resume" : "Pause");
}

byId("camera").addEventListener("change", (event) => { pictures.choose(event.target.value); show([]); });
byId("pause").addEventListener("click", async (event) => {
  sayAnswer(await connection.ask({ do: "pause", paused: event.currentTarget.dataset.paused !== "true" }), true);
});

// --- snapshot --------------------------------------------------------------------------------

const pair = byId("pair");
let addresses = [];

byId("snapshot").addEventListener("click", async () => {
  const answer = await fetch(`/pair?camera=${encodeURIComponent(pictures.camera)}`).catch(() => null);
  if (!answer || !answer.ok) {
    say(answer ? (await answer.text()).trim() : "The connection to the robot is lost.", true);
    return;
  }
  const frame = unpack(await answer.arrayBuffer(), "image/png");
  const name = new Date(1000 * frame.time).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
  addresses.forEach(URL.revokeObjectURL);
  addresses = [];
  byId("pair-text").textContent = "";
  byId("pair-pictures").replaceChildren(...Object.entries(frame.pictures).map(([kind, blob]) => {
    const address = URL.createObjectURL(blob), title = kind === "camera" ? "camera" : "stylized";
    addresses.push(address);
    return make("figure", {}, make("img", { src: address, alt: `The ${title} frame` }), make("figcaption", {}, make("span", { text: title }),
      make("a", { href: address, download: `${name}_${title}.png`, text: "Download", "aria-label": `Download the ${title} frame` })));
  }));
  pair.showModal();
});
byId("pair-close").addEventListener("click", () => pair.close());
byId("save").addEventListener("click", async () => {
  const answer = await connection.ask({ do: "save" });
  byId("pair-text").textContent = answer.success ? `Saved on the robot as ${answer.message}` : answer.message;
});

// --- tabs ------------------------------------------------------------------------------------

function showTab(name) {
  document.body.dataset.tab = name;
  for (const button of document.querySelectorAll("#tabs button")) {
    if (button.dataset.tab === name) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

for (const button of document.querySelectorAll("#tabs button")) button.addEventListener("click", () => showTab(button.dataset.tab));
showTab("styles");
