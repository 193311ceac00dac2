"""Build the binary documents of the sample corpus from the texts in data/src/.

    python data/build_corpus.py [FOLDER]      (default: data/corpus)

data/src/hr/travel-policy.docx.md becomes FOLDER/hr/travel-policy.docx. The sources are a small subset of Markdown:
headings, paragraphs, "- " bullets, pipe tables and "---" (a new page). A workbook has a "## " heading for each sheet,
a deck one for each slide, and "> " holds the speaker's notes. Every date is fixed, so that the same versions of the
libraries write the same bytes.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
CORPUS = HERE / "corpus"
COMPANY = "Perlwick Espresso GmbH"
ZIP_DATE = (2026, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Block:
    kind: str  # title | heading | subheading | paragraph | bullet | table | notes | page
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    meta: dict[str, str]
    blocks: list[Block]

    @property
    def title(self) -> str:
        return next(block.text for block in self.blocks if block.kind == "title")

    @property
    def date(self) -> datetime:
        return datetime.fromisoformat(self.meta["date"])


PREFIXES = {"# ": "title", "## ": "heading", "### ": "subheading", "- ": "bullet", "> ": "notes"}


def read_source(path: Path) -> Source:
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    pairs = (line.split(":", 1) for line in front.splitlines())
    return Source({key.strip(): value.strip() for key, value in pairs}, list(parse(body)))


def parse(body: str) -> Iterator[Block]:
    """Blocks in order; lines that follow one another without an empty line are one paragraph."""
    open_block: Block | None = None
    for line in [*body.splitlines(), ""]:
        prefix = next((known for known in PREFIXES if line.startswith(known)), None)
        if line.startswith("|"):
            if open_block is None or open_block.kind != "table":
                if open_block:
                    yield open_block
                open_block = Block("table")
            cells = [cell.strip() for cell in line.strip("|\n").split("|")]
            if not all(set(cell) <= set("-: ") and cell for cell in cells):
                open_block.rows.append(cells)
        elif not line or line == "---" or prefix:
            if open_block:
                yield open_block
            open_block = Block(PREFIXES[prefix], line[len(prefix) :]) if prefix else None
            if line == "---":
                yield Block("page")
        elif open_block and open_block.kind in ("paragraph", "bullet", "notes"):
            open_block.text += " " + line.strip()
        else:
            if open_block:
                yield open_block
            open_block = Block("paragraph", line)


def write_pdf(source: Source, path: Path) -> None:
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.lib.units import mm
    from reportlab.platypus import (
        BaseDocTemplate,
        Frame,
        PageBreak,
        PageTemplate,
        Paragraph,
        Spacer,
        Table,
        TableStyle,
    )

    styles = getSampleStyleSheet()
    style_of = {
        "title": styles["Title"],
        "heading": styles["Heading1"],
        "subheading": styles["Heading2"],
        "paragraph": styles["BodyText"],
    }
    cell, head = styles["BodyText"].clone("cell", fontSize=9), styles["BodyText"].clone("head", fontSize=9)
    head.fontName = "Helvetica-Bold"

    class Pages(BaseDocTemplate):
        """Adds an entry to the outline for each heading that it sets."""

        def afterFlowable(self, flowable: Any) -> None:
            level = {"Title": 0, "Heading1": 1, "Heading2": 2}.get(
                getattr(getattr(flowable, "style", None), "name", "")
            )
            if level is not None:
                text = flowable.getPlainText()
                key = f"{self.page}-{level}-{text}"
                self.canv.bookmarkPage(key)
                self.canv.addOutlineEntry(text, key, level)

    def furniture(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont("Helvetica", 8)
        canvas.drawString(20 * mm, 285 * mm, f"{COMPANY} - {source.title}")
        canvas.drawRightString(190 * mm, 12 * mm, f"Page {document.page}")
        canvas.restoreState()

    story: list[Any] = []
    for block in source.blocks:
        if block.kind == "page":
            story.append(PageBreak())
        elif block.kind == "bullet":
            story.append(Paragraph(escape(block.text), styles["BodyText"], bulletText="\u2022"))
        elif block.kind == "table":
            rows = [
                [Paragraph(escape(text), head if n == 0 else cell) for text in row]
                for n, row in enumerate(block.rows)
            ]
            table = Table(rows, colWidths=[170 * mm / len(rows[0])] * len(rows[0]), repeatRows=1)
            table.setStyle(
                TableStyle(
                    [
                        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
                        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                        ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ]
                )
            )
            story += [Spacer(1, 2 * mm), table, Spacer(1, 4 * mm)]
        else:
            story.append(Paragraph(escape(block.text), style_of[block.kind]))
    pages = Pages(
        str(path),
        pagesize=A4,
        invariant=1,  # no random id
        title=source.title,
        author=source.meta["author"],
        subject=source.meta["department"],
        lang="en",
    )
    frame = Frame(20 * mm, 18 * mm, 170 * mm, 262 * mm)
    pages.addPageTemplates(PageTemplate(frames=[frame], onPage=furniture))
    with clock_at(source.date):
        pages.build(story)


@contextmanager
def clock_at(date: datetime) -> Iterator[None]:
    """ReportLab takes the date of the file from this variable only."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(date.replace(tzinfo=UTC).timestamp()))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def write_docx(source: Source, path: Path) -> None:
    from docx import Document

    document = Document()
    stamp(document.core_properties, source)
    for block in source.blocks:
        if block.kind == "page":
            document.add_page_break()
        elif block.kind == "table":
            table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
            for row in block.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        elif block.kind in ("title", "heading", "subheading"):
            document.add_heading(block.text, {"title": 0, "heading": 1, "subheading": 2}[block.kind])
        else:
            document.add_paragraph(block.text, style="List Bullet" if block.kind == "bullet" else None)
    document.save(str(path))
    fix_zip_dates(path)


def write_pptx(source: Source, path: Path) -> None:
    from pptx import Presentation
    from pptx.util import Cm, Pt

    deck = Presentation()
    stamp(deck.core_properties, source)
    slide: Any = None
    for block in source.blocks:
        if block.kind == "title":
            slide = deck.slides.add_slide(deck.slide_layouts[0])
            slide.shapes.title.text = block.text
            slide.placeholders[1].text = f"{source.meta['department']}, {source.meta['date']}"
        elif block.kind == "heading":
            slide = deck.slides.add_slide(deck.slide_layouts[1])
            slide.shapes.title.text = block.text
        elif block.kind == "table":
            slide.placeholders[1].height = Cm(3)
            shape = slide.shapes.add_table(
                len(block.rows), len(block.rows[0]), Cm(1.5), Cm(8), Cm(22), Cm(1) * len(block.rows)
            )
            for y, row in enumerate(block.rows):
                for x, text in enumerate(row):
                    shape.table.cell(y, x).text = text
                    shape.table.cell(y, x).text_frame.paragraphs[0].font.size = Pt(14)
        elif block.kind == "notes":
            slide.notes_slide.notes_text_frame.text = block.text
        elif block.kind != "page":
            frame = slide.placeholders[1].text_frame
            paragraph = frame.add_paragraph() if frame.text else frame.paragraphs[0]
            paragraph.text = block.text
    deck.save(str(path))
    fix_zip_dates(path)


def write_xlsx(source: Source, path: Path) -> None:
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path))
    book.set_properties(
        {"title": source.title, "author": source.meta["author"], "created": source.date, "comments": ""}
    )
    bold = book.add_format({"bold": True})
    sheet: Any = None
    line = 0
    for block in source.blocks:
        if block.kind == "heading":
            sheet, line = book.add_worksheet(block.text), 0
            sheet.set_column(0, 8, 22)
        elif block.kind == "table":
            for n, row in enumerate(block.rows):
                for x, text in enumerate(row):
                    write_cell(sheet, line, x, text, bold if n == 0 else None)
                line += 1
            line += 1
        elif sheet is not None and block.kind != "page":
            sheet.write_string(line, 0, block.text)
            line += 2
    book.close()
    fix_zip_dates(path)


def write_cell(sheet: Any, y: int, x: int, text: str, style: Any) -> None:
    """A plain integer or decimal becomes a number; part numbers, codes and dates stay text."""
    if text.replace(".", "", 1).isdigit() and (text == "0" or text[0] != "0" or text.startswith("0.")):
        sheet.write_number(y, x, float(text), style)
    else:
        sheet.write_string(y, x, text, style)


def stamp(properties: Any, source: Source) -> None:
    properties.title = source.title
    properties.author = properties.last_modified_by = source.meta["author"]
    properties.subject = source.meta["department"]
    properties.created = properties.modified = source.date
    properties.comments = ""


def fix_zip_dates(path: Path) -> None:
    """Rewrite an OOXML file with one date for every member: the libraries put in the time of the run."""
    whole = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(whole) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            info = zipfile.ZipInfo(name, ZIP_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            after.writestr(info, before.read(name))


WRITERS = {".pdf": write_pdf, ".docx": write_docx, ".pptx": write_pptx, ".xlsx": write_xlsx}


def build(folder: Path) -> list[Path]:
    """Write every binary document under folder; returns their paths, sorted."""
    written = []
    for text in sorted(SOURCES.rglob("*.md")):
        target = folder / text.relative_to(SOURCES).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[target.suffix](read_source(text), target)
        written.append(target)
    return written


if __name__ == "__main__":
    for document in build(Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS):
        print(document)
