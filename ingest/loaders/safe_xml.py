"""XML from strangers: no entities, no network, no bottomless trees."""

from __future__ import annotations

import re

from lxml import etree

from rag.core.errors import LoadError

_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_STRICT = (
    # Strict OOXML names the same elements in other namespaces.
    (
        b"http://purl.oclc.org/ooxml/wordprocessingml/main",
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    ),
    (
        b"http://purl.oclc.org/ooxml/spreadsheetml/main",
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    ),
    (
        b"http://purl.oclc.org/ooxml/presentationml/main",
        b"http://schemas.openxmlformats.org/presentationml/2006/main",
    ),
    (
        b"http://purl.oclc.org/ooxml/officeDocument/math",
        b"http://schemas.openxmlformats.org/officeDocument/2006/math",
    ),
    (
        b"http://purl.oclc.org/ooxml/officeDocument/",
        b"http://schemas.openxmlformats.org/officeDocument/2006/",
    ),
    (b"http://purl.oclc.org/ooxml/drawingml/", b"http://schemas.openxmlformats.org/drawingml/2006/"),
)


def parse_xml(data: bytes, what: str) -> etree._Element:
    """The root element. ``what`` names the part in the message of a ``LoadError``."""
    # Without its zeros UTF-16 reads as ASCII.
    if _ENTITY.search(data[:200_000].replace(b"\x00", b"")):
        raise LoadError(f"{what} defines XML entities, which documents have no need of; it is left out.")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        recover=True,
        remove_pis=True,
        remove_comments=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise LoadError(f"{what} is not well-formed XML ({_short(exc)}); the file may be damaged.") from exc
    if root is None:
        raise LoadError(f"{what} holds no XML; the file may be damaged.")
    return root


def parse_ooxml(data: bytes, what: str) -> etree._Element:
    """As ``parse_xml``, with Strict OOXML read as its transitional twin."""
    if b"purl.oclc.org/ooxml" in data:
        for strict, transitional in _STRICT:
            data = data.replace(strict, transitional)
    return parse_xml(data, what)


def _short(exc: Exception) -> str:
    return " ".join(str(exc).split())[:120]
