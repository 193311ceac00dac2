"""Errors as data: the RFC 9457 object that HTTP, ``--json`` and batch files show."""

from __future__ import annotations

import errno
import os
import tempfile
import traceback
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from api.schemas import plain
from rag.core.errors import FootnoteError, StoreError, StoreFull

MEDIA_TYPE = "application/problem+json"


def problem(status: int, code: str, detail: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": f"urn:footnote:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "fields": {key: _plain_or_text(value) for key, value in (fields or {}).items()},
    }


def problem_of(error: FootnoteError) -> dict[str, Any]:
    return problem(error.http_status, error.code, error.message, error.fields)


def status_problem(status: int, detail: str) -> dict[str, Any]:
    """For errors that only have an HTTP status: no such page, method not allowed."""
    code = HTTPStatus(status).phrase.lower().replace(" ", "-").replace("'", "")
    return problem(status, code, detail)


def foreign_error(error: Exception) -> FootnoteError | None:
    """Faults of the machine that can come from anywhere, in words; None for what is a bug of ours."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull("The disk is full; free some space and run it again: what was stored is kept.")
    if isinstance(error, PermissionError):
        return StoreError(
            f"Permission denied for {error.filename or 'a file'}; check who owns it and try again."
        )
    if isinstance(error, MemoryError):
        return StoreError("Memory ran out; close other programs or use a smaller batch of documents.")
    return None


def log_unexpected(error: BaseException, folder: Path | None) -> Path | None:
    """Writes the trace to the store's log (a temporary file without a store); None if nothing can be written."""
    entry = f"--- {datetime.now(UTC).isoformat(timespec='seconds')} pid {os.getpid()}\n" + "".join(
        traceback.format_exception(error)
    )
    try:
        if folder is not None and folder.is_dir():
            path = folder / "footnote-errors.log"
        else:
            handle, name = tempfile.mkstemp(prefix="footnote-error-", suffix=".log")
            os.close(handle)
            path = Path(name)
        with path.open("a", encoding="utf-8") as file:
            file.write(entry)
    except OSError:
        return None
    return path


def unexpected_sentence(error: BaseException, log: Path | None) -> str:
    where = f" with what {log} says of it" if log else ""
    return f"Something unexpected went wrong ({type(error).__name__}); please report it{where}."


def unexpected_problem(error: Exception, folder: Path) -> dict[str, Any]:
    """A fault behind the service: the trace goes to the log, and no path of the server to its reader."""
    known = foreign_error(error)
    if known is not None:
        return problem_of(known)
    logged = log_unexpected(error, folder) is not None
    detail = "Something unexpected went wrong in the server; please report it"
    return problem(500, "unexpected", f"{detail} with what its log says." if logged else f"{detail}.")


def _plain_or_text(value: Any) -> Any:
    try:
        return plain(value)
    except ValueError:
        return str(value)
