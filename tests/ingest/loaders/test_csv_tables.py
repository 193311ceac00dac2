from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.csv_tables import CsvLoader
from rag.core.errors import LoadError
from rag.core.types import BlockKind, LoadedDocument

TABLE = "| Part | Price |\n| --- | --- |\n| Seal | 3.50 |\n| O-ring | 1 |"


def load(text: str | bytes) -> LoadedDocument:
    return CsvLoader().load(Path("t.csv"), text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    loaded = load("Part,Price\nSeal,3.50\nO-ring,1\n".replace(",", delimiter))
    assert loaded.text == TABLE + "\n"
    assert [b.kind for b in loaded.blocks] == [BlockKind.TABLE]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "mac_roman"])
def test_any_encoding(encoding: str) -> None:
    assert "| Größe | Maß |" in load("Größe;Maß\nä;ö\n".encode(encoding)).text


def test_a_declared_separator_is_not_part_of_the_table() -> None:
    assert load("sep=;\r\nPart;Price\r\nSeal;3.50\r\nO-ring;1\r\n").text == TABLE + "\n"


def test_quoted_cells_keep_commas_lines_and_quotes() -> None:
    text = load('a,b\n"x, y","two\nlines"\n"say ""hi""",p|q\n').text
    assert "| x, y | two lines |" in text and '| say "hi" | p\\|q |' in text


def test_a_decimal_comma_is_no_delimiter() -> None:
    assert "| Seal | 3,50 |" in load("Part;Price\nSeal;3,50\nO-ring;1,00\n").text


def test_titles_above_the_table_are_text() -> None:
    text = load("Price list 2024,,\nPart,Price,Unit\nSeal,3,EUR\nRing,1,EUR\n").text
    assert text.startswith("Price list 2024\n\n| Part | Price | Unit |")


def test_uneven_rows_lose_nothing_and_are_reported() -> None:
    loaded = load("a,b\n1\n1,2,3\n")
    assert "| 1 | 2 | 3 |" in loaded.text
    assert loaded.warnings == ("2 of 3 rows have another number of cells than the first",)


def test_a_single_column_is_a_table() -> None:
    assert load("Name\nAda\nGrace\n").text == "| Name |\n| --- |\n| Ada |\n| Grace |\n"


def test_blank_files_and_absurd_widths_are_refused_in_one_sentence() -> None:
    with pytest.raises(LoadError, match=r"t\.csv holds no table"):
        load("\n \n")
    with pytest.raises(LoadError, match=r"t\.csv holds no table"):
        load(",,\n,,\n")
    with pytest.raises(LoadError, match="3001 columns"):
        load("," * 3000 + "\n")
