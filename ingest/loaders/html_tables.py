"""Tables of HTML: their spans filled out, their titles and header rows found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lxml import etree

Element = etree._Element

RICH = ("h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre", "dl")
_HEADINGS = RICH[:6]
_MAX_SPAN, _MAX_CELLS, _REPEATED_CHARS = 200, 400_000, 300


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    header: bool
    head: bool = False
    """It stands in a <thead>."""
    spread: bool = False
    """It only repeats the cell to its left, which spans this column too."""


def rows(table: Element) -> list[list[Element]]:
    rows = []
    for child in table:
        for row in (
            (child,) if child.tag == "tr" else child if child.tag in ("thead", "tbody", "tfoot") else ()
        ):
            if row.tag == "tr":
                cells = [cell for cell in row if cell.tag in ("td", "th")]
                if cells:
                    rows.append(cells)
    return rows


def _in_head(cell: Element) -> bool:
    row = cell.getparent()
    section = row.getparent() if row is not None else None
    return section is not None and section.tag == "thead"


def is_layout(table: Element, rows: list[list[Element]]) -> bool:
    """A table that only places blocks on the page, as mails and old pages do."""
    if table.get("role") in ("presentation", "none"):
        return True
    if any(cell.tag == "th" or _in_head(cell) for row in rows for cell in row):
        return False
    inner = [t for t in table.iter("table") if t is not table and _nearest_table(t) is table]
    if inner:
        nested = sum(len("".join(t.itertext()).strip()) for t in inner)
        if nested > 0.5 * len("".join(table.itertext()).strip()):
            return True
    if max((len(row) for row in rows), default=0) == 1 or len(rows) == 1:
        return any(next(table.iter(tag), None) is not None for tag in ("p", "div", "table", *RICH))
    return any(
        next(cell.iter(*_HEADINGS), None) is not None and len("".join(cell.itertext())) > 400
        for row in rows
        for cell in row
    )


def _nearest_table(node: Element) -> Element | None:
    return next(node.iterancestors("table"), None)


def titles(grid: list[list[Cell]]) -> tuple[list[str], list[list[Cell]]]:
    """Rows at the top in which one cell spans a table of several columns are its title."""
    titles = []
    width = max((len(row) for row in grid), default=0)
    while len(grid) > 1 and width > 1 and len(grid[0]) == width and all(cell.spread for cell in grid[0][1:]):
        if (len(grid) == 2 and grid[1][0].header) or (grid[0][0].head and not grid[1][0].head):
            break  # the only line of the header
        titles.append(grid[0][0].text)
        grid = grid[1:]
    return titles, grid


def header_rows(grid: list[list[Cell]]) -> int:
    count = 0
    for row in grid[:6]:
        if not all(cell.header or not cell.text for cell in row) or len(row) == 1 < max(map(len, grid)):
            break
        count += 1
    return count if count < len(grid) or count == 1 else 1


def keyed_by_first_column(grid: list[list[Cell]]) -> bool:
    return all(row and row[0].header and any(not cell.header for cell in row[1:]) for row in grid[:3])


def merged_header(rows: list[list[Cell]]) -> list[str]:
    """One line from several: ``2024 / Q1``."""
    width = max((len(row) for row in rows), default=0)
    names = []
    for column in range(width):
        parts: list[str] = []
        for row in rows:
            text = row[column].text if column < len(row) else ""
            if text and text not in parts:
                parts.append(text)
        names.append(" / ".join(parts))
    return names


def grid_of(rows: list[list[Element]], flat: Callable[[Element], str]) -> list[list[Cell]]:
    """Spans filled out: a cell over several rows is repeated in each, one over columns is marked."""
    grid: list[list[Cell]] = []
    hanging: dict[int, tuple[int, Cell]] = {}
    width = max((len(row) for row in rows), default=0)
    n_cells = 0
    for row in rows:
        line: list[Cell] = []
        later: dict[int, tuple[int, Cell]] = {}
        for node in row:
            _hang(line, hanging, later)
            cell = _cell(node, flat)
            across = min(max(integer(node.get("colspan"), 1), 1), _MAX_SPAN)
            down = min(max(integer(node.get("rowspan"), 1), 1), 10 * _MAX_SPAN)
            # What is long is not said twice.
            again = replace(cell, text=cell.text if len(cell.text) <= _REPEATED_CHARS else "")
            for number in range(across):
                if down > 1:
                    later[len(line)] = (down - 1, replace(again, spread=number > 0))
                line.append(replace(again, spread=True) if number else cell)
        while hanging:
            _hang(line, hanging, later)
            if hanging:
                line.append(Cell("", False))
        hanging = later
        n_cells += len(line)
        if n_cells > _MAX_CELLS:
            break
        # A short row whose cells all reach down only names the group of the rows below, which repeat it.
        if later and len(row) < width and all(integer(node.get("rowspan"), 1) > 1 for node in row):
            continue
        grid.append(line)
    return grid


def _hang(line: list[Cell], hanging: dict[int, tuple[int, Cell]], later: dict[int, tuple[int, Cell]]) -> None:
    """Puts cells from the rows above where they reach down to."""
    while len(line) in hanging:
        left, cell = hanging.pop(len(line))
        if left > 1:
            later[len(line)] = (left - 1, cell)
        line.append(cell)


def _cell(node: Element, flat: Callable[[Element], str]) -> Cell:
    in_head = _in_head(node)
    return Cell(flat(node), node.tag == "th" or in_head, in_head)


def integer(text: str | None, default: int) -> int:
    try:
        return int((text or "").strip()[:9])
    except ValueError:
        return default
