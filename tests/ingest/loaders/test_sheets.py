from __future__ import annotations

import io
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from ingest.loaders.registry import load_bytes
from rag.core.errors import LoadError, NoText
from rag.core.types import BlockKind, LoadedDocument


def loaded(**sheets: list[list[Any]]) -> LoadedDocument:
    workbook = Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    workbook.save(file)
    return load_bytes(file.getvalue(), Path("a.xlsx"), name="a.xlsx")


def test_each_sheet_is_a_section_and_a_page() -> None:
    found = loaded(Prices=[["Model", "EUR"], ["S1", 299]], Stock=[["Model", "Pieces"], ["S1", 12]])
    assert found.text == (
        "## Prices\n\n| Model | EUR |\n| --- | --- |\n| S1 | 299 |\n\n"
        "## Stock\n\n| Model | Pieces |\n| --- | --- |\n| S1 | 12 |\n"
    )
    assert [(block.page, block.heading_path) for block in found.blocks if block.kind is BlockKind.TABLE] == [
        (1, ("Prices",)),
        (2, ("Stock",)),
    ]


def test_cells_are_written_as_people_write_them() -> None:
    found = loaded(
        S=[["a", "b"], [12.0, 0.1 + 0.2], [date(2026, 3, 1), datetime(2026, 3, 1, 14, 30)], [True, None]]
    )
    assert "| 12 | 0.3 |\n| 2026-03-01 | 2026-03-01 14:30 |\n| yes |  |" in found.text


def test_blocks_with_an_empty_row_between_are_tables_of_their_own() -> None:
    found = loaded(S=[["Item", "Price"], ["cup", 3], [], ["Region", "Days"], ["EU", 4]])
    assert [block.kind for block in found.blocks].count(BlockKind.TABLE) == 2


def test_tables_side_by_side_are_cut_at_the_empty_column() -> None:
    found = loaded(S=[["Item", "Price", None, "Region", "Days"], ["cup", 3, None, "EU", 4]])
    assert "| Item | Price |\n" in found.text
    assert "| Region | Days |\n" in found.text


def test_a_title_above_a_table_is_no_header_row() -> None:
    found = loaded(S=[["Shipping rates 2026"], ["Region", "Days", "EUR"], ["EU", 4, 9]])
    assert "Shipping rates 2026\n\n| Region | Days | EUR |\n" in found.text


def test_an_empty_workbook_holds_no_text() -> None:
    with pytest.raises(NoText, match=r"a\.xlsx"):
        loaded(S=[])


def test_a_damaged_workbook_is_one_clear_sentence() -> None:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook")
    with pytest.raises(LoadError, match=r"a\.xlsx"):
        load_bytes(file.getvalue(), Path("a.xlsx"), name="a.xlsx")
