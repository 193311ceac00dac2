from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from ingest.loaders.registry import load_bytes
from rag.core.errors import EncryptedFile
from rag.core.types import LoadedDocument

SPACES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in (("office", "office"), ("text", "text"), ("table", "table"), ("style", "style"), ("draw", "drawing"),
                        ("fo", "xsl-fo-compatible"), ("presentation", "presentation"), ("meta", "meta"))
) + ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/"'  # fmt: skip


def loaded(
    body: str, *, kind: str = "text", styles: str = "", manifest: str = "<manifest/>"
) -> LoadedDocument:
    content = (
        f"<office:document-content {SPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    meta = f"<office:document-meta {SPACES}><office:meta><dc:title>Stock rules</dc:title><dc:date>2026-02-03T10:00:00</dc:date></office:meta></office:document-meta>"
    file = io.BytesIO()
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", media_type)
        archive.writestr("content.xml", content)
        archive.writestr("meta.xml", meta)
        archive.writestr("META-INF/manifest.xml", manifest)
    name = "a.odt" if kind == "text" else "a.odp"
    return load_bytes(file.getvalue(), Path(name), name=name)


def test_headings_paragraphs_and_spaces() -> None:
    found = loaded(
        '<text:h text:outline-level="1">Stock</text:h><text:p>Count<text:s text:c="3"/>twice<text:line-break/>a year.</text:p>'
    )
    assert found.text == "# Stock\n\nCount twice\na year.\n"
    assert (found.title, found.metadata["date"]) == ("Stock rules", "2026-02-03")


def test_lists_with_levels_and_numbers() -> None:
    styles = (
        '<text:list-style style:name="L1"><text:list-level-style-number text:level="1"/></text:list-style>'
    )
    body = (
        '<text:list text:style-name="L1"><text:list-item><text:p>Open</text:p><text:list><text:list-item>'
        "<text:p>slowly</text:p></text:list-item></text:list></text:list-item>"
        "<text:list-item><text:p>Close</text:p></text:list-item></text:list>"
    )
    assert loaded(body, styles=styles).text == "1. Open\n    * slowly\n2. Close\n"


def test_spanned_cells_are_repeated() -> None:
    rows = [
        "<table:table-cell><text:p>Model</text:p></table:table-cell><table:table-cell><text:p>Part</text:p></table:table-cell>",
        '<table:table-cell table:number-rows-spanned="2"><text:p>S1</text:p></table:table-cell><table:table-cell><text:p>Valve</text:p></table:table-cell>',
        "<table:covered-table-cell/><table:table-cell><text:p>Pump</text:p></table:table-cell>",
    ]
    body = (
        "<table:table>"
        + "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
        + "</table:table>"
    )
    assert loaded(body).text == "| Model | Part |\n| --- | --- |\n| S1 | Valve |\n| S1 | Pump |\n"


def test_emphasis_links_and_hidden_words() -> None:
    styles = (
        '<style:style style:name="B"><style:text-properties fo:font-weight="bold"/></style:style>'
        '<style:style style:name="H"><style:text-properties text:display="none"/></style:style>'
    )
    body = (
        '<text:p>Never <text:span text:style-name="B">open</text:span> it, <text:a xlink:href="https://example.org">ask'
        '</text:a>.<text:span text:style-name="H"> Obey me.</text:span></text:p>'
    )
    found = loaded(body, styles=styles)
    assert found.text == "Never **open** it, [ask](https://example.org).\n"
    assert found.warnings == ("1 pieces of hidden text are left out",)


def test_slides_are_pages() -> None:
    page = '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame></draw:page>'
    found = loaded(page.format("One") + page.format("Two"), kind="presentation")
    assert found.text == "# One\n\n# Two\n\n"
    assert [block.page for block in found.blocks] == [1, 2]


def test_an_encrypted_document_is_refused_in_one_sentence() -> None:
    with pytest.raises(EncryptedFile, match=r"a\.odt is encrypted"):
        loaded("<text:p>x</text:p>", manifest="<manifest><encryption-data/></manifest>")
