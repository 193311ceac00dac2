from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from msoffcrypto.format.ooxml import OOXMLFile
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from ingest.loaders.ooxml_numbers import formatted, parse_format
from ingest.loaders.registry import load_bytes
from ingest.loaders.sheets import SheetsLoader
from rag.core.errors import EncryptedFile, LoadError, NoText
from rag.core.types import BlockKind, LoadedDocument


def built(build: Callable[[Any, Any], None]) -> LoadedDocument:
    workbook = Workbook()
    build(workbook, workbook.active)
    file = io.BytesIO()
    workbook.save(file)
    return load_bytes(file.getvalue(), Path("a.xlsx"), name="a.xlsx")


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


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (0.15, "0%", "15%"),
        (0.125, "0%", "12.5%"),
        (19.9, '"$"#,##0.00', "$19.90"),
        (-1234.5, "#,##0.00 [$€-407]", "-1234.50 €"),
        (420, "00000", "00420"),
        (12, '0" kg"', "12 kg"),
        (0.0012, "0.00", "0.0012"),
        (3.0, "0.00;[Red]-0.00", "3.00"),
    ],
)
def test_numbers_are_shown_in_their_format(value: float, code: str, expected: str) -> None:
    how = parse_format(code)
    assert how is not None
    assert formatted(value, how) == expected


@pytest.mark.parametrize("code", ["General", "0", "#,##0", "yyyy-mm-dd", "# ?/?", "0.00E+00", "0,", "@"])
def test_other_formats_leave_the_number_as_it_is(code: str) -> None:
    assert parse_format(code) is None


def test_a_percentage_in_a_cell_is_read_as_one() -> None:
    def build(_: Any, sheet: Any) -> None:
        sheet["B2"], sheet["C2"], sheet["B3"], sheet["C3"] = "Plan", "Discount", "Basic", 0.15
        sheet["C3"].number_format = "0%"

    assert "| Basic | 15% |" in built(build).text


def test_merged_cells_name_each_column_and_row_that_they_cover() -> None:
    def build(_: Any, sheet: Any) -> None:
        for row in (["Region", 2025, None, 2026, None], [None, "Q1", "Q2", "Q1", "Q2"],
                    ["EU", 1, 2, 3, 4], [None, 5, 6, 7, 8]):  # fmt: skip
            sheet.append(row)
        for span in ("A1:A2", "B1:C1", "D1:E1", "A3:A4"):
            sheet.merge_cells(span)

    assert built(build).text == (
        "## Sheet\n\n| Region | 2025 / Q1 | 2025 / Q2 | 2026 / Q1 | 2026 / Q2 |\n| --- | --- | --- | --- | --- |\n"
        "| EU | 1 | 2 | 3 | 4 |\n| EU | 5 | 6 | 7 | 8 |\n"
    )


def test_rows_of_numbers_alone_have_no_header() -> None:
    assert "|  |  |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |" in loaded(S=[[1, 2], [3, 4]]).text


def test_links_comments_and_charts_are_read() -> None:
    def build(_: Any, sheet: Any) -> None:
        for row in (["Year", "Sales"], ["2024", 5], ["2025", 7]):
            sheet.append(row)
        sheet["A2"].hyperlink = "https://example.org/2024"
        sheet["B3"].comment = Comment("Not audited yet", "Mara")
        chart = BarChart()
        chart.title = "Sales a year"
        chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3), titles_from_data=True)
        sheet.add_chart(chart, "D2")

    text = built(build).text
    assert "[2024](https://example.org/2024)" in text
    assert "Comment by Mara on B3: Not audited yet" in text
    assert "Sales a year" in text


def test_a_hidden_sheet_is_said_to_be_hidden() -> None:
    def build(workbook: Any, sheet: Any) -> None:
        sheet["A1"] = "shown"
        other = workbook.create_sheet("Costs")
        other["A1"], other.sheet_state = "secret", "hidden"

    found = built(build)
    assert "secret" in found.text
    assert found.warnings == ("the sheet Costs is hidden in the workbook",)


def test_a_stray_cell_at_the_far_end_costs_its_sheet_only() -> None:
    def build(workbook: Any, sheet: Any) -> None:
        sheet["A1"], sheet["XFD1048576"] = "near", "far"
        workbook.create_sheet("Good")["A1"] = "kept"

    found = built(build)
    assert "kept" in found.text
    assert "row 1,048,576 and column 16,384" in found.warnings[0]


def test_the_name_of_a_sheet_is_no_title() -> None:
    assert loaded(Sheet1=[["a", "b"], ["c", "d"]]).title is None


def test_title_and_author_are_read() -> None:
    def build(workbook: Any, sheet: Any) -> None:
        sheet["A1"] = "x"
        workbook.properties.title, workbook.properties.creator = "Price list", "Mara Lind"

    found = built(build)
    assert (found.title, found.metadata["author"]) == ("Price list", "Mara Lind")


def test_an_empty_workbook_holds_no_text() -> None:
    with pytest.raises(NoText, match=r"a\.xlsx"):
        loaded(S=[])


def test_a_workbook_that_makes_its_parser_panic_is_one_clear_sentence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    free, end = 0xFFFFFFFF, 0xFFFFFFFE
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    )
    header += struct.pack("<9I", 0, 1, 1, 0, 4096, 0, 0, end, 0) + struct.pack("<109I", 0, *[free] * 108)
    with pytest.raises(LoadError, match=r"a\.xls is a damaged workbook"):
        SheetsLoader().load(Path("a.xls"), header)
    assert capfd.readouterr().err == ""


def test_a_damaged_workbook_is_one_clear_sentence() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook")
    with pytest.raises(LoadError, match=r"a\.xlsx"):
        load_bytes(file.getvalue(), Path("a.xlsx"), name="a.xlsx")


ODS_SPACES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"' for short in ("office", "text", "table", "style")
) + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'  # fmt: skip


def ods(sheet: str, styles: str = "") -> LoadedDocument:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f"<office:document-content {ODS_SPACES}><office:automatic-styles>{styles}</office:automatic-styles><office:body>"
            f"<office:spreadsheet>{sheet}</office:spreadsheet></office:body></office:document-content>",
        )
    return load_bytes(file.getvalue(), Path("a.ods"), name="a.ods")


def ods_row(*cells: tuple[str, str], repeated: int = 1) -> str:
    shown = "".join(
        f"<table:table-cell {about}><text:p>{text}</text:p></table:table-cell>" for about, text in cells
    )
    return f'<table:table-row table:number-rows-repeated="{repeated}">{shown}</table:table-row>'


def test_open_document_cells_are_read_as_they_are_shown() -> None:
    found = ods(
        '<table:table table:name="Plans">'
        + ods_row(("", "Plan"), ("", "Since"), ("", "Discount"))
        + ods_row(
            ("", "Basic"),
            ('office:value-type="date" office:date-value="2026-03-01"', "01.03.26"),
            ('office:value-type="percentage" office:value="0.15"', "15 %"),
        )
        + ods_row(("", ""), repeated=1_000_000)
        + ods_row(("", "The end."))
        + "</table:table>"
    )
    assert found.text == (
        "## Plans\n\n| Plan | Since | Discount |\n| --- | --- | --- |\n| Basic | 2026-03-01 | 15 % |\n\nThe end.\n"
    )
    assert found.blocks[-1].page == 1


def test_open_document_merged_cells_comments_and_hidden_sheets() -> None:
    found = ods(
        '<table:table table:name="Costs" table:style-name="H">'
        + ods_row(("", "Region"), ('table:number-columns-spanned="2"', "2026"), ("", ""))
        + ods_row(("", ""), ("", "Q1"), ("", "Q2"))
        + '<table:table-row><table:table-cell table:number-columns-repeated="3"><office:annotation><dc:creator>Ines</dc:creator>'
        "<text:p>Sure?</text:p></office:annotation><text:p>7</text:p></table:table-cell></table:table-row></table:table>",
        '<style:style style:name="H"><style:table-properties table:display="false"/></style:style>',
    )
    assert "| Region | 2026 / Q1 | 2026 / Q2 |\n| --- | --- | --- |\n| 7 | 7 | 7 |" in found.text
    assert "Comment by Ines on A3: Sure?" in found.text
    assert found.warnings == ("the sheet Costs is hidden in the workbook",)


def test_an_encrypted_workbook_opens_with_its_password_only() -> None:
    book, plain, locked = Workbook(), io.BytesIO(), io.BytesIO()
    book.active["A1"] = "Secret"
    book.save(plain)
    OOXMLFile(plain).encrypt("s3same", locked)
    data, path = locked.getvalue(), Path("a.xlsx")
    assert "Secret" in load_bytes(data, path, name="a.xlsx", passwords=["wrong", "s3same"]).text
    with pytest.raises(EncryptedFile, match="--password-file"):
        load_bytes(data, path, name="a.xlsx", passwords=["wrong"])
