"""A disk that fills up, in another process whose files may not grow any more."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.embed.onnx_backend import OnnxEmbedder
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import Folder, assert_healthy, found_by_words

INGEST = """
import resource, sys
from rag.core.errors import FootnoteError
from rag.core.settings import load_settings
from rag.wiring import open_footnote

store, cache, docs, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    with open_footnote(load_settings(store=store, cache=cache, load_workers=1), create=True) as footnote:
        footnote.ingest([docs])
    print("finished")
except FootnoteError as error:
    print(type(error).__name__, error)
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
    "tree",
    "dam",
    "lodge",
    "egg",
]


def many_documents(docs: Folder) -> Path:
    rng = random.Random(3)
    for i in range(60):
        paragraphs = [" ".join(rng.choices(WORDS, k=60)) + "." for _ in range(6)]
        docs.write(f"{i}.txt", "\n\n".join(paragraphs))
    return docs.path


@pytest.mark.parametrize("limit_kb", [20, 700])
def test_a_full_disk_is_one_clear_sentence_and_nothing_is_lost(
    open_store: OpenStore, encoder: OnnxEmbedder, cache: Path, docs: Folder, tmp_path: Path, limit_kb: int
) -> None:
    encoder.embed(["The encoder is converted while there is room."], "document")
    docs.animals()
    store = tmp_path / "store"
    if limit_kb > 100:
        with open_store() as footnote:
            footnote.ingest([docs.path])
    many_documents(docs)
    child = subprocess.run(
        [sys.executable, "-c", INGEST, store, cache, docs.path, str(limit_kb * 1000)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "FOOTNOTE_EMBEDDER_THREADS": "1"},
        check=False,
    )
    assert child.stdout.startswith("StoreFull The disk of "), child.stdout + child.stderr
    assert child.stdout.strip().endswith(
        "is full; free some space and run the command again: nothing is lost."
    )
    assert "Traceback" not in child.stderr
    again = open_store()
    if limit_kb > 100:
        assert found_by_words(again, "croak")[-1] == "heron.md"
    assert again.ingest([docs.path]).failed == ()
    assert len(again.sources()) == 63
    assert_healthy(again)
