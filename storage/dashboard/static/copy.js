// Buttons that copy the code beside them.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const text = button.dataset.copy || button.closest(".snippet").querySelector("code").textContent;
  await navigator.clipboard.writeText(text);
  const said = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = said; }, 1500);
});

// Times of the server's, as the viewer reads them.
document.addEventListener("panel", (event) => {
  const zone = document.body.dataset.zone;
  event.target.querySelectorAll("time[data-local]").forEach((time) => {
    time.textContent = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: zone }).format(new Date(time.dateTime));
  });
});
