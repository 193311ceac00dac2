"""Chroma's chunking evaluation through the product: recall and IoU of retrieved characters.

    python -m benchmarks.chroma_chunking

All five corpora in one knowledge base, five chunks retrieved, default settings; scored by character range
as the set's NOTE says. Published for the same encoder: best recall 82.4 % (at an IoU of 3.5 %), best IoU
7.2 % (at a recall of 75.2 %).
"""

from __future__ import annotations

import argparse
from collections import defaultdict

from benchmarks.sets import SHARED, ingested, read_questions, retriever, shown, span_scores

SET = "chroma_chunking"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", type=int, default=5)
    parser.add_argument("--chunk-tokens", type=int, default=None)
    parser.add_argument("--overlap", type=int, default=None)
    arguments = parser.parse_args()
    questions = read_questions(SET)
    overrides = {"chunk_tokens": arguments.chunk_tokens, "chunk_overlap_tokens": arguments.overlap}
    with ingested(SHARED / SET / "corpus", **overrides) as footnote:
        print(f"chunk_tokens {footnote.settings.chunk_tokens}, k {arguments.k}, {len(questions)} questions\n")
        print("| retrieval | recall, % | precision, % | IoU, % |")
        print("|---|---|---|---|")
        for mode in ("dense", "lexical", "hybrid"):
            retrieve = retriever(footnote, mode)
            scores = [span_scores(q, retrieve(q.question, arguments.k)) for q in questions]
            columns = [shown([score[i] for score in scores], 100, 2) for i in range(3)]
            print(f"| {mode} | {' | '.join(columns)} |")
        by_corpus = defaultdict(list)
        for question, score in zip(questions, scores, strict=True):
            by_corpus[question.relevant[0]].append(score)
        print("\n| corpus (hybrid) | questions | recall, % | IoU, % |")
        print("|---|---|---|---|")
        for corpus, rows in sorted(by_corpus.items()):
            recall, iou = (sum(row[i] for row in rows) / len(rows) * 100 for i in (0, 2))
            print(f"| {corpus} | {len(rows)} | {recall:.1f} | {iou:.1f} |")


if __name__ == "__main__":
    main()
