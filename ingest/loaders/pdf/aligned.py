"""Tables without lines: rows whose cells stand in the same columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ingest.loaders.pdf.lines import Segment
from ingest.loaders.tables import markdown_table

_NUMBER = re.compile(r"[-+(]?[\d$€£%].*|[-–—]|n/?a", re.IGNORECASE)
_ORDINAL = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[a-z]|[ivxlc]{1,6})[.)]?", re.IGNORECASE)
_MAX_CELL_CHARS = 160


def rows_of(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments on one line, from left to right."""
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.y, s.x0)):
        if rows and segment.y - rows[-1][0].y < 0.35 * min(segment.size, rows[-1][0].size):
            rows[-1].append(segment)
        else:
            rows.append([segment])
    for row in rows:
        row.sort(key=lambda s: s.x0)
    return rows


def table_at(rows: Sequence[list[Segment]], first: int, right_to_left: bool) -> tuple[int, str] | None:
    """(row after it, Markdown) of the table that begins in this row, or None."""
    if len(rows[first]) < 2:
        return None
    last = _reach(rows, first)
    while last - first >= 2:
        found = _as_table(rows[first:last], right_to_left)
        if found:
            return last, found
        last -= 1
        while last - first >= 2 and len(rows[last - 1]) < 2:
            last -= 1
    return None


def _reach(rows: Sequence[list[Segment]], first: int) -> int:
    """The last row, plus one, that may belong to it: a row of one cell only between others or as its rest."""
    last = first + 1
    single = 0
    while last < len(rows):
        gap = rows[last][0].top - rows[last - 1][0].y
        if gap > 2.2 * max(rows[last][0].size, rows[last - 1][0].size):
            break
        single = single + 1 if len(rows[last]) < 2 else 0
        if single > 2:
            break
        last += 1
    return last - single if single > 2 else last


def _as_table(rows: Sequence[list[Segment]], right_to_left: bool) -> str | None:
    columns = _columns(rows)
    if columns is None:
        return None
    columns = _without_complements(columns, rows)
    n_columns = len(columns)
    if n_columns < 2:
        return None
    grid: list[list[str]] = []
    n_spanning = n_filled = 0
    previous: list[Segment] | None = None
    pitch = _pitch(rows)
    reach = [0.0] * n_columns
    for row in rows:
        for segment in row:
            n = next(n for n, (_, x1) in enumerate(columns) if segment.x0 < x1)
            reach[n] = max(reach[n], segment.x1)
    for row in rows:
        cells = [""] * n_columns
        for segment in row:
            slots = [n for n, (x0, x1) in enumerate(columns) if segment.x0 < x1 and segment.x1 > x0]
            if not slots:
                return None
            n_spanning += len(slots) > 1
            cells[slots[0]] = f"{cells[slots[0]]} {segment.text}".strip()
        if (
            previous
            and grid
            and _continues(cells, row, previous, grid[-1], pitch)
            and _broken(row, previous, columns, reach)
        ):
            grid[-1] = [f"{above} {cell}".strip() for above, cell in zip(grid[-1], cells, strict=True)]
        else:
            grid.append(cells)
        previous = row
    n_filled = sum(bool(cell) for cells in grid for cell in cells)
    if len(grid) < 2 or (n_columns == 2 and len(grid) < 3):
        return None
    if n_filled < 0.55 * len(grid) * n_columns or n_spanning > 0.3 * len(grid):
        return None
    lengths = [len(cell) for cells in grid for cell in cells if cell]
    if max(lengths) > _MAX_CELL_CHARS * 2 or median(lengths) > 60:
        return None
    if sum(segment.is_item for row in rows for segment in row) > 0.4 * sum(map(len, rows)):
        return None  # lists side by side
    if all(_ORDINAL.fullmatch(cells[0]) for cells in grid if cells[0]) and n_columns == 2:
        return None  # a numbered list
    if right_to_left:
        grid = [cells[::-1] for cells in grid]
    return markdown_table(grid, header=_has_header(grid, rows[0], rows[1:]))


def _columns(rows: Sequence[list[Segment]]) -> list[tuple[float, float]] | None:
    """The stretches of x between the white bands that nearly all rows keep clear."""
    full = [row for row in rows if len(row) >= 2]
    if len(full) < 2 or len(full) < 0.5 * len(rows):
        return None
    widest = median(len(row) for row in full)
    counted = [row for row in full if len(row) >= widest] or full
    spans = sorted((s.x0, s.x1) for row in counted for s in row)
    columns: list[list[float]] = []
    for x0, x1 in spans:
        if columns and x0 < columns[-1][1] - 0.5:
            columns[-1][1] = max(columns[-1][1], x1)
        else:
            columns.append([x0, x1])
    if len(columns) < 2 or len(columns) < widest - 0.5 or len(columns) > max(map(len, full)) + 1:
        return None
    # Cells of the other rows may stand out a little on either side.
    return [
        (
            -1e9 if n == 0 else (columns[n - 1][1] + x0) / 2,
            1e9 if n == len(columns) - 1 else (x1 + columns[n + 1][0]) / 2,
        )
        for n, (x0, x1) in enumerate(columns)
    ]


def _without_complements(
    columns: list[tuple[float, float]], rows: Sequence[list[Segment]]
) -> list[tuple[float, float]]:
    """A name on the left and numbers on the right of one wide column would else make two."""
    n = 0
    while n < len(columns) - 1:
        (x0, middle), (_, x1) = columns[n], columns[n + 1]
        sides = [
            (any(x0 <= s.x0 and s.x1 <= middle for s in row), any(middle <= s.x0 and s.x1 <= x1 for s in row))
            for row in rows
        ]
        if not any(left and right for left, right in sides):
            columns = [*columns[:n], (x0, x1), *columns[n + 2 :]]
        else:
            n += 1
    return columns


def _pitch(rows: Sequence[list[Segment]]) -> float:
    steps = [b[0].y - a[0].y for a, b in pairwise(rows)]
    return min(steps) if steps else 0.0


def _continues(
    cells: list[str], row: list[Segment], previous: list[Segment], above: list[str], pitch: float
) -> bool:
    """Whether the line is the rest of cells that did not fit on one line."""
    step = row[0].y - previous[0].y
    if step > 1.35 * max(row[0].size, previous[0].size) or step > 1.2 * pitch + 1:
        return False
    n_cells = sum(map(bool, cells))
    if cells[0] or n_cells > 0.5 * len(cells) + 0.5 or n_cells == len(cells):
        return False
    return all(above[n] for n, cell in enumerate(cells) if cell)


def _broken(
    row: list[Segment], previous: list[Segment], columns: list[tuple[float, float]], reach: list[float]
) -> bool:
    """Whether the line before ended for want of room, in one of the columns at least."""
    for segment in row:
        n = next(n for n, (_, x1) in enumerate(columns) if segment.x0 < x1)
        x0, x1 = columns[n]
        for above in previous:
            if x0 <= above.x0 < x1:
                first = segment.words[0]
                if above.x1 + (first.x1 - first.x0) + 0.3 * segment.size > reach[n] - 1:
                    return True
    return False


def _has_header(grid: list[list[str]], first: list[Segment], rest: Sequence[list[Segment]]) -> bool:
    head = [cell for cell in grid[0] if cell]
    if any(_NUMBER.fullmatch(cell) for cell in head):
        return False
    if all(s.bold for s in first) and not all(s.bold for row in rest for s in row):
        return True
    if len(grid[0]) > 2:
        return True
    return any(_NUMBER.fullmatch(cell) for cells in grid[1:] for cell in cells[1:])
