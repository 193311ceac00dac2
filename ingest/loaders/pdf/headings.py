"""Which lines are headings: those the outline names, else those that look it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from pypdf import PdfReader

from ingest.loaders.pdf.content import page_box
from ingest.loaders.pdf.grids import Table
from ingest.loaders.pdf.lines import Row, Segment
from ingest.loaders.pdf.page import Page

_MAX_ENTRIES = 5_000
_MAX_CHARS = 120
_NUMBER = re.compile(
    r"^(?:(?:chapter|section|part|appendix|kapitel|teil)\s+)?(?:\d+(?:\.\d+)*|[A-Z]|[ivxIVX]+)[.):]?\s+(?=\S)",
    re.I,
)
_NUMBERED_HEADING = re.compile(r"^(?:\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z]|[IVX]{1,5})\.?\s+[^\W\d_]")
_ORDINAL = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z]|[IVX]{1,5})[.):]?")
_LARGE = 1.17


class Entry(NamedTuple):
    title: str
    level: int
    page: int
    y: float | None
    """From the top of the page as it is shown, where the entry says so."""


def outline(reader: PdfReader) -> list[Entry]:
    """The entries that lead to a page, in order; a broken outline has none."""
    try:
        tree = reader.outline
    except Exception:
        return []
    entries: list[Entry] = []
    _collect(reader, tree, 1, entries)
    return entries


def _collect(reader: PdfReader, tree: Any, level: int, entries: list[Entry]) -> None:
    for node in tree:
        if len(entries) >= _MAX_ENTRIES:
            return
        if isinstance(node, list):
            _collect(reader, node, level + 1, entries)
            continue
        try:
            title = " ".join(str(node.title or "").replace("\0", "").split())
            number = reader.get_destination_page_number(node)
            if title and number is not None and number >= 0:
                page = reader.pages[number]
                entries.append(Entry(title[:300], min(level, 6), number + 1, _height(page, node)))
        except Exception:  # an entry that leads nowhere
            continue


def _height(page: Any, node: Any) -> float | None:
    if page.rotation % 360:
        return None
    top = node.top
    if not isinstance(top, int | float):
        return None
    _, _, _, y1 = page_box(page)
    return max(0.0, y1 - float(top))


def place(entries: Sequence[Entry], pages: Sequence[Page]) -> tuple[dict[int, int], dict[int, list[Entry]]]:
    """(heading level by id of segment, entries by page whose words do not stand there)."""
    levels: dict[int, int] = {}
    missing: dict[int, list[Entry]] = {}
    by_number = {page.number: page for page in pages}
    for entry in entries:
        page = by_number.get(entry.page)
        if page is None:
            continue
        run = _find(entry, page, levels)
        if run:
            levels.update((id(segment), entry.level) for segment in run)
        elif page.segments:
            missing.setdefault(entry.page, []).append(entry)
    return levels, missing


def _find(entry: Entry, page: Page, levels: dict[int, int]) -> list[Segment]:
    """The segments that hold just the entry's title; the nearest to where it points."""
    wanted = {_key(entry.title), _key(_NUMBER.sub("", entry.title, count=1))} - {""}
    if not wanted:
        return []
    longest = max(map(len, wanted))
    found: list[tuple[float, float, list[Segment]]] = []
    for n, first in enumerate(page.segments):
        if id(first) in levels or _leads_to_number(first, page.segments[n + 1 : n + 6]):
            continue
        run: list[Segment] = []
        text = ""
        for segment in page.segments[n : n + 4]:
            if run and (
                segment.y - run[-1].y > 2.2 * segment.size
                or abs(segment.size - first.size) > 0.2 * first.size
            ):
                break
            run.append(segment)
            text += _key(segment.text)
            if text in wanted or _key(_NUMBER.sub("", " ".join(s.text for s in run), count=1)) in wanted:
                distance = abs(first.top - entry.y) if entry.y is not None else first.y
                # A heading is set larger than the same words in the text or in a header.
                found.append((round(distance / 40) if entry.y is not None else 0, -first.size, list(run)))
                break
            if len(text) > longest + 12:
                break
    return min(found, key=lambda f: f[:2])[2] if found else []


def _leads_to_number(segment: Segment, following: Sequence[Segment]) -> bool:
    """Lines of a table of contents and running headers end in a page number."""
    return any(
        abs(other.y - segment.y) < 0.3 * segment.size
        and other.x0 > segment.x1
        and other.text.strip(" .").isdigit()
        for other in following
    )


def _key(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())


def largest_line(page: Page, dropped: set[int]) -> str | None:
    """What is set clearly larger than the rest of the first page, in its upper half."""
    kept = [s for s in page.segments if id(s) not in dropped]
    if len(kept) < 3:
        return None
    usual = sorted(s.size for s in kept)[len(kept) // 2]
    size = max(s.size for s in kept)
    found = [s for s in kept if s.size > 0.97 * size]
    if size < 1.25 * usual or len(found) > 4 or found[-1].y > 0.6 * page.height:
        return None
    text = " ".join(s.text for s in found)
    return text if 4 <= len(text) <= 200 and sum(c.isalpha() for c in text) > 0.5 * len(text) else None


def guess(regions: Sequence[Sequence[Row | Table]], first_page: int) -> dict[int, int]:
    """Headings of a document without an outline: short lines set larger than the text, or bold ones.

    ``first_page``: how many of the regions are on it. Levels by the id of the segment.
    """
    sizes: Counter[float] = Counter()
    bold: Counter[bool] = Counter()
    for region in regions:
        for row in region:
            for segment in () if isinstance(row, Table) else row:
                sizes[round(segment.size * 2) / 2] += len(segment.text)
                bold[segment.bold] += len(segment.text)
    if not sizes:
        return {}
    body = sizes.most_common(1)[0][0]
    bold_tells = bold[True] < 0.3 * bold.total()
    found: dict[int, float] = {}
    on_first: set[int] = set()
    for m, region in enumerate(regions):
        for n, row in enumerate(region):
            if isinstance(row, Table) or len(row) > 2 or not _looks_like_heading(region, n, body, bold_tells):
                continue
            for segment in row:
                found[id(segment)] = round(segment.size * 2) / 2 if segment.size > _LARGE * body else 0.0
                if m < first_page:
                    on_first.add(id(segment))
    ranks = sorted(set(found.values()), reverse=True)
    largest = [name for name, size in found.items() if ranks and size == ranks[0]]
    # One largest line is the title; several are sections.
    offset = 1 if len(largest) <= 3 and on_first.issuperset(largest) and ranks and ranks[0] else 2
    return {name: min(ranks.index(size) + offset, 6) for name, size in found.items()}


def _looks_like_heading(region: Sequence[Row | Table], n: int, body: float, bold_tells: bool) -> bool:
    row = region[n]
    assert not isinstance(row, Table)
    text = " ".join(segment.text for segment in row)
    main = max(row, key=lambda s: len(s.text))
    n_letters = sum(c.isalpha() for c in text)
    if n_letters < 2 or len(text) > _MAX_CHARS or n_letters < 0.5 * len(text.replace(" ", "")):
        return False
    if text.endswith((".", ",", ";", "…")) or "…" in text or main.mono or text[0] in "•-–*(":
        return False
    if len(row) == 2 and not (_ORDINAL.fullmatch(row[0].text) or _ORDINAL.fullmatch(row[1].text)):
        return False
    if main.size > _LARGE * body:
        return n_letters >= 3
    if not (bold_tells and main.bold and main.size > 0.97 * body):
        return False
    before = region[n - 1] if n else None
    after = region[n + 1] if n + 1 < len(region) else None
    if isinstance(after, Table):
        return False
    if after is None or after[0].bold or after[0].y - main.y > 4 * main.size:
        return False
    if _NUMBERED_HEADING.match(text):
        return True
    if text.endswith(":") or len(text) > 80:
        return False
    if before is None or isinstance(before, Table):
        return True
    return main.y - before[0].y > 1.6 * main.size and not before[0].bold
