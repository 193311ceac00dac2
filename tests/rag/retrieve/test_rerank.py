"""With a real, if tiny and untrained, sentence-transformers CrossEncoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.embed.model_files import built_in_folder
from rag.core.errors import SettingsError
from rag.core.types import Chunk, Hit, Source
from rag.retrieve.rerank import load_reranker


def hits(n: int) -> list[Hit]:
    source = Source("s", "s.md", "hash", "text/markdown", "s")
    texts = [f"Passage {at} about {'pumps' if at % 2 else 'vacation'}." for at in range(n)]
    chunks = [Chunk(str(at), "s", text, 0, len(text), (), None, 9, at) for at, text in enumerate(texts)]
    return [Hit(chunk, source, 1.0 - at / 10) for at, chunk in enumerate(chunks)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross-encoder")
    tokenizer = AutoTokenizer.from_pretrained(built_in_folder())
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")  # those of transformers and torch on an untrained model
def test_the_first_hits_come_in_the_cross_encoder_s_order_and_the_rest_behind(model: Path) -> None:
    found = load_reranker(str(model), 4).rerank("How does the pump work?", hits(6))
    scores = [hit.origin["rerank"] for hit in found[:4]]
    assert scores == sorted(scores, reverse=True)
    assert {hit.chunk.id for hit in found[:4]} == {"0", "1", "2", "3"}
    assert [hit.chunk.id for hit in found[4:]] == ["4", "5"]


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be loaded .* FOOTNOTE_RERANKER"):
        load_reranker(str(tmp_path / "none"), 4).rerank("question", hits(2))
