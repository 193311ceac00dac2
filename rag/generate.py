"""Sentences from the chat model, each verified before it is let go."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from rag import markers, prompt
from rag.core.protocols import ChatModel
from rag.core.settings import Settings
from rag.core.types import ChatRequest, Delta, Done, Sentence, Switched, Usage, Verdict
from rag.draft import Draft, take
from rag.guard.refusal import says_unknown
from rag.llm import tokens
from rag.offload import off_loop

_WHOLE = re.compile(r"[.!?…:;。！？][\"'”’»)*_]*\s*$")


async def generated(
    chat: ChatModel, request: ChatRequest, settings: Settings, draft: Draft
) -> AsyncGenerator[Sentence, None]:
    """The sentences of the chat model that may be shown. Raises ``ChatError``."""
    stream = markers.SentenceStream()
    written: list[str] = []
    told = False
    try:
        async with aclosing(chat.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                match event:
                    case Usage():
                        draft.usage, told = draft.usage + event, True
                        continue
                    case Switched():
                        draft.switched.append(event)
                        continue
                    case Delta():
                        written.append(event.text)
                        pieces = stream.feed(event.text)
                    case Done():
                        draft.done = event
                        pieces = _finished(stream.close(), event, draft, settings)
                for raw in map(prompt.without_fences, pieces):
                    checked = await off_loop(draft.verifier.check, raw)
                    if checked.sentence.verdict is Verdict.UNSUPPORTED and says_unknown(raw):
                        draft.says_unknown = True
                    elif (released := take(draft, checked, settings)) is not None:
                        yield released
    finally:
        if written and not told:  # a stream that breaks off has cost something too
            counter = tokens.TiktokenCounter(chat.name)
            n_out = counter.count("".join(written))
            draft.usage += Usage(tokens.count_messages(counter, request.messages), n_out, estimated=True)


def _finished(pieces: list[str], done: Done, draft: Draft, settings: Settings) -> list[str]:
    """The last sentences; half a sentence is none, for what it lacks may turn it round."""
    if done.finish_reason == "length":
        draft.notices.append(
            f"The chat model's answer was cut off at {settings.answer_tokens} tokens; raise answer_tokens for longer ones."
        )
    elif done.finish_reason == "interrupted":
        draft.notices.append(
            "The chat server broke off in the middle of the answer, which stops there; ask again."
        )
    else:
        return pieces
    return pieces if not pieces or _WHOLE.search(markers.strip_markers(pieces[-1])) else pieces[:-1]
