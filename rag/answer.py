"""THE QUERY FLOW: question → guard → rewrite → retrieve → pack → confidence → generate → verify → answer."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from rag import cite, confidence, extractive, markers, pack, passages, prompt, rank, rewrite
from rag.asked import question_weights, question_words
from rag.core.errors import ChatError, ContextOverflow
from rag.core.protocols import ChatModel, ChunkIndex, Embedder, Retriever
from rag.core.settings import Settings
from rag.core.types import (
    Answer,
    AnswerEvent,
    AnswerMode,
    AnswerSentence,
    ChatRequest,
    Citation,
    ClosestSource,
    Delta,
    Done,
    Message,
    PackedContext,
    Retrieval,
    Retrieved,
    Scope,
    Sentence,
    Switched,
    Usage,
    Verdict,
)
from rag.core.types import (
    Final as FinalEvent,
)
from rag.fit import Fitted, fit
from rag.guard.question import checked_question
from rag.guard.refusal import says_unknown
from rag.llm import tokens
from rag.offload import off_loop
from rag.terms import terms_of

ABSTENTION: Final = "The documents don't say."
_N_CLOSEST = 3
_NEAR = 0.5
_WHOLE = re.compile(r"[.!?…:;。！？][\"'”’»)*_]*\s*$")


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """What the flow runs on. Without ``chat`` answers are extractive; without ``embedder`` by words alone."""

    settings: Settings
    retriever: Retriever
    index: ChunkIndex
    embedder: Embedder | None = None
    chat: ChatModel | None = None


@dataclass(slots=True)
class _Draft:
    """What has been written so far."""

    verifier: cite.Verifier
    mode: AnswerMode
    shown: list[cite.Checked] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    withheld: list[AnswerSentence] = field(default_factory=list)
    unknown_markers: int = 0
    says_unknown: bool = False
    usage: Usage = field(default_factory=Usage)
    notices: list[str] = field(default_factory=list)
    chat_error: str | None = None
    cost_usd: float = 0.0


async def answer(
    question: str, scope: Scope, parts: AnswerParts, *, history: tuple[Message, ...] = ()
) -> AsyncGenerator[AnswerEvent, None]:
    """``Retrieved``, then each ``Sentence`` once it has been verified, then ``Final``.

    A chat model that fails is replaced by the extractive generator, with a notice. Raises ``InvalidQuestion``,
    ``StoreError`` and what the encoder raises.
    """
    clock, settings = _Clock(), parts.settings
    asked = checked_question(question, settings.max_question_chars)
    query = rewrite.standalone(asked, history)

    retrieval = await off_loop(parts.retriever.retrieve, query, scope, settings.context_hits)
    clock.lap("retrieve")
    template = prompt.load_prompt(settings.prompt)
    fitted = await off_loop(_fitted, asked, query, retrieval, template, history, scope, parts)
    packed = fitted.packed
    clock.lap("pack")
    yield Retrieved(retrieval, packed)

    support = await off_loop(_support, query, retrieval, packed, scope, parts)
    clock.lap("confidence")
    draft = _Draft(
        cite.Verifier(
            packed.sources, asked, lambda source: parts.index.source_blocks(scope, source), support.heads
        ),
        "llm" if parts.chat else "extractive",
    )
    abstains = not packed.sources or support.confidence < settings.abstain_below

    if not abstains and parts.chat is not None:
        try:
            _tell_what_did_not_fit(fitted, draft, parts.chat)
            async with aclosing(_generated(parts.chat, fitted.messages, settings, draft)) as sentences:
                async for sentence in sentences:
                    yield sentence
        except ChatError as exc:
            draft.chat_error = exc.code
            draft.notices.append(f"{exc} The answer stops there." if draft.shown else str(exc))
        abstains = draft.says_unknown and not draft.shown
    clock.lap("generate")

    if not abstains and not draft.shown:
        if parts.chat is not None:
            draft.notices.append(_why_quoted(draft))
        draft.mode = "extractive"
        for checked in await off_loop(_extracted, asked, support, draft, parts):
            if (released := _take(draft, checked, settings)) is not None:
                yield released
        abstains = not draft.shown
        clock.lap("extract")

    yield FinalEvent(
        Answer(
            text=ABSTENTION if abstains else cite.joined(draft.shown),
            sentences=() if abstains else tuple(checked.sentence for checked in draft.shown),
            citations=() if abstains else tuple(draft.citations),
            abstained=abstains,
            confidence=support.confidence,
            mode=draft.mode,
            closest=_closest(retrieval) if abstains else (),
            dropped=packed.dropped,
            withheld=tuple(draft.withheld),
            unknown_markers=draft.unknown_markers,
            notices=(*retrieval.notices, *draft.notices),
            usage=draft.usage,
            cost_usd=draft.cost_usd,
            timings_ms={**retrieval.timings_ms, **clock.total()},
            trace_id=uuid.uuid4().hex,
            prompt_version=template.version if parts.chat is not None else None,
            chat_error=draft.chat_error,
        )
    )


def _fitted(
    asked: str,
    query: str,
    retrieval: Retrieval,
    template: prompt.PromptTemplate,
    history: Sequence[Message],
    scope: Scope,
    parts: AnswerParts,
) -> Fitted:
    """The sources, and the prompt they are in where a chat model reads them."""
    settings = parts.settings

    def text_of(source_id: str) -> str:
        return parts.index.source_text(scope, source_id)

    if parts.chat is not None:
        counter = tokens.TiktokenCounter(parts.chat.name)
        fitted = fit(
            asked,
            query,
            retrieval.hits,
            template,
            history,
            text_of,
            counter,
            settings,
            parts.chat.context_window,
        )
        if fitted.messages or not retrieval.hits:
            return fitted
    packed = pack.pack(query, retrieval.hits, text_of, tokens.EstimatedCounter(), settings.context_tokens)
    return Fitted(packed, ())


def _tell_what_did_not_fit(fitted: Fitted, draft: _Draft, chat: ChatModel) -> None:
    """Raises ``ContextOverflow`` where there is no prompt to send."""
    if not fitted.messages:
        raise ContextOverflow(
            f"The question leaves no room for sources in the chat model's window of {chat.context_window} tokens; "
            "shorten it, or raise llm_context_tokens.",
        )
    if fitted.n_turns_left_out:
        draft.notices.append(
            f"The chat model did not see the first {fitted.n_turns_left_out} turns of the conversation, which do not fit "
            "its window."
        )


@dataclass(frozen=True, slots=True)
class _Support:
    """What the packed sources say to the question."""

    heads: dict[int, str]
    ranked: list[rank.Candidate]
    """Candidates for an extractive answer, best first."""
    weights: dict[str, float]
    """Of the question's words."""
    confidence: float
    """Probability that the sources hold the answer."""


def _support(
    query: str, retrieval: Retrieval, packed: PackedContext, scope: Scope, parts: AnswerParts
) -> _Support:
    asked = terms_of(query)
    n_chunks, found = parts.index.document_frequency(scope, list(question_words(asked).values()))
    weights = question_weights(asked, n_chunks, found)
    heads = passages.heads(packed.sources, lambda source_id: parts.index.source_text(scope, source_id))
    embedder = parts.embedder if retrieval.mode != "lexical" else None
    ranked = rank.rank(query, packed.sources, weights, embedder, heads)
    values = confidence.features(query, retrieval, packed.sources, ranked, weights)
    return _Support(heads, ranked, weights, confidence.confidence(values, retrieval.mode))


def _extracted(asked: str, support: _Support, draft: _Draft, parts: AnswerParts) -> list[cite.Checked]:
    """The sentences of the documents that answer, each verified."""
    ranked = support.ranked
    if (
        draft.withheld
    ):  # what a chat model could not find support for is quoted only if it is near the question
        ranked = [one for one in ranked if one.coverage >= _NEAR]
    found = extractive.extract(
        asked,
        ranked,
        support.weights,
        embedder=parts.embedder,
        heads=support.heads,
        holds=draft.verifier.supports,
    )
    return [draft.verifier.check(raw) for raw in found.sentences]


async def _generated(
    chat: ChatModel, messages: tuple[Message, ...], settings: Settings, draft: _Draft
) -> AsyncGenerator[Sentence, None]:
    """The sentences of the chat model that may be shown, each once it has been verified."""
    stream = markers.SentenceStream()
    request = ChatRequest(
        messages=messages,
        model=chat.name,
        temperature=settings.llm_temperature,
        max_tokens=settings.answer_tokens,
        timeout_s=settings.llm_timeout_s,
    )
    written: list[str] = []
    try:
        async with aclosing(chat.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Usage):
                    draft.usage += event
                    continue
                if isinstance(event, Switched):
                    continue
                if isinstance(event, Delta):
                    written.append(event.text)
                    pieces = stream.feed(event.text)
                else:
                    pieces = _finished(stream.close(), event, draft, settings)
                for raw in map(prompt.without_fences, pieces):
                    checked = await off_loop(draft.verifier.check, raw)
                    if checked.sentence.verdict is Verdict.UNSUPPORTED and says_unknown(raw):
                        draft.says_unknown = True
                    elif (released := _take(draft, checked, settings)) is not None:
                        yield released
    finally:
        if written and draft.usage == Usage():  # a stream that breaks off has cost something too
            counter = tokens.TiktokenCounter(chat.name)
            n_out = counter.count("".join(written))
            draft.usage = Usage(tokens.count_messages(counter, messages), n_out, estimated=True)


def _finished(pieces: list[str], done: Done, draft: _Draft, settings: Settings) -> list[str]:
    """The last sentences; half a sentence is none, for what it lacks may turn it round."""
    if done.finish_reason != "length":
        return pieces
    draft.notices.append(
        f"The chat model's answer was cut off at {settings.answer_tokens} tokens; raise answer_tokens for longer ones."
    )
    return pieces if not pieces or _WHOLE.search(markers.strip_markers(pieces[-1])) else pieces[:-1]


def _take(draft: _Draft, checked: cite.Checked, settings: Settings) -> Sentence | None:
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


def _why_quoted(draft: _Draft) -> str:
    if draft.chat_error is not None:
        return "So the answer is looked for in the documents' own words."
    return (
        "No source supports what the chat model wrote, so the answer is looked for in the documents' own words."
        if draft.withheld
        else "The chat model wrote no answer, so it is looked for in the documents' own words."
    )


def _closest(retrieval: Retrieval) -> tuple[ClosestSource, ...]:
    """The best documents found, each once: where to look instead."""
    found: dict[str, ClosestSource] = {}
    for hit in retrieval.hits:
        place = ClosestSource(hit.source.uri, hit.source.title, hit.chunk.page, hit.chunk.heading_path)
        found.setdefault(hit.source.id, place)
    return tuple(found.values())[:_N_CLOSEST]


class _Clock:
    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = round((now - self._last) * 1000, 2)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self._laps, "total": round((time.perf_counter() - self._started) * 1000, 2)}
