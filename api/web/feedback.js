import { Problem, sendFeedback } from "./api.js";
import { h, icon } from "./dom.js";

/** @import { Answer } from "./types.js" */

const THUMB = "M4 11h3.5v9H4zM7.5 12 11 4c1.8 0 2.7 1.2 2.4 2.9L13 10h5.6c1.3 0 2.2 1.1 2 2.4l-1 5.6a2.4 2.4 0 0 1-2.4 2H7.5";

/**
 * Was it helpful? A thumb is sent at once; a thumb down may say why.
 *
 * @param {Answer} answer
 * @param {string} question
 */
export function feedbackRow(answer, question) {
  const said = h("span", { role: "status", class: "said" });

  /**
   * @param {"up" | "down"} thumb
   * @param {string} [reason]
   */
  const give = async (thumb, reason) => {
    for (const button of row.querySelectorAll("button[aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("data-thumb") === thumb));
    }
    const body = { trace_id: answer.trace_id, thumb, question, answer: answer.answer, ...(reason ? { reason } : {}) };
    try {
      await sendFeedback(body);
      said.textContent = "Thank you.";
    } catch (error) {
      const missing = error instanceof Problem && (error.status === 404 || error.status === 405);
      said.textContent = missing ? "This server does not collect feedback." : "That could not be sent.";
      return;
    }
    why.hidden = thumb === "up" || reason !== undefined;
    if (!why.hidden) input.focus();
  };

  /**
   * @param {"up" | "down"} thumb
   * @param {string} label
   */
  const button = (thumb, label) =>
    h(
      "button",
      { type: "button", class: "thumb", "data-thumb": thumb, "aria-pressed": "false", "aria-label": label, title: label, click: () => give(thumb) },
      icon(THUMB, thumb === "down" ? "rotate(180 12 12)" : ""),
    );

  const input = h("input", { type: "text", maxlength: 1000, "aria-label": "What was wrong?", placeholder: "What was wrong?" });
  const why = h(
    "form",
    {
      class: "why",
      hidden: true,
      submit: (/** @type {Event} */ event) => {
        event.preventDefault();
        if (input.value.trim()) give("down", input.value.trim());
      },
    },
    input,
    h("button", { type: "submit", class: "text-button" }, "Send"),
  );
  const row = h("div", { class: "feedback" }, button("up", "Helpful"), button("down", "Not helpful"), said, why);
  return row;
}
