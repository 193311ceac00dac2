from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.loaders.notebook import NotebookLoader
from rag.core.errors import LoadError, NoText
from rag.core.types import LoadedDocument


def load(notebook: object) -> LoadedDocument:
    return NotebookLoader().load(Path("a.ipynb"), json.dumps(notebook).encode())


def test_cells_in_order_with_short_outputs() -> None:
    blob = "data:image/png;base64," + "A" * 999
    loaded = load(
        {
            "metadata": {"language_info": {"name": "python"}, "title": "Pumps"},
            "cells": [
                {"cell_type": "markdown", "source": ["# Oil\n", f"words ![p]({blob})"]},
                {
                    "cell_type": "code",
                    "source": "print(1)",
                    "outputs": [
                        {"output_type": "stream", "text": ["\x1b[31m1\x1b[0m\n"]},
                        {
                            "output_type": "execute_result",
                            "data": {"text/plain": "<Figure at 0x7f>", "image/png": "x"},
                        },
                        {
                            "output_type": "error",
                            "ename": "ValueError",
                            "evalue": "bad",
                            "traceback": ["long"],
                        },
                        {"output_type": "stream", "text": "x" * 9999},
                    ],
                },
                {"cell_type": "raw", "source": "raw"},
                "no cell",
            ],
        }
    )
    assert loaded.text.startswith("# Oil\nwords ![p](data:image/png;base64,AAAA")
    assert "```python\nprint(1)\n```\n\n```\n1\n```\n\n```\nValueError: bad\n```" in loaded.text
    assert len(loaded.text) < 2500 and "0x7f" not in loaded.text and "long" not in loaded.text
    assert loaded.title == "Pumps" and loaded.metadata == {"language": "python"}


def test_old_notebooks_keep_their_cells_in_worksheets() -> None:
    cell = {"cell_type": "heading", "level": "2", "source": "Old"}
    assert load({"worksheets": [{"cells": [cell, {"cell_type": "code", "input": "1+1"}]}]}).text == (
        "## Old\n\n```python\n1+1\n```"
    )


@pytest.mark.parametrize(
    "notebook", [[], {}, {"cells": None}, {"cells": [{"cell_type": "code", "source": None}]}]
)
def test_notebooks_without_text(notebook: object) -> None:
    with pytest.raises((NoText, LoadError), match=r"a\.ipynb"):
        load(notebook)
