"""Headings of one document under a heading of another."""

from __future__ import annotations

import re

_HEADING = re.compile(r"^( {0,3})(#{1,6})(?=[ \t])", re.MULTILINE)
_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


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
