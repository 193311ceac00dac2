from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.errors import SettingsError
from rag.llm.template import FOLDER, load_template, parse_template, template_names

TEXT = "<!-- system -->\nBe {{tone}}.\n<!-- user -->\nQ: {{ question }}\n"
BOTH = ("question", "tone")


def test_a_template_is_filled_in_one_go() -> None:
    system, user = parse_template("mine", TEXT, BOTH).filled(
        {"tone": "kind", "question": "What is {{tone}}?"}
    )
    assert (system, user) == ("Be kind.", "Q: What is {{tone}}?")


@given(st.text(), st.text())
def test_a_value_stands_in_the_prompt_as_it_is(tone: str, question: str) -> None:
    filled = parse_template("mine", TEXT, BOTH).filled({"tone": tone, "question": question})
    assert filled == (f"Be {tone}.", f"Q: {question}")


@pytest.mark.parametrize("values", [{"tone": "kind"}, {"tone": "kind", "question": "?", "more": "x"}, {}])
def test_values_that_are_missing_or_unknown_are_errors(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="missing or unknown"):
        parse_template("mine", TEXT, BOTH).filled(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Be {{tone}}: {{question}}", "<!-- system -->"),
        ("<!-- user -->\n{{question}}\n<!-- system -->\n{{tone}}", "<!-- system -->"),
        (TEXT.replace("{{tone}}", "kind"), "lacks {{tone}}; the placeholders are {{question}} and {{tone}}"),
        (
            TEXT + "{{sources}}",
            "uses {{sources}}, which is no placeholder; there are {{question}} and {{tone}}",
        ),
        (TEXT + "{{}}", "uses {{}}"),
    ],
)
def test_a_wrong_template_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        parse_template("mine", text, BOTH)


def test_the_version_follows_the_text_and_not_the_line_ends_nor_the_name() -> None:
    one = parse_template("a", TEXT, BOTH).version
    assert one == parse_template("b", TEXT.replace("\n", "\r\n"), BOTH).version
    assert one != parse_template("a", TEXT.replace("Be", "be"), BOTH).version


def test_a_variant_is_a_file_beside_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / "ask.md").write_text(TEXT, "utf-8")
    (tmp_path / "ask@short.md").write_text(TEXT.replace("Be", "Be brief and"), "utf-8")
    plain, short = (load_template(name, BOTH, tmp_path) for name in ("ask", "ask@short"))
    assert short.system == "Be brief and {{tone}}."
    assert plain.version != short.version
    assert template_names(tmp_path) == ["ask", "ask@short"]


def test_a_template_that_is_edited_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "ask.md"
    path.write_text(TEXT, "utf-8")
    before = load_template(str(path), BOTH)
    path.write_text(TEXT.replace("Be", "Go"), "utf-8")
    os.utime(path, ns=(1, 1))
    assert load_template(str(path), BOTH).version != before.version


@pytest.mark.parametrize("name", ["nosuch", "answer@nosuch", "../answer", "no/such.md", "", "a\0b"])
def test_a_template_that_is_not_there_names_those_that_fit(name: str) -> None:
    with pytest.raises(SettingsError, match=r"one of: answer, answer@brief\."):
        load_template(name, ("question", "sources"))


@pytest.mark.parametrize(
    ("name", "placeholders"),
    [
        ("answer", ("question", "sources")),
        ("answer@brief", ("question", "sources")),
        ("rewrite", ("history", "question")),
        ("summary", ("summary", "history", "max_words")),
        ("moderation", ("text", "where")),
    ],
)
def test_our_own_templates_are_whole(name: str, placeholders: tuple[str, ...]) -> None:
    template = load_template(name, placeholders)
    assert template.system and template.user
    assert (FOLDER / f"{name}.md").is_file()
