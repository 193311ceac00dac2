"""HTML: the page's content as Markdown, its boilerplate and what it hides left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lxml import etree

from ingest.loaders import html_hidden, html_prune
from ingest.loaders.dates import iso_date
from ingest.loaders.html_markdown import to_markdown
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import one_line
from ingest.loaders.text import decode
from rag.core.errors import LoadError, NoText
from rag.core.types import LoadedDocument, MetaValue

_CHARSET = re.compile(
    rb"""charset\s*=\s*["']?\s*([\w:.-]{2,40})|<\?xml[^>]{0,80}encoding\s*=\s*["']([\w:.-]{2,40})""",
    re.IGNORECASE,
)
_META_BYTES = 2048
_META = {
    "description": "description",
    "og:description": "description",
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "article:published_time": "date",
    "date": "date",
    "dc.date": "date",
    "article:modified_time": "modified",
    "keywords": "keywords",
    "og:site_name": "site",
}


class HtmlLoader:
    media_types = ("text/html", "application/xhtml+xml")

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        root = parse_html(decode_html(data), path.name)
        metadata = _metadata(root)
        markdown, warnings = content_markdown(root)
        title = _title(root)
        return document_from_markdown(
            markdown, "text/html", title=title, metadata=metadata, warnings=warnings
        )


def content_markdown(root: etree._Element, *, whole: bool = False) -> tuple[str, list[str]]:
    """(Markdown, warnings). ``whole``: the page is a part of a document, such as a mail or a chapter, and has no
    boilerplate around it. Changes the tree."""
    warnings = []
    hiding = html_hidden.hiding_names(root)
    html_prune.drop_markup(root)
    n_hidden = html_hidden.drop_hidden(root, hiding)
    if n_hidden:
        warnings.append(f"{n_hidden} hidden element{'s' if n_hidden > 1 else ''} left out")
    body = root.find(".//body") if whole else html_prune.main_part(root)
    return to_markdown(root if body is None else body), warnings


def decode_html(data: bytes) -> str:
    """By byte order mark, then as the page declares, then by detection; undeclared UTF-8 is believed first."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return decode(data)
    match = _CHARSET.search(data[:_META_BYTES])
    if match and b"\x00" not in data[:64]:
        name = (match.group(1) or match.group(2)).decode("ascii", "ignore").lower()
        # As browsers do: Latin-1 means its superset, and ASCII bytes cannot declare UTF-16.
        name = {
            "iso-8859-1": "cp1252",
            "latin1": "cp1252",
            "us-ascii": "cp1252",
            "gb2312": "gb18030",
            "shift_jis": "cp932",
        }.get(name, name)
        try:
            if not name.startswith("utf-16"):
                return data.decode(name)
        except (LookupError, UnicodeDecodeError, ValueError):
            pass
    return decode(data)


def parse_html(text: str, name: str = "The page") -> etree._Element:
    """The root of a page or fragment. Raises ``LoadError``."""
    text = text.replace("\x00", "")
    if not text.strip():
        raise NoText(f"{name} holds no text.")
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as exc:
        raise LoadError(f"{name} cannot be read as HTML ({' '.join(str(exc).split())[:100]}).") from exc
    if root is None:
        raise NoText(f"{name} holds no HTML.")
    return root


def _metadata(root: etree._Element) -> dict[str, MetaValue]:
    found: dict[str, MetaValue] = {}
    for meta in root.iter("meta"):
        name = (meta.get("name") or meta.get("property") or "").strip().lower()
        value = one_line(meta.get("content") or "")
        if name in _META and value:
            found.setdefault(_META[name], value[:1000])
    language = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang")
    if language:
        found["language"] = language.strip()[:20]
    for link in root.iter("link"):
        if (link.get("rel") or "").lower() == "canonical" and link.get("href"):
            found["url"] = str(link.get("href")).strip()[:1000]
    moments = [str(found.pop("date", "")), *(t.get("datetime") or "" for t in root.iter("time"))]
    if date := next(filter(None, map(iso_date, moments)), ""):
        found["date"] = date
    return found


def _title(root: etree._Element) -> str | None:
    element = root.find(".//title")
    title = one_line("".join(element.itertext())) if element is not None else ""
    return title or None
