"""How well the text could be read, and what a reader should know of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ingest.loaders.pdf.page import Page

_WORD = re.compile(r"\S+")
_UNMAPPED = re.compile(r"�|\(cid:\d+\)|(?<!\w)/[gGcC]\d{1,4}\b|[\ue000-\uf8ff]")
_LETTERS = re.compile(r"[^\W\d_]+")
# Letters that are not of the scripts that are written without spaces.
_SPACED = re.compile("[A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff\u0590-\u06ff]+")
_GLUED_CHARS = 28
_GLUED = re.compile(r"[^\W\d_]{3,}[.,;:!?][A-Z][a-z]{2,}|[a-z]{3,}[A-Z][a-z]{3,}[A-Z]?[a-z]*[A-Z][a-z]{2,}")
_URL = re.compile(r"://|www\.|@|[/\\_=]")
_WARN_SHARE = 0.03


class Quality:
    """Counts over the pages of one document."""

    def __init__(self) -> None:
        self._words = self._unmapped = self._glued = self._letters_apart = 0
        self._unmapped_pages: set[int] = set()
        self._glued_pages: set[int] = set()
        self._apart_pages: set[int] = set()

    def count(self, text: str, page: int) -> None:
        words = _WORD.findall(text)
        unmapped = sum(bool(_UNMAPPED.search(word)) for word in words)
        glued = sum(_is_glued(word) for word in words)
        apart = _letters_apart(words)
        self._words += len(words)
        self._unmapped += unmapped
        self._glued += glued
        self._letters_apart += apart
        limit = max(2, _WARN_SHARE * len(words))
        for n, pages in (
            (unmapped, self._unmapped_pages),
            (glued, self._glued_pages),
            (apart, self._apart_pages),
        ):
            if n >= limit or (n and n == len(words)):
                pages.add(page)

    def score(self, n_pages: int, n_without_text: int) -> float:
        """1 where each word could be read on each page, 0 where none could."""
        if not n_pages or not self._words:
            return 0.0
        bad = min(self._words, self._unmapped + self._glued + self._letters_apart)
        return round((1 - bad / self._words) * (1 - n_without_text / n_pages), 3)

    def warnings(self) -> list[str]:
        found = []
        if self._unmapped_pages:
            found.append(
                f"{page_list(self._unmapped_pages)}: characters whose letters the file does not state "
                f"({self._unmapped} words); run OCR on the file if they matter."
            )
        if self._glued_pages:
            found.append(
                f"{page_list(self._glued_pages)}: words run together without spaces ({self._glued})."
            )
        if self._apart_pages:
            found.append(f"{page_list(self._apart_pages)}: words fall apart into single letters.")
        return found


def page_warnings(pages: Sequence[Page], unread: dict[int, str], n_skipped: int) -> list[str]:
    """What is wrong with whole pages, a sentence for each kind."""
    found = []
    empty = [page.number for page in pages if not page.segments and not any(page.turned)]
    if pictures := [page.number for page in pages if page.number in empty and page.has_images]:
        found.append(
            f"{page_list(pictures)} {_have(pictures)} no text layer; run OCR on the file to read {_them(pictures)}."
        )
    if blank := [number for number in empty if number not in pictures]:
        found.append(f"{page_list(blank)} {_have(blank)} no text.")
    if unread:
        reasons = ", ".join(sorted(set(unread.values())))
        found.append(f"{page_list(unread)} cannot be read ({reasons}) and {_were(unread)} left out.")
    if partly := [page.number for page in pages if page.problems and page.segments]:
        found.append(f"{page_list(partly)} {_are(partly)} damaged; some of the text may be missing.")
    hidden: Counter[str] = Counter()
    where: dict[str, set[int]] = {}
    for page in pages:
        for reason, n in page.hidden.items():
            hidden[reason] += n
            where.setdefault(reason, set()).add(page.number)
    for reason, n in hidden.items():
        pieces = "1 piece of text" if n == 1 else f"{n} pieces of text"
        found.append(f"{page_list(where[reason])}: {pieces} {reason} {'was' if n == 1 else 'were'} left out.")
    if n_skipped:
        found.append(f"the last {n_skipped:,} pages were not read; split the file.")
    return found


def page_list(numbers: Iterable[int]) -> str:
    """ "page 3", "pages 1, 3-5 and 9"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    names = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    if len(names) > 12:
        names = [*names[:11], "others"]
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return f"page {listed}" if len(runs) == 1 and runs[0][0] == runs[0][1] else f"pages {listed}"


def _is_glued(word: str) -> bool:
    if _URL.search(word):
        return False
    longest = max(map(len, _SPACED.findall(word)), default=0)
    return longest >= _GLUED_CHARS or bool(_GLUED.search(word))


def _letters_apart(words: Sequence[str]) -> int:
    """Words in runs of at least five single letters."""
    n = run = 0
    for word in [*words, ""]:
        if len(word) == 1 and _SPACED.match(word):
            run += 1
            continue
        n += run if run >= 5 else 0
        run = 0
    return n


def _have(numbers: Iterable[int]) -> str:
    return "has" if len(list(numbers)) == 1 else "have"


def _are(numbers: Iterable[int]) -> str:
    return "is" if len(list(numbers)) == 1 else "are"


def _were(numbers: Iterable[int]) -> str:
    return "was" if len(list(numbers)) == 1 else "were"


def _them(numbers: Iterable[int]) -> str:
    return "it" if len(list(numbers)) == 1 else "them"
