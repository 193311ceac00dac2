"""The finished prompt, made to fit the model's window.

The sum of its parts is only near the size of a prompt (tokens join across their edges, a template may use a
placeholder twice), so the prompt is counted as it will be sent, and packed anew with less until it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag import pack
from rag.core.settings import Settings
from rag.core.types import Hit, Message, PackedContext
from rag.llm.tokens import TiktokenCounter, count_messages
from rag.passages import heads
from rag.prompt import PromptTemplate


@dataclass(frozen=True, slots=True)
class Fitted:
    packed: PackedContext
    messages: tuple[Message, ...]
    """The prompt; () where there is no room for a single source."""
    n_turns_left_out: int = 0
    """Oldest turns of the conversation that had to go."""


def prompt_tokens(window: int, settings: Settings, counter: pack.Counter) -> int:
    """Tokens that a prompt may take in all: the window less the answer's reserve, less the counter's margin."""
    return int((window - settings.answer_tokens) / (1 + counter.margin))


def fit(
    asked: str,
    query: str,
    hits: Sequence[Hit],
    template: PromptTemplate,
    history: Sequence[Message],
    text_of: Callable[[str], str],
    counter: TiktokenCounter,
    settings: Settings,
    window: int,
) -> Fitted:
    """Sources are packed for ``query``; ``asked`` is what the model reads. Sources go before old turns: those
    give way while they would take the sources' half of the window."""
    most = prompt_tokens(window, settings, counter)
    wanted = min(settings.context_tokens, most // 2)
    kept = _latest(history, counter, most - wanted - _size(counter, template, asked, ()))
    n_fixed = _size(counter, template, asked, kept)
    room = min(most - n_fixed, settings.context_tokens)
    while room > 0:
        packed = pack.pack(query, hits, text_of, counter, room)
        if not packed.sources:
            break
        messages = template.messages(asked, packed.sources, kept, heads(packed.sources, text_of))
        n_tokens = count_messages(counter, messages)
        if n_tokens <= most:
            return Fitted(packed, messages, len(history) - len(kept))
        room = min(room, packed.n_tokens)
        room = min(room - 1, room * (most - n_fixed) // (n_tokens - n_fixed))
    return Fitted(pack.pack(query, hits, text_of, counter, 0), (), len(history) - len(kept))


def _size(counter: TiktokenCounter, template: PromptTemplate, asked: str, history: Sequence[Message]) -> int:
    return count_messages(counter, template.messages(asked, (), history))


def _latest(history: Sequence[Message], counter: TiktokenCounter, room: int) -> Sequence[Message]:
    """As many of the latest turns as fit. What is left does not begin in the middle of an exchange."""
    sizes = [count_messages(counter, [turn]) for turn in history]
    first = 0
    while first < len(history) and sum(sizes[first:]) > room:
        first += 1
        while first < len(history) and history[first].role == "assistant":
            first += 1
    return history[first:]
