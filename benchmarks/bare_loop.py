"""The product's ingest beside a bare loop over the same chunks, in turns.

    python -m benchmarks.bare_loop

The bare loop is what the machine gives: the same fused graph, threads that spin, every text known beforehand,
sorted by length over the whole corpus, batches of about 1,000 tokens. It neither reads nor parses nor chunks.
Once it only encodes, once it also adds its vectors to a Chroma collection on the disk. On a busy machine the
seconds of processor time (parsing processes included) say more than those of the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sets import SHARED
from ingest.embed.onnx_backend import OnnxEmbedder, available_cores
from ingest.loaders.registry import load_bytes
from ingest.prepare import embedding_texts
from rag.core.settings import Settings, load_settings
from rag.wiring import open_footnote

_BATCH_TOKENS = 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpus", type=Path, default=SHARED / "squad_half" / "corpus")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    arguments = parser.parse_args()
    settings = load_settings(embedder_precision=arguments.precision)
    texts, n_bytes = _texts(settings, arguments.corpus)
    encoder = OnnxEmbedder(settings.embedder_model, settings.cache, precision=arguments.precision)
    session = _spinning_session(encoder)
    ways: dict[str, Callable[[], object]] = {
        "bare loop": lambda: _bare(encoder, session, texts, write=False),
        "bare loop, writing": lambda: _bare(encoder, session, texts, write=True),
        "footnote's encoder": lambda: encoder.embed(texts, "document"),
        "footnote ingest": lambda: _product(settings, arguments.corpus),
    }
    clock: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    _bare(encoder, session, texts[:64], write=True)
    for _ in range(arguments.rounds):
        for name, run in ways.items():
            begun, cpu_begun = time.perf_counter(), _cpu_s()
            run()
            clock[name].append(time.perf_counter() - begun)
            cpu[name].append(_cpu_s() - cpu_begun)
    print(f"{len(texts)} different texts, {n_bytes / 1e6:.2f} MB, {arguments.precision}, medians\n")
    print(
        "| way | s | chunks/s | of the bare loop's throughput | of the one that writes | CPU s "
        "| bare loop's CPU / its own | of the one that writes |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in ways:
        wall_s, cpu_s = statistics.median(clock[name]), statistics.median(cpu[name])
        shares = [
            statistics.median(base / own for base, own in zip(seconds[base_name], seconds[name], strict=True))
            for seconds in (clock, cpu)
            for base_name in ("bare loop", "bare loop, writing")
        ]
        print(
            f"| {name} | {wall_s:.2f} | {len(texts) / wall_s:.0f} | {shares[0]:.2f} | {shares[1]:.2f} "
            f"| {cpu_s:.2f} | {shares[2]:.2f} | {shares[3]:.2f} |"
        )


def _cpu_s() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _texts(settings: Settings, corpus: Path) -> tuple[list[str], int]:
    found: dict[bytes, str] = {}
    n_bytes = 0
    for path in sorted(path for path in corpus.rglob("*") if path.is_file()):
        data = path.read_bytes()
        document = load_bytes(data, path, name=path.name)
        n_bytes += len(document.text.encode())
        # With the title in front, as the product embeds them.
        found |= embedding_texts(settings, document)
    return list(found.values()), n_bytes


def _spinning_session(encoder: OnnxEmbedder) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(encoder.graph()), options, providers=["CPUExecutionProvider"])


def _bare(encoder: OnnxEmbedder, session: Any, texts: list[str], *, write: bool) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        collection = _collection(scratch) if write else None
        ids = encoder.tokenizer.ids(texts)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        batch: list[int] = []
        for position, index in enumerate(order):
            batch.append(index)
            last = position + 1 == len(order)
            if last or len(ids[order[position + 1]]) * (len(batch) + 1) > _BATCH_TOKENS:
                vectors = _run(session, [ids[i] for i in batch])
                if collection is not None:
                    collection.add(ids=[str(i) for i in batch], embeddings=vectors)
                batch = []


def _collection(folder: str) -> Any:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    client = chromadb.PersistentClient(folder, settings=ChromaSettings(anonymized_telemetry=False))
    return client.create_collection("bare", embedding_function=None)


def _run(session: Any, rows: list[list[int]]) -> Any:
    width = max(len(row) for row in rows)
    tokens = np.zeros((len(rows), width), dtype=np.int32)
    mask = np.zeros((len(rows), width), dtype=np.int32)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]


def _product(settings: Settings, corpus: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        chosen = settings.model_copy(update={"store": Path(scratch) / "store"})
        with open_footnote(chosen, create=True) as footnote:
            footnote.ingest([corpus])


if __name__ == "__main__":
    main()
