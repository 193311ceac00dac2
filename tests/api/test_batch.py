from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.batch.answering import Ask
from api.batch.estimate import estimated
from api.batch.journal import Journal
from api.batch.run import Outcome, not_yet_answered, questions_of, run_questions
from api.batch.watching import Silent
from api.schemas import BatchLine
from rag.core.errors import BudgetExceeded, InvalidQuestion, StoreError, UsageError
from rag.core.settings import load_settings
from rag.core.types import Answer
from tests.api.conftest import Cli
from tests.rag.chat_server import chat_server, reply, writes
from tests.virtual_time import run_virtual

NO_DELAYS: Sequence[float] = (0.0, 0.0)


def answer(text: str = "yes", **fields: Any) -> Answer:
    mode = "extractive" if "chat_error" in fields else "llm"
    values: dict[str, Any] = {"abstained": False, "confidence": 1.0, "mode": mode, **fields}
    return Answer(text, (), (), **values)


class Desk:
    """Answers at once, unless told otherwise, and counts what it was asked."""

    def __init__(self, act: Callable[[str, int], Answer] | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self._act = act or (lambda question, n: answer(f"to {question}", cost_usd=0.01))

    async def __call__(self, line: BatchLine) -> Answer:
        self.asked[line.question] += 1
        await asyncio.sleep(0)
        return self._act(line.question, self.asked[line.question])


def write_questions(folder: Path, *questions: str) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps({"id": q, "question": q}) + "\n" for q in questions), "utf-8")
    return file


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def go(
    questions: Path, out: Path, ask: Ask, *, concurrency: int = 1, retry_failed: bool = False, **options: Any
) -> Outcome:
    with Journal(out, retry_failed=retry_failed) as journal:
        todo = not_yet_answered(questions_of(questions, ""), journal)
        stop = options.pop("stop", threading.Event())
        return asyncio.run(
            run_questions(
                todo,
                journal,
                ask,
                Silent(),
                concurrency=concurrency,
                stop=stop,
                retry_delays_s=NO_DELAYS,
                **options,
            )
        )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


# Going on


def test_what_is_answered_is_not_asked_again(tmp_path: Path, out: Path) -> None:
    questions, desk = write_questions(tmp_path, "a", "b"), Desk()
    go(questions, out, desk)
    write_questions(tmp_path, "a", "b", "c")
    found = go(questions, out, desk)
    assert desk.asked == {"a": 1, "b": 1, "c": 1}
    assert (found.n_before, found.n_answered, found.n_lines) == (2, 1, 3)
    assert sorted(row["line"] for row in rows(out)) == [1, 2, 3]
    assert found.cost_usd == pytest.approx(0.03)


@pytest.mark.parametrize(
    "torn", ['{"id": "b", "line": 2, "ke', '{"id": "b", "line": 2, "key": "0123"}', "\n\n"[:0] + "{"]
)
def test_a_torn_last_line_is_dropped_and_asked_again(tmp_path: Path, out: Path, torn: str) -> None:
    questions, desk = write_questions(tmp_path, "a", "b"), Desk()
    go(write_questions(tmp_path, "a"), out, desk)
    with out.open("a") as file:
        file.write(torn)
    write_questions(tmp_path, "a", "b")
    go(questions, out, desk)
    assert [row["id"] for row in rows(out)] == ["a", "b"]
    assert desk.asked == {"a": 1, "b": 1}


def test_questions_that_were_edited_are_noticed(tmp_path: Path, out: Path) -> None:
    go(write_questions(tmp_path, "a", "b"), out, Desk())
    with pytest.raises(UsageError, match="Line 2 of the questions"):
        go(write_questions(tmp_path, "a", "x"), out, Desk())
    with pytest.raises(UsageError, match="answers line 2, which the questions do not have"):
        go(write_questions(tmp_path, "a"), out, Desk())
    assert len(rows(out)) == 2


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, out: Path) -> None:
    out.write_text("my diary\nunfinished")
    with pytest.raises(UsageError, match="not the output of a batch"):
        go(write_questions(tmp_path, "a"), out, Desk())
    assert out.read_text() == "my diary\nunfinished"


def test_two_batches_never_write_one_output(tmp_path: Path, out: Path) -> None:
    with Journal(out), pytest.raises(UsageError, match="Another batch is writing"):
        go(write_questions(tmp_path, "a"), out, Desk())
    go(write_questions(tmp_path, "a"), out, Desk())


def test_nothing_but_the_answers_is_left_beside_the_questions(tmp_path: Path, out: Path) -> None:
    go(write_questions(tmp_path, "a"), out, Desk())
    assert {path.name for path in tmp_path.iterdir()} == {"questions.jsonl", "answers.jsonl"}


def test_what_was_in_flight_at_a_kill_is_counted(tmp_path: Path, out: Path) -> None:
    questions = write_questions(tmp_path, *"abcd")
    with Journal(out) as journal:
        for n in (1, 2, 3):
            journal.begin(n)
        journal.write({"id": "a", "line": 1}, questions_of(questions, "")[0].key)
        left_by_a_kill = out.with_name("answers.jsonl.running").read_bytes()
    out.with_name("answers.jsonl.running").write_bytes(left_by_a_kill)
    found = go(questions, out, Desk(lambda q, n: answer(cached=q == "b")))
    assert (found.n_in_flight_before, found.n_found_again) == (2, 1)


# Failures


def fails(question: str, n: int) -> Answer:
    if question == "bad":
        raise InvalidQuestion("It is empty.")
    return answer(chat_error="chat-refused") if question == "weak" else answer()


def test_failures_are_listed_and_the_others_go_on(tmp_path: Path, out: Path) -> None:
    questions = write_questions(tmp_path, "a", "bad", "weak", "b")
    with questions.open("a") as file:
        file.write("no json\n\n")
    found = go(questions, out, Desk(fails))
    assert found.failed == {
        2: "It is empty.",
        3: "The answer was made without the chat model (chat-refused).",
        5: "Line 5 is not a JSON object (Expecting value: line 1 column 1 (char 0)); correct it.",
    }
    assert len(rows(out)) == 5


def test_what_failed_is_asked_again_only_when_told_to_and_stands_there_once(
    tmp_path: Path, out: Path
) -> None:
    questions = write_questions(tmp_path, "a", "bad", "weak")
    go(questions, out, Desk(fails))
    again = Desk()
    go(questions, out, again)
    assert not again.asked
    found = go(questions, out, again, retry_failed=True)
    assert again.asked == {"bad": 1, "weak": 1}
    assert not found.failed
    assert sorted(row["line"] for row in rows(out)) == [1, 2, 3]


def test_a_server_that_is_down_for_a_moment_is_asked_again(tmp_path: Path, out: Path) -> None:
    desk = Desk(lambda question, n: answer(chat_error="chat-busy" if n < 3 else None))
    found = go(write_questions(tmp_path, "a"), out, desk)
    assert desk.asked == {"a": 3}
    assert not found.failed


def test_what_has_begun_to_be_answered_is_not_paid_for_again(tmp_path: Path, out: Path) -> None:
    desk = Desk(lambda question, n: answer(chat_error="chat-unreachable", mode="llm"))
    found = go(write_questions(tmp_path, "a"), out, desk)
    assert desk.asked == {"a": 1}
    assert found.failed == {1: "The answer stops early (chat-unreachable)."}


@pytest.mark.parametrize("kind", [StoreError, BudgetExceeded])
def test_what_every_question_would_meet_stops_the_batch_and_leaves_the_rest_for_later(
    tmp_path: Path, out: Path, kind: type[Exception]
) -> None:
    def act(question: str, n: int) -> Answer:
        if question == "b":
            if kind is StoreError:
                raise StoreError("gone")
            return answer(chat_error="budget-exceeded", notices=("spent",))
        return answer()

    questions = write_questions(tmp_path, *"abcdef")
    with pytest.raises(kind):
        go(questions, out, Desk(act))
    assert [row["id"] for row in rows(out)] == ["a"]
    later = Desk()
    go(questions, out, later)
    assert later.asked == dict.fromkeys("bcdef", 1)


def test_the_money_has_a_limit_over_all_runs(tmp_path: Path, out: Path) -> None:
    questions, desk = write_questions(tmp_path, *"abcdefghij"), Desk()
    found = go(questions, out, desk, max_usd=0.055, usd_each=0.01, concurrency=4)
    assert found.over_budget
    assert found.cost_usd == pytest.approx(0.05)
    go(questions, out, desk, max_usd=0.055, usd_each=0.01)
    assert desk.asked.total() == 5


def test_stopping_ends_what_is_in_hand_and_goes_on_later(tmp_path: Path, out: Path) -> None:
    stop = threading.Event()

    def act(question: str, n: int) -> Answer:
        if question == "b":
            stop.set()
        return answer()

    questions, desk = write_questions(tmp_path, *"abcd"), Desk(act)
    found = go(questions, out, desk, stop=stop)
    assert (found.interrupted, found.n_answered) == (True, 2)
    go(questions, out, desk)
    assert desk.asked == dict.fromkeys("abcd", 1)


def test_as_many_are_asked_at_once_as_may_be(tmp_path: Path, out: Path) -> None:
    now = most = 0

    async def ask(line: BatchLine) -> Answer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(1)
        now -= 1
        return answer()

    questions = write_questions(tmp_path, *map(str, range(100)))
    with Journal(out) as journal:
        todo = questions_of(questions, "")
        run_virtual(run_questions(todo, journal, ask, Silent(), concurrency=7, stop=threading.Event()))
    assert most == 7
    assert len(rows(out)) == 100


def test_the_lines_come_in_order_where_that_is_asked_for(tmp_path: Path, out: Path) -> None:
    questions = write_questions(tmp_path, *"abc")
    keys = [question.key for question in questions_of(questions, "")]
    with Journal(out) as journal:
        for n in (3, 1):
            journal.write({"id": n, "line": n}, keys[n - 1])
        journal.put_in_order()
        journal.write({"id": 2, "line": 2}, keys[1])
        assert [row["line"] for row in rows(out)] == [1, 3, 2]
        journal.put_in_order()
    assert [row["line"] for row in rows(out)] == [1, 2, 3]


# The price


def test_the_cost_is_estimated_with_the_dearest_model() -> None:
    settings = load_settings(
        llm_base_url="http://localhost/v1", llm_model="gpt-4.1", llm_small_model="gpt-4.1-mini"
    )
    found = estimated(settings)
    assert found is not None
    assert found.model == "gpt-4.1"
    assert found.usd_each == pytest.approx((found.n_input_tokens * 2 + found.n_output_tokens * 8) / 1e6)
    assert "about $10." not in found.sentence(10)
    assert "10 questions" in found.sentence(10)


def test_a_model_without_a_price_is_told() -> None:
    found = estimated(load_settings(llm_base_url="http://localhost/v1", llm_model="home-made"))
    assert found is not None
    assert "prices are not known" in found.sentence(10)
    assert estimated(load_settings()) is None


# The command


ASKED = ("How many vacation days are there?", "What does error VPN-4711 mean?")


def test_the_command_answers_lists_failures_and_goes_on(
    cli: Cli, store: Path, tmp_path: Path, out: Path
) -> None:
    questions = write_questions(tmp_path, *ASKED, "")
    ran = cli("batch", questions, "--out", out, "--store", store, "--ordered")
    assert ran.code == 3
    assert [row["line"] for row in rows(out)] == [1, 2, 3]
    assert "28 vacation days" in rows(out)[0]["answer"]
    assert "line 3: The question is empty" in ran.err
    assert "3 questions answered now; 1 failed, $0.00 in all" in ran.err
    again = cli("batch", questions, "--out", out, "--store", store)
    assert "3 of 3 are answered." in again.err
    assert again.code == 3


def test_the_command_tells_programs_what_came_of_it(cli: Cli, store: Path, tmp_path: Path, out: Path) -> None:
    ran = cli("batch", write_questions(tmp_path, *ASKED), "--out", out, "--store", store, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["n_answered"] == 2
    assert ran.err == ""


def test_other_flags_are_another_batch(cli: Cli, store: Path, tmp_path: Path, out: Path) -> None:
    questions = write_questions(tmp_path, *ASKED)
    cli("batch", questions, "--out", out, "--store", store)
    ran = cli("batch", questions, "--out", out, "--store", store, "--source", "hr/**")
    assert ran.code == 2
    assert "the flags differ" in ran.err


@pytest.mark.parametrize("bad", ["questions.jsonl", "no/such/folder/a.jsonl"])
def test_an_output_that_cannot_be_one_is_refused(cli: Cli, store: Path, tmp_path: Path, bad: str) -> None:
    questions = write_questions(tmp_path, *ASKED)
    before = questions.read_bytes()
    assert cli("batch", questions, "--out", tmp_path / bad, "--store", store).code == 2
    assert questions.read_bytes() == before


def test_a_killed_batch_goes_on_without_asking_anything_twice(store: Path, tmp_path: Path, out: Path) -> None:
    """Kill -9 after the first lines; the answers that were written are not made again."""
    questions = write_questions(tmp_path, *(f"How many vacation days are there in {n}?" for n in range(60)))
    command = [
        sys.executable,
        "-m",
        "api.cli",
        "batch",
        str(questions),
        "--out",
        str(out),
        "--store",
        str(store),
    ]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (not out.exists() or out.stat().st_size < 2_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = out.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    n_kept = kept.count(b"\n")
    assert 0 < n_kept < 60
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert out.read_bytes().startswith(kept)
    assert sorted(row["line"] for row in rows(out)) == list(range(1, 61))
    assert f"{n_kept} before, {60 - n_kept} questions answered now" in ran.stderr
    assert "had been begun when the last run was stopped by force" in ran.stderr


async def test_a_failure_of_the_chat_server_is_a_failed_line_that_can_be_asked_again(
    store: Path, tmp_path: Path, out: Path
) -> None:
    async with chat_server(
        reply(400, {"error": {"message": "no"}}), writes("There are 28 vacation days [1].")
    ) as server:
        environment = {**os.environ, "FOOTNOTE_LLM_BASE_URL": server.base_url}
        questions = write_questions(tmp_path, ASKED[0])
        command = [
            sys.executable,
            "-m",
            "api.cli",
            "batch",
            str(questions),
            "--out",
            str(out),
            "--store",
            str(store),
        ]

        async def run(*more: str) -> tuple[int | None, str]:
            process = await asyncio.create_subprocess_exec(
                *command, *more, env=environment, stderr=asyncio.subprocess.PIPE
            )
            _, err = await process.communicate()
            return process.returncode, err.decode()

        code, err = await run()
        assert code == 3, err
        assert "line 1: The answer was made without the chat model (chat-refused)." in err
        code, err = await run("--retry-failed")
        assert code == 0, err
    assert rows(out)[0]["mode"] == "llm"


def test_the_lock_is_the_kernels(out: Path) -> None:
    with Journal(out):
        lock = os.open(out.with_name("answers.jsonl.running"), os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
