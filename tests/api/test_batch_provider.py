"""``footnote batch --provider`` against a batch endpoint on a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.batch import by_provider
from tests.api.conftest import Cli
from tests.rag.llm.batch_server import BatchServer, batch_server

QUESTIONS = (
    "How many vacation days can I carry over?",
    "How many vacation days can I carry over?",
    "Who won the football world cup in 1998?",
    "How do I set up the VPN?",
)


@contextmanager
def serving() -> Iterator[BatchServer]:
    """The endpoint in a thread: the command has a loop of its own."""
    started, stop, found = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with batch_server() as server:
            found.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def rows(out: Path) -> list[dict[str, Any]]:
    return sorted(
        map(json.loads, out.read_text("utf-8").strip().split("\n")), key=lambda row: int(row["line"])
    )


def asked_of(server: BatchServer) -> list[dict[str, Any]]:
    lines = [json.loads(line) for data in server.files.values() for line in data.strip().split(b"\n")]
    return [line for line in lines if "method" in line]


def test_all_questions_go_in_one_batch_and_nothing_is_asked_twice(
    cli: Cli, writable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_provider, "POLL_S", 0.02)
    questions, out = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    lines = [json.dumps({"id": n, "question": text}) for n, text in enumerate(QUESTIONS)]
    questions.write_text("\n".join([*lines, "no question"]) + "\n")
    with serving() as server:
        monkeypatch.setenv("FOOTNOTE_LLM_BASE_URL", server.base_url)
        monkeypatch.setenv("FOOTNOTE_LLM_MODEL", "gpt-4o-mini")
        command = ("batch", questions, "--out", out, "--provider", "--store", writable)
        ran = cli(*command)
        assert ran.code == 3, ran.err  # one line is no question
        found = rows(out)
        assert [row["line"] for row in found] == [1, 2, 3, 4, 5]
        assert len(server.batches) == 1
        sent = asked_of(server)
        assert len(sent) == len({line["custom_id"] for line in sent}) == 2, (
            "equal questions once, the unanswerable not"
        )
        routes = [row.get("route") for row in found]
        assert routes[:4] == ["the provider's batch endpoint"] * 2 + [None, "the provider's batch endpoint"]
        assert found[2]["abstained"]
        assert "completed" in ran.err

        # As if it had been killed before two lines were written.
        kept = out.read_text("utf-8").strip().split("\n")
        out.write_text("".join(line + "\n" for line in kept if json.loads(line)["line"] not in (1, 4)))
        assert cli(*command).code == 3
        assert [row["line"] for row in rows(out)] == [1, 2, 3, 4, 5]
        assert len(server.batches) == 1


def test_a_run_that_was_killed_while_it_waited_takes_up_its_batch(
    cli: Cli, writable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_provider, "POLL_S", 0.02)
    monkeypatch.setenv("FOOTNOTE_ANSWER_CACHE", "false")
    questions, out = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    questions.write_text("".join(json.dumps({"question": text}) + "\n" for text in QUESTIONS))
    with serving() as server:
        monkeypatch.setenv("FOOTNOTE_LLM_BASE_URL", server.base_url)
        command = ("batch", questions, "--out", out, "--provider", "--store", writable)
        assert cli(*command).code == 0
        out.unlink()
        assert cli(*command).code == 0
        assert len(rows(out)) == 4
        assert len(server.batches) == 1


def test_without_a_server_it_says_what_to_set(cli: Cli, store: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "x"}\n')
    ran = cli("batch", questions, "--out", tmp_path / "out.jsonl", "--provider", "--store", store)
    assert ran.code == 2
    assert "set llm_base_url" in ran.err
