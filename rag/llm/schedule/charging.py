"""How servers count tokens. Nobody says, so every way is counted along, and held to when the server shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from rag.llm.schedule.limit import Entry, Limit, SlidingWindow

_ENOUGH_SIGNS: Final = 2
_CLEARLY: Final = 0.05
_BELIEVES_AGAIN_S: Final = 600.0
_BELIEVES_FOR_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Tokens that a request is expected to take, and those that its answer might."""

    n_input: int
    n_output: int = 0
    max_output: int = 0

    @property
    def total(self) -> int:
        return self.n_input + self.n_output


@dataclass(frozen=True, slots=True)
class Charging:
    sent: Literal["nothing", "input", "expected", "most"]
    """Charged when a request comes."""
    ended: Literal["nothing", "output", "corrected", "all"]
    """Charged when it ends; ``corrected``: what was charged too much when it came is given back."""

    def when_sent(self, demand: Demand) -> int:
        match self.sent:
            case "nothing":
                return 0
            case "input":
                return demand.n_input
            case "expected":
                return demand.total
            case "most":
                return demand.n_input + max(demand.n_output, demand.max_output)


ALWAYS: Final = (Charging("input", "output"),)
"""The prompt when it comes and the answer when it ends. Holding to it costs no capacity; what answers in the making
will add is spread by the pace."""
WHEN_SHOWN: Final = (
    Charging("expected", "corrected"),
    Charging("nothing", "all"),
    Charging("most", "corrected"),
    Charging("most", "nothing"),
)
"""From lenient to strict. Holding to one that is not the server's would leave capacity unused."""


class Account:
    """A minute of tokens in one way of counting."""

    def __init__(self, charging: Charging, limit: Limit, *, is_held: bool) -> None:
        self.charging, self.is_held = charging, is_held
        self.window = SlidingWindow(limit)
        self._n_signs = 0
        self._denied_at = -math.inf
        self._confirmed_at = -math.inf

    def wait_s(self, now: float, demand: Demand) -> float:
        return self.window.wait_s(now, self.charging.when_sent(demand))

    def is_overdrawn(self, now: float) -> bool:
        """Clearly, so that success shows that the server counts in another way."""
        allowed = self.window.limit.allowed(now)
        return allowed < math.inf and self.window.taken(now) > allowed * (1 + _CLEARLY)

    def send(self, now: float, demand: Demand) -> Entry:
        return self.window.take(now, self.charging.when_sent(demand))

    def end(self, now: float, entry: Entry, n_input: int, n_output: int) -> None:
        match self.charging.ended:
            case "output":
                self.window.correct(entry, n_input)
                self.window.take(now, n_output)
            case "corrected":
                self.window.correct(entry, n_input + n_output)
            case "all":
                self.window.take(now, n_input + n_output)

    def undo(self, entry: Entry) -> None:
        self.window.correct(entry, 0)

    def would_refuse(self, now: float, demand: Demand) -> bool:
        if self.is_held or self.window.limit.is_learned or now < self._denied_at + _BELIEVES_AGAIN_S:
            return False
        return self.window.left(now) < self.charging.when_sent(demand)

    def confirm(self, now: float) -> None:
        self._n_signs += 1
        self._confirmed_at = now
        self.is_held = self._n_signs >= _ENOUGH_SIGNS

    def doubt(self, now: float) -> None:
        """Nothing denies what is held to, so it has to be shown again after a while."""
        if self._n_signs and now > self._confirmed_at + _BELIEVES_FOR_S:
            self.give_up()

    def give_up(self) -> None:
        self._n_signs, self.is_held = 0, self.charging in ALWAYS

    def deny(self, now: float) -> None:
        """The server took a request that it would have refused if it counted so."""
        self._n_signs, self._denied_at = 0, now
