"""What a question tells the outside while it is answered: a trace, numbers, a line in the log. Sizes, not texts."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Any

from rag.core.errors import FootnoteError
from rag.core.settings import Settings
from rag.core.types import Answer, AnswerEvent, Final, Priority, Scope
from rag.llm.logs import log
from rag.llm.meter import Meter
from rag.llm.traces import question_span, wants_traces


async def observed(
    events: AsyncGenerator[AnswerEvent, None],
    question: str,
    scope: Scope,
    settings: Settings,
    meter: Meter,
    *,
    trace_id: str,
    priority: Priority,
) -> AsyncGenerator[AnswerEvent, None]:
    """The events as they are."""
    began = time.perf_counter()
    who: dict[str, Any] = {
        "trace_id": trace_id,
        "tenant": scope.tenant,
        "kb": scope.knowledge_base,
        "priority": priority,
    }
    with ExitStack() as stack:
        if wants_traces():
            stack.enter_context(question_span(trace_id, **{"footnote.kb": scope.knowledge_base}))
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Final):
                        took_s = time.perf_counter() - began
                        _count(event.answer, meter, took_s)
                        _log(event.answer, question, settings, who, took_s)
                    yield event
        except FootnoteError as exc:
            log("question failed", code=exc.code, question_chars=len(question), **who)
            raise


def _count(answer: Answer, meter: Meter, took_s: float) -> None:
    meter.count("questions", mode=answer.mode)
    meter.time("answer_s", took_s, mode=answer.mode)
    if answer.abstained:
        meter.count("questions_abstained")
    if answer.withheld:
        meter.count("sentences_withheld", len(answer.withheld))
    if answer.chat_error is not None and answer.mode in ("extractive", "canned"):
        meter.count("chat_fallbacks", rung=answer.mode)


def _log(answer: Answer, question: str, settings: Settings, who: dict[str, Any], took_s: float) -> None:
    log(
        "question",
        **who,
        question_chars=len(question),
        mode=answer.mode,
        abstained=answer.abstained,
        confidence=round(answer.confidence, 3),
        n_sentences=len(answer.sentences),
        n_withheld=len(answer.withheld),
        model=answer.model,
        route=answer.route,
        chat_error=answer.chat_error,
        cached=answer.cached,
        truncated=answer.truncated,
        flags=list(answer.flags) or None,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        cost_usd=round(answer.cost_usd, 8),
        total_ms=round(took_s * 1000, 1),
        timings_ms=dict(answer.timings_ms),
        question=question if settings.log_texts else None,
        answer=answer.text if settings.log_texts else None,
    )
