"""``footnote batch``: the file in, the file out, and what is told on the way."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from api.batch.answering import RETRY_DELAYS_S, asking
from api.batch.by_provider import by_the_provider, check_provider, until_stopped
from api.batch.estimate import estimated
from api.batch.journal import Journal
from api.batch.run import Outcome, not_yet_answered, questions_of, run_questions
from api.batch.watching import Progress, Silent, say_in_flight, say_outcome
from api.interrupt import INTERRUPTED, stop_on_signal
from api.terminal import say
from rag.core.errors import UsageError
from rag.core.settings import Settings
from rag.core.types import Filters
from rag.wiring import open_footnote

FAILED_LINES: Final = 3
_CONCURRENCY_WITHOUT_CHAT: Final = 4
_STOPPING: Final = "Stopping after the questions in hand; running it again goes on."


def batch(
    questions: Path,
    out: Path,
    settings: Settings,
    *,
    filters: Filters,
    concurrency: int | None = None,
    ordered: bool = False,
    retry_failed: bool = False,
    max_usd: float | None = None,
    by_provider: bool = False,
    as_json: bool = False,
) -> int:
    """Returns the exit code."""
    if str(questions) != "-" and out.resolve() == questions.resolve():
        raise UsageError(f"--out {out} is the file of the questions; name another one.")
    if by_provider:
        check_provider(settings)
    begun_s = time.monotonic()
    all_questions = questions_of(questions, f"{settings.kb}|{filters}")
    estimate = estimated(settings)
    with (
        stop_on_signal(_STOPPING) as stop,
        open_footnote(settings) as footnote,
        Journal(out, retry_failed=retry_failed) as journal,
    ):
        todo = not_yet_answered(all_questions, journal)
        if not as_json:
            if journal.written.keys:
                say(f"{len(journal.written.keys):,} of {len(all_questions):,} are answered.", err=True)
            say_in_flight(len(journal.in_flight_before))
            if estimate is not None and todo:
                say(estimate.sentence(len(todo)), err=True)
        progress = Progress(len(todo))

        async def run() -> Outcome:
            ask = asking(footnote, filters)
            if by_provider:
                ask = by_the_provider(footnote, ask, out, todo, say=_unsaid if as_json else _to_stderr)
            try:
                work = run_questions(
                    todo,
                    journal,
                    ask,
                    Silent() if as_json else progress,
                    concurrency=max(1, len(todo))
                    if by_provider
                    else concurrency or default_concurrency(settings),
                    stop=stop,
                    max_usd=max_usd,
                    usd_each=(estimate.usd_each or 0.0) if estimate else 0.0,
                    retry_delays_s=() if by_provider else RETRY_DELAYS_S,
                )
                return await (until_stopped(work, stop) if by_provider else work)
            finally:
                await footnote.aclose()

        try:
            found = asyncio.run(run())
        finally:
            progress.end()
        if ordered and not found.interrupted:
            journal.put_in_order()
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        say_outcome(found, time.monotonic() - begun_s)
    if found.interrupted:
        return INTERRUPTED
    return FAILED_LINES if found.failed or found.over_budget else 0


def _to_stderr(text: str) -> None:
    say(text, err=True)


def _unsaid(_: str) -> None:
    return


def default_concurrency(settings: Settings) -> int:
    """As many as the chat servers take at once; without one, answers are work for this machine."""
    servers = {server.base_url: server.max_concurrency for server in settings.chat_servers()}
    return sum(servers.values()) or _CONCURRENCY_WITHOUT_CHAT
