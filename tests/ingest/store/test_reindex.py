"""Another pipeline: refused with what to do, built beside the old index, swapped at the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest

from ingest.embed.onnx_backend import OnnxEmbedder
from rag.core.errors import EmbedderError, FingerprintMismatch, UnknownKnowledgeBase
from rag.core.protocols import Vectors
from rag.wiring import Footnote
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import (
    HERON,
    Folder,
    assert_healthy,
    contents,
    found_by_meaning,
    found_by_words,
    ids_in_chroma,
)


class Shorter:
    """The real encoder's vectors, their last half left out: another encoder, as far as a store can tell."""

    fingerprint = "shorter/1"
    dim = 192

    def __init__(self, encoder: OnnxEmbedder, stop: threading.Event | None = None) -> None:
        self._encoder, self._stop = encoder, stop
        self.max_tokens = encoder.max_tokens
        self.n_texts = 0
        self.broken = False

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        if self.broken:
            raise EmbedderError("The encoder is out of order; mend it.")
        if self._stop is not None:
            self._stop.set()
        self.n_texts += len(texts)
        half = self._encoder.embed(texts, kind)[:, : self.dim]
        return np.asarray(half / np.linalg.norm(half, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def filled(open_store: OpenStore, docs: Folder) -> None:
    with open_store() as footnote:
        footnote.ingest([docs.animals()])


def index_states(footnote: Footnote) -> list[str]:
    with footnote.store.catalog.reading() as db:
        return [row["state"] for row in db.execute("SELECT state FROM idx ORDER BY id")]


def collections(footnote: Footnote) -> int:
    return len(footnote.store.vectors()._client.list_collections())


def test_other_settings_are_refused_with_what_to_do(
    filled: None, open_store: OpenStore, docs: Folder
) -> None:
    other_chunks = open_store(chunk_tokens=64)
    with pytest.raises(FingerprintMismatch, match="footnote reindex"):
        other_chunks.ingest([docs.path])
    assert found_by_words(other_chunks, "croak") == ["heron.md"]  # asking needs the same encoder only
    other_chunks.close()


def test_another_encoder_is_refused_with_what_to_do(
    filled: None, open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    other = open_store(embedder_object=Shorter(encoder))
    with pytest.raises(FingerprintMismatch, match=r"shorter/1; run 'footnote reindex'"):
        other.ingest([docs.path])
    with pytest.raises(FingerprintMismatch, match="footnote reindex"):
        found_by_meaning(other, "heron")


def test_reindexing_gives_the_store_that_ingesting_would_have_given(
    filled: None, open_store: OpenStore, docs: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    anew = open_store(chunk_tokens=24)
    report = anew.reindex()
    assert report.n_parsed == 0
    assert report.n_chunks > 5
    assert index_states(anew) == ["active"]
    assert collections(anew) == 1
    assert_healthy(anew)
    assert anew.ingest([docs.path]).n_unchanged == 3
    direct = open_store(store=tmp_path_factory.mktemp("direct"), chunk_tokens=24)
    direct.ingest([docs.path])
    mine, theirs = contents(anew), contents(direct)
    np.testing.assert_allclose(mine.pop("vectors in Chroma"), theirs.pop("vectors in Chroma"), atol=1e-5)
    assert mine == theirs


def test_texts_that_other_chunk_settings_leave_as_they_were_are_not_embedded_again(
    filled: None, open_store: OpenStore
) -> None:
    report = open_store(chunk_tokens=140).reindex()
    assert (report.n_embedded, report.n_reused) == (0, report.n_chunks)


def test_with_another_encoder_nothing_of_the_old_one_stays(
    filled: None, open_store: OpenStore, encoder: OnnxEmbedder
) -> None:
    other = open_store(embedder_object=Shorter(encoder))
    other.reindex()
    assert "croak" in found_by_meaning(other, "the call of the heron", k=1)[0]
    with other.store.catalog.reading() as db:
        assert {row[0] for row in db.execute("SELECT embedder FROM vector")} == {"shorter/1"}
    assert_healthy(other)


def test_the_old_index_answers_while_the_new_one_is_built_and_after_an_interruption(
    filled: None, open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    stop = threading.Event()
    other = open_store(embedder_object=Shorter(encoder, stop))
    assert other.reindex(stop=stop).interrupted
    assert index_states(other) == ["active", "building"]
    n_before = other.embedder.n_texts  # type: ignore[attr-defined]
    other.close()
    with open_store() as old:
        assert "croak" in found_by_meaning(old, "the call of the heron", k=1)[0]
        assert old.ingest([docs.path]).n_unchanged == 3
    again = open_store(embedder_object=Shorter(encoder))
    report = again.reindex()
    assert (report.interrupted, index_states(again)) == (False, ["active"])
    assert again.embedder.n_texts + n_before == report.n_chunks  # type: ignore[attr-defined]
    assert_healthy(again)


def test_a_reindex_that_fails_leaves_the_old_index_as_it_was(
    filled: None, open_store: OpenStore, encoder: OnnxEmbedder
) -> None:
    broken = Shorter(encoder)
    broken.broken = True
    other = open_store(embedder_object=broken)
    with pytest.raises(EmbedderError, match="out of order"):
        other.reindex()
    other.close()
    old = open_store()
    assert "croak" in found_by_meaning(old, "the call of the heron", k=1)[0]
    assert "reindex was interrupted" in old.doctor().findings[0].message


def test_what_changed_between_two_halves_of_a_reindex_is_right_afterwards(
    filled: None, open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    stop = threading.Event()
    with open_store(embedder_object=Shorter(encoder, stop)) as other:
        assert other.reindex(stop=stop).interrupted
    docs.write("heron.md", HERON.replace("croak", "whistle"))
    (docs.path / "mammals" / "otter.txt").unlink()
    with open_store() as old:
        old.ingest([docs.path])
    again = open_store(embedder_object=Shorter(encoder))
    again.reindex()
    assert found_by_words(again, "croak") == found_by_words(again, "otters") == []
    assert found_by_words(again, "whistle") == ["heron.md"]
    assert again.ingest([docs.path]).n_unchanged == 2
    assert_healthy(again)


def test_a_file_removed_during_a_half_done_reindex_of_the_same_pipeline_leaves_no_vector(
    filled: None, open_store: OpenStore, docs: Folder
) -> None:
    footnote = open_store()
    stop = threading.Event()
    footnote.reindex(stop=stop, on_event=lambda event: stop.set() if event.n_loaded == 3 else None)
    assert index_states(footnote) == ["active", "building"]
    before = ids_in_chroma(footnote)
    footnote.remove(["heron.md"])
    assert len(ids_in_chroma(footnote)) < len(before)
    footnote.reindex()
    assert found_by_words(footnote, "croak") == []
    assert_healthy(footnote)


def test_what_a_killed_swap_left_is_cleared_by_the_next_ingest(
    filled: None, open_store: OpenStore, docs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_store(chunk_tokens=64)
    monkeypatch.setattr("ingest.reindex.clear_dead_indexes", lambda *_: None)
    other.reindex()
    assert index_states(other) == ["dead", "active"]
    other.ingest([docs.path])
    assert index_states(other) == ["active"]
    assert collections(other) == 1
    assert_healthy(other)


def test_an_unknown_knowledge_base_cannot_be_reindexed(filled: None, open_store: OpenStore) -> None:
    with pytest.raises(UnknownKnowledgeBase, match="there are: default"):
        open_store().reindex(kb="nothing")
