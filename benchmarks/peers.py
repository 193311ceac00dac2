"""The same work through Footnote, LlamaIndex, LangChain, Haystack and txtai, in turns; one table.

    python -m benchmarks.peers --rounds 3

Installs the peers once into an environment of their own in the cache folder. All use the same encoder weights and
the same corpus; ``peer_work.py`` says how. Ingest and unchanged re-ingest count the work alone, imports and loading
left out; "cold ask" is a whole process that finds the best passage for one question. Questions are dense only for
the peers and hybrid for Footnote. Peak memory is that of the ingesting process and its children together.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.sets import REPO, SHARED, read_questions
from ingest.embed.model_files import built_in_folder
from rag.core.settings import load_settings

PACKAGES = (
    "torch==2.13.0",
    "sentence-transformers",
    "chromadb",
    "llama-index-core",
    "llama-index-embeddings-huggingface",
    "llama-index-vector-stores-chroma",
    "langchain-chroma",
    "langchain-core",
    "langchain-huggingface",
    "langchain-text-splitters",
    "haystack-ai",
    "chroma-haystack",
    "sentence-transformers-haystack",
    "txtai",
)
NAMES = ("footnote", "footnote int8", "llamaindex", "langchain", "haystack", "txtai")
_WORK = REPO / "benchmarks" / "peer_work.py"
_SAMPLE_S = 0.1
_N_QUESTIONS = 120
Row = dict[str, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--corpus", type=Path, default=SHARED / "squad_half" / "corpus")
    arguments = parser.parse_args()
    peers = _installed(load_settings().cache / "bench" / "peers")
    questions = [q.question for q in read_questions("squad_half") if q.answerable]
    job = {
        "model": str(built_in_folder()),
        "corpus": str(arguments.corpus),
        "questions": questions[:: len(questions) // _N_QUESTIONS],
    }
    rows: dict[str, list[Row]] = {name: [] for name in arguments.only}
    for number in range(arguments.rounds):
        for name in arguments.only:
            rows[name].append(_round(name, peers, job))
            print(f"round {number + 1}, {name}: {json.dumps(rows[name][-1])}", file=sys.stderr, flush=True)
    n_bytes = sum(path.stat().st_size for path in arguments.corpus.rglob("*") if path.is_file())
    _print(rows, n_bytes)


def _installed(folder: Path) -> str:
    """The peers' interpreter; the first time it has to be made."""
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    wanted = "\n".join(PACKAGES)
    if not ready.is_file() or ready.read_text("utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        ready.write_text(wanted, "utf-8")
    return str(python)


def _round(name: str, peers: str, job: dict[str, Any]) -> Row:
    own = name.startswith("footnote")
    python = sys.executable if own else peers
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False"}
    if own:
        env |= {"PYTHONPATH": str(REPO), "FOOTNOTE_EMBEDDER_PRECISION": "int8" if "int8" in name else "fp32"}
    with tempfile.TemporaryDirectory() as scratch:
        store, job_file = Path(scratch) / "store", Path(scratch) / "job.json"
        store.mkdir()
        job_file.write_text(json.dumps(job), "utf-8")

        def run(task: str) -> tuple[Row, float, float]:
            return _watched([python, str(_WORK), name, task, str(store), str(job_file)], env)

        row, _, peak_mb = run("ingest")
        _, cold_s, _ = run("ask")
        asked, _, _ = run("query")
        return {**row, "peak_mb": peak_mb, "cold_s": cold_s, **asked}


def _watched(command: list[str], env: dict[str, str]) -> tuple[Row, float, float]:
    """(what it printed, seconds, MB that it and its children took at most)."""
    begun, peak = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with subprocess.Popen(command, stdout=out, stderr=err, env=env) as process:
            while process.poll() is None:
                peak = max(peak, _tree_mb(process.pid))
                time.sleep(_SAMPLE_S)
        seconds = time.perf_counter() - begun
        out.seek(0)
        err.seek(0)
        lines = out.read().strip().splitlines()
        if process.returncode != 0 or not lines:
            raise SystemExit(f"{' '.join(command)} failed:\n{err.read()[-3000:]}")
    row: Row = json.loads(lines[-1])
    return row, seconds, peak


def _tree_mb(root: int) -> float:
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            resident[int(folder.name)] = int((folder / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    pages, todo = 0, [root]
    while todo:
        pid = todo.pop()
        pages += resident.get(pid, 0)
        todo += children.get(pid, [])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _print(rows: dict[str, list[Row]], n_bytes: int) -> None:
    measures = (
        ("ingest_s", "ingest, s"),
        ("chunks", "chunks"),
        ("again_s", "again unchanged, s"),
        ("chunks_after", "chunks then"),
        ("peak_mb", "peak, MB"),
        ("cold_s", "cold ask, s"),
        ("p50_ms", "query p50, ms"),
        ("per_s", "queries/s, 8 threads"),
    )
    print("| | " + " | ".join(label for _, label in measures) + " | MB/s of text |")
    print("|---|" + "---|" * (len(measures) + 1))
    medians = {name: {key: _median(each, key) for key, _ in measures} for name, each in rows.items()}
    for name, own in medians.items():
        cells = [
            "fails" if (v := own[key]) is None else f"{v:.3g}" if v < 100 else f"{v:.0f}"
            for key, _ in measures
        ]
        print(f"| {name} | {' | '.join(cells)} | {n_bytes / 1e6 / (own['ingest_s'] or 1):.4f} |")
    print("\nRatios to Footnote (fp32), median of the rounds:\n")
    base = rows.get("footnote") or next(iter(rows.values()))
    keys = [measure for measure in measures if not measure[0].startswith("chunks")]
    print("| | " + " | ".join(label for _, label in keys) + " |")
    print("|---|" + "---|" * len(keys))
    for name, each in rows.items():
        cells = []
        for key, _ in keys:
            ratios = [
                theirs / ours
                for one, other in zip(each, base, strict=True)
                if (theirs := one[key]) is not None and (ours := other[key])
            ]
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "fails")
        print(f"| {name} | {' | '.join(cells)} |")


def _median(rows: list[Row], key: str) -> float | None:
    values = [value for row in rows if (value := row[key]) is not None]
    return statistics.median(values) if values else None


if __name__ == "__main__":
    main()
