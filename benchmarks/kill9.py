"""Kills ``footnote ingest`` with SIGKILL at random moments while the folder keeps changing, then proves the store.

    python -m benchmarks.kill9 --kills 100

After the last kill one clean run follows. ``footnote doctor`` must find nothing, and the store must equal
one that was built from the same folder without interruption: documents, spans, ids, vectors.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.store.packing import unpack_text
from rag.core.settings import load_settings
from rag.wiring import Footnote, open_footnote

REPO = Path(__file__).resolve().parent.parent
_WORDS = [
    "valve",
    "pump",
    "sensor",
    "refund",
    "invoice",
    "copper",
    "Hamburg",
    "warranty",
    "shipping",
    "torque",
    "battery",
    "filter",
    "manual",
    "reset",
]


@dataclass(frozen=True)
class Result:
    n_kills: int
    n_finished: int
    """Runs that ended before their kill came."""
    findings: list[str]
    differences: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = run(Path(scratch), arguments.kills, arguments.files, arguments.seed)
    print("| kills | runs that ended first | doctor's findings | differences to an uninterrupted store |")
    print("|---|---|---|---|")
    print(f"| {result.n_kills} | {result.n_finished} | {len(result.findings)} | {len(result.differences)} |")
    for line in [*result.findings, *result.differences][:20]:
        print(f"- {line}")
    return 1 if result.findings or result.differences else 0


def run(scratch: Path, n_kills: int, n_files: int, seed: int) -> Result:
    rng = random.Random(seed)
    folder, store = scratch / "docs", scratch / "store"
    folder.mkdir()
    for _ in range(n_files):
        _write_new(folder, rng)
    longest_s = _timed_run(folder, scratch / "first")
    killed = finished = 0
    while killed < n_kills:
        for _ in range(rng.randint(1, 6)):
            _mutate(folder, rng)
        if killed % 25 == 24:
            shutil.rmtree(store, ignore_errors=True)  # so that kills hit first runs too
        if _run_and_kill(folder, store, rng.uniform(0.05, longest_s * 1.1)):
            killed += 1
        else:
            finished += 1
    _ingest(folder, store)
    _ingest(folder, scratch / "clean")
    with open_footnote(load_settings(store=store)) as fn:
        findings = [f"{finding.check}: {finding.message} ({finding.n})" for finding in fn.doctor().findings]
        interrupted = dict(contents(fn))
    with open_footnote(load_settings(store=scratch / "clean")) as fn:
        clean = dict(contents(fn))
    return Result(killed, finished, findings, differences(interrupted, clean))


def contents(fn: Footnote) -> Iterator[tuple[str, object]]:
    """Everything a store says of its documents: no row numbers, no times."""
    idx = fn.index.index_of(fn.scope())
    with fn.store.catalog.reading() as db:
        generations = db.execute("SELECT * FROM generation WHERE idx_id = ?", (idx.id,)).fetchall()
        for row in generations:
            chunks = db.execute(
                'SELECT id, ordinal, start, "end", text, headings, page, n_tokens, indexed FROM chunk '
                "WHERE generation_id = ? ORDER BY ordinal",
                (row["id"],),
            ).fetchall()
            yield (
                f"{row['state']} {row['uri']}",
                (
                    row["content_hash"],
                    row["title"],
                    unpack_text(row["text"]),
                    [tuple(chunk) for chunk in chunks],
                ),
            )
        for table in ("pending", "vector"):
            yield table, db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    vectors = fn.store.vectors()
    collection = fn.store.catalog.collection(idx)
    ids = sorted(vectors.ids(collection))
    yield "vector ids", ids
    found = vectors.get(collection, ids)
    yield "vectors", np.stack([found[i] for i in ids]) if ids else np.zeros((0, 0), np.float32)


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    found = [f"{key} is in one store only" for key in sorted(one.keys() ^ other.keys())]
    for key in sorted(one.keys() & other.keys()):
        a, b = one[key], other[key]
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            # Batches differ, so the last bits may.
            if a.shape != b.shape or (a.size and float(np.abs(a - b).max()) > 1e-5):
                found.append(f"{key} differ")
        elif a != b:
            found.append(f"{key} differs")
    return found


def _command(folder: Path, store: Path) -> list[str]:
    return [sys.executable, "-m", "api.cli", "ingest", str(folder), "--store", str(store)]


def _ingest(folder: Path, store: Path) -> None:
    subprocess.run(_command(folder, store), cwd=REPO, check=True, capture_output=True, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "FOOTNOTE_LOAD_WORKERS": "2"}


def _timed_run(folder: Path, store: Path) -> float:
    begun = time.perf_counter()
    _ingest(folder, store)
    return time.perf_counter() - begun


def _run_and_kill(folder: Path, store: Path, after_s: float) -> bool:
    """False if the run ended first; its exit code must then be 0."""
    process = subprocess.Popen(
        _command(folder, store),
        cwd=REPO,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, error = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    if process.returncode != 0:
        raise RuntimeError(f"a run after a kill failed with {process.returncode}: {error.decode()[-400:]}")
    return False


def _mutate(folder: Path, rng: random.Random) -> None:
    files = sorted(folder.rglob("*.md"))
    action = rng.choice(["new", "edit", "edit", "edit", "rename", "delete", "copy"])
    if action == "new" or len(files) < 10:
        _write_new(folder, rng)
        return
    file = rng.choice(files)
    if action == "edit":
        paragraphs = file.read_text("utf-8").split("\n\n")
        paragraphs[rng.randrange(1, len(paragraphs))] = _paragraph(rng)
        file.write_text("\n\n".join(paragraphs), "utf-8")
    elif action == "rename":
        file.rename(file.with_name(f"r{rng.getrandbits(40):x}.md"))
    elif action == "copy":
        shutil.copyfile(file, file.with_name(f"c{rng.getrandbits(40):x}.md"))
    else:
        file.unlink()


def _write_new(folder: Path, rng: random.Random) -> None:
    target = folder / rng.choice(["a", "b", "b/c"]) / f"n{rng.getrandbits(40):x}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(_paragraph(rng) for _ in range(rng.randint(2, 14)))
    target.write_text(f"# {' '.join(rng.sample(_WORDS, 3))}\n\n{body}\n", "utf-8")


def _paragraph(rng: random.Random) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(10, 60))).capitalize() + "."


if __name__ == "__main__":
    sys.exit(main())
