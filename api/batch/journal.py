"""The output of a batch is its journal: what stands in it has been answered and is never asked again.

A line is written with one call when its answer is complete, so a killed process loses none that it has written;
at most a torn last line is left, which is dropped at the next start. The file is synced once a second and at the
end: only a loss of power may cost the last second's lines. Beside it, ``OUT.running`` holds the lock of the
process at work and the numbers of the lines it has begun; after a kill these tell what was in flight.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from api.batch.answering import failure_of
from rag.core.errors import StoreFull, UsageError

_SYNC_EVERY_S: Final = 1.0


@dataclass(slots=True)
class Written:
    """What an output holds."""

    keys: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    """Line → why."""
    cost_usd: float = 0.0
    n_cached: int = 0

    def add(self, result: Mapping[str, Any], key: str) -> None:
        number = int(result["line"])
        self.keys[number] = key
        self.cost_usd += float(result.get("cost_usd") or 0.0)
        self.n_cached += bool(result.get("cached"))
        if (why := failure_of(dict(result))) is not None:
            self.failed[number] = why


class Journal:
    """Raises ``UsageError`` for a file that is something else, or that another process writes."""

    def __init__(self, out: Path, *, retry_failed: bool = False) -> None:
        self.out = out
        self._running = out.with_name(f"{out.name}.running")
        self._lock = self._locked()
        self._synced_s = time.monotonic()
        try:
            begun = self._begun()
            self.written = self._read()
            self.in_flight_before = sorted(begun - self.written.keys.keys())
            if retry_failed and self.written.failed:
                self._drop_failed()
            self._file = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as exc:
            os.close(self._lock)
            raise _not_writable(out, exc) from exc
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)
        if kind is None:
            self._running.unlink(missing_ok=True)
        os.close(self._lock)

    def begin(self, number: int) -> None:
        os.write(self._lock, f"{number}\n".encode())

    def write(self, result: Mapping[str, Any], key: str) -> None:
        """Raises ``StoreFull``, ``UsageError``."""
        row = {"id": result["id"], "line": result["line"], "key": key, **result}
        data = (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._file, data) :]
            if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
                os.fsync(self._file)
                self._synced_s = time.monotonic()
        except OSError as exc:
            raise _not_writable(self.out, exc) from exc
        self.written.add(result, key)

    def put_in_order(self) -> None:
        """The lines in the order of the questions. A new file takes the old one's place at once, or not at all."""
        rows = self.out.read_bytes().splitlines(keepends=True)
        self._replace(sorted(rows, key=lambda row: int(json.loads(row)["line"])))
        os.close(self._file)
        self._file = os.open(self.out, os.O_WRONLY | os.O_APPEND)

    # At the start

    def _locked(self) -> int:
        while True:
            try:
                lock = os.open(self._running, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            except OSError as exc:
                raise _not_writable(self.out, exc) from exc
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its owner may have ended, and removed it, between the two calls.
                if os.path.exists(self._running) and os.path.samestat(  # noqa: PTH110
                    os.fstat(lock),
                    os.stat(self._running),  # noqa: PTH116
                ):
                    return lock
            except FileNotFoundError:
                pass
            except BlockingIOError as exc:
                os.close(lock)
                raise UsageError(
                    f"Another batch is writing {self.out}; wait for it, or name another --out."
                ) from exc
            os.close(lock)

    def _begun(self) -> set[int]:
        text = self._running.read_text("ascii", "replace")
        return {int(number) for number in text.split("\n")[:-1] if number.isdigit()}

    def _read(self) -> Written:
        written = Written()
        if not self.out.exists():
            return written
        whole = 0
        with self.out.open("rb") as file:
            for n, row in enumerate(file, 1):
                if not row.endswith(b"\n"):
                    break
                written.add(*self._row(n, row))
                whole += len(row)
            size = file.seek(0, os.SEEK_END)
        if size > whole:
            os.truncate(self.out, whole)
        return written

    def _row(self, n: int, row: bytes) -> tuple[dict[str, Any], str]:
        try:
            result = json.loads(row)
            return {**result, "line": int(result["line"])}, str(result["key"])
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise UsageError(
                f"{self.out} is not the output of a batch (its line {n} is none of ours); name another --out."
            ) from exc

    def _drop_failed(self) -> None:
        rows = self.out.read_bytes().splitlines(keepends=True)
        self._replace([row for row in rows if int(json.loads(row)["line"]) not in self.written.failed])
        spent_usd = self.written.cost_usd
        self.written = self._read()
        self.written.cost_usd = spent_usd  # what the failed ones took is paid all the same

    def _replace(self, rows: list[bytes]) -> None:
        new = self.out.with_name(f"{self.out.name}.new")
        with new.open("wb") as file:
            file.writelines(rows)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.out)


def _not_writable(out: Path, exc: OSError) -> UsageError | StoreFull:
    import errno

    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"The disk is full; free some space and run it again: what {out} holds is kept.")
    return UsageError(f"The results cannot be written to {out} ({exc.strerror}); name another file.")
