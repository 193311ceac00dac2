"""THE QUERY FLOW: question → guard → rewrite → retrieve → pack → confidence → generate → verify → answer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from rag import cite, extractive, pack, prompt, rewrite
from rag.core.errors import ChatError, ContextOverflow
from rag.core.protocols import ChatModel, ChunkIndex, Embedder, Retriever
from rag.core.settings import Settings
from rag.core.types import (
    Answer,
    AnswerEvent,
    Attempts,
    ChatRequest,
    ClosestSource,
    Message,
    Priority,
    Retrieval,
    Retrieved,
    Scope,
)
from rag.core.types import (
    Final as FinalEvent,
)
from rag.draft import Draft, take, why_quoted
from rag.fit import Fitted, fit
from rag.generate import generated
from rag.guard.question import checked_question
from rag.laps import Laps
from rag.llm import tokens
from rag.offload import off_loop
from rag.support import Support, support_of

ABSTENTION: Final = "The documents don't say."
_N_CLOSEST = 3
_NEAR = 0.5


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """What the flow runs on. Without ``chat`` answers are extractive; without ``embedder`` by words alone."""

    settings: Settings
    retriever: Retriever
    index: ChunkIndex
    embedder: Embedder | None = None
    chat: ChatModel | None = None


async def answer(
    question: str,
    scope: Scope,
    parts: AnswerParts,
    *,
    history: tuple[Message, ...] = (),
    priority: Priority = "interactive",
    trace_id: str = "",
) -> AsyncGenerator[AnswerEvent, None]:
    """``Retrieved``, then each ``Sentence`` once it has been verified, then ``Final``.

    A chat model that fails is replaced by the extractive generator, with a notice. Raises ``InvalidQuestion``,
    ``StoreError`` and what the encoder raises.
    """
    laps, settings, trace_id = Laps(), parts.settings, trace_id or uuid.uuid4().hex
    asked = checked_question(question, settings.max_question_chars)
    query = rewrite.standalone(asked, history)

    retrieval = await off_loop(parts.retriever.retrieve, query, scope, settings.context_hits)
    laps.lap("retrieve")
    template = prompt.load_prompt(settings.prompt)
    fitted = await off_loop(_fitted, asked, query, retrieval, template, history, scope, parts)
    packed = fitted.packed
    laps.lap("pack")
    yield Retrieved(retrieval, packed)

    support = await off_loop(support_of, query, retrieval, packed, scope, parts.index, parts.embedder)
    laps.lap("confidence")
    draft = Draft(
        cite.Verifier(
            packed.sources, asked, lambda source: parts.index.source_blocks(scope, source), support.heads
        )
    )
    abstains = not packed.sources or support.confidence < settings.abstain_below

    if not abstains and parts.chat is not None:
        draft.mode = "llm"
        request = ChatRequest(
            fitted.messages,
            temperature=settings.llm_temperature,
            max_tokens=settings.answer_tokens,
            timeout_s=settings.llm_timeout_s,
            priority=priority,
            tenant=scope.tenant,
            trace_id=trace_id,
            signals={"confidence": support.confidence, "question_chars": float(len(asked))},
            attempts=Attempts(settings.llm_attempts),
        )
        try:
            _tell_what_did_not_fit(fitted, draft, parts.chat)
            async with aclosing(generated(parts.chat, request, settings, draft)) as sentences:
                async for sentence in sentences:
                    yield sentence
        except ChatError as exc:
            draft.chat_error = exc.code
            draft.notices.append(f"{exc} The answer stops there." if draft.shown else str(exc))
        abstains = draft.says_unknown and not draft.shown
    laps.lap("generate")

    if not abstains and not draft.shown:
        if parts.chat is not None:
            draft.notices.append(why_quoted(draft))
        draft.mode = "extractive"
        for checked in await off_loop(_extracted, asked, support, draft, parts):
            if (released := take(draft, checked, settings)) is not None:
                yield released
        if not draft.shown:
            abstains, draft.mode = True, "canned"
        laps.lap("extract")

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
            cost_usd=draft.usage.cost_usd,
            timings_ms={**retrieval.timings_ms, **laps.total()},
            trace_id=trace_id,
            prompt_version=template.version if parts.chat is not None else None,
            chat_error=draft.chat_error,
            model=draft.done.model if draft.done else None,
            route=draft.done.route if draft.done else None,
            switched=tuple(draft.switched),
            truncated=draft.truncated,
            cached=draft.done is not None and draft.done.cached,
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


def _tell_what_did_not_fit(fitted: Fitted, draft: Draft, chat: ChatModel) -> None:
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


def _extracted(asked: str, support: Support, draft: Draft, parts: AnswerParts) -> list[cite.Checked]:
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


def _closest(retrieval: Retrieval) -> tuple[ClosestSource, ...]:
    """The best documents found, each once: where to look instead."""
    found: dict[str, ClosestSource] = {}
    for hit in retrieval.hits:
        place = ClosestSource(hit.source.uri, hit.source.title, hit.chunk.page, hit.chunk.heading_path)
        found.setdefault(hit.source.id, place)
    return tuple(found.values())[:_N_CLOSEST]
