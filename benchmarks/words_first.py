"""How soon a large folder answers while it is ingested, and what share of the time is not encoding.

    python -m benchmarks.words_first

``footnote ingest`` runs on an empty store in one process; a second process asks all the time. A right answer
is a first hit of the right article that holds an answer span; "by words alone" means that no vector of the
hit exists yet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.sets import SHARED, Question, first_right, read_questions
from benchmarks.start_up import FOOTNOTE
from rag.core.errors import FootnoteError
from rag.core.settings import load_settings
from rag.wiring import Footnote, open_footnote

SET = "squad_half"
_EVERY = 40
_GIVE_UP_S = 900


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    questions = [q for q in read_questions(SET) if q.answerable][::_EVERY]
    print(
        "| run | first right answer by words, s | all documents in words, s "
        "| not encoding, % of the ingest | not encoding, % of the process |"
    )
    print("|---|---|---|---|---|")
    rows = [_run(questions) for _ in range(arguments.runs)]
    for number, row in enumerate(rows, 1):
        print(f"| {number} | {' | '.join(f'{value:.1f}' for value in row)} |")
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"| median | {' | '.join(f'{value:.1f}' for value in medians)} |")


def _run(questions: list[Question]) -> tuple[float, ...]:
    """The shares come from a second run that nobody watches: who asks all the time takes time from it."""
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        with subprocess.Popen(_command(Path(scratch) / "watched"), stdout=subprocess.DEVNULL) as ingest:
            first_s, all_s = _watch(Path(scratch) / "watched", questions, begun)
            ingest.wait(_GIVE_UP_S)
        begun = time.perf_counter()
        done = subprocess.run(
            _command(Path(scratch) / "alone"), capture_output=True, text=True, check=True, timeout=_GIVE_UP_S
        )
        process_s = time.perf_counter() - begun
    report = json.loads(done.stdout)
    shares = [(1 - report["encode_s"] / wall_s) * 100 for wall_s in (report["wall_s"], process_s)]
    return first_s, all_s, *shares


def _command(store: Path) -> list[str]:
    return [FOOTNOTE, "ingest", str(SHARED / SET / "corpus"), "--store", str(store), "--json"]


def _watch(store: Path, questions: list[Question], begun: float) -> tuple[float, float]:
    n_documents = sum(1 for path in (SHARED / SET / "corpus").rglob("*") if path.is_file())
    first_s: float | None = None
    with _opened(store) as footnote:
        while time.perf_counter() - begun < _GIVE_UP_S:
            try:
                if first_s is None and _right_by_words(footnote, questions):
                    first_s = time.perf_counter() - begun
                n_known = sum(info.state in ("live", "words-only") for info in footnote.sources())
            except FootnoteError:  # not made yet
                n_known = 0
            if first_s is not None and n_known >= n_documents:
                return first_s, time.perf_counter() - begun
            time.sleep(0.05)
    raise SystemExit("No right answer came.")


def _opened(store: Path) -> Footnote:
    """As soon as there is a store."""
    while True:
        try:
            return open_footnote(load_settings(store=store))
        except FootnoteError:
            time.sleep(0.02)


def _right_by_words(footnote: Footnote, questions: list[Question]) -> bool:
    for question in questions:
        hits = footnote.search(question.question, k=1).hits
        if first_right(question, hits) == 1 and "dense" not in hits[0].origin:
            return True
    return False


if __name__ == "__main__":
    main()
