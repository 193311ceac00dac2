"""THE INGEST FLOW: folder → walk → changed? → load → chunk → embed → store → (vanished? → remove).

Makes the knowledge base equal to the folders given. It may be killed at any point and run again: each
step is one transaction, and what is left to do can be read from the catalog.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue

from ingest.access_rules import apply_rules
from ingest.context import IngestContext
from ingest.loaders.sandbox import LoaderPool
from ingest.outcomes import Outcomes, file_row, passwords
from ingest.plan import Plan, ToLoad, make_plan
from ingest.prepare import (
    PathVanished,
    Prepared,
    PrepareJob,
    chunker,
    is_current,
    loader_tag,
    prepare,
    prepare_settings,
)
from ingest.store.catalog import FileRow
from ingest.store.generations import NewGeneration, bury, known_document, put
from ingest.targets import resolve
from ingest.vectorize import Vectorizer
from ingest.walk import WalkRules
from rag.core.errors import LoadError, UsageError
from rag.core.reports import SyncEvent, SyncReport

_IN_FLIGHT_PER_WORKER = 8
_Done = tuple[ToLoad, Future[Prepared]]


def sync(context: IngestContext, paths: Sequence[Path]) -> SyncReport:
    """Raises ``PathNotFound``, ``UsageError`` (a folder without files), ``StoreError``, ``EmbedderError``."""
    begun = time.perf_counter()
    outcomes = Outcomes(begun)
    plan = _plan(context, paths)
    apply_rules(context, plan.found)
    outcomes.planned(plan, context.catalog.n_pending(context.idx))
    vectorizer = Vectorizer(context.catalog, context.idx, context.embedder, context.open_vectors)
    vectorizer.start()
    try:
        _copy_twins(context, plan, outcomes)
        vectorizer.wake(outcomes.n_reused)
        _remove_vanished(context, plan, outcomes)
        _load_changed(context, plan, outcomes, vectorizer)
        if context.stop.is_set():
            vectorizer.stop()
        else:
            vectorizer.finish(lambda: _tell(context, outcomes, vectorizer, "embed"), context.stop)
    except BaseException:
        vectorizer.stop()
        raise
    _tell(context, outcomes, vectorizer, "done")
    return outcomes.report(context, vectorizer.stats, interrupted=context.stop.is_set())


def _plan(context: IngestContext, paths: Sequence[Path]) -> Plan:
    settings, catalog = context.settings, context.catalog
    context.on_event(SyncEvent("walk"))
    targets = resolve(catalog, context.idx.kb_id, paths)
    rules = WalkRules(settings.include, settings.exclude, settings.hidden_files)
    plan = make_plan(catalog, context.idx, targets, rules, is_current)
    if plan.empty:
        raise UsageError(
            f"{', '.join(plan.empty)} has no files to ingest, so nothing was changed; name another folder, "
            "look at --include and --exclude, or empty the knowledge base with 'footnote remove \"**\"'."
        )
    return plan


def _copy_twins(context: IngestContext, plan: Plan, outcomes: Outcomes) -> None:
    """A renamed or copied file has been parsed already, and its texts have their vectors."""
    for item, digest in plan.twins:
        suffix = PurePosixPath(item.found.path).suffix.lower()
        known = known_document(context.catalog, context.idx, digest, suffix)
        if known is None or not is_current(known[1]):
            plan.to_load.append(item)
            continue
        document, loader = known
        unread = Prepared(digest, item.found.size, item.found.mtime_ns, None)
        row = file_row(context, item, unread, loader)
        spans = chunker(context.settings).chunk(document)
        counts = put(context.catalog, context.idx, NewGeneration(row, document, spans))
        outcomes.copied(item, digest, plan.vanished, *counts)


def _remove_vanished(context: IngestContext, plan: Plan, outcomes: Outcomes) -> None:
    _take_out(context, plan.vanished, outcomes)


def _take_out(context: IngestContext, rows: Sequence[FileRow], outcomes: Outcomes) -> None:
    gone = [row.source_id for row in rows]
    if gone:
        with context.catalog.writing():
            bury(context.catalog, context.idx, gone)
            context.catalog.forget_files(gone)
    outcomes.vanished(rows)


def _load_changed(context: IngestContext, plan: Plan, outcomes: Outcomes, vectorizer: Vectorizer) -> None:
    if not plan.to_load:
        return
    settings = context.settings
    words, needed = passwords(settings.password_file), prepare_settings(settings)
    done: SimpleQueue[_Done] = SimpleQueue()
    waiting, in_flight = list(reversed(plan.to_load)), 0
    with LoaderPool(settings.load_workers, settings.load_timeout_s, settings.load_memory_mb) as pool:
        while (waiting or in_flight) and not context.stop.is_set():
            while waiting and in_flight < settings.load_workers * _IN_FLIGHT_PER_WORKER:
                item = waiting.pop()
                job = PrepareJob(item.path, item.found.path, needed, words, item.known_hash)
                future = pool.submit(prepare, job, path=item.found.path)
                future.add_done_callback(partial(_report_done, done, item))
                in_flight += 1
            _tell(context, outcomes, vectorizer, "load")
            if vectorizer.error is not None:
                raise vectorizer.error
            try:
                item, future = done.get(timeout=0.2)
            except Empty:
                continue
            in_flight -= 1
            _take(context, item, future, outcomes)
            vectorizer.wake(outcomes.n_reused)


def _report_done(done: SimpleQueue[_Done], item: ToLoad, future: Future[Prepared]) -> None:
    done.put((item, future))


def _take(context: IngestContext, item: ToLoad, future: Future[Prepared], outcomes: Outcomes) -> None:
    """Writes what became of one file."""
    try:
        prepared = future.result()
    except PathVanished:
        _take_out(context, [item.known] if item.known else [], outcomes)
        outcomes.n_files -= 1
        outcomes.n_to_load -= 1
        return
    except LoadError as exc:
        # It could not be read at all, so nothing is known of its contents: the version at hand stays.
        outcomes.failed(context, item, exc)
        return
    if prepared.error is not None:
        outcomes.failed(context, item, prepared.error, prepared)
    elif prepared.document is None:
        outcomes.touched(context, item, prepared)
    else:
        row = file_row(context, item, prepared, loader_tag(prepared.document.media_type))
        n_chunks, n_known = put(
            context.catalog, context.idx, NewGeneration(row, prepared.document, prepared.spans)
        )
        outcomes.loaded(item, prepared.document, n_chunks, n_known)


def _tell(context: IngestContext, outcomes: Outcomes, vectorizer: Vectorizer, stage: str) -> None:
    context.on_event(outcomes.event(stage, vectorizer.stats))
