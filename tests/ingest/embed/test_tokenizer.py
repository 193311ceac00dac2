"""Chunks are counted in exactly the tokens that the encoders are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.embed.model_files import BUILT_IN, built_in_folder
from ingest.embed.tokenizer import TiktokenTokenizer, WordPieceTokenizer, load_tokenizer
from rag.core.errors import EmbedderError

TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from(
        [
            "the valve",
            "x" * 120,
            "數據",
            "🙂👩‍👩‍👧",
            "[CLS]",
            "[MASK] ",
            "naïve",
            "\x00",
            "\u0301",
            "<|endoftext|>",
        ]
    ),
    max_size=12,
).map(" ".join)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The tokenizer that sentence-transformers loads for the built-in encoder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(built_in_folder()))  # type: ignore[no-untyped-call]


@settings(max_examples=100)
@given(text=TEXTS)
def test_counts_and_ids_equal_those_of_sentence_transformers(theirs: Any, text: str) -> None:
    mine = load_tokenizer("onnx", BUILT_IN)
    assert isinstance(mine, WordPieceTokenizer)
    ids = theirs(text, truncation=False, verbose=False)["input_ids"]
    assert mine.ids([text])[0] == ids
    assert mine.count(text) + mine.n_special == len(ids)


@settings(max_examples=100)
@given(text=TEXTS)
def test_tiktokens_spans_lie_in_order_and_cover_the_text(text: str) -> None:
    tokenizer = TiktokenTokenizer()
    offsets = tokenizer.offsets(text)
    assert len(offsets) == tokenizer.count(text)
    last = 0
    for start, end in offsets:
        assert last == start <= end <= len(text)
        last = end
    assert last == len(text)


def test_the_built_in_tokenizer_takes_256_tokens_and_adds_two() -> None:
    tokenizer = load_tokenizer("onnx", BUILT_IN)
    assert (tokenizer.max_tokens, tokenizer.n_special) == (256, 2)


def test_a_torn_tokenizer_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(EmbedderError, match="reinstall the encoder"):
        WordPieceTokenizer(tmp_path / "tokenizer.json", 256)


def test_an_encoder_that_is_nowhere_is_one_clear_sentence() -> None:
    with pytest.raises(EmbedderError, match="FOOTNOTE_EMBEDDER_MODEL"):
        load_tokenizer("torch", "no-such-organisation/no-such-model")
