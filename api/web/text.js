import { h } from "./dom.js";

/** @import { Span } from "./types.js" */

const HEADING = /^(#{1,6}) +/;
const TABLE_ROW = /^\s*\|.*\|\s*$/;
const TABLE_RULE = /^\s*\|(\s*:?-+:?\s*\|)+\s*$/;
const WRITTEN_AS_MARKDOWN = /markdown|html|pdf|officedocument|opendocument|epub|rfc822|csv|tab-separated|outlook|rtf|msword/;

/** @param {string} type  Media type. */
export function isMarkdown(type) {
  return WRITTEN_AS_MARKDOWN.test(type);
}

/**
 * Spans in characters as Python counts them (code points), made into offsets of a JavaScript string (UTF-16).
 *
 * @param {string} text
 * @param {Span[]} spans
 * @param {number} first  The position of the text's first character in its document.
 * @returns {Span[]}  Those that are in this text, in order, none overlapping.
 */
export function inUtf16(text, spans, first) {
  const wanted = [...new Set(spans.flatMap(({ start, end }) => [start - first, end - first]))].sort((a, b) => a - b);
  /** @type {Map<number, number>} */
  const at = new Map();
  let next = wanted.findIndex((point) => point >= 0);
  let points = 0;
  let units = 0;
  for (const character of text) {
    while (next >= 0 && next < wanted.length && wanted[next] === points) at.set(wanted[next++], units);
    points += 1;
    units += character.length;
  }
  while (next >= 0 && next < wanted.length && wanted[next] === points) at.set(wanted[next++], units);
  /** @type {Span[]} */
  const found = [];
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const from = Math.max(at.get(start - first) ?? -1, found.at(-1)?.end ?? 0);
    const to = at.get(end - first) ?? -1;
    if (at.has(start - first) && from < to) found.push({ start: from, end: to });
  }
  return found;
}

/**
 * A document's text with stretches of it marked. Markdown's headings and tables are shown as such; nothing is
 * left out of what is marked but white space and a table's bars.
 *
 * @param {string} text
 * @param {Span[]} marks  In UTF-16, in order.
 * @param {boolean} markdown
 * @returns {HTMLElement}
 */
export function textView(text, marks, markdown) {
  const view = h("div", { class: markdown ? "text" : "text plain" });

  /**
   * @param {HTMLElement} parent
   * @param {number} start
   * @param {number} end
   */
  const put = (parent, start, end) => {
    let from = start;
    for (const mark of marks) {
      const [first, last] = [Math.max(mark.start, from), Math.min(mark.end, end)];
      if (first >= last) continue;
      if (first > from) parent.append(text.slice(from, first));
      parent.append(h("mark", {}, text.slice(first, last)));
      from = last;
    }
    if (from < end) parent.append(text.slice(from, end));
    return parent;
  };

  if (!markdown) return put(view, 0, text.length);

  /** @type {HTMLTableSectionElement | null} */
  let rows = null;
  /** @type {HTMLElement | null} */
  let paragraph = null;
  let at = 0;
  for (const line of text.split("\n")) {
    const [start, end] = [at, at + line.length];
    at = end + 1;
    const heading = HEADING.exec(line);
    if (TABLE_ROW.test(line)) {
      paragraph = null;
      if (TABLE_RULE.test(line)) continue;
      const first = rows === null;
      if (rows === null) {
        rows = h("tbody");
        view.append(h("div", { class: "table" }, h("table", {}, rows)));
      }
      const row = h("tr");
      for (const cell of cells(line)) row.append(put(h(first ? "th" : "td", first ? { scope: "col" } : {}), start + cell.start, start + cell.end));
      rows.append(row);
      continue;
    }
    rows = null;
    if (line.trim() === "") {
      paragraph = null;
    } else if (heading) {
      paragraph = null;
      // The panel's own title is a level 2.
      const level = /** @type {"h3" | "h4" | "h5" | "h6"} */ (`h${Math.min(heading[1].length + 2, 6)}`);
      view.append(put(h(level), start + heading[0].length, end));
    } else {
      if (paragraph === null) {
        paragraph = h("p");
        view.append(paragraph);
        put(paragraph, start, end);
      } else {
        put(paragraph, start - 1, end); // with the line break before it
      }
    }
  }
  return view;
}

/**
 * @param {string} line
 * @returns {Span[]}  Of the cells' words, without the white space around them.
 */
function cells(line) {
  /** @type {Span[]} */
  const found = [];
  let start = line.indexOf("|") + 1;
  const last = line.lastIndexOf("|");
  for (let at = start; at <= last; at += 1) {
    if (line[at] !== "|" || line[at - 1] === "\\") continue;
    const cell = line.slice(start, at);
    const lead = cell.length - cell.trimStart().length;
    found.push({ start: start + lead, end: start + lead + cell.trim().length });
    start = at + 1;
  }
  return found;
}
