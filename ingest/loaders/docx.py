"""DOCX: headings, paragraphs, lists, tables, notes, text boxes, equations and comments as Markdown."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.archive import open_zip
from ingest.loaders.docx_cells import CONTAINERS, Cell, cells_of, children, is_one_cell
from ingest.loaders.docx_fields import ContentsField
from ingest.loaders.docx_inline import MC, Inline, R, chosen
from ingest.loaders.docx_numbering import read_numbering
from ingest.loaders.docx_parts import Part, join_where_mark_deleted, joined
from ingest.loaders.docx_pieces import Piece, written
from ingest.loaders.docx_styles import Style, W, is_on, numbering_of, read_styles
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.ole import decrypted
from ingest.loaders.ooxml_diagram import diagram_list
from ingest.loaders.ooxml_parts import Package, core_properties
from ingest.loaders.ooxml_tables import Row, Spread, in_one_line, table
from ingest.loaders.pptx_chart import chart_table
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_INDENT = "    "
_MAX_DEPTH = 30
_CODE_SIGN = re.compile(r"[{}()\[\];=<>]|^\s*(?:SELECT|import|def|class|function|return)\b")


class DocxLoader:
    media_types = (_DOCX,)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        data = decrypted(data, path.name, passwords)
        with open_zip(data, path.name) as archive:
            package = Package(archive, path.name)
            body = _Body(package)
            parts = joined(body.parts(body.root, 0))
            title, metadata = core_properties(package)
        warnings = []
        if body.n_hidden:
            pieces = (
                "1 piece of hidden text is"
                if body.n_hidden == 1
                else f"{body.n_hidden} pieces of hidden text are"
            )
            warnings.append(f"{pieces} left out")
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
        join_where_mark_deleted(found)
        if not package.is_whole(self.part):
            package.warnings.append("The file is damaged: its text ends early")
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
        self._on_white = next(self.root.itersiblings(f"{W}background", preceding=True), None) is None
        self._in_cell = False
        self._n_notes = 0
        self._contents = ContentsField()

    def parts(self, parent: etree._Element, depth: int) -> Iterator[Part]:
        if depth > _MAX_DEPTH:
            return
        for node in parent:
            if node.tag == f"{W}p":
                yield from self._paragraph(node, depth)
            elif node.tag == f"{W}tbl":
                yield from self._table(node, depth)
            elif node.tag == f"{MC}AlternateContent":
                yield from self.parts(chosen(node), depth + 1)
            elif node.tag == f"{W}altChunk":
                yield from self._chunk(node)
            elif node.tag in CONTAINERS and not _is_contents(node):
                yield from self.parts(node, depth + 1)

    def _paragraph(self, node: etree._Element, depth: int) -> Iterator[Part]:
        style = self.styles.of(node)
        if style.in_contents or self._contents.covers(node):
            return
        inline = Inline(
            self._url,
            self._picture,
            hidden_styles=self.styles.hidden_runs,
            marked_styles=self.styles.marked_runs,
            hides_all=style.is_hidden,
            on_white=self._on_white and not style.is_shaded and not _is_shaded(node),
        )
        pieces = list(inline.pieces(node))
        self.n_hidden += inline.n_hidden
        if _is_code(pieces, style):
            yield Part("code", written(pieces, emphasised=False).rstrip())
        elif (style.is_title or style.heading) and not self._in_cell:
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
            yield from self._cell_parts(box, depth)
        for relation in inline.charts:
            chart = self.package.xml_of(self.part, relation)
            yield from (Part("paragraph", text) for text in (chart_table(chart) if chart is not None else ()))
        for relation in inline.diagrams:
            diagram = self.package.xml_of(self.part, relation)
            yield from (Part("item", text) for text in (diagram_list(diagram) if diagram is not None else ()))
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
            mark = self.numbering.mark(number, min(max(level, 0), 8))
            level = min(max(level or style.list_level, 0), 8)
            yield Part("item", f"{_INDENT * level}{mark} {markup.one_line(text)}")

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

    def _chunk(self, node: etree._Element) -> Iterator[Part]:
        """A page that another program put into the document, to be converted when Word saves it."""
        from ingest.loaders.html import content_markdown, decode_html, parse_html

        target = self.package.target(self.part, node.get(f"{R}id") or "")
        if target is None:
            return
        try:
            data = self.package.bytes_of(target)
            if not target.lower().endswith((".html", ".htm", ".xhtml", ".txt")):
                raise LoadError(f"{target} is no page")
            text, _ = content_markdown(parse_html(decode_html(data), target), whole=True)
        except LoadError:
            self.package.warnings.append(f"{target}, which is put into the text, cannot be read")
            return
        yield Part("paragraph", text)

    # Tables

    def _table(self, node: etree._Element, depth: int) -> Iterator[Part]:
        cells = []
        for row in children(node, "tr"):
            if is_on(row.find(f"{W}trPr/{W}hidden")):
                self.n_hidden += 1
            else:
                cells.append(list(cells_of(row)))
        if self._is_layout(cells):
            for cell in (cell for row in cells for cell in row):
                if cell.node is not None and not cell.continues:
                    yield from self._cell_parts(cell.node, depth)
            return
        rows = self._grid(cells, depth)
        width = max(map(len, rows), default=0)
        while len(rows) > 1 and width > 1 and len(rows[0]) == width and is_one_cell(rows[0]):
            yield Part("paragraph", markup.paragraph(rows[0][0]))
            rows = rows[1:]
        # Within a cell of another table everything is put on one line.
        yield Part("paragraph", in_one_line(rows) if self._in_cell else table(rows))

    def _is_layout(self, cells: list[list[Cell]]) -> bool:
        """A frame around text, or columns of a page with headings of their own."""
        if len(cells) == 1 and len(cells[0]) == 1:
            return True
        return any(
            cell.node is not None and self._has_section(cell.node.findall(f"{W}p"))
            for row in cells
            for cell in row
        )

    def _has_section(self, paragraphs: list[etree._Element]) -> bool:
        """A heading with more than a line below it: a cell that merely names a column may look like a heading."""
        has_text = [p for p in paragraphs if next(p.iter(f"{W}t"), None) is not None]
        return len(has_text) > 2 and any(self.styles.of(p).heading for p in has_text[:-2])

    def _grid(self, cells: list[list[Cell]], depth: int) -> list[Row]:
        grid: list[Row] = []
        for row in cells:
            line: Row = []
            for cell in row:
                above = grid[-1][len(line)] if grid and len(line) < len(grid[-1]) else ""
                text = above if cell.continues else self._cell_text(cell, depth)
                line += [text, *[Spread(text)] * (cell.width - 1)]
            grid.append(line)
        return grid

    def _cell_text(self, cell: Cell, depth: int) -> str:
        if cell.node is None:
            return ""
        text = " ".join(part.text.strip() for part in self._cell_parts(cell.node, depth, in_cell=True))
        return " ".join(text.split())

    def _cell_parts(self, cell: etree._Element, depth: int, *, in_cell: bool = False) -> list[Part]:
        before = self._on_white, self._in_cell
        self._on_white, self._in_cell = False, in_cell or self._in_cell
        try:
            return list(self.parts(cell, depth + 1))
        finally:
            self._on_white, self._in_cell = before

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


def _is_shaded(paragraph: etree._Element) -> bool:
    return paragraph.find(f"{W}pPr/{W}shd") is not None


def _is_contents(container: etree._Element) -> bool:
    """A table of contents repeats the headings."""
    gallery = container.find(f"{W}sdtPr/{W}docPartObj/{W}docPartGallery")
    return gallery is not None and (gallery.get(f"{W}val") or "").lower() == "table of contents"


def _is_code(pieces: list[Piece], style: Style) -> bool:
    text = "".join(piece.text for piece in pieces)
    if not text.strip():
        return False
    if style.is_code:
        return True
    words = [piece for piece in pieces if piece.text.strip()]
    return all(piece.monospaced for piece in words) and bool(_CODE_SIGN.search(text))
