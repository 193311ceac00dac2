/**
 * An element. Strings become text nodes: nothing that the server sends is ever parsed as HTML.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | ((event: any) => void)>} [attributes]  Functions are
 *   listeners; false and null leave the attribute out.
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * The element of the page with this id.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`The page has no ${kind.name} ${id}.`);
  return element;
}

/**
 * Tells a screen reader.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("announcer", HTMLElement).textContent = text;
}

/**
 * @param {number} n
 * @param {string} thing
 */
export function count(n, thing) {
  return `${n.toLocaleString("en")} ${thing}${n === 1 ? "" : "s"}`;
}

/**
 * Where something stands: `hr/leave.md, page 3 › Vacation › Carrying over`.
 *
 * @param {{source: string, page: number | null, heading_path: string[]}} place
 */
export function placeOf(place) {
  const page = place.page === null ? "" : `, page ${place.page}`;
  const headings = place.heading_path.length ? ` › ${place.heading_path.slice(-2).join(" › ")}` : "";
  return `${place.source}${page}${headings}`;
}
