"""Finds the files under a folder: globs, ``.footnoteignore``, symlink loops, unreadable folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IGNORE_FILE = ".footnoteignore"
ACCESS_FILE = ".footnoteaccess"


@dataclass(frozen=True, slots=True)
class FoundFile:
    path: str
    """Relative to the root, with forward slashes."""
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Walked:
    files: list[FoundFile] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Relative path of a folder or file that could not be looked at → why, and what to do. What lies under
    it is unknown, so nothing under it may be taken for vanished."""


@dataclass(frozen=True, slots=True)
class WalkRules:
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    hidden: bool = False


def walk(root: Path, rules: WalkRules, *, below: str = "", leave_out: Path | None = None) -> Walked:
    """Every regular file under ``root`` (or under ``root/below``) that the rules let in, sorted by path.

    Globs have .gitignore's syntax. Symbolic links are followed; a folder that contains itself is entered once.
    ``leave_out`` is a folder that is none of the user's documents: the store.
    """
    from pathspec import GitIgnoreSpec

    include = GitIgnoreSpec.from_lines(rules.include) if rules.include else None
    exclude = GitIgnoreSpec.from_lines(rules.exclude)
    walked = Walked()
    ignores = list(_ignores_above(root, below))
    start = root / below if below else root
    if start.is_file():
        _take(walked, below, start.stat())
        return walked
    inside_store = _identity(leave_out) if leave_out is not None and leave_out.exists() else None
    above = () if inside_store is None or _is_below(start, leave_out) else (inside_store,)
    _walk_folder(start, below, walked, rules, (include, exclude), ignores, above)
    walked.files.sort(key=lambda file: file.path)
    return walked


def _walk_folder(
    folder: Path,
    relative: str,
    walked: Walked,
    rules: WalkRules,
    specs: tuple[Any, Any],
    ignores: list[tuple[str, Any]],
    above: tuple[tuple[int, int], ...],
) -> None:
    try:
        identity = _identity(folder)
        if identity in above:
            return  # a link back to a folder that we are inside of, or the store
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as exc:
        walked.unreadable[relative] = _why(exc)
        return
    ignores = [*ignores, *_ignore_file(folder, relative)]
    for entry in entries:
        path = f"{relative}/{entry.name}" if relative else entry.name
        if entry.name in (IGNORE_FILE, ACCESS_FILE) or (not rules.hidden and entry.name.startswith(".")):
            continue
        if not _is_text(path):
            walked.unreadable[path.encode("utf-8", "replace").decode()] = (
                "its name is not valid UTF-8; rename it"
            )
            continue
        try:
            is_folder = entry.is_dir()
            if _left_out(path, is_folder, specs, ignores):
                continue
            if is_folder:
                _walk_folder(Path(entry.path), path, walked, rules, specs, ignores, (*above, identity))
            elif entry.is_file():
                _take(walked, path, entry.stat())
        except OSError as exc:
            walked.unreadable[path] = _why(exc)


def _why(exc: OSError) -> str:
    return f"{exc.strerror or exc}; check its permissions"


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and folder.resolve() in path.resolve().parents


def _take(walked: Walked, path: str, status: os.stat_result) -> None:
    walked.files.append(FoundFile(path, status.st_size, status.st_mtime_ns))


def _left_out(path: str, is_folder: bool, specs: tuple[Any, Any], ignores: list[tuple[str, Any]]) -> bool:
    include, exclude = specs
    name = path + "/" if is_folder else path
    if exclude.match_file(name):
        return True
    for prefix, spec in ignores:
        if spec.match_file(name[len(prefix) :]):
            return True
    return include is not None and not is_folder and not include.match_file(path)


def _ignore_file(folder: Path, relative: str) -> Iterator[tuple[str, Any]]:
    from pathspec import GitIgnoreSpec

    try:
        lines = (folder / IGNORE_FILE).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    yield (f"{relative}/" if relative else "", GitIgnoreSpec.from_lines(lines))


def _ignores_above(root: Path, below: str) -> Iterator[tuple[str, Any]]:
    """The ignore files of the folders between the root and where the walk begins."""
    folders = below.split("/")[:-1] if below else []
    if below:
        yield from _ignore_file(root, "")
    for i in range(len(folders)):
        relative = "/".join(folders[: i + 1])
        yield from _ignore_file(root / relative, relative)
