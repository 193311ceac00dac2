"""Zip archives: their members as one document, and the check that every zip-based format passes first."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading
from ingest.loaders.nesting import section
from rag.core.errors import EncryptedFile, LoadError
from rag.core.types import LoadedDocument

MAX_MEMBERS = 5_000
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_RATIO = 200
_RATIO_FROM_BYTES = 8 * 1024 * 1024
_MAX_DEPTH = 3
_MAX_LOADED = 500
_ARCHIVES = "application/zip"


def open_zip(data: bytes, name: str) -> zipfile.ZipFile:
    """The archive, once the sizes that it declares are known to be harmless; nothing is unpacked.

    Reading a member can never give more than it declares: ``zipfile`` stops there. Raises ``LoadError``.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as exc:
        raise LoadError(f"{name} is a damaged archive ({exc}); open and save it anew.", path=name) from exc
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS:
        raise LoadError(
            f"{name} holds {len(members):,} files, more than {MAX_MEMBERS:,}; unpack it.", path=name
        )
    if total > MAX_TOTAL_BYTES:
        raise LoadError(
            f"{name} would unpack to {total / 2**20:,.0f} MB, more than {MAX_TOTAL_BYTES / 2**20:,.0f} MB; unpack it.",
            path=name,
        )
    if total > _RATIO_FROM_BYTES and total > len(data) * MAX_RATIO:
        raise LoadError(
            f"{name} would unpack to {total // max(len(data), 1):,} times its size, as zip bombs do; it is left out.",
            path=name,
        )
    return archive


def read_member(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, name: str) -> bytes:
    """``KeyError`` if there is no such member; ``LoadError`` if it cannot be unpacked."""
    info = archive.getinfo(member) if isinstance(member, str) else member
    if info.flag_bits & 1:
        raise EncryptedFile(
            f"{info.filename} in {name} is encrypted; unpack it with its password.", path=name
        )
    try:
        return archive.read(info)
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as exc:
        raise LoadError(f"{info.filename} in {name} is damaged ({exc}); pack it anew.", path=name) from exc


class ZipLoader:
    media_types = (_ARCHIVES,)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        loaded = _load(path, data, passwords, _Budget(MAX_TOTAL_BYTES, _MAX_LOADED), depth=1)
        # The first member's name is no title of the archive.
        return replace(loaded, title=None)


@dataclass(slots=True)
class _Budget:
    """What may still be unpacked, archives within the archive included."""

    n_bytes: int
    n_files: int

    def take(self, member: zipfile.ZipInfo) -> bool:
        self.n_bytes -= member.file_size
        self.n_files -= 1
        return self.n_bytes >= 0 and self.n_files >= 0


def _load(path: Path, data: bytes, passwords: Sequence[str], budget: _Budget, depth: int) -> LoadedDocument:
    parts: list[str] = []
    warnings: list[str] = []
    with open_zip(data, path.name) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not _is_clutter(m.filename)]
        for n, member in enumerate(members):
            if not budget.take(member):
                warnings.append(
                    f"{len(members) - n} of {len(members)} files were not read: there are too many"
                )
                break
            try:
                raw = _unlocked(archive, member, path.name, passwords)
                loaded = _load_member(path, member.filename, raw, passwords, budget, depth)
            except LoadError as exc:
                warnings.append(f"{member.filename}: {exc}")
                continue
            warnings += [f"{member.filename}: {warning}" for warning in loaded.warnings]
            parts += [heading(1, member.filename), section(loaded, 2)]
    if warnings and not parts:
        raise LoadError(f"Nothing in {path.name} can be read: {warnings[0]}", path=path.name)
    return document_from_markdown("\n\n".join(parts) + "\n", _ARCHIVES, warnings=warnings)


def _load_member(
    path: Path, name: str, data: bytes, passwords: Sequence[str], budget: _Budget, depth: int
) -> LoadedDocument:
    from ingest.loaders.detect import detect
    from ingest.loaders.registry import load_bytes

    inner = path.with_name(PurePosixPath(name).name or "file")
    if data and detect(name, data) == _ARCHIVES:
        if depth >= _MAX_DEPTH:
            raise LoadError(f"{name} is an archive within {depth} others; unpack it.", path=name)
        return _load(inner, data, passwords, budget, depth + 1)
    return load_bytes(data, inner, name=name, passwords=passwords)


def _unlocked(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, passwords: Sequence[str]
) -> bytes:
    for password in passwords if member.flag_bits & 1 else ():
        try:
            return archive.read(member, password.encode())
        except (RuntimeError, zipfile.BadZipFile, zlib.error):
            continue
    return read_member(archive, member, name)


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part == "__MACOSX" or part.startswith(".") for part in parts) or name.endswith("Thumbs.db")
