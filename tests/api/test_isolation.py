"""Tenants, knowledge bases and groups over one real store: nobody is told anything of what is not theirs."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingest.sync
from api.auth.store import KeyStore
from api.auth.who import ALL_SCOPES, Who
from ingest.loaders.sandbox import LoaderPool
from rag import Footnote, load_settings, open_footnote
from tests.api.conftest import served

KBS = ("default", "other")
NAMES = ("plan.md", "hr/pay.md")
SIGHTS = (frozenset[str](), frozenset({"hr"}), frozenset({"hr", "board"}))
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Written:
    id: str
    secret: str
    groups: frozenset[str] | None


@dataclass
class Tenant:
    name: str
    writer: dict[str, str]
    readers: dict[frozenset[str], dict[str, str]]
    documents: dict[tuple[str, str], Written] = field(default_factory=dict)
    kbs: set[str] = field(default_factory=set)

    def seen(self, kb: str, groups: frozenset[str] | None) -> dict[str, Written]:
        return {
            name: one
            for (where, name), one in self.documents.items()
            if where == kb and (groups is None or one.groups is None or one.groups & groups)
        }


class World:
    """A running service; every example has tenants of its own in it, and all that went before stays there."""

    def __init__(self, footnote: Footnote, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.service = served(footnote.settings, footnote)
        self.client = runner.run(self.service.__aenter__())
        self.keys = KeyStore(footnote.settings.store)
        self.secrets: set[str] = set()

    def close(self) -> None:
        self.keys.close()
        self.runner.run(self.service.__aexit__())

    def call(self, method: str, path: str, key: dict[str, str], **more: Any) -> httpx.Response:
        return self.runner.run(self.client.request(method, path, headers=key, **more))

    def tenant(self, name: str) -> Tenant:
        def key(who: Who) -> dict[str, str]:
            return {"x-api-key": self.keys.create(who).text}

        readers = {
            groups: key(Who(name, "-".join(sorted(groups)) or "none", frozenset({"ask"}), groups))
            for groups in SIGHTS
        }
        return Tenant(name, key(Who(name, "writer", ALL_SCOPES)), readers)

    def put(self, tenant: Tenant, kb: str, name: str, groups: frozenset[str] | None) -> None:
        secret = f"zq{next(NUMBERS):05d}xk"
        self.secrets.add(secret)
        front = "" if groups is None else f"---\ngroups: {json.dumps(sorted(groups))}\n---\n"
        text = f"{front}# Report {secret}\n\nThe code word of the report is {secret}.\n"
        reply = self.call(
            "POST", f"/v1/documents?kb={kb}", tenant.writer, files={"files": (name, text.encode())}
        )
        assert reply.status_code == 201, reply.text
        tenant.documents[kb, name] = Written(reply.json()["results"][0]["document"]["id"], secret, groups)
        tenant.kbs.add(kb)

    def delete(self, tenant: Tenant, kb: str, name: str) -> None:
        known = tenant.documents.pop((kb, name), None)
        if known is not None:
            reply = self.call("DELETE", f"/v1/documents/{known.id}?kb={kb}", tenant.writer)
            assert reply.json() == {"removed": [name]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, environment: None) -> Iterator[World]:
    store = tmp_path_factory.mktemp("isolation") / "store"
    with LoaderPool(1, 60, 2048) as pool, pytest.MonkeyPatch.context() as patch:
        # Its processes end with the thread that starts them, so that must be this one.
        pool.submit(len, (), path="").result()

        class Shared:
            def __init__(self, *_: Any) -> None: ...

            def __enter__(self) -> LoaderPool:
                return pool

            def __exit__(self, *_: object) -> None: ...

        patch.setattr(ingest.sync, "LoaderPool", Shared)
        with open_footnote(load_settings(store=store), create=True) as footnote, asyncio.Runner() as runner:
            made = World(footnote, runner)
            yield made
            made.close()


GROUPS = st.sampled_from(
    [None, frozenset({"hr"}), frozenset({"board"}), frozenset({"hr", "board"}), frozenset[str]()]
)
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete"]),
        st.integers(0, 1),
        st.sampled_from(KBS),
        st.sampled_from(NAMES),
        GROUPS,
    ),
    min_size=2,
    max_size=8,
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(OPERATIONS)
def test_nobody_is_told_of_what_is_not_theirs(world: World, operations: list[Any]) -> None:
    number = next(NUMBERS)
    tenants = [world.tenant(f"acme{number}"), world.tenant(f"zoo{number}")]
    for what, which, kb, name, groups in operations:
        if what == "put":
            world.put(tenants[which], kb, name, groups)
        else:
            world.delete(tenants[which], kb, name)
    for tenant, other in (tenants, reversed(tenants)):
        for groups, key in [(None, tenant.writer), *tenant.readers.items()]:
            for kb in KBS:
                _check_sight(world, tenant, groups, key, kb)
                _check_others_ids(world, tenant, other, groups, key, kb)


def _check_sight(
    world: World, tenant: Tenant, groups: frozenset[str] | None, key: dict[str, str], kb: str
) -> None:
    seen = tenant.seen(kb, groups)
    asked: dict[str, Any] = {"question": "What is the code word of the report?", "kb": kb}
    listed = world.call("GET", f"/v1/documents?kb={kb}", key)
    searched = world.call("POST", "/v1/search", key, json={**asked, "k": 50})
    filtered = world.call(
        "POST", "/v1/search", key, json={**asked, "k": 50, "filters": {"source": "**/*.md"}}
    )
    answered = world.call("POST", "/v1/ask", key, json=asked)
    streamed = world.call("POST", "/v1/ask", key, json={**asked, "stream": True})
    replies = [listed, searched, filtered, answered, streamed, world.call("GET", "/readyz", key)]
    foreign = world.secrets - {one.secret for one in seen.values()}
    for reply in replies:
        assert not [secret for secret in foreign if secret in reply.text], reply.request.url
    if kb not in tenant.kbs:
        assert {reply.status_code for reply in (listed, searched, answered)} == {404}
        return
    assert {one["source"] for one in listed.json()["documents"]} == set(seen)
    for found in (searched, filtered):
        assert {hit["source_id"] for hit in found.json()["hits"]} == {one.id for one in seen.values()}
        assert found.json()["mode"] == "hybrid" or not seen
    if groups is None:
        chunks = world.call("GET", "/readyz", key).json()["chunks"]
        assert chunks == {name: len(tenant.seen(name, None)) for name in sorted(tenant.kbs)}


def _check_others_ids(
    world: World, tenant: Tenant, other: Tenant, groups: frozenset[str] | None, key: dict[str, str], kb: str
) -> None:
    """An id of a document that is not theirs is answered as one that nobody ever gave out."""
    hidden = [one.id for one in tenant.documents.values() if one not in tenant.seen(kb, groups).values()]
    foreign = [one.id for one in other.documents.values()]
    for path in ("", "/content", "/original"):
        never = _refusal(world, "GET", "0" * 32, path, kb, key)
        assert never[0] == 404
        for id in [*hidden, *foreign]:
            assert _refusal(world, "GET", id, path, kb, key) == never
    if groups is None:
        never = _refusal(world, "DELETE", "0" * 32, "", kb, key)
        for id in foreign:
            assert _refusal(world, "DELETE", id, "", kb, key) == never


def _refusal(world: World, method: str, id: str, path: str, kb: str, key: dict[str, str]) -> tuple[int, str]:
    reply = world.call(method, f"/v1/documents/{id}{path}?kb={kb}", key)
    return reply.status_code, reply.text.replace(id, "ID")


def test_uploads_of_tenants_lie_in_folders_that_cannot_meet(world: World) -> None:
    """A knowledge base of the first tenant with the other's name would be the same folder else."""
    first, second = world.tenant("default"), world.tenant("beta")
    world.put(second, "notes", "a.md", None)
    world.put(first, "beta", "notes/a.md", None)
    for tenant, kb in ((second, "notes"), (first, "beta")):
        (one,) = tenant.documents.values()
        content = world.call("GET", f"/v1/documents/{one.id}/content?kb={kb}", tenant.writer)
        assert one.secret in content.text
    folder: Path = world.service.app.state.footnote.settings.store / "uploads"
    assert (folder / "@beta/notes/a.md").is_file()
    assert (folder / "beta/notes/a.md").is_file()


def test_batches_are_seen_by_those_who_see_what_they_saw(world: World) -> None:
    tenant, other = world.tenant("gamma"), world.tenant("delta")
    world.put(tenant, "default", "plan.md", frozenset({"hr"}))
    keys = {"all": tenant.writer, **{"-".join(sorted(g)) or "none": k for g, k in tenant.readers.items()}}
    made = {}
    for name in ("all", "hr"):
        body = {"questions": ["What is the code word of the report?"]}
        made[name] = world.call("POST", "/v1/batches", keys[name], json=body).json()["id"]
    for name, sees in {"all": {"all", "hr"}, "hr": {"hr"}, "board-hr": {"hr"}, "none": set[str]()}.items():
        listed = world.call("GET", "/v1/batches", keys[name]).json()["batches"]
        assert {one["id"] for one in listed} == {made[seen] for seen in sees}
        for one in ("all", "hr"):
            got = world.call("GET", f"/v1/batches/{made[one]}/results", keys[name]).status_code
            assert got == (200 if one in sees else 404)
    assert world.call("GET", "/v1/batches", other.writer).json() == {"batches": []}

    async def done() -> None:
        while (await world.client.get(f"/v1/batches/{made['hr']}", headers=tenant.writer)).json()[
            "state"
        ] != "done":
            await asyncio.sleep(0.05)

    world.runner.run(asyncio.wait_for(done(), 20))
    (secret,) = (one.secret for one in tenant.documents.values())
    assert secret in world.call("GET", f"/v1/batches/{made['hr']}/results", keys["hr"]).text


def test_one_tenants_batches_take_no_place_from_anothers(world: World) -> None:
    one, two = world.tenant("epsilon"), world.tenant("zeta")
    body = {"questions": ["?"] * 500}
    codes = [world.call("POST", "/v1/batches", one.writer, json=body).status_code for _ in range(21)]
    refused = world.call("POST", "/v1/batches", one.writer, json=body)
    ours = world.call("POST", "/v1/batches", two.writer, json={"questions": ["?"]})
    for batch in world.call("GET", "/v1/batches", one.writer).json()["batches"]:
        world.call("DELETE", f"/v1/batches/{batch['id']}", one.writer)
    assert codes[0] == 202
    assert refused.status_code == 429
    assert ours.status_code == 202
