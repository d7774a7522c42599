// The form that adds a filter: fields for what is chosen, and the values there are.
const form = document.querySelector("[data-add-filter]");
const { values: address } = document.body.dataset;

async function suggest(list, field, key = "") {
  const asked = new URL(address, location.href);
  asked.searchParams.set("field", field);
  if (key) asked.searchParams.set("key", key);
  const answer = await fetch(asked);
  if (!answer.ok) return;
  const found = await answer.json();
  list.replaceChildren(...found.map(({ value, calls }) => {
    const option = document.createElement("option");
    option.value = value;
    if (calls !== null) option.label = `${value}  (${calls.toLocaleString("en")} calls)`;
    return option;
  }));
}

function shape() {
  const field = form.elements["add.field"].value;
  const how = form.elements["add.how"].value;
  form.querySelector("[data-property]").hidden = field !== "property";
  form.querySelector("[data-value]").hidden = how === "without" || how === "with";
  if (field === "property") suggest(form.querySelector("#property-names"), "properties");
  if (field !== "property" || form.elements["add.key"].value) suggest(form.querySelector("#filter-values"), field, form.elements["add.key"].value);
}

if (form) {
  form.addEventListener("change", (event) => { if (event.target.name !== "add.value") shape(); });
  form.closest("details").addEventListener("toggle", (event) => {
    if (!event.target.open) return;
    shape();
    form.elements["add.field"].focus();
  });
}

const organization = document.querySelector("input[name=organization][list]");
organization?.addEventListener("focus", () => suggest(organization.list, "organizations"), { once: true });

// A sheet closes when something else is clicked.
document.addEventListener("click", (event) => {
  document.querySelectorAll("details.drop[open]").forEach((drop) => { if (!drop.contains(event.target)) drop.open = false; });
});
