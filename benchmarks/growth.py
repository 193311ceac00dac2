"""What grows with the store: build, open, ask, filter, delete, doctor; each with its exponent.

    python -m benchmarks.growth --sizes 10000 100000 --keep DIR

The stores are synthetic (``synthetic.py``). Everything but building is measured in a process that has just opened
the store. The exponent is that of the last two sizes: 0 does not grow, 1 grows with the store. Memory is what the
process holds after the questions. Recall is that of Chroma's ten nearest against scoring every chunk.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sets import read_questions
from benchmarks.synthetic import fill, real_pieces
from ingest.store.chunk_index import StoreIndex
from rag.core.settings import load_settings
from rag.core.types import Filters
from rag.wiring import open_footnote

_QUESTIONS = 60
_WARM_UP = 10
_MEASURES = (
    "build, s",
    "store, MB",
    "open and first question, s",
    "hybrid p50, ms",
    "hybrid p95, ms",
    "one source p50, ms",
    "a tenth p50, ms",
    "recall@10",
    "memory, MB",
    "delete a document, ms",
    "doctor, s",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--keep", type=Path, help="folder in which the stores are kept, and found again")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measure(arguments.one)))
        return
    rows: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in arguments.sizes:
            store = (arguments.keep or Path(scratch)) / f"store-{size}"
            begun = time.perf_counter()
            with open_footnote(load_settings(store=store), create=True) as footnote:
                fill(footnote, real_pieces(), size)
            build_s = time.perf_counter() - begun
            own = [sys.executable, "-m", "benchmarks.growth", "--one", str(store)]
            done = subprocess.run(own, check=True, capture_output=True, text=True)
            n_bytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
            rows[size] = {"build, s": build_s, "store, MB": n_bytes / 1e6, **json.loads(done.stdout)}
            print(f"{size}: {rows[size]}", file=sys.stderr, flush=True)
    _print(rows)


def _measure(store: Path) -> dict[str, float]:
    begun = time.perf_counter()
    with open_footnote(load_settings(store=store)) as footnote:
        footnote.search("Who opened the store?")
        row = {"open and first question, s": time.perf_counter() - begun}
        questions = [q.question for q in read_questions("squad_half")]
        questions = questions[:: len(questions) // _QUESTIONS][:_QUESTIONS]
        uris = sorted(info.uri for info in footnote.sources())
        cases = {
            "hybrid": Filters(),
            "one source": Filters(source=uris[len(uris) // 2]),
            "a tenth": Filters(source="part3/*"),
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for number, question in enumerate(questions):
            for name, filters in cases.items():
                begun = time.perf_counter()
                footnote.search(question, k=10, filters=filters)
                if number >= _WARM_UP:
                    times[name].append((time.perf_counter() - begun) * 1000)
        for name, values in times.items():
            row[f"{name} p50, ms"] = statistics.median(values)
        row["hybrid p95, ms"] = sorted(times["hybrid"])[int(len(times["hybrid"]) * 0.95)]
        row["memory, MB"] = _memory_mb()
        # As the writer, because a small store is scored exactly by who only reads.
        footnote.store.become_writer()
        chroma = StoreIndex(footnote.store.catalog, footnote.store.vectors)
        exact = StoreIndex(footnote.store.catalog, lambda: None)
        shares = []
        for question in questions[:40]:
            vector = footnote.embedder.embed([question], "query")[0]
            right = {chunk for chunk, _ in exact.search_vectors(footnote.scope(), vector, 10)}
            found = {chunk for chunk, _ in chroma.search_vectors(footnote.scope(), vector, 10)}
            shares.append(len(found & right) / 10)
        row["recall@10"] = statistics.mean(shares)
    with open_footnote(load_settings(store=store)) as footnote:
        footnote.remove([uris[0]])  # opens what has to be open
        begun = time.perf_counter()
        footnote.remove([uris[1]])
        row["delete a document, ms"] = (time.perf_counter() - begun) * 1000
        begun = time.perf_counter()
        report = footnote.doctor()
        row["doctor, s"] = time.perf_counter() - begun
        if not report.healthy:
            print(report.findings, file=sys.stderr)
    return row


def _memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return math.nan


def _print(rows: dict[int, dict[str, float]]) -> None:
    sizes = list(rows)
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " | exponent |")
    print("|---|" + "---|" * (len(sizes) + 1))
    for name in _MEASURES:
        values = [rows[size][name] for size in sizes]
        exponent = ""
        if len(sizes) > 1 and values[-1] > 0 and values[-2] > 0 and name != "recall@10":
            exponent = f"{math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2]):.2f}"
        print(f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} | {exponent} |")


if __name__ == "__main__":
    main()
