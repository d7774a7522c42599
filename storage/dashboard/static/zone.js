// The viewer's time zone, told to the server by a cookie. Without one the page was made in UTC, and is made again once.
const COOKIE = "heliograph-zone";
const own = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export function choose(name) {
  document.cookie = `${COOKIE}=${encodeURIComponent(name)}; path=${document.body.dataset.base}; max-age=31536000; samesite=strict`;
}

/** True when the page may go on as it is; false when it is being loaded anew. */
export function zone() {
  const { zone: shown, zoneChosen } = document.body.dataset;
  if (zoneChosen) return true;
  choose(own());
  if (!document.cookie.includes(`${COOKIE}=`) || shown === own()) return true;
  location.replace(location.href);
  return false;
}

document.querySelector("[data-zone-toggle]")?.addEventListener("click", () => {
  choose(document.body.dataset.zone === "UTC" ? own() : "UTC");
  location.reload();
});
