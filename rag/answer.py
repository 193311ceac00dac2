"""THE QUERY FLOW: question → guard → rewrite → retrieve → pack → confidence → generate → verify → answer."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from rag import cite, confidence, extractive, pack, prompt, rewrite, tokens
from rag.core.errors import ChatError
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
    Usage,
    Verdict,
)
from rag.core.types import (
    Final as FinalEvent,
)
from rag.guard.question import checked_question
from rag.offload import off_loop
from rag.terms import terms_of

ABSTENTION: Final = "The documents don't say."
_N_CLOSEST = 3
_NEAR = 0.5
_UNKNOWN = re.compile(
    r"\b(?:documents?|sources?|context|passages?|texts?|provided information)\b[^.]{0,40}\b(?:don['’]?t|do not|does not|doesn['’]?t|did not)\s+"
    r"(?:\w+\s+){0,2}(?:say|mention|contain|provide|specify|state|include|hold|answer|cover|have|address)"
    r"|\bI (?:don['’]?t|do not) (?:know|have (?:enough |any |that |this )?(?:information|context|details?))"
    r"|\b(?:no|not enough|insufficient) (?:relevant )?information\b|\b(?:is|are) not (?:mentioned|specified|stated|provided|covered|included) in the\b"
    r"|\bI(?:['’]m| am) (?:unable|not able|sorry)|\bI can(?:not|['’]t) (?:answer|find|determine)|(?:Dokumente|Quellen) (?:sagen|enthalten|geben)[^.]{0,40}(?:nicht|keine)",
    re.IGNORECASE,
)


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
    packed = await off_loop(_packed, asked, query, retrieval, template, history, scope, parts)
    clock.lap("pack")
    yield Retrieved(retrieval, packed)

    ranked, weights, sureness = await off_loop(_support, query, retrieval, packed, scope, parts)
    clock.lap("confidence")
    draft = _Draft(
        cite.Verifier(packed.sources, asked, lambda source: parts.index.source_blocks(scope, source)),
        "llm" if parts.chat else "extractive",
    )
    abstains = not packed.sources or sureness < settings.abstain_below

    if not abstains and parts.chat is not None:
        messages = template.messages(asked, packed.sources, history)
        try:
            async with aclosing(_generated(parts.chat, messages, settings, draft)) as sentences:
                async for sentence in sentences:
                    yield sentence
        except ChatError as exc:
            draft.notices.append(
                f"{exc} The answer below quotes the documents instead."
                if not draft.shown
                else f"{exc} The answer stops there."
            )
        abstains = draft.says_unknown and not draft.shown
        if not abstains and not draft.shown and draft.withheld:
            draft.notices.append(
                "No source supports what the chat model wrote; the answer quotes the documents instead."
            )
    clock.lap("generate")

    if not abstains and not draft.shown:
        draft.mode = "extractive"
        # What a chat model could not find support for is quoted only if it is near the question.
        ranked = [one for one in ranked if one.coverage >= _NEAR or not draft.withheld]
        for raw in extractive.extract(query, ranked, weights).sentences:
            checked = await off_loop(draft.verifier.check, raw)
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
            confidence=sureness,
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
        )
    )


def _packed(
    asked: str,
    query: str,
    retrieval: Retrieval,
    template: prompt.PromptTemplate,
    history: Sequence[Message],
    scope: Scope,
    parts: AnswerParts,
) -> PackedContext:
    settings = parts.settings
    if parts.chat is None:
        counter: tokens.TiktokenCounter | tokens.EstimatedCounter = tokens.EstimatedCounter()
        room = settings.context_tokens
    else:
        counter = tokens.TiktokenCounter(parts.chat.name)
        n_fixed = tokens.count_messages(counter, template.messages(asked, (), history))
        room = pack.budget_tokens(settings, counter, n_fixed)
    return pack.pack(
        query, retrieval.hits, lambda source_id: parts.index.source_text(scope, source_id), counter, room
    )


def _support(
    query: str, retrieval: Retrieval, packed: PackedContext, scope: Scope, parts: AnswerParts
) -> tuple[list[extractive.Candidate], dict[str, float], float]:
    """(candidates for an extractive answer, best first; weights of the question's words; probability that the
    sources hold the answer)."""
    asked = terms_of(query)
    n_chunks, found = parts.index.document_frequency(scope, list(asked.words.values()))
    weights = extractive.question_weights(asked, n_chunks, found)
    ranked = extractive.rank(
        query, packed.sources, weights, parts.embedder if retrieval.mode != "lexical" else None
    )
    values = confidence.features(query, retrieval, packed.sources, ranked, weights)
    return ranked, weights, confidence.confidence(values, retrieval.mode)


async def _generated(
    chat: ChatModel, messages: tuple[Message, ...], settings: Settings, draft: _Draft
) -> AsyncGenerator[Sentence, None]:
    """The sentences of the chat model that may be shown, each once it has been verified."""
    stream = cite.SentenceStream()
    request = ChatRequest(
        messages=messages,
        model=chat.name,
        temperature=settings.llm_temperature,
        max_tokens=settings.answer_tokens,
        timeout_s=settings.llm_timeout_s,
    )
    n_written = 0
    async with aclosing(chat.stream(request)) as events:  # type: ignore[type-var]
        async for event in events:
            if isinstance(event, Usage):
                draft.usage = event
            elif isinstance(event, Delta | Done):
                pieces = stream.feed(event.text) if isinstance(event, Delta) else stream.close()
                n_written += len(event.text) if isinstance(event, Delta) else 0
                for raw in pieces:
                    if _UNKNOWN.search(raw):
                        draft.says_unknown = True
                        continue
                    checked = await off_loop(draft.verifier.check, raw)
                    if (released := _take(draft, checked, settings)) is not None:
                        yield released
    if draft.usage == Usage():
        counter = tokens.TiktokenCounter(chat.name)
        draft.usage = Usage(tokens.count_messages(counter, messages), -(-n_written // 4), estimated=True)


def _take(draft: _Draft, checked: cite.Checked, settings: Settings) -> Sentence | None:
    """Shows a verified sentence or withholds it; sentences that claim nothing are left out."""
    draft.unknown_markers += checked.unknown_markers
    if not checked.is_claim:
        return None
    if checked.sentence.verdict is Verdict.UNSUPPORTED:
        if not settings.show_unsupported:
            draft.withheld.append(checked.sentence)
            return None
        checked = cite.marked_unsupported(checked)
    draft.shown.append(checked)
    draft.citations += checked.citations
    return Sentence(checked.sentence, checked.citations)


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
