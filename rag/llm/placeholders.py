"""What stands in for personal data while it is away: "[EMAIL_417]", and the way back.

A placeholder's number comes from a hash of the value under a key of this process. So a value has the same placeholder
in every request, the turns of a conversation among them, and nothing need be remembered between them.

Of the forms that were tried on a small model ([[X]], [X], X, <X>, each with and without a word of explanation), this one
without a word was copied best: more often than the values themselves.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from rag.llm.personal import KINDS, Found, Kind, NameFinder, find

_KIND: Final = "|".join(KINDS)
# As models write them back: in another case, with one bracket or none, the underscore escaped or lost.
_BRACKETED: Final = re.compile(rf"[\[【][ ]?({_KIND})(?:\\?_|[ -])?([0-9]{{3,6}})[ ]?[\]】]", re.IGNORECASE)
_BARE: Final = re.compile(rf"(?<![\w\\])({_KIND})\\?_([0-9]{{3,6}})(?!\w)", re.IGNORECASE)
_SPELLED: Final = re.compile(rf"({_KIND})(?:\\?_|[ -])?([0-9]{{3,}})", re.IGNORECASE)
_ANY: Final = re.compile(f"{_BRACKETED.pattern}|{_BARE.pattern}", re.IGNORECASE)


def _beginnings() -> str:
    kinds = "|".join("(?:".join(kind) + "".join(")?" for _ in kind[1:]) for kind in KINDS)
    whole = rf"(?:{_KIND})(?:\\?(?:_(?:[0-9]{{1,6}})?)?)?"
    bracketed = rf"[\[【][ ]?(?:(?:{kinds})|(?:{_KIND})(?:\\?_|\\|[ -])?(?:[0-9]{{1,6}}[ ]?)?)?"
    return rf"(?:{bracketed}|(?<![\w\\])(?:{kinds}|{whole}))\Z"


_BEGUN: Final = re.compile(_beginnings(), re.IGNORECASE)
"""The end of a text that may go on as a placeholder."""
_LONGEST: Final = 24
_EDGES: Final[Mapping[Kind, str]] = {"PHONE": "[0-9]", "CARD": "[0-9]", "NAME": r"\w"}
"""What may not stand beside a known value where it is looked for again: half a number is another number."""


class Placeholders:
    """Those of one request."""

    def __init__(self, texts: Sequence[str], key: bytes, names: NameFinder | None = None) -> None:
        """``texts``: all that will be sent. What is found in one of them is replaced in all, and no placeholder is
        taken that one of them spells already."""
        self._key, self._names = key, names
        self._value_of: dict[tuple[str, int], str] = {}
        self._number_of: dict[tuple[Kind, str], int] = {}
        self._texts = texts
        for text in texts:
            for one in find(text, names):
                self._take(one.kind, text[one.start : one.end])

    @cached_property
    def _spelled(self) -> set[tuple[str, int]]:
        """Placeholders that the texts spell themselves; most texts hold nothing to replace, and nobody asks."""
        return {
            (match.group(1).upper(), int(match.group(2)[:n_digits]))
            for text in self._texts
            for match in _SPELLED.finditer(text)
            for n_digits in range(3, 7)
        }

    def __len__(self) -> int:
        return len(self._value_of)

    def kinds(self) -> list[Kind]:
        """The kind of each value that is replaced."""
        return [kind for kind, _ in self._number_of]

    def mask(self, text: str) -> str:
        """The text without personal data: nothing is found in what comes back but placeholders."""
        text = self._replaced(text)
        while found := [one for one in find(text, self._names) if self._is_new(text, one)]:
            for one in found:
                self._take(one.kind, text[one.start : one.end])
            pieces, at = [], 0
            for one in found:
                pieces += [text[at : one.start], self._placeholder(one.kind, text[one.start : one.end])]
                at = one.end
            text = "".join([*pieces, text[at:]])
        return text

    def restore(self, text: str) -> str:
        return _ANY.sub(lambda match: self._value_of.get(_id(match), match.group()), text)

    def _is_new(self, text: str, one: Found) -> bool:
        around = text[max(0, one.start - _LONGEST) : one.end + _LONGEST]
        return not any(
            _id(match) in self._value_of
            and match.start() < min(one.start, _LONGEST) + one.end - one.start
            and match.end() > min(one.start, _LONGEST)
            for match in _ANY.finditer(around)
        )

    def _replaced(self, text: str) -> str:
        """Without the values known by now, also where they stand in a way that no rule finds."""
        for kind, value in sorted(self._number_of, key=lambda one: -len(one[1])):
            if value in text:
                edge = _EDGES.get(kind, "")
                pattern = f"(?<!{edge}){re.escape(value)}(?!{edge})" if edge else re.escape(value)
                shown = self._placeholder(kind, value)
                text = re.sub(pattern, lambda _, shown=shown: shown, text)  # type: ignore[misc]
        return text

    def _placeholder(self, kind: Kind, value: str) -> str:
        return f"[{kind}_{self._number_of[kind, value]}]"

    def _take(self, kind: Kind, value: str) -> None:
        if (kind, value) not in self._number_of:
            number = self._free_number(kind, value)
            self._number_of[kind, value] = number
            self._value_of[kind, number] = value

    def _free_number(self, kind: Kind, value: str) -> int:
        hashed = int.from_bytes(
            hashlib.blake2b(
                f"{kind}\0{value}".encode("utf-8", "surrogatepass"), key=self._key, digest_size=8
            ).digest()
        )
        size = 900
        for tried in range(10**6):
            if tried >= size // 2 and size < 900_000:
                size *= 10  # crowded: four digits, and more
            number = size // 9 + (hashed + tried) % size
            if (kind, number) not in self._value_of and (kind, number) not in self._spelled:
                return number
        raise AssertionError("a request of a million addresses")


class Restoring:
    """Restores a stream: what may be the beginning of a placeholder is held back until its end is known."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._held = ""
        self._before = ""
        """The last character let go, for a placeholder does not begin in the middle of a word."""

    def feed(self, delta: str) -> str:
        self._held += delta
        begun = _BEGUN.search(self._held, max(0, len(self._held) - _LONGEST))
        return self._let_go(begun.start() if begun else len(self._held))

    def close(self) -> str:
        return self._let_go(len(self._held))

    def _let_go(self, end: int) -> str:
        ready, self._held = self._held[:end], self._held[end:]
        whole = self._placeholders.restore(self._before + ready)
        restored = whole[len(self._before) :]
        self._before = ready[-1:] or self._before
        return restored


def new_key() -> bytes:
    return os.urandom(16)


def _id(match: re.Match[str]) -> tuple[str, int]:
    kind, number = [group for group in match.groups() if group is not None]
    return kind.upper(), int(number)
