from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.safe_xml import parse_ooxml, parse_xml
from rag.core.errors import LoadError

LAUGHS = '<!DOCTYPE l [<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
)


def test_a_bomb_of_entities_is_refused() -> None:
    with pytest.raises(LoadError, match="defines XML entities"):
        parse_xml((LAUGHS + "]><l>&a9;</l>").encode(), "x.xml")


def test_a_bomb_in_utf16_is_refused_too() -> None:
    with pytest.raises(LoadError, match="defines XML entities"):
        parse_xml(
            ('<?xml version="1.0" encoding="utf-16"?>' + LAUGHS + "]><l>&a9;</l>").encode("utf-16"), "x.xml"
        )


def test_entities_that_stand_late_are_not_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret")
    padded = f'<!DOCTYPE l [<!--{" " * 200_000}--><!ENTITY x SYSTEM "file://{secret}">]><l>&x;word</l>'
    try:
        text = "".join(map(str, parse_xml(padded.encode(), "x.xml").itertext()))
    except LoadError:
        return
    assert "top secret" not in text


def test_damage_is_mended_where_it_can_be() -> None:
    assert parse_xml(b"<a><b>word</a>", "x").findtext("b") == "word"
    with pytest.raises(LoadError, match=r"x holds no XML|x is not well-formed"):
        parse_xml(b"no markup at all", "x")


def test_strict_documents_have_the_same_names() -> None:
    strict = b'<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"/>'
    assert parse_ooxml(strict, "x").tag == (
        "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}document"
    )
