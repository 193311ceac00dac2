"""Locks between processes. They are the kernel's, so a killed process leaves none behind. POSIX only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import IO

from rag.core.errors import StoreError, StoreLocked


class FileLock:
    """An advisory lock on a file: shared or exclusive, never waiting longer than asked."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def acquire(self, *, shared: bool = False, wait_s: float = 0.0) -> bool:
        if self._file is not None:
            return True
        try:
            file = self._path.open("a+b", buffering=0)
        except OSError as exc:
            raise self._error(exc) from exc
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                self._file = file
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.close()
                    return False
                time.sleep(0.02)
            except OSError as exc:
                file.close()
                raise self._error(exc) from exc

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def note(self, text: str) -> None:
        """Says who holds the lock. A courtesy: on a full disk it stays unsaid."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
                self._file.write(text.encode())

    def read_note(self) -> str:
        try:
            return self._path.read_text("utf-8", errors="replace")
        except OSError:
            return ""

    def _error(self, exc: OSError) -> StoreError:
        return StoreError(
            f"The store's lock {self._path} cannot be used ({exc.strerror or exc}); check the folder's permissions, "
            "and that it is on a local disk.",
            path=str(self._path),
        )


class StoreLocks:
    """``writer``: held by the one process that writes. ``vectors``: held shared by readers that have the
    embedded Chroma open, exclusively by the writer, because an embedded Chroma tolerates no second process."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.writer = FileLock(store / "writer.lock")
        self.vectors = FileLock(store / "vectors.lock")

    def become_writer(self) -> None:
        """Raises ``StoreLocked`` at once if another process writes."""
        if self.writer.held:
            return
        # A reader's probe may hold the lock for a moment; a writer holds it for longer than this.
        if not self.writer.acquire(wait_s=0.25):
            raise StoreLocked(self._who(), path=str(self.store))
        self.vectors.release()
        if not self.vectors.acquire(wait_s=10.0):
            self.writer.release()
            raise StoreLocked(
                f"Other processes keep reading the vectors of {self.store}; wait for them to end and try again.",
                path=str(self.store),
            )
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])
        self.writer.note(json.dumps({"pid": os.getpid(), "command": command}))

    def writer_active(self) -> bool:
        """Whether some process, this one included, is the writer."""
        if self.writer.held:
            return True
        probe = FileLock(self.store / "writer.lock")
        free = probe.acquire(shared=True)
        probe.release()
        return not free

    def release(self) -> None:
        self.vectors.release()
        self.writer.release()

    def _who(self) -> str:
        try:
            note = json.loads(self.writer.read_note())
            who = f"process {note['pid']} ({note['command']})"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        return (
            f"The store {self.store} is being written by {who}; wait for it to end, or, if it is a running "
            "server, send the files to it with --server URL."
        )
