"""The cells of a Word table, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lxml import etree

from ingest.loaders.docx_styles import W, integer
from ingest.loaders.ooxml_tables import Row, Spread

CONTAINERS = frozenset(
    f"{W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag")
)
_MAX_SPAN = 200


class Cell(NamedTuple):
    node: etree._Element | None
    width: int
    continues: bool
    """The cell of the row above reaches down to here."""


def cells_of(row: etree._Element) -> Iterator[Cell]:
    empty = integer(row.find(f"{W}trPr/{W}gridBefore"), 0)
    if empty > 0:
        yield Cell(None, min(empty, _MAX_SPAN), False)
    for node in children(row, "tc"):
        merge = node.find(f"{W}tcPr/{W}vMerge")
        continues = merge is not None and merge.get(f"{W}val", "continue") == "continue"
        width = integer(node.find(f"{W}tcPr/{W}gridSpan"), 1)
        yield Cell(node, min(max(width, 1), _MAX_SPAN), continues)


def is_one_cell(row: Row) -> bool:
    return bool(row[0]) and all(isinstance(cell, Spread) for cell in row[1:])


def children(node: etree._Element, name: str) -> Iterator[etree._Element]:
    """Rows of a table or cells of a row, those inside content controls and insertions too."""
    for child in node:
        if child.tag == f"{W}{name}":
            yield child
        elif child.tag in CONTAINERS:
            yield from children(child, name)
