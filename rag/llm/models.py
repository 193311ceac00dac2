"""What is known of a chat model: its window, its prices, how it cuts text into tokens."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from rag.core.errors import SettingsError
from rag.core.types import Usage

_TABLE: Final = Path(__file__).with_name("models.toml")
DEFAULT_CONTEXT_TOKENS: Final = 8192
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "context_tokens": (int,),
    "max_output_tokens": (int,),
    "usd_input": (int, float),
    "usd_cached_input": (int, float),
    "usd_output": (int, float),
    "encoding": (str,),
}
_ENCODINGS: Final = ("cl100k_base", "o200k_base", "o200k_harmony")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Prices are US dollars per million tokens; None where they are not known, and cost is counted as 0 then."""

    name: str
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    max_output_tokens: int | None = None
    usd_input: float | None = None
    usd_cached_input: float | None = None
    usd_output: float | None = None
    encoding: str | None = None
    is_known: bool = False

    @property
    def is_priced(self) -> bool:
        return self.usd_input is not None or self.usd_output is not None

    def at_share(self, share: float) -> ModelInfo:
        """The same model at a share of its prices."""

        def priced(usd: float | None) -> float | None:
            return None if usd is None else usd * share

        return replace(
            self,
            usd_input=priced(self.usd_input),
            usd_cached_input=priced(self.usd_cached_input),
            usd_output=priced(self.usd_output),
        )

    def cost_usd(self, usage: Usage) -> float:
        full, out = self.usd_input or 0.0, self.usd_output or 0.0
        cached = full if self.usd_cached_input is None else self.usd_cached_input
        n_cached = min(usage.cached_tokens, usage.input_tokens)
        return (
            (usage.input_tokens - n_cached) * full + n_cached * cached + usage.output_tokens * out
        ) / 1_000_000


def lookup(name: str, models_file: Path | None = None) -> ModelInfo:
    """What our table says of a model, and the user's file on top of it; ``vendor/name`` and capitals are the same model.

    Raises ``SettingsError`` for a file that cannot be used.
    """
    told: dict[str, Any] = {}
    for table in (_read(_TABLE), _read(models_file) if models_file else {}):
        for spelling in (name.rpartition("/")[2].lower(), name.lower()):
            fitting = [pattern for pattern in table if fnmatchcase(spelling, pattern.lower())]
            if fitting:
                told |= table[max(fitting, key=len)]
    return ModelInfo(name, is_known=bool(told), **told)


@lru_cache(maxsize=8)
def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("models")
    except (OSError, ValueError) as exc:
        raise _wrong(path, f"cannot be read: {exc}") from exc
    if not isinstance(table, dict):
        raise _wrong(path, 'needs tables like [models."my-model"]')
    for pattern, values in table.items():
        if not isinstance(values, dict):
            raise _wrong(path, f'needs a table for "{pattern}"')
        for field, value in values.items():
            kinds = _FIELDS.get(field)
            if kinds is None:
                raise _wrong(path, f'has a field "{field}" for "{pattern}"; there are {", ".join(_FIELDS)}')
            negative = isinstance(value, int | float) and value < 0
            unheard_of = field == "encoding" and value not in _ENCODINGS
            if not isinstance(value, kinds) or isinstance(value, bool) or negative or unheard_of:
                raise _wrong(path, f'has a wrong value {value!r} for {field} of "{pattern}"')
    return table


def _wrong(path: Path, what: str) -> SettingsError:
    return SettingsError(f"The table of models {path} {what}; correct it.", setting="models_file")
