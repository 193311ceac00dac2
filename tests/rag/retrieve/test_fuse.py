from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rag.retrieve.fuse import Evidence, FusionWeights, fuse

NONE = Evidence(dense={}, words={}, pairs={}, identifiers={}, coverage={}, n_tokens={}, place={})
PLAIN = FusionWeights(neighbour=0, coverage=0, length=0)


def order(evidence: Evidence, weights: FusionWeights = PLAIN) -> list[str]:
    return [chunk for chunk, _ in fuse(evidence, weights)]


def two(**evidence: object) -> Evidence:
    return replace(NONE, place={"a": ("one", 0), "b": ("two", 0)}, **evidence)  # type: ignore[arg-type]


def test_what_both_searches_find_beats_what_one_finds() -> None:
    assert order(two(dense={"a": 0.6, "b": 0.6}, words={"b": 9.0})) == ["b", "a"]


def test_without_vectors_the_words_decide_alone() -> None:
    assert dict(fuse(two(words={"a": 2.0, "b": 4.0}), PLAIN)) == {"b": 1.0, "a": 0.5}


def test_a_chunk_with_the_question_s_code_beats_a_chunk_that_is_nearer_in_meaning() -> None:
    evidence = two(dense={"a": 0.7, "b": 0.5}, words={"a": 3.0, "b": 3.0}, identifiers={"b": 1.0})
    assert order(evidence) == ["b", "a"]


def test_a_good_neighbour_lifts_a_chunk() -> None:
    evidence = replace(
        NONE,
        dense={"a": 0.5, "b": 0.5, "near b": 0.9},
        place={"a": ("one", 4), "b": ("two", 4), "near b": ("two", 5)},
    )
    assert order(evidence, replace(PLAIN, neighbour=0.1)) == ["near b", "b", "a"]


def test_holding_all_words_beats_repeating_one() -> None:
    evidence = two(words={"a": 8.0, "b": 8.0}, coverage={"a": 0.3, "b": 1.0})
    assert order(evidence, replace(PLAIN, coverage=0.25)) == ["b", "a"]


def test_a_heading_alone_does_not_win_by_being_short() -> None:
    evidence = two(words={"a": 1.0, "b": 1.0}, n_tokens={"a": 4, "b": 75})
    assert len({score for _, score in fuse(replace(evidence, place={**evidence.place, "c": ("three", 0)},
                                                   n_tokens={**evidence.n_tokens, "c": 150}),
                                           replace(PLAIN, length=0.05)) if score > 0.2}) == 1  # fmt: skip


@given(
    st.dictionaries(st.text(max_size=3), st.tuples(st.floats(0, 1), st.floats(0, 30)), max_size=12),
)
def test_every_candidate_is_ranked_once_best_first(scores: dict[str, tuple[float, float]]) -> None:
    evidence = replace(
        NONE,
        dense={chunk: dense for chunk, (dense, _) in scores.items()},
        words={chunk: words for chunk, (_, words) in scores.items()},
        place={chunk: ("doc", 2 * at) for at, chunk in enumerate(scores)},
        n_tokens=dict.fromkeys(scores, 100),
    )
    ranked = fuse(evidence, FusionWeights())
    assert sorted(chunk for chunk, _ in ranked) == sorted(scores)
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
