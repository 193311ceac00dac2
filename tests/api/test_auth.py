"""Keys: what is kept of them, what they open, and that a refusal tells nothing."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.auth.keys import digest_of, fits, new_key, prefix_of
from api.auth.store import KeyStore, UnknownKey
from api.auth.who import ALL_SCOPES, Who, needed, parsed_scopes
from api.serve import check_keys
from rag import Settings, load_settings, open_footnote
from rag.core.errors import UsageError
from tests.api.conftest import Cli, served

ASKS = Who(label="web", scopes=frozenset({"ask"}), groups=frozenset())
INGESTS = Who(label="loader", scopes=frozenset({"ingest"}))
ADMIN = Who(label="root", scopes=ALL_SCOPES)


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    return load_settings(store=tmp_path / "store")


@pytest.fixture
def keys(empty: Settings) -> Iterator[KeyStore]:
    store = KeyStore(empty.store)
    yield store
    store.close()


@pytest.fixture
async def client(empty: Settings, keys: KeyStore) -> AsyncIterator[httpx.AsyncClient]:
    with open_footnote(empty, create=True) as footnote:
        async with served(empty, footnote) as client:
            yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


# What is kept


def test_a_key_fits_its_own_digest_and_no_other() -> None:
    one, other = new_key(), new_key()
    assert prefix_of(one.text) == one.prefix
    assert fits(one.text, one.salt, one.digest)
    assert not fits(other.text, one.salt, one.digest)
    assert digest_of(one.text, other.salt) != one.digest


def test_nothing_on_disk_holds_a_key(empty: Settings, keys: KeyStore) -> None:
    made = keys.create(ADMIN)
    secret = made.text.rpartition("_")[2]
    assert keys.who(made.text) is not None
    keys.close()
    for file in empty.store.iterdir():
        assert secret.encode() not in file.read_bytes(), file
    assert (empty.store / "serving.sqlite").stat().st_mode & 0o077 == 0


def test_a_key_says_whose_it_is(keys: KeyStore) -> None:
    who = Who("acme", "web", frozenset({"ask"}), frozenset({"HR ", "board"}), "", 5, 100)
    made = keys.create(who)
    assert keys.who(made.text) == Who(
        "acme", "web", frozenset({"ask"}), frozenset({"hr", "board"}), made.prefix, 5, 100
    )


@pytest.mark.parametrize(
    "text", ["", "fn_", "fn_abc_def", "sk-123", "fn_" + "a" * 12 + "_" + "A" * 43, "\x00"]
)
def test_what_is_no_key_opens_nothing(keys: KeyStore, text: str) -> None:
    keys.create(ADMIN)
    assert keys.who(text) is None


def test_a_key_ends_when_it_expires_or_is_revoked(keys: KeyStore) -> None:
    expired = keys.create(ADMIN, expires_at=time.time() - 1)
    revoked = keys.create(ADMIN)
    assert keys.who(revoked.text) is not None
    keys.revoke("root")
    assert keys.who(expired.text) is None
    assert keys.who(revoked.text) is None
    assert {row.state(time.time()) for row in keys.rows()} == {"expired", "revoked"}
    with pytest.raises(UnknownKey):
        keys.revoke("root")


def test_a_rotated_key_stays_good_for_the_overlap_only(keys: KeyStore) -> None:
    old = keys.create(ASKS)
    new = keys.rotate("web", overlap_s=3600)
    first, second = keys.who(old.text), keys.who(new.text)
    assert first is not None and second is not None
    assert (first.label, first.scopes, first.groups) == (second.label, second.scopes, second.groups)
    newest = keys.rotate(new.prefix, overlap_s=0)
    assert keys.who(new.text) is None
    assert keys.who(newest.text) is not None


def test_a_rotated_key_lives_as_long_as_the_old_one_was_to(keys: KeyStore) -> None:
    keys.create(ASKS, expires_at=time.time() + 1000)
    new = keys.rotate("web", overlap_s=10)
    row = next(row for row in keys.rows() if row.prefix == new.prefix)
    assert row.expires_at == pytest.approx(time.time() + 1000, abs=5)


def test_names_are_one_for_each_tenant(keys: KeyStore) -> None:
    keys.create(ASKS)
    keys.create(Who("acme", "web", frozenset({"ask"}), frozenset()))
    with pytest.raises(UsageError, match="rotate"):
        keys.create(ASKS)
    with pytest.raises(UsageError, match="--tenant"):
        keys.revoke("web")
    assert len(keys.revoke("web", "acme")) == 1


def test_who_may_replace_documents_must_see_them_all(keys: KeyStore) -> None:
    with pytest.raises(UsageError, match="all groups"):
        keys.create(Who(label="x", scopes=frozenset({"ingest"}), groups=frozenset({"hr"})))


@pytest.mark.parametrize("tenant", ["", "Acme", "../x", "a" * 64, "a/b", "@a", "a\n"])
def test_a_tenants_name_is_safe_as_a_folder(keys: KeyStore, tenant: str) -> None:
    with pytest.raises(UsageError, match="tenant"):
        keys.create(Who(tenant, "web", frozenset({"ask"}), frozenset()))


def test_scopes_are_named() -> None:
    assert parsed_scopes("ask, ingest") == {"ask", "ingest"}
    for wrong in ("", "ask,everything"):
        with pytest.raises(UsageError):
            parsed_scopes(wrong)


# What they open


def test_every_route_but_those_without_content_needs_a_key(empty: Settings) -> None:
    open_ones = {"/healthz", "/readyz"}
    for path, operations in create_app(empty).openapi()["paths"].items():
        for method in operations:
            need = needed(method.upper(), path)
            assert (need is None) == (path in open_ones or path.startswith("/v1/widget/")), (method, path)


def test_a_route_that_nobody_thought_of_is_for_administrators() -> None:
    assert needed("GET", "/v1/new") == needed("POST", "/docs") == needed("GET", "/v1/documentsx") == "admin"


async def test_without_any_key_this_machine_may_do_everything(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get("/v1/batches")).status_code == 200


async def test_with_the_first_key_the_server_is_closed_and_stays_so(
    client: httpx.AsyncClient, keys: KeyStore
) -> None:
    made = keys.create(ADMIN)
    assert (await client.get("/v1/batches")).status_code == 401
    assert (await client.get("/v1/batches", headers=bearer(made.text))).status_code == 200
    assert (await client.get("/v1/batches", headers={"x-api-key": made.text})).status_code == 200
    keys.revoke("root")
    assert (await client.get("/v1/batches", headers=bearer(made.text))).status_code == 401
    assert (await client.get("/v1/batches")).status_code == 401


async def test_all_keys_that_do_not_fit_are_refused_in_the_same_words(
    client: httpx.AsyncClient, keys: KeyStore
) -> None:
    keys.create(ADMIN)
    expired = keys.create(ASKS, expires_at=time.time() - 1).text
    bad = ["fn_nothing", new_key().text, expired, "", expired.replace("fn_", "fx_")]
    replies = [await client.get("/v1/documents", headers=bearer(key)) for key in bad]
    replies += [
        await client.get(path) for path in ("/v1/documents/x", "/v1/there-is-no-such-route", "/metrics")
    ]
    assert {reply.status_code for reply in replies} == {401}
    assert len({reply.text for reply in replies}) == 1
    assert replies[0].headers["content-type"] == "application/problem+json"
    assert replies[0].headers["www-authenticate"].startswith("Bearer")


async def test_scopes_keep_keys_to_their_work(client: httpx.AsyncClient, keys: KeyStore) -> None:
    asks, ingests = keys.create(ASKS).text, keys.create(INGESTS).text
    files = {"files": ("a.md", b"# A\n\nAlpha.\n")}
    refused = [
        await client.post("/v1/documents", files=files, headers=bearer(asks)),
        await client.delete("/v1/documents/x", headers=bearer(asks)),
        await client.get("/metrics", headers=bearer(asks)),
        await client.get("/v1/no-such-route", headers=bearer(asks)),
        await client.post("/v1/search", json={"question": "alpha"}, headers=bearer(ingests)),
    ]
    assert {reply.status_code for reply in refused} == {403}
    assert all(reply.json()["code"] == "forbidden" for reply in refused)
    assert (await client.post("/v1/documents", files=files, headers=bearer(ingests))).status_code == 201
    found = await client.post("/v1/search", json={"question": "alpha"}, headers=bearer(asks))
    assert [hit["source"] for hit in found.json()["hits"]] == ["a.md"]


async def test_readiness_tells_strangers_only_that(client: httpx.AsyncClient, keys: KeyStore) -> None:
    made = keys.create(ADMIN)
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    assert "chunks" in (await client.get("/readyz", headers=bearer(made.text))).json()


async def test_a_request_can_ask_for_somebody_in_fewer_groups(
    client: httpx.AsyncClient, keys: KeyStore
) -> None:
    everything = keys.create(ADMIN).text
    hr = keys.create(Who(label="hr", scopes=frozenset({"ask"}), groups=frozenset({"hr"}))).text
    text = b"---\ngroups: [HR]\n---\n# Pay\n\nWages rise in May.\n"
    files = {"files": ("pay.md", text)}
    stored = await client.post("/v1/documents", files=files, headers=bearer(everything))
    assert stored.status_code == 201

    async def seen(key: str, groups: str | None) -> int:
        headers = bearer(key) if groups is None else {**bearer(key), "x-footnote-groups": groups}
        return len((await client.get("/v1/documents", headers=headers)).json()["documents"])

    assert [await seen(everything, groups) for groups in (None, "hr", "board, hr", "board", "")] == [
        1,
        1,
        1,
        0,
        0,
    ]
    # Nobody adds groups to those of a key.
    assert [await seen(hr, groups) for groups in (None, "hr,board", "board")] == [1, 1, 0]
    narrowed = {**bearer(everything), "x-footnote-groups": "board"}
    refused = await client.post("/v1/documents", files=files, headers=narrowed)
    assert (
        refused.json()["results"][0]["error"]["status"] == 403
        if refused.status_code == 207
        else (refused.status_code == 403)
    )


# Where the server listens


async def test_a_server_for_others_answers_nobody_before_there_is_a_key(tmp_path: Path) -> None:
    settings = load_settings(store=tmp_path / "store", host="192.0.2.1")
    with open_footnote(settings, create=True) as footnote:
        async with served(settings, footnote) as client:
            reply = await client.get("/v1/documents")
            assert reply.status_code == 401
            assert "footnote keys create" in reply.json()["detail"]
            assert (await client.get("/healthz")).status_code == 200


def test_serve_refuses_other_machines_without_a_key(tmp_path: Path) -> None:
    settings = load_settings(store=tmp_path / "store", host="0.0.0.0")
    with pytest.raises(UsageError, match="--insecure"):
        check_keys(settings)
    assert not check_keys(settings.model_copy(update={"insecure": True}))
    assert not check_keys(settings.model_copy(update={"host": "::1"}))
    keys = KeyStore(settings.store)
    keys.create(ADMIN)
    keys.close()
    assert check_keys(settings)


async def test_pages_of_other_origins_are_refused_unless_they_are_named(tmp_path: Path) -> None:
    friend = "https://shop.example"
    settings = load_settings(store=tmp_path / "store", cors_origins=[friend])
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with open_footnote(settings, create=True) as footnote:
        async with served(settings, footnote) as client:
            reply = await client.get("/v1/batches", headers={"origin": friend})
            assert reply.status_code == 200
            assert reply.headers["access-control-allow-origin"] == friend
            allowed = await client.options("/v1/ask", headers={"origin": friend, **preflight})
            assert allowed.status_code == 200
            for foreign in ("https://evil.example", "https://shop.example.evil", "null"):
                refused = await client.get("/v1/batches", headers={"origin": foreign})
                assert refused.status_code == 403
                assert "access-control-allow-origin" not in refused.headers


# The command


def test_keys_are_made_listed_rotated_and_revoked_by_command(cli: Cli, tmp_path: Path) -> None:
    at = ("--store", tmp_path / "store", "--json")
    made = json.loads(cli("keys", "create", "--name", "web", "--groups", "hr", "--expires", "90d", *at).out)
    listed = cli("keys", "list", *at).out
    assert made["key"] not in listed
    (row,) = json.loads(listed)
    assert (row["prefix"], row["scopes"], row["groups"], row["state"]) == (
        made["prefix"],
        ["ask"],
        ["hr"],
        "active",
    )
    again = json.loads(cli("keys", "rotate", "web", "--overlap", "1h", *at).out)
    assert again["prefix"] != made["prefix"]
    assert set(json.loads(cli("keys", "revoke", "web", *at).out)["revoked"]) == {
        made["prefix"],
        again["prefix"],
    }
    assert cli("keys", "revoke", "web", *at).code == 4
    for wrong in (["--expires", "soon"], ["--scope", "root"], ["--tenant", "A/B"]):
        assert cli("keys", "create", "--name", "x", *wrong, *at).code == 2
