"""Documents within a document: their text as a section, their headings below the section's."""

from __future__ import annotations

import re

from ingest.loaders.markup import fence, paragraph
from rag.core.types import LoadedDocument

_HEADING = re.compile(r"^( {0,3})(#{1,6})(?=[ \t])", re.MULTILINE)
_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_AS_THEY_ARE = ("text/x-source", "text/x-rst")


def section(loaded: LoadedDocument, level: int) -> str:
    """The document as Markdown whose headings start at ``level``."""
    if loaded.media_type in _AS_THEY_ARE:
        return fence(loaded.text)
    if loaded.media_type == "text/plain":
        return plain_paragraphs(loaded.text)
    return nested(loaded.text, level).strip()


def plain_paragraphs(text: str) -> str:
    """Markdown that says what the plain text says: nothing in it becomes a heading or a quotation by chance."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    return "\n\n".join(part for part in map(paragraph, _BLANK_LINE.split(text)) if part)


def nested(markdown: str, level: int) -> str:
    """Headings moved down together until the highest is at ``level``; none is moved up. Code stays as it is."""
    outside = _FENCED.sub("", markdown)
    by = level - min((len(match.group(2)) for match in _HEADING.finditer(outside)), default=level)
    if by <= 0:
        return markdown
    parts: list[str] = []
    end = 0
    for fenced in _FENCED.finditer(markdown):
        parts += [_lowered(markdown[end : fenced.start()], by), fenced.group()]
        end = fenced.end()
    return "".join(parts) + _lowered(markdown[end:], by)


def _lowered(markdown: str, by: int) -> str:
    return _HEADING.sub(lambda m: m.group(1) + "#" * min(6, len(m.group(2)) + by), markdown)
