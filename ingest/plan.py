"""Compares a folder with the catalog: what is new, changed, unchanged or vanished. Reads no file's contents,
but those of new files whose size and ending are those of a document that is known already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ingest.identity import content_hash
from ingest.store.catalog import Catalog, FileRow, IndexRow, RootRow
from ingest.targets import Target
from ingest.walk import FoundFile, WalkRules, walk


@dataclass(frozen=True, slots=True)
class ToLoad:
    """A file that has to be read: new, or touched since."""

    target: Target
    found: FoundFile
    known: FileRow | None
    known_hash: str | None = None
    """Of the version at hand: if the bytes still have it there is nothing to parse."""

    @property
    def path(self) -> Path:
        return Path(self.target.root.path) / self.found.path


@dataclass(slots=True)
class Plan:
    n_files: int = 0
    n_unchanged: int = 0
    to_load: list[ToLoad] = field(default_factory=list)
    twins: list[tuple[ToLoad, str]] = field(default_factory=list)
    """(new file, content hash): the knowledge base has, or had, a document of just these bytes."""
    vanished: list[FileRow] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    """Roots without a file, more likely a disk that is not there than a wish to lose what was in them."""
    skipped: list[FileRow] = field(default_factory=list)
    """Unchanged files of a kind that is not read."""
    unreadable: dict[str, str] = field(default_factory=dict)
    found: list[tuple[RootRow, str]] = field(default_factory=list)
    """(root, path) of every file, the unchanged ones too."""


def make_plan(
    catalog: Catalog,
    idx: IndexRow,
    targets: Sequence[Target],
    rules: WalkRules,
    is_current: Callable[[str], bool],
) -> Plan:
    """``is_current`` says of a loader's tag whether that version is at hand; else the file is read again."""
    plan = Plan()
    stored = _stored_hashes(catalog, idx)
    contents = _known_contents(catalog, idx)
    for target in targets:
        walked = walk(Path(target.root.path), rules, below=target.below, leave_out=catalog.store)
        if not walked.files and not walked.unreadable and not target.below:
            plan.empty.append(target.root.path)
        plan.n_files += len(walked.files)
        plan.found += [(target.root, found.path) for found in walked.files]
        plan.unreadable.update(walked.unreadable)
        known = catalog.files(target.root.id)
        for found in walked.files:
            row = known.get(found.path)
            if row is not None and _unchanged(row, found, is_current, stored):
                plan.n_unchanged += 1
                if row.state == "skipped":
                    plan.skipped.append(row)
                continue
            item = ToLoad(target, found, row, _hash_at_hand(row, is_current, stored))
            twin = _twin(item, contents) if row is None else None
            if twin is not None:
                plan.twins.append((item, twin))
            else:
                plan.to_load.append(item)
        here = {found.path for found in walked.files}
        plan.vanished += [
            row
            for path, row in known.items()
            if path not in here and _below(path, target.below) and not _hidden_by(path, walked.unreadable)
        ]
        for swallowed in target.swallowed:
            plan.vanished += catalog.files(swallowed.id).values()
    return plan


def _unchanged(
    row: FileRow, found: FoundFile, is_current: Callable[[str], bool], stored: dict[str, str]
) -> bool:
    if (row.size, row.mtime_ns) != (found.size, found.mtime_ns):
        return False
    return row.state == "skipped" or _hash_at_hand(row, is_current, stored) is not None


def _hash_at_hand(
    row: FileRow | None, is_current: Callable[[str], bool], stored: dict[str, str]
) -> str | None:
    """Hash of the version that the index holds, if the loader of today made it."""
    if row is None or row.state != "ok" or not is_current(row.loader or ""):
        return None
    return row.content_hash if stored.get(row.source_id) == row.content_hash else None


def _stored_hashes(catalog: Catalog, idx: IndexRow) -> dict[str, str]:
    """Source id → hash of the newest version; a staged one is newer than the live one."""
    with catalog.reading() as db:
        rows = db.execute(
            "SELECT source_id, content_hash FROM generation WHERE idx_id = ? AND state <> 'dead' ORDER BY id",
            (idx.id,),
        )
        return {row["source_id"]: row["content_hash"] for row in rows}


def _known_contents(catalog: Catalog, idx: IndexRow) -> dict[tuple[int, str], set[str]]:
    known: dict[tuple[int, str], set[str]] = {}
    with catalog.reading() as db:
        for row in db.execute(
            "SELECT size, suffix, content_hash FROM generation WHERE idx_id = ?", (idx.id,)
        ):
            known.setdefault((row["size"], row["suffix"]), set()).add(row["content_hash"])
    return known


def _twin(item: ToLoad, known: dict[tuple[int, str], set[str]]) -> str | None:
    hashes = known.get((item.found.size, PurePosixPath(item.found.path).suffix.lower()))
    if not hashes:
        return None
    try:
        digest = content_hash(item.path.read_bytes())
    except OSError:
        return None
    return digest if digest in hashes else None


def _below(path: str, below: str) -> bool:
    return below == "" or path == below or path.startswith(below + "/")


def _hidden_by(path: str, unreadable: dict[str, str]) -> bool:
    return any(folder == "" or path == folder or path.startswith(folder + "/") for folder in unreadable)
