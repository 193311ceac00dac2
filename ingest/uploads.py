"""Files that arrive over HTTP: kept in a folder of the store and ingested like any other."""

from __future__ import annotations

import contextlib
import errno
import re
from pathlib import Path, PurePosixPath

from ingest.context import IngestContext
from ingest.identity import content_hash
from rag.core.errors import LoadError, StoreError, StoreFull, UsageError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def add_upload(context: IngestContext, store: Path, name: str, data: bytes) -> str:
    """Returns the path of the source. Raises ``LoadError`` if the file cannot be read; then it is not kept,
    and an earlier upload of that name stays as it was."""
    from ingest.sync import sync

    relative = safe_name(name)
    folder = upload_folder(store, context.tenant, context.knowledge_base)
    target = folder / relative
    previous = target.read_bytes() if target.is_file() else None
    _write(target, data)
    try:
        context.catalog.ensure_root(context.idx.kb_id, str(folder.resolve()))
        report = sync(context, [target])
    except BaseException:
        _put_back(target, previous)
        raise
    problems = [*report.failed, *report.skipped]
    if problems:
        _put_back(target, previous)
        if previous is not None:
            sync(context, [target])
        else:
            _forget(context, relative)
        raise LoadError(problems[0].reason, path=name)
    return relative


def upload_folder(store: Path, tenant: str, knowledge_base: str) -> Path:
    """The names of knowledge bases begin with a letter or a digit, so those of tenants stand apart."""
    uploads = store / "uploads"
    return (uploads if tenant == "default" else uploads / f"@{tenant}") / knowledge_base


def _put_back(target: Path, previous: bytes | None) -> None:
    if previous is None:
        target.unlink(missing_ok=True)
    else:
        _write(target, previous)


def safe_name(name: str) -> str:
    """A relative path that stays inside its folder. Raises ``UsageError``."""
    cleaned = name.replace("\\", "/").strip()
    parts = PurePosixPath(cleaned).parts
    if (
        not parts
        or cleaned.startswith("/")
        or any(part in ("..", ".") or part.startswith(".") for part in parts)
        or _CONTROL.search(cleaned)
        or any(len(part.encode()) > 255 for part in parts)
        or ":" in parts[0]
    ):
        raise UsageError(
            f"{name[:80]!r} is not a usable file name; give a relative path without '..' and leading dots.",
            path=name[:200],
        )
    return "/".join(parts)


def _write(target: Path, data: bytes) -> None:
    draft = target.with_name(f".{content_hash(data)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(target)
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as exc:
        raise UsageError(
            f"{target.name} cannot be kept: of its path and an earlier upload's, one is a file and one a folder; "
            "choose another name.",
            path=target.name,
        ) from exc
    except OSError as exc:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise (StoreFull if full else StoreError)(
            f"The upload cannot be kept ({exc.strerror or exc}); "
            + ("free some space on the store's disk." if full else "check the store's folder.")
        ) from exc


def _forget(context: IngestContext, relative: str) -> None:
    for root in context.catalog.roots(context.idx.kb_id):
        row = context.catalog.files(root.id).get(relative)
        if row is not None and row.state != "ok":
            context.catalog.forget_files([row.source_id])
