"""The documentation says what is so: generated parts are fresh, examples run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from api import cli
from docs import generate
from docs.transcript import COMMANDS, transcript
from rag.core.settings import Settings, load_settings
from rag.llm.models import lookup

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SECONDS = re.compile(r"\d+\.\d s")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", generate.pages(), ids=lambda path: path.name)
def test_generated_parts_are_fresh(path: Path) -> None:
    assert path.read_text("utf-8") == generate.pages()[path], "run: make docs"


def test_the_table_lists_every_setting() -> None:
    for name in Settings.model_fields:
        assert f"| `{name}` | `FOOTNOTE_{name.upper()}` |" in README


def test_the_reference_lists_every_command_and_option() -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    group = typer.main.get_command(cli.app)
    commands: dict[str, Any] = dict(group.commands)  # type: ignore[attr-defined]
    for name, command in list(commands.items()):
        if nested := getattr(command, "commands", None):
            commands |= {f"{name} {below}": one for below, one in nested.items()}
            del commands[name]
    for name, command in commands.items():
        assert f"## `footnote {name}`" in page
        section = page.split(f"## `footnote {name}`")[1].split("\n## ")[0]
        flags = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
        about_all = name == "usage" or name.startswith("keys ")
        everywhere = {"--store", "--json"} if about_all else {"--store", "--kb", "--json"}
        assert everywhere <= flags, name
        for flag in flags | {"--help"}:
            assert flag in section, f"footnote {name} {flag}"


def test_the_transcript_is_what_the_commands_print(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_CACHE", str(cache))
    shown = re.search(r"<!-- transcript -->\n(.*?)<!-- /transcript -->", README, re.DOTALL)
    assert shown
    assert SECONDS.sub("0 s", shown[1].rstrip()) == SECONDS.sub("0 s", transcript(COMMANDS)), (
        "run: python -m docs.generate --transcript"
    )


def test_the_python_example_runs(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks(README, "python")
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOOTNOTE_CACHE", str(cache))
    exec(compile(example, "README.md", "exec"), {})
    assert "Citation(marker=1" in capsys.readouterr().out


def test_the_shell_examples_are_command_lines_that_exist() -> None:
    group = typer.main.get_command(cli.app)
    lines = [
        line.split("#")[0].strip()
        for block in blocks(README, "sh")
        for line in block.splitlines()
        if line.startswith("footnote ")
    ]
    assert len(lines) > 5
    for line in lines:
        _, name, *args = shlex.split(line.rstrip(" &"))
        command = group.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, args)  # raises what a user would see


def test_make_targets_of_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text("utf-8")):
        for target in re.findall(r"make ([a-z]+)", page):
            assert target in targets or f"make {target}" not in " ".join(re.findall(r"`[^`]*`", page)), target


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda path: path.name
)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("example", blocks((ROOT / "docs/chat.md").read_text("utf-8"), "toml"))
def test_the_examples_of_settings_can_be_loaded(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "example.toml"
    file.write_text(example)
    if example.startswith("[models"):
        assert lookup("our-model-2", file).is_known
        return
    monkeypatch.setenv("FOOTNOTE_CONFIG", str(file))
    assert load_settings().chat_servers()
