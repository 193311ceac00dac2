"""One hostile file can neither hang nor kill a run: with real worker processes."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

from ingest.loaders.registry import load_bytes
from ingest.loaders.sandbox import LoaderPool
from rag.core.errors import EncryptedFile, LoadError, LoadTimeout
from rag.core.types import LoadedDocument

TIMEOUT_S, MEMORY_MB = 1.0, 600


@pytest.fixture(scope="module")
def pool() -> Iterator[LoaderPool]:
    """One worker, so that the next file is read by what is left of it, or by its successor."""
    with LoaderPool(1, TIMEOUT_S, MEMORY_MB) as pool:
        yield pool


def read(pool: LoaderPool, name: str, data: bytes) -> Future[LoadedDocument]:
    return pool.submit(partial(load_bytes, data, Path(name), name=name), path=name)


def hang() -> None:
    time.sleep(3600)


def spin() -> None:
    while True:
        pass


def eat_memory() -> None:
    bytearray(2**31)  # at once: touching it page by page may take longer than the time-out


def leave() -> None:
    os._exit(7)


def crash() -> None:
    ctypes.string_at(0)


def recurse() -> None:
    recurse()


def raise_what_cannot_be_sent() -> None:
    class Local(Exception):
        def __reduce__(self) -> str:
            raise RuntimeError("not to be pickled")

    raise Local("odd")


@pytest.mark.parametrize(
    ("hostile", "error", "said"),
    [
        (hang, LoadTimeout, "took longer than 1 s to parse; raise FOOTNOTE_LOAD_TIMEOUT_S"),
        (spin, LoadTimeout, "took longer than 1 s"),
        (eat_memory, LoadError, "needs more than 600 MB to be parsed; raise FOOTNOTE_LOAD_MEMORY_MB"),
        (leave, LoadError, "made its parsing process end"),
        (crash, LoadError, "made its parsing process end"),
        (recurse, LoadError, "cannot be parsed (maximum recursion depth"),
        (raise_what_cannot_be_sent, LoadError, "bad.pdf"),
    ],
)
def test_a_hostile_file_ends_as_one_sentence_and_the_next_is_read(
    pool: LoaderPool, hostile: Callable[[], None], error: type[LoadError], said: str
) -> None:
    bad = pool.submit(hostile, path="bad.pdf")
    good = read(pool, "good.txt", b"Plain words.")
    with pytest.raises(error) as caught:
        bad.result(timeout=30)
    message = str(caught.value)
    assert said in message and message.startswith("bad.pdf") and "\n" not in message
    assert caught.value.fields["path"] == "bad.pdf"
    assert good.result(timeout=30).text == "Plain words."


def test_a_loaders_own_error_comes_through_as_it_is(pool: LoaderPool) -> None:
    with pytest.raises(LoadError, match=r"x\.bin is a binary file of an unknown kind"):
        read(pool, "x.bin", bytes(range(256))).result(timeout=30)
    error = EncryptedFile("It is locked.", path="a.pdf", page=3)
    with pytest.raises(EncryptedFile, match="It is locked") as caught:
        pool.submit(partial(_raise, error), path="a.pdf").result(timeout=30)
    assert caught.value.fields == {"path": "a.pdf", "page": 3}


def _raise(error: Exception) -> None:
    raise error


def test_absurd_nesting_is_one_sentence(pool: LoaderPool) -> None:
    deep = b'{"a":' * 300_000 + b"1" + b"}" * 300_000
    with pytest.raises(LoadError, match="nested too deeply"):
        read(pool, "deep.json", deep).result(timeout=30)
    assert read(pool, "next.txt", b"Still here.").result(timeout=30).text == "Still here."


def test_the_time_out_counts_for_each_file_not_for_its_wait(pool: LoaderPool) -> None:
    slow = [pool.submit(time.sleep, 0.4, path=f"{n}.txt") for n in range(3)]
    assert [future.result(timeout=30) for future in slow] == [None, None, None]
