// Charts: a crosshair with the figures, a time range chosen by dragging, the figures as a table, and a picture to keep.
// The figures are those of the table beside the drawing.
const tip = document.querySelector(".tip");
let dragging = null;

const figureOf = (target) => target.closest?.("[data-chart]");
const rowsOf = (figure) => figure.querySelectorAll("tbody tr");

function pieceAt(figure, clientX) {
  const box = figure.querySelector(".plot").getBoundingClientRect();
  const count = rowsOf(figure).length;
  return Math.max(0, Math.min(count - 1, Math.floor(((clientX - box.left) / box.width) * count)));
}

function point(figure, piece, at) {
  const rows = rowsOf(figure);
  if (!rows[piece]) return;
  figure.dataset.piece = piece;
  const cross = figure.querySelector(".cross");
  const place = `${((piece + 0.5) / rows.length) * 100}%`;
  cross.setAttribute("x1", place);
  cross.setAttribute("x2", place);
  cross.style.visibility = "visible";
  const [when, ...cells] = rows[piece].children;
  const heads = figure.querySelectorAll("thead th[data-tone]");
  const title = document.createElement("p");
  title.textContent = when.textContent;
  tip.replaceChildren(title, ...cells.map((cell, number) => {
    const line = document.createElement("div");
    const mark = document.createElement("i");
    const value = document.createElement("b");
    line.className = `t${heads[number].dataset.tone}`;
    value.textContent = cell.textContent;
    line.append(mark, heads[number].textContent, value);
    return line;
  }));
  tip.hidden = false;
  const box = figure.querySelector(".plot").getBoundingClientRect();
  const x = at?.x ?? box.left + ((piece + 0.5) / rows.length) * box.width;
  const y = at?.y ?? box.top + 20;
  const left = x + 16 + tip.offsetWidth > innerWidth ? x - tip.offsetWidth - 14 : x + 14;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, Math.min(y + 12, innerHeight - tip.offsetHeight - 8))}px)`;
}

function leave(figure) {
  tip.hidden = true;
  figure.querySelector(".cross").style.visibility = "hidden";
}

document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.(".plot");
  if (plot) point(figureOf(plot), pieceAt(figureOf(plot), event.clientX), { x: event.clientX, y: event.clientY });
  if (dragging) brush(pieceAt(dragging.figure, event.clientX));
});
document.addEventListener("pointerout", (event) => {
  const plot = event.target.closest?.(".plot");
  if (plot && !plot.contains(event.relatedTarget)) leave(figureOf(plot));
});
document.addEventListener("focusout", (event) => { if (event.target.matches?.(".plot")) leave(figureOf(event.target)); });

document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.(".plot") || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  const figure = figureOf(event.target);
  const last = rowsOf(figure).length - 1;
  const from = Number(figure.dataset.piece ?? (event.key === "ArrowLeft" ? last + 1 : -1));
  const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
  point(figure, Math.max(0, Math.min(last, to)));
});

// A time range by dragging over a chart
document.addEventListener("pointerdown", (event) => {
  const figure = event.target.closest?.("[data-timed] .plot") && figureOf(event.target);
  if (!figure || event.button !== 0 || event.pointerType === "touch") return;
  dragging = { figure, from: pieceAt(figure, event.clientX) };
});
function brush(to) {
  const { figure, from } = dragging;
  const rect = figure.querySelector(".brush");
  const count = rowsOf(figure).length;
  const [low, high] = [Math.min(from, to), Math.max(from, to) + 1];
  rect.setAttribute("x", `${(low / count) * 100}%`);
  rect.setAttribute("width", `${((high - low) / count) * 100}%`);
  rect.style.visibility = from === to ? "hidden" : "visible";
  dragging.to = to;
}
document.addEventListener("pointerup", () => {
  if (!dragging) return;
  const { figure, from, to = from } = dragging;
  dragging = null;
  figure.querySelector(".brush").style.visibility = "hidden";
  if (from === to) return;
  const rows = rowsOf(figure);
  const address = new URL(location.href);
  address.searchParams.delete("range");
  address.searchParams.set("since", rows[Math.min(from, to)].dataset.since);
  address.searchParams.set("until", rows[Math.max(from, to)].dataset.until);
  address.searchParams.set("zone", document.body.dataset.zone);
  location.assign(address);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-table], [data-png]");
  const figure = button && figureOf(button);
  if (!figure) return;
  if ("table" in button.dataset) {
    const hidden = figure.querySelector(".figures-table").classList.toggle("sr");
    button.setAttribute("aria-pressed", String(!hidden));
  } else {
    save(figure);
  }
});

// As a picture: the drawing with the styles that it has now, twice as fine, on the ground that it stands on.
const MARGIN = { left: 62, right: 14, top: 44, bottom: 12 };
const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity", "font-size", "font-family", "visibility", "vector-effect"];

export async function picture(figure) {
  const plot = figure.querySelector(".plot");
  const { width, height } = plot.getBoundingClientRect();
  const copy = plot.cloneNode(true);
  const originals = [plot, ...plot.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, number) => {
    const style = getComputedStyle(originals[number]);
    STYLES.forEach((name) => node.setAttribute(name, style.getPropertyValue(name)));
    node.removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("x", MARGIN.left);
  copy.setAttribute("y", MARGIN.top);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("overflow", "visible");
  const size = [width + MARGIN.left + MARGIN.right, height + MARGIN.top + MARGIN.bottom];
  const whole = `<svg xmlns="http://www.w3.org/2000/svg" width="${size[0]}" height="${size[1]}">${new XMLSerializer().serializeToString(copy)}</svg>`;
  const image = new Image();
  const address = URL.createObjectURL(new Blob([whole], { type: "image/svg+xml" }));
  try {
    image.src = address;
    await image.decode();
  } finally {
    URL.revokeObjectURL(address);
  }
  return painted(figure, image, size);
}

function painted(figure, image, [width, height]) {
  const canvas = document.createElement("canvas");
  canvas.width = width * 2;
  canvas.height = height * 2;
  const paint = canvas.getContext("2d");
  paint.scale(2, 2);
  const page = getComputedStyle(document.body);
  paint.fillStyle = getComputedStyle(figure).backgroundColor;
  paint.fillRect(0, 0, width, height);
  paint.drawImage(image, 0, 0);
  paint.fillStyle = page.color;
  paint.font = `600 13px ${page.fontFamily}`;
  paint.fillText(figure.querySelector("h2").textContent, 14, 24);
  let x = 30 + paint.measureText(figure.querySelector("h2").textContent).width;
  paint.font = `12px ${page.fontFamily}`;
  figure.querySelectorAll(".legend li").forEach((item) => {
    paint.fillStyle = getComputedStyle(item, "::before").backgroundColor;
    paint.fillRect(x, 15, 9, 9);
    paint.fillStyle = page.color;
    paint.fillText(item.textContent, x + 14, 24);
    x += 30 + paint.measureText(item.textContent).width;
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

async function save(figure) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await picture(figure));
  link.download = `heliograph-${figure.dataset.chart}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
