"""The layers around the chat client, outermost first. Each is a ``ChatModel`` that wraps a ``ChatModel``.

share      equal requests in flight are one
cache      a reply that is known is not asked for
route      the right model, and the next one when it fails
  retry      once more where that may help
  gate       not now, where the server keeps failing          one breaker for each server
  queue      when it is our turn                              one scheduler for each model
  breaker    counts the failures, sends the probe
  trace, log, cost                                            what happened, what it took
  mask       personal data stays here
  window     what does not fit is not sent
  patience   a silent server is given up
    client     HTTP
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rag.core.chat_server import ChatServer
from rag.core.protocols import ChatModel
from rag.core.settings import Settings
from rag.llm.cache_store import ReplyStore
from rag.llm.corrections import CORRECTIONS
from rag.llm.ledger import Ledger
from rag.llm.meter import Meter, NoMeter
from rag.llm.models import lookup
from rag.llm.personal import NameFinder
from rag.llm.serving_db import FILE
from rag.llm.tokens import use_encoding

if TYPE_CHECKING:
    from rag.llm.batched import BatchedClient
    from rag.llm.breaker import Breaker
    from rag.llm.schedule.scheduler import Scheduler

_BATCH_PRICE: Final = 0.5
"""Of the usual one, at the providers that have a batch endpoint."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What all event loops of a process share. Close it last."""

    meter: Meter
    ledger: Ledger | None = None
    replies: ReplyStore | None = None
    file: Path | None = None

    def close(self) -> None:
        if self.file is not None:
            CORRECTIONS.save(self.file)
        if self.ledger is not None:
            self.ledger.close()
        if self.replies is not None:
            self.replies.close()


def open_remembered(settings: Settings, folder: Path, meter: Meter | None = None) -> Remembered:
    """The ledger and the cache in the store's folder. Raises ``StoreError``."""
    CORRECTIONS.load(folder / FILE)
    cache = ReplyStore(folder / FILE, ttl_s=settings.answer_cache_ttl_s, max_mb=settings.answer_cache_mb)
    replies = cache if settings.answer_cache else None
    return Remembered(meter or NoMeter(), Ledger(folder / FILE), replies, folder / FILE)


def build_chat_model(settings: Settings, remembered: Remembered | None = None) -> ChatModel | None:
    """The chat models of the settings as one, for one event loop; None where none is configured.

    Raises ``SettingsError``.
    """
    servers = settings.chat_servers()
    if not servers:
        return None
    from rag.llm.breaker import Breaker
    from rag.llm.cache import CachedChatModel
    from rag.llm.route import Candidate, RoutedChatModel
    from rag.llm.routing import Rule
    from rag.llm.share import SharedChatModel

    remembered = remembered or Remembered(NoMeter())
    meter = remembered.meter
    names = _names(settings)
    breakers: dict[str, Breaker] = {}
    schedulers: dict[tuple[str, str], Scheduler] = {}
    candidates = []
    for server in servers:
        # Models behind one address go down together, but each has limits of its own.
        breaker = breakers.setdefault(server.base_url, Breaker(server.base_url, meter))
        scheduler = schedulers.setdefault((server.base_url, server.model), _scheduler(server, meter))
        candidates.append(
            Candidate(_layers(server, settings, remembered, breaker, scheduler, names), server.tier)
        )
    rule = Rule(settings.route_strong_below, settings.route_strong_chars)
    model: ChatModel = RoutedChatModel(candidates, rule, meter=meter)
    if remembered.replies is not None:
        model = CachedChatModel(model, remembered.replies, meter, asked_of=_asked_of(settings))
    # Outside the cache, so that a reply is kept when the server has ended it, and not when its last reader has.
    return SharedChatModel(model, meter)


def build_batched_model(settings: Settings, remembered: Remembered, client: BatchedClient) -> ChatModel:
    """The layers that make sense around the first server's batch endpoint: nobody waits there, and nothing is tried
    twice. Raises ``SettingsError``."""
    from rag.llm.cache import CachedChatModel
    from rag.llm.cost import CostedChatModel
    from rag.llm.mask import MaskedChatModel, masks
    from rag.llm.window import WindowedChatModel

    server, meter = settings.chat_servers()[0], remembered.meter
    info = lookup(server.model, settings.models_file)
    model: ChatModel = WindowedChatModel(client, max_output_tokens=info.max_output_tokens)
    if masks(settings.personal_data, server.base_url):
        # The same placeholders in each run, or a batch that was interrupted would not be known again.
        key = hashlib.sha256(str(settings.store).encode()).digest()
        model = MaskedChatModel(model, meter, names=_names(settings), key=key)
    model = CostedChatModel(model, info.at_share(_BATCH_PRICE), ledger=remembered.ledger, meter=meter)
    if remembered.replies is not None:
        model = CachedChatModel(model, remembered.replies, meter, asked_of=_asked_of(settings))
    return model


def _asked_of(settings: Settings) -> str:
    return " ".join(f"{server.base_url} {server.model}" for server in settings.chat_servers())


def _scheduler(server: ChatServer, meter: Meter) -> Scheduler:
    from rag.llm.schedule.scheduler import Scheduler

    return Scheduler(
        f"{server.base_url} {server.model}",
        requests_per_minute=server.requests_per_minute,
        tokens_per_minute=server.tokens_per_minute,
        max_concurrency=server.max_concurrency,
        queue_length=server.queue_length,
        meter=meter,
    )


def _layers(
    server: ChatServer,
    settings: Settings,
    remembered: Remembered,
    breaker: Breaker,
    scheduler: Scheduler,
    names: NameFinder | None,
) -> ChatModel:
    """One model of one server, from the client outwards."""
    from rag.llm.breaker import BreakingChatModel, GatedChatModel
    from rag.llm.client import HttpChatModel
    from rag.llm.cost import Budget, CostedChatModel
    from rag.llm.logs import LoggedChatModel
    from rag.llm.mask import MaskedChatModel, masks
    from rag.llm.patience import PatientChatModel
    from rag.llm.queue import QueuedChatModel
    from rag.llm.retry import RetryingChatModel
    from rag.llm.traces import TracedChatModel, wants_traces
    from rag.llm.window import WindowedChatModel

    info, meter = lookup(server.model, settings.models_file), remembered.meter
    if info.encoding:
        use_encoding(server.model, info.encoding)
    client = HttpChatModel.of(server, context_window=info.context_tokens, on_rate_limits=scheduler.learn)
    model: ChatModel = PatientChatModel(client)
    model = WindowedChatModel(model, max_output_tokens=info.max_output_tokens)
    if masks(settings.personal_data, server.base_url):
        model = MaskedChatModel(model, meter, names=names)
    model = CostedChatModel(
        model, info, ledger=remembered.ledger, budget=Budget(settings.budget_usd_per_day), meter=meter
    )
    model = LoggedChatModel(model, texts=settings.log_texts)
    if wants_traces():
        model = TracedChatModel(model, client.base_url)
    model = BreakingChatModel(model, breaker)
    model = QueuedChatModel(model, scheduler)
    model = GatedChatModel(model, breaker)
    return RetryingChatModel(model, meter=meter)


def _names(settings: Settings) -> NameFinder | None:
    if not settings.personal_names:
        return None
    from rag.llm.personal_names import names_finder

    return names_finder()


def first_key(settings: Settings) -> Callable[[], str | None]:
    """The key of the first server, for what is asked of it beside chat completions."""
    servers = settings.chat_servers()

    def key() -> str | None:
        if not servers:
            return None
        server = servers[0]
        if server.api_key is not None:
            return server.api_key.get_secret_value()
        return os.environ.get(server.api_key_env) if server.api_key_env else None

    return key
