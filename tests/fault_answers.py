"""What the fault server says to a question, and the events that say it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.faults import Exchange, Fault

_WORDS = (
    "the",
    "größte",
    "résumé",
    "日本語",
    "of",
    "a\u2028b",
    "0",
    "0",
    "naïve",
    "and",
    "🙂",
    '"quoted"',
    "x\\y",
)


def answer_to(question: str) -> str:
    """What the server says to a question, and to no other."""
    digest = hashlib.sha256(question.encode()).digest()
    words = " ".join(_WORDS[byte % len(_WORDS)] for byte in digest[: 4 + digest[0] % 24])
    return f"Answer {digest.hex()[:12]}: {words} -- end."


def question_of(body: dict[str, Any]) -> str:
    asked = [one for one in _messages(body) if one[0] == "user"]
    begun = _begun(body)
    return begun[0] if begun else (asked[-1][1] if asked else "")


def still_to_say(body: dict[str, Any]) -> list[str]:
    """The pieces of the answer, or of its rest where the messages hold its beginning."""
    begun = _begun(body)
    answer = answer_to(begun[0])[len(begun[1]) :] if begun else answer_to(question_of(body))
    first, *words = answer.split(" ")
    return [piece for piece in (first, *(f" {word}" for word in words)) if piece]


def n_input_tokens(body: dict[str, Any]) -> int:
    return sum(4 + len(text) // 4 for _, text in _messages(body))


def _begun(body: dict[str, Any]) -> tuple[str, str] | None:
    """(question, beginning of its answer) where the messages hold an answer that is to be gone on with."""
    messages = _messages(body)
    for (asker, question), (speaker, said) in itertools.pairwise(messages):
        if asker == "user" and speaker == "assistant" and said:
            answer = answer_to(question)
            if answer.startswith(said) and answer != said:
                return question, said
    return None


def _messages(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(one.get("role")), str(one.get("content"))) for one in body.get("messages", [])]


# Its events


async def events_of(exchange: Exchange, pieces: list[str]) -> AsyncIterator[tuple[bytes, bool]]:
    """(one event or more, whether it is a piece of the answer)"""
    fault = exchange.fault
    _, finish = limited(exchange.body)
    if fault is Fault.ERROR_FIRST:
        yield (
            _data({"error": {"message": "The engine is overloaded", "type": "server_error", "code": 503}}),
            False,
        )
        return
    if fault is Fault.EMPTY_STREAM:
        return
    role = _data(_chunk(exchange, {"role": "assistant", "content": ""}))
    last = _data(_chunk(exchange, {}, finish))
    asked = (exchange.body.get("stream_options") or {}).get("include_usage") and fault is not Fault.NO_USAGE
    usage = (
        _data({**_chunk(exchange, {}), "choices": [], "usage": usage_of(exchange.body, pieces)})
        if asked
        else b""
    )
    yield role * (2 if fault is Fault.DUPLICATES else 1), False
    if fault is Fault.OUT_OF_ORDER:
        yield usage, False
    for number, event in enumerate(_pieces(exchange, pieces)):
        if fault is Fault.OUT_OF_ORDER and number == len(pieces) - 1:
            yield last, False
        yield event, True
    if fault is not Fault.OUT_OF_ORDER:
        yield last * (2 if fault is Fault.DUPLICATES else 1), False
        yield usage * (2 if fault is Fault.DUPLICATES else 1), False
    if fault is not Fault.NO_DONE:
        yield b"data: [DONE]\n\n" * (2 if fault is Fault.DUPLICATES else 1), False


def _pieces(exchange: Exchange, pieces: list[str]) -> list[bytes]:
    chunks = [_chunk(exchange, {"content": piece}) for piece in pieces]
    match exchange.fault:
        case Fault.COMMENTS:
            noise = b": keep-alive\n\nretry: 10\nevent: ping\ndata: still here\n\nevent: message\nid: x\nfield: y\n"
            return [noise + _data(chunk) for chunk in chunks]
        case Fault.MULTI_LINE_DATA:
            texts = [json.dumps(chunk, ensure_ascii=False, indent=1) for chunk in chunks]
            return [
                "".join(f"data: {line}\n" for line in text.split("\n")).encode() + b"\n" for text in texts
            ]
        case Fault.DUPLICATES:
            return [(b"id: %d\n%b" % (n, _data(chunk))) * (n % 3 + 1) for n, chunk in enumerate(chunks)]
        case Fault.SHUFFLED:
            first, *others = [b"id: %d\n%b" % (n, _data(chunk)) for n, chunk in enumerate(chunks)]
            return [first, *(one for at in range(0, len(others), 3) for one in reversed(others[at : at + 3]))]
        case Fault.OUT_OF_ORDER:
            other = [
                _data({**chunk, "choices": [{"index": 1, "delta": {"content": "WRONG"}}]}) for chunk in chunks
            ]
            return [stray + _data(chunk) for stray, chunk in zip(other, chunks, strict=True)]
        case Fault.TOOL_CALLS:
            call = {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}], "content": None}
            thought = {"reasoning_content": "Hm.", "reasoning": "Hm.", "content": None}
            noise = _data(_chunk(exchange, call)) + _data(_chunk(exchange, thought))
            return [noise + _data(chunk) for chunk in chunks]
    return [_data(chunk) for chunk in chunks]


def limited(body: dict[str, Any]) -> tuple[list[str], str]:
    """(the pieces within ``max_tokens``, the finish reason)"""
    pieces = still_to_say(body)
    most = int(body.get("max_completion_tokens") or body.get("max_tokens") or len(pieces))
    return pieces[:most], "stop" if len(pieces) <= most else "length"


def usage_of(body: dict[str, Any], pieces: list[str]) -> dict[str, int]:
    n_input = n_input_tokens(body)
    return {"prompt_tokens": n_input, "completion_tokens": len(pieces), "total_tokens": n_input + len(pieces)}


def _chunk(exchange: Exchange, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return reply_of(exchange, {"delta": delta, "finish_reason": finish})


def reply_of(exchange: Exchange, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{exchange.number}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": exchange.body.get("model"),
        "choices": [{"index": 0, **choice}],
    }


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
