"""What retrieval asks of the store: the same results from the index as by exact scoring; filters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.embed.onnx_backend import OnnxEmbedder
from ingest.store import chunk_index
from ingest.store.chunk_index import StoreIndex
from ingest.store.filters import glob_pattern, matching_chunks
from rag.core.errors import UnknownKnowledgeBase, UnknownSource, UsageError
from rag.core.types import Filters, Scope
from rag.wiring import Footnote
from tests.ingest.documents import Folder, found_by_words

QUESTIONS = ["What does a heron eat?", "Who builds dams?", "prices of fish", "night on the river", "xyz"]


@pytest.fixture
def filled(store: Footnote, docs: Folder) -> Footnote:
    docs.animals()
    docs.write(
        "birds/stork.md",
        "---\nauthor: Dana Ruiz\ndate: 2026-02-01\nlevel: 3\n---\n# Storks\n\nA stork clatters.\n",
    )
    docs.write(
        "birds/crane.md",
        "---\nauthor: Ann Lee\ndate: 2024-06-30\n---\n# Cranes\n\n## Diet\n\nA crane eats grain.\n",
    )
    docs.write("prices.csv", "animal,price\nheron,12\notter,30\n")
    store.ingest([docs.path])
    return store


def paths(footnote: Footnote, **filters: object) -> list[str]:
    """Of the sources that a search by meaning may see; words must see the same."""
    scope = footnote.scope(filters=Filters(**filters))  # type: ignore[arg-type]
    vector = footnote.embedder.embed(["animals"], "query")[0]
    hits = footnote.index.hits(scope, footnote.index.search_vectors(scope, vector, 100))
    found = sorted({hit.source.uri for hit in hits})
    every = " OR ".join(["a", "the", "of", "heron", "otter"])
    words = footnote.index.hits(scope, footnote.index.search_words(scope, every, 100))
    assert sorted({hit.source.uri for hit in words}) == found
    return found


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"source": "birds/*"}, ["birds/crane.md", "birds/stork.md"]),
        ({"source": "*.md"}, ["birds/crane.md", "birds/stork.md", "heron.md"]),
        ({"source": "**/otter.*"}, ["mammals/otter.txt"]),
        ({"source": "nothing/**"}, []),
        ({"type": "md"}, ["birds/crane.md", "birds/stork.md", "heron.md"]),
        ({"type": ".CSV"}, ["prices.csv"]),
        ({"type": "text/plain"}, ["mammals/beaver.txt", "mammals/otter.txt"]),
        ({"after": "2026-02-01"}, ["birds/stork.md"]),
        ({"after": "2024-06-30", "before": "2026-02-01"}, ["birds/crane.md"]),
        ({"before": "2024-06-30"}, ["heron.md", "mammals/beaver.txt", "mammals/otter.txt", "prices.csv"]),
        ({"heading": "diet"}, ["birds/crane.md"]),
        ({"meta": {"author": "dana ruiz"}}, ["birds/stork.md"]),
        ({"meta": {"Level": "3", "author": "Dana Ruiz"}}, ["birds/stork.md"]),
        ({"meta": {"author": "Dana"}}, []),
        ({"source": "birds/*", "meta": {"author": "Ann Lee"}, "heading": "crane"}, ["birds/crane.md"]),
    ],
    ids=str,
)
def test_filters_leave_what_they_name(
    filled: Footnote, filters: dict[str, object], expected: list[str]
) -> None:
    assert paths(filled, **filters) == expected


def test_a_date_that_is_none_is_one_clear_sentence(filled: Footnote) -> None:
    with pytest.raises(UsageError, match=r"after is 'soon', which is not a date; write it as YYYY-MM-DD\."):
        paths(filled, after="soon")


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.md", "a/b/c.md", True),
        ("a/*.md", "a/c.md", True),
        ("a/*.md", "a/b/c.md", False),
        ("a/**", "a/b/c.md", True),
        ("a/**/c.md", "a/c.md", True),
        ("**/b/*", "b/c.md", True),
        ("?.md", "c.md", True),
        ("a[1].md", "a[1].md", True),
        ("*.md", "c.mdx", False),
    ],
)
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert bool(glob_pattern(glob).fullmatch(path)) is fits


def test_the_index_finds_what_exact_scoring_finds(filled: Footnote, encoder: OnnxEmbedder) -> None:
    scope = filled.scope()
    exact = StoreIndex(filled.store.catalog, lambda: None)
    chroma = StoreIndex(filled.store.catalog, filled.store.vectors)
    for question in QUESTIONS:
        vector = encoder.embed([question], "query")[0]
        mine, theirs = exact.search_vectors(scope, vector, 4), chroma.search_vectors(scope, vector, 4)
        assert [chunk for chunk, _ in mine] == [chunk for chunk, _ in theirs]
        np.testing.assert_allclose([s for _, s in mine], [s for _, s in theirs], atol=1e-5)


def test_a_filter_gives_the_same_from_the_index_where_it_leaves_much(
    filled: Footnote, encoder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = filled.scope(filters=Filters(source="*.md"))
    vector = encoder.embed(QUESTIONS[:1], "query")[0]
    expected = filled.index.search_vectors(scope, vector, 3)
    monkeypatch.setattr(chunk_index, "_exact_is_cheaper", lambda *_: False)
    for vectors in (filled.store.vectors, lambda: None):
        found = StoreIndex(filled.store.catalog, vectors).search_vectors(scope, vector, 3)
        assert [chunk for chunk, _ in found] == [chunk for chunk, _ in expected]
        assert len(found) == 3


@given(
    source=st.sampled_from([None, "birds/*", "*.md", "**/*.txt", "nothing/**"]),
    type_=st.sampled_from([None, "md", "text/plain"]),
    after=st.sampled_from([None, "2024-06-30", "2026-02-01"]),
    question=st.sampled_from(QUESTIONS),
    k=st.integers(1, 5),
    cheap=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_under_any_filter_the_best_are_those_of_scoring_every_chunk(
    filled: Footnote,
    encoder: OnnxEmbedder,
    source: str | None,
    type_: str | None,
    after: str | None,
    question: str,
    k: int,
    cheap: bool,
) -> None:
    scope = filled.scope(filters=Filters(source=source, type=type_, after=after))
    vector = encoder.embed([question], "query")[0]
    catalog, idx = filled.store.catalog, filled.index.index_of(scope)
    with catalog.reading() as db:
        rows = set(matching_chunks(db, idx, scope.filters)) if scope.filters else None
        live = db.execute("SELECT row, id FROM chunk").fetchall()
    passing = [row["id"] for row in live if rows is None or row["row"] in rows]
    scores = {chunk: float(v @ vector) for chunk, v in filled.index.vectors(scope, passing).items()}
    expected = sorted(scores, key=lambda chunk: (-scores[chunk], chunk))[:k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk_index, "_exact_is_cheaper", lambda n, *_: cheap or n == 0)
        found = StoreIndex(catalog, filled.store.vectors).search_vectors(scope, vector, k)
    assert [chunk for chunk, _ in found] == expected


def test_words_under_a_filter_are_the_unfiltered_ones_that_pass(filled: Footnote) -> None:
    query = '"a" OR "the" OR "heron" OR "grain"'
    every = filled.index.search_words(filled.scope(), query, 100)
    for glob in ("birds/*", "*.md", "**/otter.*", "nothing/**"):
        passing = {hit.chunk.id for hit in filled.index.hits(filled.scope(), every)} & {
            hit.chunk.id
            for hit in filled.index.hits(filled.scope(), every)
            if glob_pattern(glob).fullmatch(hit.source.uri)
        }
        scope = filled.scope(filters=Filters(source=glob))
        found = filled.index.search_words(scope, query, 100)
        assert found == [pair for pair in every if pair[0] in passing]
        assert filled.index.search_words(scope, query, 1) == found[:1]


def test_a_filter_that_was_used_before_sees_what_was_written_since(filled: Footnote, docs: Folder) -> None:
    assert paths(filled, source="birds/*") == ["birds/crane.md", "birds/stork.md"]
    (docs.path / "birds" / "crane.md").unlink()
    docs.write("birds/gull.md", "# Gulls\n\nThe gull steals fish of a heron.\n")
    filled.ingest([docs.path])
    assert paths(filled, source="birds/*") == ["birds/gull.md", "birds/stork.md"]


def test_hits_are_joined_in_order_and_dead_ones_dropped(filled: Footnote, docs: Folder) -> None:
    scope = filled.scope()
    scored = filled.index.search_words(scope, "heron OR otter OR stork", 10)
    hits = filled.index.hits(scope, [("no such chunk", 9.0), *scored])
    assert [(hit.chunk.id, hit.score) for hit in hits] == scored
    assert all(score > 0 for _, score in scored)
    assert scored == sorted(scored, key=lambda pair: -pair[1])
    for hit in hits:
        assert (
            filled.index.source_text(scope, hit.source.id)[hit.chunk.start : hit.chunk.end] == hit.chunk.text
        )
    (docs.path / "heron.md").unlink()
    filled.ingest([docs.path])
    assert "heron.md" not in {hit.source.uri for hit in filled.index.hits(scope, scored)}


def test_words_are_found_in_titles_and_headings_and_stemmed(filled: Footnote) -> None:
    assert found_by_words(filled, "Diet") == ["birds/crane.md"]
    assert found_by_words(filled, "builds") == found_by_words(filled, "building") == ["mammals/beaver.txt"]


def test_document_frequencies_count_live_chunks(filled: Footnote) -> None:
    n, found = filled.index.document_frequency(filled.scope(), ["heron", "clatter", "zebra", "", 'a"b'])
    assert n == sum(info.n_chunks for info in filled.sources())
    assert found == {"heron": 2, "clatter": 1, "zebra": 0, "": 0, 'a"b': 0}


def test_kept_vectors_are_given_back(filled: Footnote) -> None:
    scope = filled.scope()
    ids = [chunk for chunk, _ in filled.index.search_words(scope, "heron", 5)]
    vectors = filled.index.vectors(scope, [*ids, "unknown"])
    assert sorted(vectors) == sorted(ids)
    assert all(vector.shape == (384,) for vector in vectors.values())


def test_unknown_names_are_one_clear_sentence(filled: Footnote) -> None:
    calls: list[Callable[[], object]] = [
        lambda: filled.index.search_words(Scope("other"), "heron", 3),
        lambda: filled.index.hits(Scope(tenant="someone else"), []),
    ]
    for call in calls:
        with pytest.raises(UnknownKnowledgeBase, match="footnote ingest PATH"):
            call()
    with pytest.raises(UnknownSource, match="footnote sources"):
        filled.index.source_text(filled.scope(), "nothing")


def test_nothing_asked_is_nothing_found(filled: Footnote, encoder: OnnxEmbedder) -> None:
    vector = encoder.embed(["heron"], "query")[0]
    assert filled.index.search_words(filled.scope(), "", 5) == []
    assert filled.index.search_vectors(filled.scope(), vector, 0) == []
