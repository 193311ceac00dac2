from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.loaders.json_records import JsonLoader
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument


def load(value: object, name: str = "a.json") -> LoadedDocument:
    text = value if isinstance(value, str) else json.dumps(value)
    return JsonLoader().load(Path(name), text.encode())


def test_every_value_stands_beside_its_key() -> None:
    loaded = load({"title": "Pumps", "limits": {"hot": 80, "on": True, "none": None}, "tags": ["a", "b"]})
    assert loaded.title == "Pumps"
    assert "* **title:** Pumps" in loaded.text and "## limits\n\n* **hot:** 80\n* **on:** true" in loaded.text
    assert "* **tags:** a, b" in loaded.text


def test_flat_records_are_a_table() -> None:
    text = load([{"id": 1, "name": "Seal"}, {"id": 2, "name": "Ring"}]).text
    assert text == "| id | name |\n| --- | --- |\n| 1 | Seal |\n| 2 | Ring |\n"


def test_rich_records_are_sections_named_by_what_names_them() -> None:
    records = [{"name": "Seal", "steps": ["Open the lid. " * 5]}, {"steps": [{"do": "x"}]}]
    loaded = load(records)
    assert "## Seal" in loaded.text and "## Record 2" in loaded.text
    assert any(b.heading_path == ("Seal",) for b in loaded.blocks)


def test_a_broken_line_of_json_lines_is_reported_and_the_rest_read() -> None:
    loaded = load('{"id": 1, "name": "Seal"}\n{"id": 2,\n\n{"id": 3, "name": "Ring"}\n', "a.jsonl")
    assert "| 3 | Ring |" in loaded.text
    assert loaded.warnings == ("line 2 is not valid JSON",)


def test_json_lines_under_the_name_of_json() -> None:
    assert "| 2 | b |" in load('{"id": 1, "n": "a"}\n{"id": 2, "n": "b"}\n').text


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_what_is_no_json_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(LoadError, match=r"repair it, or name it \.txt"):
        load("{no json", name)


def test_depth_without_end() -> None:
    with pytest.raises(LoadError, match="nested too deeply"):
        load("[" * 100_000 + "]" * 100_000)
    value: object = "bottom"
    for _ in range(60):
        value = {"k": value}
    assert "bottom" in load(value).text


def test_headings_in_values_stay_below_their_record() -> None:
    records = [{"name": "Seal", "text": "# Why\n\nBecause."}, {"name": "Ring", "list": [{"a": [[1]]}]}]
    loaded = load(records)
    assert [b.heading_path for b in loaded.blocks if b.kind.value == "heading"][:2] == [
        ("Seal",),
        ("Seal", "Why"),
    ]


def test_code_and_long_text() -> None:
    text = load({"sample": "def f():\n    return 1\n", "prose": "Two\nlines."}).text
    assert "```\ndef f():\n    return 1\n```" in text and "Two\nlines." in text
