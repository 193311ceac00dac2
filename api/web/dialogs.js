import { byId } from "./dom.js";

/**
 * @param {string} title
 * @param {string} text
 * @param {string} yes  The word on the button that does it.
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, yes) {
  byId("confirm-title", HTMLElement).textContent = title;
  byId("confirm-text", HTMLElement).textContent = text;
  byId("confirm-yes", HTMLButtonElement).textContent = yes;
  return answered(byId("confirm", HTMLDialogElement)).then((value) => value === "yes");
}

/**
 * @param {boolean} wrong  The key that was given before is not accepted.
 * @returns {Promise<string | null>}
 */
export async function askedForKey(wrong) {
  const input = byId("key-input", HTMLInputElement);
  input.value = "";
  byId("key-wrong", HTMLElement).hidden = !wrong;
  const value = await answered(byId("key", HTMLDialogElement));
  return value === "yes" && input.value.trim() ? input.value.trim() : null;
}

/**
 * A modal dialog: the browser keeps the focus in it and gives it back; Esc closes it.
 *
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<string>}
 */
function answered(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}
