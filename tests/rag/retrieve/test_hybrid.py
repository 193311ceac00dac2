"""Against a real store: the encoder, Chroma and SQLite that users get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.core.errors import EmbedderError
from rag.core.settings import load_settings
from rag.core.types import Filters, Hit
from rag.retrieve.hybrid import HybridRetriever
from rag.wiring import Footnote, open_footnote

DOCUMENTS = {
    "hr/leave.md": "---\ndate: 2026-02-01\nteam: people\n---\n# Leave\n\nEmployees may carry over eight unused vacation days.\n",
    "hr/travel.md": "---\ndate: 2024-02-01\n---\n# Travel\n\nTrips above 500 euros are approved by the department head.\n",
    "it/errors.txt": "E-417 means low pressure. E-204 means that the brew sensor failed.",
    "it/network.txt": "The tunnel to the office network uses port 4711 and needs a token.",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Footnote]:
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    settings = load_settings(store=tmp_path_factory.mktemp("store"), cache=cache)
    with open_footnote(settings, create=True) as footnote:
        footnote.ingest([folder])
        yield footnote


def sources(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.source.uri for hit in hits]


def test_a_paraphrase_is_found_by_meaning(store: Footnote) -> None:
    assert (
        sources(store.search("How do I connect from home to the company's intranet?").hits)[0]
        == "it/network.txt"
    )


def test_a_code_is_found_by_its_letters(store: Footnote) -> None:
    first = store.search("E-417").hits[0]
    assert first.source.uri == "it/errors.txt"
    assert first.origin["lexical"] > 0


def test_each_hit_is_the_exact_text_of_its_document(store: Footnote) -> None:
    for hit in store.search("vacation days", k=10).hits:
        text = store.document(hit.source.id).text
        assert text[hit.chunk.start : hit.chunk.end] == hit.chunk.text


def test_scores_fall_and_no_more_than_k_come(store: Footnote) -> None:
    hits = store.search("pressure of the network", k=2).hits
    assert len(hits) == 2
    assert hits[0].score >= hits[1].score


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(source="hr/*"), {"hr/leave.md", "hr/travel.md"}),
        (Filters(type="txt"), {"it/errors.txt", "it/network.txt"}),
        (Filters(source="hr/**", after="2026-01-01"), {"hr/leave.md"}),
        (Filters(source="hr/**", before="2025-01-01"), {"hr/travel.md"}),
        (Filters(heading="Travel"), {"hr/travel.md"}),
        (Filters(meta={"team": "people"}), {"hr/leave.md"}),
    ],
    ids=str,
)
def test_a_filter_lets_nothing_else_through(store: Footnote, filters: Filters, expected: set[str]) -> None:
    assert (
        set(sources(store.search("who approves days of pressure?", k=10, filters=filters).hits)) == expected
    )


def test_without_an_encoder_words_answer_and_a_notice_says_so(store: Footnote) -> None:
    class Broken:
        fingerprint, dim, max_tokens = (
            store.embedder.fingerprint,
            store.embedder.dim,
            store.embedder.max_tokens,
        )

        def embed(self, texts: object, kind: object) -> object:
            raise EmbedderError("The embedding server cannot be reached.")

    retriever = HybridRetriever(store.index, Broken(), candidates=20)  # type: ignore[arg-type]
    found = retriever.retrieve("vacation days", store.scope(), 3)
    assert found.mode == "lexical"
    assert sources(found.hits)[0] == "hr/leave.md"
    assert found.notices == ("Searched by words alone: The embedding server cannot be reached.",)


def test_a_reranker_has_the_last_word(store: Footnote) -> None:
    class Alphabetical:
        def rerank(self, question: str, hits: list[Hit]) -> list[Hit]:
            return sorted(hits, key=lambda hit: hit.source.uri)

    retriever = HybridRetriever(store.index, store.embedder, candidates=20, reranker=Alphabetical())
    assert sources(retriever.retrieve("network port", store.scope(), 4).hits) == sorted(DOCUMENTS)
