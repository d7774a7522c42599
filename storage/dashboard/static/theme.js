// Light or dark: the system's, until somebody chooses. Kept in a cookie, so that the next page is sent in it.
document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `heliograph-theme=${root.dataset.theme}; path=${document.body.dataset.base}; max-age=31536000; samesite=strict`;
});
