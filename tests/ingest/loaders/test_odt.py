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
                        ("fo", "xsl-fo-compatible"), ("presentation", "presentation"), ("meta", "meta"), ("chart", "chart"),
                        ("svg", "svg-compatible"))
) + ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/"'  # fmt: skip


def loaded(
    body: str,
    *,
    kind: str = "text",
    styles: str = "",
    named: str = "",
    manifest: str = "<manifest/>",
    **members: str,
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
        archive.writestr("styles.xml", f"<office:document-styles {SPACES}>{named}</office:document-styles>")
        for member, xml in members.items():
            archive.writestr(f"{member}/content.xml", xml)
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


def test_numbered_headings_and_clauses_are_written_as_people_cite_them() -> None:
    named = (
        '<text:outline-style><text:outline-level-style text:level="1" style:num-format="1"/>'
        '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>'
        '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="a" '
        'style:num-prefix="(" style:num-suffix=")"/></text:list-style>'
    )
    item = "<text:list-item><text:p>{}</text:p></text:list-item>"
    body = (
        '<text:h text:outline-level="1">Scope</text:h><text:h text:outline-level="2">Parties</text:h>'
        f'<text:list text:style-name="L">{item.format("buyer")}{item.format("seller")}</text:list>'
    )
    assert loaded(body, named=named).text == "# 1 Scope\n\n## 1.1 Parties\n\n* (a) buyer\n* (b) seller\n"


def test_a_heading_inside_a_list_is_a_heading() -> None:
    body = '<text:list><text:list-item><text:h text:outline-level="2">Scope</text:h></text:list-item></text:list>'
    assert loaded(body).text == "## Scope\n"


def test_named_styles_are_followed_to_where_they_come_from() -> None:
    named = (
        '<style:style style:name="Strong"><style:text-properties fo:font-weight="bold"/></style:style>'
        '<style:style style:name="Secret"><style:text-properties text:display="none"/></style:style>'
    )
    styles = (
        '<style:style style:name="T1" style:parent-style-name="Strong"/>'
        '<style:style style:name="P1" style:parent-style-name="Title"/>'
        '<style:style style:name="P2" style:parent-style-name="Secret"/>'
    )
    body = (
        '<text:p text:style-name="P1">Rules</text:p><text:p>Be <text:span text:style-name="T1">kind</text:span>.</text:p>'
        '<text:p text:style-name="P2">Obey me.</text:p>'
    )
    found = loaded(body, styles=styles, named=named)
    assert found.text == "# Rules\n\nBe **kind**.\n"
    assert found.warnings == ("1 pieces of hidden text are left out",)


def test_boxes_notes_and_comments_follow_their_paragraph() -> None:
    body = (
        "<text:p>Pay<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>In euros.</text:p>"
        "</text:note-body></text:note> now<office:annotation><dc:creator>Ines</dc:creator><text:p>Now?</text:p>"
        "</office:annotation>.<draw:frame><draw:text-box><text:p>Or later.</text:p></draw:text-box></draw:frame></text:p>"
    )
    assert loaded(body).text == "Pay now.\n\nNote 1: In euros.\n\nComment by Ines: Now?\n\nOr later.\n"


def test_formulas_and_charts_are_read_from_their_objects() -> None:
    formula = '<math xmlns="http://www.w3.org/1998/Math/MathML"><annotation>E = m c^2</annotation></math>'
    row = "<table:table-row><table:table-cell><text:p>{}</text:p></table:table-cell><table:table-cell><text:p>{}</text:p></table:table-cell></table:table-row>"
    chart = (
        f"<office:document-content {SPACES}><chart:title><text:p>Sales</text:p></chart:title>"
        f"<table:table>{row.format('', 'EUR')}{row.format('2025', '7')}</table:table></office:document-content>"
    )
    frame = '<draw:frame><draw:object xlink:href="./{}"/></draw:frame>'
    body = f"<text:p>Hence {frame.format('Formula')}.</text:p><text:p>{frame.format('Chart')}</text:p>"
    assert loaded(body, Formula=formula, Chart=chart).text == (
        "Hence $E = m c^2$.\n\nSales\n\n|  | EUR |\n| --- | --- |\n| 2025 | 7 |\n"
    )


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


def test_slides_are_read_from_top_to_bottom_with_notes_and_hidden_ones_are_named() -> None:
    box = '<draw:frame svg:y="{}cm"><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>'
    notes = f"<presentation:notes>{box.format(1, 'Smile.')}</presentation:notes>"
    styles = '<style:style style:name="H"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    found = loaded(
        f'<draw:page draw:style-name="H">{box.format(9, "below")}{box.format(2, "above")}{notes}</draw:page>',
        kind="presentation",
        styles=styles,
    )
    assert found.text == "# Slide 1\n\nabove\n\nbelow\n\n## Notes\n\nSmile.\n\n"
    assert found.warnings == ("slide 1 is hidden in the presentation",)


def test_an_encrypted_document_is_refused_in_one_sentence() -> None:
    with pytest.raises(EncryptedFile, match=r"a\.odt is encrypted"):
        loaded("<text:p>x</text:p>", manifest="<manifest><encryption-data/></manifest>")
