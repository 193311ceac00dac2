"""What the styles of an OpenDocument file say: emphasis, hidden text, titles, code, numbers of lists and headings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from ingest.loaders.docx_numbering import Level, Numbering

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
TEXT, TABLE, OFFICE, DRAW, STYLE, FO, PRESENTATION = (
    _NS % name
    for name in ("text", "table", "office", "drawing", "style", "xsl-fo-compatible", "presentation")
)
OUTLINE = "(headings)"
_KINDS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MAX_INHERITANCE = 20


@dataclass(slots=True)
class Styles:
    numbering: Numbering = field(default_factory=Numbering)
    _nodes: dict[str, etree._Element] = field(default_factory=dict)

    def names(self, name: str) -> Iterator[str]:
        """Its own and those that it is derived from."""
        for _ in range(_MAX_INHERITANCE):
            if not name:
                return
            yield name
            node = self._nodes.get(name)
            name = (node.get(f"{STYLE}parent-style-name") or "") if node is not None else ""

    def value(self, name: str, kind: str, attribute: str) -> str:
        """The nearest: ``value("P1", "text", f"{FO}font-weight")``; "" if none says it."""
        for one in self.names(name):
            node = self._nodes.get(one)
            properties = node.find(f"{STYLE}{kind}-properties") if node is not None else None
            if properties is not None and (found := properties.get(attribute)) is not None:
                return found
        return ""

    def marks(self, name: str) -> list[str]:
        """Markdown's signs for its emphasis, innermost first."""
        signs = []
        if self.value(name, "text", f"{STYLE}text-line-through-style") not in ("", "none"):
            signs.append("~~")
        if self.value(name, "text", f"{FO}font-style") in ("italic", "oblique"):
            signs.append("*")
        if self.value(name, "text", f"{FO}font-weight") in ("bold", "700", "800", "900"):
            signs.append("**")
        return signs

    def is_hidden(self, name: str) -> bool:
        return self.value(name, "text", f"{TEXT}display") == "none"

    def is_title(self, name: str) -> bool:
        return "Title" in self.names(name)

    def is_code(self, name: str) -> bool:
        return any(one in ("Preformatted_20_Text", "Source_20_Code") for one in self.names(name))


def read_styles(*roots: etree._Element | None) -> Styles:
    """From the content and from styles.xml."""
    found = Styles()
    for root in roots:
        for node in root.iter(f"{STYLE}style") if root is not None else ():
            found._nodes.setdefault(node.get(f"{STYLE}name") or "", node)
        for node in root.iter(f"{TEXT}list-style", f"{TEXT}outline-style") if root is not None else ():
            is_outline = node.tag == f"{TEXT}outline-style"
            name = OUTLINE if is_outline else node.get(f"{STYLE}name") or ""
            for level in node:
                if isinstance(level.tag, str):
                    at = count(level, "level") - 1
                    found.numbering.levels.setdefault((name, at), _level(level, at))
    return found


def count(node: etree._Element, name: str, space: str = TEXT, most: int = 1000) -> int:
    """A number of repetitions, at least 1."""
    value = node.get(f"{space}{name}") or "1"
    return min(max(int(value), 1), most) if value.isdecimal() and len(value) < 10 else 1


def _level(node: etree._Element, at: int) -> Level:
    is_numbered = node.tag == f"{TEXT}list-level-style-number"
    kind = _KINDS.get(node.get(f"{STYLE}num-format", "1" if is_numbered else ""))
    if kind is None:
        return Level("bullet")
    first = max(0, at + 1 - count(node, "display-levels"))
    places = ".".join(f"%{place + 1}" for place in range(first, at + 1))
    before, after = node.get(f"{STYLE}num-prefix") or "", node.get(f"{STYLE}num-suffix") or ""
    return Level(kind, count(node, "start-value"), f"{before}{places}{after}")
