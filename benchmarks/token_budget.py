"""The token budget as an invariant: random conversations, sources, settings and models:

    python -m benchmarks.token_budget

Each question goes the way of a real one: the conversation is prepared (rewritten, cut or summed up by the model), the
prompt is fitted, and whatever is sent passes the layer that guards the window. All of it is counted anew at the server's
end: in tiktoken's cl100k_base, in o200k_base (with the package bpe-openai, where it is installed), and for SmolLM2 by
llama.cpp's own server, chat template included.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import random
import statistics
import urllib.request
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rag.conversation import Summaries, prepared
from rag.core.errors import ContextOverflow
from rag.core.settings import Settings
from rag.core.types import ChatEvent, ChatRequest, Chunk, Delta, Done, Hit, Message, Source, Usage
from rag.fit import fit
from rag.llm.tokens import (
    TOKENS_PER_MESSAGE,
    TOKENS_PER_REPLY,
    TiktokenCounter,
    count_messages,
    encoding_for,
)
from rag.llm.window import WindowedChatModel
from rag.prompt import load_prompt
from tests import llama_server

ROOT = Path(__file__).resolve().parent.parent
_STRANGE = (
    "Straße Übergrößenträger façade naïve Ελλάδα привет мир 東京都 渋谷区 한국어 मानक 🙂🙃👩\u200d👩\u200d👧 \u200b\ufeff x́ "
    '{"a": [1, 2.5e-9]} def f(x): return x**2 || https://example.org/a/b?c=%20d#e ÄÖÜ 0x1F 1_000_000 ~~~ ```'
)
_TEMPLATES = ("answer", "answer@brief")

Count = Callable[[ChatRequest], int]


class Texts:
    """Of the corpus in its languages, of program code, and of what tokenizers find hard; some questions get one kind
    only, which is worse than a mixture."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        corpus = ROOT / "data" / "corpus"
        self._kinds = [
            _joined(corpus, "**/*.md", "**/*.txt", "**/*.rst"),
            _joined(corpus, "**/*.csv"),
            _joined(corpus, "**/*.html", "**/*.json"),
            _joined(corpus, "**/de/*.md"),
            _joined(ROOT, "rag/*.py", "ingest/*.py"),
            " ".join(dice.choices(_STRANGE.split(" "), k=20_000)),
        ]
        self._only: str | None = None

    def another_question(self) -> None:
        self._only = self._dice.choice(self._kinds) if self._dice.random() < 0.5 else None

    def some(self, least: int, most: int) -> str:
        n_chars = self._dice.randint(least, most)
        text = self._only or self._dice.choice(self._kinds)
        start = self._dice.randrange(max(1, len(text) - n_chars))
        return text[start : start + n_chars]


def _joined(folder: Path, *patterns: str) -> str:
    files = sorted(file for pattern in patterns for file in folder.glob(pattern))
    return "\n\n".join(file.read_text("utf-8", "replace") for file in files)


@dataclass
class Server:
    """Takes what is sent, counts it, and says what it counted."""

    name: str
    context_window: int
    count: Count
    texts: Texts
    taken: list[int] = field(default_factory=list)

    async def close(self) -> None:
        pass

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        n_input = self.count(request)
        self.taken.append(n_input + request.max_tokens)
        yield Delta(self.texts.some(1, 4 * request.max_tokens))
        yield Usage(n_input, request.max_tokens)
        yield Done("stop", self.name)


def hits(texts: Texts, dice: random.Random) -> tuple[list[Hit], dict[str, str]]:
    found, documents = [], {}
    for number in range(dice.randint(1, 12)):
        text = texts.some(50, 6000)
        title = texts.some(3, 80).replace("\n", " ")
        source = Source(f"s{number}", f"doc{number}.md", "h", "text/markdown", title)
        documents[source.id] = text
        start = dice.randrange(len(text))
        end = min(len(text), start + dice.randint(1, 900))
        headings = (texts.some(3, 60),)
        chunk = Chunk(
            f"c{number}", source.id, text[start:end], start, end, headings, None, (end - start) // 4
        )
        found.append(Hit(chunk, source, dice.random()))
    return found, documents


async def one(server: Server, dice: random.Random) -> bool:
    """Whether the answer's prompt was sent; what was sent is with the server."""
    texts, window = server.texts, server.context_window
    settings = Settings(
        answer_tokens=dice.randint(16, max(17, window // 3)),
        context_tokens=dice.randint(64, max(65, window)),
        history_share=dice.choice([0.0, 0.25, 0.5, 0.9]),
        history_overflow=dice.choice(["truncate", "summarize"]),
        rewrite=dice.choice(["rule", "model"]),
    )
    history = [
        Message("user" if n % 2 == 0 else "assistant", texts.some(1, 1500))
        for n in range(dice.randint(0, 10))
    ]
    found, documents = hits(texts, dice)
    question = texts.some(1, 600)
    chat = WindowedChatModel(server)
    talk = await prepared(
        history, question, chat, TiktokenCounter(server.name), window, settings, summaries=Summaries()
    )
    template = load_prompt(dice.choice(_TEMPLATES))
    counter = TiktokenCounter(server.name)
    fitted = fit(
        question, talk.question, found, template, talk.history, documents.__getitem__, counter, settings, window
    )  # fmt: skip
    # Where there is no room for a single source, what a careless caller would send instead.
    messages = fitted.messages or (Message("user", question), *history)
    try:
        async for _ in chat.stream(ChatRequest(messages, max_tokens=settings.answer_tokens)):
            pass
    except ContextOverflow:
        return False
    return True


def row(name: str, model: str, n: int, windows: tuple[int, int], dice: random.Random, count: Count) -> str:
    texts, shares, n_refused, n_over = Texts(dice), [], 0, 0
    for _ in range(n):
        texts.another_question()
        server = Server(model, int(dice.triangular(*windows, windows[0])), count, texts)
        n_refused += not asyncio.run(one(server, dice))
        shares += [taken / server.context_window for taken in server.taken]
        n_over += sum(taken > server.context_window for taken in server.taken)
    margin = f"{encoding_for(model).margin:.0%} → {TiktokenCounter(model).margin:.0%}"
    cells = (
        name,
        f"{n:,}",
        f"{len(shares):,}",
        n_refused,
        n_over,
        f"{max(shares):.3f}",
        f"{statistics.mean(shares):.3f}",
        margin,
    )
    return f"| {' | '.join(map(str, cells))} |"


def in_o200k() -> Count | None:
    try:
        encoding = importlib.import_module("bpe_openai").get_encoding("o200k_base")
    except ImportError:
        return None

    def count(sent: ChatRequest) -> int:
        texts = [text for message in sent.messages for text in (message.role, message.content)]
        n_tokens = sum(len(encoding.encode_ordinary(text)) for text in texts)
        return TOKENS_PER_REPLY + TOKENS_PER_MESSAGE * len(sent.messages) + n_tokens

    return count


def by_server(base_url: str) -> Count:
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
    parser.add_argument("--n", type=int, default=10_000, help="Combinations in all.")
    n = parser.parse_args().n
    print(
        "| counted by | combinations | requests sent | refused by ourselves | beyond the window | largest share of it | mean share | "
        "margin at first → at the end |"
    )
    print("|---|---|---|---|---|---|---|---|")
    dice, known = random.Random(11), TiktokenCounter("gpt-4")
    exact = row(
        "cl100k_base (gpt-4)",
        "gpt-4",
        n // 2,
        (300, 16_000),
        dice,
        lambda sent: count_messages(known, sent.messages),
    )
    print(exact, flush=True)
    if (o200k := in_o200k()) is not None:
        print(
            row("o200k_base (gpt-4o-mini)", "gpt-4o-mini", n * 3 // 10, (300, 16_000), dice, o200k),
            flush=True,
        )
    with llama_server.running_server() as base_url:
        count = by_server(base_url)
        print(row("llama.cpp (SmolLM2-135M)", "SmolLM2-135M-Instruct", n // 5, (300, 8_000), dice, count))


if __name__ == "__main__":
    main()
