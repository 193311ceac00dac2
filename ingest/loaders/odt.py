"""OpenDocument texts and presentations (ODT, ODP): headings, lists, tables, notes and slides as Markdown."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.archive import open_zip, read_member
from ingest.loaders.dates import iso_date
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.safe_xml import parse_xml
from ingest.loaders.tables import markdown_table
from rag.core.errors import EncryptedFile, LoadError
from rag.core.types import LoadedDocument, MetaValue

_ODT = "application/vnd.oasis.opendocument.text"
_ODP = "application/vnd.oasis.opendocument.presentation"
_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
TEXT, TABLE, OFFICE, DRAW, STYLE, FO, PRESENTATION = (
    _NS % name
    for name in ("text", "table", "office", "drawing", "style", "xsl-fo-compatible", "presentation")
)
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
_SKIPPED = frozenset(
    [
        f"{TEXT}tracked-changes",
        f"{OFFICE}annotation",
        f"{TEXT}sequence-decls",
        f"{OFFICE}forms",
        f"{TEXT}table-of-content",
    ]
)
_MAX_DEPTH = 40
_MAX_REPEATED = 100


class OdtLoader:
    media_types = (_ODT, _ODP)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        with open_zip(data, path.name) as archive:
            try:
                manifest = read_member(archive, "META-INF/manifest.xml", path.name)
            except KeyError:
                manifest = b""
            if b"encryption-data" in manifest:
                raise EncryptedFile(
                    f"{path.name} is encrypted, and OpenDocument files with a password cannot be opened; save it "
                    "without one.",
                    path=path.name,
                )
            try:
                content = parse_xml(
                    read_member(archive, "content.xml", path.name), f"content.xml in {path.name}"
                )
            except KeyError as exc:
                raise LoadError(
                    f"{path.name} has no content part; it may be damaged.", path=path.name
                ) from exc
            title, metadata = _about(archive, path.name)
        body = next(content.iter(f"{OFFICE}body"), None)
        if body is None or not len(body):
            raise LoadError(f"{path.name} has no body; it may be damaged.", path=path.name)
        reader = _Reader(content)
        if body[0].tag == f"{OFFICE}presentation":
            return _presentation(reader, body[0], title, metadata)
        text = "\n\n".join(part for part in reader.parts(body[0], 0) if part.strip()) + "\n"
        return document_from_markdown(text, _ODT, title=title, metadata=metadata, warnings=reader.warnings())


def _presentation(
    reader: _Reader, body: etree._Element, title: str | None, metadata: dict[str, MetaValue]
) -> LoadedDocument:
    text = ""
    pages: list[tuple[int, int]] = []
    for number, page in enumerate(body.iter(f"{DRAW}page"), 1):
        parts = [part for part in reader.slide(page) if part.strip()]
        if parts:
            pages.append((len(text), number))
            text += "\n\n".join(parts) + "\n\n"
    return document_from_markdown(
        text, _ODP, title=title, pages=pages, metadata=metadata, warnings=reader.warnings()
    )


class _Reader:
    def __init__(self, content: etree._Element) -> None:
        self._bold: set[str] = set()
        self._italic: set[str] = set()
        self._hidden: set[str] = set()
        self._titles: set[str] = {"Title"}
        self._n_hidden = 0
        self._numbered: set[tuple[str, int]] = set()
        for style in content.iter(f"{STYLE}style"):
            name = style.get(f"{STYLE}name") or ""
            properties = style.find(f"{STYLE}text-properties")
            if properties is not None:
                if properties.get(f"{FO}font-weight") == "bold":
                    self._bold.add(name)
                if properties.get(f"{FO}font-style") == "italic":
                    self._italic.add(name)
                if properties.get(f"{TEXT}display") == "none":
                    self._hidden.add(name)
            if style.get(f"{STYLE}parent-style-name") == "Title":
                self._titles.add(name)
        for style in content.iter(f"{TEXT}list-style"):
            for level in style.iter(f"{TEXT}list-level-style-number"):
                at = level.get(f"{TEXT}level") or "1"
                self._numbered.add((style.get(f"{STYLE}name") or "", int(at) if at.isdigit() else 1))

    def warnings(self) -> list[str]:
        return [f"{self._n_hidden} pieces of hidden text are left out"] if self._n_hidden else []

    def slide(self, page: etree._Element) -> Iterator[str]:
        notes: list[str] = []
        frames = sorted(
            (node for node in page if isinstance(node.tag, str)),
            key=lambda node: node.get(f"{PRESENTATION}class") not in ("title",),
        )
        for node in frames:
            if node.tag == f"{PRESENTATION}notes":
                notes = list(self.parts(node, 1))
            elif node.get(f"{PRESENTATION}class") == "title":
                yield markup.heading(1, markup.one_line(" ".join(self.parts(node, 1))))
            else:
                yield from self.parts(node, 1)
        notes = [note for note in notes if note.strip() and not note.strip().isdigit()]
        if notes:
            yield from (markup.heading(2, "Notes"), *notes)

    def parts(self, parent: etree._Element, depth: int) -> Iterator[str]:
        if depth > _MAX_DEPTH:
            return
        for node in parent:
            if not isinstance(node.tag, str) or node.tag in _SKIPPED:
                continue
            if node.tag == f"{TEXT}h":
                level = node.get(f"{TEXT}outline-level") or "1"
                yield markup.heading(int(level) if level.isdigit() else 1, self._inline(node, plain=True))
            elif node.tag == f"{TEXT}p":
                yield from self._paragraph(node, depth)
            elif node.tag == f"{TEXT}list":
                yield "\n".join(self._list(node, 0, node.get(f"{TEXT}style-name") or ""))
            elif node.tag == f"{TABLE}table":
                yield from self._table(node, depth)
            else:
                yield from self.parts(node, depth + 1)

    def _paragraph(self, node: etree._Element, depth: int) -> Iterator[str]:
        if (node.get(f"{TEXT}style-name") or "") in self._titles:
            yield markup.heading(1, self._inline(node, plain=True))
        else:
            yield markup.paragraph(self._inline(node))
        for box in node.iter(f"{DRAW}text-box"):
            yield from self.parts(box, depth + 1)
        for note in node.iter(f"{TEXT}note-body"):
            text = markup.one_line(" ".join(self.parts(note, depth + 1)))
            if text:
                yield markup.paragraph(f"Note: {text}")

    def _list(self, node: etree._Element, level: int, style: str) -> Iterator[str]:
        number = 0
        for item in node:
            if item.tag not in (f"{TEXT}list-item", f"{TEXT}list-header") or level > _MAX_DEPTH:
                continue
            number += 1
            mark = f"{number}." if (style, level + 1) in self._numbered else "*"
            words = [self._inline(child) for child in item if child.tag in (f"{TEXT}p", f"{TEXT}h")]
            text = markup.one_line(" ".join(words))
            if text:
                yield f"{'    ' * level}{mark} {text}"
            for inner in item.findall(f"{TEXT}list"):
                yield from self._list(inner, level + bool(text), inner.get(f"{TEXT}style-name") or style)

    def _table(self, table: etree._Element, depth: int) -> Iterator[str]:
        """A cell that covers others is repeated in them."""
        grid: list[list[str]] = []
        owners: dict[tuple[int, int], str] = {}
        for row in table.iter(f"{TABLE}table-row"):
            if next(row.iterancestors(f"{TABLE}table")) is not table:
                continue
            line: list[str] = []
            for cell in row:
                if cell.tag not in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                    continue
                place = (len(grid), len(line))
                text = " ".join(" ".join(self.parts(cell, depth + 1)).split())
                for y in range(_count(cell, "number-rows-spanned")):
                    for x in range(_count(cell, "number-columns-spanned")):
                        owners.setdefault((place[0] + y, place[1] + x), text)
                repeated = _count(cell, "number-columns-repeated") if text else 1
                line += [text or owners.get(place, "")] * repeated
            grid += [line] * (_count(row, "number-rows-repeated") if any(line) else 1)
        yield markdown_table(grid)

    def _inline(self, node: etree._Element, *, plain: bool = False) -> str:
        parts = [node.text or ""]
        for child in node:
            if isinstance(child.tag, str):
                parts.append(self._piece(child, plain))
            parts.append(child.tail or "")
        return "".join(parts)

    def _piece(self, node: etree._Element, plain: bool) -> str:
        if node.tag == f"{TEXT}s":
            return " " * _count(node, "c", TEXT)
        if node.tag == f"{TEXT}tab":
            return " "
        if node.tag == f"{TEXT}line-break":
            return "\n"
        if node.tag in (f"{TEXT}note", f"{OFFICE}annotation", f"{OFFICE}annotation-end"):
            return ""
        if node.tag == f"{DRAW}frame":
            return _picture(node)
        style = node.get(f"{TEXT}style-name") or ""
        if style in self._hidden or node.tag == f"{TEXT}hidden-text":
            self._n_hidden += 1
            return ""
        text = self._inline(node, plain=plain)
        if node.tag == f"{TEXT}a":
            return markup.link(text, node.get(f"{_XLINK}href") or "")
        if plain or not text.strip():
            return text
        if style in self._italic:
            text = markup.emphasis(text, "*")
        return markup.emphasis(text, "**") if style in self._bold else text


def _picture(frame: etree._Element) -> str:
    if frame.find(f"{DRAW}image") is None:
        return ""
    alt = next((alt.text for alt in frame.iter(f"{_SVG}desc", f"{_SVG}title") if alt.text), "")
    return markup.image(alt or frame.get(f"{DRAW}name") or "", "")


def _count(node: etree._Element, name: str, space: str = TABLE) -> int:
    value = node.get(f"{space}{name}") or "1"
    return min(int(value), _MAX_REPEATED) if value.isdigit() else 1


def _about(archive: zipfile.ZipFile, name: str) -> tuple[str | None, dict[str, MetaValue]]:
    try:
        root = parse_xml(read_member(archive, "meta.xml", name), f"meta.xml in {name}")
    except (KeyError, LoadError):
        return None, {}

    def first(tag: str) -> str:
        return next((node.text.strip() for node in root.iter(tag) if node.text and node.text.strip()), "")

    metadata: dict[str, MetaValue] = {}
    if author := first(f"{_DC}creator") or first(f"{_META}initial-creator"):
        metadata["author"] = author
    if date := iso_date(first(f"{_DC}date") or first(f"{_META}creation-date")):
        metadata["date"] = date[:10]
    return first(f"{_DC}title") or None, metadata
