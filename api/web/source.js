import { Problem, hasKey, listDocuments, originalPath, readOriginal, readText } from "./api.js";
import { h, headingsOf } from "./dom.js";
import { openPanel } from "./panel.js";
import { inUtf16, isMarkdown, textView } from "./text.js";

/** @import { Closest, DocumentInfo, Place, Span } from "./types.js" */

const STRETCH_CHARS = 30_000;
const NEAR_CHARS = 2000;
const PDF = "application/pdf";

/** @type {Map<string, DocumentInfo>} */
const known = new Map();
let opened = 0;

/** @param {DocumentInfo[]} documents */
export function rememberDocuments(documents) {
  known.clear();
  for (const one of documents) known.set(one.id, one);
}

/** @param {string} id */
async function infoOf(id) {
  if (!known.has(id)) rememberDocuments(await listDocuments());
  return known.get(id);
}

/**
 * Opens a document's text where the quoted words stand.
 *
 * @param {{source_id: string, source: string, title: string, page: number | null, heading_path: string[]}} place
 * @param {Span[]} spans  What is marked, in characters of the document's text.
 * @param {() => void} [back]  Where the panel goes back to.
 */
export async function openSource(place, spans, back) {
  const turn = ++opened;
  const body = h("div", {}, h("p", { class: "quiet" }, "Opening…"));
  const links = h("p", { class: "links" });
  const where = h("p", { class: "where" }, place.source);
  if (place.page !== null) where.append(h("span", { class: "page" }, `page ${place.page}`));
  const headings = headingsOf(place).length ? h("p", { class: "crumbs" }, headingsOf(place).join(" › ")) : null;
  /** @type {HTMLElement[]} */
  const content = [where, headings, links, body].filter((node) => node !== null);
  if (back) content.unshift(h("button", { type: "button", class: "text-button", click: back }, "‹ All documents"));
  openPanel(place.title, content, "source");
  try {
    const first = spans[0]?.start ?? 0;
    const from = Math.max(0, first - STRETCH_CHARS / 2);
    const [info, read] = await Promise.all([
      infoOf(place.source_id),
      readStretch(place.source_id, from, from + STRETCH_CHARS),
    ]);
    if (turn !== opened) return; // another one was opened meanwhile
    if (info) links.append(originalLink(info, place.page));
    const view = stretch(read.text, read.start, spans, info?.type ?? "");
    body.replaceChildren(view);
    addMore(body, place.source_id, read.start, read.end, read.nChars, spans, info?.type ?? "");
    show(view);
  } catch (error) {
    if (turn !== opened) return;
    const gone = error instanceof Problem && error.status === 404;
    const detail = gone ? "This document is no longer in the knowledge base." : message(error);
    body.replaceChildren(h("p", { class: "error", role: "alert" }, detail));
  }
}

/**
 * Opens a document that is named by its path: at a passage that was found there, else at its beginning.
 *
 * @param {Closest} closest
 * @param {Place[]} retrieved
 */
export async function openClosest(closest, retrieved) {
  const same = retrieved.filter((one) => one.source === closest.source);
  const heading = closest.heading_path.join("\n");
  const found =
    same.find((one) => one.page === closest.page && one.heading_path.join("\n") === heading) ??
    same.find((one) => one.page === closest.page) ??
    same[0];
  if (found) await openSource({ ...found, ...closest }, [{ start: found.start, end: found.end }]);
}

/** @param {HTMLElement} view */
function show(view) {
  const marks = [...view.querySelectorAll("mark")];
  if (marks.length === 0) return;
  marks[0].id = "cited";
  marks[0].scrollIntoView({ block: "center" });
}

/**
 * @param {string} text
 * @param {number} first
 * @param {Span[]} spans
 * @param {string} type
 */
function stretch(text, first, spans, type) {
  return textView(text, inUtf16(text, spans, first), isMarkdown(type));
}

/**
 * Reads a stretch, and moves its ends to ends of lines where there are some near: a line cut in two would be two.
 *
 * @param {string} id
 * @param {number} start  The document's first character, or a line's, stays.
 * @param {number} end
 * @returns {Promise<{text: string, start: number, end: number, nChars: number}>}
 */
async function readStretch(id, start, end) {
  const before = start > 0 ? 1 : 0;
  const { text, nChars } = await readText(id, start - before, end);
  const points = [...text];
  const firstBreak = before ? points.indexOf("\n") : -1;
  const lastBreak = end < nChars ? points.lastIndexOf("\n") : -1;
  const from = firstBreak >= 0 && firstBreak < NEAR_CHARS ? firstBreak + 1 : before;
  const to = lastBreak > points.length - NEAR_CHARS ? lastBreak + 1 : points.length;
  const first = start - before;
  return { text: points.slice(from, to).join(""), start: first + from, end: first + to, nChars };
}

/**
 * Long documents come in stretches: what is before and after follows on demand.
 *
 * @param {HTMLElement} body
 * @param {string} id
 * @param {number} from
 * @param {number} to
 * @param {number} nChars
 * @param {Span[]} spans
 * @param {string} type
 */
function addMore(body, id, from, to, nChars, spans, type) {
  /**
   * @param {string} label
   * @param {(button: HTMLButtonElement) => Promise<void>} load
   */
  const more = (label, load) =>
    h(
      "button",
      {
        type: "button",
        class: "more",
        click: async (/** @type {Event} */ event) => {
          const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
          button.disabled = true;
          await load(button).catch((error) => button.replaceWith(h("p", { class: "error", role: "alert" }, message(error))));
        },
      },
      label,
    );
  if (from > 0) {
    body.prepend(
      more("Show what comes before", async (button) => {
        const { text, start } = await readStretch(id, Math.max(0, from - STRETCH_CHARS), from);
        button.replaceWith(stretch(text, start, spans, type));
        addMore(body, id, start, nChars, nChars, spans, type);
      }),
    );
  }
  if (to < nChars) {
    body.append(
      more("Show what comes after", async (button) => {
        const { text, end } = await readStretch(id, to, to + STRETCH_CHARS);
        button.replaceWith(stretch(text, to, spans, type));
        addMore(body, id, 0, end, nChars, spans, type);
      }),
    );
  }
}

/**
 * @param {DocumentInfo} info
 * @param {number | null} page
 */
function originalLink(info, page) {
  const isPdf = info.type === PDF;
  const place = isPdf && page !== null ? `#page=${page}` : "";
  const label = isPdf ? `Open the PDF${page === null ? "" : ` at page ${page}`}` : "Download the original";
  const link = h(
    "a",
    { href: originalPath(info.id) + place, target: isPdf ? "_blank" : null, rel: "noopener" },
    label,
    isPdf ? h("span", { class: "visually-hidden" }, " (new tab)") : null,
  );
  if (!hasKey()) return link;
  // A link sends no key, so the file is fetched with it first.
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const address = URL.createObjectURL(await readOriginal(info.id));
      const name = info.source.split("/").at(-1) ?? info.id;
      const opener = h("a", isPdf ? { href: address + place, target: "_blank" } : { href: address, download: name });
      opener.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      link.after(h("span", { class: "error", role: "alert" }, ` ${message(error)}`));
    }
  });
  return link;
}

/** @param {unknown} error */
function message(error) {
  return error instanceof Problem ? error.message : "Something went wrong in this page. Reload it and try again.";
}
