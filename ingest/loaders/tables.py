"""Markdown tables, one way to write them for every format."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPACE = re.compile(r"\s+")
_PIPE = re.compile(r"(?<!\\)\|")


def markdown_table(rows: Sequence[Sequence[str]], header: bool = True) -> str:
    """A pipe table; the first row names the columns, or nothing does where ``header`` is false.

    Rows of unequal length are filled up, rows and columns at the edges that hold nothing are left out.
    """
    cells = [[cell_text(cell) for cell in row] for row in rows]
    cells = [row for n, row in enumerate(cells) if any(row) or (header and n == 0)]
    width = max((n + 1 for row in cells for n, cell in enumerate(row) if cell), default=0)
    if not width or not any(map(any, cells)):
        return ""
    if not header:
        cells.insert(0, [""] * width)
    lines = [_line(row, width) for row in cells]
    lines.insert(1, "| " + " | ".join(["---"] * width) + " |")
    return "\n".join(lines)


def cell_text(text: str) -> str:
    """On one line, its pipes escaped."""
    return _PIPE.sub(r"\\|", _SPACE.sub(" ", text).strip())


def _line(row: Sequence[str], width: int) -> str:
    filled = [*row[:width], *[""] * (width - len(row))]
    return "| " + " | ".join(filled) + " |"
