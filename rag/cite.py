"""From an answer's markers to verified quotes.

Each sentence of an answer is matched with the sentences of the passages it cites. It is ``supported`` only
if a quote covers its words and nothing in it disagrees: see ``rag/agree.py`` for what disagreement means.
A method in the spirit of attribution checking (Rashkin et al. 2023, "Measuring Attribution in Natural
Language Generation Models"), made deterministic: no model judges another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rag import lexicon
from rag.agree import Support, clauses, judge
from rag.core.plain import plain
from rag.core.types import AnswerSentence, Block, Citation, PackedSource, Verdict
from rag.disagree import contradicts
from rag.evidence import LEAD, Evidence, evidence_of, place_of, title_of, words_of
from rag.markers import marker_numbers, strip_markers, with_markers
from rag.stems import is_in
from rag.terms import Terms, terms_of
from rag.topic import another_one, off_topic

_PREAMBLE = re.compile(
    r"(?:based on|according to|as (?:stated|mentioned|described) in|per|laut|gemäß|selon|según)\s+(?:\w+\s+){0,3}"
    r"(?:documents?|documentation|sources?|context|passages?|information|text|dokumente?n?|quellen?)\b[^,.]{0,30},\s*"
    r"|(?:the|these|your|die|das|der)?\s*(?:provided |given |cited )?(?:documents?|documentation|sources?|context|passages?|text|dokumente?|quellen?)"
    r"\s+(?:\w+ )?(?:says?|states?|mentions?|indicates?|explains?|notes?|specif(?:y|ies)|tells?(?: us)?|sagt|sagen|besagen?)\s+(?:that|dass)\s+",
    re.IGNORECASE,
)
_MAX_CITATIONS = 3
_RANK: Final = {Verdict.SUPPORTED: 2, Verdict.WEAK: 1, Verdict.UNSUPPORTED: 0}
UNSUPPORTED_MARK: Final = " [unsupported]"


@dataclass(frozen=True, slots=True)
class Checked:
    """One sentence of an answer after verification."""

    sentence: AnswerSentence
    citations: tuple[Citation, ...]
    """Citations that it is the first to use; ``sentence.citations`` may name earlier ones too."""
    is_claim: bool
    """False for sentences that say nothing about the world: greetings, lead-ins, offers of help."""
    unknown_markers: int
    breaks_line: bool
    """Whether it starts on a new line."""
    reason: str = ""
    """Why it is not supported."""


class Verifier:
    """Verifies the sentences of one answer in order, numbering citations as they appear."""

    def __init__(
        self,
        sources: Sequence[PackedSource],
        question: str = "",
        blocks_of: Callable[[str], Sequence[Block]] | None = None,
        heads: Mapping[int, str] | None = None,
    ) -> None:
        """``blocks_of``: the block map of a document by its id; it tells the page and headings of each quote.
        ``heads``: see ``rag.passages.heads``."""
        self._sources = {source.number: source for source in sources}
        self._blocks: dict[str, Sequence[Block]] = {}
        for source in sources if blocks_of is not None else ():
            key = source.source.id
            if key not in self._blocks and blocks_of is not None:
                self._blocks[key] = blocks_of(key)
        self._heads = heads or {}
        self._evidence: dict[int, list[Evidence]] = {}
        self._question = terms_of(question)
        self._numbers: dict[tuple[str, int, int], int] = {}
        self._known: frozenset[str] | None = None
        self._stems: dict[int, frozenset[str]] = {}

    def check(self, raw: str) -> Checked:
        """Verifies one sentence as the model wrote it, markers included."""
        breaks_line = raw.startswith("\n")
        cited, unknown = self._markers(raw)
        text = strip_markers(raw).strip()
        is_claim, found = self._judged(text, cited)
        verdict = _verdict(found)
        if not is_claim:
            return Checked(AnswerSentence(text, (), verdict), (), False, unknown, breaks_line)
        if verdict is Verdict.UNSUPPORTED:
            reason = found[0][1].reason if found else "no source says anything like it"
            return Checked(AnswerSentence(text, (), verdict), (), True, unknown, breaks_line, reason)
        citations, new = self._cite([evidence for evidence, _ in found], verdict)
        numbers = tuple(dict.fromkeys(citation.marker for citation in citations))
        sentence = AnswerSentence(with_markers(text, numbers), numbers, verdict)
        return Checked(sentence, tuple(new), True, unknown, breaks_line, found[0][1].reason)

    def supports(self, raw: str) -> bool:
        """Whether ``check`` would find that it claims something and that a source says so. Numbers nothing."""
        is_claim, found = self._judged(strip_markers(raw).strip(), self._markers(raw)[0])
        return is_claim and _verdict(found) is not Verdict.UNSUPPORTED

    def _judged(self, text: str, cited: Sequence[int]) -> tuple[bool, list[tuple[Evidence, Support]]]:
        """(whether the sentence claims something, the evidence for it)"""
        claim = _PREAMBLE.sub("", plain(LEAD.sub("", text, count=1)), count=1)
        terms = terms_of(claim)
        is_claim = not claim.rstrip().endswith("?") and self._claims(
            terms, leads_in=claim.rstrip().endswith(":")
        )
        return is_claim, self._best(claim, terms, cited) if terms.content or terms.quantities else []

    # Which evidence

    def _best(self, claim: str, terms: Terms, cited: Sequence[int]) -> list[tuple[Evidence, Support]]:
        """The evidence for a sentence: one quote, or one for each of its clauses; cited sources first."""
        whole: list[tuple[Evidence, Support]] = []
        for numbers in (cited, [n for n in self._sources if n not in cited]):
            whole += self._ranked(terms, numbers, words_of(claim))
            if whole and max(_RANK[support.verdict] for _, support in whole) == 2:
                break
        whole = [pair for pair in whole if not self._mixed_up(terms, pair)]
        whole.sort(key=lambda pair: _order(pair, cited))
        if whole and whole[0][1].verdict is Verdict.SUPPORTED:
            best = [whole[0]]
            for evidence, support in whole[1:]:  # every other cited source that says it too
                taken = {one.source.number for one, _ in best}
                if len(best) == _MAX_CITATIONS:
                    break
                if (
                    support.verdict is Verdict.SUPPORTED
                    and evidence.source.number in cited
                    and evidence.source.number not in taken
                ):
                    best.append((evidence, support))
            return best
        parts = self._by_clause(claim, cited)
        if parts:
            return parts
        return whole[:1]

    def _ranked(
        self, terms: Terms, numbers: Iterable[int], wording: str = ""
    ) -> list[tuple[Evidence, Support]]:
        content = frozenset(terms.content)
        ranked = []
        for number in numbers:
            for evidence in self._evidence_of(number):
                if wording and wording in evidence.wordings:
                    ranked.append((evidence, self._quoted(number, evidence)))
                    continue
                if content and not (content & evidence.terms.stems) and not terms.quantities:
                    continue
                support = judge(
                    terms, evidence.terms, evidence.context, evidence.context_terms, self._known_words()
                )
                if support.verdict is not Verdict.UNSUPPORTED:
                    have = evidence.terms.stems | evidence.context
                    reason = off_topic(terms, have, self._stems_of(number), self._question)
                    if reason is not None:
                        support = Support(Verdict.UNSUPPORTED, support.coverage, reason)
                ranked.append((evidence, support))
        return ranked

    def _quoted(self, number: int, evidence: Evidence) -> Support:
        """A source's own sentence is supported, unless the source is about a sibling of what was asked."""
        other = another_one(self._question.identifiers, self._stems_of(number))
        if other is None:
            return Support(Verdict.SUPPORTED, 1.0)
        return Support(Verdict.UNSUPPORTED, 1.0, f"the source is about {other[1]}, not {other[0]}")

    def _stems_of(self, number: int) -> frozenset[str]:
        if number not in self._stems:
            source = self._sources[number]
            self._stems[number] = terms_of(source.text).stems | terms_of(title_of(source)).stems
        return self._stems[number]

    def _by_clause(self, claim: str, cited: Sequence[int]) -> list[tuple[Evidence, Support]]:
        """Supports a compound sentence piece by piece; [] unless every piece is supported."""
        pieces = clauses(claim)
        if len(pieces) < 2:
            return []
        found: list[tuple[Evidence, Support]] = []
        for piece in pieces:
            ranked = self._ranked(terms_of(piece), self._sources)
            ranked = [pair for pair in ranked if pair[1].verdict is Verdict.SUPPORTED]
            if not ranked:
                return []
            best = min(ranked, key=lambda pair: _order(pair, cited))
            if all(best[0] is not evidence for evidence, _ in found):
                found.append(best)
        return found if len(found) <= _MAX_CITATIONS else []

    def _mixed_up(self, terms: Terms, pair: tuple[Evidence, Support]) -> bool:
        """Whether what the evidence lacks stands elsewhere in its source, with another number: of "25 days a
        year. Five can be carried over." the claim that 25 can be carried over."""
        evidence, support = pair
        if not terms.quantities or support.verdict is Verdict.UNSUPPORTED:
            return False
        have = evidence.terms.stems | evidence.context
        lacking = [stem for stem in terms.content if not is_in(stem, have)]
        return bool(lacking) and any(
            all(is_in(stem, other.terms.stems) for stem in lacking) and contradicts(terms, other.terms)
            for other in self._evidence_of(evidence.source.number)
        )

    def _evidence_of(self, number: int) -> list[Evidence]:
        if number not in self._evidence:
            self._evidence[number] = self._read(number)
        return self._evidence[number]

    def _read(self, number: int) -> list[Evidence]:
        source = self._sources[number]
        return evidence_of(source, self._blocks.get(source.source.id, ()), self._heads)

    def _known_words(self) -> frozenset[str]:
        """Every stem of every packed source: a capitalised word that is in none of them is an invented name."""
        if self._known is None:
            self._known = frozenset().union(
                *(terms_of(source.text).stems for source in self._sources.values()),
                *(terms_of(title_of(source)).stems for source in self._sources.values()),
            )
        return self._known

    # Markers and numbers

    def _markers(self, raw: str) -> tuple[list[int], int]:
        named = marker_numbers(raw)
        return [n for n in named if n in self._sources], sum(n not in self._sources for n in named)

    def _cite(self, evidence: Sequence[Evidence], verdict: Verdict) -> tuple[list[Citation], list[Citation]]:
        citations, new = [], []
        for one in evidence:
            key = (one.source.source.id, one.start, one.end)
            fresh = key not in self._numbers
            marker = self._numbers.setdefault(key, len(self._numbers) + 1)
            source = one.source
            page, heading_path = place_of(source, one.start, self._blocks.get(source.source.id, ()))
            citation = Citation(
                marker=marker,
                source=source.source.uri,
                source_id=source.source.id,
                title=source.source.title,
                page=page,
                heading_path=heading_path,
                start=one.start,
                end=one.end,
                quote=source.text[one.start - source.start : one.end - source.start],
                verdict=verdict,
            )
            citations.append(citation)
            if fresh:
                new.append(citation)
        return citations, new

    def _claims(self, terms: Terms, *, leads_in: bool) -> bool:
        if terms.quantities or terms.dates or terms.identifiers:
            return True
        telling = [stem for stem in terms.content if terms.words[stem] not in lexicon.DISCOURSE]
        if leads_in:  # "To carry over vacation days:" repeats the question; what follows answers it
            telling = [stem for stem in telling if stem not in self._question.stems]
        return bool(telling)


def _verdict(found: Sequence[tuple[Evidence, Support]]) -> Verdict:
    return min((support.verdict for _, support in found), key=_RANK.__getitem__, default=Verdict.UNSUPPORTED)


def _order(pair: tuple[Evidence, Support], cited: Sequence[int]) -> tuple[float, ...]:
    evidence, support = pair
    return (
        -_RANK[support.verdict],
        -round(support.coverage, 2),
        evidence.source.number not in cited,
        evidence.end - evidence.start,
        evidence.source.number,
        evidence.start,
    )


def joined(sentences: Iterable[Checked], text_of: Callable[[Checked], str] | None = None) -> str:
    """The text of an answer from its sentences, line breaks kept."""
    parts: list[str] = []
    for checked in sentences:
        if parts:
            parts.append("\n" if checked.breaks_line else " ")
        parts.append(text_of(checked) if text_of else checked.sentence.text)
    return "".join(parts)


def marked_unsupported(checked: Checked) -> Checked:
    """The sentence as shown where unsupported ones are shown too."""
    sentence = checked.sentence
    return replace(checked, sentence=replace(sentence, text=sentence.text + UNSUPPORTED_MARK))
