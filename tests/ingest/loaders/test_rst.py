from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.rst import RstLoader
from rag.core.types import BlockKind, LoadedDocument

TEXT = """\
=====
Pumps
=====
:Author: Jane *Doe*
:Date: 2024-05-01

.. a comment
   that goes on

Words that lead to code::

    run()

    stop()

Section ``one``
---------------
- item
- item two
  continued

- item three

Sub
~~~
.. note:: Look out.
   Really.

   Twice.

.. code-block:: python

   print(1)

=====  =====
A      B
=====  =====
1      2
=====  =====

+---+---+
| a | b |
+===+===+
| 1 | 2 |
+---+---+

    A quotation.

term
    definition

.. _target:
.. |logo| image:: logo.png
.. [1] A footnote.

----

Section two
-----------
See :ref:`this <that>`.

1. one
2. two
"""


def load(text: str) -> LoadedDocument:
    return RstLoader().load(Path("a.rst"), text.encode())


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_map_of_a_document(line_end: str) -> None:
    text = TEXT.replace("\n", line_end)
    loaded = load(text)
    assert loaded.text == text and loaded.title == "Pumps"
    assert loaded.metadata == {"author": "Jane Doe", "date": "2024-05-01"}
    found = [
        (b.kind.value, len(b.heading_path), text[b.start : b.end].replace(line_end, "\n").split("\n")[0])
        for b in loaded.blocks
    ]
    assert found == [
        ("heading", 1, "====="),
        ("list", 1, ":Author: Jane *Doe*"),
        ("hidden", 1, ".. a comment"),
        ("paragraph", 1, "Words that lead to code::"),
        ("code", 1, "    run()"),
        ("heading", 2, "Section ``one``"),
        ("list", 2, "- item"),
        ("heading", 3, "Sub"),
        ("paragraph", 3, ".. note:: Look out."),
        ("paragraph", 3, "   Twice."),
        ("code", 3, ".. code-block:: python"),
        ("table", 3, "=====  ====="),
        ("table", 3, "+---+---+"),
        ("quote", 3, "    A quotation."),
        ("paragraph", 3, "term"),
        ("paragraph", 3, ".. [1] A footnote."),
        ("heading", 2, "Section two"),
        ("paragraph", 2, "See :ref:`this <that>`."),
        ("list", 2, "1. one"),
    ]
    assert {b.heading_path for b in loaded.blocks if b.kind is BlockKind.HEADING} == {
        ("Pumps",),
        ("Pumps", "Section one"),
        ("Pumps", "Section one", "Sub"),
        ("Pumps", "Section two"),
    }


def test_no_other_file_is_ever_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret")
    directives = ("include", "literalinclude", "csv-table", "raw")
    text = "Words.\n\n" + "".join(f".. {name}:: {secret}\n   :file: {secret}\n\n" for name in directives)
    loaded = RstLoader().load(tmp_path / "a.rst", text.encode())
    assert loaded.text == text and "top secret" not in loaded.text


def test_a_title_needs_a_line_that_is_long_enough() -> None:
    assert [b.kind.value for b in load("A sentence that goes on\n--\nwords\n").blocks] == ["paragraph"]
    assert [b.kind.value for b in load("Überschrift\n===========\n").blocks] == ["heading"]


def test_names_lose_their_markup() -> None:
    assert load("Use of :func:`~a.b` and `more <x>`_\n=====================================\n").title == (
        "Use of ~a.b and more"
    )
