"""From the paths a user names to roots: the folders that source paths are relative to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.store.catalog import Catalog, RootRow
from rag.core.errors import PathNotFound, UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """What one run makes the knowledge base equal to: everything under ``root/below``."""

    root: RootRow
    below: str = ""
    swallowed: tuple[RootRow, ...] = ()
    """Roots inside this one: their files belong to it from now on."""


def resolve(catalog: Catalog, kb_id: int, paths: Sequence[Path]) -> list[Target]:
    """A path inside a known root is a part of that root, so no file is ever ingested twice.

    Raises ``PathNotFound`` and ``UsageError`` before anything is changed.
    """
    absolute = [_checked(path, catalog.store) for path in paths]
    targets: dict[tuple[int, str], Target] = {}
    for path in absolute:
        target = _resolve_one(catalog, kb_id, path)
        targets[target.root.id, target.below] = target
    chosen = list(targets.values())
    return [t for t in chosen if not any(_covers(other, t) for other in chosen if other is not t)]


def _covers(outer: Target, inner: Target) -> bool:
    if outer.root.id != inner.root.id:
        return False
    return outer.below == "" or inner.below.startswith(outer.below + "/")


def _checked(path: Path, store: Path) -> Path:
    try:
        found = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as exc:
        raise PathNotFound(f"{path} does not exist; check the spelling.", path=str(path)) from exc
    if not (found.is_dir() or found.is_file()):
        raise UsageError(f"{path} is neither a folder nor a file; name one that is.", path=str(path))
    inside = store.resolve()
    if found == inside or (inside in found.parents and inside / "uploads" not in [found, *found.parents]):
        raise UsageError(
            f"{path} is inside the store itself; name the folder of your documents.", path=str(path)
        )
    return found


def _resolve_one(catalog: Catalog, kb_id: int, path: Path) -> Target:
    # Uploads lie inside the store, and a folder of documents may hold the store: they do not mix.
    uploaded = _is_inside(path, catalog.store)
    roots = [root for root in catalog.roots(kb_id) if _is_inside(Path(root.path), catalog.store) == uploaded]
    # The outermost root first: one that it has swallowed is still known.
    for root in sorted(roots, key=lambda root: len(Path(root.path).parts)):
        base = Path(root.path)
        if path == base:
            return Target(root, swallowed=_inside(roots, base))
        if base in path.parents:
            return Target(root, path.relative_to(base).as_posix())
    folder = path if path.is_dir() else path.parent
    moved = _moved(catalog, roots, folder)
    root = catalog.move_root(moved, str(folder)) if moved else catalog.ensure_root(kb_id, str(folder))
    if path.is_file():
        return Target(root, path.name)
    return Target(root, swallowed=_inside(roots, folder))


def _is_inside(path: Path, store: Path) -> bool:
    return store.resolve() in path.parents


def _inside(roots: Sequence[RootRow], folder: Path) -> tuple[RootRow, ...]:
    return tuple(root for root in roots if folder in Path(root.path).parents)


def _moved(catalog: Catalog, roots: Sequence[RootRow], folder: Path) -> RootRow | None:
    """A root whose folder is gone and whose files are here now: the folder was moved or checked out anew."""
    for root in roots:
        if Path(root.path).exists():
            continue
        known = catalog.files(root.id)
        here = sum((folder / path).is_file() for path in known)
        if known and here * 2 >= len(known):
            return root
    return None
