"""Runs the commands of the README's transcript on the sample corpus, so that it shows what they really print."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

COMMANDS = (
    "footnote ingest data/corpus",
    'footnote ask "How many vacation days can I carry over?"',
    'footnote ask "Who won the football world cup in 1998?"',
    'footnote search "E-508" -k 1',
)


def transcript(commands: tuple[str, ...] = COMMANDS) -> str:
    """A console block: each command and what it printed, on a new store."""
    lines = ["```console"]
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            lines.append(f"$ {command}")
            lines += printed(command, Path(folder) / "store").rstrip().splitlines()
            lines.append("")
    return "\n".join([*lines[:-1], "```"])


def printed(command: str, store: Path) -> str:
    """What the command prints on stdout when it works on that store."""
    program, *args = shlex.split(command)
    assert program == "footnote"
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", *args],
        cwd=ROOT,
        env={**os.environ, "FOOTNOTE_STORE": str(store), "FOOTNOTE_CONFIG": "", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
