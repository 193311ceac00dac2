"""The pieces of a passage that can be quoted: sentences, list items, table rows, records, headings."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from rag import tables
from rag.core.plain import plain
from rag.core.text import sentence_spans
from rag.core.types import PackedSource
from rag.tables import Span, trimmed

_ITEM = re.compile(r"[ \t]*(?:[-*+•▪‣–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])[ \t]+\S")
_NUMBERED = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*[.)]?|[a-zA-Z][.)])[ \t]+[A-ZÀ-Þ]")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+\S")
_UNDERLINE = re.compile(r"[ \t]*([=\-~^\"'*+#])\1{2,}[ \t]*$")
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_CAPITALS = re.compile(r"[^a-zß-ÿ]*[A-ZÀ-Þ]{2}[^a-zß-ÿ]*$")
_FIELD = re.compile(
    r"[ \t]*(?:[-*+][ \t]+)?(?:\*\*(?P<bold>[^*:\n]{1,40}):\*\*|:(?P<colon>\w[^:\n]{0,39}):|(?P<bare>[A-Z][\w-]*(?: [\w-]+){0,2}):)"
    r"[ \t]+(?P<value>\S.*)",
    re.DOTALL,
)
_SAID_IN_FULL = re.compile(r"[.!?…:;,。！？][\"'”’»)*_]*$")
_STARTS_ANEW = re.compile(r"[\W_]*[A-ZÀ-Þ\d]")
_SLACK = 4
_MAX_RECORD_CHARS = 700
_MAX_TITLE_CHARS = 80

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
    intro: Span | None = None
    """Of an item: the sentence or heading that introduces the list; of a row: the table's header row, if it is
    in the passage."""
    said: str = ""
    """Of a row: its cells with the names of their columns, "Plan: Basic; Price: $5"."""
    above: str = ""
    """What it is read with: the heading over it in this passage, the header of its table."""


def units(text: str, head: str = "") -> tuple[Unit, ...]:
    """Every quotable unit of the text in order, not overlapping; white space lies between them.

    ``head``: the header of the table that the text begins in the middle of, see ``heads``."""
    return _read(text, head)


def heads(sources: Iterable[PackedSource], text_of: Callable[[str], str]) -> dict[int, str]:
    """By the number of each source that begins in the middle of a table: the lines that name its columns."""
    found = {one.number: tables.head_of_table(text_of(one.source.id), one.start) for one in sources}
    return {number: head for number, head in found.items() if head}


def units_of(source: PackedSource, heads: Mapping[int, str]) -> tuple[Unit, ...]:
    return units(source.text, heads.get(source.number, ""))


def opens_with_pronoun(sentence: str) -> bool:
    """Whether a sentence leans on the one before it: "It expires in March." """
    return _PRONOUN.match(sentence) is not None


@lru_cache(maxsize=1024)
def _read(text: str, head: str) -> tuple[Unit, ...]:
    n = len(head)
    found = []
    for unit in _Reader(head + text).units():
        if unit.start < n:
            continue
        intro = (unit.intro[0] - n, unit.intro[1] - n) if unit.intro and unit.intro[0] >= n else None
        found.append(replace(unit, start=unit.start - n, end=unit.end - n, intro=intro))
    return tuple(found)


class _Reader:
    """One pass over the lines of a passage."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = list(_lines(text))
        self.heading = ""
        self.intro: Span | None = None

    def units(self) -> Iterator[Unit]:
        at = 0
        while at < len(self.lines):
            line = self._line(at)
            if not line.strip():
                at += 1
            elif _FENCE.match(line):
                at = yield from self._code(at + 1)
            elif _HEADING.match(line):
                yield self._titled(self._span(at, at + 1))
                at += 1
            elif _UNDERLINE.match(line) and not self._is_overline(at):
                self.intro = None
                at += 1
            else:
                at = yield from self._block(at)

    def _block(self, at: int) -> Generator[Unit, None, int]:
        """The lines up to a blank one, or to where something else begins."""
        end = at + 1
        while end < len(self.lines) and self._line(end).strip() and not self._begins_other(end):
            end += 1
        shown = [self._line(n) for n in range(at, end)]
        if tables.is_border(shown[0]):
            yield from self._rows(tables.bordered_rows(self.text, self.lines[at:end]))
            return end
        if n_rows := _leading(shown, tables.is_pipe_row):
            yield from self._rows(tables.pipe_rows(self.text, self.lines[at : at + n_rows]))
            return at + n_rows
        if n_rows := tables.n_aligned(shown):
            yield from self._rows(tables.aligned_rows(self.text, self.lines[at : at + n_rows]))
            return at + n_rows
        if n_lines := self._title_lines(shown):
            yield self._titled(self._span(at, at + n_lines))
            return at + n_lines
        if record := self._record(at, end):
            yield record[0]
            return record[1]
        if _ITEM.match(shown[0]):
            stop = next((n for n in range(at + 1, end) if _ITEM.match(self._line(n))), end)
            for start, stop_char in self._pieces(at, stop):
                yield self._unit(start, stop_char, "item", self.intro)
            return stop
        if end - at > 1 and _is_term(shown[0], shown[1]):
            outer = _indent(shown[0])
            stop = next((n for n in range(at + 2, end) if _indent(self._line(n)) <= outer), end)
            heading = self.heading
            yield self._titled(self._span(at, at + 1))
            yield from self._prose(at + 1, stop)
            self.heading = heading
            return stop
        stop = next((n for n in range(at + 1, end) if self._is_item_or_row(n)), end)
        yield from self._prose(at, stop)
        return stop

    def _prose(self, at: int, end: int) -> Iterator[Unit]:
        self.intro = None
        for start, stop in self._pieces(at, end):
            yield self._unit(start, stop, "sentence")
            self.intro = (start, stop) if self.text[stop - 1] == ":" else None

    def _pieces(self, at: int, end: int) -> Iterator[Span]:
        """Sentences, cut also where a line ends although the next word would have fitted on it."""
        shown = [self._line(n) for n in range(at, end)]
        width = max(map(len, shown))
        start = self.lines[at][0]
        for n in range(at, end):
            if n + 1 == end or _breaks(self._line(n), self._line(n + 1), width):
                yield from sentence_spans(self.text, start, self.lines[n][1])
                start = self.lines[n][1]

    def _record(self, at: int, end: int) -> tuple[Unit, int] | None:
        """Fields under each other, "Key: value", as one unit; and the line after them."""
        fields: list[str] = []
        stop = at
        while stop < end and (match := _FIELD.match(self._line(stop))):
            after = stop + 1
            while after < end and self._line(after)[:1].isspace() and not _FIELD.match(self._line(after)):
                after += 1
            value = self.text[self.lines[stop][0] + match.start("value") : self.lines[after - 1][1]]
            if match.group("bare") and _SAID_IN_FULL.search(value.rstrip()):
                break
            name = match.group("bold") or match.group("colon") or match.group("bare")
            fields.append(f"{tables.in_words(name)}: {' '.join(plain(value).split())}")
            stop = after
        span = self._span(at, stop) if fields else (0, 0)
        if len(fields) < 2 or span[1] - span[0] > _MAX_RECORD_CHARS:
            return None
        return self._unit(*span, "row", said="; ".join(fields)), stop

    def _title_lines(self, shown: Sequence[str]) -> int:
        """How many of the lines are a heading without Markdown's mark: 0, 1, or 2 and 3 with their rules."""
        if len(shown) >= 3 and _UNDERLINE.match(shown[0]) and _UNDERLINE.match(shown[2]):
            return 3
        if len(shown) >= 2 and _UNDERLINE.match(shown[1]) and not _ITEM.match(shown[0]):
            return 2
        first = shown[0].strip()
        if len(first) > _MAX_TITLE_CHARS or _SAID_IN_FULL.search(first):
            return 0
        if _CAPITALS.match(first) and len(first) > 3 and not any(map(str.isdigit, first)):
            return 1
        follows = shown[1] if len(shown) > 1 else ""
        if _NUMBERED.match(first) and follows[:1].isupper() and not _FIELD.match(follows):
            return int(_breaks(shown[0], follows, max(map(len, shown))))
        return 0

    def _begins_other(self, at: int) -> bool:
        line = self._line(at)
        return bool(_FENCE.match(line) or _HEADING.match(line))

    def _is_item_or_row(self, at: int) -> bool:
        return _ITEM.match(self._line(at)) is not None or tables.is_pipe_row(self._line(at))

    def _is_overline(self, at: int) -> bool:
        after = [self._line(n) for n in range(at + 1, min(at + 3, len(self.lines)))]
        return len(after) == 2 and bool(after[0].strip()) and _UNDERLINE.match(after[1]) is not None

    def _rows(self, rows: Iterable[tables.Row]) -> Iterator[Unit]:
        for row in rows:
            names = self.text[slice(*row.header)] if row.header is not None else ""
            unit = self._unit(row.start, row.end, "row", row.header, row.said)
            yield replace(unit, above=f"{unit.above}\n{names}") if names else unit

    def _code(self, at: int) -> Generator[Unit, None, int]:
        while at < len(self.lines) and not _FENCE.match(self._line(at)):
            if self._line(at).strip():
                yield self._unit(*self._span(at, at + 1), "code")
            at += 1
        return at + 1

    def _titled(self, span: Span) -> Unit:
        lines = self.text[slice(*span)].split("\n")
        self.heading = "\n".join(line for line in lines if not _UNDERLINE.match(line))
        self.intro = span
        return Unit(*span, "heading")

    def _unit(
        self,
        start: int,
        end: int,
        kind: Literal["sentence", "item", "row", "code"],
        intro: Span | None = None,
        said: str = "",
    ) -> Unit:
        return Unit(start, end, kind, intro, said, self.heading)

    def _line(self, at: int) -> str:
        return self.text[slice(*self.lines[at])]

    def _span(self, first: int, end: int) -> Span:
        return trimmed(self.text, self.lines[first][0], self.lines[end - 1][1])


def _breaks(line: str, following: str, width: int) -> bool:
    """Whether a line ends on purpose, not because the paragraph is wrapped there."""
    if not _STARTS_ANEW.match(following) or line.rstrip()[-1:] in (",", "-", "–", "("):
        return False
    if _FIELD.match(following) and _FIELD.match(line):
        return True
    return len(line.rstrip()) + 1 + len(following.split()[0]) < width - _SLACK


def _is_term(line: str, following: str) -> bool:
    """Whether an indented line explains the one above it, as in a definition list."""
    return (
        _indent(following) >= _indent(line) + 2
        and len(line) <= _MAX_TITLE_CHARS
        and not _SAID_IN_FULL.search(line.rstrip())
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _leading(shown: Sequence[str], wanted: Callable[[str], bool]) -> int:
    n = 0
    while n < len(shown) and wanted(shown[n]):
        n += 1
    return n


def _lines(text: str) -> Iterator[Span]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1
