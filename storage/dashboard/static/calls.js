// The table of calls: its columns remembered, a row opened beside it, keys, calls as they arrive, and a search that goes on.
import { load } from "./panels.js";

const page = document.querySelector("[data-calls-page]");
const beside = page.querySelector("[data-beside]");
const list = page.querySelector('[data-panel="list"]');
const body = () => page.querySelector("[data-calls] tbody");
const rows = () => [...page.querySelectorAll("[data-calls] tbody > tr")];

function said(change) {
  const address = new URL(location.href);
  change(address.searchParams);
  history.replaceState(null, "", address);
}

// Columns: an address that names none shows those that were chosen last, and names them then.
const KEPT = "heliograph-columns";
(function remembered() {
  const here = new URLSearchParams(location.search);
  if (here.has("column")) { keep(here.getAll("column")); return; }
  let kept = [];
  try { kept = JSON.parse(localStorage.getItem(KEPT) || "[]"); } catch { /* then the usual ones */ }
  if (!Array.isArray(kept) || !kept.length) return;
  const add = (text) => {
    const address = new URL(text, location.href);
    kept.forEach((name) => address.searchParams.append("column", name));
    return address.href;
  };
  if (page.querySelector("[data-search]")) { location.replace(add(location.href)); return; }
  said((params) => kept.forEach((name) => params.append("column", name)));
  if (list) list.dataset.src = add(list.dataset.src);
  page.dataset.tailSrc = add(page.dataset.tailSrc);
  page.querySelectorAll("a[download]").forEach((link) => { link.href = add(link.href); });
  document.querySelectorAll(".bar form, [data-said-drop] form").forEach((form) => kept.forEach((name) => form.append(hidden("column", name))));
  document.querySelectorAll(".bar a[href]").forEach((link) => { link.href = add(link.href); });
  const boxes = page.querySelectorAll("[data-columns] input[name=column]");
  boxes.forEach((box) => { box.checked = kept.includes(box.value); });
  kept.filter((name) => name.startsWith("property.")).forEach((name) => pick(name.slice("property.".length), true));
})();
function keep(names) {
  try { localStorage.setItem(KEPT, JSON.stringify(names)); } catch { /* then they are not kept */ }
}
function hidden(name, value) {
  const input = document.createElement("input");
  Object.assign(input, { type: "hidden", name, value });
  return input;
}
function pick(key, checked) {
  const place = page.querySelector("[data-property-picks]");
  const value = `property.${key}`;
  if ([...place.querySelectorAll("input")].some((box) => box.value === value)) return;
  const label = document.createElement("label");
  const box = document.createElement("input");
  const name = document.createElement("bdi");
  label.className = "pick";
  Object.assign(box, { type: "checkbox", name: "column", value, checked });
  name.textContent = key;
  label.append(box, name);
  place.append(label);
}
page.querySelector("[data-picker]").addEventListener("toggle", async (event) => {
  if (!event.target.open) return;
  const asked = new URL(document.body.dataset.values, location.href);
  asked.searchParams.set("field", "properties");
  const answer = await fetch(asked);
  if (answer.ok) (await answer.json()).forEach(({ value }) => pick(value, false));
});
page.addEventListener("click", (event) => { if (event.target.closest("[data-forget-columns]")) keep([]); });

// A call beside the table
let at = null;
function mark(row) {
  rows().forEach((each) => each.removeAttribute("aria-selected"));
  at = row?.dataset.call ?? null;
  if (!row) return;
  row.setAttribute("aria-selected", "true");
  row.scrollIntoView({ block: "nearest" });
}
const marked = () => rows().find((row) => row.dataset.call === at);
function open(row) {
  mark(row);
  const id = row.dataset.call;
  const panel = beside.querySelector(".panel");
  const address = new URL(page.dataset.inspector, location.href);
  address.searchParams.set("call_id", id);
  panel.dataset.src = address.href;
  beside.querySelector("[data-beside-page]").href = row.querySelector("a").href;
  beside.hidden = false;
  page.classList.add("open");
  said((params) => params.set("call", id));
  load(panel);
}
function close() {
  beside.hidden = true;
  page.classList.remove("open");
  beside.querySelector(".panel").removeAttribute("data-src");
  said((params) => params.delete("call"));
  marked()?.querySelector("a").focus({ preventScroll: true });
}
page.addEventListener("click", (event) => {
  if (event.target.closest("[data-close-beside]")) { close(); return; }
  const row = event.target.closest("[data-calls] tbody > tr");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0 || String(getSelection())) return;
  event.preventDefault();
  open(row);
});

function move(by) {
  const all = rows();
  if (!all.length) return;
  const from = all.indexOf(marked());
  const row = all[Math.max(0, Math.min(all.length - 1, from < 0 ? 0 : from + by))];
  if (beside.hidden) { mark(row); row.querySelector("a").focus({ preventScroll: true }); } else open(row);
}
const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  o: () => { const row = marked(); if (row) location.assign(row.querySelector("a").href); },
  n: () => page.querySelector('[rel="next"]')?.click(),
  l: () => document.querySelector("[data-tail]")?.click(),
  p: () => page.querySelector("[data-pause]:not([hidden])")?.click(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (event.key === "Enter" && marked() && !event.target.closest("button, summary, [role=tab]")) {
    if (event.target.closest("a") && !event.target.closest("[data-calls]")) return;
    event.preventDefault();
    open(marked());
  } else if (event.key === "Escape" && !beside.hidden && !document.querySelector("details.drop[open]")) {
    close();
  } else if (event.key in KEYS) {
    KEYS[event.key]();
  }
});
document.addEventListener("panel", (event) => {
  if (event.target === list && !at) at = new URLSearchParams(location.search).get("call");
  if (event.target === list && marked()) mark(marked());
});

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

// Calls as they arrive: shown on top, or held back and counted; nobody listens while the page is hidden.
const LONGEST = 500;
const button = document.querySelector("[data-tail]");
const pause = page.querySelector("[data-pause]");
const waiting = page.querySelector("[data-waiting]");
let stream = null;
let tailing = false;
let paused = false;
let ended = "";
let held = [];
let uncounted = 0;
let whole = true;

function listen() {
  stream?.close();
  stream = null;
  if (!tailing || document.visibilityState !== "visible") return;
  const address = new URL(page.dataset.tailSrc, location.href);
  const newest = ended || page.querySelector("[data-ended]")?.dataset.ended;
  if (newest) address.searchParams.set("ended", newest);
  stream = new EventSource(address);
  stream.addEventListener("calls", (event) => {
    const told = JSON.parse(event.data);
    ended = told.ended;
    const known = new Set([...rows(), ...held].map((row) => row.dataset.call));
    const fresh = [...fragment(told.html).children].filter((row) => !known.has(row.dataset.call));
    held = [...fresh, ...held].slice(0, LONGEST);
    uncounted += told.more;
    whole &&= told.whole;
    if (paused) count(); else showHeld();
  });
  stream.addEventListener("ended", () => { stream.close(); setTimeout(listen, 1000); });
  stream.addEventListener("refused", (event) => {
    set(false);
    button.title = JSON.parse(event.data).message;
    if (JSON.parse(event.data).code === "sign_in") location.reload();
  });
}
function count() {
  const many = held.length + uncounted;
  waiting.hidden = many === 0;
  waiting.querySelector("button").textContent = `${whole ? "" : "more than "}${many.toLocaleString("en")} new ${many === 1 ? "call" : "calls"}`;
}
function showHeld() {
  if (held.length && !body()) { held = []; load(list); return; }
  held.forEach((row) => row.classList.add("arrived"));
  body()?.prepend(...held);
  rows().slice(LONGEST).forEach((row) => row.remove());
  held = [];
  uncounted = 0;
  whole = true;
  count();
}
function set(on) {
  tailing = on;
  paused = false;
  button.setAttribute("aria-pressed", String(on));
  pause.hidden = !on;
  pause.setAttribute("aria-pressed", "false");
  pause.textContent = "Pause";
  said((params) => { if (on) params.set("tail", "on"); else params.delete("tail"); });
  showHeld();
  listen();
}
if (button) {
  button.addEventListener("click", () => {
    const params = new URLSearchParams(location.search);
    if (!tailing && (params.has("at") || params.has("sort"))) {
      said((own) => { own.delete("at"); own.delete("sort"); own.set("tail", "on"); });
      location.reload();
      return;
    }
    set(!tailing);
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) showHeld();
  });
  waiting.querySelector("button").addEventListener("click", showHeld);
  document.addEventListener("visibilitychange", listen);
  document.addEventListener("panel", (event) => {
    if (event.target === list && !tailing && new URLSearchParams(location.search).get("tail") === "on") set(true);
  });
}

// What was said: stretch after stretch, with how far it is.
const search = page.querySelector("[data-search]");
if (search && new URLSearchParams(location.search).get("said")) {
  const progress = search.querySelector("progress");
  const text = search.querySelector("[data-search-text]");
  const stop = search.querySelector("[data-stop-search]");
  const found = new EventSource(search.dataset.search);
  const zone = document.body.dataset.zone;
  const when = (iso) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: zone }).format(new Date(iso));
  let last = null;
  const end = (told) => {
    found.close();
    stop.hidden = true;
    search.dataset.done = "";
    text.textContent = told;
  };
  const many = (count) => `${count.toLocaleString("en")} ${count === 1 ? "call" : "calls"}`;
  found.addEventListener("found", (event) => {
    last = JSON.parse(event.data);
    body().append(fragment(last.html));
    progress.value = last.done;
    text.textContent = `${many(last.found)} so far, back to ${when(last.reached)}`;
  });
  found.addEventListener("ended", () => end(last?.full ? `The newest ${many(last.found)}, back to ${when(last.reached)}. Choose a shorter time range for others.` : `${many(last?.found ?? 0)} in the whole time range`));
  found.addEventListener("refused", (event) => { const told = JSON.parse(event.data); end(`${told.message} ${told.fix}`); });
  found.addEventListener("error", () => end("The server was not reached any more."));
  stop.addEventListener("click", () => end(last ? `Stopped: ${many(last.found)}, back to ${when(last.reached)}` : "Stopped."));
}
