"""The default embedder: a BERT sentence encoder on ONNX Runtime, in float32, on the CPU."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ingest.embed.batches import length_sorted_batches
from ingest.embed.bert_graph import GRAPH_VERSION, BertShape, write_bert_onnx
from ingest.embed.model_files import EncoderFiles, find_encoder, fingerprint, weights_sha256
from ingest.embed.tokenizer import WordPieceTokenizer
from rag.core.errors import EmbedderError, StoreFull
from rag.core.protocols import Vectors

# Small batches stay in the processor's cache: about 1,000 tokens were the fastest of those tried.
_BATCH_TOKENS = 1024


class OnnxEmbedder:
    """Loads in some 50 ms and never imports PyTorch. Several threads may call it at once."""

    def __init__(self, model: str, cache_folder: Path, *, n_threads: int = 0) -> None:
        self._files = find_encoder(model)
        _check_architecture(self._files)
        sha256 = weights_sha256(self._files, cache_folder)
        self._sha256, self._cache_folder, self._n_threads = sha256, cache_folder, n_threads
        self._opened: Any = None
        self._opening = threading.Lock()
        self.fingerprint = fingerprint(self._files, sha256)
        self.dim = int(self._files.config["hidden_size"])
        self.max_tokens = self._files.max_tokens
        self.tokenizer = WordPieceTokenizer(self._files.tokenizer, self.max_tokens)

    @property
    def _session(self) -> Any:
        # Opened at the first text, because the very first run has to convert the weights, and a store's
        # words can be searched meanwhile.
        with self._opening:
            if self._opened is None:
                graph = _converted(self._files, self._sha256, self._cache_folder)
                self._opened = _session(graph, self._n_threads)
            return self._opened

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        """float32, shape (n, dim), rows of unit length.

        A document's text longer than ``max_tokens`` is an ``EmbedderError``: nothing is cut in silence.
        A question that long is embedded in windows whose mean is returned.
        """
        ids = self.tokenizer.ids(list(texts))
        if kind == "query":
            return np.concatenate([self._query(row) for row in ids]) if ids else self._empty()
        longest = max((len(row) for row in ids), default=0)
        if longest > self.max_tokens:
            raise EmbedderError(
                f"A text of {longest} tokens was given to {self._files.name}, which takes {self.max_tokens}; "
                "lower chunk_tokens.",
                n_tokens=longest,
            )
        return self._run(ids)

    def _empty(self) -> Vectors:
        return np.zeros((0, self.dim), dtype=np.float32)

    def _query(self, ids: list[int]) -> Vectors:
        if len(ids) <= self.max_tokens:
            return self._run([ids])
        first, last, inner = ids[0], ids[-1], ids[1:-1]
        room = self.max_tokens - 2
        windows = [[first, *inner[i : i + room], last] for i in range(0, len(inner), room)]
        mean = self._run(windows).mean(axis=0, keepdims=True)
        unit: Vectors = (mean / np.linalg.norm(mean)).astype(np.float32)
        return unit

    def _run(self, ids: list[list[int]]) -> Vectors:
        vectors = np.empty((len(ids), self.dim), dtype=np.float32)
        for rows in length_sorted_batches([len(row) for row in ids], _BATCH_TOKENS):
            width = len(ids[rows[-1]])
            tokens = np.zeros((len(rows), width), dtype=np.int32)
            mask = np.zeros((len(rows), width), dtype=np.int32)
            for i, row in enumerate(rows):
                tokens[i, : len(ids[row])] = ids[row]
                mask[i, : len(ids[row])] = 1
            vectors[rows] = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]
        return vectors


def _check_architecture(files: EncoderFiles) -> None:
    config = files.config
    fits = (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and files.pooling in ("mean", "mean_tokens")
        and files.weights.is_file()
    )
    if not fits:
        raise EmbedderError(
            f"The encoder {files.name} is not a BERT model with mean pooling, which is what the onnx embedder "
            "runs; set FOOTNOTE_EMBEDDER=torch for it.",
            model=files.name,
        )


def _converted(files: EncoderFiles, sha256: str, cache_folder: Path) -> Path:
    """The ONNX file of these weights, written once into the cache folder."""
    folder = cache_folder / "encoders" / f"{sha256[:16]}-v{GRAPH_VERSION}"
    graph = folder / "encoder.onnx"
    if graph.is_file():
        return graph
    config = files.config
    shape = BertShape(
        n_layers=config["num_hidden_layers"],
        n_heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        epsilon=config["layer_norm_eps"],
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            write_bert_onnx(files.weights, shape, Path(draft) / "encoder.onnx")
            finished = Path(draft) / "finished"
            finished.mkdir()
            for name in ("encoder.onnx", "encoder.onnx.weights"):
                shutil.move(Path(draft) / name, finished / name)
            # Another process may have been faster: its folder is as good as ours.
            _rename_unless_there(finished, folder)
    except OSError as exc:
        raise StoreFull(
            f"The encoder cannot be converted into {cache_folder}: {exc.strerror or exc}; free some space "
            "or name another folder with FOOTNOTE_CACHE."
        ) from exc
    return graph


def _rename_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _session(graph: Path, n_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or available_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin would take a core from the parsing processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime raises a family of bare exceptions
        raise EmbedderError(
            f"The converted encoder {graph} cannot be opened: {exc}; delete that folder and run again."
        ) from exc


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
