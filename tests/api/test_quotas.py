"""Requests a minute and questions a day, for keys and tenants."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.auth.store import KeyStore
from api.auth.who import ALL_SCOPES, Who
from api.quotas import Quotas, SqliteCounts, TooManyRequests
from rag import Settings, load_settings, open_footnote
from tests.api.conftest import served


def limited(tmp_path: Path, **more: int) -> Settings:
    return load_settings(store=tmp_path / "store", **more)


def key(settings: Settings, who: Who) -> dict[str, str]:
    keys = KeyStore(settings.store)
    made = keys.create(who)
    keys.close()
    return {"x-api-key": made.text}


async def test_a_key_is_told_what_is_left_and_when_to_come_again(tmp_path: Path) -> None:
    settings = limited(tmp_path)
    mine = key(settings, Who(label="a", scopes=ALL_SCOPES, requests_per_minute=2))
    others = key(settings, Who(label="b", scopes=ALL_SCOPES))
    with open_footnote(settings, create=True) as footnote:
        async with served(settings, footnote) as client:
            replies = [await client.get("/v1/batches", headers=mine) for _ in range(3)]
            other = await client.get("/v1/batches", headers=others)
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [reply.headers["ratelimit"].split(";")[1] for reply in replies] == ["r=1", "r=0", "r=0"]
    assert {reply.headers["ratelimit-policy"] for reply in replies} == {'"key-minute";q=2;w=60'}
    assert 1 <= int(replies[2].headers["retry-after"]) <= 60
    assert replies[2].json()["code"] == "too-many-requests"
    assert replies[2].headers["content-type"] == "application/problem+json"
    assert other.status_code == 200
    assert "ratelimit" not in other.headers


async def test_keys_of_a_tenant_share_its_requests_and_no_other_tenants(tmp_path: Path) -> None:
    settings = limited(tmp_path, tenant_requests_per_minute=3)
    one, two = (key(settings, Who("acme", name, ALL_SCOPES)) for name in "ab")
    foreign = key(settings, Who("zoo", "a", ALL_SCOPES))
    with open_footnote(settings, create=True) as footnote:
        async with served(settings, footnote) as client:
            got = [(await client.get("/v1/batches", headers=who)).status_code for who in (one, two, one, two)]
            assert got == [200, 200, 200, 429]
            assert (await client.get("/v1/batches", headers=foreign)).status_code == 200


async def test_questions_are_counted_for_a_day_and_searches_are_not(store: Path, tmp_path: Path) -> None:
    settings = limited(tmp_path)
    mine = key(settings, Who(label="a", scopes=ALL_SCOPES, questions_per_day=2))
    question = {"question": "How many vacation days are there?"}
    with open_footnote(load_settings(store=store)) as footnote:
        async with served(settings, footnote) as client:

            async def ask(**more: bool) -> httpx.Response:
                return await client.post("/v1/ask", json={**question, **more}, headers=mine)

            assert (await client.post("/v1/search", json=question, headers=mine)).status_code == 200
            assert [(await ask()).status_code, (await ask(stream=True)).status_code] == [200, 200]
            spent = [await ask(), await ask(stream=True)]
    for reply in spent:
        assert reply.status_code == 429
        assert reply.headers["content-type"] == "application/problem+json"
        assert 86_000 < int(reply.headers["retry-after"]) <= 86_400
        assert '"key-day";r=0' in reply.headers["ratelimit"]


async def test_a_batch_counts_all_of_its_questions_or_none(tmp_path: Path) -> None:
    settings = limited(tmp_path, tenant_questions_per_day=5)
    with open_footnote(settings, create=True) as footnote:
        async with served(settings, footnote) as client:

            async def send(n: int) -> int:
                return (await client.post("/v1/batches", json={"questions": ["?"] * n})).status_code

            assert [await send(6), await send(4), await send(2), await send(1), await send(1)] == [
                429, 202, 429, 202, 429,
            ]  # fmt: skip


async def test_a_restart_forgives_nothing_and_a_new_key_goes_on_with_the_old_ones_counts(
    tmp_path: Path,
) -> None:
    settings = limited(tmp_path)
    who = Who("acme", "web", frozenset({"ask"}), questions_per_day=3, prefix="first")
    before = Quotas(settings)
    await before.count_questions(who, 2)
    before.close()
    after = Quotas(settings)
    await after.count_questions(Who("acme", "web", frozenset({"ask"}), questions_per_day=3, prefix="second"))
    with pytest.raises(TooManyRequests):
        await after.count_questions(who)
    after.close()


def test_counts_begin_anew_when_their_window_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("api.quotas.time.time", lambda: now)
    counts = SqliteCounts(tmp_path / "serving.sqlite")
    assert [counts.incr("a", 60), counts.incr("a", 60, 5), counts.incr("b", 60)] == [1, 6, 1]
    now += 59
    assert (counts.get("a"), counts.get_expiry("a")) == (6, 1_000_060.0)
    now += 1
    assert counts.get("a") == 0
    assert counts.incr("a", 60) == 1
    counts.clear("a")
    assert counts.reset() == 1
    counts.close()


async def test_nothing_is_counted_where_nothing_is_limited(tmp_path: Path) -> None:
    quotas = Quotas(limited(tmp_path))
    await quotas.count_questions(Who())
    assert (await quotas.count_request(Who())).shown == {}
    assert not (tmp_path / "store").exists()
