// Rows as a table: a hundred at a time, numbers to the right, sorted by a click on a column's name.
const PAGE = 100;
const LONG = 300;
const NUMBER = /^(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|UINTEGER|FLOAT|DOUBLE|DECIMAL\(.*\))$/;
const text = (value) => (value === null ? "NULL" : typeof value === "object" ? JSON.stringify(value) : String(value));

function made(name, said, className) {
  const element = document.createElement(name);
  if (said !== undefined) element.textContent = said;
  if (className) element.className = className;
  return element;
}

export class Rows {
  constructor(table, pager) {
    this.table = table;
    this.pager = pager;
    pager.addEventListener("click", (event) => {
      const by = event.target.closest("[data-page-by]")?.dataset.pageBy;
      if (by) { this.page += Number(by); this.draw(); this.table.parentElement.scrollTop = 0; }
    });
    table.addEventListener("click", (event) => {
      const column = event.target.closest("[data-sort]")?.dataset.sort;
      if (column !== undefined) this.sort(Number(column));
      const cell = event.target.closest("td.long");
      if (cell) { cell.textContent = cell.dataset.whole; cell.classList.remove("long"); }
    });
  }

  show({ columns, types, rows }) {
    Object.assign(this, { columns, rows, found: rows, page: 0, order: null });
    this.numbers = types.map((type) => NUMBER.test(type));
    this.types = types;
    this.draw();
  }

  sort(column) {
    const down = this.order?.column === column ? !this.order.down : this.numbers[column];
    this.order = { column, down };
    const compare = this.numbers[column] ? (a, b) => Number(a) - Number(b) : (a, b) => (text(a) < text(b) ? -1 : Number(text(a) > text(b)));
    this.rows = [...this.found].sort(({ [column]: a }, { [column]: b }) => {
      if (a === null || b === null) return Number(a === null) - Number(b === null);
      return down ? compare(b, a) : compare(a, b);
    });
    this.page = 0;
    this.draw();
    this.table.querySelector(`[data-sort="${column}"]`).focus();
  }

  draw() {
    const pages = Math.max(1, Math.ceil(this.rows.length / PAGE));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const from = this.page * PAGE;
    const body = made("tbody");
    body.append(...this.rows.slice(from, from + PAGE).map((row, number) => this.row(row, from + number + 1)));
    this.table.replaceChildren(this.head(), body);
    if (!this.rows.length) {
      const nothing = made("td", "No rows.", "empty");
      nothing.colSpan = this.columns.length + 1;
      const line = made("tr");
      line.append(nothing);
      body.append(line);
    }
    this.pager.hidden = pages === 1;
    const [before, next] = this.pager.querySelectorAll("[data-page-by]");
    before.disabled = this.page === 0;
    next.disabled = this.page === pages - 1;
    this.pager.querySelector("[data-page-text]").textContent = `${(from + 1).toLocaleString("en")} to ${Math.min(from + PAGE, this.rows.length).toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}`;
  }

  head() {
    const line = made("tr");
    line.append(made("th", "#", "row-number"), ...this.columns.map((name, column) => {
      const cell = made("th", undefined, this.numbers[column] ? "number-cell" : "");
      cell.scope = "col";
      const button = made("button", name, "link");
      button.type = "button";
      button.dataset.sort = column;
      button.title = this.types[column];
      if (this.order?.column === column) {
        cell.setAttribute("aria-sort", this.order.down ? "descending" : "ascending");
        button.append(this.order.down ? " ↓" : " ↑");
      }
      cell.append(button);
      return cell;
    }));
    const head = made("thead");
    head.append(line);
    return head;
  }

  row(row, number) {
    const line = made("tr");
    line.append(made("td", number.toLocaleString("en"), "row-number"), ...row.map((value, column) => {
      const whole = text(value);
      const cell = made("td", whole.length > LONG ? `${whole.slice(0, LONG)} …` : whole, value === null ? "null-cell" : this.numbers[column] ? "number-cell" : "");
      if (value !== null && /^(?:call_id)$/.test(this.columns[column]) && typeof value === "string") {
        const link = made("a", value);
        link.href = `${document.body.dataset.base}/calls/${encodeURIComponent(value)}`;
        cell.replaceChildren(link);
      }
      if (whole.length > LONG) { cell.classList.add("long"); cell.dataset.whole = whole; cell.title = "Click to see all of it"; }
      return cell;
    }));
    return line;
  }
}
