"""The ``footnote`` command. Start-up counts: each command imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api import options as opt
from api.keys_command import app as keys_app
from api.options import filters_of, settings_from
from rag.core.errors import ChatError, UsageError

if TYPE_CHECKING:
    from api.schemas import BatchLine

FAILED_FILES = 3
FAILED_LINES = 3
UNHEALTHY = 7

app = typer.Typer(
    name="footnote",
    help="Answers questions from your own documents; every sentence carries a verified footnote.",
    epilog="FOOTNOTE_DEBUG=1 shows the trace of an unexpected error.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.add_typer(keys_app, name="keys")

Question = Annotated[str | None, typer.Argument(metavar="QUESTION", help="What to ask; quote it.")]


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders or files.")],
    watch: Annotated[bool, typer.Option("--watch", help="Keep on syncing until Ctrl-C.")] = False,
    include: opt.Include = None,
    exclude: opt.Exclude = None,
    password_file: opt.PasswordFile = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Send the files to a running footnote serve."),
    ] = None,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Make the knowledge base equal to folders of documents.

    New, changed, renamed and vanished files are found. It can be stopped at any point and run again. Exit code 3: some files failed, the others are there.
    """
    from api.interrupt import INTERRUPTED, stop_on_signal
    from api.progress import progress
    from api.schemas import plain
    from api.terminal import show_sync
    from rag.core.reports import SyncReport

    settings = settings_from(
        store, kb, chroma, include=include or None, exclude=exclude or None, password_file=password_file
    )
    if server:
        from api.push import push

        return push(server, paths, settings, watch=watch, as_json=as_json)

    from rag.wiring import open_footnote

    def show(report: SyncReport) -> None:
        if as_json:
            _print_json(plain(report))
        else:
            show_sync(report)

    sentence = "Stopping after the work in hand; what is ingested is kept, and running it again goes on."
    with stop_on_signal(sentence) as stop, open_footnote(settings, create=True) as footnote:
        if watch:
            footnote.watch(paths, on_report=show, stop=stop)
            return INTERRUPTED
        with progress(quiet=as_json) as on_event:
            report = footnote.ingest(paths, on_event=on_event, stop=stop)
        show(report)
        if report.interrupted:
            return INTERRUPTED
        return FAILED_FILES if report.failed else 0


@app.command()
def ask(
    question: Question = None,
    source: opt.FromSource = None,
    type: opt.FromType = None,
    after: opt.After = None,
    before: opt.Before = None,
    heading: opt.Heading = None,
    meta: opt.Meta = None,
    batch: opt.Batch = None,
    out: opt.Out = None,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Answer a question from the documents, with footnotes.

    Without a chat model (FOOTNOTE_LLM_BASE_URL) the answer is made of quoted sentences. Exit code 12: the chat
    model failed; what is printed does without it.
    """
    _one_of(question, batch, out)
    settings = settings_from(store, kb, chroma)
    filters = filters_of(source, type, after, before, heading, meta)
    from rag.wiring import open_footnote

    with open_footnote(settings) as footnote:
        if batch is not None:
            from api.schemas import answer_json

            def answer_line(asked: BatchLine) -> dict[str, Any]:
                seen = asked.filters.to_core() if asked.filters else filters
                return answer_json(footnote.ask(asked.question, filters=seen, kb=asked.kb))

            return _batch(batch, out, answer_line)
        answer = footnote.ask(question or "", filters=filters)
    if as_json:
        from api.schemas import answer_json

        _print_json(answer_json(answer))
    else:
        from api.terminal import show_answer

        show_answer(answer)
    # The quoted answer is there, but who asked for the model's should know that it is not.
    return ChatError.exit_code if answer.chat_error else 0


@app.command()
def batch(
    questions: Annotated[
        Path, typer.Argument(metavar="FILE", help="Questions as JSON lines; - reads stdin.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Where the answers go; what it holds is not asked again."),
    ],
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", metavar="N", min=1, max=1000, help="Questions at once."),
    ] = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="Bring the answers into the order of the questions at the end.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask the questions again that failed.")
    ] = False,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", metavar="USD", min=0, help="Stop before it costs more.")
    ] = None,
    by_provider: Annotated[
        bool,
        typer.Option("--provider", help="All to the provider's batch endpoint, which answers within a day."),
    ] = False,
    source: opt.FromSource = None,
    type: opt.FromType = None,
    after: opt.After = None,
    before: opt.Before = None,
    heading: opt.Heading = None,
    meta: opt.Meta = None,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Answer thousands of questions from a file.

    A line is {"question", "id"?, "kb"?, "filters"?}. It can be stopped at any point, by force too, and run again: nothing is asked twice. Exit code 3: some questions failed, the others are answered.
    """
    settings = settings_from(store, kb, chroma)
    filters = filters_of(source, type, after, before, heading, meta)
    from api.batch.command import batch as run_batch_command

    return run_batch_command(
        questions,
        out,
        settings,
        filters=filters,
        concurrency=concurrency,
        ordered=ordered,
        retry_failed=retry_failed,
        max_usd=max_usd,
        by_provider=by_provider,
        as_json=as_json,
    )


@app.command()
def search(
    question: Question = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=1000, help="Hits to show.")] = None,
    source: opt.FromSource = None,
    type: opt.FromType = None,
    after: opt.After = None,
    before: opt.Before = None,
    heading: opt.Heading = None,
    meta: opt.Meta = None,
    batch: opt.Batch = None,
    out: opt.Out = None,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Find the passages that fit a question best."""
    _one_of(question, batch, out)
    settings = settings_from(store, kb, chroma)
    filters = filters_of(source, type, after, before, heading, meta)
    from rag.wiring import open_footnote

    with open_footnote(settings) as footnote:
        if batch is not None:
            from api.schemas import hits_json

            def search_line(asked: BatchLine) -> dict[str, Any]:
                seen = asked.filters.to_core() if asked.filters else filters
                found = footnote.search(asked.question, k=asked.k or k, filters=seen, kb=asked.kb)
                return {"hits": hits_json(found)}

            return _batch(batch, out, search_line)
        retrieval = footnote.search(question or "", k=k, filters=filters)
    if as_json:
        from api.schemas import retrieval_json

        _print_json(retrieval_json(retrieval))
    else:
        from api.terminal import show_hits

        show_hits(retrieval)
    return 0


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="Port; 0 takes a free one.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve other machines although there is no API key.")
    ] = False,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Serve search, answers and documents over HTTP until Ctrl-C."""
    settings = settings_from(store, kb, chroma, host=host, port=port, insecure=insecure or None)
    from api.serve import serve as run_server

    return run_server(settings, as_json=as_json)


@app.command()
def mcp(
    http: Annotated[
        bool,
        typer.Option("--http", help="Over streamable HTTP at /mcp instead of standard input and output."),
    ] = False,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="--http: address to listen on.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="--http: port; 0 takes a free one.")
    ] = None,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Serve search, ask, open_source and list_sources to agents, over the Model Context Protocol.

    An agent's program starts it by itself, over standard input and output. Needs the extra footnote[mcp].
    """
    settings = settings_from(store, kb, chroma, host=host, port=port)
    if not http and (host is not None or port is not None):
        raise UsageError("--host and --port belong to --http; add it, or leave them out.")
    if find_spec("mcp") is None:
        raise UsageError("footnote mcp needs the extra footnote[mcp]; run: pip install 'footnote[mcp]'")
    from api.mcp.run import run_http, run_stdio

    return run_http(settings, as_json=as_json) if http else run_stdio(settings)


@app.command()
def status(
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Show what the store holds and who is writing to it."""
    from api.schemas import plain
    from api.terminal import show_status
    from rag.wiring import open_footnote

    with open_footnote(settings_from(store, kb, chroma)) as footnote:
        found = footnote.status()
    if as_json:
        _print_json(plain(found))
    else:
        show_status(found)
    return 0


@app.command()
def sources(
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """List the documents, the failed ones with their reason."""
    from api.schemas import document_json
    from api.terminal import show_sources
    from rag.wiring import open_footnote

    with open_footnote(settings_from(store, kb, chroma)) as footnote:
        found = footnote.sources()
    if as_json:
        _print_json([document_json(info) for info in found])
    else:
        show_sources(found)
    return 0


@app.command()
def remove(
    patterns: Annotated[
        list[str], typer.Argument(metavar="PATTERN", help="Globs on the path, or ids of documents.")
    ],
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Remove documents from the knowledge base.

    The files stay where they are, and the next ingest of their folder brings them back.
    """
    from api.terminal import count, line, say
    from rag.wiring import open_footnote

    with open_footnote(settings_from(store, kb, chroma)) as footnote:
        removed = footnote.remove(patterns)
    if as_json:
        _print_json({"removed": removed})
    else:
        say(f"Removed {count(len(removed), 'document')}:")
        for path in removed:
            say(f"  {line(path)}")
    return 0


@app.command()
def usage(
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, help="Days back, today among them.")
    ] = 30,
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="day, tenant, key, model or purpose.")
    ] = "model",
    store: opt.Store = None,
    as_json: opt.Json = False,
) -> int:
    """Show what the chat models were used for, what it cost, and what is left of today's budget."""
    from typing import cast, get_args

    from api.usage import show_usage
    from api.usage import usage as usage_of
    from rag.llm.ledger import By

    if by not in get_args(By):
        raise UsageError(f"--by {by} is none of {', '.join(get_args(By))}; choose one of them.")
    found = usage_of(settings_from(store, None, None), cast(By, by), days)
    if as_json:
        _print_json(found)
    else:
        show_usage(found)
    return 0


@app.command()
def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong.")] = False,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Prove that catalog, full text and vectors agree. Exit code 7: they do not."""
    from api.schemas import plain
    from api.terminal import show_doctor
    from rag.wiring import open_footnote

    with open_footnote(settings_from(store, kb, chroma)) as footnote:
        found = footnote.doctor(repair=repair)
    if as_json:
        _print_json({"healthy": found.healthy, **plain(found)})
    else:
        show_doctor(found)
    return 0 if found.healthy else UNHEALTHY


@app.command()
def reindex(
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Build the index anew with the settings of now.

    The new index is built beside the old one, which serves until they swap.
    """
    from api.interrupt import INTERRUPTED, stop_on_signal
    from api.progress import progress
    from api.schemas import plain
    from api.terminal import show_sync
    from rag.wiring import open_footnote

    sentence = "Stopping; the index of before goes on serving, and running it again goes on."
    with (
        stop_on_signal(sentence) as stop,
        open_footnote(settings_from(store, kb, chroma)) as footnote,
        progress(quiet=as_json) as on_event,
    ):
        report = footnote.reindex(on_event=on_event, stop=stop)
    if as_json:
        _print_json(plain(report))
    else:
        show_sync(report)
    if report.interrupted:
        return INTERRUPTED
    return FAILED_FILES if report.failed else 0


@app.command("eval")
def evaluate(
    questions: Annotated[Path, typer.Argument(metavar="FILE", help="Questions as JSON lines.")],
    k: Annotated[int | None, typer.Option("-k", min=1, max=1000, help="Hits to look at (10).")] = None,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Search, but write no answers.")
    ] = False,
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Measure search and answers on questions of your own.

    A line is {"id", "question", "answerable"?, "relevant"?: [path…], "spans"?: [[path, start, end]…],
    "filters"?, "history"?}; paths may leave out the ending.
    """
    settings = settings_from(store, kb, chroma)
    from api.terminal import table
    from rag.eval.measures import measure
    from rag.eval.questions import read_questions
    from rag.eval.run import run_questions
    from rag.wiring import open_footnote

    items = read_questions(questions)
    with open_footnote(settings) as footnote:
        results = run_questions(footnote, items, k=k or 10, answers=not retrieval_only)
    measures = measure(results, k or 10)
    if as_json:
        _print_json({one.name: {"value": one.value, "n": one.n} for one in measures})
    else:
        table(
            ("measure", "value", "questions"),
            [(one.name, f"{one.value:.3f}", one.n) for one in measures],
        )
    return 0


@app.command()
def version(
    store: opt.Store = None,
    kb: opt.KnowledgeBase = None,
    chroma: opt.Chroma = None,
    as_json: opt.Json = False,
) -> int:
    """Show versions and the store in use."""
    import platform
    from importlib.metadata import version as version_of

    settings = settings_from(store, kb, chroma)
    found = {
        "footnote": version_of("footnote"),
        "python": platform.python_version(),
        "chromadb": version_of("chromadb"),
        "onnxruntime": version_of("onnxruntime"),
        "store": str(settings.store),
        "kb": settings.kb,
    }
    if as_json:
        _print_json(found)
    else:
        for name, value in found.items():
            print(f"{name} {value}")
    return 0


def _one_of(question: str | None, batch: Path | None, out: Path | None) -> None:
    if (question is None) == (batch is None):
        raise UsageError("Give either a QUESTION or --batch FILE.")
    if out is not None and batch is None:
        raise UsageError("--out belongs to --batch; redirect stdout for a single question.")


def _batch(questions: Path, out: Path | None, answer: Any) -> int:
    from api.batch import run_batch
    from api.terminal import count, say

    started_s = time.perf_counter()
    n_lines, n_errors = run_batch(questions, out, answer)
    took_s = time.perf_counter() - started_s
    say(f"{count(n_lines, 'line')}, {count(n_errors, 'error')}, {took_s:.1f} s.", err=True)
    return FAILED_LINES if n_errors else 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def run(args: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; nothing but ``SystemExit`` ever leaves it."""
    from api.failure import report, report_usage

    as_json = "--json" in args
    command = typer.main.get_command(app)
    try:
        with command.make_context("footnote", list(args) or ["--help"]) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.Exit as exc:
        return exc.exit_code
    except typer.TyperException as exc:
        return report_usage(exc, as_json=as_json)
    except (Exception, KeyboardInterrupt) as exc:
        return report(exc, as_json=as_json)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
