"""From pieces of text to segments: stretches of one line without a gap as wide as between columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple, TypeAlias

from ingest.loaders.pdf.bidi import logical
from ingest.loaders.pdf.fonts import UNMAPPED
from ingest.loaders.pdf.walker import Piece

# In em. Words are further apart than letters, columns are further apart than words.
_TIGHT_WORD_GAP, _MIN_WORD_GAP, _MAX_WORD_GAP = 0.085, 0.11, 0.2
_COLUMN_GAP = 1.0
_MARKS = "•◦‣⁃∙·▪▫■□●○◆◇❖➢➤►▸✓✔☐☑☒"
_BULLET = re.compile(rf"[{_MARKS}–—*�-]")
ITEM = re.compile(rf"(?:[{_MARKS}]|[-–—*](?=\s))\s*\S|\(?(?:\d{{1,2}}|[a-zA-Z]|[ivx]{{1,4}})[.)]\s+\S")
_SUBSCRIPT = 0.85
_LEADERS = re.compile(r"\s*(?:[.·]\s?){6,}\s*")
_WIDE_SCRIPT = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff60]")


class Word(NamedTuple):
    text: str
    x0: float
    x1: float


@dataclass(slots=True, eq=False)
class Segment:
    words: list[Word]
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    mono: bool
    sequence: int
    tag: int | None
    text: str

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def top(self) -> float:
        return self.y - 0.8 * self.size

    @property
    def is_item(self) -> bool:
        return bool(ITEM.match(self.text))

    @property
    def is_label(self) -> bool:
        return self.text.endswith((":", "："))


Row: TypeAlias = list[Segment]


def segments(pieces: Sequence[Piece]) -> list[Segment]:
    """Of pieces that are turned alike, from top to bottom."""
    found: list[Segment] = []
    for row in _rows(_without_overprints(pieces)):
        for run in _runs(row):
            segment = _segment(run)
            if segment.text:
                found.append(segment)
    found.sort(key=lambda s: (s.y, s.x0))
    return found


def _without_overprints(pieces: Sequence[Piece]) -> list[Piece]:
    """Bold type and shadows are sometimes made by printing twice."""
    seen: dict[str, list[Piece]] = {}
    kept = []
    for piece in pieces:
        slack = 0.12 * piece.size
        others = seen.setdefault(piece.text, [])
        if any(
            abs(o.x0 - piece.x0) < slack and abs(o.y - piece.y) < slack and abs(o.size - piece.size) < slack
            for o in others[-40:]
        ):
            continue
        others.append(piece)
        kept.append(piece)
    return kept


def _rows(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces on one base line; raised and lowered ones join the line they touch."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: (p.y, p.x0)):
        if rows and piece.y - rows[-1][0].y <= 0.2 * min(piece.size, rows[-1][0].size):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    for row in rows:
        row.sort(key=lambda p: p.x0)
    return _with_scripts(rows)


def _with_scripts(rows: list[list[Piece]]) -> list[list[Piece]]:
    moves = [
        (piece, row, host)
        for n, row in enumerate(rows)
        for piece in row
        if (host := _host(piece, rows, n)) is not None and len(host) >= len(row)
    ]
    for piece, row, host in moves:
        row.remove(piece)
        host.append(piece)
    for row in rows:
        row.sort(key=lambda p: p.x0)
    return [row for row in rows if row]


def _host(piece: Piece, rows: list[list[Piece]], n: int) -> list[Piece] | None:
    """The row beside which a smaller piece stands as a superscript or a subscript, or the mark of a list."""
    is_mark = len(piece.text) == 1 and _BULLET.match(piece.text)
    if is_mark and any(0 < other.x0 - piece.x1 < 4 * other.size for other in rows[n]):
        return None
    for m in (n + 1, n - 1, n + 2, n - 2):
        if not 0 <= m < len(rows) or not rows[m]:
            continue
        offset = rows[m][0].y - piece.y  # > 0: raised
        for other in rows[m]:
            if is_mark and abs(offset) < 0.55 * other.size and 0 < other.x0 - piece.x1 < 4 * other.size:
                return rows[m]
            em = other.size
            if piece.size < _SUBSCRIPT * em and -0.35 * em < offset < 0.7 * em:
                before, after = piece.x0 - other.x1, other.x0 - piece.x1
                if -0.5 * em < before < 0.35 * em or (offset > 0 and -0.1 * em < after < 0.6 * em):
                    return rows[m]
        if _is_between(piece, rows[m]):
            return rows[m]
    return None


def _is_between(piece: Piece, row: list[Piece]) -> bool:
    """Whether a lowered or raised letter of the same size fills a gap, as in the name of LaTeX."""
    near = 0.3 * piece.size
    return (
        len(piece.text) == 1
        and abs(row[0].y - piece.y) < 0.35 * piece.size
        and any(-near < piece.x0 - p.x1 < near / 3 for p in row)
        and any(-near < p.x0 - piece.x1 < near / 3 for p in row)
    )


def _runs(row: list[Piece]) -> Iterator[list[Piece]]:
    run = [row[0]]
    reach = row[0].x1
    for piece in row[1:]:
        size = max(piece.size, run[-1].size)
        gap = piece.x0 - reach
        limit = _COLUMN_GAP * size
        if len(run) == 1 and len(run[0].text) == 1 and _BULLET.match(run[0].text):
            limit *= 4
        if gap > limit:
            yield run
            run, reach = [], piece.x1
        run.append(piece)
        reach = max(reach, piece.x1)
    yield run


def _segment(run: list[Piece]) -> Segment:
    limits = _tracked(run)
    n_chars = sum(len(p.text) for p in run)
    # A tight line: words hardly apart, but letters not at all.
    least = _TIGHT_WORD_GAP if n_chars > 3.2 * len(run) else _MIN_WORD_GAP
    words: list[list[str | float]] = []
    reach = run[0].x0
    previous: Piece | None = None
    for piece in run:
        if previous is None:
            words.append([piece.text, piece.x0, piece.x1])
        else:
            gap = piece.x0 - reach
            em = max(min(piece.size, previous.size), 0.5 * max(piece.size, previous.size))
            limit = limits if limits is not None else _word_gap(previous, piece, least) * em
            stated = (previous.space_after or piece.space_before) and gap > 0.03 * em
            follows = piece.sequence == previous.sequence + 1
            if gap > limit or (stated and follows):
                words.append([piece.text, piece.x0, piece.x1])
            else:
                words[-1][0] = str(words[-1][0]) + piece.text
                words[-1][2] = max(float(words[-1][2]), piece.x1)
        reach = max(reach, piece.x1)
        previous = piece
    sizes = sorted((p.size, len(p.text)) for p in run)
    size = _weighted_median(sizes)
    main = max(run, key=lambda p: (p.size >= _SUBSCRIPT * size, len(p.text)))
    if len(words) > 1 and words[0][0] == UNMAPPED:
        words[0][0] = "•"  # a glyph without a meaning at the start of a line is the mark of a list
    seen = " ".join(str(word[0]) for word in words)
    shown = [Word(logical(str(text)), float(x0), float(x1)) for text, x0, x1 in words]
    return Segment(
        words=shown,
        x0=min(p.x0 for p in run),
        x1=max(p.x1 for p in run),
        y=main.y,
        size=size,
        bold=sum(len(p.text) for p in run if p.font.bold) > 0.6 * n_chars,
        mono=sum(len(p.text) for p in run if p.font.mono) > 0.8 * n_chars,
        sequence=min(p.sequence for p in run),
        tag=main.tag,
        text=_LEADERS.sub(" … ", unicodedata.normalize("NFC", logical(seen))).strip(),
    )


def _word_gap(left: Piece, right: Piece, least: float) -> float:
    """The least gap between two words, in em."""
    if _WIDE_SCRIPT.match(left.text[-1]) and _WIDE_SCRIPT.match(right.text[0]):
        return 0.5
    return min(max(0.4 * min(left.font.space_em, right.font.space_em), least), _MAX_WORD_GAP)


def _tracked(run: list[Piece]) -> float | None:
    """For letters set apart one by one: the gap that still divides words, in points."""
    if len(run) < 5 or sum(len(p.text) == 1 and p.text.isalnum() for p in run) < 0.7 * len(run):
        return None
    if any(p.space_after or p.space_before for p in run[1:-1]):
        return None
    gaps = [right.x0 - left.x1 for left, right in pairwise(run)]
    usual = median(gaps)
    return usual * 1.8 if 0.1 * run[0].size < usual < 0.4 * run[0].size else None


def _weighted_median(sizes: list[tuple[float, int]]) -> float:
    half = sum(n for _, n in sizes) / 2
    for size, n in sizes:
        half -= n
        if half <= 0:
            return size
    return sizes[-1][0]
