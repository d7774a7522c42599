// A tree of branches: opened and closed all at once, and walked with the arrow keys.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-tree]");
  if (!button) return;
  button.closest(".tree").querySelectorAll("details").forEach((each) => { each.open = button.dataset.tree === "open"; });
});

document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.(".tree .tree-row");
  if (!row) return;
  const branch = row.matches("summary") ? row.parentElement : null;
  if (event.key === "ArrowRight" && branch && !branch.open) branch.open = true;
  else if (event.key === "ArrowLeft" && branch?.open) branch.open = false;
  else if (event.key === "ArrowLeft") (branch?.parentElement ?? row).closest("details")?.querySelector("summary").focus();
  else if (event.key === "ArrowDown" || event.key === "ArrowUp" || event.key === "ArrowRight") {
    const rows = [...row.closest(".tree").querySelectorAll("summary, a.tree-row")].filter((each) => each.checkVisibility());
    rows[rows.indexOf(row) + (event.key === "ArrowUp" ? -1 : 1)]?.focus();
  } else return;
  event.preventDefault();
});
