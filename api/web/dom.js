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
 * @param {{source: string, title: string, page: number | null, heading_path: string[]}} place
 */
export function placeOf(place) {
  const page = place.page === null ? "" : `, page ${place.page}`;
  const headings = headingsOf(place).slice(-2).map((heading) => ` › ${heading}`);
  return `${place.source}${page}${headings.join("")}`;
}

/**
 * The headings above a place, without the document's title.
 *
 * @param {{title: string, heading_path: string[]}} place
 */
export function headingsOf(place) {
  return place.heading_path.filter((heading) => heading !== place.title);
}

/**
 * A drawing of lines, 24 by 24.
 *
 * @param {string} path
 * @param {string} [turned]
 */
export function icon(path, turned = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const look = { viewBox: "0 0 24 24", width: "18", height: "18", fill: "none", stroke: "currentColor", "stroke-width": "1.8", "stroke-linejoin": "round", "aria-hidden": "true" };
  for (const [name, value] of Object.entries(look)) svg.setAttribute(name, value);
  line.setAttribute("d", path);
  if (turned) line.setAttribute("transform", turned);
  svg.append(line);
  return svg;
}
