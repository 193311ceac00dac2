"""EPUB books: the chapters in reading order, each through the HTML conversion."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from ingest.loaders.archive import open_zip, read_member
from ingest.loaders.dates import iso_date
from ingest.loaders.html import content_markdown, decode_html, parse_html
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading, one_line
from ingest.loaders.safe_xml import parse_xml
from rag.core.errors import EncryptedFile, LoadError, NoText
from rag.core.types import LoadedDocument, MetaValue

_CONTAINER = "META-INF/container.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_FONTS_ONLY = re.compile(r"idpf\.org/2008/embedding|ns\.adobe\.com/pdf/enc#RC")
_HEADS = {
    "title": "Title",
    "creator": "Authors",
    "language": "Language",
    "publisher": "Publisher",
    "date": "Date",
}
_METADATA = {"creator": "author", "language": "language", "publisher": "publisher", "subject": "keywords"}


class EpubLoader:
    media_types = ("application/epub+zip",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        with open_zip(data, path.name) as archive:
            _refuse_locked(archive, path.name)
            opf_name, package = _package(archive, path.name)
            about = _about(package)
            warnings: list[str] = []
            chapters = list(_chapters(archive, opf_name, package, path.name, warnings))
        if not chapters:
            raise NoText(f"{path.name} has no chapters with text.", path=path.name)
        description = _description(about.get("description", []))
        head = "\n".join(
            f"**{name}:** {', '.join(about[key])}" for key, name in _HEADS.items() if about.get(key)
        )
        metadata: dict[str, MetaValue] = {
            name: ", ".join(about[key])[:1000] for key, name in _METADATA.items() if about.get(key)
        }
        if date := next(filter(None, map(iso_date, about.get("date", []))), ""):
            metadata["date"] = date
        return document_from_markdown(
            "\n\n".join(part for part in (head, description, *chapters) if part) + "\n",
            self.media_types[0],
            title=next(iter(about.get("title", [])), None),
            metadata=metadata,
            warnings=warnings,
        )


def _refuse_locked(archive: zipfile.ZipFile, name: str) -> None:
    """Books with copy protection list what is encrypted; fonts often are, which does no harm."""
    try:
        encryption = parse_xml(read_member(archive, "META-INF/encryption.xml", name), name)
    except (KeyError, LoadError):
        return
    for entry in _named(encryption, "EncryptedData"):
        method = next((e.get("Algorithm", "") for e in _named(entry, "EncryptionMethod")), "")
        if not _FONTS_ONLY.search(method):
            raise EncryptedFile(f"{name} is a book with copy protection, which cannot be read.", path=name)


def _package(archive: zipfile.ZipFile, name: str) -> tuple[str, etree._Element]:
    """(path in the archive, root) of the file that lists everything else."""
    candidates: list[str] = []
    if _CONTAINER in archive.namelist():
        container = parse_xml(read_member(archive, _CONTAINER, name), f"{_CONTAINER} in {name}")
        candidates = [unquote(e.get("full-path", "")) for e in _named(container, "rootfile")]
    candidates += [member for member in archive.namelist() if member.lower().endswith(".opf")]
    for candidate in candidates:
        try:
            return candidate, parse_xml(read_member(archive, candidate, name), f"{candidate} in {name}")
        except KeyError:
            continue
    raise LoadError(f"{name} lists no chapters (it has no package file); it may be damaged.", path=name)


def _about(package: etree._Element) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    section = next(_named(package, "metadata"), None)
    for element in section.iter(etree.Element) if section is not None else ():
        text = one_line("".join(map(str, element.itertext())))
        if text and "dc/elements" in str(element.tag):
            found.setdefault(_local(element), []).append(text)
    return found


def _description(stated: Sequence[str]) -> str:
    if not stated:
        return ""
    try:
        markdown, _ = content_markdown(parse_html(stated[0]), whole=True)
    except LoadError:
        return ""
    return f"**Description:** {one_line(markdown)}" if markdown else ""


def _chapters(
    archive: zipfile.ZipFile, opf_name: str, package: etree._Element, name: str, warnings: list[str]
) -> Iterator[str]:
    folder = posixpath.dirname(opf_name)
    manifest = {item.get("id"): item for item in _named(package, "item")}
    spine = [manifest[ref.get("idref")] for ref in _named(package, "itemref") if ref.get("idref") in manifest]
    seen: set[str] = set()
    for item in spine or list(manifest.values()):
        if item.get("media-type", _PAGES[0]) not in _PAGES or "nav" in (item.get("properties") or "").split():
            continue
        href = unquote((item.get("href") or "").partition("#")[0])
        member = posixpath.normpath(posixpath.join(folder, href)).lstrip("/")
        if member in seen:
            continue
        seen.add(member)
        try:
            root = parse_html(decode_html(read_member(archive, member, name)))
        except KeyError:
            warnings.append(f"{href} is listed, but missing")
            continue
        except LoadError as exc:
            warnings.append(f"{href}: {exc}")
            continue
        title = one_line(root.findtext(".//title") or "")
        markdown, found = content_markdown(root, whole=True)
        warnings += [f"{href}: {warning}" for warning in found]
        if markdown.strip():
            # A chapter whose heading is a picture still has the title of its page.
            headless = title and not re.search(r"^#{1,6} ", markdown, re.MULTILINE) and len(markdown) > 500
            yield f"{heading(1, title)}\n\n{markdown}" if headless else markdown


def _named(root: etree._Element, name: str) -> Iterator[etree._Element]:
    return (element for element in root.iter(etree.Element) if _local(element) == name)


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
