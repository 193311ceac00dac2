"""From an answer's markers to verified quotes.

Each sentence of an answer is matched with the sentences of the passages it cites. It is ``supported`` only
if a quote covers its words and nothing in it disagrees: see ``rag/agree.py`` for what disagreement means.
A method in the spirit of attribution checking (Rashkin et al. 2023, "Measuring Attribution in Natural
Language Generation Models"), made deterministic: no model judges another.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from rag import lexicon
from rag.agree import Support, clauses, contradicts, is_in, judge
from rag.core.plain import plain
from rag.core.text import sentence_spans
from rag.core.types import AnswerSentence, Block, Citation, PackedSource, Verdict
from rag.guard.injected import is_order_to_the_model
from rag.passages import Unit, opens_with_pronoun, row_text, units
from rag.terms import Terms, terms_of
from rag.topic import another_one, off_topic

MARKER: Final = re.compile(
    r"[ \t]*(?:\[|【)\s*(?:\^|(?:sources?|passages?|documents?|quellen?)[ \t]*)?(\d{1,3}(?:\s*(?:,|;|–|-|and|&)\s*\d{1,3})*)\s*(?:†[^\]】]{0,40})?(?:\]|】)(?!\()",
    re.IGNORECASE,
)
_AFTER_STOP = re.compile(r"([.!?…。！？]+[\"'”’»)]*)((?:" + MARKER.pattern + r")+)", re.IGNORECASE)
_LINE_START = re.compile(r"\n(?=[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)][ \t]|#{1,6}[ \t]|\|))")
_LEAD = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)]|#{1,6})[ \t]+")
_PREAMBLE = re.compile(
    r"(?:based on|according to|as (?:stated|mentioned|described) in|per|laut|gemäß|selon|según)\s+(?:\w+\s+){0,3}"
    r"(?:documents?|documentation|sources?|context|passages?|information|text|dokumente?n?|quellen?)\b[^,.]{0,30},\s*"
    r"|(?:the|these|your|die|das|der)?\s*(?:provided |given |cited )?(?:documents?|documentation|sources?|context|passages?|text|dokumente?|quellen?)"
    r"\s+(?:\w+ )?(?:says?|states?|mentions?|indicates?|explains?|notes?|specif(?:y|ies)|tells?(?: us)?|sagt|sagen|besagen?)\s+(?:that|dass)\s+",
    re.IGNORECASE,
)
_AFFIRMATION = re.compile(r"(?:yes|no|ja|nein|oui|non|sí)\s*[.!,:]?$", re.IGNORECASE)
_MAX_CITATIONS = 3
_RANK: Final = {Verdict.SUPPORTED: 2, Verdict.WEAK: 1, Verdict.UNSUPPORTED: 0}
_WORDS = re.compile(r"[-+−]?\w+(?:[.,:/'’%-]\w+)*[%$€£]?")
UNSUPPORTED_MARK: Final = " [unsupported]"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a packed source that may support a sentence, and the words that it is read with."""

    source: PackedSource
    start: int
    """Characters of the document."""
    end: int
    terms: Terms
    context: frozenset[str]
    """Stems that its surroundings supply: title, headings, table header, list intro."""
    context_terms: Terms
    wordings: frozenset[str] = frozenset()
    """What a sentence that repeats it word for word is, in its words alone."""


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
    ) -> None:
        """``blocks_of``: the block map of a document by its id; it tells the page and headings of each quote."""
        self._sources = {source.number: source for source in sources}
        self._blocks: dict[str, Sequence[Block]] = {}
        for source in sources if blocks_of is not None else ():
            key = source.source.id
            if key not in self._blocks and blocks_of is not None:
                self._blocks[key] = blocks_of(key)
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
        claim = _PREAMBLE.sub("", plain(_LEAD.sub("", text, count=1)), count=1)
        terms = terms_of(claim)
        is_claim = not claim.rstrip().endswith("?") and self._claims(
            terms, leads_in=claim.rstrip().endswith(":")
        )
        found = self._best(claim, terms, cited) if terms.content or terms.quantities else []
        verdict = min(
            (support.verdict for _, support in found), key=_RANK.__getitem__, default=Verdict.UNSUPPORTED
        )
        if not is_claim:
            return Checked(AnswerSentence(text, (), verdict), (), False, unknown, breaks_line)
        if verdict is Verdict.UNSUPPORTED:
            reason = found[0][1].reason if found else "no source says anything like it"
            return Checked(AnswerSentence(text, (), verdict), (), True, unknown, breaks_line, reason)
        citations, new = self._cite([evidence for evidence, _ in found], verdict)
        markers = tuple(dict.fromkeys(citation.marker for citation in citations))
        shown = with_markers(text, markers)
        return Checked(
            AnswerSentence(shown, markers, verdict),
            tuple(new),
            True,
            unknown,
            breaks_line,
            found[0][1].reason,
        )

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
            self._stems[number] = terms_of(source.text).stems | terms_of(_title(source)).stems
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
        return evidence_of(source, self._blocks.get(source.source.id, ()))

    def _known_words(self) -> frozenset[str]:
        """Every stem of every packed source: a capitalised word that is in none of them is an invented name."""
        if self._known is None:
            self._known = frozenset().union(
                *(terms_of(source.text).stems for source in self._sources.values()),
                *(terms_of(_title(source)).stems for source in self._sources.values()),
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


def place_of(source: PackedSource, start: int, blocks: Sequence[Block]) -> tuple[int | None, tuple[str, ...]]:
    """(page, headings) of a character of a document: of its block, for a passage may span several sections."""
    at = bisect_right(blocks, start, key=lambda block: block.start) - 1
    if at < 0:
        return source.page, source.heading_path
    return blocks[at].page, blocks[at].heading_path


def evidence_of(source: PackedSource, blocks: Sequence[Block] = ()) -> list[Evidence]:
    """Everything of a passage that can be quoted: each unit, and each sentence that opens with a pronoun
    together with the one before it. Other sentences are not joined: two true halves can make one false whole.
    Orders to the model are no evidence.
    """
    pieces = [unit for unit in units(source.text) if unit.kind != "heading"] or list(units(source.text))
    pieces = [unit for unit in pieces if not is_order_to_the_model(source.text[unit.start : unit.end])]
    found = [_evidence(source, unit.start, unit.end, unit, blocks) for unit in pieces]
    for first, second in pairwise(pieces):
        if (
            first.kind in ("sentence", "item")
            and second.kind == first.kind
            and opens_with_pronoun(plain(source.text[second.start : second.end]))
        ):
            found.append(_evidence(source, first.start, second.end, first, blocks))
    return found


def _evidence(source: PackedSource, start: int, end: int, unit: Unit, blocks: Sequence[Block]) -> Evidence:
    around = "\n".join([source.source.title, *place_of(source, source.start + start, blocks)[1]])
    if unit.intro is not None:
        around += "\n" + source.text[slice(*unit.intro)]
    context = terms_of(plain(around))
    return Evidence(
        source,
        source.start + start,
        source.start + end,
        terms_of(plain(source.text[start:end])),
        context.stems,
        context,
        _wordings(source.text, start, end, unit),
    )


def _wordings(text: str, start: int, end: int, unit: Unit) -> frozenset[str]:
    found = {words_of(plain(_LEAD.sub("", text[start:end], count=1)))}
    if unit.kind == "row":
        found.add(words_of(row_text(text, unit)))
    return frozenset(found)


def words_of(text: str) -> str:
    """The words and numbers of a text and what joins them, without case, spaces and punctuation around them."""
    return " ".join(_WORDS.findall(text.lower()))


def _title(source: PackedSource) -> str:
    return "\n".join([source.source.title, *source.heading_path])


def marker_numbers(text: str) -> list[int]:
    """The numbers that markers in the text name, ranges expanded, each once, in order."""
    numbers: dict[int, None] = {}
    for match in MARKER.finditer(text):
        for part in re.split(r"\s*(?:,|;|and|&)\s*", match.group(1)):
            first, _, last = re.sub(r"\s", "", part.replace("–", "-")).partition("-")
            upper = int(last) if last else int(first)
            for number in range(int(first), min(upper, int(first) + 20) + 1):
                numbers.setdefault(number)
    return list(numbers)


def strip_markers(text: str) -> str:
    return MARKER.sub("", text)


def with_markers(text: str, markers: Sequence[int]) -> str:
    """Puts markers before the full stop: "… five days [1]." """
    if not markers:
        return text
    shown = "".join(f"[{number}]" for number in markers)
    match = re.search(r"[.!?…:;]+[\"'”’»)*_]*$", text)
    at = match.start() if match else len(text)
    return f"{text[:at].rstrip()} {shown}{text[at:]}"


def answer_sentences(text: str) -> list[str]:
    """Sentences of an answer as written. Markers that follow a full stop belong to the sentence before; one
    that starts a line begins with "\\n"; a bare "Yes." goes with what follows."""
    tidy = _AFTER_STOP.sub(lambda match: f"{match.group(2)}{match.group(1)}", text)
    found: list[str] = []
    carried = ""
    for number, line in enumerate(_blocks(tidy)):
        for index, (start, end) in enumerate(sentence_spans(line)):
            piece = line[start:end]
            bare = strip_markers(piece).strip(" .")
            if not bare and found:  # markers alone
                found[-1] += piece.rstrip(".")
                continue
            if _AFFIRMATION.match(piece):
                carried += piece + " "
                continue
            lead = "\n" if index == 0 and number > 0 else ""
            found.append(lead + carried + piece)
            carried = ""
    if carried:
        found.append(carried.strip())
    return found


def _blocks(text: str) -> list[str]:
    blocks = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        blocks += [line for line in _LINE_START.split(paragraph) if line.strip()]
    return blocks


class SentenceStream:
    """Cuts a stream of deltas into sentences. A sentence is let go once the next one has begun, since its
    markers may follow the full stop."""

    def __init__(self) -> None:
        self._buffer = ""
        self._n_released = 0

    def feed(self, delta: str) -> list[str]:
        self._buffer += delta
        return self._release(final=False)

    def close(self) -> list[str]:
        return self._release(final=True)

    def _release(self, *, final: bool) -> list[str]:
        sentences = answer_sentences(self._buffer)
        if not final:
            if sentences and not re.search(r"\w", MARKER.sub("", _tail(sentences[-1]))):
                return []
            sentences = sentences[:-1]
        new = sentences[self._n_released :]
        self._n_released += len(new)
        return new


def _tail(sentence: str) -> str:
    """A started sentence, less a marker that is still being written."""
    return re.sub(r"[\[【][^\]】]*$", "", sentence)


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
