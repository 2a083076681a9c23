"""What an endpoint says cannot drive a terminal, wherever it is printed."""

from __future__ import annotations

import http.server
import json
import threading
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING

from click.testing import CliRunner
from support.project import write_suite

import llmgate.pytest_plugin.items  # noqa: F401 - before pytester takes its snapshot
from llmgate.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ATTACK = "\x1b[2J\x1b]0;owned\x07 \u202e PASS"


@contextmanager
def hostile_endpoint(*, name: str = "m") -> Iterator[str]:
    """Serves a model, and refuses every request with an attack on the terminal."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer(200, json.dumps({"data": [{"id": name}, *([] if name == "m" else [{"id": "b"}])]}).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(400, ATTACK.encode())

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def acts_unseen(text: str) -> set[str]:
    return {c for c in text if c not in "\n\t\r" and unicodedata.category(c) in {"Cc", "Cf"}}


def test_the_command_line_shows_it_and_does_not_obey(pytester: pytest.Pytester) -> None:
    write_suite(pytester.path, cases=4)
    with hostile_endpoint() as url:
        done = CliRunner().invoke(main, ["run", "words.yaml", "--endpoint", url, "--out", "run"])
    assert done.exit_code == 3
    assert "owned" in done.output
    assert not acts_unseen(done.output)
    again = CliRunner().invoke(main, ["decide", "run"])
    assert "owned" in again.output
    assert not acts_unseen(again.output)


def test_an_error_shows_it_and_does_not_obey(pytester: pytest.Pytester) -> None:
    write_suite(pytester.path, cases=4)
    with hostile_endpoint(name=ATTACK) as url:
        done = CliRunner().invoke(main, ["run", "words.yaml", "--endpoint", url, "--out", "run"])
    assert done.exit_code == 4
    assert "owned" in done.output
    assert not acts_unseen(done.output)


def test_pytest_shows_it_and_does_not_obey(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=4)
    with hostile_endpoint() as url:
        done = pytester.runpytest_inprocess(suite, f"--llmgate-endpoint={url}", "--llmgate-out=run", "--color=no")
    assert done.ret == 1
    assert "owned" in done.stdout.str()
    assert not acts_unseen(done.stdout.str() + done.stderr.str())
