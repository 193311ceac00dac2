"""An answer while it is being written: what may be shown, what was withheld, what it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag import cite
from rag.core.settings import Settings
from rag.core.types import (
    Answer,
    AnswerMode,
    AnswerSentence,
    Citation,
    Done,
    Sentence,
    Switched,
    Usage,
    Verdict,
)
from rag.laps import Laps
from rag.llm.moderate import Judgement, Where


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
    flags: list[str] = field(default_factory=list)
    n_injected: int = 0

    def heed(self, said: Judgement, where: Where) -> None:
        """What moderation said."""
        self.usage += said.usage
        if said.flagged:
            self.flags += [f"{where}: {category}" for category in said.categories]
        if said.notice is not None:
            self.notices.append(said.notice)

    @property
    def truncated(self) -> bool:
        stopped = self.done is not None and self.done.finish_reason in ("length", "interrupted")
        return self.mode == "llm" and bool(self.shown) and (stopped or self.chat_error is not None)


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


def finished(draft: Draft, confidence: float, abstention: str | None, trace_id: str, laps: Laps) -> Answer:
    """The answer; with ``abstention`` in place of sentences where there are none to show."""
    abstains, done = abstention is not None, draft.done
    return Answer(
        text=abstention if abstention is not None else cite.joined(draft.shown),
        sentences=() if abstains else tuple(checked.sentence for checked in draft.shown),
        citations=() if abstains else tuple(draft.citations),
        abstained=abstains,
        confidence=confidence,
        mode=draft.mode,
        withheld=tuple(draft.withheld),
        unknown_markers=draft.unknown_markers,
        notices=tuple(draft.notices),
        usage=draft.usage,
        cost_usd=draft.usage.cost_usd,
        timings_ms=laps.total(),
        trace_id=trace_id,
        chat_error=draft.chat_error,
        model=done.model if done else None,
        route=done.route if done else None,
        switched=tuple(draft.switched),
        truncated=draft.truncated,
        cached=done is not None and done.cached,
        flags=tuple(draft.flags),
        injected_instructions=draft.n_injected,
    )


def refused(
    said: Judgement, trace_id: str, laps: Laps, draft: Draft | None = None, confidence: float = 0.0
) -> Answer:
    """The canned reply in place of a question or an answer that moderation blocks."""
    where: Where = "question" if draft is None else "answer"
    flags = tuple(f"{where}: {category}" for category in said.categories)
    usage = said.usage if draft is None else draft.usage
    return Answer(
        said.reply(where), (), (), True, confidence, "canned",
        usage=usage, cost_usd=usage.cost_usd, timings_ms=laps.total(), trace_id=trace_id, flags=flags,
    )  # fmt: skip
