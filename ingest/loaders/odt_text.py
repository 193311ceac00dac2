"""The body of an OpenDocument file as parts: headings, paragraphs, lists, tables, notes, comments, formulas, charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.docx_parts import Part
from ingest.loaders.odt_styles import DRAW, OFFICE, OUTLINE, TABLE, TEXT, Styles, count
from ingest.loaders.ooxml_tables import Row, Spread, in_one_line, table

XLINK = "{http://www.w3.org/1999/xlink}"
DC = "{http://purl.org/dc/elements/1.1/}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_CHART = "{urn:oasis:names:tc:opendocument:xmlns:chart:1.0}"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_SKIPPED = frozenset(
    [
        f"{TEXT}tracked-changes",
        f"{OFFICE}annotation",
        f"{TEXT}sequence-decls",
        f"{OFFICE}forms",
        f"{TEXT}table-of-content",
        f"{TEXT}alphabetical-index",
        f"{_SVG}title",
        f"{_SVG}desc",
    ]
)
_NOT_INLINE = frozenset(
    [
        f"{TEXT}note",
        f"{OFFICE}annotation",
        f"{OFFICE}annotation-end",
        f"{TEXT}number",
        f"{TEXT}ruby-text",
        f"{TEXT}tracked-changes",
    ]
)
_MAX_DEPTH = 40
_MAX_REPEATED = 100
_INDENT = "    "


class Reader:
    def __init__(self, styles: Styles, object_of: Callable[[str], etree._Element | None]) -> None:
        self.styles = styles
        self._object_of = object_of
        self._in_cell = False
        self.n_hidden = 0
        self._n_notes = 0

    def warnings(self) -> list[str]:
        return [f"{self.n_hidden} pieces of hidden text are left out"] if self.n_hidden else []

    def parts(self, nodes: Iterable[etree._Element], depth: int) -> Iterator[Part]:
        """Of the nodes, or of what is in a node."""
        if depth > _MAX_DEPTH:
            return
        for node in nodes:
            if not isinstance(node.tag, str) or node.tag in _SKIPPED:
                continue
            if node.tag == f"{TEXT}h":
                yield from self._heading(node, depth)
            elif node.tag == f"{TEXT}p":
                yield from self._paragraph(node, depth)
            elif node.tag == f"{TEXT}list":
                yield from self._list(node, depth, 0, "")
            elif node.tag == f"{TABLE}table":
                yield self._table(node, depth)
            elif node.tag == f"{DRAW}frame":
                yield from self._frame(node, depth)
            else:
                yield from self.parts(node, depth + 1)

    # Text

    def _heading(self, node: etree._Element, depth: int) -> Iterator[Part]:
        level = count(node, "outline-level")
        text = markup.one_line(self._inline(node, plain=True))
        number = ""
        if node.get(f"{TEXT}is-list-header") != "true":
            number = self.styles.numbering.heading_number(OUTLINE, level - 1)
        if text:
            shown = f"{number} {text}" if number else text
            yield Part("paragraph", shown if self._in_cell else markup.heading(level, shown))
        yield from self._beside(node, depth)

    def _paragraph(self, node: etree._Element, depth: int) -> Iterator[Part]:
        style = node.get(f"{TEXT}style-name") or ""
        if self.styles.is_hidden(style):
            self.n_hidden += bool("".join(node.itertext()).strip())
            return
        if self.styles.is_code(style):
            yield Part("code", self._inline(node, plain=True).rstrip())
        elif self.styles.is_title(style) and not self._in_cell:
            yield Part("paragraph", markup.heading(1, self._inline(node, plain=True)))
        else:
            text = markup.paragraph(self._inline(node))
            if text:
                yield Part("paragraph", text)
        yield from self._beside(node, depth)

    def _beside(self, node: etree._Element, depth: int) -> Iterator[Part]:
        """What is anchored in the paragraph: text boxes, shapes, notes, comments."""
        for child in _outermost(node):
            if child.tag == f"{TEXT}note":
                body = child.find(f"{TEXT}note-body")
                text = self._flat(body, depth) if body is not None else ""
                if text:
                    self._n_notes += 1
                    yield Part("paragraph", markup.paragraph(f"Note {self._n_notes}: {text}"))
            elif child.tag == f"{OFFICE}annotation":
                if text := self.comment(child):
                    yield Part("paragraph", markup.paragraph(text))
            elif child.tag == f"{DRAW}frame":
                yield from self._frame(child, depth, pictures=False)
            else:
                yield from self.parts(child, depth + 1)

    def comment(self, node: etree._Element, place: str = "") -> str:
        author = next((one.text for one in node.iter(f"{DC}creator") if one.text), "")
        text = " ".join(self._inline(line, plain=True) for line in node.iter(f"{TEXT}p"))
        by = (f" by {author}" if author else "") + (f" on {place}" if place else "")
        return f"Comment{by}: {markup.one_line(text)}" if text.strip() else ""

    def _flat(self, node: etree._Element, depth: int) -> str:
        return markup.one_line(" ".join(part.text for part in self.parts(node, depth + 1)))

    def _list(self, node: etree._Element, depth: int, level: int, style: str) -> Iterator[Part]:
        style = node.get(f"{TEXT}style-name") or style
        if depth > _MAX_DEPTH:
            return
        if not level and not (
            node.get(f"{TEXT}continue-numbering") == "true" or node.get(f"{TEXT}continue-list")
        ):
            self.styles.numbering.restart(style)
        for item in node:
            if item.tag not in (f"{TEXT}list-item", f"{TEXT}list-header"):
                continue
            marked = False
            for child in item:
                if child.tag == f"{TEXT}list":
                    yield from self._list(child, depth + 1, level + 1, style)
                elif child.tag == f"{TEXT}p" and not marked:
                    text = markup.one_line(self._inline(child))
                    if text:
                        marked = True
                        mark = "*"
                        if item.tag == f"{TEXT}list-item":
                            mark = self.styles.numbering.mark(style, level)
                        yield Part("item", f"{_INDENT * min(level, 8)}{mark} {text}")
                    yield from self._beside(child, depth)
                elif child.tag == f"{TEXT}p" and marked:
                    if text := markup.one_line(self._inline(child)):
                        yield Part("item", f"{_INDENT * (min(level, 8) + 1)}{text}")
                    yield from self._beside(child, depth)
                elif child.tag == f"{TEXT}h":
                    yield from self._heading(child, depth)
                elif isinstance(child.tag, str):
                    yield from self.parts([child], depth + 1)

    # Tables

    def _table(self, node: etree._Element, depth: int) -> Part:
        before, self._in_cell = self._in_cell, True
        try:
            rows = self._grid(node, depth)
        finally:
            self._in_cell = before
        return Part("paragraph", in_one_line(rows) if self._in_cell else table(rows))

    def _grid(self, node: etree._Element, depth: int) -> list[Row]:
        """Spanned cells are repeated."""
        grid: list[Row] = []
        owners: dict[tuple[int, int], str] = {}
        for row in rows_of(node):
            line: Row = []
            for cell in row:
                if cell.tag not in CELLS:
                    continue
                y, x = len(grid), len(line)
                text = " ".join(part.text for part in self.parts(cell, depth + 1))
                text = " ".join(text.split())
                for down in range(count(cell, "number-rows-spanned", TABLE, _MAX_REPEATED)):
                    for right in range(count(cell, "number-columns-spanned", TABLE, _MAX_REPEATED)):
                        owners.setdefault((y + down, x + right), Spread(text) if right else text)
                repeated = count(cell, "number-columns-repeated", TABLE, _MAX_REPEATED)
                line += [text or owners.get((y, x + n), "") for n in range(repeated)]
            grid += [line] * (count(row, "number-rows-repeated", TABLE, _MAX_REPEATED) if any(line) else 1)
        return grid

    # What is drawn

    def _frame(self, node: etree._Element, depth: int, *, pictures: bool = True) -> Iterator[Part]:
        found = self._embedded(node)
        if found is not None:
            yield from self._chart(found, depth)
            return
        if pictures and (text := _picture(node)):
            yield Part("paragraph", text)
        yield from self.parts(node, depth + 1)

    def _embedded(self, frame: etree._Element) -> etree._Element | None:
        target = next(frame.iter(f"{DRAW}object"), None)
        return self._object_of(target.get(f"{XLINK}href") or "") if target is not None else None

    def _chart(self, root: etree._Element, depth: int) -> Iterator[Part]:
        for title in root.iter(f"{_CHART}title"):
            if text := self._flat(title, depth):
                yield Part("paragraph", markup.paragraph(text))
        for node in root.iter(f"{TABLE}table"):
            yield self._table(node, depth)

    # Within a line

    def _inline(self, node: etree._Element, *, plain: bool = False) -> str:
        parts = [node.text or ""]
        for child in node:
            if isinstance(child.tag, str):
                parts.append(self._piece(child, plain))
            parts.append(child.tail or "")
        return "".join(parts)

    def _piece(self, node: etree._Element, plain: bool) -> str:
        if node.tag == f"{TEXT}s":
            return " " * count(node, "c")
        if node.tag == f"{TEXT}tab":
            return " "
        if node.tag == f"{TEXT}line-break":
            return "\n"
        if node.tag in _NOT_INLINE:
            return ""
        if node.tag == f"{DRAW}frame":
            found = self._embedded(node)
            formula = _formula(found) if found is not None else ""
            return f"${formula}$" if formula else _picture(node) if found is None else ""
        if str(node.tag).startswith(DRAW) and node.tag != f"{DRAW}a":
            return ""
        style = node.get(f"{TEXT}style-name") or ""
        if node.tag in (f"{TEXT}hidden-text", f"{TEXT}hidden-paragraph") or (
            node.tag == f"{TEXT}span" and self.styles.is_hidden(style)
        ):
            self.n_hidden += bool("".join(node.itertext()).strip())
            return ""
        text = self._inline(node, plain=plain)
        if node.tag in (f"{TEXT}a", f"{DRAW}a"):
            return markup.link(text, node.get(f"{XLINK}href") or "")
        if node.tag == f"{TEXT}span" and not plain and text.strip():
            for mark in self.styles.marks(style):
                text = markup.emphasis(text, mark)
        return text


CELLS = (f"{TABLE}table-cell", f"{TABLE}covered-table-cell")


def rows_of(node: etree._Element) -> Iterator[etree._Element]:
    """Those in groups and those of the header too, but not those of tables inside."""
    for child in node:
        if child.tag == f"{TABLE}table-row":
            yield child
        elif child.tag in (
            f"{TABLE}table-header-rows",
            f"{TABLE}table-row-group",
            f"{TABLE}table-rows",
            f"{TEXT}soft-page-break",
        ):
            yield from rows_of(child)


def _outermost(node: etree._Element) -> Iterator[etree._Element]:
    for child in node:
        if not isinstance(child.tag, str):
            continue
        if child.tag in (f"{TEXT}note", f"{OFFICE}annotation") or child.tag.startswith(DRAW):
            yield child
        else:
            yield from _outermost(child)


def _picture(frame: etree._Element) -> str:
    if frame.find(f"{DRAW}image") is None:
        return ""
    alt = next((alt.text for alt in frame.iter(f"{_SVG}desc", f"{_SVG}title") if alt.text), "")
    return markup.image(alt or frame.get(f"{DRAW}name") or "", "")


def _formula(root: etree._Element) -> str:
    """As its author wrote it, else the letters of its MathML; "" if it is no formula."""
    if root.tag != f"{_MATH}math":
        return ""
    written = next((node.text for node in root.iter(f"{_MATH}annotation") if node.text), "")
    return " ".join((written or "".join(root.itertext())).split())
