"""Writes the encoder with its matrices in 8-bit integers, and proves that it still says nearly the same.

Weights: one scale a column, seven of the eight bits, so that the sums of products fit into 16 bits on processors
without VNNI too, and the result is the same on every machine. Activations: one scale a tensor, found while it
runs, which is why the embedder gives it one text at a time: a vector then never depends on its neighbours. The
second matrix of each feed-forward stays as it is: behind the GELU a few activations are so large that one scale
leaves the others too few steps (see the table in benchmarks/RESULTS.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ingest.embed.model_files import EncoderFiles
from ingest.embed.tokenizer import WordPieceTokenizer
from rag.core.errors import EmbedderError
from rag.core.protocols import Vectors

LEAST_COSINE = 0.99
"""Mean over the probes."""

_PROBES = (
    "How many vacation days can I carry over?",
    "Employees may carry over up to eight unused days into the next year; they expire on 31 March.",
    "E-204 means that the brew sensor failed. Switch the machine off, wait a minute and switch it on again.",
    "The tunnel to the office network uses port 4711 and needs a token.",
    "def mean(values): return sum(values) / len(values)",
    "| year | revenue | profit |\n|---|---|---|\n| 2024 | 1,204,000 | 88,310 |\n| 2025 | 1,377,500 | 102,990 |",
    "Who wrote the first violin concerto in this city, and when was it played there?",
    "Photosynthesis turns carbon dioxide and water into sugar and oxygen; chlorophyll absorbs the light for it.",
    "The treaty was signed by eleven states. It ended the war but left the question of the border rivers open, "
    "which a commission settled only thirty years later, after long talks and two failed conferences.",
    "In a randomised trial of 312 patients the mean systolic pressure fell by 7.4 mmHg (95 % interval 4.9 to 9.8).",
    "Preheat the oven to 220 degrees. Knead flour, water, salt and yeast, and let the dough rise for two hours.",
    "Der Vertrag endet zum Jahresende, wenn er nicht drei Monate vorher gekündigt wird.",
)


def write_int8(files: EncoderFiles, exact: Path, target: Path) -> None:
    """``exact``: the float32 graph. Raises ``EmbedderError`` where the mean cosine to it is below 0.99."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(exact))
    for node in model.graph.node:
        node.name = node.output[0]
    with _quiet():
        quantize_dynamic(
            model,
            str(target),
            op_types_to_quantize=["MatMul", "Attention"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=[node.name for node in model.graph.node if _is_behind_gelu(node.name)],
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    cosine = _mean_cosine(files, exact, target)
    if cosine < LEAST_COSINE:
        raise EmbedderError(
            f"The encoder {files.name} loses too much in 8-bit integers (mean cosine {cosine:.3f} to its float32 "
            "vectors); set FOOTNOTE_EMBEDDER_PRECISION=fp32.",
            model=files.name,
        )


def _is_behind_gelu(name: str) -> bool:
    return name.endswith(".output.product") and not name.endswith(".attention.output.product")


def _mean_cosine(files: EncoderFiles, exact: Path, rounded: Path) -> float:
    ids = WordPieceTokenizer(files.tokenizer, files.max_tokens).ids(list(_PROBES))
    rows = [row[: files.max_tokens] for row in ids]
    one, other = _vectors(exact, rows), _vectors(rounded, rows)
    return float(np.mean(np.sum(one * other, axis=1)))


def _vectors(graph: Path, rows: list[list[int]]) -> Vectors:
    from ingest.embed.onnx_graphs import open_session

    session: Any = open_session(graph)
    found = []
    for row in rows:
        tokens = np.asarray([row], dtype=np.int32)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        found.append(session.run(None, feed)[0][0])
    return np.asarray(found, dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer advises on the root logger, to nobody's use here."""

    def drop(_: logging.LogRecord) -> bool:
        return False

    root = logging.getLogger()
    root.addFilter(drop)
    try:
        yield
    finally:
        root.removeFilter(drop)
