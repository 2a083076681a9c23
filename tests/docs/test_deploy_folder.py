"""The manifests of docs/deploy: of Kubernetes and GitHub by their schemas, safe, and with commands that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from llmgate.cli.merge import merge
from llmgate.cli.run import run

FOLDER = Path(__file__).parents[2] / "docs" / "deploy"
WORKFLOWS = (FOLDER / "arc-gate.yaml", FOLDER / "shards.yaml")
JOB = FOLDER / "gate-job.yaml"
RUNNERS = FOLDER / "arc-runners.yaml"
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def pod_of(path: Path) -> Any:
    document = load(path)
    return document["template"]["spec"] if path == RUNNERS else document["spec"]["template"]["spec"]


def taken(words: list[str]) -> dict[str, Any]:
    """The options of a command line, as the command reads them."""
    command = {"run": run, "merge": merge}[words[1]]
    context = command.make_context(words[1], [word.replace("$", "") for word in words[2:]])
    assert isinstance(context, click.Context)
    return context.params


def test_every_file_is_told_and_checked() -> None:
    assert {JOB, RUNNERS, *WORKFLOWS} == set(FOLDER.glob("*.yaml"))
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in told for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_workflows(path: Path) -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    command: list[str | Path] = [tool, "--builtin-schema", "vendor.github-workflows", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("zizmor")
    command: list[str | Path] = [tool, "--offline", "--no-progress", "--persona=pedantic", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_do_no_more_than_they_need(path: Path) -> None:
    document = load(path)
    assert document["permissions"] == {}
    text = path.read_text(encoding="utf-8")
    assert len(PINNED.findall(text)) == text.count("uses: ") > 0
    for job in document["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"]
        for step in job["steps"]:
            # What people outside may write is never part of a shell's text.
            assert "${{" not in step.get("run", "")
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_shards_and_their_merge_are_commands_that_exist() -> None:
    document = load(WORKFLOWS[1])
    steps = {step.get("name"): step for job in document["jobs"].values() for step in job["steps"]}
    ask, _, accepted = steps["Ask"]["run"].partition(" || ")
    assert accepted == "[ $? -eq 3 ]"  # and nothing else
    assert taken(shlex.split(ask))["shard"] == "SHARD/8"
    assert document["jobs"]["shard"]["strategy"]["matrix"]["shard"] == list(range(1, 9))
    assert taken(shlex.split(steps["Merge and decide"]["run"]))["baseline"] == "runs/champion"
    assert document["jobs"]["gate"]["needs"] == "shard"
    gate = load(WORKFLOWS[0])["jobs"]["gate"]
    assert gate["runs-on"] == load(RUNNERS)["runnerScaleSetName"]
    command = next(step["run"] for step in gate["steps"] if "run" in step)
    assert taken(shlex.split(command))["model"] == "/models/MODEL"


def test_the_job_runs_a_command_that_exists() -> None:
    (container,) = pod_of(JOB)["containers"]
    assert taken(container["command"])["out"] == "/runs/candidate"
    document = load(JOB)
    assert document["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert document["spec"]["suspend"] is True
    assert document["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize("path", [JOB, RUNNERS], ids=lambda path: path.stem)
def test_pods_have_no_rights_that_they_do_not_need(path: Path) -> None:
    pod = pod_of(path)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert not any("hostPath" in volume for volume in pod["volumes"])
    written = {volume["name"]: volume for volume in pod["volumes"]}
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        context = container["securityContext"]
        assert context == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"]["cpu"]
        for variable in container.get("env", ()):
            secret = any(word in variable["name"] for word in ("KEY", "TOKEN", "SECRET", "PASS"))
            assert ("secretKeyRef" in variable.get("valueFrom", {})) is secret
        for mount in container["volumeMounts"]:
            assert mount["name"] in written
            assert mount.get("readOnly", False) is (mount["name"] == "models")
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"


def test_the_runners_secret_is_a_reference() -> None:
    assert isinstance(load(RUNNERS)["githubConfigSecret"], str)
