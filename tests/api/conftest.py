from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.cli import run
from rag import Footnote, Settings, load_settings, open_footnote

LEAVE = """---
author: Dana Ruiz
date: 2026-02-01
---
# Leave policy

## Vacation

Every employee has 28 vacation days a year. Up to five unused vacation days can be carried over into the next
year; they expire on 31 March.

## Sick leave

A doctor's note is needed from the third day of sickness.
"""
VPN = """# VPN troubleshooting

Error VPN-4711 means that the certificate of the laptop has expired. Renew it with the self-service portal, then
restart the client.
"""
PRINTERS = "Printers stand on every floor.\n\nThe printer on the second floor is called Gutenberg.\n"


def write_documents(folder: Path) -> Path:
    for name, text in (("hr/leave.md", LEAVE), ("it/vpn.md", VPN), ("it/printers.txt", PRINTERS)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True, scope="session")
def environment(cache: Path) -> Iterator[None]:
    """One converted encoder for all tests, in this process and in those that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOOTNOTE_CACHE", str(cache))
        patch.setenv("NO_COLOR", "1")
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, folder: Path, environment: None) -> Path:
    """A store that holds the corpus. Tests that write take ``writable`` instead."""
    return filled(tmp_path_factory.mktemp("read") / "store", folder)


@pytest.fixture
def writable(tmp_path: Path, folder: Path) -> Path:
    return filled(tmp_path / "store", folder)


def filled(store: Path, folder: Path) -> Path:
    with open_footnote(load_settings(store=store), create=True) as footnote:
        report = footnote.ingest([folder], stop=threading.Event())
    assert not report.failed
    return store


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line in this process."""

    def call(*args: str | Path) -> Ran:
        code = run([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def settings(store: Path) -> Settings:
    return load_settings(store=store)


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    with open_footnote(settings) as footnote:
        async with served(settings, footnote) as client:
            yield client


@pytest.fixture
async def writable_http(writable: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings(store=writable, max_upload_mb=0.1)
    with open_footnote(settings) as footnote:
        async with served(settings, footnote) as client:
            yield client


class served:
    """A client of the service, with the service's start and end around it."""

    def __init__(self, settings: Settings, footnote: Footnote | None) -> None:
        self.app = create_app(settings, footnote)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url="http://127.0.0.1"
        )
        self.lifespan = self.app.router.lifespan_context(self.app)

    async def __aenter__(self) -> httpx.AsyncClient:
        await self.lifespan.__aenter__()
        return self.client

    async def __aexit__(self, *exc: object) -> None:
        await self.client.aclose()
        await self.lifespan.__aexit__(None, None, None)
