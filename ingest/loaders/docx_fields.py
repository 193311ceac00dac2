"""Fields of Word: links, form fields and tables of contents are instructions with the result that they show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

from ingest.loaders.docx_styles import W, integer, is_on

_HYPERLINK = re.compile(r'\s*HYPERLINK\s+(?:"([^"]+)"|([^\s"\\]+))', re.IGNORECASE)
_CONTENTS = re.compile(r"\s*TOC\b", re.IGNORECASE)
_ENTRY = re.compile(r"[\divxlc]\s*$", re.IGNORECASE)


@dataclass(slots=True)
class _Field:
    """Its instruction comes before what it shows: ``HYPERLINK "https://…"``."""

    instruction: str = ""
    shows: bool = False


@dataclass(slots=True)
class OpenFields:
    """Those that a paragraph has begun and not ended, innermost last."""

    _open: list[_Field] = field(default_factory=list)

    def read(self, mark: etree._Element) -> None:
        """Of a ``w:fldChar`` or ``w:instrText``."""
        if mark.tag == f"{W}instrText":
            if self._open:
                self._open[-1].instruction += mark.text or ""
            return
        kind = mark.get(f"{W}fldCharType")
        if kind == "begin":
            self._open.append(_Field())
        elif kind == "separate" and self._open:
            self._open[-1].shows = True
        elif kind == "end" and self._open:
            self._open.pop()

    def url(self) -> str:
        return next((url for one in self._open if one.shows and (url := link_of(one.instruction))), "")


def link_of(instruction: str) -> str:
    match = _HYPERLINK.match(instruction)
    return match.group(1) or match.group(2) if match else ""


def form_value(mark: etree._Element) -> str:
    """What a check box or a list to choose from shows; they have no text of their own."""
    box = mark.find(f"{W}ffData/{W}checkBox")
    if box is not None:
        state = box.find(f"{W}checked")
        return "[x] " if is_on(box.find(f"{W}default") if state is None else state) else "[ ] "
    choice = mark.find(f"{W}ffData/{W}ddList")
    if choice is not None:
        entries = choice.findall(f"{W}listEntry")
        chosen = choice.find(f"{W}result")
        at = integer(choice.find(f"{W}default") if chosen is None else chosen, 0)
        return (entries[at].get(f"{W}val") or "") if 0 <= at < len(entries) else ""
    return ""


@dataclass(slots=True)
class ContentsField:
    """A table of contents without styles of its own: it repeats the headings, so it is passed over."""

    _n_open: int = 0

    def covers(self, paragraph: etree._Element) -> bool:
        """To be asked of each paragraph in order."""
        before = self._n_open
        begins = any(_CONTENTS.match(mark.text or "") for mark in paragraph.iter(f"{W}instrText"))
        if not before and not begins:
            return False
        for mark in paragraph.iter(f"{W}fldChar"):
            kind = mark.get(f"{W}fldCharType")
            self._n_open += (kind == "begin") - (kind == "end")
        self._n_open = max(self._n_open, 0)
        # A field that a damaged file never ends must not swallow the text.
        text = "".join(words.text or "" for words in paragraph.iter(f"{W}t")).strip()
        if text and not _ENTRY.search(text):
            self._n_open = 0
            return False
        return True
