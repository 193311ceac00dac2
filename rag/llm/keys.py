"""The keys of a chat server: where they come from, whose turn it is, and which are out for a while."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag.core.chat_server import ChatServer
from rag.core.errors import SettingsError

REFUSED_FOR_S: Final = 300.0
"""A key that the server refused is used again after this long, should no other be left even before."""
LIMITED_FOR_S: Final = 20.0
"""Where the server does not say how long."""
_COMMAND_TIMEOUT_S: Final = 10.0
_STAT_EVERY_S: Final = 1.0
_MOST_HIDDEN: Final = 1000
_SHORTEST_SECRET: Final = 8
_KEY: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(slots=True, repr=False)
class _Key:
    text: str
    refused_until_s: float = 0.0
    limited_until_s: float = 0.0
    used: int = 0


class KeyRing:
    """Hands out keys in turn. No key at all is fine: then ``take`` gives None.

    ``env``, ``file`` and ``command`` name where more keys are, one on each line (in a variable, white space or
    commas part them too). The file is read again when it changes, the command is run again when a key of it was
    refused. Belongs to one event loop.
    """

    def __init__(
        self,
        fixed: Sequence[str] = (),
        *,
        env: str | None = None,
        file: Path | None = None,
        command: str | None = None,
    ) -> None:
        """Raises ``SettingsError`` for a key that is none, and where the variable or the file is not there."""
        self._fixed = _checked(fixed, "llm_api_key")
        self._env, self._file, self._command = env, file, command
        self._keys: list[_Key] = []
        self._seen: dict[str, None] = {}
        self._concealed: list[str] = []
        self._file_keys: list[str] = []
        self._file_state: tuple[int, int, int] | None = None
        self._stat_at_s = -_STAT_EVERY_S
        self._command_keys: list[str] | None = None
        self._command_stale = True
        self._command_run: asyncio.Task[list[str]] | None = None
        self._turn = 0
        if env is not None and not os.environ.get(env, "").strip():
            raise SettingsError(
                f"The environment variable {env}, which api_key_env names, is not set; set it to the key.",
                setting="api_key_env",
            )
        self._refresh(self._fixed)
        self._gather(None)

    def __repr__(self) -> str:
        return f"KeyRing({len(self._keys)} keys)"

    @classmethod
    def of(cls, server: ChatServer) -> KeyRing:
        fixed = server.api_key.get_secret_value().strip() if server.api_key else ""
        return cls(
            (fixed,) if fixed else (),
            env=server.api_key_env,
            file=server.api_key_file,
            command=server.api_key_command,
        )

    async def take(self, without: Collection[str] = (), *, limited_too: bool = True) -> str | None:
        """The key whose turn it is: not refused, better not limited; None if there is none but ``without``.

        Raises ``SettingsError`` where the command fails and has given no key before.
        """
        now = asyncio.get_running_loop().time()
        if self._command is not None and self._command_stale:
            await self._run_command(self._command)
        self._gather(now)
        keys = [key for key in self._keys if key.text not in without]
        if not keys:
            return None
        fresh = [key for key in keys if key.refused_until_s <= now]
        free = [key for key in fresh if key.limited_until_s <= now]
        if free:
            chosen = min(free, key=lambda key: key.used)
        elif fresh and limited_too:
            chosen = min(fresh, key=lambda key: key.limited_until_s)
        elif fresh or without:
            return None  # one that was refused lately is worth a try only as the first
        else:
            chosen = min(keys, key=lambda key: key.refused_until_s)
        self._turn += 1
        chosen.used = self._turn
        return chosen.text

    def refused(self, key: str) -> None:
        """The server does not take this key."""
        now = asyncio.get_running_loop().time()
        for one in self._keys:
            if one.text == key:
                one.refused_until_s = now + REFUSED_FOR_S
        self._stat_at_s = -_STAT_EVERY_S  # the file may hold a new one by now
        if key in (self._command_keys or ()):
            self._command_stale = True

    def limited(self, key: str, for_s: float | None) -> None:
        """The server takes no more requests with this key for now."""
        now = asyncio.get_running_loop().time()
        for one in self._keys:
            if one.text == key:
                one.limited_until_s = now + (LIMITED_FOR_S if for_s is None else for_s)

    def conceal(self, secrets: Iterable[str]) -> None:
        """Further texts to ``hide``: headers that hold keys."""
        self._concealed += [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]

    def hide(self, text: str) -> str:
        """The text without any key that this ring ever held."""
        for key in sorted((*self._seen, *self._concealed), key=len, reverse=True):
            text = text.replace(key, "***")
        return text

    # Where they come from

    def _gather(self, now_s: float | None) -> None:
        if self._env is None and self._file is None and self._command is None:
            return
        texts = list(self._fixed)
        if self._env is not None:
            texts += _checked(re.split(r"[\s,]+", os.environ.get(self._env, "")), "api_key_env")
        if self._file is not None:
            if now_s is None or now_s - self._stat_at_s >= _STAT_EVERY_S:
                self._stat_at_s = -_STAT_EVERY_S if now_s is None else now_s
                self._read_file(self._file)
            texts += self._file_keys
        self._refresh([*texts, *(self._command_keys or ())])

    def _read_file(self, file: Path) -> None:
        """A file that is gone or being written anew leaves the keys that it held; only the first time is an error."""
        try:
            found = file.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            if state == self._file_state:
                return
            keys = _checked(file.read_text("utf-8").splitlines(), "llm_api_key_file")
        except (OSError, UnicodeDecodeError, SettingsError) as exc:
            if self._file_state is None:
                raise SettingsError(
                    f"The file of keys {file} cannot be read ({type(exc).__name__}); correct llm_api_key_file or the file.",
                    setting="llm_api_key_file",
                ) from None
            return
        if keys or self._file_state is None:
            self._file_keys, self._file_state = keys, state

    async def _run_command(self, command: str) -> None:
        """Once for all who wait."""
        if self._command_run is None:
            self._command_run = asyncio.create_task(asyncio.to_thread(_keys_of_command, command))
        run = self._command_run
        try:
            self._command_keys = await asyncio.shield(run)
            self._command_stale = False
        except SettingsError:
            if self._command_keys is None:
                raise
            self._command_stale = False  # the old keys may do; the next refusal runs it again
        finally:
            if run.done():
                self._command_run = None

    def _refresh(self, texts: Sequence[str]) -> None:
        known = {key.text: key for key in self._keys}
        self._keys = [known.get(text) or _Key(text) for text in dict.fromkeys(texts) if text]
        for key in self._keys:
            self._seen.pop(key.text, None)
            self._seen[key.text] = None
        while len(self._seen) > _MOST_HIDDEN:
            del self._seen[next(iter(self._seen))]


def _keys_of_command(command: str) -> list[str]:
    """The lines that it prints. Its output is never shown: it holds keys."""
    try:
        done = subprocess.run(
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        reason = f"did not end within {_COMMAND_TIMEOUT_S:g} s"
    except (OSError, ValueError) as exc:
        reason = f"cannot be started ({type(exc).__name__})"
    else:
        keys = _checked(done.stdout.decode("utf-8", "replace").splitlines(), "llm_api_key_command")
        if done.returncode == 0 and keys:
            return keys
        reason = f"ended with status {done.returncode}" if done.returncode else "printed no key"
    raise SettingsError(
        f"The command of llm_api_key_command {reason}; run it by hand to see why.",
        setting="llm_api_key_command",
    ) from None


def _checked(keys: Sequence[str], setting: str) -> list[str]:
    """The keys without empty lines and comments. Raises ``SettingsError`` for one that cannot be sent."""
    stripped = [key.strip() for key in keys]
    found = [key for key in stripped if key and not key.startswith("#")]
    if not all(map(_KEY.fullmatch, found)):
        raise SettingsError(
            f"{setting} holds white space or characters that no key has; copy it anew.", setting=setting
        )
    return found
