"""One line of a batch: from its text to what is written for it. Files and jobs over HTTP share it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

from pydantic import ValidationError

from api.batch.lines import parsed_line
from api.problems import problem, problem_of
from api.schemas import BatchLine, answer_json, validation_sentence
from rag.core.errors import BudgetExceeded, FootnoteError, StoreError
from rag.core.types import Answer, Filters
from rag.core.types import Final as FinalEvent
from rag.wiring import Footnote

Ask = Callable[[BatchLine], Awaitable[Answer]]

RETRY_DELAYS_S: Final = (2.0, 15.0)
_MAY_PASS: Final = frozenset({"chat-busy", "chat-rate-limited", "chat-unreachable", "chat-timeout"})


def asking(footnote: Footnote, filters: Filters | None = None, kb: str | None = None) -> Ask:
    """Asks at batch priority; a line's own filters and knowledge base go before those of all."""

    async def ask(line: BatchLine) -> Answer:
        seen = line.filters.to_core() if line.filters else filters
        events = footnote.stream(line.question, filters=seen, kb=line.kb or kb, priority="batch")
        async with aclosing(events) as answering:
            async for event in answering:
                if isinstance(event, FinalEvent):
                    return event.answer
        raise AssertionError("the flow ends with Final")

    return ask


async def answered_line(
    number: int, raw: str, ask: Ask, *, retry_delays_s: Sequence[float] = RETRY_DELAYS_S
) -> dict[str, Any]:
    """``{"id", "line", …answer}``, or ``{"id", "line", "error"}`` for a line that cannot be read or answered.

    Raises what every later line would meet too: ``StoreError``, ``BudgetExceeded``.
    """
    identity: Any = None
    try:
        values = parsed_line(raw)
        identity = values.get("id")
        answer = await _answered(BatchLine.model_validate(values), ask, retry_delays_s)
        return {"id": identity, "line": number, **answer_json(answer)}
    except ValidationError as exc:
        sentence = validation_sentence(exc.errors(), f"Line {number}")
        error = problem(422, "bad-line", f"{sentence}; correct it.")
    except ValueError as exc:
        error = problem(400, "bad-line", f"Line {number} is not a JSON object ({exc}); correct it.")
    except (StoreError, BudgetExceeded):
        raise
    except FootnoteError as exc:
        error = problem_of(exc)
    return {"id": identity, "line": number, "error": error}


async def _answered(line: BatchLine, ask: Ask, retry_delays_s: Sequence[float]) -> Answer:
    """Nobody waits for a batch: a server that is down for a moment is asked again before it is done without. Where
    the model has begun to answer, that is paid for and is what there is."""
    for delay_s in (*retry_delays_s, None):
        answer = await ask(line)
        if answer.chat_error == BudgetExceeded.code:
            notice = next(iter(answer.notices), "The budget for the day is spent.")
            raise BudgetExceeded(notice)
        if delay_s is None or answer.mode == "llm" or answer.chat_error not in _MAY_PASS:
            break
        await asyncio.sleep(delay_s)
    return answer


def failure_of(result: dict[str, Any]) -> str | None:
    """Why a line failed, in one sentence; None if it did not. An answer that had to do without the chat model did."""
    if "error" in result:
        return str(result["error"]["detail"])
    code = result.get("chat_error")
    if code is None:
        return None
    how = "stops early" if result.get("mode") == "llm" else "was made without the chat model"
    return f"The answer {how} ({code})."
