"""Workbooks (XLSX, XLS, ODS): a section for each sheet, a table for each block of cells in it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from ingest.loaders.archive import open_zip
from ingest.loaders.markup import heading
from ingest.loaders.odt import OpenDocument
from ingest.loaders.odt_sheets import ods_sheets
from ingest.loaders.ole import decrypted
from ingest.loaders.ooxml_parts import Package, core_properties
from ingest.loaders.ooxml_workbook import WorkbookExtras
from ingest.loaders.parts import document_from_parts
from ingest.loaders.sheets_calamine import excel_sheets
from ingest.loaders.sheets_tables import Sheet, fill_spans, markdown, tables
from rag.core.errors import LoadError, NoText
from rag.core.types import LoadedDocument, MetaValue

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_XLS = "application/vnd.ms-excel"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_MAX_CELLS = 3_000_000
_MAX_TREE_BYTES = 50_000_000
_ZIP = b"PK\x03\x04"


class SheetsLoader:
    media_types = (_XLSX, _XLS, _ODS)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        """The page of a block is its sheet's number."""
        data = decrypted(data, path.name, passwords)
        title: str | None = None
        metadata: dict[str, MetaValue] = {}
        extras: WorkbookExtras | None = None
        warnings: list[str] = []
        with ExitStack() as stack:
            archive = stack.enter_context(open_zip(data, path.name)) if data.startswith(_ZIP) else None
            if archive is not None and _is_open_document(archive):
                document = OpenDocument(archive, path.name)
                title, metadata = document.about()
                sheets = ods_sheets(document)
            else:
                if archive is not None:
                    package = Package(archive, path.name)
                    with suppress(LoadError):  # damaged: calamine says so, or can read it nevertheless
                        extras = WorkbookExtras(package)
                        title, metadata = core_properties(package)
                sheets = excel_sheets(data, path.name, extras, warnings)
            parts, pages = _sections(sheets, path.name, warnings)
        if not parts:
            if warnings:
                raise LoadError(f"No sheet of {path.name} can be read: {warnings[0]}.", path=path.name)
            raise NoText(f"{path.name} has no cells with text.", path=path.name)
        loaded = document_from_parts(parts, _XLSX, metadata=metadata, warnings=warnings)
        # The name of the first sheet is no title of the workbook.
        return _with_pages(replace(loaded, title=title), parts, pages)


def _is_open_document(archive: zipfile.ZipFile) -> bool:
    """As far as its tree fits into memory; calamine reads larger ones, without what is not a value."""
    return any(
        member.filename == "content.xml" and member.file_size <= _MAX_TREE_BYTES
        for member in archive.infolist()
    )


def _sections(
    sheets: Iterable[Sheet], file: str, warnings: list[str]
) -> tuple[list[str], list[tuple[int, int]]]:
    """The parts of the text, and (index of the part with which it begins, number) of each sheet."""
    parts: list[str] = []
    pages: list[tuple[int, int]] = []
    n_cells = 0
    for number, sheet in enumerate(sheets, 1):
        n_cells += sum(sum(map(bool, row)) for row in sheet.rows)
        if n_cells > _MAX_CELLS:
            raise LoadError(
                f"{file} has more than {_MAX_CELLS:,} cells; split it, or export what matters as CSV.",
                path=file,
            )
        blocks = [block for block in _blocks(sheet) if block]
        if blocks:
            pages.append((len(parts), number))
            parts += [heading(2, sheet.name) or heading(2, f"Sheet {number}"), *blocks]
            if sheet.is_hidden:
                warnings.append(f"the sheet {sheet.name} is hidden in the workbook")
    return parts, pages


def _blocks(sheet: Sheet) -> Iterator[str]:
    fill_spans(sheet.rows, sheet.spans)
    for rows in tables(sheet.rows):
        yield from markdown(rows)
    yield from sheet.parts


def _with_pages(loaded: LoadedDocument, parts: list[str], pages: list[tuple[int, int]]) -> LoadedDocument:
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part) + 2)
    at = [(starts[index], number) for index, number in pages]

    def page(offset: int) -> int:
        return next(number for start, number in reversed(at) if start <= offset)

    return replace(loaded, blocks=tuple(replace(block, page=page(block.start)) for block in loaded.blocks))
