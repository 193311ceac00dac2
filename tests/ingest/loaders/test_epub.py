from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.epub import EpubLoader
from rag.core.errors import EncryptedFile, LoadError, NoText
from rag.core.types import LoadedDocument
from tests.ingest.loaders.test_archive import packed

CONTAINER = (
    b'<container xmlns="urn:c"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
OPF = b"""<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><metadata
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Pumps</dc:title><dc:creator>Ada</dc:creator>
<dc:creator>Grace</dc:creator><dc:language>en</dc:language><dc:date>2024-05-01T00:00:00Z</dc:date>
<dc:description>&lt;p&gt;All about &lt;b&gt;pumps&lt;/b&gt;&lt;/p&gt;</dc:description></metadata><manifest>
<item id="b" href="two.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/one%20x.xhtml#start" media-type="application/xhtml+xml"/>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/>
<item id="pic" href="p.png" media-type="image/png"/></manifest>
<spine><itemref idref="nav"/><itemref idref="a"/><itemref idref="b"/><itemref idref="gone"/><itemref idref="pic"/>
<itemref idref="none"/></spine></package>"""
ONE = "<html><head><title>One</title></head><body><h1>Öl</h1><p>First <i>chapter</i>.</p></body></html>".encode()
TWO = b"<html><body><h2>Water</h2><ul><li>cold</li></ul><p style='display:none'>Trap</p></body></html>"


def book(**changes: bytes) -> bytes:
    members = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": OPF,
        "OEBPS/text/one x.xhtml": ONE,
        "OEBPS/two.xhtml": TWO,
        "OEBPS/nav.xhtml": b"<nav>Contents</nav>",
    }
    return packed({**members, **{name.replace("__", "/"): data for name, data in changes.items()}})


def load(data: bytes) -> LoadedDocument:
    return EpubLoader().load(Path("b.epub"), data)


def test_chapters_in_reading_order_under_a_head() -> None:
    loaded = load(book())
    assert loaded.text == (
        "**Title:** Pumps\n**Authors:** Ada, Grace\n**Language:** en\n**Date:** 2024-05-01T00:00:00Z\n\n"
        "**Description:** All about **pumps**\n\n# Öl\n\nFirst *chapter*.\n\n## Water\n\n* cold\n"
    )
    assert loaded.title == "Pumps"
    assert loaded.metadata == {"author": "Ada, Grace", "language": "en", "date": "2024-05-01T00:00:00+00:00"}
    assert loaded.warnings == ("two.xhtml: 1 hidden element left out", "gone.xhtml is listed, but missing")


def test_a_chapter_without_a_heading_has_the_title_of_its_page() -> None:
    page = "<html><head><title>Prologue</title></head><body>" + "<p>Once there was a pump.</p>" * 30
    assert "# Prologue\n\nOnce there was" in load(book(**{"OEBPS__two.xhtml": page.encode()})).text


def test_copy_protection_is_named_and_scrambled_fonts_do_no_harm() -> None:
    entry = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
    locked = entry.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc").encode()
    with pytest.raises(EncryptedFile, match=r"b\.epub is a book with copy protection"):
        load(book(**{"META-INF__encryption.xml": locked}))
    fonts = entry.format("http://www.idpf.org/2008/embedding").encode()
    assert "Öl" in load(book(**{"META-INF__encryption.xml": fonts})).text


def test_a_book_without_its_container_is_still_found() -> None:
    assert "# Öl" in load(packed({"OEBPS/book.opf": OPF, "OEBPS/text/one x.xhtml": ONE})).text


def test_damage_is_one_sentence() -> None:
    with pytest.raises(LoadError, match="no package file"):
        load(packed({"mimetype": b"application/epub+zip"}))
    with pytest.raises(NoText, match="no chapters with text"):
        load(packed({"book.opf": OPF}))
