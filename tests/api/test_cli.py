"""Each command over a real store, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.schemas import AnswerOut, SearchResponse
from rag import Answer, Footnote
from tests.api.conftest import LEAVE, Cli, write_documents

QUESTION = "How many vacation days can I carry over?"


def test_ask_prints_the_answer_and_its_footnotes(cli: Cli, store: Path) -> None:
    ran = cli("ask", QUESTION, "--store", store)

    assert ran.code == 0
    answer, footnotes = ran.out.split("\n\n", 1)
    assert "five unused vacation days" in answer
    assert "[1]" in answer
    assert footnotes.startswith("[1] hr/leave.md, Leave policy")
    assert "“Up to five unused vacation days" in footnotes


def test_ask_abstains_and_names_the_closest_sources(cli: Cli, store: Path) -> None:
    ran = cli("ask", "Who won the football world cup in 1998?", "--store", store)

    assert ran.code == 0
    assert ran.out.startswith("The documents don't say.")


def test_json_is_the_json_of_the_service(cli: Cli, store: Path) -> None:
    answer = json.loads(cli("ask", QUESTION, "--store", store, "--json").out)
    AnswerOut.model_validate(answer, extra="forbid")
    found = json.loads(cli("search", QUESTION, "-k", "2", "--store", store, "--json").out)
    SearchResponse.model_validate(found, extra="forbid")
    top = found["hits"][0]
    assert LEAVE[top["start"] : top["end"]] == top["text"]


def test_search_takes_filters(cli: Cli, store: Path) -> None:
    for flags, sources in (
        (["--source", "it/**"], {"it/vpn.md", "it/printers.txt"}),
        (["--type", "txt"], {"it/printers.txt"}),
        (["--meta", "author=Dana Ruiz"], {"hr/leave.md"}),
        (["--heading", "vpn"], {"it/vpn.md"}),
        (["--before", "2026-02-02"], {"hr/leave.md"}),
        (["--after", "2026-02-02"], {"it/vpn.md", "it/printers.txt"}),
    ):
        ran = cli("search", "the", "-k", "10", "--store", store, "--json", *flags)
        assert {hit["source"] for hit in json.loads(ran.out)["hits"]} == sources, flags


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_batch_keeps_order_and_ids_and_goes_on_after_bad_lines(
    cli: Cli, store: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_bytes(
        b"\n".join(
            [
                b'{"id": "a", "question": "What is wrong with error VPN-4711?", "k": 1}',
                b"not json",
                b'{"id": 7, "question": "vacation days", "filters": {"source": "it/**"}}',
                b'{"id": "c"}',
                b"[1]",
                b"",
                b'{"id": "d", "question": "x", "kb": "nowhere"}',
                b'{"id": "e", "question": "\xff vacation"}',
                b'{"id": "f", "question": "x", "filters": {"sauce": "it"}}',
                b'{"id": "g", "question": "Printers", "answers": ["of a question set"], "answerable": true}',
            ]
        )
    )
    out = tmp_path / "results.jsonl"
    ran = cli("search", "--batch", questions, "--out", out, "--store", store)

    results = lines_of(out)
    assert ran.code == 3
    assert [result["id"] for result in results] == ["a", None, 7, "c", None, "d", "e", "f", "g"]
    assert ["error" in result for result in results] == [
        False,
        True,
        False,
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    assert [hit["source"] for hit in results[0]["hits"]] == ["it/vpn.md"]
    assert {hit["source"] for hit in results[2]["hits"]} <= {"it/vpn.md", "it/printers.txt"}
    assert results[5]["error"]["code"] == "unknown-knowledge-base"
    assert results[1]["line"] == 2


def test_a_batch_of_answers_has_their_fields_at_top_level(cli: Cli, store: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"id": "q", "question": QUESTION}))
    ran = cli("ask", "--batch", questions, "--store", store)

    result = json.loads(ran.out)
    assert ran.code == 0
    assert result.pop("id") == "q"
    AnswerOut.model_validate(result, extra="forbid")


def test_a_batch_never_overwrites_its_own_questions(cli: Cli, store: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"id": "q", "question": QUESTION}))
    ran = cli("search", "--batch", questions, "--out", questions, "--store", store)
    assert ran.code == 2
    assert lines_of(questions)[0]["id"] == "q"


def test_ingest_says_what_changed_and_what_failed(cli: Cli, tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "documents")
    store = tmp_path / "store"
    first = json.loads(cli("ingest", documents, "--store", store, "--json").out)
    assert set(first["added"]) == {"hr/leave.md", "it/printers.txt", "it/vpn.md"}

    (documents / "it/printers.txt").rename(documents / "it/printing.txt")
    (documents / "it/vpn.md").unlink()
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of it\n")
    ran = cli("ingest", documents, "--store", store)
    assert ran.code == 3
    assert "1 renamed, 1 removed, 1 unchanged, 1 failed" in ran.out
    assert "Failed:\n  broken.pdf: " in ran.out

    ran = cli("sources", "--store", store, "--json")
    assert {one["source"]: one["state"] for one in json.loads(ran.out)} == {
        "hr/leave.md": "live",
        "it/printing.txt": "live",
        "broken.pdf": "failed",
    }


def test_status_sources_doctor_remove(cli: Cli, writable: Path) -> None:
    status = json.loads(cli("status", "--store", writable, "--json").out)
    assert status["knowledge_bases"][0]["n_sources"] == 3
    assert "default\t3\t0\t" in cli("status", "--store", writable).out

    table = cli("sources", "--store", writable).out.splitlines()
    assert [row.split("\t")[0] for row in table] == ["source", "hr/leave.md", "it/printers.txt", "it/vpn.md"]

    assert json.loads(cli("doctor", "--store", writable, "--json").out)["healthy"]
    assert cli("doctor", "--store", writable).out.endswith("Nothing is wrong.\n")

    removed = cli("remove", "it/**", "--store", writable, "--json")
    assert json.loads(removed.out) == {"removed": ["it/printers.txt", "it/vpn.md"]}
    assert cli("remove", "it/**", "--store", writable).code == 4
    assert cli("doctor", "--store", writable).code == 0


def test_reindex_keeps_everything(cli: Cli, writable: Path) -> None:
    before = json.loads(cli("search", QUESTION, "--store", writable, "--json").out)["hits"]
    assert cli("reindex", "--store", writable).code == 0
    after = json.loads(cli("search", QUESTION, "--store", writable, "--json").out)["hits"]
    assert [(hit["source"], hit["start"], hit["end"]) for hit in after] == [
        (hit["source"], hit["start"], hit["end"]) for hit in before
    ]
    assert cli("doctor", "--store", writable).code == 0


def test_eval_measures_a_question_set(cli: Cli, store: Path, tmp_path: Path) -> None:
    start = LEAVE.index("Up to five")
    span = ["hr/leave", start, start + 40]
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        json.dumps({"id": "a", "question": QUESTION, "spans": [span]})
        + "\n"
        + json.dumps({"id": "b", "question": "Who won the cup in 1998?", "answerable": False})
    )
    measured = json.loads(cli("eval", questions, "--store", store, "--json").out)
    assert measured["hit@1"] == {"value": 1.0, "n": 1}
    assert measured["abstained (unanswerable)"] == {"value": 1.0, "n": 1}
    assert "hit@1\t1.000\t1" in cli("eval", questions, "--store", store, "--retrieval-only").out


def test_version_names_what_it_stands_on(cli: Cli) -> None:
    assert set(json.loads(cli("version", "--json").out)) >= {"footnote", "python", "chromadb", "store"}


def test_controls_of_a_document_do_not_reach_the_terminal(cli: Cli, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "evil.txt").write_text("The secret heron\x1b]0;owned\x07 nests\x1b[2J in spring.\u202e\n")
    store = tmp_path / "store"
    assert cli("ingest", documents, "--store", store).code == 0
    for command in ("search", "ask"):
        out = cli(command, "When does the heron nest?", "--store", store).out
        assert "heron" in out
        assert not set(out) & {"\x1b", "\x07", "\u202e"}


def test_an_answer_without_the_chat_model_that_was_asked_for_exits_12(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Footnote.ask

    def failing(self: Footnote, question: str, **more: Any) -> Answer:
        return replace(real(self, question, **more), chat_error="chat-unreachable", notices=("It is down.",))

    monkeypatch.setattr(Footnote, "ask", failing)
    ran = cli("ask", QUESTION, "--store", store)
    assert ran.code == 12
    assert "five unused vacation days" in ran.out
    assert ran.err == "Note: It is down.\n"


@pytest.mark.parametrize(
    "args",
    [
        ["ask"],
        ["ask", "a", "--batch", "b"],
        ["ask", "a", "--out", "b"],
        ["ask", "a", "--meta", "nothing"],
        ["ask", "a", "--after", "yesterday"],
        ["search", "a", "-k", "0"],
        ["search", "a", "--kb", "../x"],
        ["bogus"],
        ["ingest"],
    ],
)
def test_bad_command_lines_exit_2_with_one_sentence(cli: Cli, store: Path, args: list[str]) -> None:
    ran = cli(*args, *(["--store", store] if len(args) > 1 else []))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("footnote: ")
    assert ran.err.count("\n") == 1


def test_a_bug_of_ours_is_one_sentence_and_a_log(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Footnote, "search", broken)
    ran = cli("search", "x", "--store", store)
    log = store / "footnote-errors.log"
    assert ran.code == 1
    assert ran.err == (
        f"footnote: Something unexpected went wrong (ZeroDivisionError); please report it with what {log} says of it.\n"
    )
    assert "secret detail" in log.read_text()
    log.unlink()
    monkeypatch.setenv("FOOTNOTE_DEBUG", "1")
    assert "secret detail" in cli("search", "x", "--store", store).err
    log.unlink()


def test_a_full_disk_is_said_in_words(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Footnote, "search", full)
    ran = cli("search", "x", "--store", store, "--json")
    assert ran.code == 8
    assert json.loads(ran.err)["code"] == "disk-full"
