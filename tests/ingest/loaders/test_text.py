from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.text import TextLoader, decode, line_spans, text_blocks
from rag.core.types import BlockKind


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Grüße aus Köln, der Öltank muß geleert werden."),
        ("cp1252", "It’s “quoted” – and done… for £5"),
        ("cp1252", "Le garçon a mangé une crêpe à côté de la forêt."),
        ("mac_roman", "Le garçon a mangé une crêpe à côté de la forêt."),
        ("cp850", "Grüße aus Köln, größer"),
        ("cp1250", "Pompę należy smarować co sześć miesięcy, źródło."),
        ("iso-8859-2", "Pompę należy smarować co sześć miesięcy, źródło."),
        ("cp1254", "Pompanın her altı ayda bir yağlanması gerekir, şöyle."),
        ("cp1251", "Насос нужно смазывать каждые шесть месяцев."),
        ("koi8-r", "Инструкция по эксплуатации насоса"),
        ("cp866", "Инструкция по эксплуатации насоса"),
        ("cp1253", "Η αντλία χρειάζεται λάδι κάθε έξι μήνες."),
        ("cp1255", "יש לשמן את המשאבה כל שישה חודשים."),
        ("cp932", "名前,年齢,住所\n佐藤太郎,30,東京\n"),
        ("euc-jp", "ポンプは六か月ごとに給油してください。"),
        ("iso2022_jp", "ポンプは六か月ごとに給油してください。"),
        ("gb18030", "姓名,地址\n张三,北京\n"),
        ("big5", "繁體中文的說明書，請參閱。"),
        ("euc-kr", "펌프는 6개월마다 기름칠해야 합니다."),
        ("utf-8-sig", "Grüße"),
        ("utf-16", "Grüße"),
        ("utf-16-le", "Насос нужно смазывать каждые шесть месяцев."),
        ("utf-16-be", "The pump needs oil."),
        ("utf-32", "Grüße"),
    ],
)
def test_the_encoding_of_a_single_line_is_found(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_damage_in_utf8_is_not_another_encoding() -> None:
    damaged = ("Größe und Maß über alles. " * 20).encode() + b"\xff end"
    assert decode(damaged).endswith("� end") and "Größe" in decode(damaged)


def test_the_text_is_the_file_itself() -> None:
    text = "Oil\r\n\r\nEvery six\r\nmonths.\r\n\r\n- one\r\n- two\r\n\fPage two.\r\n"
    loaded = TextLoader().load(Path("a.txt"), text.encode())
    assert loaded.text == text and loaded.title == "Oil"
    assert [(b.kind, text[b.start : b.end], b.page) for b in loaded.blocks] == [
        (BlockKind.HEADING, "Oil", 1),
        (BlockKind.PARAGRAPH, "Every six\r\nmonths.", 1),
        (BlockKind.LIST, "- one\r\n- two", 1),
        (BlockKind.PARAGRAPH, "Page two.", 2),
    ]


def test_a_first_sentence_is_no_title() -> None:
    assert all(b.kind is BlockKind.PARAGRAPH for b in text_blocks("It is hot today.\n\nVery."))


def test_lines_end_in_any_way() -> None:
    text = "a\r\nb\rc\n\nd"
    assert [text[start:end] for start, end in line_spans(text)] == ["a", "b", "c", "", "d"]
