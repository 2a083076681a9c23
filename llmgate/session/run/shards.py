"""A part of a run: what cannot be had in parts, and what is said at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.record.order import shard_cases
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.record.run.rundir import RunDir
    from llmgate.record.schema import Record
    from llmgate.session.settings.typed import Settings
    from llmgate.suite.cases import Case, PlannedSuite

__all__ = ["part_line", "refuse_in_parts", "tries_judges"]


def refuse_in_parts(suites: Sequence[PlannedSuite], cases: Sequence[Case], settings: Settings) -> None:
    """Refuse a shard of suites that are not run whole, or that measure serving.

    All shards must plan the same, so that whoever merges them can see that nothing is missing. And what a server takes
    for an answer while other shards may ask it is no figure of anything.

    Raises:
        UsageError: With what to leave out.
    """
    for planned in suites:
        name = planned.suite.name
        selected = sum(case.planned.suite == name for case in cases)
        if selected != len(planned.cases):
            raise UsageError(
                f"{selected} of the {plural(len(planned.cases), 'case')} of {name} were selected, and a shard is one of"
                " whole suites",
                where="--shard",
                fix="Select whole suites in every shard",
            )
        if planned.suite.serving is not None and not settings.no_bench:
            raise UsageError(
                f"{name} measures serving, and a server that other shards ask has no figures of its own",
                where="--shard",
                fix="Add --no-bench to every shard, and measure serving in a run of its own",
            )


def tries_judges(run: RunDir) -> bool:
    """Whether a run tries its judges on canaries and anchors: of shards the first one alone does."""
    shard = run.manifest.shard
    return shard is None or shard.index == 1


def part_line(record: Record, out: Path) -> str:
    """What to say at the end of a shard."""
    shard = record.manifest.shard
    if shard is None:
        return ""
    asked, whole = len(shard_cases(record.cases, shard)), len(record.cases)
    return (
        f"NO DECISION: shard {shard.name} is recorded, {asked:,} of {plural(whole, 'case')}. A part decides nothing:"
        f" merge all {shard.of} with `llmgate merge SHARD... --out DIR`; this one is {out}"
    )
