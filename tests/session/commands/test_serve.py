"""`llmgate serve`: what the gate would start, until somebody ends it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until

from llmgate.cli import main
from llmgate.record.weights import weights_digest

pytestmark = pytest.mark.usefixtures("own_lock")


def serve(tmp_path: Path, *words: str, mode: str = "ok") -> subprocess.Popen[str]:
    program = str(Path(sys.executable).with_name("llmgate"))
    env = {
        **os.environ,
        "FAKE_VLLM": mode,
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
    }
    return subprocess.Popen(
        [program, "serve", str(model_folder(tmp_path)), *words],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], tmp_path: Path) -> tuple[int, str, str]:
    said, errors = process.communicate(timeout=120)
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30)
    return process.returncode, said, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages }}", encoding="utf-8")
    process = serve(tmp_path, "--json", "--chat-template", "t.jinja", "--server-args", "--seed 7")
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert facts["models"] == ["model"]
    assert facts["weights_digest"] == weights_digest(tmp_path / "model")
    assert facts["flags"][:2] != ["--seed", "0"]
    assert "7" in facts["flags"]
    assert "sha256:" in " ".join(facts["flags"])
    assert Path(tmp_path, facts["log"]).is_file()
    parts = urlsplit(facts["url"])
    assert (parts.hostname, parts.path) == ("127.0.0.1", "/v1")
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=10)
    connection.request("GET", "/v1/models")
    assert json.loads(connection.getresponse().read())["data"][0]["id"] == "model"
    connection.close()
    process.send_signal(number)
    code, _, errors = ended(process, tmp_path)
    assert code == 0, errors
    assert "nothing of it is left" in errors
    assert not Path(tmp_path, facts["log"]).parent.exists()


def test_people_are_told_how_to_ask_it(tmp_path: Path) -> None:
    process = serve(tmp_path, "--served-name", "it's", "--logs", "logs")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    said = ""
    while "Ctrl-C ends it" not in said:
        said += process.stdout.readline() or pytest.fail(said)
    process.send_signal(signal.SIGINT)
    assert ended(process, tmp_path)[0] == 0
    assert url.startswith("http://127.0.0.1:")
    assert f"llmgate run suites/ --endpoint {url}" in said
    start, end = said.index("curl"), said.index("\n  llmgate run")
    words = subprocess.run(
        ["bash", "-c", f"curl() {{ printf '%s\\n' \"${{@: -1}}\"; }}; {said[start:end]}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(words)["model"] == "it's"
    assert (tmp_path / "logs" / "server.log").is_file()


def test_a_server_that_dies_ends_it(tmp_path: Path) -> None:
    process = serve(tmp_path, "--json")
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    os.kill(facts["pid"], signal.SIGKILL)
    code, _, errors = ended(process, tmp_path)
    assert code == 4
    assert "signal 9" in errors
    assert facts["log"] in errors
    assert Path(tmp_path, facts["log"]).is_file()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    code, said, errors = ended(serve(tmp_path, mode="gpu-memory"), tmp_path)
    assert (code, said) == (4, "")
    assert "the GPU ran out of memory" in errors


def test_an_interrupt_before_it_is_ready_is_no_success(tmp_path: Path) -> None:
    process = serve(tmp_path, mode="hang")
    assert wait_until(lambda: len(marked(tmp_path)) >= 3, timeout_s=60)
    process.send_signal(signal.SIGINT)
    code, said, errors = ended(process, tmp_path)
    assert (code, said) == (4, "")
    assert "before the server was ready" in errors


def test_a_killed_command_leaves_nothing(tmp_path: Path) -> None:
    process = serve(tmp_path, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    assert ended(process, tmp_path)[0] == -9


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "no folder nowhere"),
        (["MODEL", "--tensor-parallel-size", "0"], "--tensor-parallel-size is 0"),
        (["MODEL", "--chat-template", "gone"], "gone cannot be read"),
        (["MODEL", "--server-args", "--port 1"], "--port cannot be passed through"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    tmp_path: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = str(model_folder(tmp_path))
    done = CliRunner().invoke(main, ["serve", *(folder if word == "MODEL" else word for word in words)])
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())
    assert not (tmp_path / ".llmgate").exists()


def test_an_endpoint_in_pyproject_is_for_runs(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.llmgate]\nendpoint = "http://127.0.0.1:1/v1"\n', encoding="utf-8")
    process = serve(tmp_path, "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["models"] == ["model"]
    process.terminate()
    assert ended(process, tmp_path)[0] == 0
