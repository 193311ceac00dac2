"""The token budget as an invariant: random conversations, sources, settings and models:

    python -m benchmarks.token_budget

Each prompt is fitted as for a question and passed through the layer that guards the window. What would be sent is
counted anew: in tiktoken's cl100k_base, and for SmolLM2 by llama.cpp's own server, chat template included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import urllib.request
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from rag.core.errors import ContextOverflow
from rag.core.settings import Settings
from rag.core.types import ChatEvent, ChatRequest, Chunk, Done, Hit, Message, Source
from rag.fit import fit
from rag.llm.tokens import TiktokenCounter, count_messages
from rag.llm.window import WindowedChatModel
from rag.prompt import load_prompt
from tests import llama_server

CORPUS = Path(__file__).resolve().parent.parent / "data" / "corpus"
_STRANGE = [
    "Straße",
    "Übergrößenträger",
    "façade",
    "naïve",
    "Ελλάδα",
    "привет",
    "мир",
    "東京都",
    "渋谷区",
    "한국어",
    "मानक",
    "🙂🙃👩\u200d👩\u200d👧",
    "\u200b\ufeff",
    "x́",
    '{"a":',
    "[1,",
    "2.5e-9]}",
    "def",
    "f(x):",
    "return",
    "x**2",
    "||",
    "https://example.org/a/b?c=%20d#e",
    "ÄÖÜ",
    "0x1F",
    "1_000_000",
    "~~~",
    "```",
]
_TEMPLATES = ("answer", "answer@brief")


class Recorder:
    """Takes what would be sent."""

    def __init__(self, name: str, context_window: int) -> None:
        self.name, self.context_window = name, context_window
        self.sent: ChatRequest | None = None

    async def close(self) -> None:
        pass

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.sent = request
        yield Done("stop", self.name)


class Texts:
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        files = [
            file
            for file in sorted(CORPUS.rglob("*"))
            if file.suffix in (".md", ".txt", ".html", ".csv", ".rst")
        ]
        self._all = "\n\n".join(file.read_text("utf-8", "replace") for file in files)

    def some(self, least: int, most: int) -> str:
        """Of the corpus, or of what tokenizers find hard."""
        n_chars = self._dice.randint(least, most)
        if self._dice.random() < 0.3:
            words = self._dice.choices(_STRANGE, k=max(1, n_chars // 6))
            return " ".join(words)[: max(1, n_chars)]
        start = self._dice.randrange(max(1, len(self._all) - n_chars))
        return self._all[start : start + n_chars]


def hits(texts: Texts, dice: random.Random) -> tuple[list[Hit], dict[str, str]]:
    found, documents = [], {}
    for number in range(dice.randint(1, 12)):
        text = texts.some(50, 6000)
        source = Source(
            f"s{number}", f"doc{number}.md", "h", "text/markdown", texts.some(3, 80).replace("\n", " ")
        )
        documents[source.id] = text
        start = dice.randrange(len(text))
        end = min(len(text), start + dice.randint(1, 900))
        chunk = Chunk(
            f"c{number}",
            source.id,
            text[start:end],
            start,
            end,
            (texts.some(3, 60),),
            None,
            (end - start) // 4,
        )
        found.append(Hit(chunk, source, dice.random()))
    return found, documents


async def one(
    texts: Texts, dice: random.Random, model: str, windows: tuple[int, int]
) -> tuple[ChatRequest | None, int]:
    """(what would be sent, or None; the window)"""
    window = int(dice.triangular(*windows, windows[0]))
    settings = Settings(
        answer_tokens=dice.randint(16, max(17, window // 3)), context_tokens=dice.randint(64, max(65, window))
    )
    history = tuple(
        Message("user" if n % 2 == 0 else "assistant", texts.some(1, 1500))
        for n in range(dice.randint(0, 10))
    )
    found, documents = hits(texts, dice)
    question = texts.some(1, 600)
    fitted = fit(
        question, question, found, load_prompt(dice.choice(_TEMPLATES)), history, documents.__getitem__,
        TiktokenCounter(model), settings, window,
    )  # fmt: skip
    recorder = Recorder(model, window)
    request = ChatRequest(fitted.messages, max_tokens=settings.answer_tokens)
    if not fitted.messages:  # no room for a single source: what a careless caller would send instead
        request = ChatRequest((Message("user", question), *history), max_tokens=settings.answer_tokens)
    try:
        async for _ in WindowedChatModel(recorder).stream(request):
            pass
    except ContextOverflow:
        return None, window
    return recorder.sent, window


def row(
    name: str, n: int, windows: tuple[int, int], dice: random.Random, count: Callable[[ChatRequest], int]
) -> str:
    texts, shares, n_refused, n_over = Texts(dice), [], 0, 0
    for _ in range(n):
        sent, window = asyncio.run(one(texts, dice, name, windows))
        if sent is None:
            n_refused += 1
            continue
        taken = count(sent) + sent.max_tokens
        n_over += taken > window
        shares.append(taken / window)
    return f"| {name} | {n} | {n - n_refused} | {n_refused} | {n_over} | {max(shares):.3f} | {statistics.mean(shares):.3f} |"


def by_server(base_url: str) -> Callable[[ChatRequest], int]:
    def post(path: str, body: object) -> dict[str, object]:
        request = urllib.request.Request(
            base_url.removesuffix("/v1") + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            found: dict[str, object] = json.load(reply)
            return found

    def count(sent: ChatRequest) -> int:
        messages = [{"role": message.role, "content": message.content} for message in sent.messages]
        prompt = post("/apply-template", {"messages": messages})["prompt"]
        tokens = post("/tokenize", {"content": prompt, "parse_special": True, "add_special": True})["tokens"]
        assert isinstance(tokens, list)
        return len(tokens)

    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=9000)
    parser.add_argument("--n-server", type=int, default=1000)
    given = parser.parse_args()
    counter = TiktokenCounter("gpt-4")
    print(
        "| model | combinations | sent | refused by ourselves | beyond the window | largest share of it | mean share |"
    )
    print("|---|---|---|---|---|---|---|")
    dice = random.Random(11)
    print(
        row("gpt-4", given.n, (300, 16_000), dice, lambda sent: count_messages(counter, sent.messages)),
        flush=True,
    )
    with llama_server.running_server() as base_url:
        print(row("SmolLM2-135M-Instruct", given.n_server, (300, 8_000), dice, by_server(base_url)))


if __name__ == "__main__":
    main()
