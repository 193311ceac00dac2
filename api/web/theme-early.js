// Before the first paint, so that nobody who chose the dark is dazzled. Not a module: those wait.
(() => {
  try {
    const chosen = localStorage.getItem("footnote.theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // A browser that keeps nothing for this page shows what the system shows.
  }
})();
