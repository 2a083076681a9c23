"""action.yml and the workflows: valid, hardened, and wired to the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.act import UPLOAD, find

from llmgate.session.options.table import OPTIONS

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NOT_FLAGS = {"suites", "extra-args", "python", "install", "working-directory", "upload", "artifact-name", "comment"}


def load(path: Path) -> dict[str, Any]:
    """A YAML file; its `on` is read as True, which no test here looks at."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def steps_of(path: Path) -> list[dict[str, Any]]:
    """Every step of an action or a workflow."""
    content = load(path)
    if "runs" in content:
        return list(content["runs"]["steps"])
    return [step for job in content["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "paths"), [("vendor.github-actions", [ACTION]), ("vendor.github-workflows", WORKFLOWS)]
)
def test_meets_the_schema(schema: str, paths: list[Path]) -> None:
    assert paths
    done = subprocess.run(
        [find("check-jsonschema"), "--builtin-schema", schema, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        [find("zizmor"), "--offline", "--no-progress", "--persona=pedantic", str(ACTION), *map(str, WORKFLOWS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_no_expression_reaches_a_shell(path: Path) -> None:
    scripts = [step["run"] for step in steps_of(path) if "run" in step]
    assert scripts or path.name == "gate-example.yml"
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_full_hash(path: Path) -> None:
    used = [step["uses"] for step in steps_of(path) if "uses" in step]
    assert used
    assert not [use for use in used if use != "./" and not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use)]


def test_the_stand_in_of_the_tests_is_for_the_pinned_version() -> None:
    assert UPLOAD in [step.get("uses") for step in steps_of(ACTION)]


def test_every_input_is_wired_under_its_own_name() -> None:
    inputs = load(ACTION)["inputs"]
    wired: dict[str, str] = {}
    for step in steps_of(ACTION):
        wired |= {k: v for k, v in step.get("env", {}).items() if k.startswith("LLMGATE_ACTION_")}
    for variable, expression in wired.items():
        name = variable.removeprefix("LLMGATE_ACTION_").lower().replace("_", "-")
        assert expression == f"${{{{ inputs.{name} }}}}"
        assert name in inputs
    text = ACTION.read_text(encoding="utf-8")
    assert not [name for name in inputs if f"inputs.{name} " not in text]


def test_inputs_are_options_of_the_command_line(action_run: Any) -> None:
    options = {option.name for option in OPTIONS}
    assert set(action_run.FLAGS) <= options
    inputs = set(load(ACTION)["inputs"])
    assert inputs - NOT_FLAGS == {*action_run.FLAGS, "out", "allow-inconclusive"}


def test_no_input_asks_for_a_key() -> None:
    assert not [name for name in load(ACTION)["inputs"] if re.search("key|token|secret|password", name)]


def test_the_action_of_others_that_uploads_sees_no_key() -> None:
    """What a caller sets for this action's step is inherited by every step in it."""
    (upload,) = [step for step in steps_of(ACTION) if step.get("uses") == UPLOAD]
    keys = ("LLMGATE_API_KEY", "LLMGATE_JUDGE_API_KEY", "LLMGATE_EMBED_API_KEY", "OPENAI_API_KEY", "HF_TOKEN")
    mlflow = [f"MLFLOW_TRACKING_{name}" for name in ("URI", "USERNAME", "PASSWORD", "TOKEN")]
    assert upload["env"] == dict.fromkeys((*keys, *mlflow), "")


def test_no_workflow_has_permissions_it_did_not_ask_for() -> None:
    for path in WORKFLOWS:
        workflow = load(path)
        assert workflow["permissions"] == {}
        assert all("permissions" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", ["prepare.sh", "summarise.sh"])
def test_scripts_parse(name: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / "action" / name)], check=True)


def test_run_script_needs_nothing_that_the_gate_does_not(tmp_path: Path) -> None:
    heavy = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import runpy, sys; runpy.run_path({str(ROOT / 'action' / 'run.py')!r});"
            "print([m for m in ('mlflow', 'vllm', 'torch') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert heavy.stdout.strip() == "[]"
