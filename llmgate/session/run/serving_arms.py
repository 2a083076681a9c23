"""The serving comparisons of a run: for suites whose figures gate, the candidate run by run against its champion."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError
from llmgate.record.run.files import MANIFEST, read_arms
from llmgate.report.terminal.power_serving import serving_preflight
from llmgate.session.decide.records import BASELINE_NAME, noted_baseline
from llmgate.session.reach.owned import open_again
from llmgate.session.run.arm_places import check_shared, running_place
from llmgate.session.run.champion import LOG_NAME, champion_place, unserved, why_not
from llmgate.session.serving.compare import compare_serving, hosting_of
from llmgate.session.serving.hosting import ArmPlace, HostingChoice
from llmgate.suite.cases import PlannedSuite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.arms import ServingArms
    from llmgate.record.manifest import Manifest
    from llmgate.record.run.rundir import RunDir
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["NO_ARMS", "RunArms", "plan_run_arms", "serving_warnings"]

CANDIDATE_LOG: Final = "server-candidate.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A suite whose serving is measured in several runs.

    Attributes:
        planned: The suite.
        compared: Whether the champion is measured too.
        limited: Whether figures of the candidate alone are asked about.
    """

    planned: PlannedSuite
    compared: bool
    limited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArms:
    """The comparisons of one run, planned before it asks anything.

    Attributes:
        wanted: Suites.
        candidate: Where the candidate is served.
        champion: Where the champion is, None without one.
        choices: How both are hosted, by suite.
    """

    wanted: tuple[Wanted, ...] = ()
    candidate: ArmPlace | None = None
    champion: ArmPlace | None = None
    choices: tuple[HostingChoice, ...] = ()

    @property
    def suites(self) -> frozenset[str]:
        """Names of the suites that are measured so."""
        return frozenset(each.planned.suite.name for each in self.wanted)

    def beside(self, run: RunDir, *, progress: Progress) -> None:
        """Measure where the candidate's server stays up.

        Raises:
            LlmgateError: As `compare_serving`.
        """
        todo = [
            (each, choice) for each, choice in zip(self.wanted, self.choices, strict=True) if not self._later(choice)
        ]
        with ExitStack() as closing:
            champion = self.champion
            if champion is not None and sum(each.compared for each, _ in todo) > 1 and self._all_up(todo):
                # One start serves all suites.
                target = closing.enter_context(champion.open())
                champion = replace(champion, open=lambda: nullcontext(target), up=True)
            for each, choice in todo:
                self._measure(each, choice, run, champion, self.candidate, progress=progress)

    def afterwards(self, settings: Settings, target: Target, run: RunDir, *, progress: Progress) -> None:
        """Measure where servers take turns, once the candidate's has ended.

        Raises:
            LlmgateError: As `compare_serving`.
        """
        if self.candidate is None:
            return
        again = replace(
            self.candidate,
            up=False,
            open=lambda: open_again(settings, target, log_path=run.path / CANDIDATE_LOG, progress=progress),
        )
        for each, choice in zip(self.wanted, self.choices, strict=True):
            if self._later(choice):
                self._measure(each, choice, run, self.champion, again, progress=progress)

    def _later(self, choice: HostingChoice) -> bool:
        return choice.hosting == "restarts" and self.candidate is not None and self.candidate.owned

    @staticmethod
    def _all_up(todo: list[tuple[Wanted, HostingChoice]]) -> bool:
        return all(choice.hosting == "together" for each, choice in todo if each.compared)

    @staticmethod
    def _measure(
        each: Wanted,
        choice: HostingChoice,
        run: RunDir,
        champion: ArmPlace | None,
        candidate: ArmPlace | None,
        *,
        progress: Progress,
    ) -> None:
        spec = each.planned.suite.serving
        if spec is None or candidate is None:
            return
        compare_serving(
            each.planned.suite.name,
            spec,
            [case.messages for case in each.planned.cases],
            (candidate, champion if each.compared else None),
            run,
            choice=choice,
            progress=progress,
        )


NO_ARMS: Final = RunArms()


def plan_run_arms(settings: Settings, plan: Plan, run: RunDir, target: Target, *, progress: Progress) -> RunArms:
    """What is compared, where both are served, and how: found out and said before anything is asked.

    A champion that cannot be served is no error: the comparison is missing then, and without it nothing passes.

    Raises:
        LlmgateError: If `--serving-champion` names what cannot be served, or both cannot be hosted as asked.
    """
    manifest = _champion_manifest(run.path)
    wanted = _wanted(plan, manifest)
    if not wanted:
        return NO_ARMS
    if settings.no_bench:
        progress.stage("warning: serving gates and is not measured (--no-bench), so the run will not pass")
        return NO_ARMS
    candidate, champion = running_place(settings, target, progress=progress), None
    if manifest is not None and any(each.compared for each in wanted):
        try:
            champion = champion_place(
                settings, manifest, log_path=run.path / LOG_NAME, progress=progress, running=target
            )
        except LlmgateError as error:
            if settings.serving_champion is not None:
                raise
            progress.stage(why_not(error))
            wanted = tuple(replace(each, compared=False) for each in wanted if each.limited)
    check_shared(candidate, champion, progress=progress)
    choices = []
    for each in wanted:
        name, spec = each.planned.suite.name, each.planned.suite.serving
        choice = hosting_of(name, candidate, champion if each.compared else None, run, asked=settings.serving_hosting)
        choices.append(choice)
        runs = 0 if spec is None else spec.pairs
        told = f"{runs} pairs of runs, {choice.hosting} ({choice.reason})" if each.compared else f"{runs} runs"
        progress.stage(f"serving of {name} will be measured in {told}")
        if spec is not None and each.compared:
            gates = tuple(policy for policy in plan.policy.serving if policy.suite == name)
            for line in serving_preflight(replace(spec, gates=gates), _measured_before(run.path, name)):
                progress.stage(line)
    return RunArms(wanted=wanted, candidate=candidate, champion=champion, choices=tuple(choices))


def serving_warnings(settings: Settings, plan: Plan, baseline: Path | None) -> Iterator[str]:
    """What keeps serving from being compared, as far as it is known before anything is started.

    Args:
        settings: The options.
        plan: What is asked.
        baseline: Folder of the champion's record.
    """
    # A champion that is asked together with the candidate has no record yet, and is served beside it.
    manifest = None if baseline is None or settings.champion_adapter else MANIFEST.read(baseline)
    compared = any(each.compared for each in _wanted(plan, manifest))
    problem = unserved(settings, manifest) if manifest is not None and compared and not settings.no_bench else None
    if problem is not None:
        yield why_not(problem)


def _baseline_folder(out: Path) -> Path | None:
    baseline = noted_baseline(out) if (out / BASELINE_NAME).exists() else None
    return None if baseline is None else Path(baseline.folder)


def _champion_manifest(out: Path) -> Manifest | None:
    folder = _baseline_folder(out)
    return None if folder is None else MANIFEST.read(folder)


def _measured_before(out: Path, suite: str) -> ServingArms | None:
    """How the champion's run was measured against its own champion: that tells how much runs vary here."""
    folder = _baseline_folder(out)
    return None if folder is None else next((it for it in read_arms(folder) if it.plan.suite == suite), None)


def _wanted(plan: Plan, champion: Manifest | None) -> tuple[Wanted, ...]:
    """Suites that run whole and whose serving is gated or watched, if there is something to hold it against."""
    found = []
    for planned in plan.suites:
        name = planned.suite.name
        if planned.suite.serving is None or name not in plan.gated:
            continue
        policies = [policy for policy in plan.policy.serving if policy.suite == name]
        each = Wanted(
            planned=planned,
            compared=champion is not None and any(policy.margin is not None for policy in policies),
            limited=any(policy.limit is not None for policy in policies),
        )
        if each.compared or each.limited:
            found.append(each)
    return tuple(found)
