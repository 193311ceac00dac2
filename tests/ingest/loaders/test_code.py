from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.code import CodeLoader

PYTHON = '''"""About the module."""

import os


# Runs it.
@wraps
def run(x):

    return "\\d"


class Pump:
    def start(self):
        return 1
'''


def parts(source: str, name: str) -> list[tuple[str, str]]:
    """(heading path, first line) of each block."""
    loaded = CodeLoader().load(Path(name), source.encode())
    assert loaded.text == source
    return [("/".join(b.heading_path), source[b.start : b.end].splitlines()[0]) for b in loaded.blocks]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_python_is_cut_at_functions_and_classes_with_what_leads_them(line_end: str) -> None:
    assert parts(PYTHON.replace("\n", line_end), "a.py") == [
        ("", '"""About the module."""'),
        ("", "import os"),
        ("run", "# Runs it."),
        ("Pump", "class Pump:"),
    ]


def test_a_long_class_is_cut_at_its_methods() -> None:
    body = "".join(f"    def m{n}(self):\n        return {'1 + ' * 100}1\n\n" for n in range(5))
    assert parts("class Pump:\n    '''Doc.'''\n\n" + body, "a.py") == [
        ("Pump", "class Pump:"),
        *((f"Pump/m{n}", f"    def m{n}(self):") for n in range(5)),
    ]


def test_what_this_python_cannot_parse_is_cut_by_indentation() -> None:
    assert parts("def old():\n    print 'x'\n\n\ndef new():\n    pass\n", "a.py") == [
        ("old", "def old():"),
        ("new", "def new():"),
    ]


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        (
            "a.c",
            "#include <stdio.h>\n\n/* Adds. */\nstatic int add(int a,\n               int b)\n{\n    if (a) {\n"
            "        return a;\n    }\n    return b;\n}\n\nint global = 3;\n\nint main(void) {\n    f(1);\n}\n",
            [
                ("", "#include <stdio.h>"),
                ("add", "/* Adds. */"),
                ("", "int global = 3;"),
                ("main", "int main(void) {"),
            ],
        ),
        (
            "a.js",
            "import x from 'y';\n\n// Hello.\nexport const hello = async (name) => {\n  return name;\n};\n\n"
            "export default class Foo extends Bar {\n  run() {\n    return 1;\n  }\n}\nfunction plain() {}\n",
            [
                ("", "import x from 'y';"),
                ("hello", "// Hello."),
                ("Foo", "export default class Foo extends Bar {"),
                ("plain", "function plain() {}"),
            ],
        ),
        (
            "a.go",
            "package main\n\n// Run runs.\nfunc (s *Server) Run(x int) error {\n\treturn nil\n}\n"
            "type T struct {\n\ta int\n}\n",
            [("", "package main"), ("Run", "// Run runs."), ("T", "type T struct {")],
        ),
        (
            "a.sql",
            "-- People\nCREATE TABLE IF NOT EXISTS people (\n  id int\n);\nSELECT 1;\n",
            [("people", "-- People"), ("", "SELECT 1;")],
        ),
        (
            "a.sh",
            "#!/bin/sh\nset -e\ndeploy() {\n  echo hi\n}\ndeploy\n",
            [("", "#!/bin/sh"), ("deploy", "deploy() {"), ("", "deploy")],
        ),
        (
            "a.toml",
            "# top\na = 1\n\n[tool.x]\nb = 2\n",
            [("", "# top"), ("tool.x", "[tool.x]")],
        ),
        ("a.yaml", "a: 1\nb:\n  - 2\n", [("", "a: 1")]),
        ("a.rs", "pub fn run<T>(x: T) -> T {\n    x\n}\n", [("run", "pub fn run<T>(x: T) -> T {")]),
    ],
)
def test_other_languages_are_cut_by_their_shape(
    name: str, source: str, expected: list[tuple[str, str]]
) -> None:
    assert parts(source, name) == expected


@pytest.mark.parametrize("name", ["a.py", "a.js", "a.toml"])
def test_no_line_is_lost(name: str) -> None:
    source = PYTHON + "}\n" * 3 + "function x() {\n  y\n\n z}\n[a]\nb\n" + "x" * 9000
    loaded = CodeLoader().load(Path(name), source.encode())
    kept = "".join(source[b.start : b.end] for b in loaded.blocks)
    assert "".join(kept.split()) == "".join(source.split())
