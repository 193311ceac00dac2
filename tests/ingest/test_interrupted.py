"""Runs that are killed at random moments: the store is sound and equals one that was never interrupted.

The long version is ``python -m benchmarks.kill9``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ingest.embed.onnx_backend import OnnxEmbedder
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import Folder, assert_healthy, assert_same_contents, contents

INGEST = """
import sys
from rag.core.settings import load_settings
from rag.wiring import open_footnote

store, cache, docs, command = sys.argv[1:]
settings = load_settings(store=store, cache=cache, load_workers=1, chunk_tokens=32 if command == "reindex" else 64)
with open_footnote(settings, create=True) as footnote:
    print("begun", flush=True)
    footnote.reindex() if command == "reindex" else footnote.ingest([docs])
"""
WORDS = [
    "heron",
    "otter",
    "beaver",
    "river",
    "reed",
    "pond",
    "nest",
    "croak",
    "fish",
    "water",
    "night",
    "dam",
]


def paragraph(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(8, 40))) + "."


def change(docs: Folder, rng: random.Random) -> None:
    """A few new, edited, renamed, copied and deleted files."""
    files = sorted(docs.path.glob("*.txt"))
    for _ in range(4):
        body = "\n\n".join(paragraph(rng) for _ in range(rng.randint(2, 8)))
        docs.write(f"{rng.getrandbits(32):x}.txt", body)
    if len(files) > 8:
        edited, renamed, copied, deleted = rng.sample(files, 4)
        docs.write(edited.name, edited.read_text() + "\n\n" + paragraph(rng))
        renamed.rename(docs.path / f"{rng.getrandbits(32):x}.txt")
        docs.write(f"{rng.getrandbits(32):x}.txt", copied.read_bytes())
        deleted.unlink()


def run_and_kill(arguments: list[str | Path], after_s: float) -> bool:
    """Whether it was killed before it ended. The time counts from when the store was opened."""
    process = subprocess.Popen(
        [sys.executable, "-c", INGEST, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "FOOTNOTE_EMBEDDER_THREADS": "1"},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), error.decode()
    return process.returncode != 0


def killed_often(
    arguments: list[str | Path], n_kills: int, rng: random.Random, between: Callable[[], None]
) -> int:
    n_killed = 0
    for _ in range(n_kills):
        between()
        n_killed += run_and_kill(arguments, rng.uniform(0.05, 1.6))
    return n_killed


def test_a_killed_ingest_can_always_be_gone_on_with(
    open_store: OpenStore, encoder: OnnxEmbedder, cache: Path, docs: Folder, tmp_path: Path
) -> None:
    encoder.embed(["The encoder is converted already."], "document")
    rng = random.Random(11)
    arguments: list[str | Path] = [tmp_path / "store", cache, docs.path, "ingest"]
    assert killed_often(arguments, 5, rng, lambda: change(docs, rng)) >= 1
    interrupted = open_store(chunk_tokens=64)
    interrupted.ingest([docs.path])
    assert_healthy(interrupted)
    clean = open_store(store=tmp_path / "clean", chunk_tokens=64)
    clean.ingest([docs.path])
    assert_same_contents(contents(interrupted), contents(clean))


def test_a_killed_reindex_can_be_gone_on_with(
    open_store: OpenStore, encoder: OnnxEmbedder, cache: Path, docs: Folder, tmp_path: Path
) -> None:
    encoder.embed(["The encoder is converted already."], "document")
    rng = random.Random(5)
    for _ in range(5):
        change(docs, rng)
    with open_store(chunk_tokens=64) as footnote:
        footnote.ingest([docs.path])
    arguments: list[str | Path] = [tmp_path / "store", cache, docs.path, "reindex"]
    killed_often(arguments, 2, rng, lambda: None)
    again = open_store(chunk_tokens=32)
    again.reindex()
    again.ingest([docs.path])
    assert_healthy(again)
    clean = open_store(store=tmp_path / "clean", chunk_tokens=32)
    clean.ingest([docs.path])
    assert_same_contents(contents(again), contents(clean))
