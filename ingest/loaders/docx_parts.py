"""The parts of a document put together: items of one list under each other, lines of code in one fence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.docx_styles import W


class Part(NamedTuple):
    kind: str  # paragraph | item | code
    text: str


def joined(parts: Iterator[Part]) -> list[str]:
    """Items of one list under each other, lines of code in one fence."""
    found: list[str] = []
    run: list[str] = []
    kind = ""
    for part in [*parts, Part("", "")]:
        if part.kind != kind or kind == "paragraph":
            if kind == "code":
                found.append(markup.fence("\n".join(run)))
            elif kind == "item":
                found.append(_list(run))
            else:
                found += run
            run, kind = [], part.kind
        run.append(part.text)
    return [part for part in found if part.strip()]


def _list(items: list[str]) -> str:
    """Moved to the left so that the first item is no code."""
    least = min(len(item) - len(item.lstrip()) for item in items)
    first = len(items[0]) - len(items[0].lstrip())
    moved = [
        item[min(first, len(item) - len(item.lstrip())) :] if first > least else item[least:]
        for item in items
    ]
    return "\n".join(moved)


def join_where_mark_deleted(body: etree._Element) -> None:
    """Where the end of a paragraph is deleted, its text goes on in the next."""
    marks = body.findall(f".//{W}p/{W}pPr/{W}rPr/{W}del")
    for mark in reversed(marks):  # so that a text over several paragraphs arrives in the last
        paragraph = next(mark.iterancestors(f"{W}p"))
        below = paragraph.getnext()
        if below is None or below.tag != f"{W}p":
            continue
        at = 0 if below.find(f"{W}pPr") is None else 1
        below[at:at] = [child for child in paragraph if child.tag != f"{W}pPr"]
        parent = paragraph.getparent()
        if parent is not None:
            parent.remove(paragraph)
