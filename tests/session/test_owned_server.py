"""Runs that start their own server: what it leaves behind, and what happens when it dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.project import write_suite
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until

from llmgate.generate.vllm import supervisor
from llmgate.record.run.loading import load_record
from llmgate.record.weights import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("own_lock")


def run(tmp_path: Path, *args: str, mode: str = "ok", **variables: str) -> subprocess.Popen[str]:
    program = str(Path(sys.executable).with_name("llmgate"))
    model = str(model_folder(tmp_path))
    env = {
        **os.environ,
        "FAKE_VLLM": mode,
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
        **variables,
    }
    return subprocess.Popen(
        [program, "run", "words.yaml", "--model", model, "--out", "run", *args],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def nothing_left(tmp_path: Path) -> bool:
    return wait_until(lambda: not marked(tmp_path), timeout_s=30)


def test_a_run_starts_a_server_shows_its_start_and_ends_it(tmp_path: Path) -> None:
    write_suite(tmp_path)
    code, output = finished(run(tmp_path))
    assert code == 0, output
    assert "vLLM: importing vLLM" in output
    assert "vLLM: ready" in output
    assert nothing_left(tmp_path)
    manifest = load_record(tmp_path / "run").manifest
    assert manifest.server.owned
    assert manifest.server.version == "0.32.0+fake"
    files = read_manifest((tmp_path / "run" / "weights.json").read_bytes())
    assert files.digest == manifest.model.weights_digest
    assert "model.safetensors" in [file.path for file in files.files]


def test_a_server_that_dies_in_the_middle_loses_no_answer(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=60)
    code, output = finished(run(tmp_path, "--concurrency", "2", mode="mortal"))
    assert code == 4, output
    assert "the server died with" in output
    assert "memory" in output
    assert "--resume --out run" in output
    assert "\nPASS: " not in output
    assert nothing_left(tmp_path)
    before = [r for r in load_record(tmp_path / "run", unfinished=True).results.values() if r.evaluated]
    assert len(before) >= 10
    code, output = finished(run(tmp_path, "--resume"))
    assert code == 0, output
    assert len(load_record(tmp_path / "run").results) == 60


def test_a_server_that_dies_while_loading_tells_why(tmp_path: Path) -> None:
    write_suite(tmp_path)
    code, output = finished(run(tmp_path, mode="gpu-memory"))
    assert code == 4
    assert "memory" in output
    assert "Last useful lines" in output
    assert nothing_left(tmp_path)


def test_a_port_in_use_is_refused_at_once(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, output = finished(run(tmp_path, "--port", str(taken.getsockname()[1])))
    assert code == 4
    assert "port" in output
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ending_a_run_that_waits_for_its_server_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    write_suite(tmp_path)
    process = run(tmp_path, mode="hang")
    assert wait_until(lambda: len(marked(tmp_path)) >= 3, timeout_s=60)
    process.send_signal(number)
    code, output = finished(process)
    assert code == (4 if number is signal.SIGINT else -9), output
    assert nothing_left(tmp_path)


def test_under_pytest_the_server_ends_with_the_session(tmp_path: Path) -> None:
    write_suite(tmp_path)
    env = {
        **os.environ,
        "FAKE_VLLM": "ok",
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "words.yaml", f"--llmgate-model={model_folder(tmp_path)}", "--llmgate-out=run"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "llmgate: [00:0" in done.stdout
    assert "PASS Ship: " in done.stdout
    assert nothing_left(tmp_path)


def test_pytest_that_selects_nothing_ends_the_server_it_had_started(tmp_path: Path) -> None:
    write_suite(tmp_path)
    env = {
        **os.environ,
        "FAKE_VLLM": "hang",
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "words.yaml", "-k", "nothing", f"--llmgate-model={model_folder(tmp_path)}", "--llmgate-out=run"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 5, done.stdout
    assert nothing_left(tmp_path)


def loading(tmp_path: Path, *args: str) -> tuple[subprocess.Popen[str], Path]:
    """A run whose server loads until the file that is returned exists."""
    write_suite(tmp_path)
    gate = tmp_path / "gate"
    process = run(tmp_path, *args, FAKE_GATE=str(gate))
    assert wait_until(lambda: len(marked(tmp_path)) >= 3, timeout_s=60)
    return process, gate


def other_weights_of_the_same_age(model: Path) -> None:
    weights = model / "model.safetensors"
    status = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"\x02\0\0\0\0\0\0\0[]")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))


def a_file_more(model: Path) -> None:
    (model / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights_of_the_same_age, "model.safetensors: 10 bytes as expected, but other contents"),
        (a_file_more, "chat_template.jinja: added"),
    ],
)
def test_a_model_that_changes_while_it_is_loaded_is_not_asked(
    tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    process, gate = loading(tmp_path)
    change(tmp_path / "model")
    gate.touch()
    code, output = finished(process)
    assert code == 4, output
    assert "the model changed on disk after it was hashed" in output
    assert said in output
    assert nothing_left(tmp_path)
    # Nothing was asked: there is no record that could be taken for one of this model.
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_judge_that_changes_before_it_is_started_is_refused(tmp_path: Path) -> None:
    (tmp_path / "of").mkdir()
    judge = model_folder(tmp_path / "of")
    held = judge.rename(tmp_path / "judge")
    write_suite(tmp_path, extra="  - {type: llm-rubric, value: is polite, metric: tone}\n")
    gate = tmp_path / "gate"
    gate.touch()
    process = run(tmp_path, "--judge-model", str(held), FAKE_GATE=str(gate))
    assert wait_until((tmp_path / "run" / "manifest.json").exists, timeout_s=60)
    other_weights_of_the_same_age(held)
    code, output = finished(process)
    assert code == 4, output
    assert "its files changed since it was identified as" in output
    assert str(held) in output
    assert nothing_left(tmp_path)


def test_a_server_that_hangs_ends_the_run_and_loses_no_answer(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    process = run(tmp_path, "--concurrency", "2", "--stall-timeout", "1", mode="stalled")
    code, output = finished(process)
    assert code == 4, output
    assert "the server hangs: it answers /metrics, but no token came for" in output
    assert "--resume --out run" in output
    assert nothing_left(tmp_path)
    assert len([r for r in load_record(tmp_path / "run", unfinished=True).results.values() if r.evaluated]) == 6
    code, output = finished(run(tmp_path, "--resume"))
    assert code == 0, output
    assert len(load_record(tmp_path / "run").results) == 20


def begin(tmp_path: Path, door: str, *args: str, **variables: str) -> subprocess.Popen[str]:
    """A run by any door, with a fake server."""
    if door == "cli":
        return run(tmp_path, *args, mode=variables.pop("FAKE_VLLM", "ok"), **variables)
    env = {
        **os.environ,
        "FAKE_VLLM": "ok",
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
        **variables,
    }
    options = [arg.replace("--", "--llmgate-", 1) for arg in args]
    workers = ["-n", "2"] if door == "xdist" else []
    command = [sys.executable, "-m", "pytest", "words.yaml", "-p", "no:cacheprovider", *workers, *options]
    return subprocess.Popen(
        [*command, f"--llmgate-model={model_folder(tmp_path)}", "--llmgate-out=run"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def answered(tmp_path: Path) -> int:
    if not (tmp_path / "run" / "manifest.json").exists():
        return 0
    return sum(result.evaluated for result in load_record(tmp_path / "run", unfinished=True).results.values())


@pytest.mark.parametrize("door", ["cli", "pytest", "xdist"])
def test_a_run_that_is_killed_in_the_middle_leaves_nothing_and_goes_on(tmp_path: Path, door: str) -> None:
    write_suite(tmp_path, cases=20)
    process = begin(tmp_path, door, "--concurrency=2", FAKE_VLLM="stalled")
    assert wait_until(lambda: answered(tmp_path) == 6, timeout_s=60)
    assert len(marked(tmp_path)) >= 4
    process.kill()
    finished(process)
    assert nothing_left(tmp_path)
    code, output = finished(begin(tmp_path, "cli", "--resume"))
    assert code == 0, output
    assert len(load_record(tmp_path / "run").results) == 20


def test_a_killed_worker_of_xdist_costs_its_test_and_not_the_run(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    gate = tmp_path / "gate"
    process = begin(tmp_path, "xdist", FAKE_GATE=str(gate))

    def workers() -> list[int]:
        """They are begun with a line of code, and call themselves `[pytest-xdist ...]` where they can."""
        lines = {pid: Path(f"/proc/{pid}/cmdline") for pid in supervisor.descendants(process.pid)}
        words = {pid: line.read_bytes() for pid, line in lines.items() if line.exists()}
        return [pid for pid, line in words.items() if b"exec(eval(sys.stdin" in line or b"pytest-xdist" in line]

    # The run's folder has its manifest only after the server is up, and workers wait for it until then.
    assert wait_until(lambda: len(workers()) == 2 and (tmp_path / "run" / "server.log").exists(), timeout_s=60)
    os.kill(workers()[0], signal.SIGKILL)
    gate.touch()
    code, output = finished(process)
    assert code == 1, output
    assert "crashed" in output or "node down" in output
    assert nothing_left(tmp_path)
    assert len(load_record(tmp_path / "run").results) == 20


def test_a_stall_timeout_that_is_none_is_refused(tmp_path: Path) -> None:
    write_suite(tmp_path)
    code, output = finished(run(tmp_path, "--stall-timeout", "-1"))
    assert code == 2, output
    assert "--stall-timeout is -1" in output
