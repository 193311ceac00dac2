"""OpenDocument texts and presentations (ODT, ODP): headings, lists, tables, notes and slides as Markdown."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.archive import open_zip, read_member
from ingest.loaders.dates import iso_date
from ingest.loaders.docx_parts import Part, joined
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.odt_styles import DRAW, OFFICE, PRESENTATION, Styles, read_styles
from ingest.loaders.odt_text import DC, Reader
from ingest.loaders.safe_xml import parse_xml
from rag.core.errors import EncryptedFile, LoadError
from rag.core.types import LoadedDocument, MetaValue

_ODT = "application/vnd.oasis.opendocument.text"
_ODP = "application/vnd.oasis.opendocument.presentation"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
_FURNITURE = frozenset(["page-number", "date-time", "footer", "header"])
_LENGTH = re.compile(r"(-?[\d.]+)(cm|mm|in|pt)?")
_CM = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72}
_SAME_ROW_CM = 0.4


class OpenDocument:
    """The parts of one file."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        """Raises ``LoadError``."""
        self._archive, self._name = archive, name
        manifest = self._part("META-INF/manifest.xml")
        if manifest is not None and any(
            str(node.tag).endswith("encryption-data") for node in manifest.iter()
        ):
            raise EncryptedFile(
                f"{name} is encrypted, and OpenDocument files with a password cannot be opened; save it "
                "without one.",
                path=name,
            )
        try:
            content = parse_xml(read_member(archive, "content.xml", name), f"content.xml in {name}")
        except KeyError as exc:
            raise LoadError(f"{name} has no content part; it may be damaged.", path=name) from exc
        body = next(content.iter(f"{OFFICE}body"), None)
        if body is None or not len(body):
            raise LoadError(f"{name} has no body; it may be damaged.", path=name)
        self.body: etree._Element = body[0]
        self.styles: Styles = read_styles(content, self._part("styles.xml"))
        self.reader = Reader(self.styles, self._object)

    def about(self) -> tuple[str | None, dict[str, MetaValue]]:
        """(title, metadata)"""
        root = self._part("meta.xml")
        if root is None:
            return None, {}

        def first(tag: str) -> str:
            return next((node.text.strip() for node in root.iter(tag) if node.text and node.text.strip()), "")

        metadata: dict[str, MetaValue] = {}
        if author := first(f"{DC}creator") or first(f"{_META}initial-creator"):
            metadata["author"] = author
        if date := iso_date(first(f"{DC}date") or first(f"{_META}creation-date")):
            metadata["date"] = date[:10]
        return first(f"{DC}title") or None, metadata

    def _object(self, href: str) -> etree._Element | None:
        """A chart or a formula."""
        return self._part(posixpath.normpath(posixpath.join(href, "content.xml"))) if href else None

    def _part(self, member: str) -> etree._Element | None:
        try:
            return parse_xml(read_member(self._archive, member, self._name), f"{member} in {self._name}")
        except (KeyError, LoadError):
            return None


class OdtLoader:
    media_types = (_ODT, _ODP)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        with open_zip(data, path.name) as archive:
            document = OpenDocument(archive, path.name)
            title, metadata = document.about()
            if document.body.tag == f"{OFFICE}presentation":
                return _presentation(document, title, metadata)
            text = "\n\n".join(joined(document.reader.parts(document.body, 0))) + "\n"
        return document_from_markdown(
            text, _ODT, title=title, metadata=metadata, warnings=document.reader.warnings()
        )


def _presentation(
    document: OpenDocument, title: str | None, metadata: dict[str, MetaValue]
) -> LoadedDocument:
    text = ""
    pages: list[tuple[int, int]] = []
    hidden: list[str] = []
    for number, page in enumerate(document.body.iter(f"{DRAW}page"), 1):
        parts = list(_slide(document.reader, page, number))
        if parts:
            pages.append((len(text), number))
            text += "\n\n".join(parts) + "\n\n"
        style = page.get(f"{DRAW}style-name") or ""
        if document.styles.value(style, "drawing-page", f"{PRESENTATION}visibility") == "hidden":
            hidden.append(f"slide {number} is hidden in the presentation")
    return document_from_markdown(
        text,
        _ODP,
        title=title,
        pages=pages,
        metadata=metadata,
        warnings=[*document.reader.warnings(), *hidden],
    )


def _slide(reader: Reader, page: etree._Element, number: int) -> Iterator[str]:
    name = ""
    notes: list[str] = []
    parts: list[Part] = []
    for node in _ordered(page):
        kind = node.get(f"{PRESENTATION}class") or ""
        if node.tag == f"{PRESENTATION}notes":
            notes = [
                note for note in joined(reader.parts(node, 1)) if not note.isdigit() and note[:2] != "!["
            ]
        elif kind == "title" and not name:
            name = markup.one_line(" ".join(part.text for part in reader.parts(node, 1)))
        elif kind not in _FURNITURE:
            parts += reader.parts([node], 1)
    shown = joined(iter(parts))
    if name or shown or notes:
        yield markup.heading(1, name or f"Slide {number}")
    yield from shown
    if notes:
        yield from (markup.heading(2, "Notes"), *notes)


def _ordered(page: etree._Element) -> list[etree._Element]:
    """From top to bottom and left to right."""
    nodes = [node for node in page if isinstance(node.tag, str)]
    rows: list[list[etree._Element]] = []
    for node in sorted(nodes, key=lambda node: _place(node, "y")):
        if rows and _place(node, "y") - _place(rows[-1][0], "y") < _SAME_ROW_CM:
            rows[-1].append(node)
        else:
            rows.append([node])
    return [node for row in rows for node in sorted(row, key=lambda node: _place(node, "x"))]


def _place(node: etree._Element, axis: str) -> float:
    match = _LENGTH.match(node.get(f"{_SVG}{axis}") or node.get(f"{_SVG}{axis}1") or "")
    try:
        return float(match.group(1)) * _CM[match.group(2) or "cm"] if match else 0.0
    except ValueError:
        return 0.0
