"""Settings to an embedder. A new backend is a file beside this one and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.core.protocols import Embedder
    from rag.core.settings import Settings


def load_embedder(settings: Settings) -> Embedder:
    """Raises ``EmbedderError`` in one sentence."""
    if settings.embedder == "remote":
        from ingest.embed.remote_backend import RemoteEmbedder

        key = settings.embedder_api_key
        return RemoteEmbedder(
            settings.embedder_base_url or "",
            settings.embedder_model,
            api_key=key.get_secret_value() if key else None,
        )
    if settings.embedder == "torch":
        from ingest.embed.torch_backend import TorchEmbedder

        return TorchEmbedder(settings.embedder_model, settings.cache, n_threads=settings.embedder_threads)
    from ingest.embed.onnx_backend import OnnxEmbedder

    return OnnxEmbedder(
        settings.embedder_model,
        settings.cache,
        n_threads=settings.embedder_threads,
        precision=settings.embedder_precision,
    )
