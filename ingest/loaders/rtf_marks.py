"""What striprtf does not tell, marked in the RTF before it is stripped: tables, headings, footnotes, hidden text.

The marks are private-use characters, so nothing in a document can be mistaken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CELL, ROW, NOTE, NOTE_END = "\ue000", "\ue001", "\ue002", "\ue003"
_LEVELS = "\ue010\ue011\ue012\ue013\ue014\ue015\ue016\ue017\ue018"
PRIVATE = re.compile("[\ue000-\ue01f]")
_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'[0-9a-fA-F]{2}|\\[^a-zA-Z]|[{}]|[^\\{}]+|\\", re.DOTALL
)
_BINARY = frozenset(
    ["pict", "objdata", "blipuid", "themedata", "colorschememapping", "datastore", "objclass"]
)
_MARKS = {"cell": CELL, "nestcell": CELL, "row": ROW, "nestrow": ROW}
_MAX_DEPTH = 2000


def level_of(line: str) -> int | None:
    """The outline level, from 1, of a paragraph that carries the mark of one."""
    found = next((char for char in line if char in _LEVELS), None)
    return _LEVELS.index(found) + 1 if found else None


def marked(rtf: str) -> tuple[str, bool]:
    """(the RTF with marks and without pictures and hidden text, whether any text was hidden)."""
    parts: list[str] = []
    # Of each open group: hidden, binary, what to write when it closes.
    stack: list[tuple[bool, bool, str]] = []
    hidden = binary = was_hidden = False
    closing = ""
    for token, word, number in _tokens(rtf):
        if token == "{":
            if len(stack) > _MAX_DEPTH:
                raise RecursionError("groups within groups without end")
            stack.append((hidden, binary, closing))
            closing = ""
        elif token == "}":
            parts.append(closing)
            hidden, binary, closing = stack.pop() if stack else (False, False, "")
        elif not word:
            if binary or (hidden and not token.startswith(("\\*", "\r", "\n"))):
                was_hidden |= hidden and not binary and bool(token.strip())
                continue
        elif word in ("v", "plain"):
            hidden = word == "v" and number != "0"
        elif word in _BINARY:
            binary = True
        elif word in _MARKS:
            parts.append(" " if binary else _MARKS[word])
            continue
        elif word == "outlinelevel" and number is not None and 0 <= int(number) < len(_LEVELS):
            parts.append(_LEVELS[int(number)])
            continue
        elif word == "footnote" and not binary:
            parts.append(NOTE)
            closing = NOTE_END
            continue
        elif word == "ansicpg":
            token = "{}"  # striprtf does not know all code pages by number: it is told the name
        elif word == "u" and (hidden or binary):
            continue
        parts.append(token)
    return "".join(parts), was_hidden


def _tokens(rtf: str) -> Iterator[tuple[str, str, str | None]]:
    """(token, control word, its number); the bytes that follow a \\bin are left out."""
    position = 0
    while match := _TOKEN.match(rtf, position):
        position = match.end()
        if match.group(1) == "bin":
            position += max(0, int(match.group(2) or 0))
            continue
        yield match.group(), match.group(1) or "", match.group(2)
