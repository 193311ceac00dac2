"""An answer while it is being written: what may be shown, what was withheld, what it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag import cite
from rag.core.settings import Settings
from rag.core.types import (
    AnswerMode,
    AnswerSentence,
    Citation,
    Done,
    Sentence,
    Switched,
    Usage,
    Verdict,
)


@dataclass(slots=True)
class Draft:
    verifier: cite.Verifier
    mode: AnswerMode = "canned"
    shown: list[cite.Checked] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    withheld: list[AnswerSentence] = field(default_factory=list)
    unknown_markers: int = 0
    says_unknown: bool = False
    usage: Usage = field(default_factory=Usage)
    notices: list[str] = field(default_factory=list)
    switched: list[Switched] = field(default_factory=list)
    done: Done | None = None
    chat_error: str | None = None

    @property
    def truncated(self) -> bool:
        stopped = self.done is not None and self.done.finish_reason in ("length", "interrupted")
        return bool(self.shown) and (stopped or self.chat_error is not None)


def take(draft: Draft, checked: cite.Checked, settings: Settings) -> Sentence | None:
    """Shows a verified sentence or withholds it. What claims nothing is left out, and so is what was said before."""
    draft.unknown_markers += checked.unknown_markers
    if not checked.is_claim:
        return None
    hidden = checked.sentence.verdict is Verdict.UNSUPPORTED and not settings.show_unsupported
    if checked.sentence.verdict is Verdict.UNSUPPORTED and settings.show_unsupported:
        checked = cite.marked_unsupported(checked)
    said = draft.withheld if hidden else [one.sentence for one in draft.shown]
    if checked.sentence in said:
        return None
    if hidden:
        draft.withheld.append(checked.sentence)
        return None
    draft.shown.append(checked)
    draft.citations += checked.citations
    return Sentence(checked.sentence, checked.citations)


def why_quoted(draft: Draft) -> str:
    if draft.chat_error is not None:
        return "So the answer is looked for in the documents' own words."
    return (
        "No source supports what the chat model wrote, so the answer is looked for in the documents' own words."
        if draft.withheld
        else "The chat model wrote no answer, so it is looked for in the documents' own words."
    )
