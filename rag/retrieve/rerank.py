"""An optional cross-encoder that reads question and chunk together and reorders the best hits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag.core.errors import SettingsError
from rag.core.plain import plain
from rag.core.types import Hit


class CrossEncoderReranker:
    """Any sentence-transformers ``CrossEncoder`` by name or folder. The first use loads it."""

    def __init__(self, model: str, n_top: int) -> None:
        self._name, self._n_top = model, n_top
        self._lock = threading.Lock()
        self._model: Any = None

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """The first ``n_top`` hits in the cross-encoder's order, the rest behind them as they were."""
        head, tail = list(hits[: self._n_top]), list(hits[self._n_top :])
        if not head:
            return tail
        scores = self._loaded().predict(
            [(question, plain(hit.chunk.text)) for hit in head], show_progress_bar=False
        )
        scored = [
            replace(hit, origin={**hit.origin, "rerank": float(score)})
            for hit, score in zip(head, scores, strict=True)
        ]
        return sorted(scored, key=lambda hit: -hit.origin["rerank"]) + tail

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                try:
                    from sentence_transformers import CrossEncoder

                    self._model = CrossEncoder(self._name)
                except Exception as exc:  # a missing package, a missing model, a broken folder
                    raise SettingsError(
                        f"The reranker {self._name} cannot be loaded ({type(exc).__name__}); give the folder of a "
                        "sentence-transformers CrossEncoder in FOOTNOTE_RERANKER, or unset it.",
                        setting="reranker",
                    ) from exc
            return self._model


def load_reranker(model: str, n_top: int) -> CrossEncoderReranker:
    return CrossEncoderReranker(model, n_top)
