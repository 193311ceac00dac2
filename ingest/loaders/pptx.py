"""PPTX: a section for each slide, in order; the page of a block is its slide's number."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ingest.loaders.docx_math import latex
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading, image, link, one_line, paragraph
from ingest.loaders.ole import decrypted
from ingest.loaders.ooxml_diagram import diagram_list
from ingest.loaders.ooxml_tables import Spread, table
from ingest.loaders.pptx_chart import chart_table
from ingest.loaders.pptx_comments import comments_of
from ingest.loaders.pptx_package import open_deck, slides_of
from ingest.loaders.safe_xml import parse_ooxml
from rag.core.types import LoadedDocument, MetaValue

_PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_SAME_ROW_EMU = 150_000  # shapes whose tops differ by less than 4 mm stand side by side
_MAX_GROUP_DEPTH = 20
_DATA_URI_BYTES = 60
_TITLE_CHARS = 80
_ITEM = re.compile(r"\d+\. ")


class PptxLoader:
    media_types = (_PPTX,)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        warnings: list[str] = []
        deck = open_deck(decrypted(data, path.name, passwords), path.name, warnings)
        text = ""
        pages: list[tuple[int, int]] = []
        for number, slide in slides_of(deck, warnings):
            parts: list[str] = []
            try:
                parts.extend(filter(None, _slide(slide, number, warnings)))
            except (MemoryError, RecursionError):
                raise
            except Exception:  # what came before the damage stays
                warnings.append(f"slide {number} is damaged and cannot be read in full")
            if parts:
                pages.append((len(text), number))
                text += "\n\n".join(parts) + "\n\n"
            if slide._element.get("show") == "0":
                warnings.append(f"slide {number} is hidden in the presentation")
        title, metadata = _about(deck)
        return document_from_markdown(
            text, _PPTX, title=title, pages=pages, metadata=metadata, warnings=warnings
        )


def _slide(slide: Any, number: int, warnings: list[str]) -> Iterator[str]:
    _expand_alternatives(slide._element)
    title = _title(slide)
    name = one_line(" ".join(map(_runs, title.text_frame.paragraphs))) if title is not None else ""
    if name:
        yield heading(1, name)
    parts: list[str] = []
    for shape in _ordered(slide.shapes):
        if (title is not None and shape.shape_id == title.shape_id) or _is_furniture(shape):
            continue
        try:
            parts += _shape(shape, 0)
        except Exception as exc:  # one broken shape must not lose the slide
            warnings.append(f"slide {number}: {_name(shape)} cannot be read ({type(exc).__name__})")
    parts += comments_of(slide)
    if parts and not name:  # else it would stand under the title of the slide before
        if len(parts) > 1 and _may_be_title(parts[0]):
            name = parts.pop(0)
        yield heading(1, name or f"Slide {number}")
    yield from parts
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = list(_text(slide.notes_slide.notes_text_frame, bullets=False))
        if notes:
            yield from (heading(2, "Notes"), *notes)


def _title(slide: Any) -> Any:
    found = slide.shapes.title
    return found if found is not None and "TITLE" in _kind(found) else None


def _may_be_title(text: str) -> bool:
    return (
        len(text) <= _TITLE_CHARS
        and "\n" not in text
        and text[0].isalnum()
        and not _ITEM.match(text)
        and text[-1] not in ".:;,"
    )


def _kind(shape: Any) -> str:
    """ "TITLE", "BODY", "SLIDE_NUMBER" …; "" if it is no placeholder."""
    return str(shape.placeholder_format.type or "").split(" ")[0] if shape.is_placeholder else ""


def _expand_alternatives(slide: Any) -> None:
    """Shapes with an equation, ink or a new kind of chart come in two versions; python-pptx sees neither."""
    for node in list(slide.iter(f"{_MC}AlternateContent")):
        chosen = node.find(f"{_MC}Choice")
        if chosen is None:
            chosen = node.find(f"{_MC}Fallback")
        for child in list(chosen) if chosen is not None else ():
            node.addprevious(child)
        node.getparent().remove(node)


def _is_furniture(shape: Any) -> bool:
    """The slide's number, the date and the line at the foot of every slide."""
    return _kind(shape) in ("SLIDE_NUMBER", "DATE", "FOOTER")


def _ordered(shapes: Any) -> list[Any]:
    """From top to bottom and left to right; shapes without a place keep theirs among the others."""
    found = list(shapes)
    try:
        places = [(shape.top, shape.left) for shape in found]
    except Exception:
        return found
    if any(top is None or left is None for top, left in places):
        return found
    rows: list[list[int]] = []
    for at in sorted(range(len(found)), key=lambda at: places[at][0]):
        if rows and places[at][0] - places[rows[-1][0]][0] < _SAME_ROW_EMU:
            rows[-1].append(at)
        else:
            rows.append([at])
    return [found[at] for row in rows for at in sorted(row, key=lambda at: places[at][1])]


def _shape(shape: Any, depth: int) -> Iterator[str]:
    if hasattr(shape, "shapes") and depth < _MAX_GROUP_DEPTH:
        for inner in _ordered(shape.shapes):
            yield from _shape(inner, depth + 1)
    elif getattr(shape, "has_table", False):
        yield _table(shape.table)
    elif getattr(shape, "has_chart", False):
        yield from chart_table(shape.chart)
    elif _is_picture(shape):
        yield _picture(shape)
    elif getattr(shape, "has_text_frame", False):
        yield from _text(shape.text_frame, bullets=_has_bullets(shape))
    elif (ids := next(shape._element.iter(f"{_DGM}relIds"), None)) is not None:
        data = shape.part.related_part(ids.get(f"{_R}dm")).blob
        yield "\n".join(diagram_list(parse_ooxml(data, "A diagram")))
    else:  # OLE objects and shapes that python-pptx does not know still hold text
        words = [
            one_line("".join(t.text or "" for t in p.iter(f"{_A}t"))) for p in shape._element.iter(f"{_A}p")
        ]
        yield from (paragraph(text) for text in words if text)


def _has_bullets(shape: Any) -> bool:
    return (
        _kind(shape) in ("BODY", "OBJECT", "VERTICAL_BODY", "VERTICAL_OBJECT")
        and len(shape.text_frame.paragraphs) > 1
    )


def _text(frame: Any, *, bullets: bool) -> Iterator[str]:
    """Paragraphs, and runs of list items as one list each."""
    items: list[str] = []
    numbers: dict[int, int] = {}
    for one in frame.paragraphs:
        shown = one_line(_runs(one))
        if not shown:
            continue
        mark = _mark(one, bullets)
        if mark is None:
            if items:
                yield "\n".join(items)
            items, numbers = [], {}
            yield paragraph(shown)
            continue
        level = min(one.level or 0, 8)
        numbers = {at: n for at, n in numbers.items() if at <= level}
        if mark == "1.":
            numbers[level] = numbers.get(level, 0) + 1
            mark = f"{numbers[level]}."
        items.append(f"{'   ' * level if items else ''}{mark} {shown}")
    if items:
        yield "\n".join(items)


def _mark(one: Any, bullets: bool) -> str | None:
    properties = one._p.pPr
    if properties is not None:
        if properties.find(f"{_A}buNone") is not None:
            return None
        if properties.find(f"{_A}buAutoNum") is not None:
            return "1."
        if properties.find(f"{_A}buChar") is not None or properties.find(f"{_A}buBlip") is not None:
            return "*"
    return "*" if bullets or one.level else None


def _runs(one: Any) -> str:
    parts: list[str] = []
    for run in one._p:
        if run.tag == f"{_A}br":
            parts.append(" ")
        parts += (f"${latex(equation)}$" for equation in run.iter(f"{_M}oMath"))
        text = "".join(t.text or "" for t in run.iter(f"{_A}t")).replace("\v", " ")
        target = run.find(f"{_A}rPr/{_A}hlinkClick")
        url = _target(one, target.get(f"{_R}id")) if target is not None else ""
        parts.append(link(text, url) if url else text)
    return "".join(parts)


def _target(one: Any, relation: str | None) -> str:
    try:
        found = one.part.rels[relation] if relation else None
    except KeyError:
        return ""
    return str(found.target_ref) if found is not None and found.is_external else ""


def _table(shape: Any) -> str:
    """A merged cell's text is repeated, so that each row says it."""
    grid: list[list[str]] = []
    owners: dict[tuple[int, int], str] = {}
    for y, row in enumerate(shape.rows):
        line = []
        for x, cell in enumerate(row.cells):
            text = " ".join(" ".join(map(_runs, cell.text_frame.paragraphs)).split())
            if cell.is_merge_origin:
                for dy in range(cell.span_height):
                    for dx in range(cell.span_width):
                        owners[y + dy, x + dx] = Spread(text) if dx else text
            line.append(owners.get((y, x), text))
        grid.append(line)
    return table(grid)


def _is_picture(shape: Any) -> bool:
    return str(shape._element.tag).endswith("}pic")


def _picture(shape: Any) -> str:
    properties = shape._element.xpath("./p:nvPicPr/p:cNvPr")
    alt = (properties[0].get("descr") or properties[0].get("title") or "") if properties else ""
    try:
        blob, kind = shape.image.blob, shape.image.content_type
    except Exception:  # linked from elsewhere, or missing
        return image(alt or _name(shape), "")
    head = base64.b64encode(blob[:_DATA_URI_BYTES]).decode("ascii")
    return image(alt or _name(shape), f"data:{kind};base64,{head}")


def _name(shape: Any) -> str:
    try:
        return str(shape.name)
    except Exception:
        return "a shape"


def _about(deck: Any) -> tuple[str | None, dict[str, MetaValue]]:
    try:
        core = deck.core_properties
        title, author, modified = core.title, core.author, core.modified
    except Exception:  # properties that are no valid XML
        return None, {}
    metadata: dict[str, MetaValue] = {}
    if author:
        metadata["author"] = str(author)
    if modified is not None:
        metadata["date"] = modified.date().isoformat()
    generic = not title or title.strip().lower() in ("powerpoint presentation", "presentation", "untitled")
    return (None if generic else str(title)), metadata
