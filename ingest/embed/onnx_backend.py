"""The default embedder: a BERT sentence encoder on ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ingest.embed.batches import length_sorted_batches
from ingest.embed.calibrate import BatchSize
from ingest.embed.micro_batches import MicroBatches
from ingest.embed.model_files import find_encoder, fingerprint, weights_sha256
from ingest.embed.onnx_graphs import INT8_VERSION, Precision, check_architecture, fp32_graph, int8_graph
from ingest.embed.onnx_graphs import open_session as _open_session
from ingest.embed.tokenizer import WordPieceTokenizer
from rag.core.errors import EmbedderError
from rag.core.protocols import Vectors

_QUESTIONS_TOGETHER = 8
_REMEMBERED_QUESTIONS = 1024


class OnnxEmbedder:
    """Loads in some 50 ms and never imports PyTorch. Several threads may call it at once.

    In ``int8`` a vector is the same bytes whatever is encoded beside it: each text has a run of its own. In
    ``fp32`` texts are batched, and neighbours change a vector by less than a millionth.
    """

    def __init__(
        self,
        model: str,
        cache_folder: Path,
        *,
        n_threads: int = 0,
        precision: Precision = "fp32",
    ) -> None:
        self._files = find_encoder(model)
        check_architecture(self._files)
        self.precision: Precision = precision
        self._sha256, self._cache_folder = weights_sha256(self._files, cache_folder), cache_folder
        self._n_threads = n_threads or available_cores()
        self._opened: Any = None
        self._opening = threading.Lock()
        self._threads = ThreadPoolExecutor(self._n_threads, thread_name_prefix="footnote-encode")
        self._questions: MicroBatches[list[int], Vectors] = MicroBatches(
            self._run_together,
            lanes=self._n_threads,
            most=_QUESTIONS_TOGETHER if self.precision == "fp32" else 1,
        )
        # Searching, quoting and the cache of answers all want the vector of the same question.
        self._asked = lru_cache(_REMEMBERED_QUESTIONS)(self._query)
        self._batch_size = BatchSize(cache_folder / "encoders" / f"{self._sha256[:16]}-batch.json")
        changed = f"int8-v{INT8_VERSION}" if self.precision == "int8" else None
        self.fingerprint = fingerprint(self._files, self._sha256, changed)
        self.dim = int(self._files.config["hidden_size"])
        self.max_tokens = self._files.max_tokens
        self.tokenizer = WordPieceTokenizer(self._files.tokenizer, self.max_tokens)

    def graph(self) -> Path:
        """The ONNX file, which the very first use has to make."""
        make = int8_graph if self.precision == "int8" else fp32_graph
        return make(self._files, self._sha256, self._cache_folder)

    @property
    def _session(self) -> Any:
        # Opened at the first text, because the very first run has to convert the weights, and a store's
        # words can be searched meanwhile.
        with self._opening:
            if self._opened is None:
                self._opened = _open_session(self.graph())
            return self._opened

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        """float32, shape (n, dim), rows of unit length.

        A document's text longer than ``max_tokens`` is an ``EmbedderError``: nothing is cut in silence.
        A question that long is embedded in windows whose mean is returned.
        """
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        if kind == "query":
            return np.stack([self._asked(text) for text in texts])
        ids = self.tokenizer.ids(list(texts))
        longest = max(len(row) for row in ids)
        if longest > self.max_tokens:
            raise EmbedderError(
                f"A text of {longest} tokens was given to {self._files.name}, which takes {self.max_tokens}; "
                "lower chunk_tokens.",
                n_tokens=longest,
            )
        return self._documents(ids)

    def _query(self, text: str) -> Vectors:
        ids = self.tokenizer.ids([text])[0]
        if len(ids) <= self.max_tokens:
            return self._questions(ids)
        first, last, inner = ids[0], ids[-1], ids[1:-1]
        room = self.max_tokens - 2
        windows = [[first, *inner[i : i + room], last] for i in range(0, len(inner), room)]
        mean = np.mean([self._questions(window) for window in windows], axis=0)
        unit: Vectors = (mean / np.linalg.norm(mean)).astype(np.float32)
        return unit

    def _documents(self, ids: list[list[int]]) -> Vectors:
        vectors = np.empty((len(ids), self.dim), dtype=np.float32)
        lengths = [len(row) for row in ids]
        # In int8 a batch would have one scale for all of its texts; alone they cost no more.
        size = 1 if self.precision == "int8" else self._batch_size.tokens()
        # Longest first, so that the threads end at nearly the same time.
        batches = list(length_sorted_batches(lengths, size))[::-1]
        cpu_s = list(self._threads.map(partial(self._encode_into, vectors, ids), batches))
        if size > 1:
            self._batch_size.measured(size, sum(lengths), sum(cpu_s))
        return vectors

    def _encode_into(self, vectors: Vectors, ids: list[list[int]], rows: list[int]) -> float:
        """Returns the seconds of processor time that it took."""
        begun = time.thread_time()
        vectors[rows] = self._run([ids[row] for row in rows])
        return time.thread_time() - begun

    def _run_together(self, ids: Sequence[list[int]]) -> Sequence[Vectors]:
        return list(self._run(ids))

    def _run(self, ids: Sequence[list[int]]) -> Vectors:
        width = max(len(row) for row in ids)
        tokens = np.zeros((len(ids), width), dtype=np.int32)
        mask = np.zeros((len(ids), width), dtype=np.int32)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = row
            mask[i, : len(row)] = 1
        vectors: Vectors = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]
        return vectors


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
