"""reStructuredText: the text is the decoded file itself; a scanner of its block structure makes the map.

Directives are never carried out: nothing is included, no other file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.loaders.dates import iso_date
from ingest.loaders.text import decode, line_spans
from rag.core.types import Block, BlockKind, LoadedDocument, MetaValue

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*[ \t]*$")
_ITEM = re.compile(r"(?:[-*+•]|(?:\(?(?:\d{1,4}|[a-zA-Z#]|[ivxlcIVXLC]{1,7})[.)]))(?:[ \t]+\S|$)")
_FIELD = re.compile(r":((?:[^:\\\s]|\\.)(?:[^:\\]|\\.)*):(?:[ \t]+(.*)|$)")
_EXPLICIT = re.compile(r"\.\.(?:[ \t]+(.*))?$")
_DIRECTIVE = re.compile(r"(?:\|[^|]+\|[ \t]+)?([\w:.+-]*\w)[ \t]?::(?:[ \t]|$)")
_GRID = re.compile(r"\+[-=+]{3,}\+?[ \t]*$")
_SIMPLE_TABLE = re.compile(r"=+(?:[ \t]+=+)+[ \t]*$")
_CODE = re.compile(
    "code|code-block|sourcecode|parsed-literal|literalinclude|math|testcode|testoutput|doctest|graphviz|raw|"
    "prompt|productionlist"
)
_TABLES = re.compile("table|list-table|csv-table|flat-table")
_MARKUP_ONLY = re.compile(
    "contents|toctree|include|image|highlight|index|meta|default-role|role|sectnum|tabularcolumns|currentmodule|"
    "module|target-notes|class|rst-class|header|footer"
)
_METADATA = {
    "author": "author",
    "authors": "author",
    "date": "date",
    "version": "version",
    "status": "status",
}
_ROLE = re.compile(r":[\w:.+-]+:`([^`]*)`|`{1,2}([^`]+)`{1,2}_{0,2}|\*{1,2}([^*]+)\*{1,2}|\|([^|]+)\|")
_TARGET = re.compile(r"\s*<[^<>]*>$")
_HEADING_CHARS = 200


class RstLoader:
    media_types = ("text/x-rst",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data)
        scan = _Scan(text, line_spans(text))
        blocks = tuple(scan.blocks())
        heads = [b for b in blocks if b.kind is BlockKind.HEADING]
        title = heads[0].heading_path[-1] if heads and len(heads[0].heading_path) == 1 else None
        return LoadedDocument(text, blocks, self.media_types[0], title, scan.metadata)


@dataclass(slots=True)
class _Scan:
    text: str
    spans: list[tuple[int, int]]
    """Of each line, its end left out."""
    metadata: dict[str, MetaValue] = field(default_factory=dict)
    _styles: list[tuple[str, bool]] = field(default_factory=list)
    _path: tuple[str, ...] = ()
    _literal: bool = False
    """The paragraph before ended in "::", so what is indented now is code."""

    def blocks(self) -> Iterator[Block]:
        at = 0
        while at < len(self.spans):
            if not self._line(at).strip():
                at += 1
                continue
            n_lines = self._title(at)
            if n_lines:
                yield self._block(at, at + n_lines, BlockKind.HEADING)
                at += n_lines
                self._literal = False
                continue
            end, kind = self._body(at)
            if kind is BlockKind.PARAGRAPH:
                yield from self._paragraphs(at, end)
            elif kind is not None:
                yield self._block(at, end, kind)
            at = end

    def _body(self, at: int) -> tuple[int, BlockKind | None]:
        """(line after the block that begins here, its kind; None for what is markup only)."""
        line = self._line(at)
        literal, self._literal = self._literal, False
        if line[0] in " \t":
            end = self._indented(at)
            return end, BlockKind.CODE if literal else BlockKind.QUOTE
        if literal and not line[0].isalnum():
            return self._paragraph(at), BlockKind.CODE  # a quoted literal block
        explicit = _EXPLICIT.match(line)
        if explicit:
            return self._indented(at + 1), _explicit_kind(explicit.group(1) or "")
        if line.startswith("__ "):
            return at + 1, None
        if _GRID.match(line) or _SIMPLE_TABLE.match(line):
            return self._table(at), BlockKind.TABLE
        if line.startswith(">>>"):
            return self._paragraph(at), BlockKind.CODE
        if _ADORNMENT.match(line) and len(line.strip()) >= 4 and not self._line(at + 1).strip():
            return at + 1, None  # a line between two parts
        if _FIELD.match(line) and not self._is_role(line):
            end = self._items(at, _FIELD)
            self._fields(at, end)
            return end, BlockKind.LIST
        if _ITEM.match(line):
            return self._items(at, _ITEM), BlockKind.LIST
        return self._paragraph(at), BlockKind.PARAGRAPH

    def _title(self, at: int) -> int:
        """Lines of the section title that begins here, 0 if none does."""
        first, second, third = self._line(at), self._line(at + 1), self._line(at + 2)
        over = _ADORNMENT.match(first)
        if (
            over
            and second.strip()
            and third.rstrip() == first.rstrip()
            and len(first.rstrip()) >= len(second.strip())
        ):
            return self._enter(second.strip(), (over.group(1), True), 3)
        under = _ADORNMENT.match(second)
        if not under or first[0] in " \t" or _ADORNMENT.match(first):
            return 0
        n_under = len(second.rstrip())
        # As docutils has it: a short line below is a title's all the same from four characters on.
        if n_under < len(first.rstrip()) and n_under < 4:
            return 0
        return self._enter(first.strip(), (under.group(1), False), 2)

    def _enter(self, name: str, style: tuple[str, bool], n_lines: int) -> int:
        if style not in self._styles:
            self._styles.append(style)
        level = self._styles.index(style)
        self._path = (*self._path[:level], _heading_name(name))
        return n_lines

    def _paragraph(self, at: int) -> int:
        end = at + 1
        while self._line(end).strip():
            end += 1
        self._literal = self._line(end - 1).rstrip().endswith("::")
        return end

    def _paragraphs(self, at: int, end: int) -> Iterator[Block]:
        """A directive such as a note holds several."""
        for number in range(at, end):
            if number + 1 == end or not self._line(number + 1).strip():
                if self._line(number).strip():
                    yield self._block(at, number + 1, BlockKind.PARAGRAPH)
                at = number + 2

    def _indented(self, at: int) -> int:
        """The line after the last that is indented; blank lines between belong to it."""
        end = last = at
        while end < len(self.spans):
            line = self._line(end)
            if line.strip():
                if line[0] not in " \t":
                    break
                last = end + 1
            end += 1
        return max(last, at)

    def _items(self, at: int, opener: re.Pattern[str]) -> int:
        end = at
        while opener.match(self._line(end)):
            end += 1
            while (
                self._line(end).strip()
                and not opener.match(self._line(end))
                and self._line(end)[0] not in " \t"
            ):
                end += 1  # a line that somebody did not indent
            end = self._indented(end)
            following = end
            while following < len(self.spans) and not self._line(following).strip():
                following += 1
            if not opener.match(self._line(following)) or self._title_at(following):
                break
            end = following
        return end

    def _title_at(self, at: int) -> bool:
        under = _ADORNMENT.match(self._line(at + 1))
        return bool(under) and len(self._line(at + 1).strip()) >= 4

    def _table(self, at: int) -> int:
        if _GRID.match(self._line(at)):
            end = at
            while self._line(end).startswith(("+", "|")):
                end += 1
            return end
        # A simple table ends with the border after which nothing, or a blank line, follows.
        borders = 1
        end = at + 1
        while end < len(self.spans):
            line = self._line(end)
            end += 1
            if _SIMPLE_TABLE.match(line):
                borders += 1
                if borders >= 2 and not self._line(end).strip():
                    return end
            elif line.startswith(("..", "==")) and not _SIMPLE_TABLE.match(line):
                break
        return self._paragraph(at)

    def _fields(self, at: int, end: int) -> None:
        for number in range(at, end):
            match = _FIELD.match(self._line(number))
            key = _METADATA.get(match.group(1).lower()) if match else None
            value = _heading_name(match.group(2) or "") if match else ""
            value = iso_date(value.strip("$").removeprefix("Date:")) if key == "date" else value
            if key and value:
                self.metadata.setdefault(key, value)

    @staticmethod
    def _is_role(line: str) -> bool:
        return bool(re.match(r":[\w:.+-]+:`", line))

    def _line(self, number: int) -> str:
        if number >= len(self.spans):
            return ""
        start, end = self.spans[number]
        return self.text[start:end]

    def _block(self, at: int, end: int, kind: BlockKind) -> Block:
        start, stop = self.spans[at][0], self.spans[end - 1][1]
        while stop > start and self.text[stop - 1].isspace():
            stop -= 1
        return Block(start, stop, kind, self._path)


def _explicit_kind(body: str) -> BlockKind | None:
    if not body.strip() or body.startswith(("_", "[")):
        # Footnotes and citations are text, link targets are not.
        return BlockKind.PARAGRAPH if body.startswith("[") else None
    directive = _DIRECTIVE.match(body)
    if not directive:
        return BlockKind.HIDDEN  # a comment
    name = directive.group(1).rpartition(":")[2].lower()
    if _CODE.fullmatch(name):
        return BlockKind.CODE
    if _TABLES.fullmatch(name):
        return BlockKind.TABLE
    return None if _MARKUP_ONLY.fullmatch(name) else BlockKind.PARAGRAPH


def _heading_name(markup: str) -> str:
    name = _ROLE.sub(
        lambda m: _TARGET.sub("", next(group for group in m.groups() if group is not None)), markup
    )
    return " ".join(name.replace("\\", "").split())[:_HEADING_CHARS]
