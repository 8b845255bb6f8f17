"""Servers for tests of what asks endpoints: one that answers as it is told, and vLLM's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

# Status (0 closes the connection without one), headers, body, which may come in pieces. A content-length
# among the headers is sent in place of the true one.
Reply = tuple[int, dict[str, str], str | bytes | Iterator[bytes]]
MODEL = "tiny"  # the name that vLLM's server knows its model by


@contextmanager
def http_server(answer: Callable[[str, Mapping[str, str], dict[str, Any]], Reply]) -> Iterator[str]:
    """Yields the address of a server that replies to each POST, each in a thread, as `answer` says.

    `answer` is given the path, the headers and the JSON of the request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, headers, text = answer(self.path, dict(self.headers), body)
            if status == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = text.encode() if isinstance(text, str) else text
            length = {"content-length": str(len(data))} if isinstance(data, bytes) else {}
            self.send_response(status)
            for name, value in {**length, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in [data] if isinstance(data, bytes) else data:
                self.wfile.write(piece)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that did not wait is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(content: object, **more: Any) -> Reply:
    """A chat completion. `more` goes into the message, but finish_reason, usage and model to their places."""
    choice = {"finish_reason": more.pop("finish_reason", "stop")}
    outside = {name: more.pop(name) for name in ("usage", "model") if name in more}
    message = {"role": "assistant", "content": content, **more}
    return 200, {}, json.dumps({"choices": [{"index": 0, "message": message, **choice}], **outside})


@contextmanager
def vllm_server(folder: Path) -> Iterator[str]:
    """vLLM's own OpenAI-compatible server with a small random model; it starts in about 30 s."""
    pytest.importorskip("vllm")
    from rlvr.learner.models import make_scratch_model
    from rlvr.problems.tokenizer import character_tokenizer

    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    tokenizer = character_tokenizer(string.printable)
    make_scratch_model(folder / "model", tokenizer, 4096, seed=0, intermediate_size=96, **sizes)
    template = folder / "chat.jinja"
    template.write_text("{% for message in messages %}{{ message['content'] }}\n{% endfor %}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", MODEL, "--enforce-eager"]
    command += ["--max-model-len", "4096", "--max-num-seqs", "8", "--chat-template", str(template)]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1"},
            start_new_session=True,
        )
    try:
        limit = time.monotonic() + 240
        while not _healthy(port):
            if process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"vLLM's server did not start: {log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):  # its children have gone with it, or go now
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def user(text: str) -> list[dict[str, str]]:
    """The messages of a question."""
    return [{"role": "user", "content": text}]


_ASK = """
import json, sys
from pathlib import Path
from rlvr.rollout.endpoint import EndpointRequests, EndpointTeacher, Question
settings, folder, questions = json.loads(sys.stdin.read())
with EndpointTeacher(EndpointRequests(**settings), Path(folder)) as teacher:
    for answer in teacher.answers([Question(*question) for question in questions]):
        print(answer.problem_id, answer.sample, flush=True)
"""


def kill_after(answers: int, settings: dict[str, Any], folder: Path, questions: Sequence[Any]) -> None:
    """Ask in a process of its own, which is killed once so many answers have come."""
    given = json.dumps([settings, str(folder), [astuple(question) for question in questions]])
    with subprocess.Popen(
        [sys.executable, "-c", _ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(given)
        process.stdin.close()
        try:
            for _ in range(answers):
                assert process.stdout.readline(), "the process ended too early"
        finally:
            process.kill()


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return threading.Event().wait(0.2)
