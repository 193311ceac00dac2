"""What styles and numbering say of a Word paragraph: its heading level, its place in a list, whether it is code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|overskrift|nagłówek|заголовок|标题|見出し)\s*(\d)", re.I)  # fmt: skip
_CODE = re.compile(r"(?:source ?code|code(?: ?block)?|html preformatted|preformatted(?: text)?|verbatim|macro text)", re.I)  # fmt: skip
_MONOSPACED = re.compile(r"courier|consolas|mono\b|menlo|lucida console", re.I)
_MAX_INHERITANCE = 20
_PLACE = re.compile(r"%(\d)")


@dataclass(frozen=True, slots=True)
class Style:
    name: str
    heading: int | None
    """1 is the highest; None for body text."""
    is_title: bool
    is_code: bool
    numbering: tuple[str, int] | None
    """(numbering id, level)"""


_BODY = Style("", None, False, False, None)


@dataclass(slots=True)
class Styles:
    by_id: dict[str, Style] = field(default_factory=dict)
    default: Style = _BODY

    def of(self, paragraph: etree._Element) -> Style:
        used = paragraph.find(f"{W}pPr/{W}pStyle")
        return self.default if used is None else self.by_id.get(used.get(f"{W}val") or "", self.default)


def read_styles(root: etree._Element | None) -> Styles:
    found = Styles()
    if root is None:
        return found
    raw = {style.get(f"{W}styleId") or "": style for style in root.iter(f"{W}style")}
    for key, style in raw.items():
        if style.get(f"{W}type", "paragraph") == "paragraph":
            found.by_id[key] = _style(style, raw)
            if style.get(f"{W}default") in ("1", "true"):
                found.default = found.by_id[key]
    return found


def _style(style: etree._Element, raw: dict[str, etree._Element]) -> Style:
    chain: list[etree._Element] = []
    current: etree._Element | None = style
    while current is not None and current not in chain and len(chain) < _MAX_INHERITANCE:
        chain.append(current)
        based_on = current.find(f"{W}basedOn")
        current = raw.get(based_on.get(f"{W}val") or "") if based_on is not None else None
    names = [_name(one) for one in chain]
    level = next((int(m.group(1)) for name in names if (m := _HEADING.match(name))), None)
    if level is None:
        outline = next((o for one in chain if (o := one.find(f"{W}pPr/{W}outlineLvl")) is not None), None)
        number = integer(outline, 9) if outline is not None else 9
        level = number + 1 if number < 6 else None
    fonts = [f for one in chain if (f := one.find(f"{W}rPr/{W}rFonts")) is not None]
    return Style(
        names[0],
        level if level is None else min(max(level, 1), 6),
        names[0].lower() in ("title", "titel", "titre", "título"),
        bool(_CODE.fullmatch(names[0]))
        or (bool(fonts) and "code" in names[0].lower() and is_monospaced(fonts[0])),
        next((n for one in chain if (n := numbering_of(one.find(f"{W}pPr"))) is not None), None),
    )


def _name(style: etree._Element) -> str:
    found = style.find(f"{W}name")
    return (found.get(f"{W}val") or "") if found is not None else ""


def is_monospaced(fonts: etree._Element) -> bool:
    return bool(_MONOSPACED.search(fonts.get(f"{W}ascii") or fonts.get(f"{W}hAnsi") or ""))


def integer(node: etree._Element | None, default: int) -> int:
    value = node.get(f"{W}val") if node is not None else None
    return int(value) if value and value.lstrip("-").isdigit() else default


def numbering_of(properties: etree._Element | None) -> tuple[str, int] | None:
    found = properties.find(f"{W}numPr") if properties is not None else None
    if found is None:
        return None
    number = found.find(f"{W}numId")
    return ((number.get(f"{W}val") or "0") if number is not None else "", integer(found.find(f"{W}ilvl"), 0))


@dataclass(slots=True)
class Numbering:
    """Counts the items of numbered lists as Word does: by abstract list, so that a list can be resumed."""

    formats: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """(numbering id, level) → (format, start)"""
    abstract: dict[str, str] = field(default_factory=dict)
    patterns: dict[tuple[str, int], str] = field(default_factory=dict)
    """How a level writes its number: "%1.%2"."""
    restarts: set[str] = field(default_factory=set)
    _counts: dict[tuple[str, int], int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def mark(self, number: str, level: int) -> str:
        """ "*" or the item's number with a full stop."""
        kind, start = self.formats.get((number, level), ("bullet", 1))
        home = self.abstract.get(number, number)
        if number not in self._seen:
            self._seen.add(number)
            if number in self.restarts:
                self._counts = {key: count for key, count in self._counts.items() if key[0] != home}
        for key in [key for key in self._counts if key[0] == home and key[1] > level]:
            del self._counts[key]
        if kind in ("bullet", "none"):
            return "*"
        self._counts[home, level] = self._counts.get((home, level), start - 1) + 1
        return f"{self._counts[home, level]}."

    def heading_number(self, number: str, level: int) -> str:
        """As a reader sees it before the heading: "1.2"; "" where it has none."""
        if (number, level) not in self.formats or self.mark(number, level) == "*":
            return ""
        home = self.abstract.get(number, number)

        def count(match: re.Match[str]) -> str:
            at = int(match.group(1)) - 1
            value = self._counts.get((home, at), self.formats.get((number, at), ("", 1))[1])
            return _in_format(value, self.formats.get((number, at), ("decimal", 1))[0])

        return _PLACE.sub(count, self.patterns.get((number, level), "")).strip()


def read_numbering(root: etree._Element | None) -> Numbering:
    found = Numbering()
    if root is None:
        return found
    levels: dict[str, dict[int, tuple[str, int]]] = {}
    patterns: dict[str, dict[int, str]] = {}
    for one in root.iter(f"{W}abstractNum"):
        levels[one.get(f"{W}abstractNumId") or ""] = {
            int(level.get(f"{W}ilvl") or 0): _level(level) for level in one.iter(f"{W}lvl")
        }
        patterns[one.get(f"{W}abstractNumId") or ""] = {
            int(level.get(f"{W}ilvl") or 0): text.get(f"{W}val") or ""
            for level in one.iter(f"{W}lvl")
            if (text := level.find(f"{W}lvlText")) is not None
        }
    for one in root.iter(f"{W}num"):
        number = one.get(f"{W}numId") or ""
        home = one.find(f"{W}abstractNumId")
        key = (home.get(f"{W}val") or "") if home is not None else ""
        found.abstract[number] = key
        for at, (kind, start) in levels.get(key, {}).items():
            found.formats[number, at] = (kind, start)
            found.patterns[number, at] = patterns[key].get(at, "")
        for override in one.findall(f"{W}lvlOverride"):
            found.restarts.add(number)
            begin = override.find(f"{W}startOverride")
            at = int(override.get(f"{W}ilvl") or 0)
            kind, start = found.formats.get((number, at), ("decimal", 1))
            found.formats[number, at] = (kind, integer(begin, start))
    return found


def _level(level: etree._Element) -> tuple[str, int]:
    kind = level.find(f"{W}numFmt")
    return (kind.get(f"{W}val") or "bullet") if kind is not None else "decimal", integer(
        level.find(f"{W}start"), 1
    )


def _in_format(value: int, kind: str) -> str:
    if kind in ("upperLetter", "lowerLetter") and 1 <= value <= 26:
        return chr((64 if kind == "upperLetter" else 96) + value)
    if kind in ("upperRoman", "lowerRoman") and 1 <= value < 4000:
        digits, left = "", value
        for worth, sign in _ROMAN:
            digits += sign * (left // worth)
            left %= worth
        return digits if kind == "upperRoman" else digits.lower()
    return str(value)


_ROMAN = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
          (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))  # fmt: skip
