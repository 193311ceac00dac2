"""Tables in text: Markdown pipes, tabs, reStructuredText's simple tables, and columns lined up with spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.core.plain import plain

Span = tuple[int, int]

_RULE_ROW = re.compile(r"[ \t]*\|?[ \t:|+=-]*-{2,}[ \t:|+=-]*$")
_BORDER = re.compile(r"[ \t]*={2,}(?:[ \t]+={2,})+[ \t]*$")
_GROUP = re.compile(r"={2,}")
_SNAKE = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_GAP = re.compile(r"(?<=\S)[ ]{2,}(?=\S)")
_MIN_ALIGNED_ROWS = 3
_HEAD_CHARS = 4000
"""A header further above than its table's first lines is not looked for in lines longer than this."""


@dataclass(frozen=True, slots=True)
class Row:
    start: int
    end: int
    said: str
    """The row with the name of each cell's column: "Plan: Basic; Price: $5"."""
    header: Span | None
    """Where the row of column names is; None for that row itself, or where a table has none."""


def is_pipe_row(line: str) -> bool:
    stripped = line.strip()
    if stripped.startswith("|") and stripped.count("|") >= 2:
        return True
    return "\t" in stripped or " | " in stripped


def is_rule(line: str) -> bool:
    return _RULE_ROW.match(line) is not None


def is_border(line: str) -> bool:
    return _BORDER.match(line) is not None


def n_aligned(lines: Sequence[str]) -> int:
    """How many of the first lines are rows of a table whose columns are lined up with spaces."""
    if not lines or not _GAP.search(lines[0]):
        return 0
    starts = {gap.end() for gap in _GAP.finditer(lines[0])}
    n_rows = 1
    for line in lines[1:]:
        if not starts & {gap.end() for gap in _GAP.finditer(line)}:
            break
        n_rows += 1
    return n_rows if n_rows >= _MIN_ALIGNED_ROWS else 0


def pipe_rows(text: str, lines: Sequence[Span]) -> Iterator[Row]:
    """Without a rule below it, a first row that holds a figure is a row like the others."""
    header: Span | None = None
    names: list[str] = []
    ruled = len(lines) > 1 and is_rule(text[slice(*lines[1])])
    for number, (start, end) in enumerate(lines):
        if is_rule(text[start:end]):
            continue
        span = trimmed(text, start, end)
        cells = _pipe_cells(text[slice(*span)])
        yield Row(*span, _said(names, cells), header)
        if number == 0 and (ruled or not any(map(str.isdigit, text[slice(*span)]))):
            header, names = span, cells


def bordered_rows(text: str, lines: Sequence[Span]) -> Iterator[Row]:
    """Rows between the borders of a reStructuredText simple table; a row whose first cell is empty goes on."""
    starts = [group.start() for group in _GROUP.finditer(text[slice(*lines[0])])]
    n_borders = 0
    header: Span | None = None
    names: list[str] = []
    rows: list[tuple[Span, list[str]]] = []
    for start, end in lines:
        line = text[start:end]
        if is_border(line):
            n_borders += 1
            if n_borders == 2 and rows:
                header, names = (rows[0][0][0], rows[-1][0][1]), _joined(cells for _, cells in rows)
                rows = []
            continue
        cells = _cut_at(line, starts)
        if rows and not cells[0]:
            (first, _), above = rows[-1]
            rows[-1] = ((first, trimmed(text, start, end)[1]), _joined([above, cells]))
        else:
            rows.append((trimmed(text, start, end), cells))
    if header is not None:
        yield Row(*header, _said([], names), None)
    for span, cells in rows:
        yield Row(*span, _said(names, cells), header)


def aligned_rows(text: str, lines: Sequence[Span]) -> Iterator[Row]:
    first = text[slice(*lines[0])]
    names = [" ".join(cell.split()) for cell in _GAP.split(first.strip())]
    header = trimmed(text, *lines[0])
    yield Row(*header, _said([], names), None)
    for start, end in lines[1:]:
        cells = [" ".join(plain(cell).split()) for cell in _GAP.split(text[start:end].strip())]
        yield Row(*trimmed(text, start, end), _said(names, cells), header)


def head_of_table(text: str, start: int) -> str:
    """The lines that name the columns of the table that ``text[start:]`` begins in the middle of, else ""."""
    top = text.rfind("\n\n", 0, start)
    top = 0 if top < 0 else top + 2
    if top >= start or not text[top:start].strip():
        return ""
    lines = list(_lines(text, top, min(len(text), top + _HEAD_CHARS), 3))
    if len(lines) < 2 or lines[-1][1] >= start:
        lines = [line for line in lines if line[1] < start]
    shown = [text[slice(*line)] for line in lines]
    here = text[start : (text + "\n").find("\n", start)]
    if len(shown) >= 2 and is_pipe_row(shown[0]) and is_rule(shown[1]) and is_pipe_row(here):
        return text[top : lines[1][1]] + "\n"
    if len(shown) == 3 and is_border(shown[0]) and is_border(shown[2]):
        return text[top : lines[2][1]] + "\n"
    return ""


def trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _lines(text: str, start: int, end: int, n_lines: int) -> Iterator[Span]:
    while start < end and n_lines > 0:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, stop
        start, n_lines = stop + 1, n_lines - 1


def _said(names: Sequence[str], cells: Sequence[str]) -> str:
    if len(names) != len(cells):
        return "; ".join(cell for cell in cells if cell)
    return "; ".join(
        f"{in_words(name)}: {cell}" if name else cell for name, cell in zip(names, cells, strict=True) if cell
    )


def in_words(name: str) -> str:
    """A column's or field's name as a reader says it: "lead_time_days" is "lead time days"."""
    return name.replace("_", " ") if _SNAKE.fullmatch(name) else name


def _pipe_cells(row: str) -> list[str]:
    row = row.strip()
    row = row[1:] if row.startswith("|") else row
    row = row[:-1] if row.endswith("|") and not row.endswith("\\|") else row
    return [" ".join(plain(cell).split()) for cell in re.split(r"\t|(?<!\\)\|", row)]


def _cut_at(line: str, starts: Sequence[int]) -> list[str]:
    edges = [*starts, max(len(line), starts[-1])]
    return [" ".join(plain(line[left:right]).split()) for left, right in pairwise(edges)]


def _joined(rows: Sequence[list[str]] | Iterator[list[str]]) -> list[str]:
    return [" ".join(filter(None, column)) for column in zip(*rows, strict=True)]
