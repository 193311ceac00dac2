"""hit@k and MRR@10 on the SQuAD half, through the product.

    python -m benchmarks.squad

A hit is a chunk of the right article that holds an answer span whole. Dense alone, BM25 (stemmed) alone,
reciprocal-rank fusion of the two with constants 10 and 60, and the product's own fusion, in one run.
"""

from __future__ import annotations

import argparse

from benchmarks.sets import (
    SHARED,
    first_right,
    ingested,
    read_questions,
    reciprocal_rank_fusion,
    retriever,
    shown,
)

SET = "squad_half"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunk-tokens", type=int, default=None)
    parser.add_argument("--every", type=int, default=1, help="only every n-th question")
    arguments = parser.parse_args()
    questions = [q for q in read_questions(SET) if q.answerable][:: arguments.every]
    with ingested(SHARED / SET / "corpus", chunk_tokens=arguments.chunk_tokens) as footnote:
        dense, lexical = retriever(footnote, "dense"), retriever(footnote, "lexical")
        methods = {
            "dense": dense,
            "BM25": lexical,
            "RRF, constant 10": reciprocal_rank_fusion(dense, lexical, 10),
            "RRF, constant 60": reciprocal_rank_fusion(dense, lexical, 60),
            "Footnote": retriever(footnote),
        }
        print(f"chunk_tokens {footnote.settings.chunk_tokens}, {len(questions)} answerable questions\n")
        print("| retrieval | hit@1 | hit@5 | hit@10 | MRR@10 |")
        print("|---|---|---|---|---|")
        for name, retrieve in methods.items():
            ranks = [first_right(q, retrieve(q.question, 10)) for q in questions]
            hits = [shown([float(r is not None and r <= k) for r in ranks]) for k in (1, 5, 10)]
            print(
                f"| {name} | {' | '.join(hits)} | {shown([1 / r if r else 0.0 for r in ranks])} |", flush=True
            )


if __name__ == "__main__":
    main()
