"""Runs of a Word paragraph as one line of Markdown: emphasis and links go around all the runs that share them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from ingest.loaders import markup

_MARKS = {"bold": ("**", "italic"), "italic": ("*", "struck"), "struck": ("~~", "")}
_EXPONENT = re.compile(r"[-+−]?(?:\d{1,4}|[a-zA-Z]{1,2}|[-+]\w{1,3})")
_ORDINALS = frozenset(["st", "nd", "rd", "th"])


class Piece(NamedTuple):
    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    url: str = ""
    monospaced: bool = False
    raw: bool = False
    """Markdown already: an equation, a picture."""


def written(pieces: Sequence[Piece], *, emphasised: bool = True) -> str:
    parts = []
    for url, group in groupby(_without_gaps(pieces), key=lambda piece: piece.url):
        linked = list(group)
        text = _marked(linked, "bold") if emphasised else "".join(piece.text for piece in linked)
        parts.append(markup.link(text, url) if url else text)
    return "".join(parts).replace("\t", " ")


def raised(text: str) -> str:
    """10⁶ is not 106, but 1st is 1st."""
    body = text.strip()
    return f"^{body}" if _EXPONENT.fullmatch(body) and body not in _ORDINALS else text


def _marked(pieces: Iterable[Piece], name: str) -> str:
    """Within bold may lie italic, within that what is struck out: ``**all *of* it**``."""
    mark, within = _MARKS[name]
    parts = []
    for is_on, group in groupby(pieces, key=attrgetter(name)):
        alike = list(group)
        text = _marked(alike, within) if within else "".join(piece.text for piece in alike)
        parts.append(markup.emphasis(text, mark) if is_on else text)
    return "".join(parts)


def _without_gaps(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """White space is as bold as what is on both sides of it."""
    for at, piece in enumerate(pieces):
        if piece.text.strip() or piece.raw or at in (0, len(pieces) - 1):
            yield piece
        else:
            left, right = pieces[at - 1], pieces[at + 1]
            yield piece._replace(
                bold=left.bold and right.bold,
                italic=left.italic and right.italic,
                struck=left.struck and right.struck,
            )
