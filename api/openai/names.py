"""Models by name: a knowledge base answers, the encoder embeds."""

from __future__ import annotations

import re

from api.openai.errors import UnknownModel
from rag.wiring import Footnote

MODEL = "footnote"
_KB_MODEL = re.compile(rf"{MODEL}/([A-Za-z0-9][A-Za-z0-9._-]{{0,62}})")


def knowledge_base(model: str, footnote: Footnote) -> str:
    """ "footnote" is the default one, "footnote/KB" the one of that name. Raises ``UnknownModel``."""
    if model == MODEL:
        return footnote.settings.kb
    if found := _KB_MODEL.fullmatch(model):
        return found[1]
    raise unknown_model(model)


def model_names(footnote: Footnote) -> list[str]:
    """All that may be given as ``model``: for answers, and the encoder's for embeddings."""
    names = [kb.name for kb in footnote.status().knowledge_bases]
    default = [MODEL] if footnote.settings.kb in names else []
    return [*default, *(f"{MODEL}/{name}" for name in names), footnote.settings.embedder_model]


def unknown_model(model: str) -> UnknownModel:
    return UnknownModel(
        f"There is no model {model[:80]!r} here; GET /v1/models lists what there is: {MODEL}, {MODEL}/ and the name of a "
        "knowledge base, and the encoder for embeddings.",
        param="model",
    )
