"""The moderator of the settings."""

from __future__ import annotations

from collections.abc import Callable

from rag.core.errors import SettingsError
from rag.core.protocols import ChatModel
from rag.core.settings import Settings
from rag.llm.mask import masks
from rag.llm.moderate import Moderator
from rag.llm.moderate_endpoint import EndpointModerator
from rag.llm.moderate_model import ModelModerator
from rag.llm.moderate_rules import RulesModerator, read_rules


def build_moderator(
    settings: Settings, chat: ChatModel | None = None, key: Callable[[], str | None] = lambda: None
) -> Moderator | None:
    """For one event loop; None where moderation is off. ``chat`` judges where a model is to; ``key`` is that of the
    first chat server. Raises ``SettingsError``."""
    if settings.moderation == "off":
        return None
    if settings.moderation == "rules":
        return RulesModerator(read_rules(settings.moderation_rules))
    servers = settings.chat_servers()
    if not servers or chat is None:
        raise SettingsError(
            f"moderation = {settings.moderation} needs a chat server; set llm_base_url, or moderation = rules.",
            setting="moderation",
        )
    if settings.moderation == "model":
        return ModelModerator(chat)
    return EndpointModerator(servers[0], key, masked=masks(settings.personal_data, servers[0].base_url))
