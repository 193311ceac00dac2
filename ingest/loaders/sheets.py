"""Workbooks (XLSX, XLS, ODS): a section for each sheet, a table for each block of cells in it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ingest.loaders.archive import open_zip
from ingest.loaders.markup import heading, link
from ingest.loaders.ole import decrypted
from ingest.loaders.ooxml_numbers import NumberFormat, formatted
from ingest.loaders.ooxml_parts import Package, core_properties
from ingest.loaders.ooxml_tables import Row
from ingest.loaders.ooxml_workbook import SheetExtras, WorkbookExtras
from ingest.loaders.parts import document_from_parts
from ingest.loaders.sheets_tables import Span, fill_spans, markdown, tables
from rag.core.errors import EncryptedFile, LoadError, NoText
from rag.core.types import LoadedDocument, MetaValue

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_XLS = "application/vnd.ms-excel"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_MAX_CELLS = 3_000_000
_MAX_AREA = 20_000_000  # calamine holds a place for each cell, empty ones too
_ZIP = b"PK\x03\x04"


class SheetsLoader:
    media_types = (_XLSX, _XLS, _ODS)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        """The page of a block is its sheet's number."""
        data = decrypted(data, path.name, passwords)
        title: str | None = None
        metadata: dict[str, MetaValue] = {}
        extras: WorkbookExtras | None = None
        with ExitStack() as stack:
            if data.startswith(_ZIP):
                package = Package(stack.enter_context(open_zip(data, path.name)), path.name)
                with suppress(LoadError):  # no XLSX but ODS, or damaged: calamine says so
                    extras = WorkbookExtras(package)
                    title, metadata = core_properties(package)
            sheets = _Sheets(path.name, stack.enter_context(_workbook(data, path.name)), extras)
            parts, pages = sheets.read()
        if not parts:
            if sheets.warnings:
                raise LoadError(f"No sheet of {path.name} can be read: {sheets.warnings[0]}", path=path.name)
            raise NoText(f"{path.name} has no cells with text.", path=path.name)
        loaded = document_from_parts(parts, _XLSX, title=title, metadata=metadata, warnings=sheets.warnings)
        return _with_pages(loaded, parts, pages)


class _Sheets:
    def __init__(self, file: str, workbook: Any, extras: WorkbookExtras | None) -> None:
        self._file, self._workbook, self._extras = file, workbook, extras
        self._n_cells = 0
        self.warnings: list[str] = []

    def read(self) -> tuple[list[str], list[tuple[int, int]]]:
        """The parts of the text, and (index of the part with which it begins, number) of each sheet."""
        parts: list[str] = []
        pages: list[tuple[int, int]] = []
        for number, sheet in enumerate(self._workbook.sheets_metadata, 1):
            blocks = [block for block in self._blocks(sheet.name) if block]
            if blocks:
                pages.append((len(parts), number))
                parts += [heading(2, sheet.name) or heading(2, f"Sheet {number}"), *blocks]
                if not str(sheet.visible).endswith(".Visible"):
                    self.warnings.append(f"the sheet {sheet.name} is hidden in the workbook")
        return parts, pages

    def _blocks(self, name: str) -> Iterator[str]:
        extras = self._extras.of(name) if self._extras is not None else SheetExtras()
        if extras.n_rows * extras.n_columns > _MAX_AREA:
            self.warnings.append(
                f"the sheet {name} is left out: its cells reach out to row {extras.n_rows:,} and column "
                f"{extras.n_columns:,}, which is more than can be read; delete the stray ones"
            )
            return
        try:
            rows, spans = self._rows(name, extras)
        except LoadError:
            raise
        except Exception as exc:  # one broken sheet, or a chart's, must not lose the others
            if not extras.parts:
                self.warnings.append(f"the sheet {name} cannot be read ({exc})")
            rows, spans = [], []
        fill_spans(rows, spans)
        for table in tables(rows):
            yield from markdown(table)
        yield from extras.parts

    def _rows(self, name: str, extras: SheetExtras) -> tuple[list[Row], list[Span]]:
        """Counted from the sheet's first row and column, as the places of the extras are."""
        sheet = self._workbook.get_sheet_by_name(name)
        first_column = sheet.start[1] if sheet.start else 0
        rows: list[Row] = []
        for y, cells in enumerate(sheet.iter_rows()):
            row = [
                cell if isinstance(cell, str) else _shown(cell, extras.formats.get((y, x)))
                for x, cell in enumerate(cells, first_column)
            ]
            self._n_cells += sum(map(bool, row))
            if self._n_cells > _MAX_CELLS:
                raise LoadError(
                    f"{self._file} has more than {_MAX_CELLS:,} cells; split it, or export what matters as CSV.",
                    path=self._file,
                )
            row = [text.strip() for text in row]
            rows.append([""] * first_column + row if any(row) else [])
        for (y, x), url in extras.links.items():
            if y < len(rows) and x < len(rows[y]) and rows[y][x] != url:
                rows[y][x] = link(rows[y][x], url)
        return rows, sheet.merged_cell_ranges or []


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


def _with_pages(loaded: LoadedDocument, parts: list[str], pages: list[tuple[int, int]]) -> LoadedDocument:
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part) + 2)
    at = [(starts[index], number) for index, number in pages]

    def page(offset: int) -> int:
        return next(number for start, number in reversed(at) if start <= offset)

    return replace(loaded, blocks=tuple(replace(block, page=page(block.start)) for block in loaded.blocks))
