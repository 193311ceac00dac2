"""What is told while a batch runs, and at its end. All of it goes to stderr, for stdout may be a pipe."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from api.batch.estimate import usd
from api.terminal import count, line, say

if TYPE_CHECKING:
    from api.batch.journal import Written
    from api.batch.run import Outcome

_LINE_EVERY_S: Final = 5.0
_BAR_EVERY_S: Final = 0.2
_N_LISTED: Final = 20


class Watching(Protocol):
    def tell(self, n_answered: int, written: Written) -> None: ...


class Silent:
    def tell(self, n_answered: int, written: Written) -> None:
        return


class Progress:
    """A line that redraws itself where somebody watches, one every few seconds where nobody does."""

    def __init__(self, n_todo: int) -> None:
        self._n_todo = n_todo
        self._begun_s = self._told_s = time.monotonic()
        self._draws = sys.stderr.isatty()
        self._width = 0

    def tell(self, n_answered: int, written: Written) -> None:
        now = time.monotonic()
        if now - self._told_s < (_BAR_EVERY_S if self._draws else _LINE_EVERY_S):
            return
        self._told_s = now
        text = self._text(n_answered, written, now - self._begun_s)
        if not self._draws:
            say(text, err=True)
            return
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")

    def _text(self, n_answered: int, written: Written, took_s: float) -> str:
        rate = n_answered / took_s if took_s else 0.0
        left_s = (self._n_todo - n_answered) / rate if rate else 0.0
        failed = f", {len(written.failed):,} failed" if written.failed else ""
        return (
            f"{n_answered:,}/{self._n_todo:,} questions, {rate:,.1f}/s, {_clock(left_s)} left, "
            f"{usd(written.cost_usd)} so far{failed}"
        )


def say_in_flight(n: int) -> None:
    if n:
        say(
            f"{count(n, 'question')} had been begun when the last run was stopped by force. Replies that had come are "
            "taken from the cache; the others are asked again, and the server may have charged for them.",
            err=True,
        )


def say_outcome(found: Outcome, took_s: float) -> None:
    for number, why in sorted(found.failed.items())[:_N_LISTED]:
        say(f"  line {number}: {line(why)}", err=True)
    if len(found.failed) > _N_LISTED:
        say(f"  and {len(found.failed) - _N_LISTED:,} more", err=True)
    before = f"{found.n_before:,} before, " if found.n_before else ""
    cached = f", {found.n_cached:,} from the cache" if found.n_cached else ""
    say(
        f"{before}{count(found.n_answered, 'question')} answered now{cached}; {len(found.failed):,} failed, "
        f"{usd(found.cost_usd)} in all, {took_s:.1f} s.",
        err=True,
    )
    if found.n_in_flight_before:
        again = found.n_in_flight_before - found.n_found_again
        say(
            f"Of {count(found.n_in_flight_before, 'question')} in flight at the kill, {found.n_found_again:,} came from "
            f"the cache and {again:,} {'was' if again == 1 else 'were'} asked again.",
            err=True,
        )
    if found.over_budget:
        say("Stopped at --max-usd; run it again with more to go on.", err=True)
    if found.failed:
        say("Run it again with --retry-failed to ask those that failed once more.", err=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
