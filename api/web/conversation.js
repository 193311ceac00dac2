import { Problem, ask } from "./api.js";
import { AnswerView } from "./answer.js";
import { byId, h } from "./dom.js";

/** @import { Message } from "./types.js" */

const KEPT_MESSAGES = 20;

/** @type {Message[]} */
let history = [];
/** @type {AbortController | null} */
let current = null;

export function setUpConversation() {
  const form = byId("ask", HTMLFormElement);
  const question = byId("question", HTMLTextAreaElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (current) return stop();
    const text = question.value.trim();
    if (!text) return question.focus();
    question.value = "";
    answer(text);
  });
  question.addEventListener("keydown", (event) => {
    // Enter also ends the choice of a character in Chinese, Japanese and Korean.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!current) form.requestSubmit();
  });
  byId("new", HTMLButtonElement).addEventListener("click", () => {
    stop();
    history = [];
    byId("turns", HTMLElement).replaceChildren();
    document.body.classList.remove("talking");
    question.focus();
  });
}

function stop() {
  current?.abort();
  setCurrent(null);
}

/** @param {AbortController | null} next */
function setCurrent(next) {
  current = next;
  const send = byId("send", HTMLButtonElement);
  send.textContent = next ? "Stop" : "Ask";
  send.classList.toggle("busy", next !== null);
}

/** @param {string} text */
async function answer(text) {
  const view = new AnswerView();
  const turn = h("article", { class: "turn" }, h("h2", { class: "asked" }, text), view.element);
  const turns = byId("turns", HTMLElement);
  turns.append(turn);
  document.body.classList.add("talking");
  turn.scrollIntoView({ block: "start" });
  const mine = new AbortController();
  setCurrent(mine);
  try {
    const final = await ask(text, history.slice(-KEPT_MESSAGES), mine.signal, view);
    view.final(final, text);
    if (current === mine) history.push({ role: "user", content: text }, { role: "assistant", content: final.answer });
  } catch (error) {
    const again = () => {
      if (current) return;
      turn.remove();
      byId("question", HTMLTextAreaElement).focus();
      answer(text);
    };
    if (mine.signal.aborted) view.failed("Stopped.", again);
    else if (error instanceof Problem) view.failed(error.message, again);
    else {
      view.failed("Something went wrong in this page. Reload it and ask again.", null);
      throw error;
    }
  } finally {
    if (current === mine) setCurrent(null);
  }
}
