import { count, h, placeOf } from "./dom.js";
import { feedbackRow } from "./feedback.js";
import { explain } from "./popover.js";
import { openClosest, openSource } from "./source.js";

/** @import { Answer, Citation, ReleasedSentence, Retrieved, Sentence } from "./types.js" */

const MARKER = /\s?\[(\d+)\]/g;
// "… next year [1]." A footnote's number stands behind the full stop.
const STOP_AFTER_MARKERS = /((?:\s?\[\d+\])+)([.!?…。！？]+["'”’»)]*)$/u;
const ALMOST = 0.99;

/** One answer on the page, from the first sentence to the whole. */
export class AnswerView {
  constructor() {
    this.text = h("p", { class: "answer-text" });
    this.status = h("p", { class: "working" }, "Reading your documents…");
    this.after = h("div", { class: "after" });
    this.element = h("div", { class: "answer" }, this.status, this.text, this.after);
    /** @type {Retrieved | null} */
    this.found = null;
    /** @type {{sentence: Sentence, element: HTMLElement}[]} */
    this.shown = [];
  }

  /** @param {Retrieved} found */
  retrieved(found) {
    this.found = found;
    const documents = new Set(found.sources.map((one) => one.source)).size;
    this.status.textContent = `Checking ${count(found.sources.length, "passage")} of ${count(documents, "document")}…`;
  }

  /** @param {ReleasedSentence} sentence */
  sentence(sentence) {
    const element = h("span", { class: `sentence ${sentence.verdict}` });
    const text = sentence.text.replace(STOP_AFTER_MARKERS, "$2$1");
    let from = 0;
    for (const match of text.matchAll(MARKER)) {
      const marker = Number(match[1]);
      const footnotes = sentence.footnotes.filter((one) => one.marker === marker);
      if (footnotes.length === 0) continue;
      element.append(text.slice(from, match.index), footnoteButton(marker, footnotes));
      from = match.index + match[0].length;
    }
    element.append(text.slice(from));
    if (sentence.verdict === "weak") element.title = "The source supports this only in part.";
    if (this.shown.length) this.text.append(" ");
    this.text.append(element);
    this.shown.push({ sentence, element });
  }

  /**
   * @param {Answer} answer
   * @param {string} question
   */
  final(answer, question) {
    this.status.remove();
    if (answer.abstained) this.abstain(answer);
    else if (!this.showsAll(answer)) this.rewrite(answer);
    this.breakLines(answer);
    this.after.append(...notices(answer));
    if (answer.citations.length) this.after.append(footnoteList(answer.citations));
    this.after.append(h("div", { class: "below" }, feedbackRow(answer, question), about(answer)));
  }

  /** @param {Answer} answer */
  showsAll(answer) {
    return (
      this.shown.length === answer.sentences.length &&
      this.shown.every((one, i) => one.sentence.text === answer.sentences[i].text)
    );
  }

  /**
   * The final answer is what counts where it differs from what was streamed.
   *
   * @param {Answer} answer
   */
  rewrite(answer) {
    this.shown = [];
    this.text.replaceChildren();
    for (const one of answer.sentences) {
      this.sentence({ ...one, footnotes: answer.citations.filter((cited) => one.citations.includes(cited.marker)) });
    }
    if (this.shown.length === 0) this.text.textContent = answer.answer;
  }

  /** @param {Answer} answer */
  breakLines(answer) {
    let at = 0;
    for (const { sentence, element } of this.shown) {
      const start = answer.answer.indexOf(sentence.text, at);
      if (start < 0) return;
      if (start > 0 && answer.answer.slice(at, start).includes("\n")) element.before(h("br"));
      at = start + sentence.text.length;
    }
  }

  /** @param {Answer} answer */
  abstain(answer) {
    this.element.classList.add("abstained");
    this.shown = [];
    this.text.replaceChildren(answer.answer);
    if (answer.closest.length === 0) return;
    const items = answer.closest.map((one) => {
      const open = () => openClosest(one, this.found?.sources ?? []);
      return h(
        "li",
        {},
        h("button", { type: "button", class: "source-link", click: open }, h("b", {}, one.title), h("small", {}, placeOf(one))),
      );
    });
    this.after.append(h("h3", {}, "Closest in the documents"), h("ul", { class: "closest" }, ...items));
  }

  /**
   * @param {string} detail
   * @param {(() => void) | null} again
   */
  failed(detail, again) {
    this.status.remove();
    const retry = again ? h("button", { type: "button", class: "text-button", click: again }, "Try again") : null;
    this.after.append(h("div", { class: "error", role: "alert" }, h("p", {}, detail), retry));
  }
}

/**
 * @param {number} marker
 * @param {Citation[]} footnotes
 */
function footnoteButton(marker, footnotes) {
  const label = `Footnote ${marker}: ${footnotes[0].title}`;
  const button = h("button", { type: "button", class: "marker", "aria-label": label }, String(marker));
  explain(button, footnotes, () => openCited(footnotes));
  return h("sup", {}, button);
}

/** @param {Citation[]} footnotes */
function openCited(footnotes) {
  const [first] = footnotes;
  const same = footnotes.filter((one) => one.source_id === first.source_id);
  return openSource(first, same);
}

/**
 * The footnotes below the answer, as in a book.
 *
 * @param {Citation[]} citations
 */
function footnoteList(citations) {
  /** @type {Map<number, Citation[]>} */
  const byMarker = new Map();
  for (const one of citations) byMarker.set(one.marker, [...(byMarker.get(one.marker) ?? []), one]);
  const items = [...byMarker].map(([marker, cited]) =>
    h(
      "li",
      {},
      h("span", { class: "number", "aria-hidden": "true" }, String(marker)),
      h(
        "button",
        { type: "button", class: "source-link", "aria-label": `Open source ${marker}: ${cited[0].title}`, click: () => openCited(cited) },
        h("b", {}, cited[0].title),
        h("small", {}, placeOf(cited[0])),
      ),
      ...cited.map((one) => h("blockquote", {}, one.quote.trim())),
    ),
  );
  return h("ol", { class: "footnotes", "aria-label": "Footnotes" }, ...items);
}

/** @param {Answer} answer */
function notices(answer) {
  const texts = [...answer.notices];
  if (answer.truncated) texts.push("The answer ends early.");
  if (answer.withheld.length) {
    texts.push(`${count(answer.withheld.length, "sentence")} left out: no document supports ${answer.withheld.length === 1 ? "it" : "them"}.`);
  }
  return texts.length ? [h("ul", { class: "notices" }, ...texts.map((text) => h("li", {}, text)))] : [];
}

/** @param {Answer} answer */
function about(answer) {
  const facts = [
    answer.mode === "llm" ? `Written by ${answer.model ?? "the chat model"}` : "",
    answer.mode === "extractive" ? "Quoted from the documents" : "",
    answer.abstained ? "" : `${Math.round(Math.min(answer.confidence, ALMOST) * 100)} % sure`,
    `${(answer.timings_ms.total / 1000 || 0).toFixed(1)} s`,
    answer.cost_usd > 0 ? `$${answer.cost_usd.toPrecision(2)}` : "",
  ];
  return h("p", { class: "about" }, facts.filter(Boolean).join(" · "));
}
