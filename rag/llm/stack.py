"""The layers around the chat client, outermost first. Each is a ``ChatModel`` that wraps a ``ChatModel``."""

from __future__ import annotations

from rag.core.protocols import ChatModel
from rag.core.settings import Settings


def build_chat_model(settings: Settings) -> ChatModel | None:
    """The chat model of the settings, or None where none is configured. Raises ``SettingsError``."""
    if not settings.llm_base_url:
        return None
    from rag.llm.client import HttpChatModel
    from rag.llm.retry import RetryingChatModel

    model: ChatModel = HttpChatModel(
        settings.llm_base_url,
        settings.llm_model,
        api_key=settings.llm_api_key.get_secret_value() if settings.llm_api_key else None,
        context_window=settings.llm_context_tokens or 8192,
    )
    return RetryingChatModel(model)
