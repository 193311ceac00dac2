"""Sheets of Excel workbooks: the values from calamine, what else there is from the parts of the file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from ingest.loaders.markup import link
from ingest.loaders.ooxml_numbers import NumberFormat, formatted
from ingest.loaders.ooxml_tables import Row
from ingest.loaders.ooxml_workbook import SheetExtras, WorkbookExtras
from ingest.loaders.sheets_tables import Sheet, Span
from rag.core.errors import EncryptedFile, LoadError

_MAX_AREA = 20_000_000  # calamine holds a place for each cell, empty ones too


def excel_sheets(
    data: bytes, file: str, extras: WorkbookExtras | None, warnings: list[str]
) -> Iterator[Sheet]:
    with _workbook(data, file) as workbook:
        for about in workbook.sheets_metadata:
            also = extras.of(about.name) if extras is not None else SheetExtras()
            is_hidden = not str(about.visible).endswith(".Visible")
            rows: list[Row] = []
            spans: list[Span] = []
            if also.n_rows * also.n_columns > _MAX_AREA:
                warnings.append(
                    f"the sheet {about.name} is left out: its cells reach out to row {also.n_rows:,} and column "
                    f"{also.n_columns:,}, which is more than can be read; delete the stray ones"
                )
            else:
                try:
                    rows, spans = _cells(_guarded(workbook.get_sheet_by_name, about.name), also)
                except Exception as exc:  # one broken sheet, or a chart's, must not lose the others
                    if not also.parts:
                        warnings.append(f"the sheet {about.name} cannot be read ({exc})")
            yield Sheet(about.name, is_hidden, rows, spans, also.parts)


def _cells(sheet: Any, also: SheetExtras) -> tuple[list[Row], list[Span]]:
    """Counted from the sheet's first row and column, as the places of the extras are."""
    first_column = sheet.start[1] if sheet.start else 0
    rows: list[Row] = []
    for y, cells in enumerate(sheet.iter_rows()):
        row = [
            cell.strip() if isinstance(cell, str) else _shown(cell, also.formats.get((y, x)))
            for x, cell in enumerate(cells, first_column)
        ]
        rows.append([""] * first_column + row if any(row) else [])
    for (y, x), url in also.links.items():
        if y < len(rows) and x < len(rows[y]) and rows[y][x] != url:
            rows[y][x] = link(rows[y][x], url)
    return rows, sheet.merged_cell_ranges or []


def _workbook(data: bytes, name: str) -> Any:
    from python_calamine import CalamineError, PasswordError, load_workbook

    try:
        return _guarded(load_workbook, io.BytesIO(data))
    except PasswordError as exc:
        raise EncryptedFile(
            f"{name} is encrypted, and workbooks with a password cannot be opened; save it without one.",
            path=name,
        ) from exc
    except (CalamineError, OSError, ValueError) as exc:
        raise LoadError(f"{name} is a damaged workbook ({exc}); open and save it anew.", path=name) from exc


def _guarded(call: Callable[..., Any], argument: object) -> Any:
    """A damaged file can make calamine panic: no ``Exception``, and Rust writes what it thinks of it to stderr."""
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        return call(argument)
    except BaseException as exc:
        if type(exc).__name__ == "PanicException":
            raise ValueError(str(exc)) from None
        raise
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        os.close(nowhere)


def _shown(cell: Any, how: NumberFormat | None) -> str:
    """A cell as people write it: 12 and not 12.0, dates as ISO dates."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float | int):
        if how is not None:
            return formatted(cell, how)
        return str(int(cell)) if float(cell).is_integer() and abs(cell) < 1e15 else f"{cell:.12g}"
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "minutes")
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(round(cell.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)
