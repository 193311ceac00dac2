"""From hits to numbered sources that fit the prompt.

Neighbouring chunks of a document become one passage; near-duplicates are dropped; then passages are taken
by value per token, and one that does not fit whole is cut to whole sentences. What is promised is checked at
the end on the sources as they will be rendered; ``rag/fit.py`` does so for the whole prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from rag.core.types import Dropped, Hit, PackedContext, PackedSource, Source
from rag.lexicon import NEGATIONS
from rag.passages import heads, units
from rag.prompt import render_source, render_sources
from rag.tables import head_of_table
from rag.terms import terms_of

SEPARATOR_TOKENS: Final = 2
"""What joins two sources in a prompt may add this many tokens to the sum of its parts."""
_DUPLICATE_SHARE = 0.9
_SMALL_TOKENS = 60
"""Passages shorter than this count as this long, or headings alone would have the best value per token."""
_MIN_CUT_TOKENS = 40
_MAX_LIST_CHARS = 800
"""Of a list that is brought in with its introduction."""


Shingle: TypeAlias = tuple[str, ...]


class Counter(Protocol):
    margin: float

    def count(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class _Passage:
    source: Source
    text: str
    start: int
    end: int
    hits: tuple[Hit, ...]
    document: str = field(repr=False)
    """Its whole text."""

    @property
    def head(self) -> str:
        return head_of_table(self.document, self.start)

    @property
    def best(self) -> Hit:
        return max(self.hits, key=lambda hit: hit.score)


def pack(
    question: str,
    hits: Sequence[Hit],
    text_of: Callable[[str], str],
    counter: Counter,
    max_tokens: int,
) -> PackedContext:
    """Numbered sources whose rendering takes at most ``max_tokens`` tokens of ``counter``.

    ``text_of`` gives the canonical text of a source by its id. The number of a source is its place: documents
    by their best passage, passages of a document in reading order.
    """
    passages = _merged(hits, text_of)
    passages, duplicates = _without_duplicates(passages)
    chosen, left_out = _chosen(question, passages, counter, max_tokens)
    sources = _numbered(chosen, counter)
    while (
        sources and (n_tokens := counter.count(render_sources(sources, heads(sources, text_of)))) > max_tokens
    ):
        # Parts may join into more tokens than their sum; the least valuable passage makes room.
        worst = min(chosen, key=lambda passage: passage.best.score)
        chosen = [passage for passage in chosen if passage is not worst]
        left_out = [*left_out, worst]
        sources = _numbered(chosen, counter)
    dropped = tuple(
        Dropped(passage.source.uri, passage.start, passage.end, counter.count(passage.text))
        for passage in (*left_out, *duplicates)
    )
    return PackedContext(sources, n_tokens if sources else 0, dropped)


def _merged(hits: Sequence[Hit], text_of: Callable[[str], str]) -> list[_Passage]:
    """Hits of one document that overlap, touch or follow each other as one passage each, best first."""
    by_source: dict[str, list[Hit]] = {}
    for hit in hits:
        by_source.setdefault(hit.source.id, []).append(hit)
    passages: list[_Passage] = []
    for source_id, group in by_source.items():
        text = text_of(source_id)
        group = [hit for hit in group if text[hit.chunk.start : hit.chunk.end] == hit.chunk.text]
        runs: list[list[Hit]] = []
        for hit in sorted(group, key=lambda one: (one.chunk.start, one.chunk.end)):
            if runs and _follows(runs[-1], hit, text):
                runs[-1].append(hit)
            else:
                runs.append([hit])
        for run in runs:
            start, end = run[0].chunk.start, _end_of(run, text)
            passages.append(_Passage(run[0].source, text[start:end], start, end, tuple(run), text))
    return sorted(passages, key=lambda passage: -passage.best.score)


def _end_of(run: Sequence[Hit], text: str) -> int:
    """Where the run ends; if that is in an introduction, "You need:", the list that it introduces belongs to it."""
    end = max(hit.chunk.end for hit in run)
    if not text[:end].rstrip().endswith(":"):
        return end
    after = units(text[end : end + _MAX_LIST_CHARS])
    n_items = next((n for n, unit in enumerate(after) if unit.kind != "item"), len(after))
    return end + after[n_items - 1].end if n_items else end


def _follows(run: Sequence[Hit], hit: Hit, text: str) -> bool:
    end = _end_of(run, text)
    if hit.chunk.start <= end:
        return True
    if any(one.chunk.ordinal + 1 == hit.chunk.ordinal for one in run):
        # A heading or a page's edge may lie between neighbours; more than that is another passage.
        return hit.chunk.start - end <= 200
    return not text[end : hit.chunk.start].strip()


def _without_duplicates(passages: Sequence[_Passage]) -> tuple[list[_Passage], list[_Passage]]:
    """(kept, dropped). A passage goes if a better one has nearly all of it, and all that it says of numbers:
    two versions of a policy with other figures are not the same."""
    kept: list[_Passage] = []
    dropped: list[_Passage] = []
    seen: list[frozenset[Shingle]] = []
    for passage in passages:
        shingles = _shingles(passage.text)
        telling = frozenset(one for one in shingles if any(map(_tells, one)))
        if shingles and any(
            telling <= other and len(shingles & other) >= _DUPLICATE_SHARE * len(shingles) for other in seen
        ):
            dropped.append(passage)
        else:
            kept.append(passage)
            seen.append(shingles)
    return kept, dropped


def _tells(word: str) -> bool:
    return word in NEGATIONS or any(map(str.isdigit, word))


def _shingles(text: str) -> frozenset[Shingle]:
    words = text.lower().split()
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset(
        [tuple(words)] if words else []
    )


def _chosen(
    question: str, passages: Sequence[_Passage], counter: Counter, max_tokens: int
) -> tuple[list[_Passage], list[_Passage]]:
    """(taken, left out). The best passage first, the others by value per token."""
    costs = {id(passage): _cost(passage, counter) for passage in passages}
    low = min((passage.best.score for passage in passages), default=0.0)
    high = max((passage.best.score for passage in passages), default=0.0)

    def density(passage: _Passage) -> float:
        value = 0.1 + (passage.best.score - low) / (high - low) if high > low else 1.0
        return value / max(costs[id(passage)], _SMALL_TOKENS)

    order = [*passages[:1], *sorted(passages[1:], key=density, reverse=True)]
    taken: list[_Passage] = []
    left_out: list[_Passage] = []
    room = max_tokens
    for passage in order:
        if costs[id(passage)] <= room:
            taken.append(passage)
            room -= costs[id(passage)]
            continue
        cut = _cut(question, passage, counter, room) if room >= _MIN_CUT_TOKENS or not taken else None
        if cut is None:
            left_out.append(passage)
            continue
        taken.append(cut)
        room -= _cost(cut, counter)
        left_out += _rests(passage, cut)
    return taken, left_out


def _cost(passage: _Passage, counter: Counter) -> int:
    return counter.count(render_source(_packed(passage, 99), passage.head)) + SEPARATOR_TOKENS


def _cut(question: str, passage: _Passage, counter: Counter, room: int) -> _Passage | None:
    """The longest run of whole sentences around the best one that fits; None if that one does not fit."""
    pieces = units(passage.text, passage.head)
    if not pieces:
        return None
    asked = frozenset(terms_of(question).content)
    best_chunk = passage.best.chunk

    def worth(index: int) -> tuple[float, ...]:
        piece = pieces[index]
        stems = terms_of(passage.text[piece.start : piece.end]).stems
        inside = best_chunk.start <= passage.start + piece.start < best_chunk.end
        return (len(asked & stems), inside, -index)

    first = last = max(range(len(pieces)), key=worth)

    def span(left: int, right: int) -> _Passage:
        start, end = passage.start + pieces[left].start, passage.start + pieces[right].end
        inside = tuple(hit for hit in passage.hits if hit.chunk.start < end and start < hit.chunk.end)
        text = passage.text[pieces[left].start : pieces[right].end]
        return replace(passage, text=text, start=start, end=end, hits=inside or (passage.best,))

    sizes = [counter.count(passage.text[piece.start : piece.end]) + 1 for piece in pieces]
    intro = next(
        (at for at in range(first) if (pieces[at].start, pieces[at].end) == pieces[first].intro), first
    )
    if _cost(span(intro, last), counter) <= room:
        first = intro  # a row without its header, an item without what introduces it, says little
    left = room - _cost(span(first, last), counter)
    while left >= 0:  # sums of sizes are near enough to grow by; the exact cost decides below
        if last + 1 < len(pieces) and sizes[last + 1] <= left:
            last += 1
            left -= sizes[last]
        elif first > 0 and sizes[first - 1] <= left:
            first -= 1
            left -= sizes[first]
        else:
            break
    while first <= last and _cost(span(first, last), counter) > room:
        if last > first:
            last -= 1
        else:
            return None
    return span(first, last)


def _rests(whole: _Passage, cut: _Passage) -> list[_Passage]:
    rests = []
    for start, end in ((whole.start, cut.start), (cut.end, whole.end)):
        text = whole.text[start - whole.start : end - whole.start]
        if text.strip():
            rests.append(replace(whole, text=text, start=start, end=end))
    return rests


def _numbered(passages: Sequence[_Passage], counter: Counter) -> tuple[PackedSource, ...]:
    best: dict[str, float] = {}
    for passage in passages:
        best[passage.source.id] = max(best.get(passage.source.id, passage.best.score), passage.best.score)
    ordered = sorted(passages, key=lambda one: (-best[one.source.id], one.source.id, one.start))
    return tuple(
        replace(_packed(passage, number), n_tokens=counter.count(passage.text))
        for number, passage in enumerate(ordered, 1)
    )


def _packed(passage: _Passage, number: int) -> PackedSource:
    first = passage.hits[0].chunk
    return PackedSource(
        number=number,
        source=passage.source,
        text=passage.text,
        start=passage.start,
        end=passage.end,
        heading_path=_common(tuple(hit.chunk.heading_path for hit in passage.hits)),
        page=first.page,
        score=passage.best.score,
        n_tokens=0,
        chunk_ids=tuple(hit.chunk.id for hit in passage.hits),
    )


def _common(paths: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The headings that all chunks of a passage stand under."""
    common = paths[0]
    for path in paths[1:]:
        n_same = 0
        for one, other in zip(common, path, strict=False):
            if one != other:
                break
            n_same += 1
        common = common[:n_same]
    return common
