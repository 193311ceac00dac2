"""PDFs are made here with reportlab and pypdf, and read the way a run reads them: through the registry."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import letter
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.loaders.registry import load_bytes
from rag.core.errors import EncryptedFile, LoadError, NoText
from rag.core.types import BlockKind, LoadedDocument

Draw = Callable[[Canvas], object]
WIDTH, HEIGHT = letter
STORY = (
    "The night shift checks the pumps twice and writes the pressure of each into the log before the "
    "day shift takes over. A pump that loses more than two bar in an hour is taken out of service, and "
    "the engineer on call is told at once. Nobody restarts it alone. The spare stands ready in the hall "
    "beside the gate and is tested on the first Monday of every month by two people together."
)
PROSE = STORY.split()


def make(*pages: Draw, **info: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=letter, invariant=1)
    for key, value in info.items():
        getattr(canvas, f"set{key.capitalize()}")(value)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def read(data: bytes, *passwords: str) -> LoadedDocument:
    loaded = load_bytes(data, Path("report.pdf"), name="report.pdf", passwords=passwords)
    for block in loaded.blocks:
        assert loaded.text[block.start : block.end].strip()
    return loaded


def column(
    canvas: Canvas, x: float, top: float, words: Sequence[str], per_line: int = 6, size: int = 10
) -> float:
    canvas.setFont("Helvetica", size)
    y = top
    for n in range(0, len(words), per_line):
        canvas.drawString(x, y, " ".join(words[n : n + per_line]))
        y -= size * 1.2
    return y


def lines(*texts: str, top: float = 700, x: float = 72, size: int = 11) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", size)
        for n, text in enumerate(texts):
            canvas.drawString(x, top - n * size * 1.2, text)

    return draw


def block_with(loaded: LoadedDocument, text: str) -> tuple[str, int | None, BlockKind, tuple[str, ...]]:
    for block in loaded.blocks:
        found = loaded.text[block.start : block.end]
        if text in found:
            return found, block.page, block.kind, block.heading_path
    raise AssertionError(f"no block holds {text!r}: {loaded.text}")


# What is on the pages


def test_every_block_names_its_page_counted_from_one() -> None:
    loaded = read(make(lines("The first page speaks of apples."), lines("The second page speaks of pears.")))
    assert block_with(loaded, "apples")[1] == 1
    assert block_with(loaded, "pears")[1] == 2


def test_lines_are_joined_and_cut_words_made_whole() -> None:
    loaded = read(
        make(
            lines(
                "The maintenance of the older boilers is described in the hand-",
                "book of the supplier, and a well-known list of part numbers is",
                "kept beside it. Every engineer on call has a copy of that well-",
                "known list in the van, together with the keys of the hall.",
            )
        )
    )
    assert "in the handbook of the supplier, and a well-known list of part numbers is kept" in loaded.text
    assert "that well-known list in the van" in loaded.text


def test_bullets_are_a_list_and_stay_on_lines_of_their_own() -> None:
    loaded = read(make(lines("Bring with you:", "• a torch", "• two spare fuses", "• the log book")))
    found, _, kind, _ = block_with(loaded, "spare fuses")
    assert kind is BlockKind.LIST
    assert found == "- a torch\n- two spare fuses\n- the log book"


def test_outline_entries_head_what_stands_below_them_and_appear_once() -> None:
    def first(canvas: Canvas) -> None:
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(72, 700, "Cooling")
        canvas.bookmarkHorizontalAbsolute("a", 715)
        canvas.addOutlineEntry("Cooling", "a", level=0)
        lines("Water flows through the first loop.", top=670)(canvas)
        canvas.setFont("Helvetica-Bold", 13)
        canvas.drawString(72, 620, "2.1 Pumps")
        canvas.bookmarkHorizontalAbsolute("b", 632)
        canvas.addOutlineEntry("Pumps", "b", level=1)
        lines("Each loop has two pumps.", top=590)(canvas)

    def second(canvas: Canvas) -> None:
        canvas.bookmarkHorizontalAbsolute("c", 720)
        canvas.addOutlineEntry("Heating", "c", level=0)
        lines("The boiler is lit in October.")(canvas)

    loaded = read(make(first, second))
    assert "# Cooling\n\nWater flows" in loaded.text
    assert "## 2.1 Pumps\n\nEach loop" in loaded.text
    assert "# Heating\n\nThe boiler" in loaded.text, "an entry whose words are not on the page is put in"
    assert loaded.text.count("Cooling") == loaded.text.count("Pumps") == 1
    assert block_with(loaded, "two pumps")[3] == ("Cooling", "2.1 Pumps")


def test_large_type_is_a_heading_where_there_is_no_outline() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica-Bold", 20)
        canvas.drawString(72, 720, "Pump handbook")
        y = column(canvas, 72, 690, PROSE, 14)
        canvas.setFont("Helvetica-Bold", 14)
        canvas.drawString(72, y - 20, "Spare parts")
        column(canvas, 72, y - 45, PROSE, 14)

    loaded = read(make(page))
    assert loaded.title == "Pump handbook"
    assert [b.heading_path for b in loaded.blocks if b.kind is BlockKind.HEADING] == [
        ("Pump handbook",),
        ("Pump handbook", "Spare parts"),
    ]


def test_running_headers_and_page_numbers_are_dropped() -> None:
    def page(number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            canvas.setFont("Helvetica", 9)
            canvas.drawString(72, 760, "Northwind Works - internal")
            canvas.drawCentredString(WIDTH / 2, 30, f"Page {number} of 4")
            column(canvas, 72, 700, [f"Section{number}", *PROSE], 12)

        return draw

    loaded = read(make(*(page(n) for n in range(1, 5))))
    assert "Northwind" not in loaded.text
    assert "Page " not in loaded.text
    assert loaded.metadata["running_text"] == "Northwind Works - internal | Page 1 of 4"
    assert all(f"Section{n}" in loaded.text for n in range(1, 5))


def test_numbered_headings_at_the_top_of_pages_are_no_headers() -> None:
    def page(number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            canvas.setFont("Helvetica-Bold", 18)
            canvas.drawString(72, 740, f"Step {number}")
            column(canvas, 72, 700, [str(number), *PROSE], 12)

        return draw

    assert all(f"# Step {n}" in read(make(*(page(n) for n in range(1, 5)))).text for n in range(1, 5))


def test_the_first_line_of_the_text_is_no_header_although_every_page_has_it() -> None:
    pages = [lines(f"Chapter {'ABC'[n]} of the book", "Read this aloud.", top=760) for n in range(3)]
    assert read(make(*pages)).text.count("Read this aloud.") == 3


def test_columns_are_read_one_after_the_other() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(72, 740, "A title above both of the columns of this page")
        for n in range(0, 60, 6):  # drawn line by line across the page, as some programs do
            canvas.setFont("Helvetica", 10)
            canvas.drawString(72, 700 - 2 * n, " ".join((PROSE * 2)[n : n + 6]))
            canvas.drawString(330, 700 - 2 * n, " ".join(word.upper() for word in (PROSE * 2)[n : n + 6]))

    text = " ".join(read(make(page)).text.split())
    left = " ".join((PROSE * 2)[:60])
    assert left in text
    assert left.upper() in text
    assert text.index(left) < text.index(left.upper())


def test_a_right_to_left_line_is_read_from_the_right() -> None:
    from ingest.loaders.pdf.bidi import logical

    assert logical("2024 תנש ךרוע") == "עורך שנת 2024"
    assert logical("Python תפשב הרבח") == "חברה בשפת Python"
    assert logical("see הרבח and go on") == "see חברה and go on"
    assert logical("ﬁnal oﬀer") == "final offer"


# Tables


def test_a_ruled_table_says_which_column_a_cell_is_in() -> None:
    rows = [("Part", "Stock", "Place"), ("Valve", "", "Hall 2"), ("Fuse 16 A", "240", "Hall 1")]

    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for n, y in enumerate((700, 680, 660, 640)):
            canvas.line(72, y, 372, y)
            canvas.line(72 + n * 100, 700, 72 + n * 100, 640)
        for n, row in enumerate(rows):
            for m, cell in enumerate(row):
                canvas.drawString(76 + m * 100, 686 - n * 20, cell)

    found, _, kind, _ = block_with(read(make(page)), "Valve")
    assert kind is BlockKind.TABLE
    assert found.split("\n") == [
        "| Part | Stock | Place |",
        "| --- | --- | --- |",
        "| Valve |  | Hall 2 |",
        "| Fuse 16 A | 240 | Hall 1 |",
    ]


def test_rows_that_line_up_are_a_table_without_any_lines() -> None:
    def page(canvas: Canvas) -> None:
        column(canvas, 72, 740, PROSE[:24], 12)
        canvas.setFont("Helvetica", 10)
        for n, row in enumerate(
            [("Model", "Power", "Weight"), ("K-100", "4 kW", "31 kg"), ("K-250", "9 kW", "55 kg")]
        ):
            for m, cell in enumerate(row):
                canvas.drawString(72 + m * 120, 680 - n * 14, cell)
        column(canvas, 72, 600, PROSE[24:48], 12)

    found, _, kind, _ = block_with(read(make(page)), "K-250")
    assert kind is BlockKind.TABLE
    assert "| K-250 | 9 kW | 55 kg |" in found
    assert "pumps" not in found


def test_prose_is_not_taken_for_a_table() -> None:
    loaded = read(make(lambda canvas: column(canvas, 72, 740, PROSE * 3, 13)))
    assert all(block.kind is BlockKind.PARAGRAPH for block in loaded.blocks)


# What a reader does not see


def hidden(draw: Draw) -> LoadedDocument:
    def page(canvas: Canvas) -> None:
        lines("Everybody can read this sentence.")(canvas)
        draw(canvas)

    return read(make(page))


def _invisible(canvas: Canvas) -> None:
    text = canvas.beginText(72, 500)
    text.setTextRenderMode(3)
    text.textOut("secret instruction")
    canvas.drawText(text)


def _white(canvas: Canvas) -> None:
    canvas.setFillGray(1)
    canvas.drawString(72, 500, "secret instruction")


def _tiny(canvas: Canvas) -> None:
    canvas.setFont("Helvetica", 0.2)
    canvas.drawString(72, 500, "secret instruction")


def _off_page(canvas: Canvas) -> None:
    canvas.drawString(72, -300, "secret instruction")


def _black_on_black(canvas: Canvas) -> None:
    canvas.setFillGray(0)
    canvas.rect(60, 490, 300, 30, stroke=0, fill=1)
    canvas.drawString(72, 500, "secret instruction")


def _transparent(canvas: Canvas) -> None:
    canvas.setFillAlpha(0)
    canvas.drawString(72, 500, "secret instruction")


@pytest.mark.parametrize("draw", [_invisible, _white, _tiny, _off_page, _black_on_black, _transparent])
def test_text_nobody_sees_is_left_out_with_a_warning(draw: Draw) -> None:
    loaded = hidden(draw)
    assert "Everybody can read" in loaded.text
    assert "secret" not in loaded.text
    assert any("left out" in warning and "page 1" in warning for warning in loaded.warnings)


def test_white_text_on_a_dark_bar_is_read() -> None:
    def bar(canvas: Canvas) -> None:
        canvas.setFillGray(0.2)
        canvas.rect(60, 490, 300, 30, stroke=0, fill=1)
        canvas.setFillGray(1)
        canvas.drawString(72, 500, "Emergency numbers")

    loaded = hidden(bar)
    assert "Emergency numbers" in loaded.text
    assert not loaded.warnings


def test_text_on_a_box_that_shines_through_is_read() -> None:
    def box(canvas: Canvas) -> None:
        canvas.setFillColorRGB(0, 0, 0.6)
        canvas.setFillAlpha(0.2)
        canvas.rect(60, 490, 300, 30, stroke=0, fill=1)
        canvas.setFillAlpha(1)
        canvas.drawString(72, 500, "Emergency numbers")

    assert "Emergency numbers" in hidden(box).text


def test_the_text_layer_of_a_scan_is_read_although_it_is_invisible() -> None:
    assert "secret instruction" in read(make(_invisible)).text


def test_text_printed_twice_to_look_bold_is_read_once() -> None:
    def page(canvas: Canvas) -> None:
        lines("Read me before you start")(canvas)
        lines("Read me before you start", x=72.3)(canvas)

    assert read(make(page)).text.count("Read me") == 1


# Spaces and quality


def test_spaces_that_only_the_positions_show_are_put_in() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        x = 72.0
        for word in PROSE[:10]:
            canvas.drawString(x, 700, word)
            x += canvas.stringWidth(word, "Helvetica", 11) + 3

    loaded = read(make(page))
    assert " ".join(PROSE[:10]) in loaded.text
    assert loaded.metadata["extraction_quality"] == 1.0


def test_glued_words_lower_the_score_and_are_said() -> None:
    loaded = read(
        make(lines("Thenightshiftchecksthepumpstwiceanhour andwritesthepressureofeachintothelog today"))
    )
    assert float(loaded.metadata["extraction_quality"]) < 0.5
    assert any("without spaces" in warning for warning in loaded.warnings)


def test_glyphs_without_letters_lower_the_score_and_are_said() -> None:
    glyphs = b"\n".join(b"/g%d" % n for n in range(97, 123))
    loaded = read(_with_encoding(make(lines("unreadable words in here")), glyphs))
    assert float(loaded.metadata["extraction_quality"]) < 0.3
    assert any("letters" in warning and "OCR" in warning for warning in loaded.warnings)


def test_pages_without_text_are_named_with_what_to_do() -> None:
    def scan(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(Image.new("L", (4, 4), 128)), 0, 0, WIDTH, HEIGHT)

    loaded = read(make(lines("A cover sheet with some words."), scan, scan))
    assert loaded.metadata["extraction_quality"] == pytest.approx(1 / 3, abs=0.01)
    assert "pages 2-3 have no text layer; run OCR on the file to read them." in loaded.warnings
    with pytest.raises(NoText, match=r"no text layer.*OCR"):
        read(make(scan))


def test_a_filled_in_form_is_read_with_its_values() -> None:
    def page(canvas: Canvas) -> None:
        lines("Name of the applicant")(canvas)
        canvas.acroForm.textfield(name="applicant", value="Ada Quill", x=250, y=690, width=200, height=20)

    assert "Ada Quill" in read(make(page)).text


def test_a_turned_page_is_read_as_it_is_shown() -> None:
    reader = PdfReader(io.BytesIO(make(lines("Upper line of the page", "Lower line of the page"))))
    writer = PdfWriter()
    for page in reader.pages:
        writer.add_page(page.rotate(90))
    buffer = io.BytesIO()
    writer.write(buffer)
    text = read(buffer.getvalue()).text
    assert text.index("Upper line") < text.index("Lower line")


# What the file says of itself


def test_title_author_and_date_come_from_the_file() -> None:
    loaded = read(make(lines("Some words."), title="Safety at the mill", author="Ada Quill"))
    assert loaded.title == "Safety at the mill"
    assert loaded.metadata["author"] == "Ada Quill"
    assert str(loaded.metadata["date"]).startswith("2000-01-01T00:00:00")


@pytest.mark.parametrize(
    "title", ["untitled", "Microsoft Word - notes.doc", "scan0001.pdf", "Slide 1", "(anonymous)"]
)
def test_a_title_no_author_wrote_is_none(title: str) -> None:
    assert read(make(lines("Some words."), title=title)).title is None


# Passwords


def encrypted(user: str, owner: str = "owner") -> bytes:
    writer = PdfWriter()
    writer.append(io.BytesIO(make(lines("The code of the gate is 4711."))))
    writer.encrypt(user, owner, algorithm="AES-256")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_an_encrypted_file_opens_with_any_of_the_passwords() -> None:
    data = encrypted("gatekeeper")
    assert "4711" in read(data, "wrong", "gatekeeper").text
    assert "4711" in read(data, "owner").text
    assert "4711" in read(encrypted("")).text


def test_without_its_password_the_option_is_named() -> None:
    for passwords in ((), ("wrong",)):
        with pytest.raises(EncryptedFile, match="--password-file"):
            read(encrypted("gatekeeper"), *passwords)


# Hostile files


def test_a_file_cut_off_anywhere_ends_as_text_or_as_one_sentence() -> None:
    data = make(lines("Some words."), lines("Some more."))
    for stop in range(20, len(data), len(data) // 25):
        try:
            assert read(data[:stop]).text
        except LoadError as exc:
            assert str(exc).startswith("report.pdf")
            assert "\n" not in str(exc)


def raw(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + b"trailer\n<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(content), content)


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
TEXT = b"BT /F 12 Tf 72 700 Td (Readable words) Tj ET"
CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
ONE_PAGE = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>%s>>>>"


def test_pages_that_hold_each_other_end_in_one_sentence() -> None:
    with pytest.raises(LoadError, match=r"report\.pdf"):
        read(raw(CATALOG, b"<</Type/Pages/Kids[2 0 R]/Count 99999999/Parent 2 0 R>>"))


def test_forms_that_draw_each_other_are_drawn_once() -> None:
    form = stream(
        b"/X Do " + TEXT,
        b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R>>>>",
    )
    loaded = read(raw(CATALOG, ONE_PAGE, PAGE % b"/XObject<</X 6 0 R>>", stream(b"/X Do"), FONT, form))
    assert loaded.text.strip() == "Readable words"


def test_a_decompression_bomb_costs_its_page_only() -> None:
    bomb = zlib.compress(b"0 0 m " * 20_000_000, 9)
    pages = b"<</Type/Pages/Kids[3 0 R 6 0 R]/Count 2>>"
    second = PAGE.replace(b"4 0 R", b"7 0 R") % b""
    data = raw(CATALOG, pages, PAGE % b"", stream(TEXT), FONT, second, stream(bomb, b"/Filter/FlateDecode"))
    loaded = read(data)
    assert loaded.text.strip() == "Readable words"
    assert any("page 2" in warning for warning in loaded.warnings)


def test_a_broken_stream_keeps_what_was_read_before() -> None:
    loaded = read(raw(CATALOG, ONE_PAGE, PAGE % b"", stream(TEXT + b" [ (never closed"), FONT))
    assert "Readable words" in loaded.text


def _with_encoding(data: bytes, glyphs: bytes) -> bytes:
    """The same file with a font whose small letters have names that mean nothing."""
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject

    writer = PdfWriter(clone_from=io.BytesIO(data))
    font = writer.pages[0]["/Resources"]["/Font"]["/F1"].get_object()  # type: ignore[index]
    names = ArrayObject([NumberObject(97), *(NameObject(name.decode()) for name in glyphs.split(b"\n"))])
    font[NameObject("/Encoding")] = DictionaryObject({NameObject("/Differences"): names})
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()
