"""The cells of a sheet as tables: where one ends and the next begins, which rows name the columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.loaders.markup import paragraph
from ingest.loaders.tables import markdown_table

Row = list[str]
Span = tuple[tuple[int, int], tuple[int, int]]
"""((first row, first column), (last row, last column)), from 0"""

_MAX_CUTS = 6
_MAX_SPAN_CELLS = 2_000
_MAX_REPEATED_CHARS = 200
_NUMBER = re.compile(r"[-+]?[\d.,:%]+|\d{4}-\d\d-\d\d(?: [\d:]+)?")


class Spread(str):
    """The text of a merged cell, repeated to the right of it."""

    __slots__ = ()


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
    header, body = _header(rows)
    yield markdown_table([header, *body] if header else body, header=bool(header))


def _header(rows: list[Row]) -> tuple[Row, list[Row]]:
    """The names of the columns ([] where the first row holds numbers as the others do) and the rows below.

    Under a name that spans several columns their own names follow in the next row: "2026 / Q1".
    """
    first = [cell for cell in rows[0] if cell]
    if len(rows) > 1 and len(first) > 1 and all(map(_NUMBER.fullmatch, first)):
        return [], rows
    pairs = list(zip(rows[0], rows[1], strict=True)) if len(rows) > 2 else []
    below = [own for (name, own), right in pairwise([*pairs, ("", "")]) if _is_spread(name, right[0])]
    if below and all(below) and len(set(below)) > 1 and not any(map(_NUMBER.fullmatch, below)):
        return [" / ".join(dict.fromkeys(filter(None, pair))) for pair in pairs], rows[2:]
    return rows[0], rows[1:]


def _is_spread(name: str, right: str) -> bool:
    return isinstance(name, Spread) or isinstance(right, Spread)
