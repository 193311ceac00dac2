"""Any sentence-transformers model through PyTorch; on a GPU where there is one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ingest.embed.model_files import find_encoder, fingerprint, is_local, weights_sha256
from rag.core.errors import EmbedderError
from rag.core.protocols import Vectors


class TorchEmbedder:
    def __init__(self, model: str, cache_folder: Path, *, n_threads: int = 0) -> None:
        folder = find_encoder(model).folder if is_local(model) else hub_folder(model)
        files = find_encoder(model if is_local(model) else str(folder))
        self._name = model
        self.fingerprint = fingerprint(files, weights_sha256(files, cache_folder))
        self.max_tokens = files.max_tokens
        self._model = _load(folder, n_threads)
        self.dim = int(self._model.get_embedding_dimension())

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        """float32, shape (n, dim), rows of unit length.

        A document's text longer than ``max_tokens`` is an ``EmbedderError``; a long question is cut, and
        its window is the model's own.
        """
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        if kind == "document":
            self._check_lengths(texts)
        encode = self._model.encode_query if kind == "query" else self._model.encode_document
        vectors: Any = encode(
            list(texts),
            batch_size=32,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, dtype=np.float32)

    def _check_lengths(self, texts: Sequence[str]) -> None:
        ids = self._model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        longest = max(len(row) for row in ids)
        if longest > self.max_tokens:
            raise EmbedderError(
                f"A text of {longest} tokens was given to {self._name}, which takes {self.max_tokens}; "
                "lower chunk_tokens.",
                n_tokens=longest,
            )


def hub_folder(model: str) -> Path:
    """Folder of a model by its hub name: from the local hub cache, else downloaded where that is allowed."""
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    try:
        return Path(snapshot_download(model, local_files_only=offline))
    except Exception as exc:  # the hub client raises many kinds; all mean the same to the user
        raise EmbedderError(
            f"The encoder {model} is neither a folder nor in the local model cache, and it cannot be fetched; "
            "give the path of a sentence-transformers folder in FOOTNOTE_EMBEDDER_MODEL.",
            model=model,
        ) from exc


def _load(folder: Path, n_threads: int) -> Any:
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError as exc:
        raise EmbedderError(
            "The torch embedder needs torch and sentence-transformers; run 'make install', or set "
            "FOOTNOTE_EMBEDDER=onnx."
        ) from exc
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if n_threads:
        torch.set_num_threads(n_threads)
    try:
        return SentenceTransformer(str(folder), local_files_only=True)
    except Exception as exc:  # a broken folder fails in many ways
        raise EmbedderError(f"The encoder in {folder} cannot be loaded: {exc}; check the folder.") from exc
