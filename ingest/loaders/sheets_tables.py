"""The cells of a sheet as tables: where one ends and the next begins, which rows name the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from ingest.loaders.markup import paragraph
from ingest.loaders.ooxml_tables import Row, Spread, is_number, table
from ingest.loaders.tables import markdown_table

Span = tuple[tuple[int, int], tuple[int, int]]
"""((first row, first column), (last row, last column)), from 0"""


class Sheet(NamedTuple):
    name: str
    is_hidden: bool
    rows: list[Row]
    spans: Sequence[Span]
    """Of merged cells."""
    parts: Sequence[str]
    """Comments, charts, text boxes: what stands beside the cells."""


_MAX_CUTS = 6
_MAX_SPAN_CELLS = 2_000
_MAX_REPEATED_CHARS = 200


def fill_spans(rows: list[Row], spans: Sequence[Span]) -> None:
    """Repeats the text of merged cells, so that each row says it and each column has its name; a cell with nothing
    beside it is a line of text over the table and is not repeated to the right."""
    width = max(map(len, rows), default=0)
    for (top, left), (bottom, right) in spans:
        text = rows[top][left] if top < len(rows) and left < len(rows[top]) else ""
        bottom, right = min(bottom, len(rows) - 1), min(right, width - 1)
        if not text or len(text) > _MAX_REPEATED_CHARS:
            continue
        if (bottom - top + 1) * (right - left + 1) > _MAX_SPAN_CELLS:
            continue
        if not any(any(row[:left]) or any(row[right + 1 :]) for row in rows[top : bottom + 1]):
            right = left
        for row in rows[top : bottom + 1]:
            row += [""] * (right + 1 - len(row))
            row[left : right + 1] = [text, *[Spread(text)] * (right - left)]


def tables(rows: Sequence[Row], depth: int = 0) -> Iterator[list[Row]]:
    """Blocks of cells with an empty row between, cut at an empty column where the parts are tables of their own."""
    block: list[Row] = []
    for row in [*rows, []]:
        if any(row):
            block.append(row)
        elif block:
            yield from _side_by_side(block, depth)
            block = []


def _side_by_side(block: list[Row], depth: int) -> Iterator[list[Row]]:
    width = max(map(len, block))
    filled = [[*row, *[""] * (width - len(row))] for row in block]
    full = [column for column in range(width) if any(row[column] for row in filled)]
    starts = [full[0], *(right for left, right in pairwise(full) if right - left > 1)]
    ends = [*(left + 1 for left, right in pairwise(full) if right - left > 1), full[-1] + 1]
    parts = [[row[start:end] for row in filled] for start, end in zip(starts, ends, strict=True)]
    # An empty column inside one table is no border: then its parts have the same rows and one of them no header.
    if len(parts) > 1 and depth < _MAX_CUTS and all(map(_stands_alone, parts)):
        for part in parts:
            yield from tables(part, depth + 1)
    else:
        yield [[row[column] for column in full] for row in filled]


def _stands_alone(part: list[Row]) -> bool:
    rows = [row for row in part if any(row)]
    return len(rows) > 1 and len(rows[0]) > 1 and all(rows[0])


def markdown(rows: list[Row]) -> Iterator[str]:
    """A block of one cell a row is text; anything else is a table under its first row, its caption above it."""
    while len(rows) > 1 and sum(map(bool, rows[0])) == 1 and max(sum(map(bool, row)) for row in rows[1:]) > 2:
        yield paragraph(next(filter(None, rows[0])))
        rows = rows[1:]
    if all(sum(map(bool, row)) <= 1 for row in rows) and len(rows) < 3:
        yield from (paragraph(next(filter(None, row))) for row in rows)
        return
    first = [cell for cell in rows[0] if cell]
    if len(rows) > 1 and len(first) > 1 and all(map(is_number, first)):
        yield markdown_table(rows, header=False)
    else:
        yield table(rows)
