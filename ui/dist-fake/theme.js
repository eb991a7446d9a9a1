// Runs before the first paint, so that the window never flashes in the wrong theme or size. It is a
// file of its own because the content policy allows no inline script. `appearance.ts` writes what is
// read here.
(() => {
  let theme = "system";
  let zoom = 1;
  try {
    theme = localStorage.getItem("quaero.theme") ?? theme;
    zoom = Number(localStorage.getItem("quaero.zoom")) || zoom;
  } catch {
    // Without storage the defaults hold.
  }
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  if (zoom !== 1) document.documentElement.style.fontSize = `${Math.round(zoom * 100)}%`;
})();
