"""Lines of one column joined into paragraphs, lists, code and headings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from statistics import median

from ingest.loaders.pdf.lines import Segment

_BULLET = re.compile(r"(?:[•◦‣⁃∙·▪▫■□●○◆◇❖➢➤►▸✓✔]|[-–—*](?=\s))\s*(?=\S)")
_NUMBERED = re.compile(
    r"(?:\(?(?:\d{1,2}(?:\.\d{1,2}){0,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\[\d{1,3}\]|[☐☑☒])\s+(?=\S)"
)
_TERMINAL = re.compile(r"[.!?:;。！？][\"'”’)\]]*\s*\d{0,2}$")
_CONTENTS_LINE = re.compile(r"… (?:\d+|[ivxlc]+)$")
_HYPHENS = "-‐\u00ad"
_CUT_WORD = re.compile(rf"([^\W\d_]+)[{_HYPHENS}]$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_WIDE_SCRIPT = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff60]")


class Kind(Enum):
    PARAGRAPH = "paragraph"
    ITEM = "item"
    CODE = "code"
    HEADING = "heading"


@dataclass(slots=True)
class Line:
    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    mono: bool
    level: int = 0
    """Of the heading it is; 0 for none."""


@dataclass(slots=True)
class Paragraph:
    kind: Kind
    lines: list[Line] = field(default_factory=list)


def line_of(row: Sequence[Segment], level: int, right_to_left: bool) -> Line:
    """Segments on one line, as one line. Its edges are mirrored if it is read from the right."""
    ordered = sorted(row, key=lambda s: s.x0, reverse=right_to_left)
    x0, x1 = min(s.x0 for s in row), max(s.x1 for s in row)
    main = max(row, key=lambda s: len(s.text))
    return Line(
        text=" ".join(s.text for s in ordered),
        x0=-x1 if right_to_left else x0,
        x1=-x0 if right_to_left else x1,
        y=main.y,
        size=main.size,
        bold=all(s.bold for s in row),
        mono=all(s.mono for s in row),
        level=level,
    )


def paragraphs(lines: Sequence[Line], code: bool) -> list[Paragraph]:
    """``code``: whether type of fixed width means code in this document."""
    if not lines:
        return []
    left = min(line.x0 for line in lines)
    right = max(line.x1 for line in lines)
    steps = [b.y - a.y for a, b in pairwise(lines) if 0 < b.y - a.y < 2.2 * max(a.size, b.size)]
    pitch = median(steps) if steps else 1.3 * median(line.size for line in lines)
    found: list[Paragraph] = []
    for line in lines:
        kind = _kind(line, code)
        if found and _goes_on(found[-1], line, kind, left, right, pitch):
            found[-1].lines.append(line)
        else:
            found.append(Paragraph(kind, [line]))
    return found


def _kind(line: Line, code: bool) -> Kind:
    if line.level:
        return Kind.HEADING
    if code and line.mono:
        return Kind.CODE
    if _BULLET.match(line.text) or _NUMBERED.match(line.text):
        return Kind.ITEM
    return Kind.PARAGRAPH


def _goes_on(paragraph: Paragraph, line: Line, kind: Kind, left: float, right: float, pitch: float) -> bool:
    """Whether the line is the next of the paragraph."""
    last = paragraph.lines[-1]
    em = line.size
    step = line.y - last.y
    if paragraph.kind is Kind.HEADING or kind is Kind.HEADING:
        return (
            paragraph.kind is kind
            and line.level == last.level
            and 0 < step < 1.7 * em
            and abs(line.size - last.size) < 0.05 * em
            and len(paragraph.lines) < 3
        )
    if (paragraph.kind is Kind.CODE) is not (kind is Kind.CODE):
        return False
    if kind is Kind.CODE:
        return 0 < step < 3 * em
    if _CONTENTS_LINE.search(last.text):
        return False
    if kind is Kind.ITEM and not (_CUT_WORD.search(last.text) and not _BULLET.match(line.text)):
        return False
    if step <= 0.2 * em:
        return step > -0.5 * em and line.x0 >= last.x1 - em
    if (step > 1.3 * pitch + 0.1 * em and step > 1.15 * em) or step > 2.3 * em:
        return False
    if abs(line.size - last.size) > 0.13 * em:
        return False
    width = max(right - left, 1.0)
    short = last.x1 < right - 0.12 * width
    if line.bold != last.bold and short and len(paragraph.lines) == 1:
        return False
    if last.x1 - left < 0.55 * width and not (line.text[:1].islower() or _CUT_WORD.search(last.text)):
        return False
    indent = line.x0 - last.x0
    if indent > 0.8 * em:
        # The first line of the next paragraph, unless the lines of this one hang.
        if paragraph.kind is Kind.ITEM:
            return len(paragraph.lines) == 1 or not short
        return len(paragraph.lines) == 1 and not short and line.x0 - left < 6 * em
    if indent < -0.8 * em:
        return len(paragraph.lines) == 1 and paragraph.kind is not Kind.ITEM
    return not (short and _TERMINAL.search(last.text))


def join(lines: Sequence[str], vocabulary: frozenset[str]) -> str:
    """Lines as running text; a word that was cut at the end of a line is made whole."""
    text = lines[0].rstrip()
    for line in lines[1:]:
        following = line.strip()
        cut = _CUT_WORD.search(text)
        first = _FIRST_WORD.match(following)
        if cut and first and _FIRST_WORD.match(following[0]):
            text = (
                text[:-1]
                + ("" if _is_one_word(cut, first.group(), text[-1], vocabulary) else "-")
                + following
            )
        elif _WIDE_SCRIPT.match(text[-1:]) and _WIDE_SCRIPT.match(following[:1]):
            text += following
        else:
            text = f"{text} {following}"
    return text.replace("\u00ad", "")


def _is_one_word(cut: re.Match[str], rest: str, hyphen: str, vocabulary: frozenset[str]) -> bool:
    head = cut.group(1)
    if hyphen == "\u00ad":
        return True
    if (head + rest).lower() in vocabulary:
        return True
    if f"{head}-{rest}".lower() in vocabulary:
        return False
    return rest[0].islower() and not head.isupper()


def vocabulary_of(texts: Sequence[str]) -> frozenset[str]:
    """The words a document writes inside its lines, hyphenated ones too."""
    found: set[str] = set()
    for text in texts:
        words = text.lower().split()
        for word in words[:-1]:
            found.add(word.strip(".,;:!?()[]\"'“”‘’"))
    return frozenset(found)


def bullet_item(text: str) -> str:
    """A list item as Markdown writes it; numbers stay as they stand."""
    return _BULLET.sub("- ", text, count=1) if _BULLET.match(text) else text
