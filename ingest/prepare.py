"""What a worker process does with one file: read, hash, load, chunk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.identity import content_hash, text_key
from rag.core.errors import FileChanged, LoadError, PathNotFound
from rag.core.types import ChunkSpan, LoadedDocument

if TYPE_CHECKING:
    from ingest.chunk.structure import StructureChunker
    from rag.core.settings import Settings


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """What a worker needs of the settings, without the library that reads settings: workers start sooner."""

    embedder: str
    embedder_model: str
    chunk_tokens: int
    chunk_overlap_tokens: int
    heading_prefix: bool
    max_file_mb: float


def prepare_settings(settings: Settings) -> PrepareSettings:
    return PrepareSettings(
        settings.embedder,
        settings.embedder_model,
        settings.chunk_tokens,
        settings.chunk_overlap_tokens,
        settings.heading_prefix,
        settings.max_file_mb,
    )


@dataclass(frozen=True, slots=True)
class PrepareJob:
    path: Path
    name: str
    """Path relative to the root: what messages call the file."""
    settings: PrepareSettings
    passwords: tuple[str, ...] = ()
    known_hash: str | None = None
    """If the bytes still have this hash there is nothing to parse."""


@dataclass(frozen=True, slots=True)
class Prepared:
    content_hash: str
    size: int
    mtime_ns: int
    document: LoadedDocument | None
    """None where the bytes are the known ones."""
    spans: tuple[ChunkSpan, ...] = ()
    error: LoadError | None = None
    """Why the bytes, which were read whole, could not become a document."""


def prepare(job: PrepareJob) -> Prepared:
    """Raises ``LoadError`` where the file could not even be read."""
    data, size, mtime_ns = read_whole(job.path, job.name, job.settings.max_file_mb)
    digest = content_hash(data)
    if digest == job.known_hash:
        return Prepared(digest, size, mtime_ns, None)
    from ingest.loaders.registry import load_bytes

    try:
        document = load_bytes(data, job.path, name=job.name, passwords=job.passwords)
    except LoadError as exc:
        return Prepared(digest, size, mtime_ns, None, error=exc)
    return Prepared(digest, size, mtime_ns, document, tuple(chunker(job.settings).chunk(document)))


def read_whole(path: Path, name: str, max_mb: float) -> tuple[bytes, int, int]:
    """(bytes, size, mtime_ns) of a file that did not change meanwhile. Raises ``LoadError``."""
    try:
        before = path.stat()
        if before.st_size > max_mb * 1e6:
            raise LoadError(
                f"{name} has {before.st_size / 1e6:.0f} MB, more than the {max_mb:g} MB that are read; raise "
                "FOOTNOTE_MAX_FILE_MB if it is wanted.",
                path=name,
            )
        data = path.read_bytes()
        after = path.stat()
    except FileNotFoundError as exc:
        raise PathVanished(
            f"{name} vanished before it was read; it is taken for removed.", path=name
        ) from exc
    except OSError as exc:
        raise LoadError(
            f"{name} cannot be read ({exc.strerror or exc}); check its permissions.", path=name
        ) from exc
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        data
    ) != after.st_size:
        raise FileChanged(f"{name} changed while it was read; it is taken up by the next run.", path=name)
    return data, after.st_size, after.st_mtime_ns


def loader_tag(media_type: str) -> str:
    """Names the loader of a type and its version: another version may read the same bytes otherwise."""
    from ingest.loaders.registry import loader_version

    return f"{media_type}#{loader_version(media_type)}"


def is_current(tag: str) -> bool:
    media_type = tag.partition("#")[0]
    return bool(media_type) and tag == loader_tag(media_type)


class PathVanished(LoadError):
    """Not a failure: the file is gone, as if it had been gone when the folder was walked."""

    code = PathNotFound.code


def chunker(settings: Settings | PrepareSettings) -> StructureChunker:
    return _chunker(
        settings.embedder,
        settings.embedder_model,
        settings.chunk_tokens,
        settings.chunk_overlap_tokens,
        settings.heading_prefix,
    )


@lru_cache(maxsize=4)
def _chunker(embedder: str, model: str, max_tokens: int, overlap: int, prefix: bool) -> StructureChunker:
    from ingest.chunk.structure import StructureChunker
    from ingest.embed.tokenizer import load_tokenizer

    return StructureChunker(
        load_tokenizer(embedder, model), max_tokens=max_tokens, overlap_tokens=overlap, heading_prefix=prefix
    )


def embedding_texts(settings: Settings, document: LoadedDocument) -> dict[bytes, str]:
    """The texts that stand for a document's chunks, by key."""
    return {text_key(span.embedding_text): span.embedding_text for span in chunker(settings).chunk(document)}
