from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from ingest.loaders.registry import load_bytes
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
