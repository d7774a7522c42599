// Calls as they arrive: while the page is live, or waits for its first call, panels are fetched anew when there are newer ones.
import { loadAll } from "./panels.js";

const KEPT = "heliograph-live";
const LEAST_MS = 4000;
const button = document.querySelector("[data-live-toggle]");
let source = null;
let last = 0;
let later = 0;

export function arrivals(heard) {
  const stream = new EventSource(document.body.dataset.live);
  stream.addEventListener("calls", (event) => heard(JSON.parse(event.data)));
  stream.addEventListener("refused", () => stream.close()); // when its time is over the browser connects anew
  return stream;
}

function refresh() {
  clearTimeout(later);
  later = setTimeout(() => {
    last = performance.now();
    if (document.visibilityState === "visible") loadAll("[data-refreshed]");
  }, Math.max(0, last + LEAST_MS - performance.now()));
}

function set(on) {
  source?.close();
  source = on ? arrivals(refresh) : null; // the first too: a call may have come since the panels were fetched
  button.setAttribute("aria-pressed", String(on));
  try { sessionStorage.setItem(KEPT, on ? "1" : ""); } catch { /* then it is not kept */ }
}

if (button) {
  button.addEventListener("click", () => set(!source));
  let kept = "";
  try { kept = sessionStorage.getItem(KEPT); } catch { /* it was not kept */ }
  if (kept) set(true);
}

// Before the first call
document.addEventListener("panel", (event) => {
  const empty = event.target.querySelector("[data-first]");
  if (!empty || source) return;
  const stream = arrivals(({ newest }) => {
    if (newest === null) return;
    stream.close();
    loadAll();
  });
});
