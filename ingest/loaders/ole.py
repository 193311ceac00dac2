"""Office files with a password are no zip archives but OLE containers that hold the encrypted archive."""

from __future__ import annotations

from rag.core.errors import EncryptedFile

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def refuse_encrypted(data: bytes, name: str) -> None:
    """Raises ``EncryptedFile``."""
    if data.startswith(_OLE) and _ENCRYPTED in data:
        raise EncryptedFile(
            f"{name} is encrypted, and Office files with a password cannot be opened; save it without one.",
            path=name,
        )
