"""Suite files → everything that will be asked, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import SuiteError, UsageError
from llmgate.record.policy import OnInconclusive, Policy
from llmgate.score.checks import VOCABULARY
from llmgate.suite.cases import Case, PlannedSuite, plan_suite
from llmgate.suite.policyfile import override_policy
from llmgate.suite.spec import is_suite_file, load_suite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from llmgate.session.settings import Settings

__all__ = ["Plan", "find_suites", "make_plan", "plan_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        suites: All suites with their cases.
        cases: The selected cases, in order; all of them unless a part was selected.
        policy: What is gated.
        gated: Names of the suites that run whole; a part of a suite decides nothing and measures no serving.
    """

    suites: tuple[PlannedSuite, ...]
    cases: tuple[Case, ...]
    policy: Policy
    gated: frozenset[str]

    @property
    def judged(self) -> frozenset[str]:
        """The assert types of selected cases that ask a judge."""
        used = {spec.type for case in self.cases for spec in case.asserts}
        return frozenset(name for name in used if VOCABULARY.is_judge(name))


def find_suites(paths: Iterable[Path]) -> list[Path]:
    """Expand folders to the suite files below them.

    Raises:
        UsageError: If a path does not exist, is no suite, or nothing was found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for pattern in ("*.yaml", "*.yml") for p in path.rglob(pattern) if is_suite_file(p))
            if not inside:
                raise UsageError("there is no suite here", where=str(path), fix="A suite starts with `llmgate: 1`")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UsageError("there is no such file or folder", where=str(path), fix="Name suite files or a folder")
    if not found:
        raise UsageError("no suite was named", fix="Name suite files or a folder, e.g. `llmgate run suites/`")
    return list(dict.fromkeys(found))


def plan_file(path: Path, *, repeat: int | None = None) -> PlannedSuite:
    """Load and plan one suite file.

    Raises:
        SuiteError, DatasetError: With file, line and advice.
    """
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY, repeat=repeat)


def make_plan(
    suites: Sequence[PlannedSuite],
    settings: Settings,
    *,
    selected: Collection[tuple[str, str]] | None = None,
    gated: Collection[str] | None = None,
) -> Plan:
    """Combine planned suites into one run.

    Args:
        suites: The suites.
        settings: The options.
        selected: (suite, case) pairs to run; None for all.
        gated: Suites of which a gate is selected, None for all; their cases must all be selected.

    Raises:
        SuiteError: If two suites share a name.
        UsageError: If no case is left.
        PolicyError: If the policy file names what does not exist.
    """
    seen: dict[str, PlannedSuite] = {}
    for planned in suites:
        other = seen.setdefault(planned.suite.name, planned)
        if other is not planned:
            raise SuiteError(
                f"the suite name {planned.suite.name!r} is used twice, also in {other.suite.path}",
                where=str(planned.suite.path),
                fix="Give each suite its own name",
            )
    cases = tuple(
        case
        for planned in suites
        for case in planned.cases
        if selected is None or (case.planned.suite, case.planned.case) in selected
    )
    if not cases:
        raise UsageError("no case is selected, so nothing would be evaluated", fix="Check -k and the named files")
    policy = Policy(
        metrics=tuple(metric for planned in suites for metric in planned.suite.metrics),
        inconclusive=OnInconclusive.ALLOW if settings.allow_inconclusive else OnInconclusive.FAIL,
    )
    if settings.policy:
        policy = override_policy(policy, settings.policy)
    names = frozenset(seen) if gated is None else frozenset(gated)
    return Plan(suites=tuple(suites), cases=cases, policy=policy, gated=names)
