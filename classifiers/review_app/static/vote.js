// Judging one item after the other, by keys. The server decides what comes next and keeps each vote before it answers.
import { post, say } from "./ask.js";

const $ = (id) => document.getElementById(id);
const page = $("vote");
const base = `/reviews/${page.dataset.review}`;
const boxes = [...document.querySelectorAll("#categories input")];
const labels = [...document.querySelectorAll("#labels button")];
let item = null;
let label = null;
let seen = false;
let busy = false;

async function tried(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    if (error.status === 429) pause(error.message);
    else say(error.message);
    if (["not_open", "not_given"].includes(error.code)) await load("next").catch((again) => say(again.message));
  } finally {
    busy = false;
  }
}

async function load(way) {
  const given = await post(`${base}/${way}`);
  item = given.item === null ? null : given;
  $("done").value = given.done;
  $("progress").textContent = `${given.done} of ${given.items} by you; ${given.today} of ${given.per_day} seen today`;
  page.hidden = item === null;
  $("nothing").hidden = item !== null;
  $("pause").hidden = true;
  clear();
  if (item) mask();
}

// What was seen does not stay in the page.
function clear() {
  $("picture").removeAttribute("src");
  $("picture").alt = "masked picture";
  $("words").textContent = "";
}

function mask() {
  seen = false;
  choose(null);
  for (const box of boxes) box.checked = false;
  for (const radio of document.querySelectorAll("[name=severity]")) radio.checked = false;
  $("reason").value = "";
  $("words").hidden = item.text === null;
  $("words").textContent = item.text ?? "";
  $("picture").hidden = !item.picture;
  if (item.picture) $("picture").src = `/picture/${item.key}?item=${item.item}`;
  $("others").hidden = !item.others;
  $("others").replaceChildren(...(item.others ?? []).map(other));
  say(item.attempt ? "this is your last vote's item again" : "");
}

function other(vote) {
  const line = document.createElement("p");
  line.textContent = `One says ${vote.label}${vote.categories.length ? ": " + vote.categories.join(", ") : ""}${vote.reason ? ` (${vote.reason})` : ""}`;
  return line;
}

async function reveal() {
  if (!item || seen) return;
  const { text } = await post(`${base}/reveal`, { item: item.item });
  seen = true;
  if (text !== null) $("words").textContent = text;
  if (item.picture) {
    $("picture").src = `/picture/${item.key}?clear&whole`;
    $("picture").alt = "the picture";
  }
  choose(label);
}

function choose(wanted) {
  label = wanted;
  for (const button of labels) button.setAttribute("aria-pressed", String(button.dataset.label === label));
  for (const box of boxes) box.disabled = label !== "unsafe";
  $("severity").hidden = label !== "unsafe";
  $("why").hidden = label !== "escalate";
  ready();
}

function ready() {
  const named = boxes.some((box) => box.checked);
  const whole = { unsafe: named, escalate: $("reason").value.trim() !== "" }[label] ?? label !== null;
  $("send").disabled = !(whole && (seen || label === "skip"));
  $("send").title = seen || label === "skip" ? "" : "reveal it first";
}

async function send() {
  ready();
  if ($("send").disabled) return;
  const severity = document.querySelector("[name=severity]:checked");
  await post(`${base}/vote`, {
    item: item.item,
    attempt: item.attempt,
    label,
    categories: label === "unsafe" ? boxes.filter((box) => box.checked).map((box) => box.value) : [],
    severity: label === "unsafe" && severity ? Number(severity.value) : null,
    reason: label === "escalate" ? $("reason").value : "",
  });
  await load("next");
}

function pause(text) {
  page.hidden = true;
  $("pause").hidden = false;
  $("pause-text").textContent = text;
}

for (const button of labels) button.addEventListener("click", () => choose(button.dataset.label));
for (const box of boxes) box.addEventListener("change", ready);
$("reason").addEventListener("input", ready);
$("reveal").addEventListener("click", () => tried(reveal));
$("send").addEventListener("click", () => tried(send));
$("back").addEventListener("click", () => tried(() => load("back")));
$("again").addEventListener("click", () => tried(() => load("next")));
$("grey").addEventListener("click", grey);

function grey() {
  const on = $("picture").classList.toggle("grey");
  $("grey").setAttribute("aria-pressed", String(on));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || page.hidden) return;
  if (event.target === $("reason")) {
    if (event.key === "Enter") tried(send);
    return;
  }
  const key = event.key.toLowerCase();
  const onButton = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
  if ((key === " " || key === "enter") && onButton) return; // the button's own
  const wanted = { 1: "safe", 2: "unsafe", 3: "na", e: "escalate", p: "skip" }[key];
  const box = boxes.find((one) => one.dataset.letter === key);
  if (key === " ") tried(reveal);
  else if (key === "enter") tried(send);
  else if (wanted) choose(wanted);
  else if (key === "g") grey();
  else if (key === "u") tried(() => load("back"));
  else if (box && label === "unsafe") {
    box.checked = !box.checked;
    ready();
  } else return;
  event.preventDefault();
  if (wanted === "escalate") $("reason").focus();
});

tried(() => load("next"));
