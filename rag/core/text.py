"""Text primitives that chunking, packing and citing share: sentences as character spans."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "sr",
        "jr",
        "vs",
        "etc",
        "no",
        "nr",
        "vol",
        "fig",
        "eq",
        "sec",
        "ch",
        "cf",
        "al",
        "inc",
        "ltd",
        "co",
        "corp",
        "dept",
        "approx",
        "est",
        "e.g",
        "i.e",
        "a.m",
        "p.m",
        "u.s",
        "u.k",
        "u.n",
        "ph.d",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "gen",
        "col",
        "lt",
        "sgt",
        "capt",
        "rev",
        "hon",
        "gov",
        "sen",
        "rep",
        "pp",
        "ed",
        "eds",
        "op",
        "z.b",
        "d.h",
        "u.a",
        "bzw",
        "usw",
        "ca",
    ]
)
_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s|$)|[。！？]+|\n[ \t]*\n+")
_LAST_WORD = re.compile(r"([\w.\-]+)$")


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Spans of the sentences in ``text[start:end]``, white space trimmed, in order, not overlapping.

    A blank line always ends a sentence; a full stop does not after an abbreviation, an initial or a
    list number, nor before a lower-case letter.
    """
    end = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _END.finditer(text, start, end):
        cut = match.end() if not match.group().startswith("\n") else match.start()
        if match.group().startswith(".") and not _ends_sentence(text, begin, match.start(), match.end(), end):
            continue
        _append(spans, text, begin, cut)
        begin = match.end()
    _append(spans, text, begin, end)
    return spans


def _ends_sentence(text: str, begin: int, stop: int, after: int, end: int) -> bool:
    following = text[after:end].lstrip()[:1]
    if following.islower():
        return False
    word = _LAST_WORD.search(text, max(begin, stop - 24), stop)
    if word is None:
        return True
    token = word.group(1)
    if token.lower() in _ABBREVIATIONS:
        return not following
    if len(token) == 1 and token.isalpha() and token.isupper():
        return not following  # an initial: "J. Smith"
    # A list number ("1. Open the lid") belongs to what it numbers.
    return not (token.isdigit() and len(token) <= 3 and not text[begin : stop - len(token)].strip())


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))
