// The colours: the system's, light, or dark.  Not a module, so that it runs before the page is first drawn.
(() => {
  const THEMES = ["auto", "light", "dark"], dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => localStorage.getItem("theme") || "auto";

  function show() {
    document.documentElement.dataset.theme = theme() === "auto" ? (dark.matches ? "dark" : "light") : theme();
    const button = document.getElementById("theme");
    if (!button) return; // not there yet
    button.title = `Colours: ${theme() === "auto" ? "as the system" : theme()}`;
    button.setAttribute("aria-label", button.title);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      localStorage.setItem("theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
      show();
    });
    show();
  });
  dark.addEventListener("change", show);
  show();
})();
