"""Embeddings from any server that speaks OpenAI's ``/v1/embeddings``."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from rag.core.errors import EmbedderError
from rag.core.protocols import Vectors

_BATCH_TEXTS = 64
_TRIES = 4


class RemoteEmbedder:
    """Asks for one vector at the start, to learn the dimension and that the server answers."""

    max_tokens = 8191

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        transport: Any = None,
    ) -> None:
        import httpx

        self._url = base_url.rstrip("/") + "/embeddings"
        self._model = model
        try:
            headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
            self._client = httpx.Client(headers=headers, timeout=timeout_s, transport=transport)
        except ValueError as exc:
            raise EmbedderError(
                "The key of the embeddings server has characters that no key has; correct FOOTNOTE_EMBEDDER_API_KEY."
            ) from exc
        try:
            self.dim = int(self._post(["footnote"]).shape[1])
        except BaseException:
            self.close()
            raise
        self.fingerprint = f"{model}/{hashlib.sha256(f'{model}|{self.dim}'.encode()).hexdigest()[:16]}"

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        """float32, shape (n, dim), rows scaled to unit length here whatever the server does."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for i in range(0, len(order), _BATCH_TEXTS):
            rows = order[i : i + _BATCH_TEXTS]
            vectors[rows] = self._post([texts[row] for row in rows])
        return vectors

    def close(self) -> None:
        self._client.close()

    def _post(self, texts: list[str]) -> Vectors:
        import httpx

        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        for attempt in range(_TRIES):
            try:
                response = self._client.post(self._url, json=body)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
                raise EmbedderError(
                    f"{self._url} is not a URL that can be asked; give FOOTNOTE_EMBEDDER_BASE_URL as "
                    "http://host:port/v1."
                ) from exc
            except httpx.HTTPError as exc:
                if attempt + 1 < _TRIES:
                    time.sleep(0.5 * 2**attempt)
                    continue
                raise EmbedderError(
                    f"The embeddings server {self._url} does not answer ({type(exc).__name__}); start it or "
                    "correct FOOTNOTE_EMBEDDER_BASE_URL."
                ) from exc
            if _is_retryable(response.status_code) and attempt + 1 < _TRIES:
                time.sleep(_wait_s(response.headers.get("retry-after"), attempt))
                continue
            return self._vectors(response, len(texts))
        raise AssertionError("the last try returns or raises")

    def _vectors(self, response: Any, n: int) -> Vectors:
        if response.status_code != 200:
            status = response.status_code
            remedy = "try again later" if _is_retryable(status) else "check the model's name and the key"
            raise EmbedderError(
                f"The embeddings server {self._url} answered {status} for model {self._model}; {remedy}.",
                status=status,
            )
        try:
            rows = sorted(response.json()["data"], key=lambda row: row["index"])
            vectors = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise EmbedderError(
                f"The embeddings server {self._url} sent something that is not an embeddings reply; "
                "check that it speaks OpenAI's /v1/embeddings."
            ) from exc
        dim = getattr(self, "dim", vectors.shape[1] if vectors.ndim == 2 else 0)
        if vectors.shape != (n, dim) or dim == 0:
            raise EmbedderError(
                f"The embeddings server {self._url} sent vectors of shape {vectors.shape} where ({n}, {dim}) "
                "were due; check the model's name."
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise EmbedderError(
                f"The embeddings server {self._url} sent vectors of zeros or of what is no number; check the model."
            )
        return np.asarray(vectors / norms, dtype=np.float32)


def _is_retryable(status: int) -> bool:
    return status in (408, 409, 425, 429) or status >= 500


def _wait_s(retry_after: str | None, attempt: int) -> float:
    fallback_s = 0.5 * 2.0**attempt
    try:
        asked_s = float(retry_after) if retry_after else fallback_s
        return min(30.0, asked_s) if asked_s >= 0 else fallback_s
    except ValueError:
        return fallback_s
