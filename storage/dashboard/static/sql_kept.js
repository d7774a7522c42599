// Questions that are kept: those of this browser, and those that the organization saved.
import { send } from "./session.js";

const MOST = 60;

function line(sql, { title, note, take, remove, removing }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "kept-one";
  button.title = sql;
  const name = document.createElement("b");
  name.textContent = title;
  const said = document.createElement("span");
  said.className = "quiet";
  said.textContent = note;
  button.append(name, said);
  button.addEventListener("click", () => take(sql));
  item.append(button);
  if (remove) {
    const away = document.createElement("button");
    away.type = "button";
    away.className = "tool only-icon";
    away.textContent = "×";
    away.setAttribute("aria-label", removing);
    away.title = removing;
    away.addEventListener("click", () => remove(away));
    item.append(away);
  }
  return item;
}

const ago = (at) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: document.body.dataset.zone }).format(new Date(at));

export const history = {
  start(box, take) {
    Object.assign(this, { box, take, key: `heliograph-sql:${box.dataset.owner}` });
    box.querySelector("[data-history-clear]").addEventListener("click", () => { this.write([]); });
    this.draw();
  },

  read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) || "[]");
      return Array.isArray(kept) ? kept.filter((each) => typeof each?.sql === "string") : [];
    } catch { return []; }
  },

  write(kept) {
    try { localStorage.setItem(this.key, JSON.stringify(kept)); } catch { /* then it is not kept */ }
    this.draw();
  },

  add(one) {
    this.write([one, ...this.read().filter((each) => each.sql !== one.sql)].slice(0, MOST));
  },

  draw() {
    const kept = this.read();
    this.box.querySelector("[data-history-count]").textContent = kept.length || "";
    this.box.querySelector("[data-history-none]").hidden = kept.length > 0;
    this.box.querySelector("[data-history-clear]").hidden = kept.length === 0;
    this.box.querySelector("[data-history-list]").replaceChildren(...kept.map((each) => line(each.sql, {
      title: each.sql.replace(/\s+/g, " ").slice(0, 90),
      note: `${ago(each.at)} · ${Number(each.rows).toLocaleString("en")}${each.truncated ? "+" : ""} rows`,
      take: this.take,
    })));
  },
};

export const saved = {
  start(box, take, text) {
    Object.assign(this, { box, take, text, all: [] });
    const form = box.querySelector("[data-save-form]");
    this.name = form.querySelector("input");
    this.problem = form.querySelector("[data-save-problem]");
    box.querySelector("[data-save]").addEventListener("click", () => { form.hidden = false; this.name.focus(); });
    box.querySelector("[data-save-never]").addEventListener("click", () => { form.hidden = true; });
    box.querySelector("[data-save-now]").addEventListener("click", () => this.save(form));
    this.load();
  },

  async asked(method, path, said) {
    try {
      const answer = await send(method, path, said);
      const { data, error } = await answer.json();
      if (answer.ok) return { data };
      return { problem: (typeof error === "string" ? error : error?.message) || `Not possible (HTTP ${answer.status}).` };
    } catch { return { problem: "The server was not reached." }; }
  },

  async load() {
    const { data, problem } = await this.asked("GET", "/v1/helicone-sql/saved-queries");
    this.all = data || [];
    if (problem) this.box.querySelector("[data-saved-none]").textContent = problem;
    this.draw();
  },

  async save(form) {
    const name = this.name.value.trim();
    if (!name || !this.text().trim()) { this.problem.textContent = name ? "There is no question to save." : "Give it a name."; return; }
    const before = this.all.find((each) => each.name === name);
    if (before && this.overwriting !== name) {
      this.overwriting = name;
      this.problem.textContent = "There is one of this name; Save once more puts this in its place.";
      return;
    }
    const said = { name, sql: this.text() };
    const { problem } = before ? await this.asked("PUT", `/v1/helicone-sql/saved-query/${encodeURIComponent(before.id)}`, said) : await this.asked("POST", "/v1/helicone-sql/saved-query", said);
    this.overwriting = null;
    this.problem.textContent = problem || "";
    if (problem) return;
    form.hidden = true;
    this.name.value = "";
    this.box.querySelector("[data-saved]").open = true;
    await this.load();
  },

  async remove(one, button) {
    if (button.dataset.sure === undefined) {
      button.dataset.sure = "";
      button.textContent = "Delete?";
      button.addEventListener("blur", () => { delete button.dataset.sure; button.textContent = "×"; }, { once: true });
      return;
    }
    const { problem } = await this.asked("DELETE", `/v1/helicone-sql/saved-query/${encodeURIComponent(one.id)}`, {});
    if (problem) { button.title = problem; button.textContent = "Failed"; return; }
    await this.load();
  },

  draw() {
    this.box.querySelector("[data-saved-count]").textContent = this.all.length || "";
    this.box.querySelector("[data-saved-none]").hidden = this.all.length > 0;
    this.box.querySelector("[data-saved-list]").replaceChildren(...this.all.map((each) => line(each.sql, {
      title: each.name,
      note: each.sql.replace(/\s+/g, " ").slice(0, 80),
      take: this.take,
      remove: (button) => this.remove(each, button),
      removing: `Delete ${each.name}`,
    })));
  },
};
