"""Where a text holds personal data: mail addresses, phone numbers, bank accounts, cards, keys, and names on request.

Rules, not a model: each kind has a shape and, where there is one, a checksum. They are made to find what is written
in one of the usual ways and to leave dates, prices, versions, addresses of machines and numbers of orders alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from rag.llm.personal_numbers import cards, ibans, phones
from rag.llm.personal_secrets import secrets

Kind: TypeAlias = Literal["KEY", "EMAIL", "IBAN", "CARD", "PHONE", "NAME"]
KINDS: Final[tuple[Kind, ...]] = ("KEY", "EMAIL", "IBAN", "CARD", "PHONE", "NAME")
"""In the order in which they win where two overlap: a key may look like anything."""

Span: TypeAlias = tuple[int, int]
NameFinder: TypeAlias = Callable[[str], Iterable[Span]]

_EMAIL = re.compile(
    r"(?<![\w.+%-])(?:mailto:)?([\w.+%'-]{1,64}(?:@|\s?[(\[{]\s?(?:at|AT|ät)\s?[)\]}]\s?)"
    r"(?:[\w-]{1,63}(?:\.|\s?[(\[{]\s?(?:dot|punkt|DOT)\s?[)\]}]\s?)){1,8}[^\W\d_]{2,24})(?![\w-])"
)
_MANY_DIGITS = re.compile(r"\d(?:[^\w\n]{0,3}\d){5}")
"""No account, card or phone number has fewer; most texts have none."""


@dataclass(frozen=True, slots=True)
class Found:
    start: int
    end: int
    kind: Kind


def find(text: str, names: NameFinder | None = None) -> Sequence[Found]:
    """What a text holds, in order; nothing overlaps. Texts come again: a prompt's fixed part, a turn of a talk."""
    return _find(text) if names is None else _sorted_out(text, names)


@lru_cache(maxsize=256)
def _find(text: str) -> Sequence[Found]:
    return _sorted_out(text, None)


def _sorted_out(text: str, names: NameFinder | None) -> Sequence[Found]:
    found: list[Found] = []
    taken = bytearray(len(text))
    finders: dict[Kind, Callable[[str], Iterable[Span]]] = {"KEY": secrets, "EMAIL": _emails}
    if _MANY_DIGITS.search(text):
        finders |= {"IBAN": ibans, "CARD": cards, "PHONE": phones}
    if names is not None:
        finders["NAME"] = names
    for kind in KINDS:
        for start, end in finders.get(kind, _nothing)(text):
            if start < end and not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                found.append(Found(start, end, kind))
    return tuple(sorted(found, key=lambda one: one.start))


def _emails(text: str) -> Iterator[Span]:
    if "@" in text or re.search(r"[(\[{]\s?(?:at|ät)\s?[)\]}]", text, re.IGNORECASE):
        yield from (match.span(1) for match in _EMAIL.finditer(text))


def _nothing(_: str) -> Iterable[Span]:
    return ()
