"""What a text denies."""

from __future__ import annotations

from collections.abc import Iterator

from rag import lexicon
from rag.scan import Scan
from rag.values import Negation

_NEGATION_SCOPE = 3


def negations(scan: Scan) -> Iterator[Negation]:
    for index, kind in enumerate(scan.kinds):
        token = scan.tokens[index]
        if kind == "negation":
            if not _denies(scan, index):
                continue
            scope = _scope(scan, index)
            if scope:
                yield Negation(frozenset(scope))
        elif kind in ("word", "identifier"):
            lower = token.text.lower()
            positive = lexicon.NEGATIVE_WORDS.get(lower)
            if positive is None and kind == "word":
                positive = _without_prefix(lower)
            if positive is not None:
                yield Negation(frozenset([scan.stem_word(positive)]))


def _denies(scan: Scan, index: int) -> bool:
    if scan.tokens[index].text.lower() in ("no", "nein", "non") and index == 0:
        rest = scan.text[scan.tokens[0].start + len(scan.tokens[0].text) :].lstrip()
        if rest.startswith((",", ".", ":", ";", "–", "—", "!")):
            return False  # "No, they expire."
    around = scan.text[scan.tokens[index].start : scan.tokens[index].start + 40].lower()
    before = scan.text[max(0, scan.tokens[index].start - 16) : scan.tokens[index].start].lower()
    return not (lexicon.NOT_A_DENIAL.match(around) or lexicon.NOT_A_DENIAL_BEFORE.search(before))


def _scope(scan: Scan, index: int) -> list[str]:
    clause = scan.tokens[index].clause
    scope: list[str] = []
    for at in range(index + 1, len(scan.tokens)):
        if scan.tokens[at].clause != clause or len(scope) >= _NEGATION_SCOPE:
            break
        if scan.tokens[at].content and scan.kinds[at] in ("word", "identifier"):
            scope.append(scan.tokens[at].stem)
    if not scope:  # "Refunds are not given."
        before = [
            token.stem
            for token, kind in zip(scan.tokens[:index], scan.kinds[:index], strict=True)
            if token.clause == clause and token.content and kind in ("word", "identifier")
        ]
        scope = before[-_NEGATION_SCOPE:]
    return scope


def _without_prefix(word: str) -> str | None:
    for prefix in ("un", "non", "in", "im", "dis"):
        if word.startswith(prefix) and word[len(prefix) :] in lexicon.DENIABLE:
            return word[len(prefix) :]
    return None
