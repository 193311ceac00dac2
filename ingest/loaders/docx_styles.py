"""What its style says of a Word paragraph: its heading level, its place in a list, whether it is code or hidden."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|overskrift|nagłówek|заголовок|标题|見出し)\s*(\d)", re.I)  # fmt: skip
_CODE = re.compile(r"(?:source ?code|code(?: ?block)?|html preformatted|preformatted(?: text)?|verbatim|macro text)", re.I)  # fmt: skip
_CONTENTS = re.compile(r"(?:toc|verzeichnis|tm|tdc|sommario|inhopg) ?[1-9]", re.IGNORECASE)
_MONOSPACED = re.compile(r"courier|consolas|mono\b|menlo|lucida console", re.I)
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_TITLES = frozenset(["title", "titel", "titre", "título", "titolo", "标题", "表題", "заголовок"])
_MAX_INHERITANCE = 20
_HEADING_CHARS = 200
_LIST_LEVEL = re.compile(r"list (?:bullet|number|continue) ([2-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Style:
    name: str
    heading: int | None
    """1 is the highest; None for body text."""
    is_title: bool
    is_code: bool
    numbering: tuple[str, int] | None
    """(numbering id, level)"""
    list_level: int = 0
    """From its name: "List Bullet 2" is numbered on its own and yet stands below "List Bullet"."""
    is_hidden: bool = False
    in_contents: bool = False
    """An entry of the table of contents."""
    is_shaded: bool = False


_BODY = Style("", None, False, False, None)


@dataclass(slots=True)
class Styles:
    by_id: dict[str, Style] = field(default_factory=dict)
    default: Style = _BODY
    hidden_runs: set[str] = field(default_factory=set)
    """Character styles whose text is not shown."""
    marked_runs: dict[str, frozenset[str]] = field(default_factory=dict)
    """Character styles that are bold ("b") or italic ("i"), those of links left out."""

    def of(self, paragraph: etree._Element) -> Style:
        used = paragraph.find(f"{W}pPr/{W}pStyle")
        style = self.default if used is None else self._named(used.get(f"{W}val") or "")
        own = paragraph.find(f"{W}pPr/{W}outlineLvl")
        level = _outline_level(own) if own is not None else None
        if level is None or sum(len(words.text or "") for words in paragraph.iter(f"{W}t")) > _HEADING_CHARS:
            return style
        return replace(style, heading=level)

    def _named(self, key: str) -> Style:
        """A style that the document uses and nowhere defines is known by its id."""
        if key not in self.by_id:
            level = _HEADING.fullmatch(key)
            number = min(max(int(level.group(1)), 1), 6) if level else None
            self.by_id[key] = replace(self.default, heading=number, is_title=key.lower() == "title")
        return self.by_id[key]


def read_styles(root: etree._Element | None) -> Styles:
    found = Styles()
    if root is None:
        return found
    raw = {style.get(f"{W}styleId") or "": style for style in root.iter(f"{W}style")}
    for key, style in raw.items():
        if style.get(f"{W}type") == "character":
            if is_hidden([style]):
                found.hidden_runs.add(key)
            marks = {name for name in ("b", "i") if is_on(style.find(f"{W}rPr/{W}{name}"))}
            if marks:
                found.marked_runs[key] = frozenset(marks)
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
        level = _outline_level(outline) if outline is not None else None
    fonts = [f for one in chain if (f := one.find(f"{W}rPr/{W}rFonts")) is not None]
    return Style(
        names[0],
        level if level is None else min(max(level, 1), 6),
        any(name.lower() in _TITLES for name in names) and not level and "sub" not in names[0].lower(),
        bool(_CODE.fullmatch(names[0]))
        or (bool(fonts) and "code" in names[0].lower() and is_monospaced(fonts[0])),
        next((n for one in chain if (n := numbering_of(one.find(f"{W}pPr"))) is not None), None),
        int(match.group(1)) - 1 if (match := _LIST_LEVEL.match(names[0])) else 0,
        is_hidden(chain),
        bool(_CONTENTS.fullmatch(names[0])) or names[0].lower() == "toc heading",
        any(one.find(f"{W}pPr/{W}shd") is not None for one in chain),
    )


def _outline_level(node: etree._Element) -> int | None:
    """Word counts from 0; 9 is body text."""
    number = integer(node, 9)
    return number + 1 if 0 <= number < 6 else None


def is_hidden(chain: Sequence[etree._Element]) -> bool:
    """``w:vanish`` of the nearest that has it, off or on."""
    for one in chain:
        found = one.find(f"{W}rPr/{W}vanish")
        if found is not None:
            return is_on(found)
    return False


def is_on(toggle: etree._Element | None) -> bool:
    return toggle is not None and toggle.get(f"{W}val", "true") not in ("0", "false", "off", "none")


def _name(style: etree._Element) -> str:
    found = style.find(f"{W}name")
    return (found.get(f"{W}val") or "") if found is not None else ""


def is_monospaced(fonts: etree._Element) -> bool:
    return bool(_MONOSPACED.search(fonts.get(f"{W}ascii") or fonts.get(f"{W}hAnsi") or ""))


def local_name(node: etree._Element) -> str:
    """Without its namespace; a comment has none. What a damaged file calls an element may be no name at all."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def integer(node: etree._Element | None, default: int, name: str = "val") -> int:
    value = node.get(f"{W}{name}") if node is not None else None
    return int(value) if value and _INTEGER.fullmatch(value) else default


def numbering_of(properties: etree._Element | None) -> tuple[str, int] | None:
    found = properties.find(f"{W}numPr") if properties is not None else None
    if found is None:
        return None
    number = found.find(f"{W}numId")
    return ((number.get(f"{W}val") or "0") if number is not None else "", integer(found.find(f"{W}ilvl"), 0))
