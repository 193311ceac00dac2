"""DOCX: headings, paragraphs, lists, tables, notes, text boxes, equations and comments as Markdown."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.archive import open_zip
from ingest.loaders.docx_inline import Inline, Piece, written
from ingest.loaders.docx_styles import Style, W, numbering_of, read_numbering, read_styles
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.ole import decrypted
from ingest.loaders.ooxml_parts import Package, core_properties
from ingest.loaders.pptx_chart import chart_table
from ingest.loaders.tables import markdown_table
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_INDENT = "    "
_MAX_DEPTH = 30
_CODE_SIGN = re.compile(r"[{}()\[\];=<>]|^\s*(?:SELECT|import|def|class|function|return)\b")
_CONTAINERS = frozenset(
    f"{W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag")
)


class Part(NamedTuple):
    kind: str  # paragraph | item | code
    text: str


class DocxLoader:
    media_types = (_DOCX,)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        data = decrypted(data, path.name, passwords)
        with open_zip(data, path.name) as archive:
            package = Package(archive, path.name)
            body = _Body(package)
            parts = _joined(body.parts(body.root, 0))
            title, metadata = core_properties(package)
        warnings = [f"{body.n_hidden} pieces of hidden text are left out"] if body.n_hidden else []
        return document_from_markdown(
            "\n\n".join(parts) + "\n",
            _DOCX,
            title=body.title or title,
            metadata=metadata,
            warnings=[*warnings, *package.warnings],
        )


class _Body:
    """The main part of one document and what it refers to."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.part = package.main_part()
        found = next(package.xml(self.part).iter(f"{W}body"), None)
        if found is None:
            raise LoadError(f"{package.name} has no text part; open and save it anew.", path=package.name)
        self.root: etree._Element = found
        self.styles = read_styles(package.related_xml(self.part, "styles"))
        self.numbering = read_numbering(package.related_xml(self.part, "numbering"))
        self.notes = {
            kind: {note.get(f"{W}id") or "": note for note in root}
            for kind, relation in (
                ("footnote", "footnotes"),
                ("endnote", "endnotes"),
                ("comment", "comments"),
            )
            if (root := package.related_xml(self.part, relation)) is not None
        }
        self.title: str | None = None
        self.n_hidden = 0
        self._n_notes = 0

    def parts(self, parent: etree._Element, depth: int) -> Iterator[Part]:
        if depth > _MAX_DEPTH:
            return
        for node in parent:
            if node.tag == f"{W}p":
                yield from self._paragraph(node, depth)
            elif node.tag == f"{W}tbl":
                yield from self._table(node, depth)
            elif node.tag in _CONTAINERS:
                yield from self.parts(node, depth + 1)

    def _paragraph(self, node: etree._Element, depth: int) -> Iterator[Part]:
        inline = Inline(self._url, self._picture)
        pieces = list(inline.pieces(node))
        self.n_hidden += inline.n_hidden
        style = self.styles.of(node)
        if _is_code(pieces, style):
            yield Part("code", written(pieces, emphasised=False).rstrip())
        elif style.is_title or style.heading:
            text = markup.one_line(written(pieces, emphasised=False))
            if style.is_title and text and self.title is None:
                self.title = text
            if text:
                number = self._heading_number(node, style)
                yield Part(
                    "paragraph", markup.heading(1 if style.is_title else style.heading or 1, number + text)
                )
        else:
            yield from self._body_text(node, style, written(pieces))
        for box in inline.boxes:
            yield from self.parts(box, depth + 1)
        for relation in inline.charts:
            chart = self.package.xml_of(self.part, relation)
            yield from (Part("paragraph", text) for text in (chart_table(chart) if chart is not None else ()))
        for kind, key in inline.notes:
            yield from self._note(kind, key, depth)

    def _heading_number(self, node: etree._Element, style: Style) -> str:
        number, level = numbering_of(node.find(f"{W}pPr")) or style.numbering or ("0", 0)
        if not number and style.numbering:
            number = style.numbering[0]
        shown = self.numbering.heading_number(number, level)
        return f"{shown} " if shown else ""

    def _body_text(self, node: etree._Element, style: Style, text: str) -> Iterator[Part]:
        own = numbering_of(node.find(f"{W}pPr"))
        number, level = own or style.numbering or ("0", 0)
        if own is not None and not number and style.numbering:
            number = style.numbering[0]
        if number in ("", "0"):
            if text.strip():
                yield Part("paragraph", markup.paragraph(text))
            return
        if text.strip():
            level = min(max(level, 0), 8)
            yield Part(
                "item", f"{_INDENT * level}{self.numbering.mark(number, level)} {markup.one_line(text)}"
            )

    def _note(self, kind: str, key: str, depth: int) -> Iterator[Part]:
        note = self.notes.get(kind, {}).get(key)
        if note is None or depth > 3:
            return
        text = markup.one_line(" ".join(part.text for part in self.parts(note, depth + 1)))
        if not text:
            return
        if kind == "comment":
            author = note.get(f"{W}author") or ""
            yield Part(
                "paragraph",
                markup.paragraph(f"Comment by {author}: {text}" if author else f"Comment: {text}"),
            )
        else:
            self._n_notes += 1
            yield Part("paragraph", markup.paragraph(f"Note {self._n_notes}: {text}"))

    # Tables

    def _table(self, table: etree._Element, depth: int) -> Iterator[Part]:
        rows = [self._row(row, depth) for row in _children(table, "tr")]
        width = max((len(row) for row in rows), default=0)
        if len(rows) == 1 and len({id(cell) for cell, _, _ in rows[0]}) == 1:
            yield from self.parts(rows[0][0][0], depth + 1)  # a frame around text
            return
        grid: list[list[str]] = []
        for row in rows:
            line = []
            for column, (_, text, continues) in enumerate(row):
                above = grid[-1][column] if grid and column < len(grid[-1]) else ""
                line.append(above if continues else text)
            grid.append(line)
        while (
            len(grid) > 1 and width > 1 and len(grid[0]) == width and len({id(c) for c, _, _ in rows[0]}) == 1
        ):
            if grid[0][0]:
                yield Part("paragraph", markup.paragraph(grid[0][0]))
            grid, rows = grid[1:], rows[1:]
        yield Part("paragraph", markdown_table(grid))

    def _row(self, row: etree._Element, depth: int) -> list[tuple[etree._Element, str, bool]]:
        """(cell, text, whether it goes on from the row above) for each column; wide cells are repeated."""
        found: list[tuple[etree._Element, str, bool]] = []
        before = row.find(f"{W}trPr/{W}gridBefore")
        for cell in _children(row, "tc"):
            properties = cell.find(f"{W}tcPr")
            merge = properties.find(f"{W}vMerge") if properties is not None else None
            continues = merge is not None and merge.get(f"{W}val", "continue") == "continue"
            text = " ".join(part.text.strip() for part in self.parts(cell, depth + 1))
            span = properties.find(f"{W}gridSpan") if properties is not None else None
            n = min(max(int(span.get(f"{W}val") or 1), 1), 200) if span is not None else 1
            found += [(cell, " ".join(text.split()), continues)] * n
        empty = int(before.get(f"{W}val") or 0) if before is not None else 0
        return [(row, "", False)] * min(empty, 200) + found

    # References

    def _url(self, relation: str) -> str:
        return self.package.external(self.part, relation) or ""

    def _picture(self, relation: str) -> tuple[bytes, str] | None:
        target = self.package.target(self.part, relation)
        if target is None:
            return None
        kind = posixpath.splitext(target)[1].lstrip(".").lower()
        blob = self.package.head(target)
        return (blob, f"image/{'jpeg' if kind == 'jpg' else kind}") if blob else None


def _children(node: etree._Element, name: str) -> Iterator[etree._Element]:
    """Rows of a table or cells of a row, those inside content controls and insertions too."""
    for child in node:
        if child.tag == f"{W}{name}":
            yield child
        elif child.tag in _CONTAINERS:
            yield from _children(child, name)


def _is_code(pieces: list[Piece], style: Style) -> bool:
    text = "".join(piece.text for piece in pieces)
    if not text.strip():
        return False
    if style.is_code:
        return True
    words = [piece for piece in pieces if piece.text.strip()]
    return all(piece.monospaced for piece in words) and bool(_CODE_SIGN.search(text))


def _joined(parts: Iterator[Part]) -> list[str]:
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
