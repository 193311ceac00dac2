"""What all the layers of the chat client cost, against a bare httpx call and LiteLLM's client:

    python -m benchmarks.chat_overhead [--litellm PYTHON]

A local server streams each answer at a fixed pace; 100 conversations at once ask it again and again. The clients take
turns, round by round, and medians over all requests are compared. ``--litellm`` names the Python of an environment
that has LiteLLM; without it, one is made in the cache folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

ONES: Final = ("bare httpx", "Footnote's client alone", "Footnote, all layers", "LiteLLM")
_WARM_UP: Final = 4
"""Rounds that do not count: connections are made, and it is found how many requests the server bears at once."""
_MESSAGES: Final = [
    {"role": "system", "content": "You answer from the sources. " * 20},
    {"role": "user", "content": "How many vacation days can be carried over? " * 40},
]
_PACE_MS: Final = 40
_FIRST_MS: Final = 500

Ask = Callable[[int], Awaitable[str]]


@dataclass
class Took:
    seconds: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


async def rounds(ask: Ask, n_at_once: int, n_each: int) -> Took:
    """Of each request, after one that does not count. The conversations begin at different moments, so the server is loaded evenly."""
    dice = random.Random(3)

    async def conversation(who: int) -> list[float]:
        await asyncio.sleep(dice.uniform(0, 1.5))
        took = []
        for n in range(_WARM_UP + n_each):
            began = time.perf_counter()
            text = await ask(who * 1000 + n)
            if n >= _WARM_UP:
                took.append(time.perf_counter() - began)
            assert len(text) > 20, text
        return took

    await ask(999_999)
    began = time.process_time()
    many = await asyncio.gather(*map(conversation, range(n_at_once)))
    return Took([one for some in many for one in some], time.process_time() - began)


async def bare(base_url: str, n_at_once: int, n_each: int) -> Took:
    import httpx

    limits = httpx.Limits(max_connections=n_at_once * 2, max_keepalive_connections=n_at_once * 2)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def ask(number: int) -> str:
            body = {
                "model": "m",
                "messages": _messages(number),
                "stream": True,
                "temperature": 0.0,
                "max_tokens": 256,
            }
            text: list[str] = []
            rest = b""
            async with client.stream("POST", f"{base_url}/chat/completions", json=body) as reply:
                async for chunk in reply.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data: {"):
                            choices = json.loads(line[6:])["choices"]
                            text += [choices[0]["delta"].get("content") or ""] if choices else []
            return "".join(text)

        return await rounds(ask, n_at_once, n_each)


async def footnote(base_url: str, n_at_once: int, n_each: int, *, layers: bool) -> Took:
    from rag.core.protocols import ChatModel
    from rag.core.settings import load_settings
    from rag.core.types import ChatRequest, Delta, Message
    from rag.llm.client import HttpChatModel
    from rag.llm.stack import build_chat_model, open_remembered

    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            llm_base_url=base_url, llm_max_concurrency=n_at_once * 2, personal_data="mask", store=Path(folder)
        )
        remembered = open_remembered(settings, Path(folder))
        model: ChatModel | None = (
            build_chat_model(settings, remembered) if layers else HttpChatModel(base_url, "m")
        )
        assert model is not None

        async def ask(number: int) -> str:
            messages = tuple(Message(one["role"], one["content"]) for one in _messages(number))  # type: ignore[arg-type]
            request = ChatRequest(messages, max_tokens=256, trace_id=f"{number:032x}")
            return "".join([event.text async for event in model.stream(request) if isinstance(event, Delta)])

        try:
            return await rounds(ask, n_at_once, n_each)
        finally:
            await model.close()
            remembered.close()


async def litellm_client(base_url: str, n_at_once: int, n_each: int) -> Took:
    import litellm  # type: ignore[import-not-found]

    litellm.suppress_debug_info = True

    async def ask(number: int) -> str:
        reply = await litellm.acompletion(
            model="openai/m", api_base=base_url, api_key="none", messages=_messages(number), stream=True,
            temperature=0.0, max_tokens=256,
        )  # fmt: skip
        return "".join([chunk.choices[0].delta.content or "" async for chunk in reply])

    return await rounds(ask, n_at_once, n_each)


def _messages(number: int) -> list[dict[str, str]]:
    """Each request asks something else, so that no cache answers."""
    return [
        *_MESSAGES[:-1],
        {"role": "user", "content": f"{_MESSAGES[-1]['content']} ({number}, {time.time_ns()})"},
    ]


async def run_one(name: str, base_url: str, n_at_once: int, n_each: int) -> Took:
    if name == "bare httpx":
        return await bare(base_url, n_at_once, n_each)
    if name == "LiteLLM":
        return await litellm_client(base_url, n_at_once, n_each)
    return await footnote(base_url, n_at_once, n_each, layers=name == ONES[2])


def environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "litellm", "httpx"], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("NAME", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        json.dump(asdict(asyncio.run(run_one(*given.one, given.at_once, given.each))), sys.stdout)
        return
    from rag.core.settings import load_settings

    python = given.litellm or environment(load_settings().cache / "benchmarks" / "litellm")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fault_server", "--fault-share", "0", "--first-delta-ms", str(_FIRST_MS),
         "--delta-ms", str(_PACE_MS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    base_url = server.stdout.readline().strip()
    took: dict[str, list[float]] = {name: [] for name in ONES}
    cpu_s = dict.fromkeys(ONES, 0.0)
    try:
        for _ in range(given.rounds):
            for name in ONES:
                result = json.loads(
                    subprocess.run(
                        [str(python if name == "LiteLLM" else sys.executable), "-m", "benchmarks.chat_overhead",
                         "--one", name, base_url, "--at-once", str(given.at_once), "--each", str(given.each)],
                        check=True, capture_output=True, text=True,
                        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},  # it would be fetched from the net
                    ).stdout.splitlines()[-1]
                )  # fmt: skip
                took[name] += result["seconds"]
                cpu_s[name] += result["cpu_s"]
    finally:
        server.communicate("")
    base = statistics.median(took[ONES[0]])
    print(
        "| client | requests | median, ms | above bare httpx, ms | 95th percentile above, ms | CPU a request, ms |"
    )
    print("|---|---|---|---|---|---|")
    base_95 = statistics.quantiles(took[ONES[0]], n=20)[-1]
    for name, ones in took.items():
        median, high = statistics.median(ones), statistics.quantiles(ones, n=20)[-1]
        print(
            f"| {name} | {len(ones)} | {median * 1000:.1f} | {(median - base) * 1000:+.2f} | "
            f"{(high - base_95) * 1000:+.2f} | {cpu_s[name] / (len(ones) * (given.each + _WARM_UP) / given.each) * 1000:.2f} |"
        )


if __name__ == "__main__":
    main()
