"""What a sync does to the store, seen from outside: what is found, what was parsed, what was embedded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

import ingest.plan
import ingest.sync
from ingest.embed.onnx_backend import OnnxEmbedder
from ingest.loaders import registry
from ingest.prepare import PathVanished, read_whole
from rag.core.errors import (
    EmbedderError,
    FileChanged,
    LoadError,
    PathNotFound,
    StoreError,
    UnknownSource,
    UsageError,
)
from rag.core.protocols import Vectors
from rag.core.reports import SyncEvent
from rag.wiring import Footnote
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import (
    BEAVER,
    HERON,
    OTTER,
    Folder,
    assert_healthy,
    found_by_meaning,
    found_by_words,
    ids_in_chroma,
)


class Wrapped:
    """The real encoder, with something done before it is asked."""

    def __init__(self, encoder: OnnxEmbedder, before: Callable[[Sequence[str]], None]) -> None:
        self._encoder, self._before = encoder, before
        self.fingerprint, self.dim, self.max_tokens = encoder.fingerprint, encoder.dim, encoder.max_tokens

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        if kind == "document":
            self._before(texts)
        return self._encoder.embed(texts, kind)


@pytest.fixture
def embedded() -> list[str]:
    """The texts that the encoder of ``counting`` was given."""
    return []


@pytest.fixture
def counting(open_store: OpenStore, encoder: OnnxEmbedder, embedded: list[str]) -> Footnote:
    return open_store(embedder_object=Wrapped(encoder, embedded.extend))


# What changed in the folder


def test_new_files_are_found_by_words_and_by_meaning(store: Footnote, docs: Folder) -> None:
    report = store.ingest([docs.animals()])
    assert sorted(report.added) == ["heron.md", "mammals/beaver.txt", "mammals/otter.txt"]
    assert (report.n_files, report.n_parsed, report.n_unchanged) == (3, 3, 0)
    assert report.failed == report.skipped == report.changed == report.removed == ()
    assert found_by_words(store, "croak") == ["heron.md"]
    assert "harsh croak" in found_by_meaning(store, "What sound does the bird make?", k=1)[0]
    assert {info.state for info in store.sources()} == {"live"}
    assert_healthy(store)


def test_an_unchanged_folder_costs_no_parsing_no_embedding_and_no_write(
    counting: Footnote, docs: Folder, embedded: list[str]
) -> None:
    counting.ingest([docs.animals()])
    embedded.clear()
    revision = counting.store.catalog.revision()
    report = counting.ingest([docs.path])
    assert (report.n_unchanged, report.n_parsed, report.n_embedded) == (3, 0, 0)
    assert embedded == []
    assert counting.store.catalog.revision() == revision


def test_a_touched_file_is_read_but_not_parsed(counting: Footnote, docs: Folder, embedded: list[str]) -> None:
    counting.ingest([docs.animals()])
    embedded.clear()
    docs.write("heron.md", HERON)
    report = counting.ingest([docs.path])
    assert (report.n_unchanged, report.n_parsed, report.changed) == (3, 0, ())
    assert embedded == []
    assert counting.ingest([docs.path]).n_unchanged == 3


def test_of_an_edited_file_only_the_changed_chunks_are_embedded(
    open_store: OpenStore, encoder: OnnxEmbedder, embedded: list[str], docs: Folder
) -> None:
    footnote = open_store(embedder_object=Wrapped(encoder, embedded.extend), chunk_tokens=40)
    docs.animals()
    n_before = footnote.ingest([docs.path]).n_chunks
    embedded.clear()
    docs.write("heron.md", HERON.replace("harsh croak", "soft whistle"))
    report = footnote.ingest([docs.path])
    assert report.changed == ("heron.md",)
    assert (report.n_parsed, report.n_chunks) == (1, n_before)
    assert len(embedded) == report.n_embedded == 1
    assert "soft whistle" in embedded[0]
    assert found_by_words(footnote, "croak") == []
    assert found_by_words(footnote, "whistle") == ["heron.md"]
    assert "soft whistle" in found_by_meaning(footnote, "What sound does the heron make?", k=1)[0]
    assert_healthy(footnote)


def test_a_renamed_file_is_neither_parsed_nor_embedded(
    counting: Footnote, docs: Folder, embedded: list[str]
) -> None:
    counting.ingest([docs.animals()])
    embedded.clear()
    (docs.path / "birds").mkdir()
    (docs.path / "heron.md").rename(docs.path / "birds" / "grey-heron.md")
    report = counting.ingest([docs.path])
    assert report.renamed == (("heron.md", "birds/grey-heron.md"),)
    assert report.added == report.removed == ()
    assert (report.n_parsed, report.n_embedded, embedded) == (0, 0, [])
    assert found_by_words(counting, "croak") == ["birds/grey-heron.md"]
    assert_healthy(counting)


def test_a_file_under_another_ending_is_another_document(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    (docs.path / "heron.md").rename(docs.path / "heron.txt")
    report = store.ingest([docs.path])
    assert (report.renamed, report.added, report.removed) == ((), ("heron.txt",), ("heron.md",))
    assert report.n_parsed == 1


def test_a_deleted_file_is_gone_from_every_search_and_from_the_vectors(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    before = ids_in_chroma(store)
    (docs.path / "heron.md").unlink()
    report = store.ingest([docs.path])
    assert report.removed == ("heron.md",)
    assert report.n_embedded == 0
    assert found_by_words(store, "croak") == []
    assert not any("heron" in text for text in found_by_meaning(store, "heron", k=10))
    assert ids_in_chroma(store) < before
    assert_healthy(store)


def test_a_deleted_file_is_gone_before_anything_new_is_embedded(
    open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    seen: list[list[str]] = []
    footnote = open_store(
        embedder_object=Wrapped(encoder, lambda _: seen.append(found_by_words(footnote, "croak")))
    )
    footnote.ingest([docs.animals()])
    seen.clear()
    (docs.path / "heron.md").unlink()
    docs.write("stork.md", "# Storks\n\nA stork clatters with its beak.\n")
    footnote.ingest([docs.path])
    assert seen == [[]]


def test_two_files_of_the_same_bytes_are_two_sources_with_one_vector_each_text(
    counting: Footnote, docs: Folder, embedded: list[str]
) -> None:
    docs.write("a/otter.txt", OTTER)
    docs.write("b/otter.txt", OTTER)
    counting.ingest([docs.path])
    assert found_by_words(counting, "otters") == ["a/otter.txt", "b/otter.txt"]
    assert len(embedded) == len(set(embedded))
    (docs.path / "a/otter.txt").unlink()
    counting.ingest([docs.path])
    assert found_by_words(counting, "otters") == ["b/otter.txt"]
    assert found_by_meaning(counting, "otter", k=5) == [OTTER.strip()]
    assert_healthy(counting)


def test_a_copy_made_later_is_not_parsed(counting: Footnote, docs: Folder, embedded: list[str]) -> None:
    counting.ingest([docs.animals()])
    embedded.clear()
    docs.write("copy.md", HERON)
    report = counting.ingest([docs.path])
    assert (report.added, report.renamed, report.n_parsed, embedded) == (("copy.md",), (), 0, [])
    assert found_by_words(counting, "croak") == ["copy.md", "heron.md"]


# What cannot be read


def test_a_failed_file_is_listed_the_rest_goes_on_and_it_is_tried_again(
    store: Footnote, docs: Folder
) -> None:
    docs.animals()
    docs.write("broken.json", '{"a": ')
    docs.write("empty.txt", b"")
    for _ in range(2):
        report = store.ingest([docs.path])
        assert {outcome.path for outcome in report.failed} == {"broken.json", "empty.txt"}
        for outcome in report.failed:
            assert outcome.path in outcome.reason
            assert outcome.reason.endswith(".")
    assert report.n_unchanged == 3
    assert {info.uri: info.state for info in store.sources()}["empty.txt"] == "failed"
    docs.write("broken.json", '{"a": "A marten eats fruit."}')
    report = store.ingest([docs.path])
    assert report.added == ("broken.json",)
    assert found_by_words(store, "marten") == ["broken.json"]
    assert_healthy(store)


def test_a_file_that_was_read_and_cannot_be_parsed_any_more_loses_its_words(
    store: Footnote, docs: Folder
) -> None:
    docs.animals()
    store.ingest([docs.path])
    docs.write("heron.md", b"")
    report = store.ingest([docs.path])
    assert [outcome.path for outcome in report.failed] == ["heron.md"]
    assert found_by_words(store, "croak") == []
    assert_healthy(store)


def test_a_file_of_a_kind_that_is_not_read_is_skipped_and_not_failed(store: Footnote, docs: Folder) -> None:
    docs.animals()
    docs.write("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(200))
    for n_parsed in (3, 0):
        report = store.ingest([docs.path])
        assert [outcome.path for outcome in report.skipped] == ["photo.png"]
        assert report.failed == ()
        assert report.n_parsed == n_parsed


def test_an_unreadable_file_keeps_its_last_version_and_is_tried_again(
    store: Footnote, docs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool's processes may run as root, whom no permission stops, so a name that the kernel refuses stands in."""
    docs.animals()
    store.ingest([docs.path])
    docs.write("heron.md", HERON + "\nNew words.\n")
    monkeypatch.setattr(ingest.plan.ToLoad, "path", property(lambda item: Path("/" + "x" * 300)))
    report = store.ingest([docs.path])
    assert [(o.path, o.code) for o in report.failed] == [("heron.md", "unreadable-file")]
    assert "check its permissions" in report.failed[0].reason
    assert found_by_words(store, "croak") == ["heron.md"]
    monkeypatch.undo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_listed(store: Footnote, docs: Folder) -> None:
    docs.animals()
    (docs.path / "heron.md").chmod(0)
    report = store.ingest([docs.path])
    assert [outcome.path for outcome in report.failed] == ["heron.md"]
    assert "check its permissions" in report.failed[0].reason


def test_nothing_below_an_unreadable_folder_is_taken_for_removed(
    store: Footnote, docs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs.animals()
    store.ingest([docs.path])
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if Path(path).name == "mammals":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("ingest.walk.os.scandir", refused)
    report = store.ingest([docs.path])
    assert report.removed == ()
    assert [(o.path, "Permission denied" in o.reason) for o in report.failed] == [("mammals", True)]
    assert found_by_words(store, "otters") == ["mammals/otter.txt"]


def test_a_name_that_is_not_unicode_is_listed_and_the_rest_goes_on(store: Footnote, docs: Folder) -> None:
    docs.animals()
    try:
        Path(os.fsdecode(os.fsencode(docs.path) + b"/caf\xe9.txt")).write_text("Coffee.")
    except OSError:
        pytest.skip("this file system takes no such name")
    report = store.ingest([docs.path])
    assert [(o.path, "rename it" in o.reason) for o in report.failed] == [("caf?.txt", True)]
    assert len(report.added) == 3


def test_a_file_that_changes_while_it_is_read_is_not_taken(
    docs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = docs.write("log.txt", "one line\n")
    read_bytes = Path.read_bytes

    def grown(path: Path) -> bytes:
        data = read_bytes(path)
        with path.open("a") as log:
            log.write("another line\n")
        return data

    monkeypatch.setattr(Path, "read_bytes", grown)
    with pytest.raises(
        FileChanged, match=r"log\.txt changed while it was read; it is taken up by the next run"
    ):
        read_whole(file, "log.txt", 10)


def test_a_file_that_vanished_before_it_was_read_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PathVanished):
        read_whole(tmp_path / "gone.txt", "gone.txt", 10)
    with pytest.raises(LoadError, match="cannot be read") as caught:
        read_whole(tmp_path, "folder", 10)
    assert not isinstance(caught.value, PathVanished)


def test_a_file_that_is_too_large_fails_with_that_reason(open_store: OpenStore, docs: Folder) -> None:
    docs.animals()
    docs.write("large.txt", "A heron. " * 2000)
    report = open_store(max_file_mb=0.01).ingest([docs.path])
    assert [outcome.path for outcome in report.failed] == ["large.txt"]
    assert "FOOTNOTE_MAX_FILE_MB" in report.failed[0].reason


def test_a_file_that_vanishes_during_the_run_is_gone_and_not_failed(
    store: Footnote, docs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs.animals()
    store.ingest([docs.path])
    for name in ("heron.md", "mammals/otter.txt", "new.txt"):
        docs.write(name, "Newts live in ponds.\n")
    make_plan = ingest.sync.make_plan

    def and_then_vanish(*args: Any) -> Any:
        plan = make_plan(*args)
        (docs.path / "heron.md").unlink()
        (docs.path / "new.txt").unlink()
        return plan

    monkeypatch.setattr(ingest.sync, "make_plan", and_then_vanish)
    report = store.ingest([docs.path])
    assert report.failed == ()
    assert report.removed == ("heron.md",)
    assert report.changed == ("mammals/otter.txt",)
    assert (report.added, report.n_files) == ((), 2)
    assert found_by_words(store, "croak") == []
    assert_healthy(store)


# Which files


def test_a_link_to_a_folder_above_is_entered_once(store: Footnote, docs: Folder) -> None:
    docs.animals()
    (docs.path / "mammals" / "up").symlink_to(docs.path, target_is_directory=True)
    (docs.path / "self.txt").symlink_to("self.txt")
    (docs.path / "nowhere.txt").symlink_to("nothing.txt")
    report = store.ingest([docs.path])
    assert sorted(report.added) == ["heron.md", "mammals/beaver.txt", "mammals/otter.txt"]
    assert report.n_files == 3


def test_a_linked_file_is_a_document(store: Footnote, docs: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text(OTTER)
    docs.write("beaver.txt", BEAVER)
    (docs.path / "otter.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert sorted(store.ingest([docs.path]).added) == ["beaver.txt", "otter.txt"]


def test_ignore_files_count_from_their_folder_down(store: Footnote, docs: Folder) -> None:
    docs.write(".footnoteignore", "*.log\n/drafts/\n!keep.log\n")
    docs.write("mammals/.footnoteignore", "otter.*\n")
    docs.write("a.log", "no")
    docs.write("keep.log", "A kept log of herons.")
    docs.write("drafts/a.txt", "no")
    docs.write("mammals/drafts/b.txt", "A draft about bats.")
    docs.write("mammals/otter.txt", OTTER)
    docs.write("otter.txt", OTTER)
    assert sorted(store.ingest([docs.path]).added) == ["keep.log", "mammals/drafts/b.txt", "otter.txt"]
    docs.write("mammals/.footnoteignore", "# nothing\n")
    assert store.ingest([docs.path]).added == ("mammals/otter.txt",)
    docs.write("mammals/.footnoteignore", "*\n")
    assert sorted(store.ingest([docs.path]).removed) == ["mammals/drafts/b.txt", "mammals/otter.txt"]


def test_include_and_exclude_globs(open_store: OpenStore, docs: Folder) -> None:
    docs.animals()
    docs.write("mammals/notes.md", "# Notes\n\nOn moles.\n")
    docs.write(".hidden/secret.md", "# Hidden\n")
    only = open_store(include=["*.md"], exclude=["mammals/"])
    assert only.ingest([docs.path]).added == ("heron.md",)
    only.close()
    wider = open_store(include=["*.md", "**/otter.*"], hidden_files=True)
    assert sorted(wider.ingest([docs.path]).added) == [
        ".hidden/secret.md", "mammals/notes.md", "mammals/otter.txt",
    ]  # fmt: skip
    wider.close()
    assert sorted(open_store(include=["mammals/**"]).ingest([docs.path]).removed) == [
        ".hidden/secret.md", "heron.md",
    ]  # fmt: skip


def test_the_store_is_not_ingested_into_itself(open_store: OpenStore, docs: Folder) -> None:
    docs.animals()
    footnote = open_store(store=docs.path / "store")
    for _ in range(2):
        report = footnote.ingest([docs.path])
        assert (report.n_files, report.skipped) == (3, ())
    with pytest.raises(UsageError, match="inside the store itself"):
        footnote.ingest([docs.path / "store"])


def test_a_folder_without_files_is_refused_and_changes_nothing(
    store: Footnote, docs: Folder, tmp_path: Path
) -> None:
    with pytest.raises(PathNotFound, match=r"nothing does not exist; check the spelling\."):
        store.ingest([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no files to ingest, so nothing was changed"):
        store.ingest([tmp_path / "empty"])
    store.ingest([docs.animals()])
    for file in sorted(docs.path.rglob("*.*")):
        file.rename(tmp_path / file.name)  # as if the disk were not mounted
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "newt.txt").write_text("Newts live in ponds.")
    with pytest.raises(UsageError, match="docs has no files"):
        store.ingest([docs.path, tmp_path / "other"])
    assert found_by_words(store, "croak") == ["heron.md"]


# Words first, interruptions


def test_words_are_found_before_there_are_vectors(
    open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    asked, may_go_on = threading.Event(), threading.Event()

    def block(_: Sequence[str]) -> None:
        asked.set()
        assert may_go_on.wait(30)

    footnote = open_store(embedder_object=Wrapped(encoder, block))
    docs.animals()
    run = threading.Thread(target=footnote.ingest, args=([docs.path],))
    run.start()
    try:
        assert asked.wait(30)
        deadline = time.monotonic() + 20
        while len(footnote.sources()) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert found_by_words(footnote, "croak") == ["heron.md"]
        assert {info.state for info in footnote.sources()} == {"words-only"}
        assert footnote.index.pending_vectors(footnote.scope()) > 0
        assert footnote.status().knowledge_bases[0].n_pending_vectors > 0
        beside = open_store()  # a reader, as another process would be
        assert found_by_words(beside, "croak") == ["heron.md"]
        assert found_by_meaning(beside, "heron") == []
    finally:
        may_go_on.set()
        run.join(30)
    assert {info.state for info in footnote.sources()} == {"live"}
    assert footnote.index.pending_vectors(footnote.scope()) == 0
    assert len(found_by_meaning(beside, "heron")) > 0


def test_the_old_version_answers_until_the_new_one_has_its_vectors(
    open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    seen: list[tuple[list[str], list[str], str]] = []

    def look(_: Sequence[str]) -> None:
        state = next(info.state for info in footnote.sources() if info.uri == "heron.md")
        seen.append((found_by_words(footnote, "croak"), found_by_words(footnote, "whistle"), state))

    footnote = open_store(embedder_object=Wrapped(encoder, look))
    footnote.ingest([docs.animals()])
    seen.clear()
    docs.write("heron.md", HERON.replace("croak", "whistle"))
    footnote.ingest([docs.path])
    assert seen == [(["heron.md"], [], "updating")]
    assert (found_by_words(footnote, "croak"), found_by_words(footnote, "whistle")) == ([], ["heron.md"])


def test_a_stopped_run_is_gone_on_with(open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder) -> None:
    stop = threading.Event()
    footnote = open_store(embedder_object=Wrapped(encoder, lambda _: stop.set()), chunk_tokens=16)
    for i in range(60):
        docs.write(f"{i}.txt", " ".join(f"Heron {i} caught {j} fish." for j in range(20)))
    report = footnote.ingest([docs.path], stop=stop)
    assert report.interrupted
    events: list[SyncEvent] = []
    second = footnote.ingest([docs.path], on_event=events.append)
    assert not second.interrupted
    assert second.n_parsed + report.n_parsed == 60
    assert events[-1].stage == "done"
    assert events[-1].n_embedded == events[-1].n_chunks
    assert_healthy(footnote)


def test_an_encoder_that_fails_is_the_runs_error_and_the_next_run_finishes(
    open_store: OpenStore, encoder: OnnxEmbedder, docs: Folder
) -> None:
    def fail(_: Sequence[str]) -> None:
        raise EmbedderError("The encoder is out of order; mend it.")

    footnote = open_store(embedder_object=Wrapped(encoder, fail))
    with pytest.raises(EmbedderError, match="out of order"):
        footnote.ingest([docs.animals()])
    footnote.close()
    again = open_store()
    again.ingest([docs.path])
    assert len(again.sources()) == 3
    assert_healthy(again)


def test_events_only_grow_and_end_with_done(store: Footnote, docs: Folder) -> None:
    events: list[SyncEvent] = []
    report = store.ingest([docs.animals()], on_event=events.append)
    assert events[0].stage == "walk"
    assert events[-1].stage == "done"
    assert (events[-1].n_files, events[-1].n_loaded) == (3, 3)
    assert events[-1].n_embedded == events[-1].n_chunks == report.n_embedded
    for before, after in pairwise(events):
        assert before.n_loaded <= after.n_loaded
        assert before.n_embedded <= after.n_embedded


# Roots and knowledge bases


def test_two_folders_are_two_roots_and_a_sync_of_one_leaves_the_other(
    store: Footnote, docs: Folder, tmp_path: Path
) -> None:
    other = Folder(tmp_path / "other")
    other.write("heron.md", HERON)
    other.write("newt.txt", "Newts live in ponds.\n")
    store.ingest([docs.animals(), other.path])
    assert sorted(info.uri for info in store.sources()).count("heron.md") == 2
    (other.path / "heron.md").unlink()
    (docs.path / "heron.md").unlink()
    assert store.ingest([other.path]).removed == ("heron.md",)
    assert found_by_words(store, "croak") == ["heron.md"]
    assert store.status().knowledge_bases[0].roots == (str(docs.path), str(other.path))


def test_a_path_inside_a_root_is_synced_alone_and_nothing_is_in_twice(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    (docs.path / "heron.md").unlink()
    docs.write("mammals/otter.txt", OTTER + "\nIt has webbed feet.\n")
    report = store.ingest([docs.path / "mammals"])
    assert (report.changed, report.removed, report.n_files) == (("mammals/otter.txt",), (), 2)
    report = store.ingest([docs.path / "mammals" / "otter.txt"])
    assert (report.n_unchanged, report.n_files) == (1, 1)
    assert store.ingest([docs.path, docs.path / "mammals"]).removed == ("heron.md",)
    assert [info.uri for info in store.sources()] == ["mammals/beaver.txt", "mammals/otter.txt"]


def test_a_folder_around_known_ones_takes_their_files_over(
    counting: Footnote, docs: Folder, embedded: list[str]
) -> None:
    docs.animals()
    counting.ingest([docs.path / "mammals"])
    embedded.clear()
    report = counting.ingest([docs.path])
    assert dict(report.renamed) == {"otter.txt": "mammals/otter.txt", "beaver.txt": "mammals/beaver.txt"}
    assert report.added == ("heron.md",)
    assert not any("otter" in text.lower() for text in embedded)
    for again in (docs.path / "mammals", docs.path):  # the inner folder is no root of its own any more
        report = counting.ingest([again])
        assert (report.added, report.removed) == ((), ())
    assert [info.uri for info in counting.sources()] == [
        "heron.md", "mammals/beaver.txt", "mammals/otter.txt",
    ]  # fmt: skip
    assert_healthy(counting)


def test_a_moved_folder_is_recognised_by_its_files(
    counting: Footnote, docs: Folder, embedded: list[str]
) -> None:
    counting.ingest([docs.animals()])
    embedded.clear()
    moved = docs.path.rename(docs.path.with_name("moved"))
    report = counting.ingest([moved])
    assert (report.n_unchanged, report.added, report.removed, embedded) == (3, (), (), [])
    assert {info.root for info in counting.sources()} == {str(moved)}


def test_two_knowledge_bases_do_not_see_each_other(store: Footnote, docs: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    other.write("newt.txt", "Newts live in ponds.\n")
    other.write("heron.md", HERON)
    store.ingest([docs.animals()])
    report = store.ingest([other.path], kb="ponds")
    assert report.n_reused > 0  # the same text has its vector already
    assert found_by_words(store, "newts") == []
    assert found_by_words(store, "newts", kb="ponds") == ["newt.txt"]
    assert not any("Newts" in text for text in found_by_meaning(store, "newts", k=20))
    store.remove(["**"], kb="ponds")
    assert found_by_words(store, "croak") == ["heron.md"]
    assert "croak" in found_by_meaning(store, "the call of the heron", k=1)[0]
    assert_healthy(store)


# Removing


def test_removing_takes_documents_out_and_leaves_the_files(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    beaver = next(info for info in store.sources() if info.uri == "mammals/beaver.txt")
    assert store.remove(["heron.md", beaver.id]) == ["heron.md", "mammals/beaver.txt"]
    assert (docs.path / "heron.md").is_file()
    assert found_by_words(store, "croak") == []
    assert [info.uri for info in store.sources()] == ["mammals/otter.txt"]
    assert_healthy(store)
    assert sorted(store.ingest([docs.path]).added) == ["heron.md", "mammals/beaver.txt"]


def test_removing_by_glob_and_a_pattern_that_fits_nothing(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    with pytest.raises(UnknownSource, match="No document fits 'birds"):
        store.remove(["mammals/*", "birds/*"])
    assert len(store.sources()) == 3
    assert store.remove(["*.txt"]) == ["mammals/beaver.txt", "mammals/otter.txt"]


# Uploads


def test_an_upload_is_a_document_and_an_unreadable_one_leaves_nothing(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    info = store.add_upload("notes/newt.txt", b"Newts live in ponds.\n")
    assert (info.uri, info.state) == ("notes/newt.txt", "live")
    with pytest.raises(LoadError, match=r"empty \(0 bytes\)"):
        store.add_upload("notes/newt.txt", b"")
    assert found_by_words(store, "newts") == ["notes/newt.txt"]
    with pytest.raises(LoadError):
        store.add_upload("empty.txt", b"")
    assert len(store.sources()) == 4
    assert store.ingest([docs.path]).removed == ()
    assert_healthy(store)


@pytest.mark.parametrize(
    "name", ["../x.txt", "/etc/passwd", "a/../../x", ".hidden", "", "a\x00b", "C:/x", "a" * 300]
)
def test_an_upload_stays_inside_its_folder(store: Footnote, name: str) -> None:
    with pytest.raises(UsageError, match="not a usable file name"):
        store.add_upload(name, b"x")


def test_an_upload_with_a_long_name_of_many_bytes(store: Footnote) -> None:
    name = "é" * 125 + ".txt"
    assert store.add_upload(name, b"Newts live in ponds.\n").uri == name
    with pytest.raises(UsageError, match="one is a file and one a folder"):
        store.add_upload(f"{name}/below.txt", b"x")


def test_an_upload_that_could_not_be_finished_is_not_kept(
    open_store: OpenStore, encoder: OnnxEmbedder, tmp_path: Path
) -> None:
    def fail(_: Sequence[str]) -> None:
        raise StoreError("The disk is on fire; put it out.")

    footnote = open_store(embedder_object=Wrapped(encoder, fail))
    with pytest.raises(StoreError, match="on fire"):
        footnote.add_upload("newt.txt", b"Newts live in ponds.\n")
    assert not (tmp_path / "store" / "uploads" / "default" / "newt.txt").exists()


# What a run trusts


def test_a_new_version_of_a_loader_reads_its_files_again(
    counting: Footnote, docs: Folder, embedded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting.ingest([docs.animals()])
    embedded.clear()
    monkeypatch.setitem(registry._VERSIONS, "text/plain", 99)
    report = counting.ingest([docs.path])
    assert sorted(report.changed) == ["mammals/beaver.txt", "mammals/otter.txt"]
    assert (report.n_parsed, embedded) == (2, [])
    assert counting.ingest([docs.path]).n_unchanged == 3


def test_a_document_that_the_index_has_lost_is_read_again(store: Footnote, docs: Folder) -> None:
    store.ingest([docs.animals()])
    with store.store.catalog.writing() as db:
        db.execute("UPDATE generation SET state = 'dead' WHERE uri = 'mammals/otter.txt'")
    assert store.ingest([docs.path]).n_parsed == 1
    assert "night" in found_by_meaning(store, "otter", k=1)[0]


def test_many_runs_leave_no_connections_open(store: Footnote, docs: Folder) -> None:
    docs.animals()
    store.ingest([docs.path])
    n_open = len(store.store.catalog._opened)
    for _ in range(3):
        store.ingest([docs.path])
    assert len(store.store.catalog._opened) == n_open
