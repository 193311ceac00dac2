"""The pieces of a passage that can be quoted: sentences, list items, table rows, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rag.core.plain import plain
from rag.core.text import sentence_spans

_ITEM = re.compile(r"[ \t]*(?:[-*+•▪‣–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])[ \t]+\S")
_HEADING = re.compile(r"[ \t]*(#{1,6}[ \t]+\S|[=\-~^]{3,}[ \t]*$)")
_RULE_ROW = re.compile(r"[ \t]*\|?[ \t:|+=-]*-{2,}[ \t:|+=-]*$")
_FENCE = re.compile(r"[ \t]*(```|~~~)")

_PRONOUN = re.compile(
    r"^[\W_]*(?:it|its|they|their|them|this|these|those|that|he|she|his|her|him|such|there|then|also|however|otherwise"
    r"|er|es|dies|diese|dieser|dieses|dabei|dazu|il|elle|ils|elles|esto|este)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """``text[start:end]`` of a passage; what it means may depend on the units it refers to."""

    start: int
    end: int
    kind: Literal["sentence", "item", "row", "heading", "code"]
    intro: tuple[int, int] | None = None
    """Of an item: the sentence or heading that introduces the list; of a row: the table's header row."""


@lru_cache(maxsize=512)
def units(text: str) -> tuple[Unit, ...]:
    """Every quotable unit of the text in order, not overlapping; white space lies between them."""
    return tuple(_units(text))


def opens_with_pronoun(sentence: str) -> bool:
    """Whether a sentence leans on the one before it: "It expires in March." """
    return _PRONOUN.match(sentence) is not None


def row_text(text: str, row: Unit) -> str:
    """A table row that says which column each cell is in: "Plan: Basic; Price: $5"."""
    cells = _cells(text[row.start : row.end])
    header = _cells(text[slice(*row.intro)]) if row.intro is not None else []
    if len(header) != len(cells):
        return "; ".join(cell for cell in cells if cell)
    return "; ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(header, cells, strict=True) if cell
    )


def _cells(row: str) -> list[str]:
    row = row.strip().strip("|")
    return [" ".join(plain(cell).split()) for cell in re.split(r"\t|(?<!\\)\|", row)]


def _units(text: str) -> Iterator[Unit]:
    pending: tuple[int, int] | None = None  # a run of prose lines that belong together
    intro: tuple[int, int] | None = None
    header: tuple[int, int] | None = None
    in_table = in_code = False
    item: tuple[int, int] | None = None

    def prose(span: tuple[int, int] | None) -> list[Unit]:
        nonlocal intro
        found = [Unit(start, end, "sentence") for start, end in sentence_spans(text, *span)] if span else []
        if found:
            last = found[-1]
            intro = (last.start, last.end) if text[last.end - 1] == ":" else None
        return found

    def listed(span: tuple[int, int] | None) -> list[Unit]:
        if span is None:
            return []
        return [Unit(start, end, "item", intro) for start, end in sentence_spans(text, *span)]

    for start, end in _lines(text):
        line = text[start:end]
        if _FENCE.match(line):
            yield from prose(pending)
            yield from listed(item)
            pending = item = None
            in_code = not in_code
            continue
        if in_code:
            if line.strip():
                yield Unit(*_trimmed(text, start, end), "code")
            continue
        is_row = _is_row(line)
        if not line.strip() or is_row or _ITEM.match(line) or _HEADING.match(line):
            yield from prose(pending)
            yield from listed(item)
            pending = item = None
        if not is_row:
            in_table, header = False, None
        if not line.strip():
            continue
        if is_row:
            if _RULE_ROW.match(line):
                continue
            span = _trimmed(text, start, end)
            yield Unit(*span, "row", header)
            if not in_table:
                header, in_table = span, True
        elif _HEADING.match(line):
            intro = None
            if line.lstrip().startswith("#"):
                intro = _trimmed(text, start, end)
                yield Unit(*intro, "heading")
        elif _ITEM.match(line):
            item = (start, end)
        elif item is not None:
            item = (item[0], end)
        else:
            pending = (pending[0] if pending else start, end)
    yield from prose(pending)
    yield from listed(item)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _is_row(line: str) -> bool:
    stripped = line.strip()
    if not stripped:
        return False
    if stripped.startswith("|") and stripped.count("|") >= 2:
        return True
    return stripped.count("\t") >= 1 or stripped.count(" | ") >= 1


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
