"""Who may import whom (docs/architecture.md): the edges are held here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
OURS = ("rag", "ingest", "api")
CORE_MAY_USE = {"pydantic", "pydantic_settings", "numpy", "tokenizers"}
# Optional or heavy: only inside the function or class that needs them.
LAZY = {
    "chromadb", "docutils", "docx", "fastapi", "httpx", "lxml", "mammoth", "markdown_it", "markdownify", "odf",
    "onnx", "onnxruntime", "opentelemetry", "oxmsg", "pebble", "phonenumbers", "pptx", "prometheus_client", "pypdf", "python_calamine", "safetensors",
    "sentence_transformers", "spacy", "striprtf", "tiktoken", "torch", "trafilatura", "transformers", "uvicorn",
    "watchfiles",
}  # fmt: skip


def modules() -> list[Path]:
    return [path for package in OURS for path in sorted((REPO / package).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    found: set[str] = set()
    nodes = list(tree.body) if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} uses a relative import"
            found.add(node.module)
    return found


def room(module: str) -> str:
    if module == "rag.wiring":
        return "wiring"
    if module == "rag.core" or module.startswith("rag.core."):
        return "core"
    return module.split(".")[0]


ALLOWED = {
    "core": {"core"},
    "ingest": {"core", "ingest"},
    "rag": {"core", "rag"},
    "wiring": {"core", "ingest", "rag", "wiring"},
    "api": {"core", "ingest", "rag", "wiring", "api"},
}


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_a_module_imports_only_from_the_rooms_it_may_enter(path: Path) -> None:
    name = module_name(path)
    if name == "rag":
        return  # the package's face is lazy: it hands out what wiring builds
    for target in imports(path, top_level_only=False):
        if target.split(".")[0] in OURS and target != "rag":
            assert room(target) in ALLOWED[room(name)], f"{name} may not import {target}"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_core_stands_on_little_and_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    name = module_name(path)
    for target in imports(path, top_level_only=True):
        package = target.split(".")[0]
        if room(name) == "core" and package not in OURS:
            assert package in CORE_MAY_USE or package in sys.stdlib_module_names, f"{name} imports {target}"
        # The registry imports a loader when it meets the first file of its format.
        if room(name) != "api" and not name.startswith("ingest.loaders."):
            assert package not in LAZY, f"{name} imports {target} at its top"


def test_the_package_and_the_store_open_without_torch_chromadb_or_an_http_client() -> None:
    code = (
        "import sys, rag.wiring, ingest.sync; "
        "print([m for m in ('torch', 'chromadb', 'httpx', 'fastapi', 'pypdf', 'transformers') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((REPO / "rag" / "llm").rglob("*.py")), ids=module_name)
def test_the_chat_client_is_a_library_of_its_own(path: Path) -> None:
    for target in imports(path, top_level_only=False):
        ours = target.split(".")[0] in OURS
        assert not ours or target.startswith(("rag.core", "rag.llm")), f"{module_name(path)} imports {target}"
