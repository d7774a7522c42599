// A textarea for SQL: line numbers, colours and a marked place under it, Tab for two spaces. Without this script it is a textarea.
const WORDS = new Set(("all and any as asc between by case cast cross date desc describe distinct else end except exclude exists false filter first from full group grouping having if ilike in inner intersect interval is join lateral left like limit not null nulls offset on or order outer over partition pivot positional qualify replace right rows select semi sets show summarize table then timestamp true union unnest unpivot using values when where window with within").split(" "));
const TOKENS = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$))|(\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)|([A-Za-z_]\w*)/g;

function piece(kind, text) {
  if (!kind) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = `sql-${kind}`;
  span.textContent = text;
  return span;
}

function coloured(text, mark) {
  const made = [];
  let at = 0;
  const put = (kind, from, to) => {
    if (mark !== null && from <= mark && mark < to) {
      const length = kind ? to - mark : Math.max(1, /^\w*/.exec(text.slice(mark, to))[0].length);
      if (mark > from) made.push(piece(kind, text.slice(from, mark)));
      made.push(piece("fault", text.slice(mark, mark + length)));
      if (mark + length < to) made.push(piece(kind, text.slice(mark + length, to)));
    } else made.push(piece(kind, text.slice(from, to)));
  };
  for (const found of text.matchAll(TOKENS)) {
    if (found.index > at) put("", at, found.index);
    at = found.index + found[0].length;
    const kind = found[1] ? "comment" : found[2] ? "text" : found[3] ? "number" : WORDS.has(found[4].toLowerCase()) ? "word" : "";
    put(kind, found.index, at);
  }
  if (at < text.length) put("", at, text.length);
  if (mark !== null && mark >= text.length) made.push(piece("fault", " "));
  return made;
}

export class Editor {
  constructor(box) {
    this.area = box.querySelector("textarea");
    this.under = box.querySelector(".editor-under");
    this.lines = box.querySelector(".editor-lines");
    this.marked = null;
    this.leaving = false;
    box.classList.add("enhanced");
    this.area.addEventListener("input", () => { this.marked = null; this.draw(); });
    this.area.addEventListener("keydown", (event) => this.key(event));
    this.area.addEventListener("blur", () => { this.leaving = false; });
    this.draw();
  }

  get text() { return this.area.value; }

  set text(said) {
    this.area.value = said;
    this.marked = null;
    this.draw();
  }

  draw() {
    const { text } = this;
    // Colours cost a node for each word: a question of many pages goes without.
    this.under.replaceChildren(...(text.length < 20000 ? coloured(text, this.marked) : [document.createTextNode(text)]), document.createTextNode("\n"));
    const count = text.split("\n").length;
    const fault = this.marked === null ? 0 : this.lineOf(this.marked);
    this.lines.replaceChildren(...Array.from({ length: count }, (_, number) => {
      const line = document.createElement("span");
      line.textContent = `${number + 1}\n`;
      if (number + 1 === fault) line.className = "fault";
      return line;
    }));
  }

  lineOf(place) { return this.text.slice(0, place).split("\n").length; }

  /** Characters are counted as Python counts them: one beyond the basic plane is one. */
  mark(position) {
    this.marked = position === null ? null : [...this.text].slice(0, position).join("").length;
    this.draw();
  }

  go() {
    this.area.focus();
    this.area.setSelectionRange(this.marked, this.marked);
  }

  insert(said) {
    this.area.focus();
    const { selectionStart: start, value } = this.area;
    const gap = start > 0 && /\w/.test(value[start - 1]) ? " " : "";
    this.put(gap + said);
  }

  /** Through the browser's own way, so that it can be undone. */
  put(said) {
    if (!document.execCommand("insertText", false, said)) {
      const { selectionStart, selectionEnd } = this.area;
      this.area.setRangeText(said, selectionStart, selectionEnd, "end");
      this.area.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  key(event) {
    if (event.key === "Escape") { this.leaving = true; return; }
    if (event.key === "Tab" && !this.leaving && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      this.indent(event.shiftKey);
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.area.form.requestSubmit();
    }
    if (event.key !== "Shift" && event.key !== "Tab") this.leaving = false;
  }

  indent(out) {
    const { selectionStart: start, selectionEnd: end, value } = this.area;
    if (start === end && !out) { this.put("  "); return; }
    const from = value.lastIndexOf("\n", start - 1) + 1;
    const block = value.slice(from, end);
    const changed = out ? block.replace(/^ {1,2}/gm, "") : block.replace(/^/gm, "  ");
    if (changed === block) return;
    this.area.setSelectionRange(from, end);
    this.put(changed);
    this.area.setSelectionRange(from, from + changed.length);
  }
}
