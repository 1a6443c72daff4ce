// Reveal and hide tiles, begin a review, commit one. Nothing that is hidden is in the page before the server was asked.
import { post, say } from "./ask.js";

const tiles = [...document.querySelectorAll(".tile")];

async function reveal(some) {
  const hidden = some.filter((tile) => !shown(tile));
  if (!hidden.length) return;
  const { texts } = await post("/reveal", { keys: hidden.map((tile) => tile.dataset.key), why: location.pathname });
  for (const tile of hidden) show(tile, texts[tile.dataset.key]);
}

async function hide(some) {
  const clear = some.filter(shown);
  if (!clear.length) return;
  await post("/hide", { keys: clear.map((tile) => tile.dataset.key) });
  for (const tile of clear) show(tile, null);
}

const shown = (tile) => tile.querySelector(".reveal")?.getAttribute("aria-pressed") === "true";

function show(tile, text) {
  const clear = text !== null;
  const words = tile.querySelector(".words");
  if (clear) words.dataset.masked = words.textContent;
  words.textContent = clear ? text : words.dataset.masked ?? "hidden";
  const picture = tile.querySelector("img");
  if (picture) {
    picture.src = `/picture/${tile.dataset.key}${clear ? "?clear" : ""}`;
    picture.alt = `${clear ? "picture" : "masked picture"} of ${tile.dataset.key.slice(0, 8)}`;
  }
  const button = tile.querySelector(".reveal");
  button.setAttribute("aria-pressed", String(clear));
  button.setAttribute("aria-label", `${clear ? "Hide" : "Reveal"} ${tile.dataset.key.slice(0, 8)}`);
  button.textContent = clear ? "Hide" : "Reveal";
}

const narrow = document.getElementById("narrow");
if (narrow && matchMedia("(max-width: 760px)").matches) narrow.open = false;

const tried = (work) => async (event) => {
  try {
    await work(event);
  } catch (error) {
    say(error.message);
  }
};

for (const tile of tiles) {
  tile.querySelector(".reveal")?.addEventListener("click", tried(() => (shown(tile) ? hide([tile]) : reveal([tile]))));
}
document.getElementById("reveal-all")?.addEventListener("click", tried(() => reveal(tiles)));
document.getElementById("hide-all")?.addEventListener("click", tried(() => hide(tiles)));
document.getElementById("new-review")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const wanted = { name: form.get("name"), scope: form.get("scope"), count: Number(form.get("count")) };
  tried(async () => {
    await post("/reviews/new", { ...wanted, view: event.target.dataset.view });
    location.assign("/reviews");
  })();
});
for (const button of document.querySelectorAll(".commit")) {
  button.addEventListener("click", tried(async () => {
    const made = await post(`/reviews/${button.dataset.review}/commit`);
    say(`${made.items} items are committed, ${made.fresh} of them now`);
  }));
}
