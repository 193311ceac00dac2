from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.embed.batches import length_sorted_batches
from ingest.embed.model_files import BUILT_IN
from ingest.embed.onnx_backend import OnnxEmbedder
from ingest.embed.tokenizer import load_tokenizer
from rag.core.errors import EmbedderError
from rag.core.protocols import Vectors

TEXTS = ["A man is eating food.", "How many vacation days can I carry over? " * 12, "x", "Ünïcode — 数据", ""]


def question_vector(encoder: OnnxEmbedder, question: str) -> Vectors:
    return encoder.embed([question], "query")[0]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def embedder(cache: Path) -> OnnxEmbedder:
    return OnnxEmbedder(BUILT_IN, cache, precision="fp32")


@pytest.fixture(scope="module")
def rounded(cache: Path) -> OnnxEmbedder:
    return OnnxEmbedder(BUILT_IN, cache, precision="int8")


def test_vectors_equal_those_of_sentence_transformers(embedder: OnnxEmbedder, cache: Path) -> None:
    from ingest.embed.torch_backend import TorchEmbedder

    torch = TorchEmbedder(BUILT_IN, cache)
    assert torch.fingerprint == embedder.fingerprint
    np.testing.assert_allclose(
        embedder.embed(TEXTS, "document"), torch.embed(TEXTS, "document"), atol=2e-6, rtol=0
    )


def test_vectors_are_unit_rows_in_the_order_of_the_texts(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed(TEXTS, "document")
    assert vectors.shape == (len(TEXTS), embedder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(embedder.embed([text], "document")[0], vector, atol=2e-6)


def test_in_8_bits_vectors_are_nearly_the_same_and_of_another_fingerprint(
    embedder: OnnxEmbedder, rounded: OnnxEmbedder
) -> None:
    texts = [text for text in TEXTS if len(text) > 1]
    cosines = np.sum(embedder.embed(texts, "document") * rounded.embed(texts, "document"), axis=1)
    assert cosines.mean() > 0.985
    assert rounded.fingerprint != embedder.fingerprint
    assert "int8" in rounded.fingerprint


def test_in_8_bits_a_vector_is_the_same_whatever_is_encoded_beside_it(rounded: OnnxEmbedder) -> None:
    together = rounded.embed(TEXTS, "document")
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(rounded.embed([text], "document")[0], vector)
        np.testing.assert_array_equal(rounded.embed([text, "x y z"], "query")[0], vector)


def test_a_question_that_is_asked_again_is_not_encoded_again(
    embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embedder.embed(["Which question comes twice?"], "query")
    first_copy = first.copy()
    first[:] = 0  # what a caller does to its vector is its own business
    monkeypatch.setattr(embedder, "_questions", None)
    np.testing.assert_array_equal(embedder.embed(["Which question comes twice?"], "query"), first_copy)


def test_questions_asked_at_once_get_the_vectors_that_they_get_alone(
    embedder: OnnxEmbedder, rounded: OnnxEmbedder
) -> None:
    questions = [
        f"What does paragraph {i} of the contract say{' about prices' * (i % 3)}?" for i in range(24)
    ]
    for encoder in (embedder, rounded):
        with ThreadPoolExecutor(12) as threads:
            asked = list(threads.map(partial(question_vector, encoder), questions))
        encoder._asked.cache_clear()
        for question, vector in zip(questions, asked, strict=True):
            np.testing.assert_allclose(question_vector(encoder, question), vector, atol=2e-6)


def test_a_document_text_that_is_too_long_is_an_error_and_never_cut(embedder: OnnxEmbedder) -> None:
    with pytest.raises(EmbedderError, match="lower chunk_tokens"):
        embedder.embed(["word " * 300], "document")


def test_a_question_that_is_too_long_is_read_to_its_end(embedder: OnnxEmbedder) -> None:
    start = "word " * 300
    plain, with_end = embedder.embed([start, start + "the price of copper in Chile"], "query")
    assert np.linalg.norm(with_end) == pytest.approx(1, abs=1e-5)
    assert float(plain @ with_end) < 0.999


def test_no_texts_give_no_vectors(embedder: OnnxEmbedder) -> None:
    assert embedder.embed([], "document").shape == (0, embedder.dim)
    assert embedder.embed([], "query").shape == (0, embedder.dim)


def test_a_folder_without_a_model_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="FOOTNOTE_EMBEDDER_MODEL"):
        OnnxEmbedder(str(tmp_path), tmp_path)


@given(st.lists(st.integers(1, 256), max_size=60), st.integers(1, 2000))
def test_batches_hold_every_text_once_and_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(length_sorted_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


@given(st.text(max_size=400))
def test_token_spans_are_ordered_and_inside_the_text(text: str) -> None:
    tokenizer = load_tokenizer("onnx", BUILT_IN)
    offsets = tokenizer.offsets(text)
    assert len(offsets) == tokenizer.count(text)
    for start, end in offsets:
        assert 0 <= start <= end <= len(text)
    assert offsets == sorted(offsets)
