"""``footnote batch --provider``: all questions to the provider's batch endpoint at once, answered within a day."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from api.batch.answering import Ask
from api.batch.lines import parsed_line
from api.batch.run import Outcome, Question
from api.schemas import BatchLine
from rag.core.errors import UsageError
from rag.core.protocols import ChatModel
from rag.core.settings import Settings
from rag.core.types import Answer
from rag.llm.batched import BatchedClient
from rag.llm.models import lookup
from rag.llm.provider_batch import BatchState, ProviderBatch
from rag.llm.stack import Remembered, build_batched_model
from rag.wiring import Footnote

POLL_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.3


def check_provider(settings: Settings) -> None:
    """Raises ``UsageError`` without a chat server."""
    if not settings.chat_servers():
        raise UsageError(
            "--provider needs a chat server with a batch endpoint; set llm_base_url, or leave it out."
        )


def by_the_provider(
    footnote: Footnote,
    ask: Ask,
    out: Path,
    questions: Sequence[Question],
    *,
    say: Callable[[str], None],
    poll_s: float | None = None,
) -> Ask:
    """Asks so that each answer's request waits for the others, and all go together. The ids of batches are kept beside
    the output, so that a run that was killed takes up what the provider has done meanwhile."""
    settings, ids = footnote.settings, out.with_name(out.name + ".batches")
    server = settings.chat_servers()[0]
    window = server.context_tokens or lookup(server.model, settings.models_file).context_tokens
    earlier = json.loads(ids.read_text("utf-8")) if ids.is_file() else []

    def keep(batch_id: str) -> None:
        earlier.append(batch_id)
        ids.write_text(json.dumps(earlier), "utf-8")

    def told(state: BatchState) -> None:
        say(f"The provider's batch {state.id}: {state.status}, {state.n_completed} of {state.n_requests}.")

    client = BatchedClient(
        ProviderBatch(server),
        server.model,
        window,
        earlier=earlier,
        on_batch=keep,
        on_progress=told,
        poll_s=poll_s or POLL_S,
    )
    client.expect(sum(map(_can_be_asked, questions)))

    def made(remembered: Remembered) -> ChatModel:
        return build_batched_model(settings, remembered, client)

    footnote.use_chat(made)

    async def asked(line: BatchLine) -> Answer:
        try:
            return await ask(line)
        finally:
            client.flow_ended()

    return asked


def _can_be_asked(question: Question) -> bool:
    """A line that cannot be read is no flow that the others wait for."""
    try:
        BatchLine.model_validate(parsed_line(question.raw))
    except ValueError:
        return False
    return True


async def until_stopped(work: Coroutine[Any, Any, Outcome], stop: threading.Event) -> Outcome:
    """Nothing is in hand that would be finished soon: the provider may take a day, and the next run goes on."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait([task], timeout=_LOOK_EVERY_S)
        if stop.is_set() and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return Outcome(interrupted=True)
    return task.result()
