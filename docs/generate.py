"""Writes the generated parts of the documentation: ``python -m docs.generate``. A test holds them fresh.

``--transcript`` also runs the commands of the README's transcript anew and puts in what they print.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined

from api import cli
from api.app import create_app
from api.failure import PIPE_CLOSED, UNEXPECTED
from api.interrupt import INTERRUPTED
from api.reference import markdown
from docs.transcript import transcript
from rag.core import errors
from rag.core.settings import Settings

ROOT = Path(__file__).parent.parent
WIDTH = 100

# Defaults that depend on the machine, as a reader should see them.
MACHINE_DEFAULTS = {"store": "~/.local/share/footnote", "cache": "~/.cache/footnote"}


def settings_table() -> str:
    rows = ["| setting | environment | default | |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = MACHINE_DEFAULTS.get(name) or _default(field.default)
        description = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | `FOOTNOTE_{name.upper()}` | {f'`{default}`'} | {description} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def exit_table() -> str:
    rows = {
        0: ["it worked (an answer that abstains is one too)"],
        UNEXPECTED: ["something unexpected; the sentence names a log"],
        cli.FAILED_FILES: ["`ingest`: some files failed; a batch: some lines did"],
        cli.UNHEALTHY: ["`doctor`: something is wrong and not repaired"],
        INTERRUPTED: ["stopped by Ctrl-C; it can be run again"],
        PIPE_CLOSED: ["the reader of the output went away"],
    }
    for error in _family(errors.FootnoteError):
        rows.setdefault(error.exit_code, []).append(f"`{error.code}` ({error.http_status})")
    del rows[UNEXPECTED][1:]
    lines = ["| exit | what happened (HTTP status) |", "|---|---|"]
    return "\n".join(
        lines + [f"| {code} | {', '.join(dict.fromkeys(rows[code]))} |" for code in sorted(rows)]
    )


def _family(kind: type[errors.FootnoteError]) -> Iterator[type[errors.FootnoteError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _family(child)


def command_help() -> Iterator[tuple[str, str]]:
    """(command line, its help) for the program and for each command."""
    group: Any = typer.main.get_command(cli.app)
    options: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    with group.make_context("footnote", ["version"], **options) as context:
        yield "footnote", group.get_help(context)
        for name, command in group.commands.items():
            inner = type(context)(command, info_name=name, parent=context, **options)
            yield f"footnote {name}", command.get_help(inner)
            for below, nested in getattr(command, "commands", {}).items():
                innermost = type(context)(nested, info_name=below, parent=inner, **options)
                yield f"footnote {name} {below}", nested.get_help(innermost)


def cli_page() -> str:
    parts = ["# The command line", "", _note("python -m docs.generate"), ""]
    for name, text in command_help():
        parts += [f"## `{name}`", "", "```text", text.rstrip(), "```", ""]
    parts += ["## Exit codes", "", exit_table(), ""]
    return "\n".join(parts)


def configuration_page() -> str:
    return (
        "\n".join(
            [
                "# Configuration",
                "",
                _note("python -m docs.generate"),
                "",
                "A setting is taken from the first of: the command line, the environment, `footnote.toml` in the",
                "current folder (or the file that `FOOTNOTE_CONFIG` names), the default. Lists are JSON in the",
                "environment: `FOOTNOTE_EXCLUDE='[\"drafts/**\"]'`. A file looks like this:",
                "",
                "```toml",
                'store = "/srv/footnote"',
                'exclude = ["drafts/**", "*.bak"]',
                'llm_base_url = "http://127.0.0.1:8080/v1"',
                'llm_model = "qwen2.5-7b-instruct"',
                "```",
                "",
                settings_table(),
                "",
                "Two variables are not settings: `FOOTNOTE_CONFIG` names the file, `FOOTNOTE_DEBUG=1` shows the trace of",
                "an unexpected error. `OPENAI_API_KEY` is read where `FOOTNOTE_LLM_API_KEY` is not set.",
            ]
        )
        + "\n"
    )


def http_page() -> str:
    text = markdown(create_app(Settings()).openapi())
    head, rest = text.split("\n", 1)
    return f"{head}\n\n{_note('python -m docs.generate')}\n{rest}"


def _note(command: str) -> str:
    return f"<!-- Made by `{command}`; do not edit. -->"


def between_markers(text: str, name: str, content: str) -> str:
    """The text with what stands between ``<!-- name -->`` and ``<!-- /name -->`` replaced."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"The marker <!-- {name} --> is missing.")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def readme(text: str) -> str:
    text = between_markers(text, "settings", settings_table())
    return between_markers(text, "exit-codes", exit_table())


def pages() -> dict[Path, str]:
    """Every file with generated parts, as it should be."""
    return {
        ROOT / "docs/cli.md": cli_page(),
        ROOT / "docs/configuration.md": configuration_page(),
        ROOT / "docs/http.md": http_page(),
        ROOT / "README.md": readme((ROOT / "README.md").read_text("utf-8")),
    }


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    if "--transcript" in sys.argv[1:]:
        path = ROOT / "README.md"
        text = path.read_text("utf-8")
        path.write_text(between_markers(text, "transcript", transcript()), "utf-8")
        print("wrote the transcript")


if __name__ == "__main__":
    main()
