"""The values in a text: its words, numbers, dates and denials; and how numbers and codes are spelled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from rag.measures import Direction

_SEPARATORS = re.compile(r"[\W_]+")


class Quantity(NamedTuple):
    """A number as written; ``readings`` holds more than one where "1.200" may be 1.2 or 1200."""

    readings: frozenset[str]
    unit: str
    """Canonical unit or currency, "" if there is none or it is no known unit."""
    direction: Direction
    ordinal: bool
    position: int
    """Index into ``Terms.tokens``."""


class Date(NamedTuple):
    year: int | None
    month: int
    day: int | None
    position: int


class Negation(NamedTuple):
    scope: frozenset[str]
    """Stems of the words it denies: the next few content words of its clause."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    stem: str
    """Lower-case stem; identifiers keep all their characters but separators."""
    content: bool
    """False for stop words."""
    clause: int
    """Counts the clauses of the text, from 0."""
    sentence: int
    start: int


def readings(number: str, scale: float = 1) -> frozenset[str]:
    """Every value that a written number may have, as canonical decimal text."""
    digits = number.strip().replace("−", "-").lstrip("+")
    digits = re.sub(r"(?<=\d)['\u2019\u00a0\u202f ](?=\d{3})", "", digits)
    candidates: list[str]
    if re.fullmatch(r"-?\d{1,3}\.\d{3}", digits):
        candidates = [digits, digits.replace(".", "")]
    elif re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits):
        candidates = [digits.replace(",", "")]
    elif re.fullmatch(r"-?\d{1,3}(?:\.\d{3})+(?:,\d+)?", digits):
        candidates = [digits.replace(".", "").replace(",", ".")]
    else:
        candidates = [digits.replace(",", ".")]
    values = []
    for candidate in candidates:
        try:
            values.append(decimal(float(candidate) * scale))
        except ValueError:
            continue
    return frozenset(values) or frozenset([digits])


def decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def clock(text: str) -> str:
    """Minutes since midnight of "9 am", "9:30 p.m." or "14:05", as text."""
    hour, minute = re.match(r"(\d{1,2})(?::(\d{2}))?", text).groups()  # type: ignore[union-attr]
    hours = int(hour)
    half = re.search(r"([ap])\.?\s*m", text.lower())
    if half:
        hours = hours % 12 + (12 if half.group(1) == "p" else 0)
    return str(hours * 60 + int(minute or 0))


def identifier_key(text: str) -> str:
    """Equal for spellings of one identifier: "ERR-1042", "err_1042" and "ERR 1042"."""
    return _SEPARATORS.sub("", text).lower()
