from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from ingest.loaders import archive
from ingest.loaders.archive import ZipLoader, open_zip, read_member
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return buffer.getvalue()


def load(data: bytes) -> LoadedDocument:
    return ZipLoader().load(Path("bundle.zip"), data)


def test_members_become_sections_under_their_names() -> None:
    loaded = load(
        packed({"a.md": b"# Oil\n\nEvery month.\n", "sub/b.txt": b"Plain words.", "c.png": b"\x89PNG\0\0"})
    )
    assert "# a.md\n\n## Oil\n\nEvery month." in loaded.text
    assert "# sub/b.txt\n\nPlain words." in loaded.text
    assert loaded.title is None
    assert [w.partition(":")[0] for w in loaded.warnings] == ["c.png"]
    assert loaded.blocks[1].heading_path == ("a.md", "Oil")


def test_archives_within_archives_down_to_a_depth() -> None:
    data = packed({"deep.txt": b"bottom"})
    for _ in range(2):
        data = packed({"in.zip": data})
    assert "bottom" in load(data).text
    with pytest.raises(LoadError, match="unpack it"):
        load(packed({"in.zip": data}))


def test_a_recursive_bomb_is_bounded_by_what_all_its_archives_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MAX_LOADED", 50)
    data = packed({f"{n}.txt": b"word" for n in range(20)})
    for _ in range(2):
        data = packed({f"{n}.zip": data for n in range(20)})
    loaded = load(data)
    assert 0 < loaded.text.count("word") <= 50
    assert any("there are too many" in warning for warning in loaded.warnings)


def test_the_bytes_of_a_recursive_bomb_are_counted_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed({"zeros.txt": b"word " * 2000})
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 25_000)
    loaded = load(packed({f"{n}.zip": data for n in range(8)}))
    assert loaded.text.count("word") < 3 * 2000 and loaded.warnings


def test_clutter_is_left_out() -> None:
    assert load(packed({"__MACOSX/._a.txt": b"junk", "a.txt": b"words"})).text == "# a.txt\n\nwords\n"


def test_a_bomb_is_refused_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed({"zeros.txt": bytes(40 * 2**20)})
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("a member was read"))
    with pytest.raises(LoadError, match="times its size"):
        open_zip(bomb, "bomb.zip")


def test_limits_on_count_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(LoadError, match="holds 3 files"):
        open_zip(packed({str(n): b"x" for n in range(3)}), "many.zip")
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(LoadError, match="unpack"):
        open_zip(packed({"a": b"x" * 101}), "large.zip")


def test_too_many_files_are_named_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MAX_LOADED", 2)
    loaded = load(packed({f"{n}.txt": b"word" for n in range(5)}))
    assert loaded.text.count("word") == 2 and "3 of 5 files" in loaded.warnings[0]


def test_a_member_that_lies_about_its_size_is_an_error() -> None:
    data = bytearray(packed({"a.txt": b"word " * 1000}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with open_zip(bytes(data), "liar.zip") as liar, pytest.raises(LoadError, match="damaged"):
        read_member(liar, "a.txt", "liar.zip")


def test_damage_is_one_sentence() -> None:
    with pytest.raises(LoadError, match="damaged archive"):
        open_zip(b"PK\x03\x04 nothing", "x.zip")
