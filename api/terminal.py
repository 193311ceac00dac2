"""What people read in the terminal. Text of documents is printed without its control characters."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rag.core.reports import DoctorReport, FileOutcome, SourceInfo, StoreStatus, SyncReport
from rag.core.types import Answer, Hit, Retrieval

_CONTROL = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
_BIDI = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))


def clean(text: str) -> str:
    """The text without what could steer a terminal: escape sequences, other controls, direction marks."""
    return text.translate(_CONTROL | _BIDI)


def line(text: str) -> str:
    return " ".join(clean(text).split())


def dim(text: str, stream: TextIO | None = None) -> str:
    stream = stream or sys.stdout
    if stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
        return f"\x1b[2m{text}\x1b[0m"
    return text


def say(text: str = "", *, err: bool = False) -> None:
    print(text, file=sys.stderr if err else sys.stdout, flush=err)


def wrap(text: str, indent: str = "") -> str:
    """Wraps to the terminal; what goes to a pipe keeps its lines."""
    if not sys.stdout.isatty():
        return text
    width = max(40, min(shutil.get_terminal_size().columns, 100))
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def place(source: str, page: int | None, heading_path: Sequence[str]) -> str:
    parts = [line(source)]
    if page is not None:
        parts.append(f"page {page}")
    if heading_path:
        parts.append(" › ".join(line(heading) for heading in heading_path))
    return ", ".join(parts)


def show_answer(answer: Answer) -> None:
    for paragraph in clean(answer.text).splitlines() or [""]:
        say(wrap(paragraph))
    if answer.abstained and answer.closest:
        say()
        say("Closest in the documents:")
        for closest in answer.closest:
            say(wrap(f"- {place(closest.source, closest.page, closest.heading_path)}", "  "))
    if answer.citations:
        say()
    for citation in answer.citations:
        where = place(citation.source, citation.page, citation.heading_path)
        say(dim(wrap(f"[{citation.marker}] {where}: “{line(citation.quote)}”", "    ")))
    if answer.model is not None:
        say(dim(_written_by(answer)))
    notices = list(answer.notices)
    if answer.withheld:
        notices.append(f"{count(len(answer.withheld), 'sentence')} withheld that no source supports.")
    if answer.dropped:
        notices.append(f"{count(len(answer.dropped), 'passage')} did not fit into the prompt.")
    show_notices(notices)


def _written_by(answer: Answer) -> str:
    parts = [line(answer.model or "")]
    if answer.route:
        parts.append(line(answer.route))
    n_tokens = answer.usage.input_tokens + answer.usage.output_tokens
    parts.append("from the cache" if answer.cached else f"{n_tokens:,} tokens")
    if answer.cost_usd:
        parts.append(f"${answer.cost_usd:.4f}")
    return "; ".join(parts)


def show_hits(retrieval: Retrieval) -> None:
    if not retrieval.hits:
        say("Nothing found.")
    for rank, hit in enumerate(retrieval.hits, 1):
        _show_hit(rank, hit)
    show_notices(retrieval.notices)


def _show_hit(rank: int, hit: Hit) -> None:
    where = place(hit.source.uri, hit.chunk.page, hit.chunk.heading_path)
    say(f"{rank}. {where} {dim(f'({hit.score:.3f}, characters {hit.chunk.start}–{hit.chunk.end})')}")
    for paragraph in clean(hit.chunk.text).splitlines():
        if paragraph.strip():
            say("   " + wrap(paragraph.strip(), "   "))
    say()


def show_notices(notices: Iterable[str]) -> None:
    for notice in notices:
        say(f"Note: {line(notice)}", err=True)


def show_sync(report: SyncReport) -> None:
    parts = [
        f"{len(items)} {name}"
        for name, items in (
            ("new", report.added),
            ("changed", report.changed),
            ("renamed", report.renamed),
            ("removed", report.removed),
        )
        if items
    ]
    if report.n_unchanged:
        parts.append(f"{report.n_unchanged} unchanged")
    if report.failed:
        parts.append(f"{len(report.failed)} failed")
    if report.skipped:
        parts.append(f"{len(report.skipped)} skipped")
    took = f"{report.wall_s:.1f} s, {report.encode_s:.1f} s of it encoding {count(report.n_embedded, 'text')}"
    say(
        f"{count(report.n_files, 'document')} ({', '.join(parts) or 'nothing to do'}); "
        f"{count(report.n_chunks, 'chunk')} in the knowledge base; {took}."
    )
    _show_outcomes("Failed", report.failed)
    _show_outcomes("Ingested with a warning", report.warnings)
    _show_outcomes("Skipped", report.skipped, most=10)


def _show_outcomes(title: str, outcomes: Sequence[FileOutcome], most: int | None = None) -> None:
    if not outcomes:
        return
    say(f"{title}:")
    for outcome in outcomes[:most]:
        say(f"  {line(outcome.path)}: {line(outcome.reason)}")
    if most is not None and len(outcomes) > most:
        say(f"  and {len(outcomes) - most} more (--json lists all)")


def show_status(status: StoreStatus) -> None:
    say(f"Store    {status.store} ({size(status.size_bytes)})")
    say(f"Vectors  {status.vectors}")
    say(f"Writer   {'a process is writing' if status.writer_active else 'none'}")
    if not status.knowledge_bases:
        say("No knowledge base yet: run footnote ingest FOLDER.")
        return
    say()
    rows = [
        (kb.name, kb.n_sources, kb.n_failed, kb.n_chunks, kb.n_pending_vectors, ", ".join(kb.roots))
        for kb in status.knowledge_bases
    ]
    table(("knowledge base", "documents", "failed", "chunks", "vectors to come", "folders"), rows)


def show_sources(sources: Sequence[SourceInfo]) -> None:
    if not sources:
        say("No documents yet: run footnote ingest FOLDER.")
        return
    table(
        ("source", "state", "chunks", "size", "modified", "title"),
        [
            (info.uri, info.state, info.n_chunks, size(info.size_bytes), info.modified_at[:10], info.title)
            for info in sources
        ],
    )
    for info in sources:
        if info.reason:
            say(f"{line(info.uri)}: {line(info.reason)}")


def show_doctor(report: DoctorReport) -> None:
    for check, n in report.checks:
        say(f"checked  {check} ({n:,})")
    for finding in report.findings:
        state = "repaired" if finding.repaired else "WRONG   "
        say(f"{state} {finding.check}: {line(finding.message)} ({finding.n:,})")
    if not report.findings:
        say("Nothing is wrong.")
    elif not report.healthy:
        say("Run footnote doctor --repair to mend it.")


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table in the terminal; tab-separated values in a pipe, so that cut and awk can read them."""
    cells = [[line(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (list(headers), *cells):
            say("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        numeric = all(isinstance(row[index], int) for row in rows)
        drawn.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def size(n_bytes: int) -> str:
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
