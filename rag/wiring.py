"""THE COMPOSITION ROOT: settings in, working objects out. The one file that builds concrete classes."""

from __future__ import annotations

import asyncio
import copy
import threading
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from ingest.store.chunk_index import StoreIndex
from ingest.store.store import Store
from rag.core.errors import Forbidden
from rag.core.reports import DoctorReport, OnSyncEvent, SourceInfo, StoreStatus, SyncReport
from rag.core.settings import Settings
from rag.core.types import Answer, AnswerEvent, Document, Filters, Final, Message, Priority, Retrieval, Scope
from rag.llm.meter import Meter, NoMeter

if TYPE_CHECKING:
    from ingest.context import IngestContext
    from ingest.store.catalog import IndexRow
    from rag.answer import AnswerParts
    from rag.core.protocols import ChatModel, Embedder, Vectors
    from rag.llm.moderate import Moderator
    from rag.llm.semantic import SemanticIndex
    from rag.llm.stack import Remembered
    from rag.loop import LoopThread
    from rag.retrieve.hybrid import HybridRetriever

TENANT = "default"


def open_footnote(settings: Settings, *, create: bool = False, meter: Meter | None = None) -> Footnote:
    """Opens a store. Use it as a context manager, or close it.

    ``create`` makes the store if it is not there; ``meter`` is told what happens. Nothing is locked before the first write.
    Raises ``StoreError`` and its subclasses.
    """
    return Footnote(settings, Store(settings.store, chroma_url=settings.chroma, create=create), meter)


if TYPE_CHECKING:
    _shared = cached_property
else:

    class _shared(cached_property):
        """Made once for a store, whoever asks for it first."""

        def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
            return super().__get__(None if instance is None else instance.whole, owner)


class Footnote:
    """A store and everything that works on it. Questions may be asked from several threads at once.

    ``seen_by`` gives the same as one tenant, and members of groups, see it; every method keeps to that.
    """

    def __init__(self, settings: Settings, store: Store, meter: Meter | None = None) -> None:
        self.settings = settings
        self.meter: Meter = meter or NoMeter()
        self.store = store
        self.whole = self
        self.tenant, self.key = TENANT, ""
        self.groups: frozenset[str] | None = None
        self._on_question: Callable[[], Awaitable[None]] | None = None
        self._writing = threading.Lock()
        self._building = threading.Lock()
        self._chats: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[ChatModel | None, Moderator | None]
        ] = WeakKeyDictionary()

    def seen_by(
        self,
        tenant: str,
        groups: frozenset[str] | None = None,
        *,
        key: str = "",
        on_question: Callable[[], Awaitable[None]] | None = None,
    ) -> Footnote:
        """Shares everything with this one, which alone is closed. ``groups``: of who asks; None sees all documents.
        ``key`` is the label under which it is accounted; ``on_question`` may refuse a question by an error."""
        seen = copy.copy(self)
        seen.tenant, seen.groups, seen.key, seen._on_question = tenant, groups, key, on_question
        return seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is under way. A loop that used ``stream`` calls ``aclose`` first."""
        if "_loop" in vars(self):
            self._loop.run(self.aclose())
            self._loop.close()
        if "_similar" in vars(self) and self._similar is not None:
            self._similar.close()
        if "_remembered" in vars(self):
            self._remembered.close()
        self.store.close()

    async def aclose(self) -> None:
        """Closes the connections that belong to the running loop."""
        from rag.llm.moderate_endpoint import EndpointModerator

        chat, moderator = self._chats.pop(asyncio.get_running_loop(), (None, None))
        if isinstance(moderator, EndpointModerator):
            await moderator.close()
        if chat is not None:
            await chat.close()

    # Writing

    def ingest(
        self,
        paths: Sequence[Path | str],
        *,
        kb: str | None = None,
        on_event: OnSyncEvent | None = None,
        stop: threading.Event | None = None,
    ) -> SyncReport:
        """Makes the knowledge base equal to the folders and files given. See ``ingest/sync.py``."""
        from ingest.sync import sync

        self._may_write()
        with self._writing:
            self.store.become_writer()
            return sync(self._ingest_context(kb, on_event, stop), [Path(path) for path in paths])

    def watch(
        self,
        paths: Sequence[Path | str],
        *,
        on_report: Callable[[SyncReport], None],
        kb: str | None = None,
        on_event: OnSyncEvent | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Ingests, and again whenever something changes, until ``stop`` is set."""
        from ingest.watch import watch

        stop = stop or threading.Event()
        watch(
            [Path(path) for path in paths],
            lambda: on_report(self.ingest(paths, kb=kb, on_event=on_event, stop=stop)),
            stop,
        )

    def reindex(
        self,
        *,
        kb: str | None = None,
        on_event: OnSyncEvent | None = None,
        stop: threading.Event | None = None,
    ) -> SyncReport:
        """Builds the index anew with the settings at hand, beside the old one, and swaps."""
        from ingest.reindex import reindex

        self._may_write()
        with self._writing:
            self.store.become_writer()
            context, old = self._reindex_context(kb, on_event, stop)
            return reindex(context, old)

    def remove(self, patterns: Sequence[str], *, kb: str | None = None) -> list[str]:
        """Removes documents by path, glob or id from the knowledge base; the files stay where they are.

        Raises ``UnknownSource`` if a pattern fits nothing.
        """
        from ingest.remove import remove

        self._may_write()
        with self._writing:
            idx = self.index.index_of(self.scope(kb))
            self.store.become_writer()
            return remove(self.store.catalog, idx, patterns, self.store.vectors())

    def add_upload(self, name: str, data: bytes, *, kb: str | None = None) -> SourceInfo:
        """Stores a file beside the store and ingests it. Raises ``LoadError`` if it cannot be read."""
        from ingest.uploads import add_upload

        self._may_write()
        with self._writing:
            self.store.become_writer()
            path = add_upload(self._ingest_context(kb, None, None), self.store.folder, name, data)
        return next(info for info in self.sources(kb=kb) if info.uri == path)

    def doctor(self, *, repair: bool = False) -> DoctorReport:
        """Proves that catalog, full text and vectors agree; needs the store for itself."""
        from ingest.prepare import embedding_texts
        from ingest.store.doctor import examine

        with self._writing:
            self.store.become_writer()
            settings = self.settings
            return examine(
                self.store.catalog,
                self.store.vectors(),
                repair=repair,
                rechunk=lambda _: lambda document: embedding_texts(settings, document),
            )

    # Asking

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        filters: Filters | None = None,
        kb: str | None = None,
    ) -> Retrieval:
        """The best chunks for a question. Raises ``InvalidQuestion``, ``UnknownKnowledgeBase``."""
        from rag.guard.question import checked_question

        asked = checked_question(question, self.settings.max_question_chars)
        return self.retriever.retrieve(asked, self.scope(kb, filters), k or self.settings.top_k)

    def ask(
        self,
        question: str,
        *,
        filters: Filters | None = None,
        kb: str | None = None,
        history: tuple[Message, ...] = (),
        priority: Priority = "interactive",
    ) -> Answer:
        """The answer with its citations. From inside an event loop use ``stream``, which does not block it."""

        async def last() -> Answer:
            answer: Answer | None = None
            events = self.stream(question, filters=filters, kb=kb, history=history, priority=priority)
            async for event in events:
                if isinstance(event, Final):
                    answer = event.answer
            assert answer is not None, "the flow ends with Final"
            return answer

        return self._loop.run(last())

    async def stream(
        self,
        question: str,
        *,
        filters: Filters | None = None,
        kb: str | None = None,
        history: tuple[Message, ...] = (),
        priority: Priority = "interactive",
        trace_id: str = "",
    ) -> AsyncGenerator[AnswerEvent, None]:
        """``Retrieved``, then each verified ``Sentence`` as it is ready, then ``Final``. Close it to stop early."""
        from rag.answer import answer
        from rag.observe import observed

        if self._on_question is not None:
            await self._on_question()
        scope, trace_id = self.scope(kb, filters), trace_id or uuid.uuid4().hex
        asked = answer(
            question,
            scope,
            self.answer_parts(asyncio.get_running_loop()),
            history=history,
            priority=priority,
            trace_id=trace_id,
        )
        seen = observed(
            asked, question, scope, self.settings, self.meter, trace_id=trace_id, priority=priority
        )
        async with aclosing(seen) as events:
            async for event in events:
                yield event

    # Looking

    def sources(self, *, kb: str | None = None) -> list[SourceInfo]:
        from ingest.store.listing import list_sources

        catalog = self.store.catalog
        kb_id = catalog.find_kb(self.tenant, kb or self.settings.kb)
        return list_sources(catalog, kb_id, self.groups)

    def status(self) -> StoreStatus:
        from ingest.store.listing import store_status

        return store_status(self.store, self.tenant, self.settings.chroma, self.groups)

    def document(self, source_id: str, *, kb: str | None = None) -> Document:
        """The live version of a document. Raises ``UnknownSource``."""
        from ingest.store.listing import read_document

        return read_document(self.store.catalog, self.index.index_of(self.scope(kb)), source_id, self.groups)

    def original(self, source_id: str, *, kb: str | None = None) -> Path | None:
        """Where the original file is, if it is still there."""
        for info in self.sources(kb=kb):
            path = Path(info.root) / info.uri
            if info.id == source_id and path.is_file():
                return path
        return None

    # Parts

    def scope(self, kb: str | None = None, filters: Filters | None = None) -> Scope:
        return Scope(kb or self.settings.kb, self.tenant, filters or Filters(), self.groups)

    @_shared
    def embedder(self) -> Embedder:
        from ingest.embed.registry import load_embedder

        return load_embedder(self.settings)

    @_shared
    def index(self) -> StoreIndex:
        return StoreIndex(
            self.store.catalog, self.store.vectors_for_reading, embedder=self.embedder.fingerprint
        )

    @_shared
    def retriever(self) -> HybridRetriever:
        from rag.retrieve.hybrid import HybridRetriever
        from rag.retrieve.rerank import load_reranker

        settings = self.settings
        reranker = load_reranker(settings.reranker, settings.rerank_top) if settings.reranker else None
        return HybridRetriever(self.index, self.embedder, candidates=settings.candidates, reranker=reranker)

    def answer_parts(self, loop: asyncio.AbstractEventLoop) -> AnswerParts:
        """What answers are made with; what talks to chat servers belongs to the loop."""
        from rag.answer import AnswerParts

        chat, moderator = self._chat_of(loop)
        return AnswerParts(
            settings=self.settings,
            retriever=self.retriever,
            index=self.index,
            embedder=self.embedder,
            chat=chat,
            chat_for=self._chat_for(chat),
            moderator=moderator,
            warning=self._budget_warning if self.settings.budget_usd_per_day else None,
            meter=self.meter,
        )

    def _chat_of(self, loop: asyncio.AbstractEventLoop) -> tuple[ChatModel | None, Moderator | None]:
        from rag.llm.moderators import build_moderator
        from rag.llm.stack import build_chat_model, first_key

        with self._building:
            if loop not in self._chats:
                chat = build_chat_model(self.settings, self._remembered)
                self._chats[loop] = chat, build_moderator(self.settings, chat, first_key(self.settings))
            return self._chats[loop]

    def use_chat(self, make: Callable[[Remembered], ChatModel]) -> None:
        """Answers of the running loop are written by this model from now on."""
        chat = make(self._remembered)
        with self._building:
            self._chats[asyncio.get_running_loop()] = chat, None

    def _chat_for(self, chat: ChatModel | None) -> Callable[[str], ChatModel] | None:
        """Serves replies to similar questions too, where the settings say so."""
        from rag.llm.cache import CachedChatModel
        from rag.llm.share import SharedChatModel

        replies = self._remembered.replies
        if self._similar is None or replies is None or not isinstance(chat, SharedChatModel):
            return None
        cached = chat.inner
        if not isinstance(cached, CachedChatModel):
            return None
        similar, asked_of, meter = self._similar, cached.asked_of, self.meter
        return lambda question: similar.around(
            chat, replies, question, self._embedded, asked_of=asked_of, meter=meter
        )

    def _budget_warning(self, tenant: str) -> str | None:
        ledger, settings = self._remembered.ledger, self.settings
        if ledger is None or settings.budget_usd_per_day is None:
            return None
        spent_usd = ledger.spent_today_usd(tenant)
        if spent_usd < settings.budget_warn_share * settings.budget_usd_per_day:
            return None
        return f"${spent_usd:.4f} of today's budget of ${settings.budget_usd_per_day:g} for the chat model is spent."

    def _embedded(self, question: str) -> Vectors:
        vectors: Vectors = self.embedder.embed([question], "query")
        return vectors.reshape(-1)

    @_shared
    def _similar(self) -> SemanticIndex | None:
        if self.settings.semantic_cache is None:
            return None
        from rag.llm.semantic import SemanticIndex
        from rag.llm.serving_db import FILE

        return SemanticIndex(
            self.store.folder / FILE,
            self.settings.semantic_cache,
            ttl_s=self.settings.answer_cache_ttl_s,
            space=self.embedder.fingerprint,
        )

    @_shared
    def _remembered(self) -> Remembered:
        from rag.llm.stack import Remembered, open_remembered

        if not self.settings.chat_servers():
            return Remembered(self.meter)
        return open_remembered(self.settings, self.store.folder, self.meter)

    @_shared
    def _loop(self) -> LoopThread:
        from rag.loop import LoopThread

        return LoopThread()

    def _ingest_context(
        self, kb: str | None, on_event: OnSyncEvent | None, stop: threading.Event | None
    ) -> IngestContext:
        from ingest.context import IngestContext, ignore_event
        from ingest.store.indexes import index_for_writing

        name = kb or self.settings.kb
        idx = index_for_writing(self.store.catalog, self.tenant, name, self.embedder, self._pipeline())
        return IngestContext(
            settings=self.settings,
            catalog=self.store.catalog,
            idx=idx,
            tenant=self.tenant,
            knowledge_base=name,
            embedder=self.embedder,
            open_vectors=self.store.vectors,
            on_event=on_event or ignore_event,
            stop=stop or threading.Event(),
        )

    def _reindex_context(
        self, kb: str | None, on_event: OnSyncEvent | None, stop: threading.Event | None
    ) -> tuple[IngestContext, IndexRow]:
        from ingest.context import IngestContext, ignore_event
        from ingest.store.indexes import index_for_reindex

        name = kb or self.settings.kb
        old, new = index_for_reindex(self.store.catalog, self.tenant, name, self.embedder, self._pipeline())
        context = IngestContext(
            settings=self.settings,
            catalog=self.store.catalog,
            idx=new,
            tenant=self.tenant,
            knowledge_base=name,
            embedder=self.embedder,
            open_vectors=self.store.vectors,
            on_event=on_event or ignore_event,
            stop=stop or threading.Event(),
        )
        return context, old

    def _may_write(self) -> None:
        """Who writes could take the place of a document that is kept from them, so they must see all."""
        if self.groups is not None:
            raise Forbidden("Only who sees the documents of all groups may change them; use another key.")

    def _pipeline(self) -> str:
        from ingest.identity import pipeline_fingerprint
        from ingest.prepare import chunker

        return pipeline_fingerprint(chunker(self.settings).fingerprint, self.embedder.fingerprint)
