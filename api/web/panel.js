import { byId } from "./dom.js";

const narrow = matchMedia("(max-width: 59.99rem)");

/** @type {HTMLElement | null} */
let opener = null;

function parts() {
  return {
    panel: byId("panel", HTMLElement),
    title: byId("panel-title", HTMLElement),
    body: byId("panel-body", HTMLElement),
  };
}

/** Beside the conversation on a wide screen; over it, with everything behind it out of reach, on a narrow one. */
export function setUpPanel() {
  byId("panel-close", HTMLButtonElement).addEventListener("click", () => closePanel());
  narrow.addEventListener("change", keepBehind);
}

function keepBehind() {
  const covers = narrow.matches && !parts().panel.hidden;
  for (const id of ["top", "conversation"]) byId(id, HTMLElement).inert = covers;
  document.body.classList.toggle("covered", covers);
}

/**
 * @param {string} title
 * @param {Node[]} content
 * @param {string} kind  For the style sheet and for `panelShows`.
 */
export function openPanel(title, content, kind) {
  const { panel, title: heading, body } = parts();
  // What was opened from within the panel returns the focus to what opened the panel.
  const active = document.activeElement;
  if (panel.hidden && active instanceof HTMLElement) opener = active;
  heading.textContent = title;
  body.replaceChildren(...content);
  body.scrollTop = 0;
  panel.dataset.kind = kind;
  panel.hidden = false;
  document.body.classList.add("has-panel");
  keepBehind();
  heading.focus({ preventScroll: true });
}

/** @param {string} kind */
export function panelShows(kind) {
  const { panel } = parts();
  return !panel.hidden && panel.dataset.kind === kind;
}

/** @returns {boolean} whether it was open */
export function closePanel() {
  const { panel } = parts();
  if (panel.hidden) return false;
  panel.hidden = true;
  document.body.classList.remove("has-panel");
  keepBehind();
  (opener?.isConnected ? opener : byId("question", HTMLTextAreaElement)).focus({ preventScroll: true });
  opener = null;
  return true;
}
