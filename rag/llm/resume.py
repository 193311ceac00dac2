"""Going on with an answer that broke off: what to ask the next model, and the seam between the two."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from rag.core.types import ChatRequest, Message

_GO_ON: Final = (
    "Your answer broke off. Continue it exactly where it ends, in the middle of the word if need be. "
    "Do not repeat anything and do not comment."
)
_MIN_OVERLAP_CHARS: Final = 4
_ANEW_CHARS: Final = 24
_LOOK_BACK_CHARS: Final = 300


def continued(request: ChatRequest, written: str) -> ChatRequest:
    """The request for the rest of the answer."""
    messages = (*request.messages, Message("assistant", written), Message("user", _GO_ON))
    return replace(request, messages=messages)


@dataclass(slots=True)
class Seam:
    """Joins a continuation to what was written, and takes out what it says again at its beginning.

    That is either the whole answer once more from its start, or its last words. Nothing is let go before it is
    clear which; after that the rest flows through.
    """

    written: str
    starts_over: bool = field(default=False, init=False)
    """It begins the answer anew in other words: it cannot be joined, and nothing of it is let go."""
    _held: str = field(default="", init=False)
    _is_joined: bool = field(default=False, init=False)

    def feed(self, text: str) -> str:
        """What may be passed on."""
        if self._is_joined:
            return text
        self._held += text
        return "" if self._may_repeat() else self.close()

    def close(self) -> str:
        if self._is_joined or self.starts_over:
            return ""
        rest = self._held[self._overlap() :]
        self._is_joined = not self.starts_over
        return rest if self._is_joined else ""

    def _may_repeat(self) -> bool:
        held = self._held.lstrip()
        return (
            len(held) < _MIN_OVERLAP_CHARS
            or self.written.lstrip().startswith(held)
            or held in self.written[-_LOOK_BACK_CHARS:]
        )

    def _overlap(self) -> int:
        lead = len(self._held) - len(self._held.lstrip())
        held, whole = self._held[lead:], self.written.strip()
        if whole and held.startswith(whole):
            return lead + len(whole)
        for n in range(min(len(held), len(self.written)), _MIN_OVERLAP_CHARS - 1, -1):
            if self.written.endswith(held[:n]):
                return lead + n
        self.starts_over = len(held) >= _ANEW_CHARS and whole.startswith(held[:_ANEW_CHARS])
        return 0
