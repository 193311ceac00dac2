"""Events that a server numbers, put back into order. Most servers number nothing: then nothing can be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rag.llm.sse import Event

_MOST_HELD: Final = 8
"""Events held back for one that is missing. Behind that many, the numbers are taken to have gaps."""


class Order:
    """Passes on events whose ids count up from 0 or 1 in their order, each once; all others as they come."""

    def __init__(self, mixed_up: Callable[[], Exception]) -> None:
        """``mixed_up`` makes the error for an event that comes after a later one has been passed on."""
        self._mixed_up = mixed_up
        self._next = -1
        self._passed: dict[int, int] = {}
        self._held: dict[int, Event] = {}
        self._counts = True

    def take(self, event: Event) -> list[Event]:
        if not self._counts or event.id is None:
            return [event]
        number = int(event.id) if event.id.isascii() and event.id.isdigit() and len(event.id) < 10 else -1
        if number < 0 or (self._next < 0 and number > 1):
            return self._give_up(event)
        if number in self._passed:
            # An id that never changes is no number; one that comes again with other data is none either.
            again = self._passed[number] == hash(event.data) and len(self._passed) > 1
            return [] if again else self._give_up(event)
        if number < self._next:
            raise self._mixed_up()
        self._held[number] = event
        if self._next < 0:
            self._next = number
        ready = []
        while self._next in self._held:
            ready.append(self._pass(self._next))
        return ready if len(self._held) <= _MOST_HELD else [*ready, *self.rest()]

    def rest(self) -> list[Event]:
        """Those held back, in order: there will be no more, or it is too long to wait."""
        return [self._pass(number) for number in sorted(self._held)]

    def _pass(self, number: int) -> Event:
        event = self._held.pop(number)
        self._passed[number] = hash(event.data)
        self._next = number + 1
        return event

    def _give_up(self, event: Event) -> list[Event]:
        self._counts = False
        return [*self.rest(), event]
