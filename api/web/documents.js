import { Problem, listDocuments, removeDocument } from "./api.js";
import { announce, byId, count, h } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { openPanel, panelShows } from "./panel.js";
import { openSource, rememberDocuments } from "./source.js";
import { addFiles, setUpDrop, uploadList } from "./uploads.js";

/** @import { DocumentInfo } from "./types.js" */

const SHOWN = 200;
const AGAIN_MS = 3000;
/** @type {Record<string, string>} */
const STATES = {
  live: "ready",
  "words-only": "found by its words; meaning follows",
  updating: "updating",
  failed: "failed",
};

/** @type {DocumentInfo[]} */
let documents = [];
let again = 0;
/** @type {(n: number) => void} */
let onCount = () => {};
/** @type {(detail: string) => void} */
let onTrouble = () => {};

const picker = h("input", { type: "file", multiple: true, class: "visually-hidden", tabindex: -1, "aria-hidden": "true" });
const filter = h("input", { type: "search", id: "filter", placeholder: "Filter by name", autocomplete: "off", input: () => showList() });
const list = h("ul", { class: "documents", "aria-label": "Documents" });
const total = h("p", { class: "quiet", role: "status" });
const trouble = h("p", { class: "error", role: "alert", hidden: true });

/**
 * @param {{count: (n: number) => void, trouble: (detail: string) => void}} on  Is told how many documents there are,
 *   or why that is not known.
 */
export function setUpDocuments(on) {
  onCount = on.count;
  onTrouble = on.trouble;
  byId("documents", HTMLButtonElement).addEventListener("click", () => openDocuments());
  picker.addEventListener("change", () => {
    add([...(picker.files ?? [])].map((file) => ({ file, name: file.name })));
    picker.value = "";
  });
  setUpDrop(add);
}

export function chooseFiles() {
  if (!panelShows("documents")) openDocuments();
  picker.click();
}

/** @param {import("./uploads.js").Chosen[]} chosen */
function add(chosen) {
  if (chosen.length === 0) return;
  if (!panelShows("documents")) openDocuments();
  addFiles(chosen, refresh);
}

function openDocuments() {
  const content = [
    h(
      "div",
      { class: "add" },
      h("button", { type: "button", class: "primary", click: () => picker.click() }, "Add files"),
      h("p", { class: "quiet" }, "or drop them anywhere on this page"),
      picker,
    ),
    uploadList(),
    h("label", { class: "visually-hidden", for: "filter" }, "Filter documents by name"),
    filter,
    trouble,
    total,
    list,
  ];
  openPanel("Documents", content, "documents");
  refresh();
}

/** Asks for the documents, and again while one of them is on its way. */
export async function refresh() {
  clearTimeout(again);
  try {
    documents = await listDocuments();
  } catch (error) {
    // A knowledge base begins to be with its first document.
    if (!(error instanceof Problem && error.status === 404)) {
      trouble.textContent = error instanceof Problem ? error.message : "The documents cannot be shown.";
      trouble.hidden = false;
      onTrouble(trouble.textContent);
      return;
    }
    documents = [];
  }
  trouble.hidden = true;
  rememberDocuments(documents);
  onCount(documents.length);
  if (!panelShows("documents")) return;
  showList();
  if (documents.some((one) => one.state === "words-only" || one.state === "updating")) again = setTimeout(refresh, AGAIN_MS);
}

function showList() {
  const wanted = filter.value.trim().toLocaleLowerCase();
  const found = documents.filter((one) => `${one.title}\n${one.source}`.toLocaleLowerCase().includes(wanted));
  const all = count(documents.length, "document");
  total.textContent = wanted ? `${found.length.toLocaleString("en")} of ${all}` : documents.length ? all : "No documents yet.";
  // Not rebuilt under somebody's fingers.
  const focused = document.activeElement?.closest("[data-document]")?.getAttribute("data-document");
  const wasRemove = document.activeElement?.classList.contains("remove");
  list.replaceChildren(...found.slice(0, SHOWN).map(item));
  if (found.length > SHOWN) {
    list.append(h("li", { class: "quiet" }, `and ${count(found.length - SHOWN, "more document")}; filter by name to see them.`));
  }
  if (focused) {
    const row = [...list.children].find((one) => one.getAttribute("data-document") === focused);
    const button = row?.querySelector(wasRemove ? ".remove" : ".source-link");
    if (button instanceof HTMLElement) button.focus({ preventScroll: true });
  }
}

/** @param {DocumentInfo} one */
function item(one) {
  const open = () =>
    openSource({ source_id: one.id, source: one.source, title: one.title, page: null, heading_path: [] }, [], openDocuments);
  const facts = [one.source, sizeOf(one.size_bytes)].join(" · ");
  const readable = one.state !== "failed" || one.n_chunks > 0;
  const name = [h("b", {}, one.title || one.source), h("small", {}, facts)];
  return h(
    "li",
    { "data-document": one.id },
    readable
      ? h("button", { type: "button", class: "source-link", click: open }, ...name)
      : h("span", { class: "source-link" }, ...name),
    h("span", { class: `state ${one.state}` }, STATES[one.state] ?? one.state),
    h("button", { type: "button", class: "remove", "aria-label": `Remove ${one.title || one.source}`, title: "Remove", click: () => remove(one) }, "×"),
    one.reason ? h("p", { class: "error" }, one.reason) : null,
    ...one.warnings.map((warning) => h("p", { class: "quiet" }, warning)),
  );
}

/** @param {DocumentInfo} one */
async function remove(one) {
  const text = one.uploaded
    ? "It is deleted from the server, and answers no longer cite it."
    : "Answers no longer cite it. The file stays in its folder, and the next ingest of that folder brings it back.";
  if (!(await confirmed(`Remove ${one.title || one.source}?`, text, "Remove"))) return;
  try {
    await removeDocument(one.id);
    announce(`${one.title || one.source} was removed.`);
  } catch (error) {
    await refresh();
    trouble.textContent = error instanceof Problem ? error.message : "It could not be removed.";
    trouble.hidden = false;
    return;
  }
  await refresh();
  filter.focus({ preventScroll: true });
}

/** @param {number} bytes */
function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
