"""Suite files as pytest sees them: an item per case and one per gated metric, serving figures included."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import LlmgateError
from llmgate.gate.decision.types import Verdict
from llmgate.pytest_plugin.controller import NotAskedError
from llmgate.pytest_plugin.door import DECIDED, GATES
from llmgate.pytest_plugin.keys import FATAL, pytest_run
from llmgate.pytest_plugin.quick import QuickItem, report_quickly
from llmgate.record.schema import Failure, FailureKind, Generation, Outcome
from llmgate.record.serving.policy import ServingPolicy
from llmgate.report.visible import visible
from llmgate.suite.folder import Sort

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from llmgate.record.policy import MetricPolicy
    from llmgate.record.schema import CaseResult
    from llmgate.suite.cases import Case, PlannedSuite
    from llmgate.suite.folder import Found

__all__ = ["CaseItem", "GateItem", "SuiteFile", "describe", "suite_file", "tell"]

SHOWN_CHARS = 2000


class CaseNotEvaluatedError(Exception):
    """A case without a result: counted as an error, never as good."""


class RequiredFailedError(Exception):
    """A case that must never be wrong was wrong."""


class GateClosedError(Exception):
    """A gate did not pass."""


class SuiteFile(pytest.File):
    """A suite file."""

    planned: PlannedSuite

    def collect(self) -> Iterator[pytest.Item]:
        """One item per case, one per gated metric."""
        try:
            run = pytest_run(self.config)
            run.prepare()
        except LlmgateError as error:
            # No suite is to blame: pytest ends with a usage error once collecting is over.
            self.config.stash[FATAL] = str(error)
            return
        try:
            self.planned = run.load(self.path, self.nodeid)
        except LlmgateError as error:
            raise self.CollectError(visible(str(error))) from error
        report_quickly(self.config)
        watched = frozenset(metric.metric for metric in self.planned.suite.metrics if not metric.gates)
        for case in self.planned.cases:
            yield CaseItem.from_parent(self, name=case.planned.case, case=case, watched=watched)
        for metric in self.planned.suite.metrics:
            if metric.gates:
                gate = GateItem.from_parent(self, name=f"gate::{metric.metric}", metric=metric)
                self.config.stash.setdefault(GATES, set()).add(gate.nodeid)
                yield gate
        for figure in self.planned.suite.serving.gates if self.planned.suite.serving else ():
            if figure.gates:
                gate = GateItem.from_parent(self, name=f"gate::serving::{figure.metric}", metric=figure)
                self.config.stash.setdefault(GATES, set()).add(gate.nodeid)
                yield gate


class RefusedFile(pytest.File):
    """A file that looks like a suite and cannot be read as one."""

    problem: LlmgateError

    def collect(self) -> Iterator[pytest.Item]:
        """Nothing but the error."""
        raise self.CollectError(visible(str(self.problem)))


def suite_file(found: Found, parent: pytest.Collector) -> pytest.File:
    """The collector of a file that is run, or refused."""
    if found.sort is Sort.RUN:
        return SuiteFile.from_parent(parent, path=found.path)
    refused = RefusedFile.from_parent(parent, path=found.path)
    refused.problem = found.problem
    return refused


class SuiteItem(pytest.Item):
    """What cases and gates have in common."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where a reader finds it."""
        # A line, because pytest wants one of what is skipped.
        return self.path, 0, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> str:
        """Our own errors are sentences, not tracebacks."""
        if isinstance(excinfo.value, CaseNotEvaluatedError | RequiredFailedError | GateClosedError | LlmgateError):
            return visible(str(excinfo.value))
        return str(super().repr_failure(excinfo, *args))


class CaseItem(SuiteItem, QuickItem):
    """One case: passes, is missed, is an error, is only recorded, or was never asked because the run stopped early."""

    def __init__(self, *, case: Case, watched: frozenset[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.watched = watched

    def runtest(self) -> None:
        """Wait for the answers and report them."""
        try:
            results = pytest_run(self.config).wait_for(self.case)
        except NotAskedError as error:
            self.user_properties.append(("llmgate", "not asked"))
            pytest.skip(visible(str(error)))
        tell(self, results, watched=self.watched)
        self._note_recorded()

    def passed_already(self) -> bool:
        """See `QuickItem`."""
        results = pytest_run(self.config).at_hand(self.case)
        if not results or not all(unremarkable(result, self.watched) for result in results):
            return False
        self._note_recorded()
        return True

    def _note_recorded(self) -> None:
        if self.case.planned.unchecked:
            self.user_properties.append(("llmgate", "recorded"))


def unremarkable(result: CaseResult, watched: Collection[str]) -> bool:
    """Whether `tell` has nothing to tell of a result: all that gates was evaluated, and nothing missed or lost."""
    return result.passed and not (unevaluated(result, watched, pending=False) or lost(result))


def tell(item: pytest.Item, results: Sequence[CaseResult], *, watched: Collection[str], pending: bool = False) -> None:
    """Let pytest know what became of a case.

    Args:
        item: The case's.
        results: One per repeat.
        watched: The metrics that do not gate.
        pending: Whether judges may still be asked.

    Raises:
        CaseNotEvaluatedError: If something is missing that gates.
        RequiredFailedError: If an assert that must never fail did.
    """
    for result in results:
        if unevaluated(result, watched, pending=pending):
            raise CaseNotEvaluatedError(describe(result))
    for result in results:
        if lost(result):
            raise RequiredFailedError("a required assert failed\n" + describe(result))
    missed = [result for result in results if not replace(result, judged=result.judged or pending).passed]
    if missed:
        item.user_properties.append(("llmgate", "missed"))
        item.add_report_section("call", "llmgate", "\n".join(describe(result) for result in missed))


def lost(result: CaseResult) -> bool:
    """Whether an assert failed that must never fail."""
    return any(check.required and check.outcome is Outcome.FAIL for check in result.checks)


def unevaluated(result: CaseResult, watched: Collection[str], *, pending: bool) -> bool:
    """Whether something is missing that gates: an answer, or a check that a gating metric or `required` needs.

    An error of a watched metric is shown with the case; like the metric, it cannot keep the gate shut.
    """
    if not isinstance(result.answer, Generation) or not (result.judged or pending):
        return True
    errors = [check for check in result.checks if check.outcome is Outcome.ERROR]
    return any(check.required or check.metric not in watched for check in errors)


class GateItem(SuiteItem):
    """One gated metric: passes only if the decision says PASS."""

    def __init__(self, *, metric: MetricPolicy | ServingPolicy, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric = metric

    def runtest(self) -> None:
        """Wait for the whole run, take the decision, and say so if it is a good one."""
        self.decide()
        self.user_properties.append(DECIDED)

    def decide(self) -> None:
        """Take the decision.

        Raises:
            GateClosedError: If it is not PASS, nor what the policy or the caller lets through.
        """
        run = pytest_run(self.config)
        if run.settings.shard is not None:
            run.complete()
            pytest.skip(f"shard {run.settings.shard.name} decides nothing")
        decision = run.decision()
        name = (self.metric.suite, self.metric.metric)
        # A metric may be called as a figure of serving is.
        serving = isinstance(self.metric, ServingPolicy)
        metric = next((m for m in decision.metrics if (m.suite, m.metric) == name and bool(m.unit) is serving), None)
        if metric is None:
            raise GateClosedError("the decision says nothing about this metric")
        lost = [
            f"slice {s.name}: {100 * s.delta:+.1f} points on {s.cases:,} cases (p = {s.p_worse:.2g}, adjusted)"
            for s in decision.slices
            if (s.suite, s.metric) == name and s.failed and not s.waived and not serving
        ]
        if lost:
            raise GateClosedError("\n".join([f"FAIL: {metric.reason}", *lost]))
        if metric.verdict is Verdict.PASS:
            return
        if metric.waived:
            self.user_properties.append(("llmgate", "waived"))
            return
        if decision.is_baseline and metric.reference == "none":
            self.user_properties.append(("llmgate", "baseline"))
            return
        allowed = run.settings.allow_inconclusive
        if metric.verdict is Verdict.INCONCLUSIVE and allowed and not decision.barring:
            return
        # What bars a PASS may be long and the same for all gates: the summary says it once.
        raise GateClosedError(f"{metric.verdict}: {metric.reason}")


def describe(result: CaseResult) -> str:
    """Answer and reasons, in a few lines, with nothing in them that could drive a terminal."""
    return visible(described(result))


def described(result: CaseResult) -> str:
    """The same, as models and endpoints said it."""
    head = f"{result.key}"
    if isinstance(result.answer, Failure) and result.answer.kind is FailureKind.TEST:
        return f"{head}: {result.answer.message}"
    if not isinstance(result.answer, Generation):
        return (
            f"{head}: no answer ({result.answer.kind} after {result.answer.attempts} attempts): {result.answer.message}"
        )
    lines = [f"{head} answered: {shortened(result.answer.text)}"]
    lines += [f"  {c.outcome}: {c.type}: {c.reason}" for c in result.checks if c.outcome is not Outcome.PASS]
    if not result.judged:
        lines.append("  the judge scores it later" if result.asserts else "  error: the judge has not scored it")
    return "\n".join(lines)


def shortened(text: str) -> str:
    """An answer, bounded, with its length told."""
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}… ({len(text)} characters)"
