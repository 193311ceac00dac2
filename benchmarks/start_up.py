"""``footnote ask`` from process start to the answer, beside the bare import of its two big libraries.

    python -m benchmarks.start_up

Both are started in turn, and the medians are compared: the machine's noise hits both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
FOOTNOTE = str(Path(sys.executable).with_name("footnote"))
QUESTION = "How many vacation days can I carry over?"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        _seconds([FOOTNOTE, "ingest", str(REPO / "data" / "corpus"), "--store", store])
        ask = [FOOTNOTE, "ask", QUESTION, "--store", store]
        imports = [sys.executable, "-c", "import chromadb, onnxruntime"]
        _seconds(ask)
        _seconds(imports)
        pairs = [(_seconds(ask), _seconds(imports)) for _ in range(arguments.runs)]
        with_torch = _imports_torch(ask)
    asks, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print("| footnote ask, s | import chromadb, onnxruntime, s | ratio | torch imported |")
    print("|---|---|---|---|")
    print(f"| {asks:.2f} | {bare:.2f} | {asks / bare:.2f} | {'yes' if with_torch else 'no'} |")


def _seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.decode()}")
    return time.perf_counter() - begun


def _imports_torch(command: list[str]) -> bool:
    env = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    trace = subprocess.run(command, capture_output=True, check=True, env=env).stderr.decode()
    return any(line.rpartition("|")[2].strip() == "torch" for line in trace.splitlines())


if __name__ == "__main__":
    main()
