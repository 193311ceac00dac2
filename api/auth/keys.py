"""What an API key looks like, and what is kept of it.

``fn_<12 letters and digits>_<43 characters>``: the middle part finds the key's row, the last is 256 random bits.
Of those an HMAC-SHA256 under a salt of the key's own is kept. A slow hash such as argon2 makes guessing dear where
people choose the secret; 256 random bits cannot be guessed at any price, and it would cost every request its time.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

_KEY: Final = re.compile(r"fn_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class NewKey:
    text: str
    """Shown once."""
    prefix: str
    salt: bytes
    digest: bytes


def new_key() -> NewKey:
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    text, salt = f"fn_{prefix}_{secrets.token_urlsafe(32)}", secrets.token_bytes(16)
    return NewKey(text, prefix, salt, digest_of(text, salt))


def prefix_of(text: str) -> str | None:
    """None for what is no key at all."""
    found = _KEY.fullmatch(text)
    return found.group(1) if found else None


def digest_of(text: str, salt: bytes) -> bytes:
    return hmac.digest(salt, text.encode(), "sha256")


def fits(text: str, salt: bytes, digest: bytes) -> bool:
    """Takes as long for a wrong key as for the right one."""
    return hmac.compare_digest(digest_of(text, salt), digest)
