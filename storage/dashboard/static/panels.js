// Panels: fetched side by side, four at once; with the time that has passed, a way to give up, and one to ask again.
const AT_ONCE = 4;
const PATIENCE_MS = 700;
const waiting = [];
let running = 0;
const under = new WeakMap();

export function load(panel) {
  under.get(panel)?.abort();
  const control = new AbortController();
  under.set(panel, control);
  waiting.push({ panel, control });
  next();
}

export function loadAll(selector = "[data-src]") {
  document.querySelectorAll(selector).forEach(load);
}

/** Fetches a panel from another address from now on. */
export function show(panel, address) {
  panel.dataset.src = address;
  load(panel);
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const { panel, control } = waiting.shift();
    if (control.signal.aborted) continue;
    running += 1;
    fetched(panel, control).finally(() => { running -= 1; next(); });
  }
}

async function fetched(panel, control) {
  const body = panel.querySelector(":scope > .panel-body");
  const wait = panel.querySelector(":scope > .panel-wait");
  const began = performance.now();
  body.setAttribute("aria-busy", "true");
  const clock = setInterval(() => {
    const passed = performance.now() - began;
    if (passed < PATIENCE_MS) return;
    wait.hidden = false;
    wait.querySelector("[data-elapsed]").textContent = `${(passed / 1000).toFixed(1)} s`;
  }, 100);
  try {
    const answer = await fetch(panel.dataset.src, { signal: control.signal, headers: { accept: "text/html" } });
    const text = await answer.text();
    if (answer.status === 401) { location.reload(); return; }
    if (!(answer.headers.get("content-type") || "").startsWith("text/html")) { said(body, `The server failed to answer (HTTP ${answer.status}); its log says why.`); return; }
    body.innerHTML = text;
    panel.dispatchEvent(new CustomEvent("panel", { bubbles: true, detail: { ok: answer.ok } }));
  } catch (error) {
    if (under.get(panel) !== control) return; // another one took its place
    said(body, error.name === "AbortError" ? "You gave it up." : "The server was not reached.");
  } finally {
    clearInterval(clock);
    if (under.get(panel) === control) {
      wait.hidden = true;
      body.setAttribute("aria-busy", "false");
    }
  }
}

function said(body, text) {
  const box = document.createElement("div");
  box.className = "refused";
  box.setAttribute("role", "alert");
  const line = document.createElement("p");
  line.textContent = text;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "button";
  again.dataset.again = "";
  again.textContent = "Ask again";
  box.append(line, again);
  body.replaceChildren(box);
}

document.addEventListener("click", (event) => {
  const panel = event.target.closest("[data-src]");
  if (!panel) return;
  if (event.target.closest("[data-cancel]")) under.get(panel)?.abort();
  if (event.target.closest("[data-again]")) load(panel);
});
