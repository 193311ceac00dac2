from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msoffcrypto.format.ooxml import OOXMLFile
from PIL import Image
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Inches

from ingest.loaders.registry import load_bytes
from rag.core.errors import EncryptedFile, LoadError
from rag.core.types import LoadedDocument

BOX = (Inches(1), Inches(2), Inches(4), Inches(2))


def loaded(*builds: Callable[[Any], None]) -> LoadedDocument:
    deck = Presentation()
    for build in builds:
        build(deck.slides.add_slide(deck.slide_layouts[1]))
    file = io.BytesIO()
    deck.save(file)
    return load_bytes(file.getvalue(), Path("a.pptx"), name="a.pptx")


def titled(text: str) -> Callable[[Any], None]:
    return lambda slide: setattr(slide.shapes.title, "text", text)


def test_slides_are_pages_under_their_titles() -> None:
    found = loaded(titled("Goals"), titled("Dates"))
    assert found.text == "# Goals\n\n# Dates\n\n"
    assert [(block.page, block.heading_path) for block in found.blocks] == [(1, ("Goals",)), (2, ("Dates",))]


def test_bullets_keep_their_levels() -> None:
    def build(slide: Any) -> None:
        frame = slide.placeholders[1].text_frame
        frame.text = "Grow"
        for level, text in ((1, "in Spain"), (0, "Hire")):
            paragraph = frame.add_paragraph()
            paragraph.text, paragraph.level = text, level

    assert "* Grow\n   * in Spain\n* Hire" in loaded(build).text


def test_shapes_are_read_from_top_to_bottom() -> None:
    def build(slide: Any) -> None:
        for top, text in ((5, "below"), (3, "above")):
            slide.shapes.add_textbox(Inches(1), Inches(top), Inches(2), Inches(1)).text_frame.text = text

    text = loaded(build).text
    assert text.index("above") < text.index("below")


def test_tables_and_the_data_of_charts_are_tables() -> None:
    def build(slide: Any) -> None:
        table = slide.shapes.add_table(2, 2, *BOX).table
        for at, text in enumerate(["Model", "Bar", "D3", "9"]):
            table.cell(at // 2, at % 2).text = text
        data = CategoryChartData()
        data.categories = ["Q1", "Q2"]
        data.add_series("Sales", (4.5, 6))
        slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data)

    text = loaded(build).text
    assert "| Model | Bar |\n| --- | --- |\n| D3 | 9 |" in text
    assert "|  | Sales |\n| --- | --- |\n| Q1 | 4.5 |\n| Q2 | 6 |" in text


def test_notes_and_the_words_for_pictures_are_read() -> None:
    def build(slide: Any) -> None:
        slide.notes_slide.notes_text_frame.text = "Say that prices stay."
        file = io.BytesIO()
        Image.new("RGB", (4, 4)).save(file, "PNG")
        picture = slide.shapes.add_picture(file, *BOX[:2])
        picture._element.nvPicPr.cNvPr.set("descr", "The new boiler")

    text = loaded(build).text
    assert "## Notes\n\nSay that prices stay." in text
    assert "![The new boiler](data:image/png;base64," in text


def test_a_hidden_slide_is_said_to_be_hidden() -> None:
    found = loaded(
        titled("Shown"), lambda slide: (titled("Secret")(slide), slide._element.set("show", "0"))[0]
    )
    assert found.warnings == ("slide 2 is hidden in the presentation",)


def on_blank(build: Callable[[Any], None]) -> str:
    deck = Presentation()
    build(deck.slides.add_slide(deck.slide_layouts[6]))
    file = io.BytesIO()
    deck.save(file)
    return load_bytes(file.getvalue(), Path("a.pptx"), name="a.pptx").text


def add_text(slide: Any, text: str) -> Any:
    box = slide.shapes.add_textbox(*BOX)
    box.text_frame.text = text
    return box


def test_a_slide_without_title_does_not_stand_under_the_one_before() -> None:
    assert on_blank(lambda slide: add_text(slide, "We grow.")) == "# Slide 1\n\nWe grow.\n\n"


def test_a_line_at_the_top_is_the_title_where_there_is_none() -> None:
    def build(slide: Any) -> None:
        add_text(slide, "Winter range").top = Inches(1)
        add_text(slide, "Three boilers and a stove.")

    assert on_blank(build) == "# Winter range\n\nThree boilers and a stove.\n\n"


def test_slide_numbers_dates_and_footers_are_left_out() -> None:
    def build(slide: Any) -> None:
        for kind in ("sldNum", "dt", "ftr"):
            box = add_text(slide, kind)
            place = f'<p:ph {nsdecls("p")} type="{kind}" idx="12"/>'
            box._element.nvSpPr.nvPr.append(parse_xml(place))
        add_text(slide, "kept")

    assert on_blank(build) == "# Slide 1\n\nkept\n\n"


def test_shapes_with_equations_are_read() -> None:
    def build(slide: Any) -> None:
        shape = add_text(slide, "Area ")._element
        space = "http://schemas.openxmlformats.org/officeDocument/2006/math"
        shape.txBody.p_lst[0].append(parse_xml(
            f'<a14:m xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main" xmlns:m="{space}"><m:oMathPara><m:oMath>'
            "<m:r><m:t>πr</m:t></m:r></m:oMath></m:oMathPara></a14:m>"))  # fmt: skip
        compatibility = "http://schemas.openxmlformats.org/markup-compatibility/2006"
        both = parse_xml(f'<mc:AlternateContent xmlns:mc="{compatibility}"><mc:Choice/><mc:Fallback/></mc:AlternateContent>')  # fmt: skip
        shape.addprevious(both)
        both[0].append(shape)

    assert "Area $\\pi r$" in on_blank(build)


def test_diagrams_are_lists() -> None:
    def build(slide: Any) -> None:
        spaces = 'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
        points = "".join(
            f'<dgm:pt modelId="{n}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
            for n, text in enumerate(("Plan", "Build"))
        )
        data = f"<dgm:dataModel {spaces}><dgm:ptLst>{points}</dgm:ptLst></dgm:dataModel>".encode()
        part = Part(PackURI("/ppt/diagrams/data1.xml"), "application/xml", slide.part.package, data)
        key = slide.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData")  # fmt: skip
        table = slide.shapes.add_table(1, 1, *BOX)._element
        content = table.graphic.graphicData
        content.set("uri", "http://schemas.openxmlformats.org/drawingml/2006/diagram")
        content.remove(content[0])
        content.append(parse_xml(f'<dgm:relIds {spaces} {nsdecls("r")} r:dm="{key}"/>'))

    assert "* Plan\n* Build" in on_blank(build)


def test_the_title_of_a_chart_is_said_once_and_its_numbers_as_shown() -> None:
    def build(slide: Any) -> None:
        data = CategoryChartData(number_format="0%")
        data.categories = ["2025"]
        data.add_series("Share", (0.4,))
        chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data).chart
        chart.has_title = True
        chart.chart_title.text_frame.text = "Market share"

    text = on_blank(build)
    assert text.count("Market share") == 1
    assert "| 2025 | 40% |" in text


def rewritten(change: Callable[[str, bytes], bytes | None]) -> LoadedDocument:
    """A deck of two slides, each of whose parts went through ``change``; None leaves the part out."""
    deck = Presentation()
    for title, body in (("First", "Ready by noon"), ("Second", "Paid in May")):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, body
    saved, file = io.BytesIO(), io.BytesIO()
    deck.save(saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
    return load_bytes(file.getvalue(), Path("a.pptx"), name="a.pptx")


WHOLE = "# First\n\nReady by noon\n\n# Second\n\nPaid in May\n\n"


@pytest.mark.parametrize("kind", ["slideshow", "template"])
def test_slide_shows_and_templates_are_read_as_presentations(kind: str) -> None:
    found = rewritten(lambda _, data: data.replace(b"presentation.main+xml", kind.encode() + b".main+xml"))
    assert (found.text, found.warnings) == (WHOLE, ())


def test_strict_ooxml_is_read() -> None:
    namespaces = (
        (
            b"http://schemas.openxmlformats.org/officeDocument/2006/",
            b"http://purl.oclc.org/ooxml/officeDocument/",
        ),
        (b"http://schemas.openxmlformats.org/drawingml/2006/", b"http://purl.oclc.org/ooxml/drawingml/"),
        (
            b"http://schemas.openxmlformats.org/presentationml/2006/main",
            b"http://purl.oclc.org/ooxml/presentationml/main",
        ),
    )

    def strict(_: str, data: bytes) -> bytes:
        for usual, other in namespaces:
            data = data.replace(usual, other)
        return data

    assert rewritten(strict).text == WHOLE


def test_a_damaged_part_costs_no_more_than_itself() -> None:
    cut = rewritten(lambda name, data: data[: len(data) // 2] if "slideLayout2.xml" in name else data)
    assert cut.text == WHOLE
    assert any("slideLayout2.xml is damaged" in warning for warning in cut.warnings)
    lost = rewritten(lambda name, data: None if name == "ppt/slides/slide1.xml" else data)
    assert lost.text == "# Second\n\nPaid in May\n\n"
    assert lost.blocks[0].page == 2
    assert lost.warnings == ("slide 1 is damaged and cannot be read",)


def test_a_presentation_that_lists_nothing_is_one_clear_sentence() -> None:
    with pytest.raises(LoadError, match=r"^a\.pptx is a damaged presentation; open and save it anew\.$"):
        rewritten(lambda name, data: None if name == "_rels/.rels" else data)


def test_an_encrypted_presentation_opens_with_its_password_only() -> None:
    deck, plain, locked = Presentation(), io.BytesIO(), io.BytesIO()
    deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = "Secret"
    deck.save(plain)
    OOXMLFile(plain).encrypt("s3same", locked)
    data, path = locked.getvalue(), Path("a.pptx")
    assert load_bytes(data, path, name="a.pptx", passwords=["wrong", "s3same"]).text == "# Secret\n\n"
    with pytest.raises(EncryptedFile, match="--password-file"):
        load_bytes(data, path, name="a.pptx", passwords=["wrong"])
