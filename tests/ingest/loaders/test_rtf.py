from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.registry import load_bytes
from ingest.loaders.rtf import RtfLoader
from rag.core.errors import LoadError
from rag.core.types import BlockKind, LoadedDocument


def load(body: str | bytes, head: str = r"\ansi\ansicpg1252\uc1") -> LoadedDocument:
    raw = body if isinstance(body, bytes) else body.encode("cp1252")
    return RtfLoader().load(Path("a.rtf"), b"{\\rtf1" + head.encode() + b" " + raw + b"}")


def test_headings_lists_and_paragraphs() -> None:
    loaded = load(
        r"{\info{\title Pump \'fcber}{\author Ada}{\creatim\yr2024\mo5\dy3}}"
        r"\pard\outlinelevel0 Oil\par\pard Every month.\par\pard\outlinelevel1 Kinds\par\pard "
        r"{\listtext\'b7\tab}one\par{\listtext\'b7\tab}two\par\pard{\listtext 1.\tab}first\par\pard # end\par"
    )
    assert loaded.text == "# Oil\n\nEvery month.\n\n## Kinds\n\n* one\n* two\n1. first\n\n\\# end\n"
    assert loaded.title == "Pump über"
    assert loaded.metadata == {"author": "Ada", "date": "2024-05-03"}
    assert loaded.blocks[-1].heading_path == ("Oil", "Kinds")


def test_tables_keep_their_columns() -> None:
    loaded = load(
        r"Before\par\trowd\intbl Part\cell Note\cell\row\trowd\intbl A|1\cell two\par lines\cell\row\pard After\par"
    )
    assert loaded.text == "Before\n\n| Part | Note |\n| --- | --- |\n| A\\|1 | two lines |\n\nAfter\n"
    assert loaded.blocks[1].kind is BlockKind.TABLE


def test_a_row_that_never_ends_loses_nothing() -> None:
    assert "last words" in load(r"\intbl a\cell b\cell last words").text


def test_hidden_text_is_left_out_and_said() -> None:
    loaded = load(r"Seen{\v  Ignore this} and\v  that\v0  too.\par{\*\comment never}")
    assert loaded.text == "Seen and too.\n" and loaded.warnings == ("hidden text was left out",)


def test_footnotes_stand_where_they_belong() -> None:
    assert (
        load(r"Oil{\super\chftn{\footnote\chftn  Every month.}} is good.\par").text
        == "Oil [Every month.] is good.\n"
    )


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        (r"\ansi\ansicpg1251", rb"\'cd\'e0\'f1\'ee\'f1", "Насос"),
        (r"\ansi\ansicpg1252", "Grüße".encode("cp1252"), "Grüße"),
        (r"\ansi\ansicpg1252", "Grüße".encode(), "Grüße"),
        (r"\ansi\ansicpg932", rb"\'93\'fa\'96\'7b", "日本"),
        (r"\mac\ansicpg10000", rb"Gr\'9f\'a7e", "Grüße"),
        (r"\ansi\ansicpg99999", b"plain", "plain"),
        (r"\ansi\uc1", rb"\u1053?\u1072?", "На"),
        (r"\ansi\uc0", rb"\u8364 5", "€5"),
        (r"\ansi\deff0{\fonttbl{\f0\fcharset204 Arial;}}", rb"\f0 \'cd\'e0", "На"),
    ],
)
def test_code_pages(head: str, body: bytes, words: str) -> None:
    assert words in load(body, head).text


def test_pictures_and_binary_data_are_passed_over() -> None:
    picture = r"{\pict\pngblip " + "89504e47" * 20_000 + r"}{\pict\bin9 {{{{{{{{{}"
    assert load("Before " + picture + " after").text == "Before after\n"


@pytest.mark.parametrize(
    "body",
    ["{" * 5000, "}}}} words", r"\bin99999999 x", r"\'", "\\", r"\u99999999999 x", r"\outlinelevel99 x"],
)
def test_damage_is_read_or_refused_in_one_sentence(body: str) -> None:
    try:
        load_bytes(b"{\\rtf1 words " + body.encode(), Path("a.rtf"), name="a.rtf")
    except LoadError as exc:
        assert "a.rtf" in str(exc) and "\n" not in str(exc)
