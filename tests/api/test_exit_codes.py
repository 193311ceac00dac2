"""The table of bad input, through the installed command: one sentence, its exit code, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import write_documents

COMMAND = Path(sys.executable).with_name("footnote")


def footnote(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, args)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_fails(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    last = done.stderr.splitlines()[-1]  # lines of progress may come before it
    assert last.startswith("footnote: ")
    assert last.endswith(".")
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(store: Path) -> Iterator[str]:
    server = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--store", str(store), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stderr is not None
    try:
        yield json.loads(server.stdout.readline())["url"]
    finally:
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=30)
    assert server.returncode == 0, said
    assert "Traceback" not in said


def test_unknown_path(tmp_path: Path) -> None:
    done = footnote("ingest", tmp_path / "nothing", "--store", tmp_path / "store")
    assert_fails(done, 2, "nothing")


def test_an_empty_folder(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = footnote("ingest", empty, "--store", tmp_path / "store")
    assert_fails(done, 2, str(empty))


def test_no_store(tmp_path: Path) -> None:
    assert_fails(footnote("ask", "x", "--store", tmp_path / "none"), 5, "footnote ingest")


def test_unknown_knowledge_base(store: Path) -> None:
    assert_fails(footnote("ask", "x", "--store", store, "--kb", "other"), 4, "other")


def test_questions(store: Path) -> None:
    assert_fails(footnote("ask", " ", "--store", store), 2)
    assert_fails(footnote("search", "x" * 100_000, "--store", store), 2, "8")


def test_settings(store: Path, tmp_path: Path) -> None:
    assert_fails(footnote("ask", "x", "--store", store, FOOTNOTE_TOP_K="many"), 2, "top_k")
    assert_fails(footnote("ask", "x", FOOTNOTE_CONFIG=str(tmp_path / "none.toml")), 2, "none.toml")
    config = tmp_path / "footnote.toml"
    config.write_text("top_k = [")
    assert_fails(footnote("ask", "x", FOOTNOTE_CONFIG=str(config)), 2)


def test_a_corrupt_catalog(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"this is not a database, it is a note" * 1000)
    for command in (["ask", "x"], ["status"], ["doctor"]):
        assert_fails(footnote(*command, "--store", tmp_path), 7, str(tmp_path))


def test_a_wrong_fingerprint(writable: Path) -> None:
    done = footnote("ask", "x", "--store", writable, FOOTNOTE_EMBEDDER="remote",
                    FOOTNOTE_EMBEDDER_BASE_URL="http://127.0.0.1:9/v1")  # fmt: skip
    assert done.returncode in (9, 11), done.stderr
    assert "Traceback" not in done.stderr


def test_a_locked_store(writable: Path, folder: Path) -> None:
    with serving(writable) as url:
        uploaded = httpx.post(f"{url}/v1/documents", files={"files": ("note.txt", b"A note on herons.\n")})
        assert uploaded.status_code == 201, uploaded.text
        assert_fails(footnote("ingest", folder, "--store", writable), 6, "--server")
        asked = footnote("ask", "How many vacation days can I carry over?", "--store", writable)
        assert asked.returncode == 0, asked.stderr
        assert "five unused" in asked.stdout
    assert footnote("doctor", "--store", writable).returncode == 0


def test_an_unreachable_chroma_server(folder: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = footnote("ingest", folder, "--store", tmp_path / "store", "--chroma", url)
    assert_fails(done, 10, url)


def test_an_unreachable_chat_server_is_said_and_the_documents_are_quoted(store: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    question = "How many vacation days can I carry over?"
    done = footnote("ask", question, "--store", store, FOOTNOTE_LLM_BASE_URL=url)
    assert url in done.stderr
    assert "Traceback" not in done.stderr
    assert "five unused vacation days" in done.stdout


def test_a_port_in_use(store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_fails(footnote("serve", "--port", str(port), "--store", store), 2, str(port))


def test_errors_as_json(tmp_path: Path) -> None:
    done = footnote("ask", "x", "--store", tmp_path / "none", "--json")
    assert (done.returncode, done.stdout) == (5, "")
    assert json.loads(done.stderr)["code"] == "store-error"
    done = footnote("ask", "--json")
    assert (done.returncode, json.loads(done.stderr)["code"]) == (2, "bad-request")


def test_a_reader_that_leaves_is_no_error_of_ours(store: Path) -> None:
    first = subprocess.Popen([COMMAND, "sources", "--store", str(store)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert first.stdout is not None
    assert first.stderr is not None
    first.stdout.close()
    said = first.stderr.read()
    first.stderr.close()
    assert first.wait(60) == 141
    assert said == ""


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(60):
        text = "\n\n".join(f"Paragraph {i} of file {number} tells of herons. " * 12 for i in range(20))
        (documents / f"{number:02}.txt").write_text(text)
    store = tmp_path / "store"
    run = subprocess.Popen([COMMAND, "ingest", str(documents), "--store", str(store)], stderr=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)  # fmt: skip
    time.sleep(4)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, (out, err)
    assert "running it again" in err
    assert "Traceback" not in err
    for path in documents.glob("[1-5]*.txt"):
        path.unlink()
    assert footnote("ingest", documents, "--store", store).returncode == 0
    assert footnote("doctor", "--store", store).returncode == 0


def test_ingest_through_a_server(writable: Path, tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "handbook")
    with serving(writable) as url:
        assert footnote("ingest", documents, "--server", url).returncode == 0
        (documents / "it/vpn.md").unlink()
        (documents / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of it\n")
        done = footnote("ingest", documents, "--server", url, "--json")
        assert done.returncode == 3
        report = json.loads(done.stdout)
        assert report["removed"] == ["handbook/it/vpn.md"]
        assert [one["path"] for one in report["failed"]] == ["handbook/broken.pdf"]
        listed = {
            one["source"]: one["uploaded"] for one in httpx.get(f"{url}/v1/documents").json()["documents"]
        }
        assert listed["handbook/hr/leave.md"]
        assert not listed["hr/leave.md"]
        assert "it/vpn.md" in listed
        assert "handbook/it/vpn.md" not in listed
    assert_fails(footnote("ingest", documents, "--server", url), 10, url)


@pytest.mark.parametrize("command", ["ask", "search"])
def test_a_batch_from_stdin(store: Path, command: str) -> None:
    done = subprocess.run(
        [COMMAND, command, "--batch", "-", "--out", "-", "--store", str(store)],
        input='{"id": 1, "question": "vacation days"}\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == 1
