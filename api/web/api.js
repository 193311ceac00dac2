import { events } from "./sse.js";

/** @import { Answer, DocumentInfo, Message, ReleasedSentence, Retrieved, UploadResult } from "./types.js" */

const KEY = "footnote.key";
const kb = new URLSearchParams(location.search).get("kb");

/** What went wrong, in the server's own sentence. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const UNREACHABLE = "The server cannot be reached. Check that it runs, then try again.";

/** @type {(wrong: boolean) => Promise<string | null>} */
let askForKey = async () => null;

/** @param {(wrong: boolean) => Promise<string | null>} ask  Asks the reader; null where they would not say. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

/** @returns {Record<string, string>} */
function authorization() {
  const key = sessionStorage.getItem(KEY);
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/** @type {Promise<boolean> | null} */
let asking = null;

/** Asks once, however many requests were refused meanwhile. */
function gotKey() {
  asking ??= askForKey(hasKey())
    .then((key) => {
      if (key === null) return false;
      sessionStorage.setItem(KEY, key);
      return true;
    })
    .finally(() => {
      asking = null;
    });
  return asking;
}

/** @param {string} path */
function inKnowledgeBase(path) {
  return kb === null ? path : `${path}${path.includes("?") ? "&" : "?"}kb=${encodeURIComponent(kb)}`;
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
async function send(path, init = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, { ...init, headers: { ...init.headers, ...authorization() } });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, UNREACHABLE);
  }
  if (response.ok) return response;
  if (response.status === 401 && (await gotKey())) return send(path, init);
  throw problemOf(response.status, await response.text());
}

/**
 * @param {number} status
 * @param {string} body
 */
function problemOf(status, body) {
  try {
    const { detail, fields } = JSON.parse(body);
    // A refused upload tells of its files one by one.
    const one = fields?.results?.length === 1 ? fields.results[0].error?.detail : null;
    if (typeof (one ?? detail) === "string") return new Problem(status, one ?? detail);
  } catch {
    // Not one of ours: something between us and the server answered.
  }
  return new Problem(status, `The server answered with the error ${status}. Try again in a moment.`);
}

/** @param {unknown} body */
function json(body) {
  return {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  };
}

/**
 * @param {string} question
 * @param {Message[]} history
 * @param {AbortSignal} signal
 * @param {{retrieved: (found: Retrieved) => void, sentence: (one: ReleasedSentence) => void}} on
 * @returns {Promise<Answer>}
 */
export async function ask(question, history, signal, on) {
  const body = { question, history, stream: true, ...(kb === null ? {} : { kb }) };
  const response = await send("/v1/ask", { ...json(body), signal });
  const broken = new Problem(0, "The connection broke before the answer was complete. Ask again.");
  if (response.body === null) throw broken;
  try {
    for await (const { event, data } of events(response.body)) {
      if (event === "retrieved") on.retrieved(JSON.parse(data));
      if (event === "sentence") on.sentence(JSON.parse(data));
      if (event === "final") return JSON.parse(data);
      if (event === "error") throw problemOf(500, data);
    }
  } catch (error) {
    if (error instanceof Problem || signal.aborted) throw error;
  }
  throw broken;
}

/** @returns {Promise<DocumentInfo[]>} */
export async function listDocuments() {
  return (await (await send(inKnowledgeBase("/v1/documents"))).json()).documents;
}

/**
 * A stretch of a document's text, in characters (code points), and how many it has in all.
 *
 * @param {string} id
 * @param {number} start
 * @param {number} end
 * @returns {Promise<{text: string, nChars: number}>}
 */
export async function readText(id, start, end) {
  const path = `/v1/documents/${encodeURIComponent(id)}/content?start=${start}&end=${end}`;
  const response = await send(inKnowledgeBase(path));
  return { text: await response.text(), nChars: Number(response.headers.get("x-document-chars")) };
}

/** @param {string} id */
export function originalPath(id) {
  return inKnowledgeBase(`/v1/documents/${encodeURIComponent(id)}/original`);
}

/** @param {string} id */
export async function readOriginal(id) {
  return (await send(originalPath(id))).blob();
}

/** @param {string} id */
export async function removeDocument(id) {
  await send(inKnowledgeBase(`/v1/documents/${encodeURIComponent(id)}`), { method: "DELETE" });
}

/**
 * @param {unknown} body
 */
export async function sendFeedback(body) {
  await send("/v1/feedback", json(body));
}

/**
 * Sends one file. `XMLHttpRequest`, because `fetch` does not tell how much has been sent.
 *
 * @param {File} file
 * @param {string} name  It may hold folders.
 * @param {(share: number) => void} onSent
 * @returns {Promise<DocumentInfo>}
 */
export function upload(file, name, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", inKnowledgeBase("/v1/documents"));
    for (const [header, value] of Object.entries(authorization())) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.upload.onload = () => onSent(1);
    request.onerror = () =>
      reject(new Problem(0, "The file could not be sent: it is too large, or the server cannot be reached."));
    request.onload = async () => {
      if (request.status === 401 && (await gotKey())) return resolve(upload(file, name, onSent));
      if (request.status !== 201) return reject(problemOf(request.status, request.responseText));
      /** @type {UploadResult[]} */
      const [result] = JSON.parse(request.responseText).results;
      if (result.document) return resolve(result.document);
      reject(new Problem(422, result.error?.detail ?? "The file could not be stored."));
    };
    const form = new FormData();
    form.append("files", file, name);
    request.send(form);
  });
}
