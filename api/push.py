"""``footnote ingest --server``: sends folders to a running server, which holds the store open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.interrupt import INTERRUPTED, stop_on_signal
from api.terminal import count, line, say
from ingest.walk import WalkRules, walk
from rag.core.errors import FootnoteError, PathNotFound, StoreError, UsageError
from rag.core.settings import Settings

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 600.0


@dataclass(slots=True)
class Pushed:
    sent: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    interrupted: bool = False


class ServerUnreachable(StoreError):
    exit_code, http_status, code = 10, 503, "server-unreachable"


def push(server: str, paths: Sequence[Path], settings: Settings, *, watch: bool, as_json: bool) -> int:
    """Uploads every file as ``FOLDER/relative/path`` and deletes what is under ``FOLDER/`` on the server only.

    The server leaves out the work for files whose content it has already. Raises ``FootnoteError``.
    """
    import httpx

    if watch:
        raise UsageError("--watch works on a store of this machine; leave out --server or --watch.")
    for path in paths:
        if not path.exists():
            raise PathNotFound(f"There is no file or folder {path}; check the path.", path=str(path))
    pushed = Pushed()
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    sentence = "Stopping after the file in hand; running it again goes on."
    try:
        with stop_on_signal(sentence) as stop, httpx.Client(base_url=server, timeout=timeout) as client:
            for path in paths:
                for name, file in _files(path, settings):
                    if stop.is_set():
                        pushed.interrupted = True
                        break
                    _send(client, name, file, settings, pushed, quiet=as_json)
                if path.is_dir() and not pushed.interrupted:
                    _delete_vanished(client, path, settings, pushed)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        raise ServerUnreachable(
            f"The server {server} does not answer as Footnote does ({type(exc).__name__}); "
            "start it with footnote serve, or check the URL.",
            server=server,
        ) from exc
    _show(pushed, as_json=as_json)
    if pushed.interrupted:
        return INTERRUPTED
    return 3 if pushed.failed else 0


def _files(path: Path, settings: Settings) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        return
    rules = WalkRules(tuple(settings.include), tuple(settings.exclude), settings.hidden_files)
    for found in walk(path, rules).files:
        yield f"{path.resolve().name}/{found.path}", path / found.path


def _send(
    client: httpx.Client, name: str, file: Path, settings: Settings, pushed: Pushed, *, quiet: bool
) -> None:
    try:
        with file.open("rb") as content:
            reply = client.post("/v1/documents", params={"kb": settings.kb}, files={"files": (name, content)})
    except OSError as exc:
        pushed.failed.append({"path": name, "reason": f"It cannot be read ({exc.strerror})."})
        return
    if reply.status_code == 201:
        pushed.sent.append(name)
        if not quiet:
            say(f"sent {line(name)}", err=True)
        return
    found = _problem(reply)
    if found["status"] in (423, 507):
        raise StoreError(str(found["detail"]))
    pushed.failed.append({"path": name, "reason": str(found["detail"])})


def _delete_vanished(client: httpx.Client, folder: Path, settings: Settings, pushed: Pushed) -> None:
    params = {"kb": settings.kb}
    reply = client.get("/v1/documents", params=params)
    if reply.status_code != 200:
        raise StoreError(str(_problem(reply)["detail"]))
    prefix = f"{folder.resolve().name}/"
    for document in reply.json()["documents"]:
        path = document["source"]
        if not document["uploaded"] or not path.startswith(prefix):
            continue
        # What the rules leave out now is gone too, as it is in a local ingest; a file that failed stays.
        if path in pushed.sent or any(one["path"] == path for one in pushed.failed):
            continue
        gone = client.delete(f"/v1/documents/{document['id']}", params=params)
        if gone.status_code == 200:
            pushed.removed.append(path)


def _problem(reply: httpx.Response) -> dict[str, Any]:
    try:
        found = reply.json()
        return {"status": reply.status_code, "detail": found["detail"]}
    except (ValueError, KeyError, TypeError) as exc:
        raise FootnoteError(
            f"The server answered {reply.status_code} without saying why; check that the URL is Footnote's."
        ) from exc


def _show(pushed: Pushed, *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {
                    "sent": pushed.sent,
                    "removed": pushed.removed,
                    "failed": pushed.failed,
                    "interrupted": pushed.interrupted,
                },
                ensure_ascii=False,
            )
        )
        return
    say(
        f"{count(len(pushed.sent), 'document')} sent, {len(pushed.removed)} removed, {len(pushed.failed)} failed."
    )
    for one in pushed.failed:
        say(f"  {line(one['path'])}: {line(one['reason'])}")
