"""Names of persons, found by spaCy: the extra ``footnote[names]``, and a model of spaCy's that knows PERSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rag.core.errors import SettingsError
from rag.llm.personal import NameFinder

MODEL: Final = "en_core_web_sm"
_PERSON: Final = frozenset(["PERSON", "PER"])
_CHARS_AT_ONCE: Final = 100_000
"""spaCy takes a million at most, and memory grows with each."""


def names_finder(model: str = MODEL) -> NameFinder:
    """Raises ``SettingsError`` where spaCy or its model is not installed."""
    try:
        import spacy

        nlp: Any = spacy.load(model, disable=["tagger", "parser", "lemmatizer", "attribute_ruler"])
    except (ImportError, OSError) as exc:
        missing = "spaCy" if isinstance(exc, ImportError) else f"spaCy's model {model}"
        raise SettingsError(
            f"personal_names needs {missing}, which is not installed; run pip install 'footnote[names]' and python -m "
            f"spacy download {model}, or turn personal_names off.",
            setting="personal_names",
        ) from exc

    def names(text: str) -> Iterator[tuple[int, int]]:
        for offset in range(0, len(text), _CHARS_AT_ONCE):
            for entity in nlp(text[offset : offset + _CHARS_AT_ONCE]).ents:
                if entity.label_ in _PERSON:
                    yield offset + entity.start_char, offset + entity.end_char

    return names
