import { byId } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

/** The button between light and dark; without a choice the system decides. */
export function setUpTheme() {
  const button = byId("theme", HTMLButtonElement);
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("footnote.theme", theme);
    } catch {
      // It holds until the page is closed.
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}
