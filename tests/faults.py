"""The faults of the fault server, and what is known of each request to it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Fault(StrEnum):
    NONE = "none"
    OVER_LIMIT = "over-limit"
    """Not a fault: the server's own limits. Cannot be chosen."""

    # A client has to come through these with the complete answer
    COMMENTS = "comments"
    MULTI_LINE_DATA = "multi-line-data"
    CR = "cr"
    CRLF = "crlf"
    BOM = "bom"
    SLOW_DRIP = "slow-drip"
    NO_DONE = "no-done"
    NO_USAGE = "no-usage"
    NOT_STREAMED = "not-streamed"
    MISLABELLED = "mislabelled"
    DUPLICATES = "duplicates"
    OUT_OF_ORDER = "out-of-order"
    SHUFFLED = "shuffled"
    """The events are numbered, and arrive in another order."""
    TOOL_CALLS = "tool-calls"

    # These fail before the first delta
    HANGS_UP = "hangs-up"
    RESET = "reset"
    STALL_BEFORE_HEAD = "stall-before-head"
    STALL_BEFORE_DELTA = "stall-before-delta"
    RATE_LIMITED_SECONDS = "rate-limited-seconds"
    RATE_LIMITED_DATE = "rate-limited-date"
    RATE_LIMITED = "rate-limited"
    ERROR_500 = "error-500"
    ERROR_502 = "error-502"
    ERROR_503 = "error-503"
    BURST = "burst"
    MALFORMED_JSON = "malformed-json"
    WRONG_TYPE = "wrong-type"
    HUGE_BODY = "huge-body"
    HUGE_EVENT = "huge-event"
    EMPTY_STREAM = "empty-stream"
    ERROR_FIRST = "error-first"

    # And these after some deltas, sometimes after none
    STALL_IN_STREAM = "stall-in-stream"
    CUT_IN_EVENT = "cut-in-event"
    CUT_BETWEEN_EVENTS = "cut-between-events"
    MALFORMED_DATA = "malformed-data"
    ERROR_EVENT = "error-event"


ALL: Final = tuple(fault for fault in Fault if fault not in (Fault.NONE, Fault.OVER_LIMIT))
_BY_KIND = list(ALL)
HARMLESS: Final = frozenset(_BY_KIND[: _BY_KIND.index(Fault.HANGS_UP)])
BEFORE_FIRST_DELTA: Final = frozenset(
    _BY_KIND[_BY_KIND.index(Fault.HANGS_UP) : _BY_KIND.index(Fault.STALL_IN_STREAM)]
)
IN_STREAM: Final = frozenset(_BY_KIND[_BY_KIND.index(Fault.STALL_IN_STREAM) :])


@dataclass(slots=True)
class Exchange:
    """One chat request and what became of it."""

    number: int
    id: str
    question: str
    body: dict[str, Any]
    headers: dict[str, str]
    path: str
    at_s: float
    rng: random.Random
    fault: Fault = Fault.NONE
    status: int | None = None
    deltas: int = 0
    """Pieces of the answer that were handed to the socket."""
    complete: bool = False
    """All of it was sent, to the last byte."""
    hung_up: bool = False
    """The client went away before that."""
