import { onKeyNeeded } from "./api.js";
import { setUpConversation } from "./conversation.js";
import { askedForKey } from "./dialogs.js";
import { chooseFiles, refresh, setUpDocuments } from "./documents.js";
import { byId, count } from "./dom.js";
import { closePanel, setUpPanel } from "./panel.js";
import { hideQuote, setUpPopover } from "./popover.js";
import { setUpTheme } from "./theme.js";

setUpTheme();
setUpPopover();
setUpPanel();
setUpConversation();
const holds = byId("holds", HTMLElement);
const firstFiles = byId("first-files", HTMLButtonElement);
setUpDocuments({
  count(n) {
    holds.textContent = n ? `Answers come from ${count(n, "document")}.` : "There are no documents yet. Add some, then ask.";
    firstFiles.hidden = n > 0;
  },
  trouble(detail) {
    holds.textContent = detail;
  },
});
firstFiles.addEventListener("click", () => chooseFiles());
onKeyNeeded(askedForKey);
document.addEventListener("keydown", (event) => {
  // A dialog closes itself; what is behind it stays.
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) hideQuote() || closePanel();
});
refresh();
