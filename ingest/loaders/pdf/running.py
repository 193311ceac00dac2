"""Running headers, footers and page numbers: lines that come back on most pages at the same height."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from ingest.loaders.pdf.lines import Segment
from ingest.loaders.pdf.page import Page

_ZONE, _WIDE_ZONE = 0.14, 0.3
_LINES_AT_EDGE = 4
_DIGITS = re.compile(r"\d{1,9}")
_HAS_WORD = re.compile(r"[^\W\d_]{3}")
_PAGE_NUMBER = re.compile(
    r"(?:page|seite|p\.|pag\.?|página|pagina|strona|sida|side|стр\.?|第)?\s*[-–—|(\[]?\s*(\d{1,4}|[ivxlc]{1,7})\s*[-–—|)\]]?"
    r"\s*(?:(?:of|/|von|de|sur|di|z|av|из|\|)\s*\d{1,4})?\s*(?:页|頁)?",
    re.IGNORECASE,
)


def running(pages: Sequence[Page]) -> tuple[set[int], list[str]]:
    """(ids of the segments to leave out, the texts that came back)."""
    drop: set[int] = set()
    texts: dict[str, str] = {}
    for top in (True, False):
        edges = [_edge(page, top) for page in pages]
        found = [(page, segment) for page, edge in zip(pages, edges, strict=True) for segment in edge]
        recurring = _recurring(found, len(pages))
        repeated = {id(segment) for group in recurring.values() for _, segment in group}
        repeated |= _page_numbers(found, len(pages))
        for page, edge in zip(pages, edges, strict=True):
            drop.update(_outermost(page, edge, repeated))
        for key, group in recurring.items():
            if _HAS_WORD.search(key) and any(id(segment) in drop for _, segment in group):
                texts.setdefault(key, group[0][1].text)
    for page in pages:
        names = {id(segment) for segment in page.segments}
        if names and names <= drop:  # nothing would be left of it
            drop -= names
    drop.update(_watermarks(pages))
    return drop, list(texts.values())


def _outermost(page: Page, edge: Sequence[Segment], repeated: set[int]) -> set[int]:
    """Those that nothing but others of their kind stands outside of, and that are set apart from the text."""
    found: list[Segment] = []
    for segment in edge:
        if id(segment) not in repeated:
            break
        found.append(segment)
    inner = [s for s in page.segments if s not in found]
    while found:
        last = found[-1]
        if not any(
            0.3 * last.size < abs(s.y - last.y) < 1.5 * last.size
            and abs(s.size - last.size) < 0.08 * last.size
            for s in inner
        ):
            break
        inner.append(found.pop())
    return {id(segment) for segment in found}


def _edge(page: Page, top: bool) -> list[Segment]:
    """The outermost lines of a page, if they stand in its margin."""
    ordered = page.segments if top else page.segments[::-1]
    found: list[Segment] = []
    heights: list[float] = []
    for segment in ordered:
        if not heights or abs(segment.y - heights[-1]) > 0.4 * segment.size:
            heights.append(segment.y)
        place = segment.y / page.height if page.height else 0.5
        # The outermost line may stand further in, where margins are wide.
        zone = _WIDE_ZONE if len(heights) == 1 else _ZONE
        if len(heights) > _LINES_AT_EDGE or not (place < zone if top else place > 1 - zone):
            break
        found.append(segment)
    return found


def _recurring(found: Sequence[tuple[Page, Segment]], n_pages: int) -> dict[str, list[tuple[Page, Segment]]]:
    groups: defaultdict[tuple[str, int], list[tuple[Page, Segment]]] = defaultdict(list)
    for page, segment in found:
        key = _DIGITS.sub("#", " ".join(segment.text.lower().split()))
        groups[key, round(segment.y / 12)].append((page, segment))
    kept: dict[str, list[tuple[Page, Segment]]] = {}
    for (key, height), group in groups.items():
        near = [*group, *groups.get((key, height - 1), []), *groups.get((key, height + 1), [])]
        n = len({page.number for page, _ in near})
        # Chapters and even pages have headers of their own.
        needed = 2 if n_pages == 2 and "#" not in key else max(3, min(6, round(n_pages * 0.4)))
        if n >= needed and key.strip("# .,-–|/()") and len(key) > 2 and _counts_with_pages(near):
            kept[key] = [*kept.get(key, []), *group]
    return kept


def _counts_with_pages(group: Sequence[tuple[Page, Segment]]) -> bool:
    """Whether each number in the line stays as it is or grows with the pages; those of headings do not."""
    rows = [(page.number, *map(int, _DIGITS.findall(segment.text)[:6])) for page, segment in group]
    if len(rows[0]) == 1:
        return True
    page, segment = group[0]
    usual = sorted(s.size for s in page.segments)[len(page.segments) // 2]
    if segment.size > 1.2 * usual:
        return False
    same = [Counter(row[n] for row in rows).most_common(1)[0][1] for n in range(1, len(rows[0]))]
    grown = [Counter(row[n] - row[0] for row in rows).most_common(1)[0][1] for n in range(1, len(rows[0]))]
    return all(max(a, b) >= 0.6 * len(rows) for a, b in zip(same, grown, strict=True))


def _page_numbers(found: Sequence[tuple[Page, Segment]], n_pages: int) -> set[int]:
    """Numbers that count with the pages."""
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    pages: defaultdict[int, set[int]] = defaultdict(set)
    for page, segment in found:
        match = _PAGE_NUMBER.fullmatch(segment.text)
        if not match:
            continue
        stated = match.group(1)
        number = int(stated) if stated.isdigit() else _roman(stated.lower())
        if number is not None:
            offsets[number - page.number].append(id(segment))
            pages[number - page.number].add(page.number)
    drop: set[int] = set()
    for offset, ids in offsets.items():
        if len(pages[offset]) >= (2 if n_pages < 6 else 3):
            drop.update(ids)
    return drop


def _roman(text: str) -> int | None:
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}.get(char, 0) for char in text]
    if not values or 0 in values:
        return None
    return sum(-v if v < following else v for v, following in zip(values, [*values[1:], 0], strict=True))


def _watermarks(pages: Sequence[Page]) -> set[int]:
    groups: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for page in pages:
        for direction in page.turned:
            for segment in direction:
                groups[_DIGITS.sub("#", segment.text.lower())].append((page.number, id(segment)))
    needed = max(2, round(len(pages) * 0.4))
    return {
        name for group in groups.values() if len({page for page, _ in group}) >= needed for _, name in group
    }
