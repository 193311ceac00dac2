"""A page's segments as rows and tables in reading order, and these as Markdown."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ingest.loaders.markup import fence, heading, paragraph
from ingest.loaders.pdf.aligned import rows_of, table_at
from ingest.loaders.pdf.grids import Table, ruled_tables
from ingest.loaders.pdf.layout import reading_order
from ingest.loaders.pdf.lines import Row, Segment
from ingest.loaders.pdf.page import Page
from ingest.loaders.pdf.paragraphs import Kind, Line, Paragraph, bullet_item, join, line_of, paragraphs

# Else it would be taken for HTML and not be shown.
_TAG = re.compile(r"<(?=/?[a-zA-Z][^<>]*>)")

Region: TypeAlias = list[Row | Table]


class Part(NamedTuple):
    """A block of Markdown and the y of its first line on the page."""

    markdown: str
    y: float
    kind: Kind | None = None
    """None for a table."""


def regions(page: Page, dropped: Container[int], headings: Container[int]) -> list[Region]:
    kept = [s for s in page.segments if id(s) not in dropped]
    tables, rest = ruled_tables(kept, page.rules, page.right_to_left)
    items: list[Segment | Table] = [*rest, *tables]
    found = [
        _region(items, page.right_to_left, headings) for items in reading_order(items, page.right_to_left)
    ]
    for direction in page.turned:
        rest = [s for s in direction if id(s) not in dropped]
        found += [list[Row | Table](rows_of(items)) for items in reading_order(rest)]
    return [region for region in found if region]


def _region(items: Sequence[Segment | Table], right_to_left: bool, headings: Container[int]) -> Region:
    region: Region = []
    waiting: list[Segment] = []
    for item in sorted(items, key=lambda i: i.top if isinstance(i, Table) else i.y):
        if isinstance(item, Table):
            region += _with_tables(rows_of(waiting), right_to_left, headings)
            waiting = []
            region.append(item)
        else:
            waiting.append(item)
    return region + _with_tables(rows_of(waiting), right_to_left, headings)


def _with_tables(rows: list[Row], right_to_left: bool, headings: Container[int]) -> Region:
    found: Region = []
    n = 0
    while n < len(rows):
        stop = n
        while stop < len(rows) and not any(id(s) in headings for s in rows[stop]):
            stop += 1
        table = table_at(rows[:stop], n, right_to_left) if stop - n >= 2 else None
        if table is None:
            found.append(rows[n])
            n += 1
            continue
        end, markdown = table
        inside = [segment for row in rows[n:end] for segment in row]
        found.append(
            Table(
                markdown,
                min(s.x0 for s in inside),
                max(s.x1 for s in inside),
                inside[0].top,
                inside[-1].y,
                inside[0].size,
                inside[0].sequence,
            )
        )
        n = end
    return found


def parts(
    region: Region,
    levels: Mapping[int, int],
    vocabulary: frozenset[str],
    *,
    right_to_left: bool,
    code: bool,
) -> list[Part]:
    found: list[Part] = []
    lines: list[Line] = []
    for row in [*region, None]:
        if isinstance(row, list):
            level = max((levels.get(id(segment), 0) for segment in row), default=0)
            lines.append(line_of(row, level, right_to_left))
            continue
        for block in paragraphs(lines, code):
            markdown = _markdown(block, vocabulary)
            if markdown:
                found.append(Part(markdown, block.lines[0].y, block.kind))
        lines = []
        if row is not None:
            found.append(Part(_TAG.sub(r"\\<", row.markdown), row.top))
    return found


def continued(before: Part, after: Part) -> bool:
    """Whether a paragraph goes on at the top of the next column."""
    return (
        before.kind in (Kind.PARAGRAPH, Kind.ITEM)
        and after.kind is Kind.PARAGRAPH
        and len(before.markdown) > 60
        and after.markdown[:1].islower()
        and (before.markdown[-1].isalpha() or before.markdown[-1] in ",-")
    )


def _markdown(block: Paragraph, vocabulary: frozenset[str]) -> str:
    texts = [line.text for line in block.lines]
    if block.kind is Kind.CODE:
        return fence(_indented(block.lines))
    text = _TAG.sub(r"\\<", join(texts, vocabulary))
    if block.kind is Kind.HEADING:
        return heading(block.lines[0].level, text)
    return paragraph(bullet_item(text) if block.kind is Kind.ITEM else text)


def _indented(lines: Sequence[Line]) -> str:
    left = min(line.x0 for line in lines)
    return "\n".join(" " * round((line.x0 - left) / (0.6 * line.size)) + line.text for line in lines)
