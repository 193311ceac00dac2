"""Going on with an answer that broke off: what to ask the next model, and the seam between the two."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from rag.core.types import ChatRequest, Message

_GO_ON: Final = (
    "Your answer broke off. Continue it exactly where it ends, in the middle of the word if need be. "
    "Do not repeat anything and do not comment."
)
_BYTES_PER_TOKEN: Final = 4
_MIN_OVERLAP_CHARS: Final = 4
_MIN_SPACED_OVERLAP_CHARS: Final = 16
"""Who begins with the space that is due next goes on exactly; a word that comes again then was meant twice."""
_ANEW_CHARS: Final = 24
_LOOK_BACK_CHARS: Final = 300
_LONGEST_WORD_CHARS: Final = 40
_LAST_WORD: Final = re.compile(r"[^\W_]+$")
_FIRST_WORD: Final = re.compile(r"^[^\W_]+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff]")
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Chinese and Japanese."""


def continued(request: ChatRequest, written: str) -> ChatRequest:
    """The request for the rest of the answer. A reply that must be JSON would begin anew, so that is not asked."""
    messages = (*request.messages, Message("assistant", written), Message("user", _GO_ON))
    n_used = len(written.encode("utf-8", "replace")) // _BYTES_PER_TOKEN
    n_left = max(1, request.max_tokens - n_used)
    return replace(request, messages=messages, max_tokens=n_left, response_format=None)


@dataclass(slots=True)
class Seam:
    """Joins a continuation to what was written, and takes out what it says again at its beginning.

    That is either the whole answer once more from its start, or its last words. Nothing is let go before it is
    clear which; after that the rest flows through.
    """

    written: str
    known: str = ""
    """Text whose words the answer is likely to use: tells half a word from a whole one."""
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
        n_repeated = self._overlap()
        self._is_joined = not self.starts_over
        if self.starts_over:
            return ""
        rest = self._held[n_repeated:]
        return rest if n_repeated else self._space(rest) + rest

    def _may_repeat(self) -> bool:
        held = self._held.lstrip()
        if len(held) < _MIN_OVERLAP_CHARS or self.written.lstrip().startswith(held):
            return True
        if held in self.written[-_LOOK_BACK_CHARS:]:
            return True
        # Half a word cannot be told from a whole one before it has ended.
        word = _FIRST_WORD.fullmatch(self._held)
        return word is not None and len(held) < _LONGEST_WORD_CHARS and not _UNSPACED.match(held)

    def _overlap(self) -> int:
        """Characters at the beginning that were written already."""
        lead = len(self._held) - len(self._held.lstrip())
        held, whole = self._held[lead:], self.written.strip()
        if whole and held.startswith(whole):
            return lead + len(whole)
        goes_on = lead > 0 and not self.written[-1:].isspace()
        least = _MIN_SPACED_OVERLAP_CHARS if goes_on else _MIN_OVERLAP_CHARS
        for n in range(min(len(held), len(self.written)), least - 1, -1):
            if self.written.endswith(held[:n]):
                return lead + n
        self.starts_over = len(held) >= _ANEW_CHARS and whole.startswith(held[:_ANEW_CHARS])
        return 0

    def _space(self, rest: str) -> str:
        """A space where a model left out the one between two words: chat models seldom begin with one."""
        if (
            not self.written
            or not rest
            or self.written[-1].isspace()
            or not (rest[0].isalnum() or rest[0] == "(")
        ):
            return ""
        if _UNSPACED.match(self.written[-1]) or _UNSPACED.match(rest):
            return ""
        last, first = _LAST_WORD.search(self.written), _FIRST_WORD.match(rest)
        if last is None:
            is_number = rest[0].isdigit() and re.search(r"\d[.,:/-]$", self.written)
            return " " if self.written[-1] in ".,;:!?)]%\"'" and not is_number else ""
        if first is None:
            return " "
        words = f"{self.known}\n{self.written[: last.start()]}"
        return "" if _has(words, last[0] + first[0]) and not _has(words, last[0]) else " "


def _has(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None
