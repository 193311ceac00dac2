"""One page, read: its segments, its tables, and what of it a reader does not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pypdf import PageObject

from ingest.loaders.pdf.bidi import is_right_to_left
from ingest.loaders.pdf.content import PageContent, read_page
from ingest.loaders.pdf.fonts import Fonts
from ingest.loaders.pdf.graphics import Box
from ingest.loaders.pdf.grids import cell_edges
from ingest.loaders.pdf.lines import Segment, segments
from ingest.loaders.pdf.walker import Piece, turned

_SCAN_SHARE = 0.6


@dataclass(slots=True)
class Page:
    number: int
    width: float
    height: float
    segments: list[Segment]
    """In the direction most of the text runs."""
    turned: list[list[Segment]]
    """Text that runs otherwise, by its direction."""
    rules: list[Box]
    right_to_left: bool
    hidden: Counter[str] = field(default_factory=Counter)
    """Words left out, by the reason a reader does not see them."""
    problems: list[str] = field(default_factory=list)
    has_images: bool = False


def read(page: PageObject, number: int, fonts: Fonts, unseen_layers: frozenset[int]) -> Page:
    content = read_page(page, fonts, unseen_layers)
    shown, hidden = _seen(content)
    by_angle: dict[int, list[Piece]] = {}
    for piece in shown:
        by_angle.setdefault(piece.angle, []).append(piece)
    angles = sorted(by_angle, key=lambda a: -sum(len(p.text) for p in by_angle[a]))
    main = angles[0] if angles else 0
    found = segments(by_angle[main]) if angles else []
    box = _turn(Box(0, 0, content.width, content.height), main)
    _shift(found, box)
    cells = [fill for fill, colour in content.painted.fills if colour is not None]
    drawn = [*content.painted.rules, *cell_edges(cells, Box(0, 0, content.width, content.height))]
    rules = [_moved(_turn(rule, main), box) for rule in drawn]
    return Page(
        number=number,
        width=box.x1 - box.x0,
        height=box.y1 - box.y0,
        segments=found,
        turned=[segments(by_angle[angle]) for angle in angles[1:]],
        rules=rules,
        right_to_left=is_right_to_left("".join(s.text for s in found)),
        hidden=hidden,
        problems=content.problems,
        has_images=bool(content.painted.images),
    )


def _seen(content: PageContent) -> tuple[list[Piece], Counter[str]]:
    shown = [piece for piece in content.pieces if not piece.hidden]
    reasons = Counter(piece.hidden for piece in content.pieces if piece.hidden)
    page_area = max(1.0, content.width * content.height)
    images = max(
        (box.within(Box(0, 0, content.width, content.height)).area for box in content.painted.images),
        default=0,
    )
    n_shown = sum(len(p.text) for p in shown)
    believed: set[str] = set()
    if reasons["invisible"]:
        # The text layer of a scanned page is invisible, and all there is to read.
        n_invisible = sum(len(p.text) for p in content.pieces if p.hidden == "invisible")
        if not n_shown or (images > _SCAN_SHARE * page_area and n_invisible > n_shown):
            believed.add("invisible")
    if not shown and not believed:
        # A whole page that nobody could see is rather one that was not understood.
        believed.update(("clipped away", "too small to be seen"))
        if content.painted.fills:
            believed.add("in the colour of its background")
    if believed:
        shown = [piece for piece in content.pieces if not piece.hidden or piece.hidden in believed]
    return shown, Counter({reason: n for reason, n in reasons.items() if reason not in believed})


def _turn(box: Box, angle: int) -> Box:
    if angle == 0:
        return box
    corners = [turned(x, y, angle) for x in (box.x0, box.x1) for y in (box.y0, box.y1)]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return Box(min(xs), min(ys), max(xs), max(ys))


def _moved(box: Box, page: Box) -> Box:
    return Box(box.x0 - page.x0, box.y0 - page.y0, box.x1 - page.x0, box.y1 - page.y0)


def _shift(found: Sequence[Segment], page: Box) -> None:
    if page.x0 == page.y0 == 0:
        return
    for segment in found:
        segment.x0 -= page.x0
        segment.x1 -= page.x0
        segment.y -= page.y0
        segment.words = [w._replace(x0=w.x0 - page.x0, x1=w.x1 - page.x0) for w in segment.words]
