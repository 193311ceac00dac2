"""RSS, Atom and RDF feeds: a section for every entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from ingest.loaders.dates import iso_date
from ingest.loaders.html import content_markdown, parse_html
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading, link, one_line, paragraph
from ingest.loaders.nesting import nested
from ingest.loaders.safe_xml import parse_xml
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument, MetaValue

_BODIES = ("encoded", "content", "description", "summary")
_DATES = ("pubDate", "published", "updated", "date")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|&[a-zA-Z#0-9]+;")


class FeedLoader:
    media_types = ("application/rss+xml", "application/atom+xml")

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        root = parse_xml(data, path.name)
        about = next((child for child in root if _name(child) == "channel"), root)
        title = _markdown(_text(about, "title"), inline=True)
        parts = [heading(1, title), _markdown(_text(about, "description", "subtitle"))]
        warnings: list[str] = []
        n_entries = 0
        for entry in _entries(root):
            n_entries += 1
            parts += _entry(entry, n_entries, warnings)
        if not n_entries and not title:
            raise LoadError(f"{path.name} is XML, but no feed; save it as HTML or text.", path=path.name)
        metadata: dict[str, MetaValue] = {}
        for key, names in (
            ("language", ("language",)),
            ("date", ("lastBuildDate", *_DATES)),
            ("author", ("creator",)),
        ):
            stated = one_line(_text(about, *names))
            if value := iso_date(stated) if key == "date" else stated:
                metadata[key] = value
        markdown = "\n\n".join(part for part in parts if part) + "\n"
        return document_from_markdown(
            markdown, "application/rss+xml", title=title or None, metadata=metadata, warnings=warnings
        )


def _entries(root: etree._Element) -> Iterator[etree._Element]:
    for element in root.iter(etree.Element):
        if _name(element) in ("item", "entry"):
            yield element


def _entry(entry: etree._Element, number: int, warnings: list[str]) -> Iterator[str]:
    title = _markdown(_text(entry, "title"), inline=True) or f"Entry {number}"
    yield heading(2, title)
    address = _address(entry)
    authors = [
        one_line(" ".join(_strings(child))) for child in entry if _name(child) in ("creator", "author")
    ]
    facts = [one_line(_text(entry, *_DATES)), ", ".join(filter(None, authors))]
    if address:
        facts.append(link(address.partition("://")[2].partition("/")[0] or address, address))
    yield " · ".join(fact for fact in facts if fact)
    body = next((text for name in _BODIES if (text := _text(entry, name))), "")
    try:
        yield nested(_markdown(body), 3)
    except LoadError as exc:
        warnings.append(f"{title}: {exc}")
    topics = [
        one_line("".join(_strings(child)) or child.get("term") or "")
        for child in entry
        if _name(child) == "category"
    ]
    if any(topics):
        yield "Topics: " + ", ".join(filter(None, topics))


def _address(entry: etree._Element) -> str:
    for child in entry:
        if _name(child) == "link" and child.get("rel", "alternate") == "alternate":
            found = (child.get("href") or child.text or "").strip()
            if found.startswith(("http://", "https://")):
                return found
    return ""


def _text(parent: etree._Element, *names: str) -> str:
    """The first child of one of these names that holds anything, as text or markup."""
    for name in names:
        for child in parent:
            if _name(child) != name:
                continue
            if len(child) and child.get("type") == "xhtml":
                return "".join(etree.tostring(inner, encoding="unicode", with_tail=True) for inner in child)
            if text := "".join(_strings(child)).strip():
                return text
    return ""


def _markdown(text: str, *, inline: bool = False) -> str:
    if not _MARKUP.search(text):
        return one_line(text) if inline else paragraph(text)
    markdown, _ = content_markdown(parse_html(text), whole=True)
    return one_line(markdown) if inline else markdown.strip()


def _strings(element: etree._Element) -> list[str]:
    return [str(text) for text in element.itertext()]


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""
