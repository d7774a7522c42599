// The page of SQL: asks, shows rows as a table or a chart, saves files, and keeps questions.
import { Editor } from "./editor.js";
import { history, saved } from "./sql_kept.js";
import { show as showPanel } from "./panels.js";
import { send } from "./session.js";
import { Rows } from "./sql_rows.js";

const box = document.querySelector("[data-sql]");
const at = (selector) => box.querySelector(selector);
const editor = new Editor(at("[data-editor]"));
const rows = new Rows(at("[data-table-of]"), at("[data-pager]"));
const picks = ["x", "y", "by", "draw"];
const most = Number(box.dataset.most);
let asking = null;
let asked = null;
let chosen = {};
let as = "table";

function address() {
  const said = new URL(location.href);
  for (const name of ["sql", "show", ...picks]) said.searchParams.delete(name);
  if (editor.text.trim() && encodeURIComponent(editor.text).length < 4 * most && editor.text.length < most) said.searchParams.set("sql", editor.text);
  if (as === "chart") said.searchParams.set("show", "chart");
  for (const name of picks) if (chosen[name]) said.searchParams.set(name, chosen[name]);
  return said;
}

function read() {
  const said = new URL(location.href).searchParams;
  editor.text = said.get("sql") || "";
  as = said.get("show") === "chart" ? "chart" : "table";
  chosen = Object.fromEntries(picks.map((name) => [name, said.get(name) || ""]));
}

function body(format) {
  return { sql: asked ?? editor.text, organization: box.dataset.organization, ...(format ? { format } : {}) };
}

function state(text) { at("[data-state]").textContent = text; }

function refused({ message, fix, position }) {
  const problem = at("[data-problem]");
  problem.hidden = false;
  at("[data-found]").toggleAttribute("data-old", true);
  const fault = position === undefined || position === null ? named(message) : Number(position);
  const place = fault !== null && asked === editor.text;
  editor.mark(place ? fault : null);
  problem.querySelector("[data-message]").textContent = place ? `Line ${editor.lineOf(editor.marked)}: ${message}` : message;
  problem.querySelector("[data-fix]").textContent = fix || "";
  problem.querySelector("[data-go-there]").hidden = !place;
}

/** Where a name stands that a message says is not there: not every error knows its place. */
function named(message) {
  const name = /(?:column|name|function) "?([\w.]+)"? (?:not found|does not exist)/i.exec(message)?.[1];
  if (!name) return null;
  const found = new RegExp(`(?<![\\w.])${name.replaceAll(".", "\\.")}(?!\\w)`, "i").exec(asked);
  return found && [...asked.slice(0, found.index)].length;
}

/** Numbers as they were written: some have more digits than a browser's numbers. */
function exact(text) {
  return JSON.parse(text, (_, value, context) => (typeof value === "number" && context?.source ? context.source : value));
}

async function run({ push = true } = {}) {
  if (!editor.text.trim()) { editor.area.focus(); return; }
  asking?.abort();
  const control = new AbortController();
  asking = control;
  if (asked !== editor.text && push) chosen = {};
  asked = editor.text;
  const here = address();
  if (push && here.href !== location.href) window.history.pushState(null, "", here);
  const began = performance.now();
  const passed = () => performance.now() - began;
  const clock = setInterval(() => state(`Asking … ${(passed() / 1000).toFixed(1)} s`), 100);
  at("[data-problem]").hidden = true;
  editor.mark(null);
  at("[data-stop]").hidden = false;
  at("[data-found]").setAttribute("aria-busy", "true");
  try {
    const answer = await send("POST", "/v1/query", body(), control.signal);
    const text = await answer.text();
    if (answer.status === 401) { location.reload(); return; }
    const found = exact(text);
    if (!answer.ok) { state(""); refused(found.error ?? { message: `The server failed to answer (HTTP ${answer.status}).` }); return; }
    const took = Number(found.elapsed_ms);
    state(`${took < 1000 ? `${took.toFixed(0)} ms` : `${(took / 1000).toFixed(2)} s`} in the lake`);
    arrived(found);
    history.add({ sql: asked, at: Date.now(), rows: found.rows.length, truncated: found.truncated });
  } catch (error) {
    if (asking !== control) return; // another one took its place
    state(error.name === "AbortError" ? `Cancelled after ${(passed() / 1000).toFixed(1)} s` : "");
    if (error.name !== "AbortError") refused({ message: "The server was not reached.", fix: "Run it again." });
  } finally {
    clearInterval(clock);
    if (asking === control) {
      asking = null;
      at("[data-stop]").hidden = true;
      at("[data-found]").removeAttribute("aria-busy");
    }
  }
}

function arrived(found) {
  at("[data-found]").hidden = false;
  at("[data-found]").toggleAttribute("data-old", false);
  at("[data-starters]").hidden = true;
  const count = found.rows.length;
  at("[data-count]").textContent = `${count.toLocaleString("en")} ${count === 1 ? "row" : "rows"}, ${found.columns.length} ${found.columns.length === 1 ? "column" : "columns"}`;
  at("[data-truncated]").hidden = !found.truncated;
  rows.show(found);
  shown(as);
}

function shown(how) {
  as = how;
  box.querySelectorAll("[data-show]").forEach((button) => { button.toggleAttribute("aria-current", button.dataset.show === as); });
  box.querySelectorAll("[data-as]").forEach((part) => { part.hidden = part.dataset.as !== as; });
  if (as === "chart") drawChart();
  if (asked === editor.text) window.history.replaceState(null, "", address());
}

function drawChart() {
  const panel = at("[data-chart-panel]");
  const said = new URLSearchParams({ sql: asked });
  if (box.dataset.organization) said.set("organization", box.dataset.organization);
  for (const name of picks) if (chosen[name]) said.set(name, chosen[name]);
  showPanel(panel, `${panel.dataset.chartPanel}?${said}`);
}

async function file(button) {
  const format = button.dataset.file;
  button.disabled = true;
  try {
    const answer = await send("POST", "/v1/query", body(format));
    if (!answer.ok) { refused((await answer.json()).error); return; }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `heliograph-query.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch {
    refused({ message: "The server was not reached.", fix: "Save it again." });
  } finally {
    button.disabled = false;
  }
}

function take(sql) {
  editor.text = sql;
  run();
}

at("[data-ask]").addEventListener("submit", (event) => { event.preventDefault(); run(); });
at("[data-ask]").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.name === "name") { event.preventDefault(); at("[data-save-now]").click(); }
});
at("[data-stop]").addEventListener("click", () => asking?.abort());
at("[data-go-there]").addEventListener("click", () => editor.go());
at("[data-copy-link]").addEventListener("click", async (event) => {
  const text = event.currentTarget.querySelector("span");
  const long = editor.text.length >= most;
  if (!long) await navigator.clipboard.writeText(address().href);
  text.textContent = long ? "Too long for a link" : "Copied";
  setTimeout(() => { text.textContent = "Link"; }, 1500);
});
box.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.insert) { event.preventDefault(); editor.insert(button.dataset.insert); }
  if (button.dataset.starter) take(button.dataset.starter);
  if (button.dataset.show) shown(button.dataset.show);
  if (button.dataset.file) file(button);
});
box.addEventListener("change", (event) => {
  if (!event.target.closest("[data-picks]")) return;
  chosen[event.target.name] = event.target.value;
  shown("chart");
});
at("[data-find-column]").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  box.querySelectorAll(".table-of").forEach((table) => {
    let any = !wanted || table.dataset.tableNamed.includes(wanted);
    table.querySelectorAll("[data-column]").forEach((column) => {
      column.hidden = Boolean(wanted) && !column.dataset.column.toLowerCase().includes(wanted);
      any ||= !column.hidden;
    });
    table.hidden = !any;
    if (wanted) table.open = any;
  });
});
window.addEventListener("popstate", () => { read(); if (editor.text.trim()) run({ push: false }); });

history.start(box, take);
saved.start(box, take, () => editor.text);
read();
if (editor.text.trim()) run({ push: false });
else editor.area.focus({ preventScroll: true });
