"""Who, what, where and when: the facts that a run writes down before its first request."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import llmgate
from llmgate.generate.identity import hardware, packages
from llmgate.record.environment import for_programs
from llmgate.record.manifest import ALONE, FOR_COMPARISON, FOR_PROMOTION, Manifest
from llmgate.session.clock import timestamp
from llmgate.session.run.admissions import judged_asserts, read_admissions
from llmgate.session.run.anchors import named_anchors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.session.run.models import Identities
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["make_manifest"]

CI_LABELS: Final = ("GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_REF_NAME", "GITHUB_RUN_ID", "GITHUB_ACTOR")


def make_manifest(
    settings: Settings,
    plan: Plan,
    target: Target,
    asked: Identities,
    *,
    run_id: str,
    beside: str = "",
) -> Manifest:
    """Collect the facts.

    Args:
        settings: The options.
        plan: What will be asked.
        target: Who will answer.
        asked: Who will judge and embed.
        run_id: See `llmgate.session.run_folder`.
        beside: Run id of the champion's run that is asked beside this one, "" for none.
    """
    return Manifest(
        run_id=run_id,
        created_at=timestamp(),
        llmgate_version=llmgate.__version__,
        model=target.model,
        server=target.server,
        judge=asked.judge,
        judges=dict(asked.judges),
        judging=judged_asserts(plan),
        admissions=read_admissions(settings, plan),
        embedding=asked.embedding,
        local_models=dict(asked.local_models),
        anchors=anchors.digest if (anchors := named_anchors(settings, plan)) else "",
        suites=tuple(planned.identity(shown_path(planned.suite.path)) for planned in plan.suites),
        cases_digest="",  # known once they are written
        policy=plan.policy,
        hardware=hardware(),
        packages=dict(packages()),
        concurrency=settings.concurrency,
        adaptive=settings.adaptive,
        cache=settings.cache or "",
        looks=plan.looks,
        labels=labels() | ({"asked_from": settings.on} if settings.on else {}),
        round=settings.round or "",
        shard=settings.shard,
        made_for=purpose(settings, beside),
        beside=beside,
    )


def purpose(settings: Settings, beside: str = "") -> str:
    """What a run is made for; a part of one is made for what the whole will be, which `llmgate merge` says."""
    if settings.shard is not None:
        return ""
    if settings.as_baseline:
        return FOR_COMPARISON
    return FOR_PROMOTION if settings.baseline is not None or beside else ALONE


def shown_path(path: Path) -> str:
    """A suite's path as a reader elsewhere can use it: relative to the working folder where possible."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return path.name


def labels(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Git commit and CI run, as far as they are known."""
    known = {name.lower(): environ[name] for name in CI_LABELS if environ.get(name)}
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - whichever git is first
            env=for_programs(),
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return known  # not a checkout, or no git: a label is a courtesy
    return {**known, "git_commit": commit}
