from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.cli import run
from rag.core.types import Usage
from rag.llm.ledger import Ledger


@pytest.fixture
def store(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "serving.sqlite")
    ledger.record(
        Usage(1_200_000, 3400, 800, cost_usd=0.75), tenant="acme", key="ci", model="gpt-4o", purpose="answer"
    )
    ledger.record(Usage(10, 1), tenant="acme", key="", model="ours\x1b[2J", purpose="rewrite")
    ledger.close()
    return tmp_path


def test_a_table_with_its_total_and_the_models_that_nobody_knows_a_price_of(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["usage", "--store", str(store)]) == 0
    head, dearest, other, total, note = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "requests", "input", "tokens", "output", "tokens", "cached", "US$"]
    assert dearest.split() == ["gpt-4o", "1", "1,200,000", "3,400", "800", "0.7500"]
    assert other.split()[-5:] == ["1", "10", "1", "0", "0.0000"]
    assert total.split() == ["in", "all", "2", "1,200,010", "3,401", "800", "0.7500"]
    assert note.startswith("No price of ours")
    assert len({len(line) for line in (head, dearest, other, total)}) == 1, "columns stand below each other"
    assert "\x1b" not in other + note


@pytest.mark.parametrize(
    ("by", "names"),
    [("tenant", ["acme"]), ("key", ["ci", ""]), ("purpose", ["answer", "rewrite"])],
)
def test_the_same_for_programs_by_any_column(
    store: Path, capsys: pytest.CaptureFixture[str], by: str, names: list[str]
) -> None:
    assert run(["usage", "--store", str(store), "--by", by, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row[by] for row in found["rows"]] == names
    assert found["total"]["cost_usd"] == 0.75
    assert (found["budget_usd_per_day"], found["left_today_usd"]) == (None, {})


def test_what_is_left_of_the_budget(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_BUDGET_USD_PER_DAY", "2")
    assert run(["usage", "--store", str(store), "--days", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Left today of $2 for default: $2.0000",
        "Left today of $2 for acme: $1.2500",
    ]


def test_a_price_in_the_users_table_ends_the_note(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = store / "models.toml"
    models.write_text('[models."ours*"]\nusd_output = 1\n')
    monkeypatch.setenv("FOOTNOTE_MODELS_FILE", str(models))
    assert run(["usage", "--store", str(store)]) == 0
    assert "No price" not in capsys.readouterr().out


def test_nothing_used_is_said_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["usage", "--store", str(tmp_path / "none"), "--days", "7"]) == 0
    assert capsys.readouterr().out == "No chat model was used in the last 7 days.\n"
    assert not (tmp_path / "none").exists()


def test_a_column_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["usage", "--store", str(tmp_path), "--by", "colour"]) == 2
    assert "--by colour is none of day, tenant, key, model, purpose" in capsys.readouterr().err
