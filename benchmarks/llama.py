"""How much a chat model invents, and how much of that is shown: SmolLM2-135M behind llama.cpp's own server.

    python -m benchmarks.llama

The questions of ``data/eval/sample.jsonl`` that the sample corpus does not answer are put to it with abstention
switched off (``abstain_below = 0``), so that the model writes something to each; then as many that it does answer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rag.core.settings import load_settings
from rag.core.types import Answer, Verdict
from rag.eval.questions import Question, read_questions
from rag.wiring import Footnote, open_footnote
from tests import llama_server

DATA = Path(__file__).resolve().parent.parent / "data"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=10, help="Questions of each sort.")
    parser.add_argument("--show", action="store_true", help="Print every sentence with its verdict.")
    arguments = parser.parse_args()
    if (reason := llama_server.missing()) is not None:
        raise SystemExit(f"{reason}; install it to run this benchmark.")

    questions = read_questions(DATA / "eval" / "sample.jsonl")
    plain = [question for question in questions if not question.history]
    sorts = {
        "unanswerable": [question for question in plain if question.category == "unanswerable"],
        "single fact": [question for question in plain if question.category == "single_fact"],
    }
    with tempfile.TemporaryDirectory() as scratch, llama_server.running_server() as url:
        settings = load_settings(
            store=Path(scratch) / "store",
            llm_base_url=url,
            llm_model="SmolLM2-135M-Instruct",
            llm_context_tokens=llama_server.CONTEXT_TOKENS,
            context_tokens=600,
            answer_tokens=80,
            abstain_below=0.0,
        )
        with open_footnote(settings, create=True) as footnote:
            footnote.ingest([DATA / "corpus"])
            print(
                "| questions | n | sentences written | supported | weak | withheld | quoted instead | abstained | s a question |"
            )
            print("|---|---|---|---|---|---|---|---|---|")
            for name, group in sorts.items():
                _row(name, footnote, group[: arguments.questions], show=arguments.show)


def _row(name: str, footnote: Footnote, questions: Sequence[Question], *, show: bool) -> None:
    answers = [footnote.ask(question.question) for question in questions]
    shown = [one for answer in answers if answer.mode == "llm" for one in answer.sentences]
    withheld = [one for answer in answers for one in answer.withheld]
    supported = sum(one.verdict is Verdict.SUPPORTED for one in shown)
    seconds = sum(answer.timings_ms["total"] for answer in answers) / 1000 / max(1, len(answers))
    columns = (
        name,
        len(answers),
        len(shown) + len(withheld),
        supported,
        len(shown) - supported,
        len(withheld),
        sum(answer.mode == "extractive" and not answer.abstained for answer in answers),
        sum(answer.abstained for answer in answers),
        f"{seconds:.1f}",
    )
    print("| " + " | ".join(map(str, columns)) + " |", flush=True)
    if show:
        for question, answer in zip(questions, answers, strict=True):
            _show(question, answer)


def _show(question: Question, answer: Answer) -> None:
    print(f"\n{question.question}  ({answer.mode}{', abstained' if answer.abstained else ''})")
    quotes = {citation.marker: citation.quote for citation in answer.citations}
    for sentence in (*answer.sentences, *answer.withheld):
        print(f"  {sentence.verdict}: {sentence.text.strip()}")
        for marker in sentence.citations:
            print(f"    [{marker}] {' '.join(quotes[marker].split())}")


if __name__ == "__main__":
    main()
