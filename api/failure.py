"""The command line's boundary: every error becomes one sentence on stderr and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from api.interrupt import INTERRUPTED
from api.options import log_folder
from api.problems import foreign_error, log_unexpected, problem, problem_of, unexpected_sentence
from rag.core.errors import FootnoteError

UNEXPECTED = 1
USAGE = 2
PIPE_CLOSED = 141


def report(error: BaseException, *, as_json: bool) -> int:
    """Says what went wrong and returns the exit code."""
    if os.environ.get("FOOTNOTE_DEBUG") == "1" and isinstance(error, Exception):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # Nobody reads any more; without this the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    if isinstance(error, Exception) and not isinstance(error, FootnoteError):
        error = foreign_error(error) or error
    if isinstance(error, FootnoteError):
        _print(problem_of(error), as_json=as_json)
        return error.exit_code
    sentence = unexpected_sentence(error, log_unexpected(error, log_folder()))
    _print(problem(500, "unexpected", sentence), as_json=as_json)
    return UNEXPECTED


def report_usage(error: Exception, *, as_json: bool) -> int:
    """A command line that cannot be understood."""
    sentence = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    hint = f"Try '{context.command_path if context else 'footnote'} --help'."
    detail = f"{sentence.rstrip('.')}. {hint}"
    _print(problem(400, "bad-request", detail), as_json=as_json)
    return USAGE


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    text = json.dumps(found, ensure_ascii=False) if as_json else f"footnote: {found['detail']}"
    print(text, file=sys.stderr)
