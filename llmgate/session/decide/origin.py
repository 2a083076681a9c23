"""Where the code that runs here comes from, as far as a CI service says: strangers' code must not reach a signing key.

Whoever opens a pull request from a fork can change suites, thresholds, the model and llmgate itself. What is signed
there says nothing, so it is not signed, and there is no option that lets it be.

Sources: the payload of GitHub's events (`GITHUB_EVENT_PATH`) and GitLab's predefined variables.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import AttestationError
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["refuse_strangers"]

MAX_EVENT_BYTES: Final = 32_000_000
"""GitHub's payloads have at most 25 MB."""
FIX: Final = "Sign in a job that runs after the merge, on a branch of this repository"


def refuse_strangers(environ: Mapping[str, str]) -> None:
    """Refuse to sign where the code of a fork may be running.

    Args:
        environ: The environment of the job.

    Raises:
        AttestationError: On a pull or merge request from a fork, and where it cannot be told.
    """
    if environ.get("GITHUB_ACTIONS") == "true" or environ.get("GITHUB_EVENT_PATH"):
        refuse_on_github(environ)
    merge_request = any(name.startswith("CI_MERGE_REQUEST_") and value for name, value in environ.items())
    if environ.get("GITLAB_CI") == "true" and environ.get("CI_PIPELINE_SOURCE") == "external_pull_request_event":
        raise refusal("GitLab runs for a pull request of another service, and does not say whose", "CI_PIPELINE_SOURCE")
    if merge_request:
        source, target = (environ.get(f"CI_MERGE_REQUEST_{name}PROJECT_ID") for name in ("SOURCE_", ""))
        if not source or source != target:
            raise refusal(
                f"the merge request comes from the project {source or 'that nobody names'}, and goes to {target}",
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID",
            )


def refuse_on_github(environ: Mapping[str, str]) -> None:
    """Hold the event's payload against the repository that it happened in."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    path = environ.get("GITHUB_EVENT_PATH", "")
    try:
        event = json.loads(read_regular(Path(path), limit=MAX_EVENT_BYTES)) if path else None
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(f"the event cannot be read ({error})", path) from error
    if not isinstance(event, dict):
        raise refusal(f"nothing says for whose code this job runs ({name or 'unknown event'})", "GITHUB_EVENT_PATH")
    here = told(event, "repository", "full_name") or environ.get("GITHUB_REPOSITORY")
    heads = []
    if "pull_request" in event or name.startswith("pull_request"):
        heads.append(told(event, "pull_request", "head", "repo", "full_name"))
    if "workflow_run" in event or name == "workflow_run":
        heads.append(told(event, "workflow_run", "head_repository", "full_name"))
    if isinstance(event.get("issue"), dict) and event["issue"].get("pull_request"):
        raise refusal("a comment on a pull request started this job, and it does not say whose code runs", name)
    for head in heads:
        if not head or not here or head.casefold() != here.casefold():
            raise refusal(f"the code comes from {head or 'a fork that is gone'}, and this is {here}", name)


def told(event: Any, *names: str) -> str | None:
    """A text inside the payload, None if it is not there."""
    for name in names:
        event = event.get(name) if isinstance(event, dict) else None
    return event if isinstance(event, str) else None


def refusal(why: str, where: str) -> AttestationError:
    """The one sentence."""
    return AttestationError(
        f"nothing is signed for code of a fork, since whoever wrote it decides what it says: {why}; no option changes "
        "that",
        where=where or None,
        fix=FIX,
    )
