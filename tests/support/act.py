"""Runs a workflow with the real `act` on this host, offline, and tells what the runner made of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llmgate

__all__ = ["UPLOAD", "ActRun", "run_act"]

UPLOAD = "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a"
STAND_IN = """\
name: Stand-in
description: Keeps what would be uploaded in a folder, because the real action lives in a repository that is not here
inputs:
  name: {description: Name of the artifact}
  path: {description: What to keep}
  if-no-files-found: {description: Ignored}
outputs:
  artifact-url: {description: Where it is, value: "kept:${{ inputs.name }}"}
runs:
  using: composite
  steps:
    - shell: bash
      env: {FROM: "${{ inputs.path }}", TO: "${{ inputs.name }}"}
      run: cp -r "$FROM" "$KEPT_ARTIFACTS/$TO"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRun:
    """What a run of act said, as the objects of its JSON log.

    Attributes:
        events: All of them, in order.
        artifacts: Folder with one folder per uploaded artifact.
        code: act's exit code.
    """

    events: tuple[dict[str, Any], ...]
    artifacts: Path
    code: int

    def of(self, job: str) -> list[dict[str, Any]]:
        """The events of one job."""
        return [event for event in self.events if event.get("jobID") == job]

    def result(self, job: str) -> str:
        """`success` or `failure`."""
        return next(str(event["jobResult"]) for event in self.of(job) if "jobResult" in event)

    def commands(self, job: str, name: str) -> list[dict[str, Any]]:
        """The workflow commands of one kind that the runner obeyed."""
        return [event for event in self.of(job) if event.get("command") == name]

    def summary(self, job: str) -> str:
        """The job summary."""
        return "".join(event["content"] for event in self.commands(job, "summary"))

    def outputs(self, job: str, step: str) -> dict[str, str]:
        """The outputs of the action that was used in a step."""
        return {
            event["name"]: event["arg"]
            for event in self.commands(job, "set-output")
            if event["stepID"] == [step] and event["arg"]
        }

    def log(self, job: str) -> str:
        """What the steps printed, as the log shows it: ignored commands are text."""
        return "".join(
            event["msg"] if event.get("raw_output") else event["raw"]
            for event in self.of(job)
            if event.get("raw_output") or event.get("command") == "ignored"
        )


def run_act(checkout: Path, scratch: Path, *, env: dict[str, str] | None = None) -> ActRun:
    """Run the workflows of a checkout.

    Args:
        checkout: A folder with `.github/workflows`; becomes a git repository.
        scratch: A folder for act's caches and for artifacts.
        env: Environment of every step.
    """
    artifacts = scratch / "artifacts"
    stand_in = scratch / "upload-artifact"
    for folder in (artifacts, stand_in, scratch / "home"):
        folder.mkdir(parents=True)
    (stand_in / "action.yml").write_text(STAND_IN, encoding="utf-8")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "test"]):
        subprocess.run([*git, *arguments], cwd=checkout, check=True)
    # The llmgate under test, wherever it is: the steps' Python must find the same one.
    given = {"KEPT_ARTIFACTS": str(artifacts), "PYTHONPATH": str(Path(llmgate.__file__).parents[1]), **(env or {})}
    done = subprocess.run(
        [
            find("act"),
            "push",
            "--platform=ubuntu-latest=-self-hosted",
            "--action-offline-mode",
            "--no-cache-server",
            "--json",
            f"--local-repository={UPLOAD}={stand_in}",
            *(f"--env={name}={value}" for name, value in given.items()),
        ],
        cwd=checkout,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(scratch / "home"),
            "XDG_CACHE_HOME": str(scratch / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout + done.stderr
    return ActRun(events=tuple(map(json.loads, lines)), artifacts=artifacts, code=done.returncode)


def find(tool: str) -> str:
    """A tool that was installed beside this interpreter, or anywhere."""
    beside = Path(sys.executable).with_name(tool)
    found = str(beside) if beside.exists() else shutil.which(tool)
    assert found, f"{tool} is not installed"
    return found
