"""Prompt templates: files with a system and a user part and placeholders, which are checked when a file is read.

    <!-- system -->
    You …
    <!-- user -->
    {{sources}} … {{question}}

A variant is a file of its own beside the plain one: ``answer@brief`` is ``prompts/answer@brief.md``. The version is a
hash of the text, so two that read the same have the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from rag.core.errors import SettingsError

FOLDER: Final = Path(__file__).parent.parent / "prompts"
_NAME: Final = re.compile(r"[\w-]+(?:@[\w.-]+)?")
_PART: Final = re.compile(r"^<!-- (system|user) -->[ \t]*\n", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([\w.-]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    system: str
    user: str
    version: str
    """Of the text: 12 hex digits."""

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(_PLACEHOLDER.findall(f"{self.system}\n{self.user}"))

    def filled(self, values: Mapping[str, str]) -> tuple[str, str]:
        """(system part, user part); placeholders that a value spells are left as they are. Raises ``ValueError`` for
        a value that is missing or that the template has no place for."""
        if wrong := self.placeholders ^ values.keys():
            raise ValueError(f"template {self.name}: {_shown(wrong)} missing or unknown")
        return fill(self.system, values), fill(self.user, values)


def fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], text)


def load_template(name: str, placeholders: Collection[str], folder: Path = FOLDER) -> Template:
    """A template by its name, with or without "@variant", or by its path. Raises ``SettingsError`` if it cannot be
    read, or a placeholder is missing or unknown."""
    path = folder / f"{name}.md" if _NAME.fullmatch(name) else Path(name)
    try:
        stat = path.stat()
        return _read(name, path, stat.st_mtime_ns, stat.st_size, frozenset(placeholders))
    except (OSError, ValueError) as exc:
        known = ", ".join(template_names(folder, placeholders))
        raise SettingsError(
            f"The prompt template {name} cannot be read; give a path, or one of: {known}.", setting="prompt"
        ) from exc


def template_names(folder: Path = FOLDER, placeholders: Collection[str] | None = None) -> list[str]:
    """The names of a folder's templates, variants among them; with ``placeholders`` those that have just them."""
    names = sorted(path.stem for path in folder.glob("*.md") if _NAME.fullmatch(path.stem))
    if placeholders is None:
        return names
    wanted = set(placeholders)
    return [
        one
        for one in names
        if set(_PLACEHOLDER.findall((folder / f"{one}.md").read_text("utf-8-sig"))) == wanted
    ]


def parse_template(name: str, text: str, placeholders: Collection[str]) -> Template:
    """Raises ``SettingsError`` for a template without its two parts or with wrong placeholders."""
    text = text.replace("\r\n", "\n")
    pieces = _PART.split(text)
    if pieces[1::2] != ["system", "user"] or pieces[0].strip():
        raise SettingsError(
            f"The prompt template {name} needs a line '<!-- system -->' and, after it, a line '<!-- user -->'; "
            "add them.",
            setting="prompt",
        )
    template = Template(name, pieces[2].strip(), pieces[4].strip(), version_of(text))
    known = frozenset(placeholders)
    if unknown := template.placeholders - known:
        raise SettingsError(
            f"The prompt template {name} uses {_shown(unknown)}, which is no placeholder; there are {_shown(known)}.",
            setting="prompt",
        )
    if missing := known - template.placeholders:
        raise SettingsError(
            f"The prompt template {name} lacks {_shown(missing)}; the placeholders are {_shown(known)}.",
            setting="prompt",
        )
    return template


def version_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=32)
def _read(name: str, path: Path, mtime_ns: int, n_bytes: int, placeholders: frozenset[str]) -> Template:
    """Read again when the file has changed: a template can be edited while it is served."""
    return parse_template(name, path.read_text("utf-8-sig"), placeholders)


def _shown(names: Collection[str]) -> str:
    *rest, last = ["{{" + one + "}}" for one in sorted(names)]
    return f"{', '.join(rest)} and {last}" if rest else last
