"""`llmgate webhook` as a process, and a real `mlflow server` that sends to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.webhooks import SECRET, created, headers_of, ledger_of

from llmgate.cli import main
from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]
STEP_S = 60.0
GATE = """
import os, pathlib, sys, time
out = pathlib.Path(sys.argv[2])
out.mkdir()
(out / "seen").write_text(" ".join(sys.argv[1:2]) + " " + ",".join(sorted(os.environ)))
print("pid", os.getpid(), flush=True)
while not pathlib.Path(sys.argv[3]).exists(): time.sleep(0.05)
raise SystemExit(int(pathlib.Path(sys.argv[3]).read_text()))
"""


@dataclass
class Receiver:
    """The process, and what it said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    port: int = 0

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)

    def says(self, text: str) -> None:
        until(lambda: any(text in line for line in self.said), lambda: f"never said {text!r}: {self.said}")


def until(true: Callable[[], Any], why: Callable[[], str] = lambda: "it did not happen") -> Any:
    deadline = time.monotonic() + STEP_S
    while not (found := true()):
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def receiver(server: str, folder: Path, *options: str, **environ: str) -> Iterator[Receiver]:
    command = [sys.executable, "-c", "from llmgate.cli import main; main()", "webhook", "--secret-env", "HOOK_SECRET"]
    command += ["--port", "0", "--mlflow-uri", server, "--state", str(folder / "state"), "--poll", "0", *options]
    environment = {**os.environ, "HOOK_SECRET": SECRET, "PYTHONUNBUFFERED": "1", **environ}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        receives = Receiver(process)
        thread = threading.Thread(target=receives.read)
        thread.start()
        try:
            until(
                lambda: any("listening" in line for line in receives.said) or process.poll() is not None,
                lambda: str(receives.said),
            )
            assert process.poll() is None, receives.said
            line = next(line for line in receives.said if "listening" in line)
            receives.port = int(line.rpartition(":")[2].partition("/")[0])
            yield receives
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STEP_S)
            process.kill()
            thread.join()


@pytest.fixture
def client(mlflow_server: str) -> Any:
    with quiet():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=mlflow_server)


@contextlib.contextmanager
def registered(client: Any, port: int, *events: str) -> Iterator[str]:
    with quiet():
        hook = client.create_webhook("llmgate", f"http://127.0.0.1:{port}/webhook", list(events), secret=SECRET)
    try:
        yield hook.webhook_id
    finally:
        with quiet():
            client.delete_webhook(hook.webhook_id)


def new_version(client: Any, name: str) -> str:
    with quiet():
        if not client.search_registered_models(filter_string=f"name = '{name}'"):
            client.create_registered_model(name)
        return str(client.create_model_version(name, "s3://bucket/weights").version)


def gate_tag(client: Any, name: str, version: str) -> str:
    with quiet():
        return str(client.get_model_version(name, version).tags.get("llmgate.gate", "")).partition(" ")[0]


def send(port: int, body: bytes, **options: Any) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/webhook", body, headers_of(body, **options))
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def child(folder: Path) -> int:
    logs = list((folder / "state" / "runs").glob("*/log"))
    texts = [log.read_text().split() for log in logs]
    return int(next((words[1] for words in texts if len(words) > 1), 0))


def test_a_new_version_is_gated_and_its_verdict_is_on_it(mlflow_server: str, client: Any, tmp_path: Path) -> None:
    name, go = f"bot-{uuid.uuid4().hex[:8]}", tmp_path / "go"
    command = [sys.executable, "-c", GATE, "{version_uri}", "{run_folder}", str(go)]
    options = ["--pass-env", "NAMED", "--model", name, "--", *command]
    with (
        receiver(mlflow_server, tmp_path, *options, NAMED="1", NOT_NAMED="hidden") as receives,
        registered(client, receives.port, "model_version.created", "model_version_tag.set") as hook,
    ):
        version = new_version(client, name)
        until(lambda: gate_tag(client, name, version) == "running", lambda: str(receives.said))
        with quiet():
            # MLflow's own test of a webhook: signed, and about a model that we do not gate.
            tested = client.test_webhook(hook)
        assert (tested.success, tested.response_status) == (True, 202)
        go.write_text("3")
        until(lambda: gate_tag(client, name, version) == "INCONCLUSIVE", lambda: str(receives.said))
        (seen,) = (tmp_path / "state" / "runs").glob("*/run/seen")
        uri, names = seen.read_text().split(" ")
        assert uri == f"models:/{name}/{version}"
        assert set(names.split(",")) - {"LC_CTYPE"} == {"PATH", "NAMED", "LLMGATE_PROCESS_TREE"}
        assert oct(seen.parents[1].stat().st_mode)[-3:] == "700"

        again = str(uuid.uuid4())
        go.write_text("0")
        assert send(receives.port, created(name, version), delivery=again) == 202
        assert send(receives.port, created(name, version), delivery=again) == 409
        until(lambda: gate_tag(client, name, version) == "PASS", lambda: str(receives.said))
        assert send(receives.port, created(name, version), secret="another-secret-that-is-long") == 401
    assert len(list((tmp_path / "state" / "runs").iterdir())) == 2
    assert receives.process.returncode == 0, receives.said
    assert SECRET not in "".join(receives.said)


def test_a_name_that_is_no_word_is_not_put_into_a_command(mlflow_server: str, client: Any, tmp_path: Path) -> None:
    command = ["--", sys.executable, "-c", "", "{version_uri}"]
    with (
        receiver(mlflow_server, tmp_path, *command) as receives,
        registered(client, receives.port, "model_version.created"),
    ):
        new_version(client, f"bot-{uuid.uuid4().hex[:8]} $(touch x)")
        receives.says("refused with 422")
    assert not list((tmp_path / "state" / "runs").iterdir())


def test_a_killed_receiver_leaves_no_run_and_the_next_one_finds_it(
    mlflow_server: str, client: Any, tmp_path: Path
) -> None:
    name, go = f"bot-{uuid.uuid4().hex[:8]}", tmp_path / "go"
    command = ["--", sys.executable, "-c", GATE, "{version_uri}", "{run_folder}", str(go)]
    version = new_version(client, name)
    with receiver(mlflow_server, tmp_path, *command) as receives:
        assert send(receives.port, created(name, version)) == 202
        pid = until(lambda: child(tmp_path))
        receives.process.send_signal(signal.SIGKILL)
        receives.process.wait()
    until(lambda: not alive(pid))
    go.write_text("1")
    with receiver(mlflow_server, tmp_path, *command) as receives:
        receives.says("was cut off by a restart")
        until(lambda: gate_tag(client, name, version) == "FAIL", lambda: str(receives.said))


def test_sigterm_ends_the_run_and_says_that_it_waits(mlflow_server: str, client: Any, tmp_path: Path) -> None:
    name, go = f"bot-{uuid.uuid4().hex[:8]}", tmp_path / "go"
    new_version(client, name)
    command = [sys.executable, "-c", GATE, "{version_uri}", "{run_folder}", str(go)]
    with receiver(mlflow_server, tmp_path, "--poll", "0.2", "--model", name, "--", *command) as receives:
        # No webhook is registered: the poll finds it, and leaves alone what was there before.
        version = new_version(client, name)
        pid = until(lambda: child(tmp_path))
        receives.says(f"models:/{name}/{version}: new, though no event told of it")
    assert f"models:/{name}/1" not in "".join(receives.said)
    assert receives.process.returncode == 0, receives.said
    assert not alive(pid)
    assert gate_tag(client, name, version) == "queued"


class Alarms(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    got: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def alarms() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Kept", (Alarms,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    thread.join()
    server.server_close()


def holder(client: Any, name: str) -> str | None:
    with quiet():
        found = client.get_registered_model(name).aliases.get("champion")
    return None if found is None else str(found)


def check(server: str, name: str, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["webhook", "--check", "--mlflow-uri", server, "--model", name, *options])
    return done.exit_code, " ".join(done.output.split())


def test_an_alias_that_moved_past_the_gate_raises_the_alarm(
    mlflow_server: str, client: Any, tmp_path: Path, alarms: tuple[str, list[dict[str, Any]]]
) -> None:
    name, (url, got) = f"bot-{uuid.uuid4().hex[:8]}", alarms
    for _ in range(3):
        new_version(client, name)
    with quiet():
        client.set_registered_model_alias(name, "champion", "2")
    code, told = check(mlflow_server, name)
    assert (code, "there is no ledger of it" in told) == (4, True)
    with quiet():
        # What a gated server writes; this one lets everybody.
        for key, value in ledger_of("1", "2").items():
            client.set_registered_model_tag(name, key, value)
    assert check(mlflow_server, name)[0] == 0

    options = ["--model", name, "--alarm-url-env", "ALARM_URL"]
    events = ("model_version_alias.created", "model_version_alias.deleted")
    with (
        receiver(mlflow_server, tmp_path, *options, ALARM_URL=url) as receives,
        registered(client, receives.port, *events),
    ):
        with quiet():
            client.set_registered_model_alias(name, "champion", "3")
        receives.says(f"ALARM: {name} champion: moved past the gate: v3 holds it")
        until(lambda: got)
        assert (got[0]["model"], got[0]["holder"], got[0]["ledger"]) == (name, "3", "2")
        code, told = check(mlflow_server, name)
        assert (code, "ALARM" in told) == (1, True)
        code, told = check(mlflow_server, name, "--revert")
        assert (code, "set back to v2" in told) == (1, True)
        assert holder(client, name) == "2"
        receives.says(f"{name} champion: agrees")
        with quiet():
            client.delete_registered_model_alias(name, "champion")
        receives.says(f"ALARM: {name} champion: moved past the gate: nobody holds it")
        until(lambda: len(got) == 2)
    assert url not in "".join(receives.said)


def test_with_once_the_first_event_ends_it(mlflow_server: str, client: Any, tmp_path: Path) -> None:
    name = f"bot-{uuid.uuid4().hex[:8]}"
    new_version(client, name)
    with quiet():
        client.set_registered_model_tag(name, *next(iter(ledger_of("1").items())))
    with (
        receiver(mlflow_server, tmp_path, "--once", "--revert") as receives,
        registered(client, receives.port, "model_version_alias.created"),
    ):
        new_version(client, name)
        with quiet():
            client.set_registered_model_alias(name, "champion", "2")
        assert receives.process.wait(STEP_S) == 1
    assert holder(client, name) == "1"


def test_no_registry_is_said_with_exit_code_4() -> None:
    code, told = check("http://127.0.0.1:1", "bot")
    assert (code, "bot champion: could not be checked: http://127.0.0.1:1: no MLflow server answers there" in told) == (
        4,
        True,
    )
    code, told = check("http://127.0.0.1:1", "*")
    assert (code, "no MLflow server answers there" in told) == (4, True)
