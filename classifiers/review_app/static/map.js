// The map: points on a canvas, moved and zoomed, coloured by a facet.
import { say } from "./ask.js";

const COLOURS = ["#3b82c4", "#d9730d", "#2f9e6e", "#b35fb0", "#a08a1f", "#d04f5e", "#5b7fa6", "#8a6d5a", "#5aa9a9", "#9a9a9a"];
const canvas = document.getElementById("map");
const pen = canvas.getContext("2d");
const facet = document.getElementById("facet");
let points = { keys: [], places: [], facets: {} };
let view = { x: 0, y: 0, zoom: 1 };
let colours = new Map();

const onCanvas = ([x, y]) => [
  canvas.width / 2 + (x - view.x) * view.zoom * canvas.width * 0.48,
  canvas.height / 2 - (y - view.y) * view.zoom * canvas.height * 0.48,
];

function draw() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const values = points.facets[facet.value] ?? [];
  const size = Math.min(8, 2.5 + Math.log2(view.zoom + 1));
  points.places.forEach((place, number) => {
    const [x, y] = onCanvas(place);
    if (x < -9 || y < -9 || x > canvas.width + 9 || y > canvas.height + 9) return;
    pen.fillStyle = colours.get(values[number]) ?? COLOURS.at(-1);
    pen.fillRect(x - size / 2, y - size / 2, size, size);
  });
}

function recolour() {
  const counts = new Map();
  for (const value of points.facets[facet.value] ?? []) counts.set(value, (counts.get(value) ?? 0) + 1);
  const most = [...counts].sort((one, other) => other[1] - one[1]);
  colours = new Map(most.map(([value], number) => [value, COLOURS[Math.min(number, COLOURS.length - 1)]]));
  document.getElementById("legend").replaceChildren(...most.slice(0, COLOURS.length).map(([value, count]) => {
    const line = document.createElement("li");
    const square = document.createElement("canvas");
    square.width = square.height = 8;
    const brush = square.getContext("2d");
    brush.fillStyle = colours.get(value);
    brush.fillRect(0, 0, 8, 8);
    square.setAttribute("aria-hidden", "true");
    line.append(square, `${value ?? "(none)"} ${count}`);
    return line;
  }));
  draw();
}

function zoom(by, x = canvas.width / 2, y = canvas.height / 2) {
  const before = [(x - canvas.width / 2) / (view.zoom * canvas.width * 0.48), (canvas.height / 2 - y) / (view.zoom * canvas.height * 0.48)];
  const next = Math.min(400, Math.max(0.8, view.zoom * by));
  view = { x: view.x + before[0] * (1 - view.zoom / next), y: view.y + before[1] * (1 - view.zoom / next), zoom: next };
  draw();
}

function move(right, up) {
  view = { ...view, x: view.x + right / view.zoom, y: view.y + up / view.zoom };
  draw();
}

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
};

function nearest([x, y]) {
  let best = null;
  let least = 144;
  points.places.forEach((one, number) => {
    const [a, b] = onCanvas(one);
    const far = (a - x) ** 2 + (b - y) ** 2;
    if (far < least) [best, least] = [number, far];
  });
  return best;
}

let held = null;
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.25 : 0.8, ...place(event));
}, { passive: false });
canvas.addEventListener("pointerdown", (event) => {
  held = { at: place(event), moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  const at = place(event);
  if (held) {
    const [right, down] = [at[0] - held.at[0], at[1] - held.at[1]];
    if (Math.abs(right) + Math.abs(down) > 3) held.moved = true;
    if (held.moved) {
      move(-right / (canvas.width * 0.48), down / (canvas.height * 0.48));
      held.at = at;
    }
    return;
  }
  const number = nearest(at);
  document.getElementById("pointed").textContent = number === null ? "" : `${points.keys[number].slice(0, 8)}: ${points.facets[facet.value][number] ?? "(none)"}`;
});
canvas.addEventListener("pointerup", (event) => {
  const clicked = held && !held.moved;
  held = null;
  const number = clicked ? nearest(place(event)) : null;
  if (number !== null) location.assign(`/sample/${points.keys[number]}`);
});
canvas.addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
  if (ways[event.key]) move(...ways[event.key]);
  else if (event.key === "+") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else return;
  event.preventDefault();
});
document.getElementById("in").addEventListener("click", () => zoom(1.5));
document.getElementById("out").addEventListener("click", () => zoom(1 / 1.5));
document.getElementById("whole").addEventListener("click", () => {
  view = { x: 0, y: 0, zoom: 1 };
  draw();
});
facet.addEventListener("change", recolour);

const answer = await fetch("/map.json");
const told = await answer.json();
if (answer.ok) points = told;
else say(told.error);
recolour();
canvas.dataset.points = points.keys.length;
