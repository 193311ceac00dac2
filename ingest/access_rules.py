"""``.footnoteaccess``: which groups may see the files of a folder and what lies below it.

A line is a glob (.gitignore's syntax), a colon and groups: ``salaries/**: hr, board``. The last line that fits
decides, those of inner folders after those of outer ones; ``*`` for the groups is everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ingest.context import IngestContext
from ingest.identity import source_id
from ingest.store.access import normal, rules_at_hand, set_rules
from ingest.store.catalog import RootRow
from ingest.walk import ACCESS_FILE
from rag.core.errors import SettingsError

EVERYBODY: Final = "*"
_Rules = list[tuple[Any, list[str]]]


def apply_rules(context: IngestContext, found: Iterable[tuple[RootRow, str]]) -> None:
    """Brings the catalog's rules up to date for the files found, before any of them is read: what a rule takes
    from somebody is gone at once. Raises ``SettingsError`` for a line that cannot be understood."""
    rules: dict[Path, _Rules] = {}
    wanted = {
        source_id(context.tenant, context.knowledge_base, root.ordinal, path): _groups_of(root, path, rules)
        for root, path in found
    }
    with context.catalog.reading() as db:
        known = rules_at_hand(db)
    changed = {source: groups for source, groups in wanted.items() if known.get(source) != groups}
    if changed:
        with context.catalog.writing() as db:
            set_rules(db, changed)


def _groups_of(root: RootRow, path: str, known: dict[Path, _Rules]) -> list[str] | None:
    folder, rest, groups = Path(root.path), path, None
    while True:
        if folder not in known:
            known[folder] = _read(folder / ACCESS_FILE)
        for spec, named in known[folder]:
            if spec.match_file(rest):
                groups = None if named == [EVERYBODY] else named
        name, inside, rest = rest.partition("/")
        if not inside:
            return groups
        folder = folder / name


def _read(file: Path) -> _Rules:
    from pathspec import GitIgnoreSpec

    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as exc:
        # Without its rules everybody would see what they keep from them.
        raise SettingsError(
            f"{file} cannot be read ({exc}), so nothing was ingested; correct it.", path=str(file)
        ) from exc
    rules: _Rules = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        glob, colon, named = line.rpartition(":")
        groups = normal(named.split(","))
        if not colon or not glob.strip() or glob.lstrip().startswith("!") or not groups:
            raise SettingsError(
                f"Line {number} of {file} is not 'GLOB: group, group', so nothing was ingested; correct it.",
                path=str(file),
            )
        rules.append((GitIgnoreSpec.from_lines([glob.strip()]), groups))
    return rules
