"""Worker processes for parsing: one hostile file can neither hang nor kill a run."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType, TracebackType
from typing import Any, Self, TypeVar

from rag.core.errors import LoadError, LoadTimeout

T = TypeVar("T")

# A worker is replaced after this many files: parsers leak.
_FILES_PER_WORKER = 200
_PR_SET_PDEATHSIG = 1


class LoaderPool:
    """Runs picklable functions in processes with a time-out and a memory limit for each call."""

    def __init__(self, workers: int, timeout_s: float, memory_mb: int) -> None:
        from pebble import ProcessPool

        self._timeout_s, self._memory_mb = timeout_s, memory_mb
        # A fresh interpreter for each worker: forking a parent that has threads may deadlock.
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=_FILES_PER_WORKER,
            initializer=_limit,
            initargs=(memory_mb, os.getpid()),
            context=_Context(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=True)

    def submit(self, function: Callable[..., T], *args: Any, path: str) -> Future[T]:
        """The future's exception is a ``LoadError``, or one that ``function`` raised on purpose."""
        outcome: Future[T] = Future()
        inner = self._pool.schedule(function, args=list(args), timeout=self._timeout_s)

        def settle(done: Future[T]) -> None:
            try:
                outcome.set_result(done.result())
            except BaseException as exc:
                outcome.set_exception(self._error(exc, path))

        inner.add_done_callback(settle)
        return outcome

    def close(self, *, kill: bool = False) -> None:
        if kill:
            self._pool.stop()  # type: ignore[no-untyped-call]
        else:
            self._pool.close()  # type: ignore[no-untyped-call]
        self._pool.join()

    def _error(self, exc: BaseException, path: str) -> Exception:
        from pebble import ProcessExpired

        if isinstance(exc, LoadError):
            return exc
        if isinstance(exc, TimeoutError):
            return LoadTimeout(
                f"{path} took longer than {self._timeout_s:g} s to parse; raise FOOTNOTE_LOAD_TIMEOUT_S if it is wanted.",
                path=path,
            )
        if isinstance(exc, MemoryError):
            return LoadError(
                f"{path} needs more than {self._memory_mb} MB to be parsed; raise FOOTNOTE_LOAD_MEMORY_MB if it is "
                "wanted.",
                path=path,
            )
        if isinstance(exc, ProcessExpired):
            return LoadError(
                f"{path} made its parsing process end (exit code {exc.exitcode}); the file may be damaged.",
                path=path,
            )
        reason = " ".join(str(exc).split())[:160] or type(exc).__name__
        return LoadError(f"{path} cannot be parsed ({reason}); the file may be damaged.", path=path)


class _Worker(SpawnProcess):
    """Does not import the program's main module: a user's script need not guard itself with
    ``if __name__ == "__main__"``."""

    @staticmethod
    def _Popen(process: Any) -> Any:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process)
        finally:
            sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Worker


def _limit(memory_mb: int, parent: int) -> None:
    """Runs first in each worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    _die_with(parent)
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = memory_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == -1 else min(limit, hard), hard))
    except (ImportError, ValueError, OSError):
        pass  # no such limit on this system: the time-out remains


def _die_with(parent: int) -> None:
    """Asks the kernel to end this process with its parent, also when that is killed."""
    if sys.platform != "linux":
        return
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before we could ask
