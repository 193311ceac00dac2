"""Workbooks (XLSX, XLS, ODS): a section for each sheet, a table for each block of cells in it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from ingest.loaders.archive import open_zip
from ingest.loaders.markup import heading, paragraph
from ingest.loaders.ole import decrypted
from ingest.loaders.parts import document_from_parts
from ingest.loaders.tables import markdown_table
from rag.core.errors import EncryptedFile, LoadError, NoText
from rag.core.types import LoadedDocument

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_XLS = "application/vnd.ms-excel"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_MAX_CELLS = 3_000_000
_ZIP = b"PK\x03\x04"

Row = list[str]


class SheetsLoader:
    media_types = (_XLSX, _XLS, _ODS)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        """The page of a block is its sheet's number."""
        data = decrypted(data, path.name, passwords)
        if data.startswith(_ZIP):
            open_zip(data, path.name).close()  # refuses what would unpack to too much
        parts: list[str] = []
        pages: list[tuple[int, int]] = []
        warnings: list[str] = []
        n_cells = 0
        with _workbook(data, path.name) as workbook:
            for number, name in enumerate(workbook.sheet_names, 1):
                try:
                    rows = [
                        [_shown(cell) for cell in row] for row in workbook.get_sheet_by_name(name).iter_rows()
                    ]
                except Exception as exc:  # one broken sheet, or a chart's, must not lose the others
                    warnings.append(f"the sheet {name} cannot be read ({exc})")
                    continue
                n_cells += sum(map(len, rows))
                if n_cells > _MAX_CELLS:
                    raise LoadError(
                        f"{path.name} has more than {_MAX_CELLS:,} cells; split it, or export what matters as CSV.",
                        path=path.name,
                    )
                blocks = [block for block in map(_markdown, _tables(rows)) if block]
                if blocks:
                    pages.append((len(parts), number))
                    parts += [heading(2, name) or heading(2, f"Sheet {number}"), *blocks]
        if not parts:
            raise NoText(f"{path.name} has no cells with text.", path=path.name)
        loaded = document_from_parts(parts, _XLSX, warnings=warnings)
        return _with_pages(loaded, parts, pages)


def _workbook(data: bytes, name: str) -> Any:
    from python_calamine import CalamineError, PasswordError, load_workbook

    try:
        return load_workbook(io.BytesIO(data))
    except PasswordError as exc:
        raise EncryptedFile(
            f"{name} is encrypted, and workbooks with a password cannot be opened; save it without one.",
            path=name,
        ) from exc
    except (CalamineError, OSError, ValueError) as exc:
        raise LoadError(f"{name} is a damaged workbook ({exc}); open and save it anew.", path=name) from exc


def _shown(cell: Any) -> str:
    """A cell as people write it: 12 and not 12.0, dates as ISO dates."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.12g}"
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "minutes")
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(round(cell.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell).strip()


def _tables(rows: list[Row]) -> Iterator[list[Row]]:
    """Blocks of cells with an empty row between; a block of two tables side by side is cut at the empty column."""
    block: list[Row] = []
    for row in [*rows, []]:
        if any(row):
            block.append(row)
        elif block:
            yield from _side_by_side(block)
            block = []


def _side_by_side(block: list[Row]) -> Iterator[list[Row]]:
    width = max(map(len, block))
    filled = [[*row, *[""] * (width - len(row))] for row in block]
    full = [column for column in range(width) if any(row[column] for row in filled)]
    starts = [full[0], *(right for left, right in pairwise(full) if right - left > 1)]
    ends = [*(left + 1 for left, right in pairwise(full) if right - left > 1), full[-1] + 1]
    parts = [[row[start:end] for row in filled] for start, end in zip(starts, ends, strict=True)]
    # An empty column inside one table is no border: then its parts have the same rows and one of them no header.
    if len(parts) > 1 and not all(_stands_alone(part) for part in parts):
        yield [row[full[0] : full[-1] + 1] for row in filled]
        return
    for part in parts:
        yield [row for row in part if any(row)]


def _stands_alone(part: list[Row]) -> bool:
    rows = [row for row in part if any(row)]
    return len(rows) > 1 and len(rows[0]) > 1 and all(rows[0])


def _markdown(rows: list[Row]) -> str:
    """A block of one cell a row is text; anything else is a table under its first row, its caption above it."""
    captions: list[str] = []
    while len(rows) > 1 and sum(map(bool, rows[0])) == 1 and max(sum(map(bool, row)) for row in rows[1:]) > 2:
        captions.append(next(filter(None, rows[0])))
        rows = rows[1:]
    if all(sum(map(bool, row)) <= 1 for row in rows) and len(rows) < 3:
        captions += [next(filter(None, row)) for row in rows]
        rows = []
    parts = [paragraph(caption) for caption in captions]
    return "\n\n".join([*parts, markdown_table(rows)] if rows else parts)


def _with_pages(loaded: LoadedDocument, parts: list[str], pages: list[tuple[int, int]]) -> LoadedDocument:
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part) + 2)
    at = [(starts[index], number) for index, number in pages]

    def page(offset: int) -> int:
        return next(number for start, number in reversed(at) if start <= offset)

    return replace(loaded, blocks=tuple(replace(block, page=page(block.start)) for block in loaded.blocks))
