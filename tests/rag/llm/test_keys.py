from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from rag.core.chat_server import ChatServer as Server
from rag.core.errors import ChatError, ChatRateLimited, ChatRefused, SettingsError
from rag.core.types import ChatRequest, Message
from rag.llm import keys
from rag.llm.client import HttpChatModel
from rag.llm.keys import KeyRing
from tests.rag.chat_server import ChatServer, chat_server, error, writes
from tests.virtual_time import run_virtual

ASK = ChatRequest((Message("user", "What?"),))


def by_key(refuses: dict[str, tuple[int, str]]) -> Any:
    """A server that takes every key but some."""

    async def act(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        key = server.headers[-1].get("authorization", "").removeprefix("Bearer ")
        status, said = refuses.get(key, (200, ""))
        await (error(status, said) if said else writes("Hi"))(server, writer)

    return act


async def ask(model: HttpChatModel) -> None:
    async for _ in model.stream(ASK):
        pass


def sent(server: ChatServer) -> list[str]:
    return [headers.get("authorization", "").removeprefix("Bearer ") for headers in server.headers]


async def test_keys_take_turns() -> None:
    async with chat_server(writes("Hi")) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(("key-a", "key-b", "key-c")))
        for _ in range(6):
            await ask(model)
    assert sent(server) == ["key-a", "key-b", "key-c"] * 2


async def test_no_key_is_fine() -> None:
    async with chat_server(writes("Hi")) as server:
        await ask(HttpChatModel(server.base_url, "m"))
    assert sent(server) == [""]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_gives_way_to_the_next_and_stays_out(status: int) -> None:
    async with chat_server(by_key({"key-a": (status, "no")})) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(("key-a", "key-b")))
        for _ in range(3):
            await ask(model)
    assert sent(server) == ["key-a", "key-b", "key-b", "key-b"]


async def test_where_every_key_is_refused_each_is_tried_once_and_none_is_told() -> None:
    refuses = {key: (401, f"Incorrect API key provided: {key}") for key in ("key-aaaa", "key-bbbb")}
    async with chat_server(by_key(refuses)) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(tuple(refuses)))
        with pytest.raises(ChatRefused, match="llm_api_key") as caught:
            await ask(model)
        assert sent(server) == ["key-aaaa", "key-bbbb"]
        with pytest.raises(ChatRefused):
            await ask(model)  # a server that errs for a moment is not dead for five minutes
    assert len(sent(server)) == 3
    shown = f"{caught.value} {caught.value.fields} {caught.value!r} {model!r} {model._keys!r} {vars(model._keys)['_keys']}"
    assert not any(key in shown for key in refuses)


async def test_a_key_with_its_limit_reached_gives_way_to_the_others() -> None:
    async with chat_server(by_key({"key-a": (429, "slow down")})) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(("key-a", "key-b")))
        for _ in range(3):
            await ask(model)
    assert sent(server) == ["key-a", "key-b", "key-b", "key-b"]


async def test_where_every_key_has_reached_its_limit_no_more_is_sent_than_one_try() -> None:
    async with chat_server(error(429, "slow", retry_after="30")) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(("key-a", "key-b")))
        for _ in range(3):
            with pytest.raises(ChatRateLimited) as caught:
                await ask(model)
            assert caught.value.fields["retry_after_s"] == 30
    assert len(sent(server)) == 2 + 1 + 1


async def test_an_account_without_credit_is_taken_out_too() -> None:
    async with chat_server(by_key({"key-a": (429, "You exceeded your current quota")})) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(("key-a", "key-b")))
        await ask(model)
        await ask(model)
    assert sent(server) == ["key-a", "key-b", "key-b"]


async def test_another_failure_costs_no_key() -> None:
    async with chat_server(error(500, "boom"), writes("Hi")) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(("key-a", "key-b")))
        with pytest.raises(ChatError):
            await ask(model)
        await ask(model)
        await ask(model)
    assert sent(server) == ["key-a", "key-b", "key-a"]


def test_a_refused_key_is_used_again_after_a_while() -> None:
    async def run() -> list[str | None]:
        ring = KeyRing(("key-a", "key-b"))
        ring.refused("key-a")
        soon = [await ring.take() for _ in range(2)]
        await asyncio.sleep(keys.REFUSED_FOR_S + 1)
        return [*soon, await ring.take()]

    assert run_virtual(run()) == ["key-b", "key-b", "key-a"]


# Where keys come from


async def test_keys_of_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", " key-a, key-b\n")
    ring = KeyRing(env="SOME_KEYS")
    assert [await ring.take() for _ in range(3)] == ["key-a", "key-b", "key-a"]


async def test_keys_of_a_file_are_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_STAT_EVERY_S", 0.0)
    file = tmp_path / "keys"
    file.write_text("# of May\nkey-a\n\n key-b \n")
    ring = KeyRing(file=file)
    assert [await ring.take() for _ in range(2)] == ["key-a", "key-b"]
    file.write_text("key-new\n")
    os.utime(file, (1, 1))
    assert await ring.take() == "key-new"
    file.write_text("two words\n")
    assert await ring.take() == "key-new", "a file that is being written takes no key away"
    file.unlink()
    assert await ring.take() == "key-new"
    assert ring.hide("key-a key-b key-new") == "*** *** ***"


async def test_a_key_that_was_just_written_is_tried_at_once_when_the_old_one_is_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    file.write_text("key-old")
    refuses: dict[str, tuple[int, str]] = {}
    async with chat_server(by_key(refuses)) as server:
        settings = Server.model_validate({"base_url": server.base_url, "model": "m", "api_key_file": file})
        model = HttpChatModel.of(settings)
        await ask(model)
        refuses["key-old"] = (401, "expired")
        file.write_text("key-brand-new")
        await ask(model)
        await model.close()
    assert sent(server) == ["key-old", "key-old", "key-brand-new"]


def counting_command(tmp_path: Path) -> str:
    """Prints key-1, then key-2 …"""
    program = (
        "import pathlib, sys; file = pathlib.Path(sys.argv[1]); "
        "n = int(file.read_text()) + 1 if file.exists() else 1; file.write_text(str(n)); print(f'key-{n}')"
    )
    return shlex.join([sys.executable, "-c", program, str(tmp_path / "count")])


async def test_the_command_is_run_once_and_again_after_a_refusal(tmp_path: Path) -> None:
    async with chat_server(by_key({"key-1": (401, "expired")})) as server:
        model = HttpChatModel(server.base_url, "m", keys=KeyRing(command=counting_command(tmp_path)))
        await asyncio.gather(ask(model), ask(model), ask(model))
        await ask(model)
    assert set(sent(server)) == {"key-1", "key-2"}
    assert sent(server)[-1] == "key-2"
    assert (tmp_path / "count").read_text() == "2"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; print('key-secret'); sys.exit(3)", "ended with status 3"),
        ("pass", "printed no key"),
        ("import time; print('key-secret', flush=True); time.sleep(60)", "did not end within"),
        ("print('key secret')", "white space"),
    ],
)
async def test_a_command_that_gives_no_key_is_said_without_its_output(
    program: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_COMMAND_TIMEOUT_S", 0.5)
    ring = KeyRing(command=shlex.join([sys.executable, "-c", program]))
    with pytest.raises(SettingsError, match=words) as caught:
        await ring.take()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_command_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="cannot be started"):
        await KeyRing(command="/no/such/program --now").take()


@pytest.mark.parametrize(
    ("made", "setting"),
    [
        ({"env": "NOT_SET_ANYWHERE"}, "api_key_env"),
        ({"file": Path("/no/such/file")}, "llm_api_key_file"),
        ({"fixed": ("sk 1",)}, "llm_api_key"),
    ],
)
def test_a_source_that_is_not_there_is_said_at_the_start(made: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError, match=setting):
        KeyRing(**made)


async def test_no_key_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with chat_server(by_key({"key-secret-1": (401, "key-secret-1 is wrong")})) as server:
        base_url = server.base_url.replace("//", "//user:key-secret-3@") + "?api_key=key-secret-4&zone=1"
        ring = KeyRing(("key-secret-1", "key-secret-2"))
        await ask(HttpChatModel(base_url, "m", keys=ring, query={"sig": "key-secret-5"}))
    logged = [record.getMessage() for record in caplog.records]
    assert any("HTTP Request" in line and "zone=1" in line for line in logged)
    assert not any("key-secret" in line for line in logged)


async def test_a_user_and_a_password_in_the_address_are_sent_as_such() -> None:
    async with chat_server(writes("Hi")) as server:
        await ask(HttpChatModel(server.base_url.replace("//", "//me%40x:pass@"), "m"))
    assert server.headers[0]["authorization"] == "Basic bWVAeDpwYXNz"
