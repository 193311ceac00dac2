import { Problem, upload } from "./api.js";
import { announce, byId, count, h } from "./dom.js";

/** @typedef {{file: File, name: string}} Chosen */

const list = h("ul", { class: "uploads", "aria-label": "Uploads" });
/** @type {Promise<void>} */
let line = Promise.resolve();

export function uploadList() {
  return list;
}

/**
 * Sends files one after the other: the server has one writer.
 *
 * @param {Chosen[]} chosen
 * @param {() => void} onStored
 */
export function addFiles(chosen, onStored) {
  const rows = chosen.map((one) => ({ ...one, ...row(one.name) }));
  list.prepend(...rows.map((one) => one.element));
  line = line.then(async () => {
    let failed = 0;
    for (const one of rows) {
      if (!(await sent(one))) failed += 1;
      onStored();
    }
    const stored = `${count(rows.length - failed, "document")} added`;
    announce(failed ? `${stored}, ${failed} failed.` : `${stored}.`);
  });
}

/** @param {string} name */
function row(name) {
  const state = h("span", { class: "state" }, "waiting");
  const bar = h("progress", { max: 100, value: 0, "aria-label": `Upload of ${name}` });
  const detail = h("p", { class: "error", hidden: true });
  const element = h("li", {}, h("span", { class: "name" }, name), state, bar, detail);
  return { state, bar, detail, element };
}

/** @param {Chosen & ReturnType<typeof row>} one */
async function sent({ file, name, state, bar, detail, element }) {
  try {
    const stored = await upload(file, name, (share) => {
      bar.value = 100 * share;
      state.textContent = share < 1 ? `${Math.round(100 * share)} %` : "reading";
      // All sent: from here on it takes as long as it takes.
      if (share === 1) bar.removeAttribute("value");
    });
    state.textContent = `added, ${count(stored.n_chunks, "passage")}`;
    element.classList.add("done");
    return true;
  } catch (error) {
    state.textContent = "failed";
    detail.textContent = error instanceof Problem ? error.message : "The file cannot be read from your disk.";
    detail.hidden = false;
    element.classList.add("failed");
    return false;
  } finally {
    bar.remove();
  }
}

/**
 * Files can be dropped anywhere on the page, folders too.
 *
 * @param {(chosen: Chosen[]) => void} onFiles
 */
export function setUpDrop(onFiles) {
  const veil = byId("drop", HTMLElement);
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => {
    if (hasFiles(event)) veil.hidden = false;
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener("drop", async (event) => {
    veil.hidden = true;
    if (!hasFiles(event) || event.dataTransfer === null) return;
    event.preventDefault();
    // The list of items is emptied as soon as this handler waits.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
    const plain = [...event.dataTransfer.files].map((file) => ({ file, name: file.name }));
    onFiles(entries.length ? (await Promise.all(entries.map(filesOf))).flat() : plain);
  });
}

/**
 * @param {FileSystemEntry} entry
 * @returns {Promise<Chosen[]>}
 */
async function filesOf(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry instanceof FileSystemFileEntry) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  if (!(entry instanceof FileSystemDirectoryEntry)) return [];
  const reader = entry.createReader();
  /** @type {Chosen[]} */
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return found; // it gives a hundred at a time
    for (const one of some) found.push(...(await filesOf(one)));
  }
}
