"""The numbers of Word's lists and headings, counted as Word does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

from ingest.loaders.docx_styles import W, integer

_PLACE = re.compile(r"%([1-9])")
_PLAIN_NUMBER = re.compile(r"\(?%[1-9][.):]?\s*|")
_ROMAN = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
          (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))  # fmt: skip


class Level(NamedTuple):
    kind: str = "decimal"
    start: int = 1
    pattern: str = ""
    """How it writes its number: "%1.%2"."""


@dataclass(slots=True)
class Numbering:
    """Counts by abstract list, so that a list can be resumed under another number."""

    levels: dict[tuple[str, int], Level] = field(default_factory=dict)
    """(numbering id, level) → how it is written"""
    abstract: dict[str, str] = field(default_factory=dict)
    restarts: set[str] = field(default_factory=set)
    _counts: dict[tuple[str, int], int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def mark(self, number: str, at: int) -> str:
        """What opens an item in Markdown: "*", "3." or, as a reader sees it and may cite it, "* 2.3.1" or "* (a)"."""
        if not self._count(number, at):
            return "*"
        level = self.levels[number, at]
        if level.kind.startswith("decimal") and _PLAIN_NUMBER.fullmatch(level.pattern):
            return f"{self._counts[self.abstract.get(number, number), at]}."
        return f"* {self._shown(number, at)}".rstrip()

    def heading_number(self, number: str, at: int) -> str:
        """As a reader sees it before the heading: "1.2"; "" where it has none."""
        return self._shown(number, at) if self._count(number, at) else ""

    def restart(self, number: str) -> None:
        home = self.abstract.get(number, number)
        self._counts = {key: count for key, count in self._counts.items() if key[0] != home}

    def _count(self, number: str, at: int) -> bool:
        """False if the level has no numbers."""
        home = self.abstract.get(number, number)
        if number not in self._seen:
            self._seen.add(number)
            if number in self.restarts:
                self.restart(number)
        for key in [key for key in self._counts if key[0] == home and key[1] > at]:
            del self._counts[key]
        level = self.levels.get((number, at))
        if level is None or level.kind in ("bullet", "none"):
            return False
        self._counts[home, at] = self._counts.get((home, at), level.start - 1) + 1
        return True

    def _shown(self, number: str, at: int) -> str:
        home = self.abstract.get(number, number)

        def count(match: re.Match[str]) -> str:
            above = int(match.group(1)) - 1
            level = self.levels.get((number, above), Level())
            return _in_format(self._counts.get((home, above), level.start), level.kind)

        return _PLACE.sub(count, self.levels[number, at].pattern).strip()


def read_numbering(root: etree._Element | None) -> Numbering:
    found = Numbering()
    if root is None:
        return found
    levels: dict[str, dict[int, Level]] = {}
    lists_of_styles: dict[str, dict[int, Level]] = {}
    borrowed: dict[str, str] = {}
    for one in root.iter(f"{W}abstractNum"):
        key = one.get(f"{W}abstractNumId") or ""
        levels[key] = dict(map(_level, one.findall(f"{W}lvl")))
        if style := _value(one, "styleLink"):
            lists_of_styles[style] = levels[key]
        if style := _value(one, "numStyleLink"):
            borrowed[key] = style
    for key, style in borrowed.items():
        levels[key] = lists_of_styles.get(style, levels[key])
    for one in root.iter(f"{W}num"):
        number, home = one.get(f"{W}numId") or "", _value(one, "abstractNumId")
        found.abstract[number] = home
        for at, level in levels.get(home, {}).items():
            found.levels[number, at] = level
        for override in one.findall(f"{W}lvlOverride"):
            found.restarts.add(number)
            at = integer(override, 0, "ilvl")
            own = override.find(f"{W}lvl")
            level = _level(own)[1] if own is not None else found.levels.get((number, at), Level())
            start = integer(override.find(f"{W}startOverride"), level.start)
            found.levels[number, at] = level._replace(start=start)
    return found


def _level(node: etree._Element) -> tuple[int, Level]:
    return integer(node, 0, "ilvl"), Level(
        _value(node, "numFmt") or "decimal", integer(node.find(f"{W}start"), 1), _value(node, "lvlText")
    )


def _value(node: etree._Element, name: str) -> str:
    found = node.find(f"{W}{name}")
    return (found.get(f"{W}val") or "") if found is not None else ""


def _in_format(value: int, kind: str) -> str:
    if kind in ("upperLetter", "lowerLetter") and value >= 1:
        letters = chr(64 + (value - 1) % 26 + 1) * ((value - 1) // 26 + 1)  # after Z come AA and BB
        return letters if kind == "upperLetter" else letters.lower()
    if kind in ("upperRoman", "lowerRoman") and 1 <= value < 4000:
        digits, left = "", value
        for worth, sign in _ROMAN:
            digits += sign * (left // worth)
            left %= worth
        return digits if kind == "upperRoman" else digits.lower()
    return f"{value:02d}" if kind == "decimalZero" else str(value)
