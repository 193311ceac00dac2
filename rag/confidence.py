"""How probable it is that the packed sources hold the answer.

Features that cost nothing more at question time go through a logistic function; its weights are in
``confidence.json``, fitted by ``benchmarks/fit_confidence.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from rag.agree import is_in
from rag.asked import answer_type
from rag.core.types import PackedSource, Retrieval
from rag.rank import Candidate
from rag.terms import terms_of

FEATURES: Final = (
    "cosine",
    "cosine_margin",
    "sentence_cosine",
    "bm25",
    "agreement",
    "sentence_coverage",
    "passage_coverage",
    "rare_missing",
    "names_missing",
    "numbers_missing",
    "type_fits",
    "few_words",
)
LEXICAL_FEATURES: Final = tuple(
    name for name in FEATURES if name not in ("cosine", "cosine_margin", "sentence_cosine", "agreement")
)
"""What is left to go by while vectors are missing."""
_WEIGHTS = Path(__file__).parent / "confidence.json"


def features(
    question: str,
    retrieval: Retrieval,
    sources: Sequence[PackedSource],
    ranked: Sequence[Candidate],
    weights: Mapping[str, float],
) -> dict[str, float]:
    """Every feature by name, each roughly in [0, 1]. ``weights``: inverse document frequency by stem."""
    asked = terms_of(question)
    total = sum(weights.values()) or 1.0
    cosines = sorted((hit.origin["dense"] for hit in retrieval.hits if "dense" in hit.origin), reverse=True)
    lexical = [hit.origin["lexical"] for hit in retrieval.hits if "lexical" in hit.origin]
    both = [hit for hit in retrieval.hits[:5] if "dense" in hit.origin and "lexical" in hit.origin]
    top = ranked[0] if ranked else None

    def missing(stems: frozenset[str]) -> list[str]:
        return [stem for stem in weights if not is_in(stem, stems)]

    passages = [
        terms_of(source.text).stems | terms_of("\n".join([source.source.title, *source.heading_path])).stems
        for source in sources
    ]
    best = min(passages, key=lambda stems: sum(weights[stem] for stem in missing(stems)), default=frozenset())
    lacking = missing(best)
    numbers = {next(iter(quantity.readings)) for quantity in asked.quantities} | asked.identifiers
    there = frozenset().union(
        *(
            {reading for quantity in terms.quantities for reading in quantity.readings} | terms.identifiers
            for terms in (terms_of(source.text) for source in sources)
        )
    )
    return {
        "cosine": cosines[0] if cosines else 0.0,
        "cosine_margin": cosines[0] - cosines[min(4, len(cosines) - 1)] if cosines else 0.0,
        "sentence_cosine": max((candidate.cosine for candidate in ranked), default=0.0),
        "bm25": min(1.5, max(lexical, default=0.0) / (2.2 * total)),
        "agreement": len(both) / 5,
        "sentence_coverage": top.coverage if top else 0.0,
        "passage_coverage": 1 - sum(weights[stem] for stem in lacking) / total,
        "rare_missing": max((weights[stem] for stem in lacking), default=0.0) / max([*weights.values(), 1.0]),
        "names_missing": len(asked.names & set(lacking)) / len(asked.names) if asked.names else 0.0,
        "numbers_missing": len(numbers - there) / len(numbers) if numbers else 0.0,
        "type_fits": float(answer_type(question) in ("any", "yes-no", "list") or bool(top and top.fits_type)),
        "few_words": float(len(weights) <= 2),
    }


def confidence(values: Mapping[str, float], mode: str) -> float:
    """Probability in [0, 1]. ``mode``: how the passages were found; without vectors other weights count."""
    bias, weights = _model("lexical" if mode == "lexical" else "hybrid")
    return 1 / (1 + math.exp(-(bias + sum(weights.get(name, 0.0) * value for name, value in values.items()))))


@lru_cache(maxsize=2)
def _model(mode: str) -> tuple[float, dict[str, float]]:
    stored = json.loads(_WEIGHTS.read_text("utf-8"))[mode]
    return float(stored["bias"]), {name: float(value) for name, value in stored["weights"].items()}
