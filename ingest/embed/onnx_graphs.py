"""The encoder's ONNX graphs in the cache folder: float32, and 8-bit integers made from it. Each is made once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ingest.embed.bert_graph import GRAPH_VERSION, BertShape, write_bert_onnx
from ingest.embed.model_files import EncoderFiles
from rag.core.errors import EmbedderError, StoreFull

Precision = Literal["fp32", "int8"]
INT8_VERSION = 2


def check_architecture(files: EncoderFiles) -> None:
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


def fp32_graph(files: EncoderFiles, sha256: str, cache_folder: Path) -> Path:
    """The ONNX file of these weights. Raises ``StoreFull`` where it cannot be written."""
    config = files.config
    shape = BertShape(
        n_layers=config["num_hidden_layers"],
        n_heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        epsilon=config["layer_norm_eps"],
    )
    folder = cache_folder / "encoders" / f"{sha256[:16]}-v{GRAPH_VERSION}"
    return _made_once(folder, lambda draft: write_bert_onnx(files.weights, shape, draft / "encoder.onnx"))


def int8_graph(files: EncoderFiles, sha256: str, cache_folder: Path) -> Path:
    """The same encoder with its matrices in 8-bit integers; checked against float32 when it is made.

    Raises ``EmbedderError`` where the model loses too much by it.
    """
    from ingest.embed.quantize import write_int8

    exact = fp32_graph(files, sha256, cache_folder)
    folder = cache_folder / "encoders" / f"{sha256[:16]}-v{GRAPH_VERSION}-int8-v{INT8_VERSION}"
    return _made_once(folder, lambda draft: write_int8(files, exact, draft / "encoder.onnx"))


def _made_once(folder: Path, write: Callable[[Path], None]) -> Path:
    graph = folder / "encoder.onnx"
    if graph.is_file():
        return graph
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            draft, finished = Path(scratch) / "draft", Path(scratch) / "finished"
            draft.mkdir()
            finished.mkdir()
            write(draft)
            for path in draft.glob("encoder.onnx*"):
                shutil.move(path, finished / path.name)
            # Another process may have been faster: its folder is as good as ours.
            _rename_unless_there(finished, folder)
    except OSError as exc:
        raise StoreFull(
            f"The encoder cannot be converted into {folder.parents[1]}: {exc.strerror or exc}; free some space "
            "or name another folder with FOOTNOTE_CACHE."
        ) from exc
    return graph


def _rename_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def open_session(graph: Path) -> Any:
    """A session that computes in the thread that calls it; several may call it at once.

    Threads of our own, each with a batch, cost some 10 % less than one batch split among ONNX Runtime's: they
    need not meet after each operator. They do not spin either, so parsing processes keep their core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime raises a family of bare exceptions
        raise EmbedderError(
            f"The converted encoder {graph} cannot be opened: {exc}; delete that folder and run again."
        ) from exc
