"""How probable it is that the packed sources hold the answer.

Features that cost nothing more at question time go through a logistic function; its weights are in
``confidence.json``, fitted by ``benchmarks/fit_confidence.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from rag.asked import answer_type
from rag.core.types import PackedSource, Retrieval
from rag.evidence import title_of
from rag.rank import Candidate
from rag.stems import is_in
from rag.terms import terms_of
from rag.topic import another_one

FEATURES: Final = (
    "cosine",
    "cosine_margin",
    "sentence_cosine",
    "agreement",
    "sentence_coverage",
    "rare_missing",
    "names_missing",
    "names_elsewhere",
    "numbers_missing",
    "numbers_elsewhere",
    "codes_missing",
    "codes_elsewhere",
    "about_a_sibling",
    "type_fits",
    "few_words",
)
LEXICAL_FEATURES: Final = (
    "bm25",
    "sentence_coverage",
    "passage_coverage",
    "rare_missing",
    "names_missing",
    "names_elsewhere",
    "numbers_missing",
    "numbers_elsewhere",
    "codes_missing",
    "codes_elsewhere",
    "about_a_sibling",
    "type_fits",
    "few_words",
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
    """Every feature by name, each roughly in [0, 1]. ``weights``: inverse document frequency by stem.

    "Missing" is what no passage has, "elsewhere" what the passage of the best sentence has not.
    """
    asked = terms_of(question)
    total = sum(weights.values()) or 1.0
    heaviest = max([*weights.values(), 1.0])
    cosines = sorted((hit.origin["dense"] for hit in retrieval.hits if "dense" in hit.origin), reverse=True)
    lexical = [hit.origin["lexical"] for hit in retrieval.hits if "lexical" in hit.origin]
    both = [hit for hit in retrieval.hits[:5] if "dense" in hit.origin and "lexical" in hit.origin]
    top = ranked[0] if ranked else None

    def lacking(stems: frozenset[str]) -> list[str]:
        return [stem for stem in weights if not is_in(stem, stems)]

    passages = {source.number: _stems(source) for source in sources}
    fullest = min(
        map(lacking, passages.values()),
        key=lambda ones: sum(weights[one] for one in ones),
        default=list(weights),
    )
    there = frozenset().union(*passages.values())
    here = passages[top.source.number] | top.around if top else frozenset()
    numbers = {next(iter(quantity.readings)) for quantity in asked.quantities}
    known = {source.number: _numbers(source) for source in sources}
    known_here = known[top.source.number] | _numbers_in(top.heading) if top else frozenset()
    near = lacking(top.terms.stems | top.around) if top else list(weights)
    return {
        "cosine": cosines[0] if cosines else 0.0,
        "cosine_margin": cosines[0] - cosines[min(4, len(cosines) - 1)] if cosines else 0.0,
        "sentence_cosine": max((candidate.cosine for candidate in ranked), default=0.0),
        "bm25": min(1.5, max(lexical, default=0.0) / (2.2 * total)),
        "agreement": len(both) / 5,
        "sentence_coverage": top.coverage if top else 0.0,
        "passage_coverage": 1 - sum(weights[stem] for stem in fullest) / total,
        "rare_missing": max((weights[stem] for stem in near), default=0.0) / heaviest,
        "names_missing": _share(asked.names & set(fullest), asked.names),
        "names_elsewhere": _share({name for name in asked.names if not is_in(name, here)}, asked.names),
        "numbers_missing": _share(numbers - frozenset().union(*known.values()), numbers),
        "numbers_elsewhere": _share(numbers - known_here, numbers),
        "codes_missing": _share(asked.identifiers - there, asked.identifiers),
        "codes_elsewhere": _share(asked.identifiers - here, asked.identifiers),
        "about_a_sibling": float(another_one(asked.identifiers, here) is not None),
        "type_fits": float(answer_type(question) in ("any", "yes-no", "list") or bool(top and top.fits_type)),
        "few_words": float(len(weights) <= 2),
    }


def _share(some: Collection[str], of: Collection[str]) -> float:
    return len(some) / len(of) if of else 0.0


def _stems(source: PackedSource) -> frozenset[str]:
    return frozenset().union(
        *(one.stems | one.identifiers for one in map(terms_of, (source.text, title_of(source))))
    )


def _numbers(source: PackedSource) -> frozenset[str]:
    return _numbers_in(source.text) | _numbers_in(title_of(source))


def _numbers_in(text: str) -> frozenset[str]:
    """Every reading of its numbers, and its codes: "4.3" is in "v4.3"."""
    terms = terms_of(text)
    return terms.identifiers.union(*(quantity.readings for quantity in terms.quantities))


def confidence(values: Mapping[str, float], mode: str) -> float:
    """Probability in [0, 1]. ``mode``: how the passages were found; without vectors other weights count."""
    bias, weights = _model("lexical" if mode == "lexical" else "hybrid")
    return 1 / (1 + math.exp(-(bias + sum(weights.get(name, 0.0) * value for name, value in values.items()))))


@lru_cache(maxsize=2)
def _model(mode: str) -> tuple[float, dict[str, float]]:
    stored = json.loads(_WEIGHTS.read_text("utf-8"))[mode]
    return float(stored["bias"]), {name: float(value) for name, value in stored["weights"].items()}
