"""Tables with ruled lines: which cell of the grid each word stands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ingest.loaders.pdf.graphics import Box
from ingest.loaders.pdf.lines import ITEM, Segment, Word
from ingest.loaders.tables import markdown_table

_TOUCH = 3.0
_MIN_RULE = 6.0
_MAX_RULES = 3_000
_MAX_CELLS = 700
_MAX_CELL_CHARS = 1_200
_MAX_LINES = 6


@dataclass(slots=True)
class Table:
    """A table as a whole, placed on its page like a line."""

    markdown: str
    x0: float
    x1: float
    top: float
    y: float
    size: float
    sequence: int
    is_item: bool = False
    is_label: bool = False


class _Cell(NamedTuple):
    """What a cell holds of one line."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    first_width: float


@dataclass(slots=True)
class _Rule:
    """A horizontal or a vertical line; ``at`` is its place across."""

    at: float
    start: float
    end: float


def cell_edges(fills: Sequence[Box], page: Box) -> list[Box]:
    """The edges of filled boxes that stand side by side: cells with a background, not always with lines."""
    cells = [b for b in fills if b.x1 - b.x0 > 10 and b.y1 - b.y0 > 6 and b.area < 0.3 * page.area]
    if len(cells) > _MAX_CELLS:
        return []
    rows: dict[tuple[int, int], list[Box]] = {}
    for cell in cells:
        rows.setdefault((round(cell.y0 / 2), round(cell.y1 / 2)), []).append(cell)
    found: list[Box] = []
    for row in rows.values():
        row.sort(key=lambda b: b.x0)
        for n, cell in enumerate(row):
            beside = row[max(0, n - 1) : n] + row[n + 1 : n + 2]
            if any(abs(cell.x0 - b.x1) < _TOUCH or abs(b.x0 - cell.x1) < _TOUCH for b in beside):
                x0, y0, x1, y1 = cell
                found += [Box(x0, y0, x1, y0), Box(x0, y1, x1, y1), Box(x0, y0, x0, y1), Box(x1, y0, x1, y1)]
    return found


def ruled_tables(
    segments: Sequence[Segment], rules: Sequence[Box], right_to_left: bool
) -> tuple[list[Table], list[Segment]]:
    """The tables, and the segments that are in none."""
    if len(rules) > _MAX_RULES:
        return [], list(segments)
    flat = _joined([_Rule((r.y0 + r.y1) / 2, r.x0, r.x1) for r in rules if r.x1 - r.x0 > r.y1 - r.y0])
    upright = _joined([_Rule((r.x0 + r.x1) / 2, r.y0, r.y1) for r in rules if r.y1 - r.y0 >= r.x1 - r.x0])
    tables: list[Table] = []
    left = list(segments)
    for across, down in _grids(flat, upright):
        columns = _edges([r.at for r in down] + [r.start for r in across] + [r.end for r in across])
        rows = _edges([r.at for r in across] + [r.start for r in down] + [r.end for r in down])
        if len(columns) < 3 or len(rows) < 3:
            continue
        inside = [
            s
            for s in left
            if rows[0] - 2 < s.y - 0.3 * s.size < rows[-1] + 2
            and columns[0] - 2 <= (s.x0 + s.x1) / 2 <= columns[-1] + 2
        ]
        table = _table(inside, columns, rows, down, right_to_left)
        if table is not None:
            tables.append(table)
            taken = set(map(id, inside))
            left = [s for s in left if id(s) not in taken]
    return tables, left


def _joined(rules: list[_Rule]) -> list[_Rule]:
    """Lines drawn in parts, or twice, as one each."""
    joined: list[_Rule] = []
    for rule in sorted(rules, key=lambda r: (round(r.at / 1.5), r.start)):
        last = joined[-1] if joined else None
        if last and abs(last.at - rule.at) < 2 and rule.start <= last.end + _TOUCH:
            last.end = max(last.end, rule.end)
        else:
            joined.append(_Rule(rule.at, rule.start, rule.end))
    return [rule for rule in joined if rule.end - rule.start >= _MIN_RULE]


def _grids(flat: list[_Rule], upright: list[_Rule]) -> list[tuple[list[_Rule], list[_Rule]]]:
    """Lines that touch each other belong to one grid."""
    group = list(range(len(flat) + len(upright)))

    def root(n: int) -> int:
        while group[n] != n:
            group[n] = group[group[n]]
            n = group[n]
        return n

    for n, h in enumerate(flat):
        for m, v in enumerate(upright, len(flat)):
            if h.start - _TOUCH <= v.at <= h.end + _TOUCH and v.start - _TOUCH <= h.at <= v.end + _TOUCH:
                group[root(m)] = root(n)
    members: dict[int, tuple[list[_Rule], list[_Rule]]] = {}
    for n, rule in enumerate([*flat, *upright]):
        members.setdefault(root(n), ([], []))[n >= len(flat)].append(rule)
    return [m for m in members.values() if len(m[0]) >= 2 and len(m[1]) >= 1]


def _edges(places: list[float]) -> list[float]:
    edges: list[float] = []
    for place in sorted(places):
        if not edges or place - edges[-1] > 4:
            edges.append(place)
    return edges


def _table(
    inside: list[Segment], columns: list[float], rows: list[float], down: list[_Rule], right_to_left: bool
) -> Table | None:
    cells: dict[tuple[int, int], list[_Cell]] = {}
    for segment in inside:
        row = _slot(rows, segment.y - 0.3 * segment.size)
        for words in _split_at_rules(segment, columns, down):
            column = _slot(columns, words[0].x0 + min(3.0, (words[0].x1 - words[0].x0) / 2))
            text = segment.text if len(words) == len(segment.words) else " ".join(w.text for w in words)
            cells.setdefault((row, column), []).append(
                _Cell(text, words[0].x0, words[-1].x1, segment.y, segment.size, words[0].x1 - words[0].x0)
            )
    cells = _with_lines_as_rows(cells, columns)
    if any(
        len({round(p.y) for p in parts}) > _MAX_LINES and _broken_share(parts, columns[column + 1]) < 0.4
        for (_, column), parts in cells.items()
    ):
        return None  # a frame around parts of a form, not a table
    filled_columns = {column for _, column in cells}
    filled_rows = {row for row, _ in cells}
    if len(filled_columns) < 2 or len(filled_rows) < 2:
        return None
    texts = {place: " ".join(part.text for part in parts) for place, parts in cells.items()}
    if max(map(len, texts.values())) > _MAX_CELL_CHARS:
        return None
    grid = [
        [texts.get((row, column), "") for column in sorted(filled_columns, reverse=right_to_left)]
        for row in sorted(filled_rows)
    ]
    markdown = markdown_table(grid)
    if not markdown:
        return None
    return Table(
        markdown,
        columns[0],
        columns[-1],
        rows[0],
        rows[-1],
        sorted(s.size for s in inside)[len(inside) // 2],
        min(s.sequence for s in inside),
    )


def _with_lines_as_rows(
    cells: dict[tuple[int, int], list[_Cell]], columns: list[float]
) -> dict[tuple[int, int], list[_Cell]]:
    """Between two lines of the grid there may be several rows: lines that were not broken for want of room."""
    found: dict[tuple[int, int], list[_Cell]] = {}
    n_rows = 0
    for row in sorted({row for row, _ in cells}):
        band = {
            column: sorted(parts, key=lambda p: (p.y, p.x0))
            for (r, column), parts in cells.items()
            if r == row
        }
        heights = _heights(band)
        n_broken = sum(_broken_share(parts, columns[column + 1]) > 0 for column, parts in band.items())
        if len(heights) > 1 and len(band) > 1 and not n_broken and _share_heights(band, heights):
            for column, parts in band.items():
                for part in parts:
                    at = min(range(len(heights)), key=lambda n: abs(heights[n] - part.y))
                    found.setdefault((n_rows + at, column), []).append(part)
            n_rows += len(heights)
        else:
            found.update({(n_rows, column): parts for column, parts in band.items()})
            n_rows += 1
    return found


def _heights(band: dict[int, list[_Cell]]) -> list[float]:
    heights: list[float] = []
    for part in sorted((p for parts in band.values() for p in parts), key=lambda p: p.y):
        if not heights or part.y - heights[-1] > 0.5 * part.size:
            heights.append(part.y)
    return heights


def _share_heights(band: dict[int, list[_Cell]], heights: list[float]) -> bool:
    """Whether nearly all lines have one beside them, and none begins like an item of a list."""
    if any(ITEM.match(part.text) for parts in band.values() for part in parts):
        return False
    n_beside = sum(
        sum(any(abs(p.y - height) < 0.3 * p.size for p in parts) for parts in band.values()) > 1
        for height in heights
    )
    return n_beside >= 0.75 * len(heights)


def _broken_share(parts: list[_Cell], edge: float) -> float:
    """The share of lines of a cell that end where the first word of the next would not have fitted."""
    steps = [(a, b) for a, b in pairwise(parts) if b.y - a.y > 0.5 * b.size]
    n_broken = sum(before.x1 + after.first_width + 0.5 * before.size > edge for before, after in steps)
    return n_broken / len(steps) if steps else 0.0


def _split_at_rules(segment: Segment, columns: list[float], down: list[_Rule]) -> list[list[Word]]:
    """A segment is cut where a line of the grid runs between two of its words."""
    middle = segment.y - 0.3 * segment.size
    parts: list[list[Word]] = [[]]
    for word in segment.words:
        if parts[-1] and any(
            parts[-1][-1].x1 - 1 <= rule.at <= word.x0 + 1 and rule.start <= middle <= rule.end
            for rule in down
        ):
            parts.append([])
        parts[-1].append(word)
    return parts


def _slot(edges: list[float], place: float) -> int:
    slot = 0
    for n, edge in enumerate(edges[:-1]):
        if place >= edge - 1:
            slot = n
    return slot
