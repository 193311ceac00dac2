"""A quick look at quality and speed on the sample corpus: ``make bench``, or

    python -m benchmarks.quick

Ingests ``data/corpus`` into an empty store, once more unchanged, and puts the questions of
``data/eval/sample.jsonl`` to it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rag.core.settings import load_settings
from rag.eval.measures import measure
from rag.eval.questions import read_questions
from rag.eval.run import run_questions
from rag.wiring import open_footnote

DATA = Path(__file__).resolve().parent.parent / "data"


def main() -> None:
    questions = read_questions(DATA / "eval" / "sample.jsonl")
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_footnote(load_settings(store=Path(scratch) / "store"), create=True) as footnote,
    ):
        print("| ingest | files | failed | chunks | wall, s | encoding, s |")
        print("|---|---|---|---|---|---|")
        for name in ("first", "unchanged"):
            report = footnote.ingest([DATA / "corpus"])
            print(
                f"| {name} | {report.n_files} | {len(report.failed)} | {report.n_chunks} "
                f"| {report.wall_s:.2f} | {report.encode_s:.2f} |",
                flush=True,
            )
        results = run_questions(footnote, questions, k=10)
    print(f"\n{len(questions)} questions\n\n| measure | mean | questions |\n|---|---|---|")
    for one in measure(results, 10):
        print(f"| {one.name} | {one.value:.3f} | {one.n} |")
    print("\n| kind of question | questions | hit@5 | answered | right source cited |\n|---|---|---|---|---|")
    for kind in dict.fromkeys(question.category for question in questions):
        of_kind = {
            one.name: one.value for one in measure([r for r in results if r.question.category == kind], 10)
        }
        n = sum(question.category == kind for question in questions)
        answered = of_kind.get("answered (answerable)", 1 - of_kind.get("abstained (unanswerable)", 0.0))
        columns = (of_kind.get("hit@5"), answered, of_kind.get("right source cited (answerable)"))
        shown = " | ".join("" if value is None else f"{value:.2f}" for value in columns)
        print(f"| {kind} | {n} | {shown} |")


if __name__ == "__main__":
    main()
