// Keys: `g` and a page's letter, `/`, `f`, `l`, `r`, `t`, `?`, Escape. Not while something is typed.
import { loadAll } from "./panels.js";

const help = document.querySelector("dialog.help");
let going = -Infinity;

const press = (selector) => document.querySelector(selector)?.click();
const ACTIONS = {
  "/": () => document.querySelector(".search input[type=search]")?.focus(),
  "?": () => help.showModal(),
  f: () => press(".add-filter > summary"),
  l: () => press("[data-live-toggle]"),
  r: () => loadAll(),
  t: () => press("[data-theme-toggle]"),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    document.querySelectorAll("details.drop[open]").forEach((drop) => { drop.open = false; drop.querySelector("summary").focus(); });
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]") || help.open) return;
  if (performance.now() - going < 1200) {
    going = -Infinity;
    const page = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (page) { event.preventDefault(); page.click(); }
    return;
  }
  if (event.key === "g") { going = performance.now(); return; }
  if (event.key in ACTIONS) { event.preventDefault(); ACTIONS[event.key](); }
});

document.querySelector("[data-help]")?.addEventListener("click", () => help.showModal());
