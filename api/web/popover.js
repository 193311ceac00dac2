import { h, placeOf } from "./dom.js";

/** @import { Citation } from "./types.js" */

const GAP_PX = 8;
const HIDE_MS = 180;

const box = h("div", { id: "quote", role: "tooltip", class: "quote-box", hidden: true });
/** @type {HTMLElement | null} */
let shownFor = null;
let hiding = 0;

/** The small box with the quoted words. It stays while the pointer is on it, and Esc closes it. */
export function setUpPopover() {
  document.body.append(box);
  box.addEventListener("pointerenter", () => clearTimeout(hiding));
  box.addEventListener("pointerleave", hideSoon);
  addEventListener("scroll", () => hideQuote(), { passive: true, capture: true });
  addEventListener("resize", () => hideQuote());
  document.addEventListener("pointerdown", (event) => {
    const target = event.target;
    if (target instanceof Node && !box.contains(target) && !shownFor?.contains(target)) hideQuote();
  });
}

/** @returns {boolean} whether there was something to hide */
export function hideQuote() {
  clearTimeout(hiding);
  if (shownFor === null) return false;
  shownFor.removeAttribute("aria-describedby");
  shownFor = null;
  box.hidden = true;
  return true;
}

function hideSoon() {
  clearTimeout(hiding);
  hiding = setTimeout(hideQuote, HIDE_MS);
}

/**
 * Shows quotes at a marker on hover, on focus and at the first tap; a click, or a second tap, opens the source.
 *
 * @param {HTMLElement} marker
 * @param {Citation[]} footnotes
 * @param {() => void} open
 */
export function explain(marker, footnotes, open) {
  let touched = false;
  const show = () => showQuote(marker, footnotes, touched);
  marker.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") show();
  });
  marker.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hideSoon();
  });
  marker.addEventListener("pointerdown", (event) => {
    touched = event.pointerType !== "mouse";
  });
  marker.addEventListener("focus", () => {
    if (!touched && marker.matches(":focus-visible")) show();
  });
  marker.addEventListener("blur", hideSoon);
  marker.addEventListener("click", () => {
    const first = touched && shownFor !== marker;
    if (first) show();
    touched = false;
    if (first) return;
    hideQuote();
    open();
  });
}

/**
 * @param {HTMLElement} marker
 * @param {Citation[]} footnotes
 * @param {boolean} touched
 */
function showQuote(marker, footnotes, touched) {
  clearTimeout(hiding);
  if (shownFor === marker) return;
  hideQuote();
  shownFor = marker;
  box.replaceChildren(
    ...footnotes.map((one) =>
      h("p", {}, h("q", {}, one.quote.trim()), h("cite", {}, one.title, h("small", {}, placeOf(one)))),
    ),
    h("p", { class: "hint" }, touched ? "Tap the number again to open the source." : "Click to open the source."),
  );
  box.hidden = false;
  marker.setAttribute("aria-describedby", box.id);

  const at = marker.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(GAP_PX, Math.min(at.left - 24, document.documentElement.clientWidth - width - GAP_PX));
  const above = at.top - height - GAP_PX;
  box.style.left = `${left}px`;
  box.style.top = `${above >= GAP_PX ? above : at.bottom + GAP_PX}px`;
}
