"""Documents that are kept for groups: by their front matter, by rules on their path."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

import pytest

from ingest.store.catalog import Catalog
from rag.core.errors import SettingsError, UnknownSource
from rag.core.types import Filters
from rag.wiring import Footnote
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import Folder

NUMBERS = itertools.count(100)


def seen(footnote: Footnote, *groups: str) -> set[str]:
    """Paths that members of the groups find, however they look; all ways must agree."""
    view = footnote.seen_by("default", frozenset(groups))
    listed = {info.uri for info in view.sources()}
    found = {hit.source.uri for hit in view.search("the report on wages", k=50).hits}
    filtered = {hit.source.uri for hit in view.search("report", k=50, filters=Filters(type="md")).hits}
    assert listed == found == filtered
    assert view.status().knowledge_bases[0].n_sources == len(listed)
    assert view.index.document_frequency(view.scope(), ["report"]) == (len(listed), {"report": len(listed)})
    return listed


def report(groups: str | None = None) -> str:
    front = "" if groups is None else f"---\ngroups: {groups}\n---\n"
    number = next(NUMBERS)  # equal passages would be shown once
    return (
        f"{front}# Report {number}\n\nThe report on wages number {number}: they rose by {number} percent.\n"
    )


def test_front_matter_keeps_a_document_for_its_groups(docs: Folder, store: Footnote) -> None:
    for name, groups in {
        "all.md": None,
        "hr.md": "[HR]",
        "both.md": "hr, Board",
        "nobody.md": "[]",
        "unclear.md": "[hr",
        "empty.md": "",
    }.items():
        docs.write(name, report(groups))
    store.ingest([docs.path])
    assert len(store.sources()) == 6
    assert seen(store) == {"all.md"}
    assert seen(store, "hr") == {"all.md", "hr.md", "both.md"}
    assert seen(store, "board", "sales") == {"all.md", "both.md"}


def test_a_new_version_is_kept_for_whom_it_names(docs: Folder, store: Footnote) -> None:
    docs.write("a.md", report("hr"))
    store.ingest([docs.path])
    assert (seen(store), seen(store, "hr")) == (set(), {"a.md"})
    docs.write("a.md", report("board"))
    store.ingest([docs.path])
    assert (seen(store, "hr"), seen(store, "board")) == (set(), {"a.md"})
    docs.write("a.md", report())
    store.ingest([docs.path])
    assert seen(store) == {"a.md"}


def test_rules_keep_paths_for_groups_and_the_last_that_fits_decides(docs: Folder, store: Footnote) -> None:
    for name in ("a.md", "hr/pay.md", "hr/public.md", "hr/board/plan.md", "hr/board/own.md"):
        docs.write(name, report("ceo") if name.endswith("own.md") else report())
    docs.write(".footnoteaccess", "# who may see what\nhr/**: hr, board\nhr/public.md: *\n")
    docs.write("hr/board/.footnoteaccess", "*: board\n")
    store.ingest([docs.path])
    assert seen(store) == {"a.md", "hr/public.md"}
    assert seen(store, "hr") == {"a.md", "hr/public.md", "hr/pay.md"}
    assert seen(store, "board") == {"a.md", "hr/public.md", "hr/pay.md", "hr/board/plan.md"}
    # Rule and front matter must both let somebody in.
    assert seen(store, "ceo") == {"a.md", "hr/public.md"}
    assert "hr/board/own.md" in seen(store, "ceo", "board")


def test_changed_rules_hold_for_documents_that_did_not_change(docs: Folder, store: Footnote) -> None:
    docs.write("a.md", report())
    store.ingest([docs.path])
    docs.write(".footnoteaccess", "*.md: hr\n")
    assert store.ingest([docs.path]).n_parsed == 0
    assert (seen(store), seen(store, "hr")) == (set(), {"a.md"})
    (docs.path / ".footnoteaccess").unlink()
    store.ingest([docs.path])
    assert seen(store) == {"a.md"}


@pytest.mark.parametrize("line", ["hr/**", "hr/** hr", ": hr", "!a.md: hr", "a.md:", "a.md: ,"])
def test_a_rule_that_cannot_be_read_stops_the_ingest(docs: Folder, store: Footnote, line: str) -> None:
    docs.write("a.md", report())
    docs.write(".footnoteaccess", f"*.txt: hr\n{line}\n")
    with pytest.raises(SettingsError, match="Line 2"):
        store.ingest([docs.path])
    assert store.sources() == []


def test_a_kept_document_is_as_one_that_is_not_there(docs: Folder, store: Footnote) -> None:
    docs.write("a.md", report("hr"))
    docs.write("b.md", report())
    store.ingest([docs.path])
    (kept,) = (info.id for info in store.sources() if info.uri == "a.md")
    view = store.seen_by("default", frozenset())
    scope = view.scope()
    for look in (
        view.document,
        lambda id: view.index.source_text(scope, id),
        lambda id: view.index.source_blocks(scope, id),
    ):
        with pytest.raises(UnknownSource) as hidden:
            look(kept)
        with pytest.raises(UnknownSource) as absent:
            look("0" * 32)
        assert hidden.value.message.replace(kept, "ID") == absent.value.message.replace("0" * 32, "ID")
    assert view.original(kept) is None
    chunks = [hit.chunk.id for hit in store.search("wages", k=9).hits]
    assert len(view.index.vectors(scope, chunks)) == 1
    assert len(view.index.hits(scope, [(chunk, 1.0) for chunk in chunks])) == 1


def test_a_removed_document_leaves_no_rule_behind(docs: Folder, store: Footnote) -> None:
    docs.write("a.md", report("hr"))
    docs.write("b.md", report())
    docs.write(".footnoteaccess", "*.md: hr\n")
    store.ingest([docs.path])
    store.remove(["**"])
    with store.store.catalog.reading() as db:
        assert db.execute("SELECT count(*) FROM access").fetchone()[0] == 0


def test_reindexing_keeps_what_is_kept(docs: Folder, open_store: OpenStore) -> None:
    docs.write("a.md", report("hr"))
    docs.write("b.md", report())
    docs.write(".footnoteaccess", "b.md: board\n")
    first = open_store()
    first.ingest([docs.path])
    first.close()
    second = open_store(chunk_tokens=100)
    second.reindex()
    assert (seen(second), seen(second, "hr"), seen(second, "board")) == (set(), {"a.md"}, {"b.md"})


def test_a_store_of_before_learns_the_groups_that_documents_name(
    docs: Folder, open_store: OpenStore, tmp_path: Path
) -> None:
    docs.write("a.md", report("hr"))
    docs.write("b.md", report())
    first = open_store()
    first.ingest([docs.path])
    first.close()
    with sqlite3.connect(tmp_path / "store" / "catalog.sqlite") as db:
        db.execute("DROP TABLE access")
        db.execute("PRAGMA user_version = 1")
    db.close()
    Catalog(tmp_path / "store").close()
    assert seen(open_store()) == {"b.md"}
