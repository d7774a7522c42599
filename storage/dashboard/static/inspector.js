// One call: its tabs, panels inside it that wait until they are looked at, raw bodies piece by piece and folded, and feedback.
import { load } from "./panels.js";
import { send } from "./session.js";

document.addEventListener("panel", (event) => {
  event.target.querySelectorAll("[data-nested]").forEach(load);
  event.target.querySelectorAll("[data-foldable] > pre").forEach(fold);
  const kept = sessionStorage.getItem("heliograph-tab");
  if (kept && event.target.querySelector(":scope [data-call-shown]")) show(event.target.querySelector(`[data-tab="${CSS.escape(kept)}"]`));
});

function show(tab) {
  if (!tab) return;
  const call = tab.closest("[data-call-shown]");
  call.querySelectorAll("[data-tab]").forEach((each) => {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    call.querySelector(`#${each.getAttribute("aria-controls")}`).hidden = !chosen;
  });
  sessionStorage.setItem("heliograph-tab", tab.dataset.tab);
}

document.addEventListener("click", (event) => {
  const tab = event.target.closest("[data-tab], [data-tab-to]");
  if (tab) show(tab.dataset.tab ? tab : tab.closest("[data-call-shown]").querySelector(`[data-tab="${tab.dataset.tabTo}"]`));
  const more = event.target.closest("[data-more]");
  if (more) further(more);
  const rate = event.target.closest("[data-rate]");
  if (rate) judged(rate);
});
document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[data-tab]");
  if (!tab || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const all = [...tab.parentElement.children];
  const next = all[(all.indexOf(tab) + (event.key === "ArrowRight" ? 1 : all.length - 1)) % all.length];
  show(next);
  next.focus();
});
document.addEventListener("toggle", (event) => {
  const nested = event.target.matches?.(".call-raw") && event.target.open && event.target.querySelector(":scope > [data-src]");
  if (nested && !nested.dataset.asked) {
    nested.dataset.asked = "1";
    load(nested);
  }
}, true);

async function further(button) {
  button.disabled = true;
  const answer = await fetch(button.dataset.more);
  const template = document.createElement("template");
  template.innerHTML = await answer.text();
  const old = button.closest(".raw");
  const pre = template.content.querySelector("pre");
  if (!answer.ok || !pre) { button.disabled = false; button.textContent = "Ask again"; return; }
  old.querySelector("pre").append(pre.textContent);
  old.querySelector(".cut").remove();
  const cut = template.content.querySelector(".cut");
  if (cut) old.append(cut);
}

// JSON as a tree whose branches are made when they are opened.
const LONG = 2000;
function fold(pre) {
  let value;
  try { value = JSON.parse(pre.textContent); } catch { return; }
  const tree = document.createElement("div");
  tree.className = "tree";
  tree.append(branch(null, value, 2));
  pre.replaceWith(tree);
}
function name(key) {
  const label = document.createElement("bdi");
  label.className = "tree-key";
  label.textContent = key === null ? "" : `${key}: `;
  return label;
}
function branch(key, value, open) {
  if (value === null || typeof value !== "object") return leaf(key, value);
  const entries = Array.isArray(value) ? value.map((each, at) => [at, each]) : Object.entries(value);
  const held = document.createElement("details");
  const head = document.createElement("summary");
  const size = document.createElement("span");
  size.className = "quiet";
  size.textContent = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  head.append(name(key), size);
  held.append(head);
  const fill = () => {
    if (held.childElementCount > 1) return;
    const inside = document.createElement("div");
    inside.className = "tree-inside";
    inside.append(...entries.slice(0, 500).map(([each, inner]) => branch(each, inner, open - 1)));
    if (entries.length > 500) inside.append(`… ${(entries.length - 500).toLocaleString("en")} more; the download has them`);
    held.append(inside);
  };
  held.addEventListener("toggle", fill);
  if (open > 0 && entries.length <= 100) { fill(); held.open = true; }
  return held;
}
function leaf(key, value) {
  const line = document.createElement("div");
  const text = document.createElement("span");
  const whole = JSON.stringify(value);
  text.className = `tree-${value === null ? "null" : typeof value}`;
  text.textContent = whole.length > LONG ? `${whole.slice(0, LONG)}…` : whole;
  text.dir = "auto";
  line.append(name(key), text);
  if (whole.length > LONG) {
    const more = document.createElement("button");
    more.type = "button";
    more.className = "link";
    more.textContent = `all ${whole.length.toLocaleString("en")} characters`;
    more.addEventListener("click", () => { text.textContent = whole; more.remove(); });
    line.append(" ", more);
  }
  return line;
}

// Feedback: it is on durable ground when it is answered, and shows when it has come to rest.
async function told(box, method, path, body) {
  const said = box.querySelector("[data-feedback-said]");
  const answer = await send(method, `/v1/request/${encodeURIComponent(box.dataset.feedback)}/${path}`, body);
  said.hidden = false;
  said.classList.toggle("kept", answer.ok);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    said.textContent = `It was not kept: ${told.error?.message ?? told.error ?? told.message ?? `HTTP ${answer.status}`}`;
    return false;
  }
  said.textContent = "Kept. It shows here in a moment.";
  const panel = box.closest("[data-src]");
  [2500, 6000].forEach((ms) => setTimeout(() => { if (panel.isConnected && !panel.querySelector("input:focus")) load(panel); }, ms));
  return true;
}
async function judged(button) {
  const box = button.closest("[data-feedback]");
  const comment = box.querySelector("[name=comment]").value.trim();
  const ok = button.dataset.rate === "none"
    ? await told(box, "DELETE", "feedback")
    : await told(box, "POST", "feedback", { rating: button.dataset.rate === "good", ...(comment ? { comment } : {}) });
  if (ok) box.querySelectorAll("[data-rate]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
}
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-rate-form], [data-score-form]");
  if (!form) return;
  event.preventDefault();
  if ("rateForm" in form.dataset) return;
  const ok = await told(form.closest("[data-feedback]"), "POST", "score", { scores: { [form.elements.name.value]: Number(form.elements.value.value) } });
  if (ok) form.reset();
});
