"""What an XLSX workbook says beside its values: number formats, links, comments, charts, text boxes, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from lxml import etree

from ingest.loaders.markup import image, one_line, paragraph
from ingest.loaders.ooxml_numbers import NumberFormat, S, read_formats
from ingest.loaders.ooxml_parts import Package
from ingest.loaders.pptx_chart import chart_table
from rag.core.errors import LoadError

_R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_THREADED = "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}"
_CELL = re.compile(
    rb'<(?:\w+:)?c(?=\s[^>]*?\br="([A-Z]{1,3})(\d{1,7})")(?:(?=\s[^>]*?\bs="(\d{1,6})"))?\s[^>]*>'
)
_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_MAX_LINKED = 10_000

Place = tuple[int, int]
"""(row, column), from 0"""


@dataclass(slots=True)
class SheetExtras:
    formats: dict[Place, NumberFormat] = field(default_factory=dict)
    links: dict[Place, str] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    """Markdown that follows the sheet's tables."""
    n_rows: int = 0
    n_columns: int = 0
    """How far its cells reach."""


class WorkbookExtras:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._main = package.main_part()
        self._sheets = {
            sheet.get("name") or "": package.target(self._main, sheet.get(_R_ID) or "")
            for sheet in package.xml(self._main).iter(f"{S}sheet")
        }
        styles = package.related_xml(self._main, "styles")
        self._formats = read_formats(styles) if styles is not None else {}

    def of(self, name: str) -> SheetExtras:
        found = SheetExtras()
        part = self._sheets.get(name)
        if part is None:
            return found
        try:
            data = self._package.bytes_of(part)
        except LoadError:
            return found
        self._read_cells(data, found)
        if any(relation.kind == "hyperlink" for relation in self._package.relations(part).values()):
            self._read_links(part, found)
        found.parts += [*self._drawings(part), *self._comments(part)]
        return found

    def _read_cells(self, data: bytes, found: SheetExtras) -> None:
        """A pattern is six times as fast as a parser here, and the values are read by another."""
        for match in _CELL.finditer(data):
            letters, row, style = match.groups()
            at = (int(row) - 1, column_number(letters.decode()))
            if not match.group().endswith(b"/>"):
                found.n_rows, found.n_columns = (
                    max(found.n_rows, at[0] + 1),
                    max(found.n_columns, at[1] + 1),
                )
            if style and (how := self._formats.get(int(style))) is not None:
                found.formats[at] = how

    def _read_links(self, part: str, found: SheetExtras) -> None:
        for node in self._package.xml(part).iter(f"{S}hyperlink"):
            url = self._package.external(part, node.get(_R_ID) or "")
            place = _REFERENCE.match(node.get("ref") or "")
            if url and place and len(found.links) < _MAX_LINKED:
                found.links[int(place.group(2)) - 1, column_number(place.group(1))] = url

    def _comments(self, part: str) -> Iterator[str]:
        threads = self._package.related_xml(part, "threadedComment")
        if threads is not None:
            persons = self._package.related_xml(self._main, "person")
            names = (
                {one.get("id"): one.get("displayName") or "" for one in persons}
                if persons is not None
                else {}
            )
            for one in threads.iter(f"{_THREADED}threadedComment"):
                text = " ".join(node.text or "" for node in one.iter(f"{_THREADED}text"))
                yield _comment(one.get("ref") or "", names.get(one.get("personId"), ""), text)
        notes = self._package.related_xml(part, "comments")
        if notes is None:
            return
        authors = [node.text or "" for node in notes.iter(f"{S}author")]
        for one in notes.iter(f"{S}comment"):
            key = one.get("authorId") or ""
            author = authors[int(key)] if key.isdigit() and int(key) < len(authors) else ""
            if author.startswith("tc="):
                continue  # the same words as in the thread, for old programs
            text = "".join(node.text or "" for node in one.iter(f"{S}t"))
            yield _comment(one.get("ref") or "", author, text)

    def _drawings(self, part: str) -> Iterator[str]:
        for relation in self._package.relations(part).values():
            if relation.kind != "drawing" or relation.external:
                continue
            try:
                drawing = self._package.xml(relation.target)
            except LoadError:
                continue
            for anchor in drawing:
                yield from self._anchored(anchor, relation.target)

    def _anchored(self, anchor: etree._Element, drawing: str) -> Iterator[str]:
        for node in anchor.iter(f"{_XDR}txBody", f"{_XDR}pic", _CHART):
            if node.tag == _CHART:
                chart = self._package.xml_of(drawing, node.get(_R_ID) or "")
                yield from chart_table(chart) if chart is not None else ()
            elif node.tag == f"{_XDR}pic":
                about = next(node.iter(f"{_XDR}cNvPr"), None)
                if about is not None and about.get("descr"):
                    yield image(about.get("descr") or "", "")
            else:
                for line in node.iter(f"{_A}p"):
                    text = one_line("".join(words.text or "" for words in line.iter(f"{_A}t")))
                    if text:
                        yield paragraph(text)


_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"


@cache
def column_number(letters: str) -> int:
    """A is 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _comment(place: str, author: str, text: str) -> str:
    words = one_line(text.removeprefix(f"{author}:")) if author else one_line(text)
    by = f" by {author}" if author else ""
    return paragraph(f"Comment{by} on {place}: {words}") if words else ""
