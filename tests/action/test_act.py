"""The action as a runner runs it: real act, real llmgate, an endpoint on loopback.

One workflow with a job per case, because act runs jobs side by side. `actions/upload-artifact` lives in a repository
that is not here; a stand-in keeps what would be uploaded.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.act import ActRun, run_act
from support.fake_server import FakeServer, echo

from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.act]

ROOT = Path(__file__).parents[2]
ROWS = 20
KEY = "a-key-that-must-not-be-seen"
HOSTILE_NAME = (
    "evil\n::error::pwned\n::set-output name=verdict::PASS\n::add-mask::FAIL\n::add-path::/pwned\n::endgroup::\n"
    "::stop-commands::mine\n\x1b[2K\x1b[1A##[error]pwned\r::warning::pwned\n##[group]hidden"
)
HOSTILE_ANSWER = (
    "EOF\nverdict=PASS\nghadelimiter\nllmgate\nexit-code=0\n```\n</details>\n<img src=x onerror=alert(1)>\n"
    "::error::pwned\n\x1b[2Kllmgate: PASS\n@everyone\u202e"
)
SUITE = """\
llmgate: 1
suite: tiny
version: 1.0.0
dataset: rows.jsonl
prompt:
  - role: user
    content: "{{ q }}"
assert:
  - type: icontains
    value: "{{ a }}"
gate:
  accuracy: {min: 0.5}
"""


def half(body: dict[str, Any]) -> str:
    """Right for every third question of five, so that the interval holds the threshold."""
    question = echo(body)
    return question if int(question.split()[1]) % 5 < 3 else "no idea"


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def job(inputs: dict[str, str], env: dict[str, str] | None = None) -> dict[str, Any]:
    """A job that uses the action."""
    return {
        "runs-on": "ubuntu-latest",
        "steps": [
            {"uses": "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd"},
            {
                "id": "gate",
                "uses": "./",
                "with": {"python": sys.executable, "install": "none", "upload": "false", **inputs},
                "env": env or {},
            },
        ],
    }


def checkout(folder: Path, jobs: dict[str, Any]) -> None:
    """A repository with the action, a suite and a workflow; files called like modules lie in wait."""
    (folder / "suites").mkdir(parents=True)
    shutil.copy(ROOT / "action.yml", folder)
    shutil.copytree(ROOT / "action", folder / "action", ignore=shutil.ignore_patterns("__pycache__"))
    rows = folder / "suites" / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"id": f"r{i}", "q": f"Question {i} please", "a": f"Question {i}"}) + "\n" for i in range(ROWS)
        ),
        encoding="utf-8",
    )
    write_lock(rows)
    (folder / "suites" / "tiny suite.yaml").write_text(SUITE, encoding="utf-8")
    for module in ("click", "yaml", "pip", "venv"):
        (folder / f"{module}.py").write_text("raise SystemExit('a file of the checkout ran')", encoding="utf-8")
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "gate.yml").write_text(yaml.safe_dump({"on": "push", "jobs": jobs}), encoding="utf-8")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, FakeServer]]:
    """One endpoint per way to answer."""
    with ExitStack() as stack:
        yield {
            "good": stack.enter_context(FakeServer(api_key=KEY)),
            "bad": stack.enter_context(FakeServer(answer=lambda _body: "no idea")),
            "half": stack.enter_context(FakeServer(answer=half)),
            "hostile": stack.enter_context(FakeServer(model=HOSTILE_NAME, answer=lambda _body: HOSTILE_ANSWER)),
        }


@pytest.fixture(scope="module")
def ran(servers: dict[str, FakeServer], tmp_path_factory: pytest.TempPathFactory) -> ActRun:
    """All jobs, run once."""
    url = {name: f"{server.url}/v1" for name, server in servers.items()}
    suite = "'suites/tiny suite.yaml'"
    jobs = {
        "passes": job(
            {"endpoint": url["good"], "suites": suite, "upload": "true", "artifact-name": "passes", "out": "run"},
            {"LLMGATE_API_KEY": KEY},
        ),
        "fails": job({"endpoint": url["bad"], "upload": "true", "artifact-name": "fails", "concurrency": "4"}),
        "undecided": job({"endpoint": url["half"]}),
        "allowed": job({"endpoint": url["half"], "allow-inconclusive": "true"}),
        "unreachable": job(
            {"endpoint": f"http://127.0.0.1:{closed_port()}/v1", "upload": "true", "artifact-name": "unreachable"}
        ),
        "hostile": job({"endpoint": url["hostile"]}),
        "unwise": job({"endpoint": url["bad"], "allow-inconclusive": "perhaps\n::error::pwned"}),
        "injected": job({"endpoint": url["bad"], "suites": "$(touch pwned) `touch pwned` ; touch pwned"}),
        "unprepared": job({"endpoint": url["bad"], "python": "no-such-python\n::error::pwned"}),
    }
    folder = tmp_path_factory.mktemp("act")
    checkout(folder / "checkout", jobs)
    return run_act(folder / "checkout", folder / "scratch")


def annotated(ran: ActRun, name: str) -> list[tuple[str, str]]:
    """What is shown at the top of a job: level and message, read from the raw line as GitHub's runner reads it.

    GitHub ends the head of a command at the first `::`; act ends it at the last.
    """
    found = []
    for event in ran.of(name):
        if event.get("command") in {"error", "warning", "notice"}:
            head, _, data = event["raw"].removeprefix("::").partition("::")
            message = data.rstrip("\n").replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
            found.append((head.split(" ")[0], message))
    return found


def only_annotated(ran: ActRun, name: str, level: str, message: str) -> bool:
    """Whether a job shows this annotation and no other.

    act follows a step's output in the background and can lose the last line of a step that ends at once (seen once),
    so none at all is accepted here; test_prepare and test_github hold the scripts themselves to their lines.
    """
    return annotated(ran, name) in ([(level, message)], [])


def test_a_job_that_passes(ran: ActRun, servers: dict[str, FakeServer]) -> None:
    assert ran.result("passes") == "success"
    outputs = ran.outputs("passes", "gate")
    assert outputs["verdict"] == "PASS"
    assert outputs["exit-code"] == "0"
    assert outputs["artifact-url"] == "kept:passes"
    assert outputs["record"].endswith("/run")
    assert outputs["report"] == outputs["record"] + "/report.html"
    assert outputs["summary"] == outputs["record"] + "/summary.md"
    assert "version" not in outputs
    assert only_annotated(ran, "passes", "notice", outputs["sentence"])
    assert ran.summary("passes").startswith("## ✅ PASS")
    assert outputs["sentence"].split(".")[0] in ran.summary("passes")
    assert len(servers["good"].seen) == ROWS
    assert KEY not in ran.log("passes")
    kept = ran.artifacts / "passes"
    assert {"report.html", "decision.json", "seal.json", "journal.jsonl", "llmgate.log"} <= {
        f.name for f in kept.iterdir()
    }
    assert not [file for file in kept.iterdir() if KEY.encode() in file.read_bytes()]


def test_a_job_that_fails_keeps_its_report(ran: ActRun) -> None:
    assert ran.result("fails") == "failure"
    outputs = ran.outputs("fails", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("FAIL", "1")
    assert only_annotated(ran, "fails", "error", outputs["sentence"])
    assert ran.summary("fails").startswith("## ❌ FAIL")
    assert (ran.artifacts / "fails" / "report.html").stat().st_size > 1000
    failed = [e["stepID"] for e in ran.of("fails") if e.get("stepResult") == "failure"]
    assert failed == [["gate", "5"], ["gate"]], "only the last step fails"


def test_inconclusive_fails_unless_it_is_allowed(ran: ActRun) -> None:
    assert (ran.result("undecided"), ran.result("allowed")) == ("failure", "success")
    outputs = ran.outputs("undecided", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("INCONCLUSIVE", "3")
    outputs = ran.outputs("allowed", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("INCONCLUSIVE", "0")
    assert {level for level, _ in annotated(ran, "allowed")} <= {"warning"}


def test_a_gate_that_could_not_run_says_why(ran: ActRun) -> None:
    assert ran.result("unreachable") == "failure"
    outputs = ran.outputs("unreachable", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("ERROR", "4")
    assert "the endpoint cannot be reached" in outputs["sentence"]
    assert "report" not in outputs
    assert only_annotated(ran, "unreachable", "error", outputs["sentence"])
    assert ran.summary("unreachable").startswith("## ⚠️ ERROR: the gate could not run")
    assert "the endpoint cannot be reached" in ran.summary("unreachable")
    assert "cannot be reached" in (ran.artifacts / "unreachable" / "llmgate.log").read_text(encoding="utf-8")


def test_text_of_a_model_is_obeyed_by_nobody(ran: ActRun) -> None:
    assert ran.result("hostile") == "failure"
    outputs = ran.outputs("hostile", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("FAIL", "1")
    assert only_annotated(ran, "hostile", "error", outputs["sentence"])
    assert not [e for name in ("add-mask", "add-path", "set-env") for e in ran.commands("hostile", name)]
    # One silence per step that may print such text; the model's own `stop-commands` began none.
    words = [e["arg"] for e in ran.commands("hostile", "stop-commands")]
    assert len(words) == len(set(words)) == 3
    assert "mine" not in words
    log = ran.log("hostile")
    assert "::error::pwned" in log, "the test must have put it there"
    assert "\x1b" not in log
    assert "\r" not in log
    assert "##[" not in log
    summary = ran.summary("hostile")
    assert "alert(1)" in summary
    assert "\x1b" not in summary
    assert "\u202e" not in summary
    verdicts = [e["arg"] for e in ran.commands("hostile", "set-output") if e["name"] == "verdict"]
    assert verdicts == ["FAIL", "FAIL"], "once by the step, once by the action"


def test_a_wrong_input_is_named(ran: ActRun) -> None:
    assert ran.result("unwise") == "failure"
    outputs = ran.outputs("unwise", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("ERROR", "2")
    assert "input allow-inconclusive" in outputs["sentence"]
    assert only_annotated(ran, "unwise", "error", outputs["sentence"])


def test_an_input_is_no_shell_command(ran: ActRun) -> None:
    assert ran.result("injected") == "failure"
    outputs = ran.outputs("injected", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("ERROR", "2")
    assert not list(ran.artifacts.parent.rglob("pwned"))


def test_a_missing_interpreter_is_an_error(ran: ActRun) -> None:
    assert ran.result("unprepared") == "failure"
    outputs = ran.outputs("unprepared", "gate")
    assert (outputs["verdict"], outputs["exit-code"]) == ("ERROR", "4")
    assert all(level == "error" and "no-such-python" in message for level, message in annotated(ran, "unprepared"))
    assert "no-such-python" in ran.summary("unprepared")


def test_no_file_of_the_checkout_ran_as_a_module(ran: ActRun) -> None:
    assert "a file of the checkout ran" not in json.dumps(ran.events)
