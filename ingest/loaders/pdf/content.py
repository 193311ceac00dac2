"""The pieces of text on a page and where they stand: walks the content streams that pypdf has parsed.

Coordinates are those of the page as it is shown: the origin is the upper left corner, y grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pypdf import PageObject
from pypdf.generic import ContentStream, DictionaryObject, StreamObject

from ingest.loaders.pdf.canvas import State, get
from ingest.loaders.pdf.fonts import NO_FONT, Fonts
from ingest.loaders.pdf.graphics import Box, Matrix, Painted
from ingest.loaders.pdf.walker import Piece, Walker, sorted_box


@dataclass(slots=True)
class PageContent:
    width: float
    height: float
    pieces: list[Piece]
    painted: Painted
    problems: list[str] = field(default_factory=list)


def read_page(page: PageObject, fonts: Fonts, unseen_layers: frozenset[int]) -> PageContent:
    x0, y0, x1, y1 = page_box(page)
    turn = page.rotation % 360
    width, height = x1 - x0, y1 - y0
    base: Matrix = (1, 0, 0, -1, -x0, y1)
    if turn == 90:
        base = (0, 1, 1, 0, -y0, -x0)
        width, height = height, width
    elif turn == 180:
        base = (-1, 0, 0, 1, x1, -y0)
    elif turn == 270:
        base = (0, -1, -1, 0, y1, x1)
        width, height = height, width
    walker = Walker(page.pdf, fonts, unseen_layers, width, height)
    try:
        stated = get(page, "/Contents")
        contents = ContentStream(stated, page.pdf, "bytes") if stated is not None else None
    except RecursionError:
        raise
    except Exception as exc:
        walker.problems.append(type(exc).__name__)
        contents = None
    if contents is not None:
        walker.walk(contents, _resources(page), State(base, Box(0, 0, width, height), NO_FONT), 0)
    _annotations(page, walker, base)
    return PageContent(width, height, walker.pieces, walker.painted, walker.problems)


def page_box(page: PageObject) -> tuple[float, float, float, float]:
    for name in ("cropbox", "mediabox"):
        try:
            return sorted_box(getattr(page, name))
        except RecursionError:
            raise
        except Exception:  # a box of anything but four numbers
            continue
    return 0.0, 0.0, 612.0, 792.0


def _resources(holder: Any) -> DictionaryObject:
    for _ in range(60):
        found = get(holder, "/Resources")
        if isinstance(found, DictionaryObject):
            return found
        holder = get(holder, "/Parent")
        if not isinstance(holder, DictionaryObject):
            break
    return DictionaryObject()


def _annotations(page: PageObject, walker: Walker, base: Matrix) -> None:
    """What forms were filled in with, and text boxes: both are seen on the page."""
    annotations = get(page, "/Annots")
    if not isinstance(annotations, list):
        return
    for reference in annotations[:2_000]:
        try:
            annotation = reference.get_object()
            flags = annotation.get("/F", 0)
            if annotation.get("/Subtype") not in ("/Widget", "/FreeText", "/Stamp") or int(flags) & 0b100010:
                continue
            look = get(get(annotation, "/AP"), "/N")
            if isinstance(look, DictionaryObject) and not isinstance(look, StreamObject):
                look = get(look, str(annotation.get("/AS", "/Off")))
            if isinstance(look, StreamObject):
                walker.appearance(look, sorted_box(annotation["/Rect"]), base)
        except RecursionError:
            raise
        except Exception as exc:
            walker.problems.append(type(exc).__name__)
