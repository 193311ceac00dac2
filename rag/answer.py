"""THE QUERY FLOW: question → guard → rewrite → retrieve → pack → confidence → generate → verify → answer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from rag import cite, extractive, pack, prompt
from rag.conversation import Conversation, prepared
from rag.core.errors import ChatError, ContextOverflow
from rag.core.protocols import ChatModel, ChunkIndex, Embedder, Retriever
from rag.core.settings import Settings
from rag.core.types import (
    AnswerEvent,
    Attempts,
    ChatRequest,
    ClosestSource,
    Message,
    Priority,
    Retrieval,
    Retrieved,
    Scope,
    Sentence,
)
from rag.core.types import (
    Final as FinalEvent,
)
from rag.draft import Draft, finished, refused, take, why_quoted
from rag.fit import Fitted, fit
from rag.generate import generated
from rag.guard.injected import count_injected
from rag.guard.question import checked_question
from rag.laps import Laps
from rag.llm import moderate, tokens
from rag.llm.meter import Meter, NoMeter
from rag.llm.moderate import Moderator
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
    chat_for: Callable[[str], ChatModel] | None = None
    """``chat`` for one question, where replies to similar questions may serve."""
    moderator: Moderator | None = None
    warning: Callable[[str], str | None] | None = None
    """What a tenant should be told with each answer: that the budget runs out."""
    meter: Meter = field(default_factory=NoMeter)


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

    A chat model that fails is replaced by the extractive generator, with a notice. A question that moderation blocks
    gets ``Final`` alone. Raises ``InvalidQuestion``, ``StoreError`` and what the encoder raises.
    """
    laps, settings, trace_id = Laps(), parts.settings, trace_id or uuid.uuid4().hex
    asked = checked_question(question, settings.max_question_chars)
    request = ChatRequest(
        (),
        temperature=settings.llm_temperature,
        max_tokens=settings.answer_tokens,
        timeout_s=settings.llm_timeout_s,
        priority=priority,
        tenant=scope.tenant,
        trace_id=trace_id,
        attempts=Attempts(settings.llm_attempts),
    )
    said = await moderate.checked(
        parts.moderator, asked, "question", settings.moderation_question, parts.meter, request
    )
    if said.action == "block":
        yield FinalEvent(refused(said, trace_id, laps))
        return
    talk = await prepared(history, asked, parts.chat, _counter(parts), _window(parts), settings, like=request)
    laps.lap("question")

    retrieval = await off_loop(parts.retriever.retrieve, talk.question, scope, settings.context_hits)
    laps.lap("retrieve")
    template = prompt.load_prompt(settings.prompt)
    fitted = await off_loop(_fitted, asked, talk, retrieval, template, scope, parts)
    packed = fitted.packed
    laps.lap("pack")
    yield Retrieved(retrieval, packed)

    support = await off_loop(support_of, talk.question, retrieval, packed, scope, parts.index, parts.embedder)
    laps.lap("confidence")
    verifier = cite.Verifier(
        packed.sources, talk.question, lambda source: parts.index.source_blocks(scope, source), support.heads
    )
    draft = Draft(verifier, usage=talk.usage, notices=[*retrieval.notices, *talk.notices])
    draft.heed(said, "question")
    draft.n_injected = count_injected(packed.sources)
    parts.meter.count("injected_instructions", draft.n_injected)
    abstains = not packed.sources or support.confidence < settings.abstain_below
    held: list[Sentence] | None = [] if _judges_answers(parts) else None

    if not abstains and parts.chat is not None:
        draft.mode = "llm"
        chat = parts.chat_for(talk.question) if parts.chat_for else parts.chat
        signals = {"confidence": support.confidence, "question_chars": float(len(asked))}
        try:
            _tell_what_did_not_fit(fitted, draft, chat)
            filled = replace(request, messages=fitted.messages, signals=signals)
            async with aclosing(generated(chat, filled, settings, draft)) as sentences:
                async for sentence in sentences:
                    if held is None:
                        yield sentence
                    else:
                        held.append(sentence)
        except ChatError as exc:
            draft.chat_error = exc.code
            draft.notices.append(f"{exc} The answer stops there." if draft.shown else str(exc))
        abstains = draft.says_unknown and not draft.shown
    laps.lap("generate")

    if not abstains and not draft.shown:
        if parts.chat is not None:
            draft.notices.append(why_quoted(draft))
        draft.mode = "extractive"
        for checked in await off_loop(_extracted, talk.question, support, draft, parts):
            if (released := take(draft, checked, settings)) is not None:
                if held is None:
                    yield released
                else:
                    held.append(released)
        if not draft.shown:
            abstains, draft.mode = True, "canned"
        laps.lap("extract")

    if held:
        text = cite.joined(draft.shown)
        said = await moderate.checked(
            parts.moderator, text, "answer", settings.moderation_answer, parts.meter, request
        )
        draft.heed(said, "answer")
        laps.lap("moderate")
        if said.action == "block":
            yield FinalEvent(refused(said, trace_id, laps, draft, support.confidence))
            return
        for sentence in held:
            yield sentence
    if parts.warning and (warning := parts.warning(scope.tenant)):
        draft.notices.append(warning)
    final = finished(draft, support.confidence, ABSTENTION if abstains else None, trace_id, laps)
    yield FinalEvent(
        replace(
            final,
            closest=_closest(retrieval) if abstains else (),
            dropped=packed.dropped,
            timings_ms={**retrieval.timings_ms, **final.timings_ms},
            prompt_version=template.version if parts.chat is not None else None,
        )
    )


def _judges_answers(parts: AnswerParts) -> bool:
    """Then nothing is let go before all of it has been judged."""
    return parts.moderator is not None and parts.settings.moderation_answer != "pass"


def _counter(parts: AnswerParts) -> tokens.TiktokenCounter | None:
    return None if parts.chat is None else tokens.TiktokenCounter(parts.chat.name)


def _window(parts: AnswerParts) -> int:
    return 0 if parts.chat is None else parts.chat.context_window


def _fitted(
    asked: str,
    talk: Conversation,
    retrieval: Retrieval,
    template: prompt.PromptTemplate,
    scope: Scope,
    parts: AnswerParts,
) -> Fitted:
    """The sources, and the prompt they are in where a chat model reads them."""
    settings = parts.settings

    def text_of(source_id: str) -> str:
        return parts.index.source_text(scope, source_id)

    if parts.chat is not None:
        counter = tokens.TiktokenCounter(parts.chat.name)
        query, history = talk.question, talk.history
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
    packed = pack.pack(
        talk.question, retrieval.hits, text_of, tokens.EstimatedCounter(), settings.context_tokens
    )
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
