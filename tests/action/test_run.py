"""Inputs → arguments, and a log that obeys no model."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.fake_server import FakeServer, Fault

from llmgate.cli.run import run
from llmgate.errors import UsageError
from llmgate.suite.data.dataset import write_lock

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "action" / "run.py"
DEFAULTS = {"suites": "suites/", "allow-inconclusive": "false"}


def read_outputs(path: Path) -> dict[str, str]:
    """A file of step outputs as the runner reads it."""
    found = {}
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = []
        while (part := next(lines)) != delimiter:
            value.append(part)
        found[name] = "\n".join(value)
    return found


def run_script(folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """The script in a process of its own, as the action starts it."""
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT)],
        cwd=folder,
        env=environment(folder, **inputs),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done, read_outputs(folder / "outputs")


def environment(folder: Path, **inputs: str) -> dict[str, str]:
    """What the runner sets."""
    given = {name.replace("-", "_"): value for name, value in DEFAULTS.items()} | inputs
    return {
        **os.environ,
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "RUNNER_TEMP": str(folder),
        **{f"LLMGATE_ACTION_{name.upper()}": value for name, value in given.items()},
    }


def test_inputs_become_flags(action_run: Any, tmp_path: Path) -> None:
    inputs = {
        **DEFAULTS,
        "model": "models/new",
        "server-args": "--max-model-len 2048 --enforce-eager",
        "baseline": "models:/bot@champion",
        "endpoint": "",
        "allow-inconclusive": "true",
        "extra-args": "--repeat 3 --served-name 'my model'\n--no-bench",
        "suites": "suites/a.yaml\n'my suites/b.yaml'",
    }
    assert action_run.arguments(inputs, tmp_path) == [
        "run",
        "--model=models/new",
        "--server-args=--max-model-len 2048 --enforce-eager",
        "--baseline=models:/bot@champion",
        "--allow-inconclusive",
        "--repeat",
        "3",
        "--served-name",
        "my model",
        "--no-bench",
        f"--out={tmp_path}",
        "--",
        "suites/a.yaml",
        "my suites/b.yaml",
    ]


def test_the_example_of_engine_options_is_what_the_command_takes(action_run: Any, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "serving-vllm.md").read_text(encoding="utf-8")
    (step,) = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    assert set(step["with"]) <= set(yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"])
    command, *argv = action_run.arguments({**DEFAULTS, **step["with"]}, tmp_path)
    taken = run.make_context(command, argv, resilient_parsing=True).params
    assert taken["tensor_parallel_size"] == "2"
    assert json.loads(taken["speculative_config"]) == {"method": "ngram", "prompt_lookup_max": 4}
    assert taken["tool_call_parser"] == "hermes"
    assert taken["server_args"] == "--enable-prefix-caching --max-num-seqs 128"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"suites": ""}, "input suites: names no suite"),
        ({"suites": "  \n "}, "input suites: names no suite"),
        ({"suites": "'open"}, "input suites: cannot be read"),
        ({"extra-args": '--model "x'}, "input extra-args: cannot be read"),
        ({"allow-inconclusive": "True"}, "input allow-inconclusive: is 'True'"),
        ({"allow-inconclusive": ""}, "input allow-inconclusive: is ''"),
    ],
)
def test_inputs_that_cannot_be_meant_are_refused(
    action_run: Any, tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        action_run.arguments({**DEFAULTS, **changed}, tmp_path)


def test_a_suite_cannot_be_an_option(action_run: Any, tmp_path: Path) -> None:
    argv = action_run.arguments({**DEFAULTS, "suites": "--policy=lax.yaml"}, tmp_path)
    assert argv[argv.index("--") :] == ["--", "--policy=lax.yaml"]


def test_the_record_goes_where_the_action_looks(action_run: Any, tmp_path: Path) -> None:
    argv = action_run.arguments({**DEFAULTS, "extra-args": "--out elsewhere"}, tmp_path)
    assert argv.index(f"--out={tmp_path}") > argv.index("elsewhere")


def test_every_run_gets_a_new_folder(action_run: Any, tmp_path: Path) -> None:
    environ = {"RUNNER_TEMP": str(tmp_path)}
    first, second = (action_run.run_folder(DEFAULTS, environ) for _ in range(2))
    assert first != second
    assert first.parent == second.parent == tmp_path


@pytest.mark.parametrize("name", ["decision.json", "published.json", "summary.md", "report.html"])
def test_results_of_an_earlier_run_cannot_pass_for_new_ones(action_run: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("PASS", encoding="utf-8")
    inputs = {**DEFAULTS, "out": str(tmp_path)}
    with pytest.raises(UsageError, match="results of an earlier run"):
        action_run.run_folder(inputs, {})
    assert action_run.run_folder({**inputs, "extra-args": "--resume"}, {}) == tmp_path
    assert not (tmp_path / name).exists()


def test_a_folder_that_cannot_be_made_is_refused(action_run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="input out"):
        action_run.run_folder({**DEFAULTS, "out": str(tmp_path / "file" / "run")}, {})


def follow(action_run: Any, code: str, environ: dict[str, str] | None = None) -> tuple[int, str]:
    """Let a small program run in llmgate's place."""
    log = io.StringIO()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = action_run.follow([sys.executable, "-c", code], {**os.environ, **(environ or {})}, log)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status, log.getvalue()


def test_the_log_shows_what_would_act_unseen(action_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = "a\x1b[2Jb\rc\x00d ##[group]e \u202ef"
    code, log = follow(action_run, f"import sys; sys.stdout.buffer.write({text.encode()!r} + b'\\xff\\n'); sys.exit(3)")
    assert code == 3
    assert log == "a␛[2Jb␍c␀d # #[group]e ⟦U+202E⟧f\N{REPLACEMENT CHARACTER}\n"
    assert capsys.readouterr().out == log


def test_errors_and_output_keep_their_order(action_run: Any) -> None:
    code, log = follow(
        action_run, "import sys\nfor i in range(4): print(i, file=(sys.stderr, sys.stdout)[i % 2], flush=True)"
    )
    assert (code, log) == (0, "0\n1\n2\n3\n")


def test_secrets_of_the_environment_are_not_written(action_run: Any) -> None:
    _, log = follow(action_run, "import os; print('key', os.environ['MY_API_KEY'])", {"MY_API_KEY": "hunter2hunter2"})
    assert log == "key [redacted]\n"


def test_a_line_without_end_does_not_fill_the_memory(action_run: Any) -> None:
    code, log = follow(action_run, "import sys; sys.stdout.write('x' * 1_000_000)")
    assert code == 0
    assert log.count("x") == 1_000_000
    assert max(map(len, log.splitlines())) <= 64 * 1024


def test_the_command_cannot_talk_to_the_runner(action_run: Any, tmp_path: Path) -> None:
    names = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"]
    environ = dict.fromkeys([*names, "LLMGATE_ACTION_SUITES"], str(tmp_path / "file")) | {"GITHUB_SHA": "abc"}
    _, log = follow(action_run, "import json, os; print(json.dumps(dict(os.environ)))", environ)
    seen = json.loads(log)
    assert not {*names, "LLMGATE_ACTION_SUITES"} & seen.keys()
    assert seen["GITHUB_SHA"] == "abc", "labels of the record"


def test_a_killed_run_could_not_run(action_run: Any) -> None:
    code, _ = follow(action_run, "import os; os.kill(os.getpid(), 9)")
    assert code == 4


def test_what_outlives_the_run_does_not_hold_the_job(action_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_run, "READER_GRACE_S", 0.5)
    code, log = follow(
        action_run,
        "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); __import__('os')._exit(0)",
    )
    assert code == 0
    os.kill(int(log), 0)  # it lives on
    os.kill(int(log), signal.SIGKILL)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.name.startswith("log-reader"):
            thread.join()


def test_a_usage_error_is_told_to_the_next_step(tmp_path: Path) -> None:
    done, outputs = run_script(tmp_path, suites="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert outputs["exit-code"] == "2"
    log = Path(outputs["folder"], "llmgate.log").read_text(encoding="utf-8")
    assert log == "llmgate: input suites: names no suite. Give files or folders, for example suites/\n"


def test_commands_are_stopped_while_the_gate_runs(tmp_path: Path) -> None:
    done, outputs = run_script(tmp_path, suites="no-such-suite", endpoint="http://127.0.0.1:9/v1")
    assert done.returncode == 0, "the action's last step fails the job"
    first, *_, last = done.stdout.splitlines()
    stopped = re.fullmatch(r"::stop-commands::(llmgate-[0-9a-f]{32})", first)
    assert stopped
    assert last == f"::{stopped[1]}::"
    assert "no-such-suite" in done.stdout
    assert outputs["exit-code"] == "2"
    again, _ = run_script(tmp_path, suites="no-such-suite")
    assert stopped[1] not in again.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_lets_llmgate_end_properly(tmp_path: Path, number: signal.Signals) -> None:
    suites = tmp_path / "suites"
    suites.mkdir()
    (suites / "rows.jsonl").write_text('{"id": "one"}\n', encoding="utf-8")
    write_lock(suites / "rows.jsonl")
    (suites / "tiny.yaml").write_text(
        "llmgate: 1\nsuite: tiny\nversion: 1.0.0\ndataset: rows.jsonl\n"
        "prompt: [{role: user, content: hello}]\nassert: [{type: icontains, value: hello}]\n"
        "gate: {accuracy: {min: 0.5}}\n",
        encoding="utf-8",
    )
    with FakeServer(faults=lambda _number, _body: Fault.SILENT) as server:
        inputs = {"endpoint": f"{server.url}/v1"}
        with subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT)],
            cwd=tmp_path,
            env=environment(tmp_path, **inputs),
            stdout=subprocess.PIPE,
            text=True,
        ) as script:
            while not server.seen:
                assert script.poll() is None, "it must wait for the answer"
                time.sleep(0.05)
            script.send_signal(number)
            printed, _ = script.communicate(timeout=600)
    assert script.returncode == 0
    assert "llmgate: interrupted" in printed
    assert re.search(r"\n::llmgate-[0-9a-f]{32}::\n$", printed)
    assert read_outputs(tmp_path / "outputs")["exit-code"] == "4"
