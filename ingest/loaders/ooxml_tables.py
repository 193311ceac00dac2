"""Tables with merged cells: each row says what it is about, each column has one name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ingest.loaders.tables import markdown_table

Row = list[str]
_NUMBER = re.compile(r"[-+]?[\d.,:%]+|\d{4}-\d\d-\d\d(?: [\d:]+)?")


class Spread(str):
    """The text of a merged cell, repeated to the right of it."""

    __slots__ = ()


def is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def table(rows: Sequence[Row]) -> str:
    """As Markdown under its first row, or its first two where one cell names several columns."""
    width = max(map(len, rows), default=0)
    filled = [[*row, *[""] * (width - len(row))] for row in rows]
    # Where no cell begins there is no column: it only lies under the borders of others.
    kept = [x for x in range(width) if any(row[x] and not isinstance(row[x], Spread) for row in filled)]
    filled = [[row[x] for x in kept] for row in filled]
    header, body = header_of(filled) if filled else ([], [])
    return markdown_table([header, *body]) if header else ""


def header_of(rows: Sequence[Row]) -> tuple[Row, Sequence[Row]]:
    """The names of the columns and the rows below; all rows are of one length.

    Under a name that spans several columns their own names follow in the next row: "2026 / Q1".
    """
    pairs = list(zip(rows[0], rows[1], strict=True)) if len(rows) > 2 else []
    below = [own for (name, own), (right, _) in pairwise([*pairs, ("", "")]) if _is_spread(name, right)]
    if below and all(below) and len(set(below)) > 1 and not any(map(is_number, below)):
        return [" / ".join(dict.fromkeys(filter(None, pair))) for pair in pairs], rows[2:]
    return rows[0], rows[1:]


def in_one_line(rows: Sequence[Row]) -> str:
    """A table inside a cell of another: "A, B; 1, 2"."""
    lines = [", ".join(cell for cell in row if cell and not isinstance(cell, Spread)) for row in rows]
    return "; ".join(line for line in lines if line)


def _is_spread(name: str, right: str) -> bool:
    return isinstance(name, Spread) or isinstance(right, Spread)
