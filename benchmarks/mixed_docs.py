"""How well 305 real files of 19 formats are read, many of them broken, hostile or in odd encodings.

    python -m benchmarks.mixed_docs [--only html,csv] [--verbose]

Every file goes through the worker processes of the product, with its time-out and its memory limit. Where the
set says which strings the text must or must not hold, these are looked for as they stand. Where it has the
expected Markdown, words are compared as multisets, markup left out: recall is the share of the expected words
that were extracted, precision the share of the extracted words that were expected.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.sets import SHARED
from ingest.loaders.registry import load_bytes
from ingest.loaders.sandbox import LoaderPool
from rag.core.errors import LoadError, LoadTimeout
from rag.core.plain import plain
from rag.core.settings import load_settings
from rag.core.types import LoadedDocument

SET = SHARED / "mixed_docs"
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(slots=True)
class Tally:
    """What became of the files of one format."""

    files: int = 0
    read: int = 0
    failed: int = 0
    timed_out: int = 0
    included: list[bool] = field(default_factory=list)
    left_out: list[bool] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    precisions: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        cells = [
            name,
            *(str(n) for n in (self.files, self.read, self.failed, self.timed_out)),
            _share(self.included),
            _share(self.left_out),
            str(len(self.recalls)),
            _mean(self.recalls),
            _mean(self.precisions),
        ]
        return "| " + " | ".join(cells) + " |"


def read_manifest(only: Sequence[str]) -> list[dict[str, Any]]:
    manifest = SET / "manifest.jsonl"
    if not manifest.is_file():
        raise SystemExit(
            f"{manifest} is not there: this benchmark needs the evaluation sets in ../shared/eval."
        )
    rows: list[dict[str, Any]] = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    return [row for row in rows if not only or ending(row) in only]


def ending(row: dict[str, Any]) -> str:
    return Path(row["file"]).suffix.lower().lstrip(".")


def submit(pool: LoaderPool, row: dict[str, Any]) -> Future[LoadedDocument]:
    name, path = row["file"], SET / row["file"]
    read = partial(load_bytes, name=name, passwords=[row["password"]] if row.get("password") else [])
    return pool.submit(read, path.read_bytes(), path, path=name)


def tally(row: dict[str, Any], outcome: Future[LoadedDocument], into: Sequence[Tally]) -> list[str]:
    """Counts one file; returns what is wrong with it, a line each."""
    text, problems = "", []
    for counts in into:
        counts.files += 1
    try:
        loaded = outcome.result()
    except LoadError as exc:
        for counts in into:
            counts.timed_out += isinstance(exc, LoadTimeout)
            counts.failed += not isinstance(exc, LoadTimeout)
        problems.append(f"{'timed out' if isinstance(exc, LoadTimeout) else 'failed'}: {exc}")
    else:
        text = loaded.text
        for counts in into:
            counts.read += 1
        problems += [f"warning: {warning}" for warning in loaded.warnings]
    for wanted in row.get("must_include", ()):
        held = wanted in text
        for counts in into:
            counts.included.append(held)
        if not held:
            problems.append(f"must include {wanted!r}")
    for unwanted in row.get("must_not_include", ()):
        held = unwanted not in text
        for counts in into:
            counts.left_out.append(held)
        if not held:
            problems.append(f"must not include {unwanted!r}")
    if "groundtruth_md" in row:
        recall, precision = word_overlap((SET / row["groundtruth_md"]).read_text("utf-8"), text)
        for counts in into:
            counts.recalls.append(recall)
            counts.precisions.append(precision)
        if min(recall, precision) < 0.9:
            problems.append(f"word recall {recall:.2f}, precision {precision:.2f}")
    return problems


def word_overlap(expected: str, extracted: str) -> tuple[float, float]:
    """(recall, precision) of words, each counted as often as it occurs."""
    wanted, found = (
        Counter(_WORD.findall(plain(_COMMENT.sub(" ", t)).lower())) for t in (expected, extracted)
    )
    common = (wanted & found).total()
    return common / wanted.total() if wanted else 1.0, common / found.total() if found else float(not wanted)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="endings, separated by commas")
    parser.add_argument("--verbose", action="store_true", help="list failures, warnings and checks not held")
    arguments = parser.parse_args()
    settings = load_settings()
    rows = read_manifest([e for e in arguments.only.lower().replace(".", "").split(",") if e])
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    total, notes = Tally(), []
    began = time.perf_counter()
    with LoaderPool(2, settings.load_timeout_s, settings.load_memory_mb) as pool:
        outcomes = [submit(pool, row) for row in rows]
        for row, outcome in zip(rows, outcomes, strict=True):
            problems = tally(row, outcome, (tallies[ending(row)], total))
            notes += [f"{row['file']}: {problem}" for problem in problems]
    took = time.perf_counter() - began
    print(f"{len(rows)} files in {took:.0f} s, 2 workers, at most {settings.load_timeout_s:g} s a file\n")
    print(
        "| format | files | read | failed | timed out | must include | must not include | compared | recall | precision |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in sorted(tallies, key=lambda n: -tallies[n].files):
        print(tallies[name].row(name))
    print(total.row("all"))
    if arguments.verbose and notes:
        print("\n" + "\n".join(notes))


def _share(held: Sequence[bool]) -> str:
    return f"{sum(held)} / {len(held)}" if held else ""


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" if values else ""


if __name__ == "__main__":
    main()
