"""Kills ``footnote batch`` with SIGKILL at random moments and runs it again until it is through.

    python -m benchmarks.batch_kill --questions 2000 --kills 6

Every question is unlike the others and about the sample corpus. The chat server (in this process, scripted: it
quotes the first source) notes each request, when the last byte of its reply left, and whether the client read it
from its socket before it died. A reply that was read, and had left more than 0.1 s before the kill, counts as
received: asking for it again would be paying twice. The rest was in flight; nobody can know how much of that the
client had, so it may be asked again, and the table says how often it was.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
TOPICS = (
    "How many vacation days can be carried over",
    "How long is the notice period",
    "Who approves a business trip",
    "What is the password policy",
    "How do I request a new laptop",
    "What does the warranty cover",
    "How long do refunds take",
    "Who is on call at the weekend",
)
_SENTENCE = re.compile(r"^(?![#|\d<-])[^\n|]{40,}?\.(?=\s)", re.MULTILINE)
_NUMBER = re.compile(r"case number (\d+)")


@dataclass
class Request:
    question: int
    run: int
    sent_at_s: float | None = None
    """When the last byte of the reply was handed to the socket; None if that never came."""
    was_read: bool = False
    """The client took all of it from its socket: it sent another request, or closed the connection in order. A
    process that dies with bytes it has not read resets the connection."""


@dataclass
class Server:
    """Counts what it is asked. Replies take a moment, in pieces, as a model's do."""

    rng: random.Random
    base_url: str = ""
    run: int = 0
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last: Request | None = None
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = json.loads(await reader.readexactly(int(length.group(1)) if length else 0))
                if last is not None:
                    last.was_read = True
                last = await self._answer(body, writer)
        except asyncio.IncompleteReadError:
            if last is not None:
                last.was_read = True
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> Request:
        prompt = body["messages"][-1]["content"]
        found = _NUMBER.findall(prompt)
        request = Request(int(found[-1]), self.run)
        self.requests.append(request)
        await asyncio.sleep(self.rng.uniform(0.02, 0.2))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for piece in (*re.findall(r"\S+\s*", _quote(prompt)), " [1]."):
            self._send(writer, {"choices": [{"delta": {"content": piece}}]})
            await writer.drain()
            await asyncio.sleep(self.rng.uniform(0.0, 0.01))
        self._send(writer, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 12}
        self._send(writer, {"choices": [], "usage": usage})
        writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()
        request.sent_at_s = time.monotonic()
        return request

    @staticmethod
    def _send(writer: asyncio.StreamWriter, data: object) -> None:
        writer.write(_chunk(f"data: {json.dumps(data)}\n\n".encode()))


def _quote(prompt: str) -> str:
    """A sentence of the first source, without its full stop."""
    found = _SENTENCE.search(prompt)
    return found.group().strip().rstrip(".") if found else "The documents tell"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@dataclass(frozen=True)
class Run:
    killed: bool
    begun_s: float
    ended_s: float
    error: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        return measured(
            Path(scratch), arguments.questions, arguments.kills, arguments.concurrency, arguments.seed
        )


def measured(scratch: Path, n_questions: int, n_kills: int, concurrency: int, seed: int) -> int:
    rng = random.Random(seed)
    questions, out, store = scratch / "questions.jsonl", scratch / "answers.jsonl", scratch / "store"
    questions.write_text(
        "".join(
            json.dumps({"id": n, "question": f"{rng.choice(TOPICS)}, asked in case number {n}?"}) + "\n"
            for n in range(1, n_questions + 1)
        )
    )
    command = [sys.executable, "-m", "api.cli"]
    subprocess.run(
        [*command, "ingest", "data/corpus", "--store", str(store)], cwd=REPO, check=True, capture_output=True
    )
    server = Server(rng)
    with serving(server):
        environment = {
            **os.environ,
            "FOOTNOTE_LLM_BASE_URL": server.base_url,
            "FOOTNOTE_ABSTAIN_BELOW": "0",  # so that every question goes to the chat model
        }
        asked = [*command, "batch", str(questions), "--out", str(out), "--store", str(store)]
        asked += ["--concurrency", str(concurrency)]
        runs: list[Run] = []
        for kill in range(n_kills):
            server.run = kill
            done = _n_lines(out)
            runs.append(
                killed_run(
                    asked, environment, out, done + _share(rng, n_questions - done, n_kills - kill), rng
                )
            )
        server.run = n_kills
        runs.append(run_to_end(asked, environment))
    return report(server, runs, out, n_questions)


def _share(rng: random.Random, left: int, n_kills: int) -> int:
    return rng.randint(0, max(1, 2 * left // (n_kills + 1)))


def _n_lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


class serving:
    """The server, on a loop in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.wait()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        listening = self._loop.run_until_complete(
            asyncio.start_server(self._server.serve, "127.0.0.1", 0, backlog=1024)
        )
        self._server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        self._loop.run_forever()


def killed_run(
    command: list[str], environment: dict[str, str], out: Path, at_lines: int, rng: random.Random
) -> Run:
    """Killed a random moment after it has written so many lines."""
    begun_s = time.monotonic()
    process = subprocess.Popen(
        command, cwd=REPO, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and _n_lines(out) < at_lines:
        time.sleep(0.005)
    time.sleep(rng.uniform(0.0, 0.5))
    process.send_signal(signal.SIGKILL)
    ended_s = time.monotonic()
    _, error = process.communicate()
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"A run ended before its kill, with {process.returncode}: {error[-400:]}")
    return Run(True, begun_s, ended_s, error)


def run_to_end(command: list[str], environment: dict[str, str]) -> Run:
    begun_s = time.monotonic()
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"The last run failed with {done.returncode}: {done.stderr[-400:]}")
    return Run(False, begun_s, time.monotonic(), done.stderr)


def report(server: Server, runs: list[Run], out: Path, n_questions: int) -> int:
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    lines = Counter(row["line"] for row in rows)
    lost = n_questions - len(lines)
    twice_written = sum(lines.values()) - len(lines)
    failed = sum("error" in row or row["chat_error"] is not None for row in rows)

    def age_s(request: Request) -> float | None:
        """How long before the end of its run the reply was out; None if it was not."""
        return None if request.sent_at_s is None else runs[request.run].ended_s - request.sent_at_s

    by_question: dict[int, list[Request]] = defaultdict(list)
    for request in server.requests:
        by_question[request.question].append(request)
    asked_again = [one for requests in by_question.values() for one, other in itertools.pairwise(requests)]
    received = [request for request in asked_again if request.sent_at_s is not None and request.was_read]
    ages_s = [age for request in received if (age := age_s(request)) is not None]
    paid_twice = sum(age > RECEIVED_S for age in ages_s)
    in_flight = sum(
        request.sent_at_s is None or not request.was_read
        for request in server.requests
        if runs[request.run].killed
    )
    figures = {
        "questions": f"{n_questions:,}",
        "kills": str(len(runs) - 1),
        "lines": f"{len(rows):,}",
        "lost": str(lost),
        "written twice": str(twice_written),
        "failed": str(failed),
        "requests": f"{len(server.requests):,}",
        "asked again though received": str(paid_twice),
        "in flight at a kill": str(in_flight),
        "of those asked again": str(len(asked_again) - len(received)),
        "read less than 0.1 s before the kill and asked again": str(len(received) - paid_twice),
        "answered from the cache": str(sum(bool(row.get("cached")) for row in rows)),
        "wall": f"{sum(run.ended_s - run.begun_s for run in runs):.0f} s",
    }
    print("| " + " | ".join(figures) + " |")
    print("|---" * len(figures) + "|")
    print("| " + " | ".join(figures.values()) + " |")
    for question, requests in by_question.items():
        for one, other in itertools.pairwise(requests):
            age = age_s(one)
            is_out = age is not None and age > 0
            when = f"out {1000 * (age or 0.0):.0f} ms before the kill" if is_out else "not out at the kill"
            read = "read" if one.was_read else "not read"
            print(f"- question {question}: asked in runs {one.run} and {other.run}, {when}, {read}")
    print(f"\nThe last run said:\n{runs[-1].error}")
    return 1 if lost or twice_written or paid_twice or failed else 0


RECEIVED_S = 0.1

if __name__ == "__main__":
    sys.exit(main())
