"""Questions by the thousand: asked at once, written as they are answered, gone on with after a kill."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.batch.answering import RETRY_DELAYS_S, Ask, answered_line
from api.batch.journal import Journal
from api.batch.lines import line_key, reading
from api.batch.watching import Watching
from rag.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Question:
    number: int
    raw: str
    key: str


@dataclass(slots=True)
class Outcome:
    n_lines: int = 0
    n_before: int = 0
    """Answered by the runs before."""
    n_answered: int = 0
    """By this run, the failed ones too."""
    n_in_flight_before: int = 0
    """Begun by a run that was killed, and not answered by it."""
    n_found_again: int = 0
    """Of those: their reply had been received, and came from the cache."""
    n_cached: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    cost_usd: float = 0.0
    """Of all runs."""
    interrupted: bool = False
    over_budget: bool = False


def questions_of(path: Path, about: str) -> list[Question]:
    with reading(path) as lines:
        return [Question(n, raw, line_key(raw, about)) for n, raw in enumerate(lines, 1) if raw.strip()]


def not_yet_answered(questions: Sequence[Question], journal: Journal) -> list[Question]:
    """Raises ``UsageError`` where the output answers other questions than these."""
    keys = journal.written.keys
    for question in questions:
        if keys.get(question.number, question.key) != question.key:
            raise UsageError(
                f"Line {question.number} of the questions is not what {journal.out} answers there: it was edited since, "
                "or the flags differ; name another --out.",
                line=question.number,
            )
    if beyond := keys.keys() - {question.number for question in questions}:
        raise UsageError(
            f"{journal.out} answers line {min(beyond)}, which the questions do not have; name another --out.",
            line=min(beyond),
        )
    return [question for question in questions if question.number not in keys]


async def run_questions(
    todo: Sequence[Question],
    journal: Journal,
    ask: Ask,
    watching: Watching,
    *,
    concurrency: int,
    stop: threading.Event,
    max_usd: float | None = None,
    usd_each: float = 0.0,
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
) -> Outcome:
    """Asks what is left. Raises the first error that later questions would meet too, once those in hand are written."""
    lost = set(journal.in_flight_before)
    found = Outcome(n_before=len(journal.written.keys), n_in_flight_before=len(lost))
    fatal: list[Exception] = []
    in_hand = 0
    left: Iterator[Question] = iter(todo)

    def affordable() -> bool:
        if max_usd is None:
            return True
        known = max(usd_each, (journal.written.cost_usd / max(1, len(journal.written.keys))))
        # Questions in hand are paid too.
        if journal.written.cost_usd + (in_hand + 1) * known <= max_usd:
            return True
        found.over_budget = True
        return False

    async def work() -> None:
        nonlocal in_hand
        for question in left:
            if stop.is_set() or fatal or not affordable():
                found.interrupted = found.interrupted or stop.is_set()
                return
            journal.begin(question.number)
            in_hand += 1
            try:
                result = await answered_line(
                    question.number, question.raw, ask, retry_delays_s=retry_delays_s
                )
                journal.write(result, question.key)
            except Exception as exc:
                fatal.append(exc)
                return
            finally:
                in_hand -= 1
            _count(found, result, lost)
            watching.tell(found.n_answered, journal.written)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(todo))):
            workers.create_task(work())
    found.failed, found.cost_usd = dict(journal.written.failed), journal.written.cost_usd
    found.n_lines = found.n_before + len(todo)
    if fatal:
        raise fatal[0]
    return found


def _count(found: Outcome, result: dict[str, Any], lost: set[int]) -> None:
    found.n_answered += 1
    found.n_cached += bool(result.get("cached"))
    found.n_found_again += bool(result.get("cached")) and result["line"] in lost
