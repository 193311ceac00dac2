"""Office files with a password are no zip archives but OLE containers that hold the encrypted archive."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rag.core.errors import EncryptedFile, LoadError

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def decrypted(data: bytes, name: str, passwords: Sequence[str]) -> bytes:
    """The file as it is, or what one of the passwords opens. Raises ``EncryptedFile``."""
    if not (data.startswith(_OLE) and _ENCRYPTED in data):
        return data
    import msoffcrypto
    from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(data))
        for password in passwords:
            plain = io.BytesIO()
            try:
                file.load_key(password=password, verify_password=True)
                file.decrypt(plain)
            except (InvalidKeyError, DecryptionError):
                continue
            return plain.getvalue()
    except (FileFormatError, ParseError, OSError, ValueError) as exc:
        raise LoadError(f"{name} is encrypted and damaged ({exc}); save it anew.", path=name) from exc
    raise EncryptedFile(
        f"{name} is encrypted and no given password opens it; put its password into a file and name that with "
        "--password-file.",
        path=name,
    )
