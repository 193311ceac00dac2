"""A thousand questions at once to three chat servers that fail in every way a chat server can:

    python -m benchmarks.faults

30 % of the requests meet a fault, by a seed. How each question ends, how far beyond its deadline, what is sent twice,
and what is left behind: tasks, sockets, memory. The servers are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from rag.core.errors import ChatError
from rag.core.protocols import ChatModel
from rag.core.settings import load_settings
from rag.core.types import Attempts, ChatEvent, ChatRequest, Delta, Done, Message, Switched
from rag.llm.client import HttpChatModel
from rag.llm.stack import build_chat_model
from tests.fault_answers import answer_to

_ORDER = (
    "complete at the first try",
    "complete after a retry",
    "complete from another model",
    "complete, gone on with by another model",
    "marked: broke off",
    "complete, but other words than the server's",
)


@dataclass
class Question:
    text: str
    said: str = ""
    ended: str = ""
    over_deadline_s: float = 0.0
    n_sent: int = 0
    n_again: int = 0
    """Sent again after its first delta, and not to be gone on with."""


ASKED: dict[str, Question] = {}
"""By trace id: the questions of this round."""


class TappedClient(HttpChatModel):
    """Sees what is really sent."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        question = ASKED[request.trace_id]
        question.n_sent += 1
        begun = any(
            one.role == "assistant" and one.content.startswith(question.said) for one in request.messages
        )
        question.n_again += bool(question.said) and not begun
        async with aclosing(super().stream(request)) as events:
            async for event in events:
                yield event


def stack(base_urls: Sequence[str]) -> ChatModel:
    servers = [
        {"base_url": base_url, "model": f"model-{n}", "max_concurrency": 64, "queue_length": 5000}
        for n, base_url in enumerate(base_urls)
    ]
    with patch("rag.llm.client.HttpChatModel", TappedClient):
        model = build_chat_model(load_settings(llm_servers=servers))
    assert model is not None
    return model


async def ask(model: ChatModel, question: Question, timeout_s: float, attempts: int) -> None:
    request = ChatRequest(
        (Message("system", "Answer from the sources."), Message("user", question.text)),
        timeout_s=timeout_s,
        trace_id=question.text,
        attempts=Attempts(attempts),
    )
    began = time.monotonic()
    switched: Switched | None = None
    done: Done | None = None
    error = ""
    try:
        async for event in model.stream(request):
            match event:
                case Delta():
                    question.said += event.text
                case Switched():
                    switched = event
                case Done():
                    done = event
    except ChatError as exc:
        error = f"error: {exc.code}"
        if question.said or not str(exc):
            error = f"FAULTY: {exc.code} after a delta, or without a sentence"
    except Exception as exc:
        error = f"FAULTY: {type(exc).__name__}"
    question.over_deadline_s = time.monotonic() - began - timeout_s
    question.ended = error or _kind(question, done, switched)


def _kind(question: Question, done: Done | None, switched: Switched | None) -> str:
    whole = answer_to(question.text)
    if done is None:
        return "FAULTY: no end"
    if done.finish_reason == "interrupted":
        return "marked: broke off" if whole.startswith(question.said) else "marked, with wrong words"
    if question.said != whole:
        return "complete, but other words than the server's"
    if switched is not None:
        return (
            "complete, gone on with by another model" if switched.resumed else "complete from another model"
        )
    return "complete after a retry" if question.n_sent > 1 else "complete at the first try"


async def one_round(
    name: str, base_urls: Sequence[str], n: int, timeout_s: float, attempts: int, number: int
) -> tuple[list[Question], float, int, int]:
    """(questions, seconds, tasks left, sockets left)"""
    questions = [Question(f"{name} {number}: question {i}?") for i in range(n)]
    ASKED.clear()
    ASKED.update({one.text: one for one in questions})
    model = stack(base_urls)
    began = time.monotonic()
    await asyncio.gather(*(ask(model, one, timeout_s, attempts) for one in questions))
    seconds = time.monotonic() - began
    await asyncio.sleep(0)
    n_tasks = len(asyncio.all_tasks()) - 1
    await model.close()
    await asyncio.sleep(0.1)
    return questions, seconds, n_tasks, n_sockets()


def n_sockets() -> int:
    """Open sockets of this process; the event loop's own pair is taken off."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return found - 2


def rss_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def servers(n: int, fault_share: float, seed: int) -> Iterator[list[str]]:
    command = [
        sys.executable,
        "-m",
        "tests.fault_server",
        "--fault-share",
        str(fault_share),
        "--delta-ms",
        "1",
    ]
    running = [
        subprocess.Popen(
            [*command, "--seed", str(seed + k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for k in range(n)
    ]
    try:
        yield [one.stdout.readline().strip() for one in running if one.stdout is not None]
    finally:
        for one in running:
            one.terminate()
            one.communicate()


def _show(name: str, rounds: Sequence[tuple[list[Question], float, int, int]]) -> None:
    questions = [one for each in rounds for one in each[0]]
    counts = Counter(one.ended for one in questions)
    print(
        f"\n{name}: {len(questions)} questions, {len(rounds[0][0])} at once\n\n| how it ended | questions | share |"
    )
    print("|---|---|---|")
    for kind in [*_ORDER, *sorted(set(counts) - set(_ORDER))]:
        if counts[kind]:
            print(f"| {kind} | {counts[kind]} | {counts[kind] / len(questions):.2%} |")
    print("\n| measure | value |\n|---|---|")
    print(f"| furthest beyond a deadline, s | {max(one.over_deadline_s for one in questions):.2f} |")
    print(f"| sent twice after the first delta | {sum(one.n_again for one in questions)} |")
    print(
        f"| requests sent for a question, mean | {sum(one.n_sent for one in questions) / len(questions):.2f} |"
    )
    print(f"| requests sent for a question, most | {max(one.n_sent for one in questions)} |")
    print(f"| slowest round, s | {max(each[1] for each in rounds):.1f} |")
    print(f"| tasks left behind | {max(each[2] for each in rounds)} |")
    print(f"| sockets left behind | {max(each[3] for each in rounds)} |", flush=True)


async def _measure(given: argparse.Namespace, base_urls: list[str]) -> None:
    limits = (given.timeout_s, given.attempts)
    rounds, memory = [], []
    for number in range(given.rounds):
        rounds.append(await one_round("mix", base_urls, given.questions, *limits, number))
        memory.append(rss_mb())
    _show("Three servers, faults mixed", rounds)
    print(f"| memory after each round, MB | {', '.join(f'{one:.0f}' for one in memory)} |")
    nowhere = [f"http://127.0.0.1:{port}/v1" for port in (9, 10, 11)]  # nothing listens on these
    down = [nowhere[0], *base_urls[1:]]
    _show("The first server is down", [await one_round("down", down, given.questions, *limits, 0)])
    _show("All servers are down", [await one_round("all down", nowhere, given.questions, *limits, 0)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--questions", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--timeout-s", type=float, default=30.0)
    options.add_argument("--attempts", type=int, default=5)
    options.add_argument("--fault-share", type=float, default=0.3)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    with servers(3, given.fault_share, given.seed) as base_urls:
        asyncio.run(_measure(given, base_urls))


if __name__ == "__main__":
    main()
