"""Many questions from one file of JSON lines, answered in order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from api.batch.lines import parsed_line, reading
from api.problems import problem, problem_of
from api.schemas import BatchLine, validation_sentence
from rag.core.errors import FootnoteError, StoreError, UsageError


def run_batch(
    questions: Path, out: Path | None, answer: Callable[[BatchLine], dict[str, Any]]
) -> tuple[int, int]:
    """Writes one line for each line read; returns (lines, lines that hold an error).

    A line that cannot be read, or whose question fails, becomes ``{"id", "line", "error"}``. Errors of the
    store end the run, because every later line would meet them too.
    """
    if out is not None and str(out) != "-" and str(questions) != "-" and out.resolve() == questions.resolve():
        raise UsageError(f"--out {out} is the file of the questions; name another one.")
    n_lines = n_errors = 0
    with reading(questions) as lines, _writing(out) as target:
        for number, raw in enumerate(lines, 1):
            if not raw.strip():
                continue
            result = _one(number, raw, answer)
            n_lines += 1
            n_errors += "error" in result
            target.write(json.dumps(result, ensure_ascii=False) + "\n")
            target.flush()
    return n_lines, n_errors


def _one(number: int, raw: str, answer: Callable[[BatchLine], dict[str, Any]]) -> dict[str, Any]:
    identity: Any = None
    try:
        values = parsed_line(raw)
        identity = values.get("id")
        parsed = BatchLine.model_validate(values)
        return {"id": identity, **answer(parsed)}
    except ValidationError as exc:
        sentence = validation_sentence(exc.errors(), f"Line {number}")
        error = problem(422, "bad-line", f"{sentence}; correct it.")
    except ValueError as exc:
        error = problem(400, "bad-line", f"Line {number} is not a JSON object ({exc}); correct it.")
    except StoreError:
        raise
    except FootnoteError as exc:
        error = problem_of(exc)
    return {"id": identity, "line": number, "error": error}


@contextmanager
def _writing(path: Path | None) -> Iterator[TextIO]:
    if path is None or str(path) == "-":
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as exc:
        raise UsageError(
            f"The results cannot be written to {path} ({exc.strerror}); name another file."
        ) from exc
    with file:
        yield file
