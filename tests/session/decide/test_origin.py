"""Whose code runs in a job: the payloads of GitHub's events and GitLab's variables, one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import AttestationError
from llmgate.session.decide.origin import refuse_strangers

if TYPE_CHECKING:
    from pathlib import Path

HERE = {"repository": {"full_name": "acme/support"}}


def github(folder: Path, name: str, event: Any, **more: str) -> dict[str, str]:
    """The environment of a job for this event."""
    path = folder / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event), encoding="utf-8")
    return {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path), **more}


def from_repository(name: str | None) -> dict[str, Any]:
    """A pull request whose head lies in this repository; None for one that was deleted."""
    return {**HERE, "pull_request": {"head": {"repo": name and {"full_name": name}}}}


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "pull_request_review"])
@pytest.mark.parametrize("head", ["stranger/support", "acme/support-fork", None])
def test_no_fork_signs(tmp_path: Path, event: str, head: str | None) -> None:
    with pytest.raises(AttestationError, match="nothing is signed for code of a fork") as refused:
        refuse_strangers(github(tmp_path, event, from_repository(head)))
    assert (head or "a fork that is gone") in str(refused.value)
    assert "no option changes that" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("pull_request", HERE),
        ("pull_request", {**HERE, "pull_request": {}}),
        ("pull_request", {**HERE, "pull_request": {"head": "x"}}),
        ("pull_request", {"pull_request": {"head": {"repo": {"full_name": "acme/support"}}}}),
        ("workflow_run", {**HERE, "workflow_run": {"head_repository": {"full_name": "stranger/support"}}}),
        ("workflow_run", {**HERE, "workflow_run": {"head_repository": None}}),
        ("workflow_run", HERE),
        ("issue_comment", {**HERE, "issue": {"pull_request": {"url": "https://example.org/1"}}}),
        ("push", "[]"),
        ("push", "{"),
        ("push", "[" * 100_000),
    ],
)
def test_what_does_not_say_whose_code_it_is_counts_as_a_fork(tmp_path: Path, name: str, event: Any) -> None:
    with pytest.raises(AttestationError, match="nothing is signed"):
        refuse_strangers(github(tmp_path, name, event))


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("push", HERE),
        ("schedule", {}),
        ("workflow_dispatch", HERE),
        ("pull_request", from_repository("acme/support")),
        ("pull_request", from_repository("Acme/Support")),
        ("workflow_run", {**HERE, "workflow_run": {"head_repository": {"full_name": "acme/support"}}}),
        ("issue_comment", {**HERE, "issue": {"number": 1}}),
    ],
)
def test_the_repository_itself_signs(tmp_path: Path, name: str, event: Any) -> None:
    refuse_strangers(github(tmp_path, name, event))


@pytest.mark.parametrize(
    "environ",
    [
        {"GITHUB_ACTIONS": "true"},
        {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": "/nowhere/event.json"},
        {"GITHUB_EVENT_PATH": "/dev/zero"},
        {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "external_pull_request_event"},
        {"CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_PROJECT_ID": "7"},
        {
            "CI_MERGE_REQUEST_IID": "3",
            "CI_MERGE_REQUEST_PROJECT_ID": "7",
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8",
        },
        {"CI_MERGE_REQUEST_IID": "3"},
    ],
)
def test_other_environments_that_do_not_sign(environ: dict[str, str]) -> None:
    with pytest.raises(AttestationError, match="nothing is signed"):
        refuse_strangers(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push"},
        {"CI_MERGE_REQUEST_PROJECT_ID": "7", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "7"},
    ],
)
def test_other_environments_that_sign(environ: dict[str, str]) -> None:
    refuse_strangers(environ)
