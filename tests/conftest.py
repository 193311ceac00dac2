from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything of ours is imported: no test may reach a network or a user's own store.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ANONYMIZED_TELEMETRY"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for _name in [name for name in os.environ if name.startswith("FOOTNOTE_") or name == "OPENAI_API_KEY"]:
    del os.environ[_name]

settings.register_profile("footnote", deadline=None, print_blob=True)
settings.load_profile("footnote")

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of converted encoders for the whole run."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def corpus() -> Path:
    return REPO / "data" / "corpus"


@pytest.fixture(scope="session")
def shared_eval() -> Path:
    folder = REPO.parent / "shared" / "eval"
    if not folder.is_dir():
        pytest.skip("the evaluation sets are not on this machine (../shared/eval)")
    return folder
