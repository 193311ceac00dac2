"""What a filter costs: hybrid questions to a large store, unfiltered and filtered in turns, and exactness.

    python -m benchmarks.filters --chunks 100000

The store is synthetic (real texts and vectors, repeated with noise; see ``synthetic.py``). Every question is
asked once under each filter, in an order that changes. "As exact search" is the share of the best ten by cosine
that scoring every chunk that passes would find too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.sets import read_questions
from benchmarks.synthetic import fill, real_pieces
from ingest.store.chunk_index import StoreIndex
from rag.core.settings import load_settings
from rag.core.types import Filters
from rag.wiring import Footnote, open_footnote

_WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--store", type=Path, help="where the store is kept, and found again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        settings = load_settings(store=arguments.store or Path(scratch) / "store")
        with open_footnote(settings, create=True) as footnote:
            fill(footnote, real_pieces(), arguments.chunks)
        with open_footnote(settings) as footnote:
            _measure(footnote, arguments.questions)


def _measure(footnote: Footnote, n_questions: int) -> None:
    sources = sorted(info.uri for info in footnote.sources())
    cases = {
        "unfiltered": Filters(),
        "one source": Filters(source=sources[len(sources) // 2]),
        "a tenth of the sources": Filters(source="part3/*"),
        "all of the sources": Filters(after="1970-01-01"),
    }
    questions = [q.question for q in read_questions("squad_half")]
    questions = questions[:: len(questions) // (n_questions + _WARM_UP)]
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number, question in enumerate(questions):
        order = list(cases.items())
        order = order[number % len(order) :] + order[: number % len(order)]
        footnote.embedder.embed([question], "query")
        footnote.search(question, k=10)  # the question's vector is remembered, so nobody pays for it
        for name, filters in order:
            begun = time.perf_counter()
            footnote.search(question, k=10, filters=filters)
            if number >= _WARM_UP:
                seconds[name].append(time.perf_counter() - begun)
    exact = StoreIndex(footnote.store.catalog, lambda: None)
    print("| filter | p50, ms | p95, ms | of the unfiltered p50 | as exact search |")
    print("|---|---|---|---|---|")
    base = statistics.median(seconds["unfiltered"])
    for name, filters in cases.items():
        own = sorted(seconds[name])
        p50, p95 = statistics.median(own), own[int(len(own) * 0.95)]
        shared = _as_exact(footnote, exact, questions[:20], filters)
        print(f"| {name} | {p50 * 1e3:.1f} | {p95 * 1e3:.1f} | {p50 / base:.2f} | {shared:.3f} |")


def _as_exact(footnote: Footnote, exact: StoreIndex, questions: list[str], filters: Filters) -> float:
    scope = footnote.scope(filters=filters)
    shares = []
    for question in questions:
        vector = footnote.embedder.embed([question], "query")[0]
        found = {chunk for chunk, _ in footnote.index.search_vectors(scope, vector, 10)}
        right = {chunk for chunk, _ in exact.search_vectors(scope, vector, 10)}
        shares.append(len(found & right) / max(1, len(right)))
    return statistics.mean(shares)


if __name__ == "__main__":
    main()
