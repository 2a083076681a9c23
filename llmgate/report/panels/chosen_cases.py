"""Which cases a report shows first: every failing metric and every failing slice has its share, and a case one card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import MetricDecision, SliceDecision, Verdict
from llmgate.record.schema import PlannedCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmgate.gate.decision.types import Decision

__all__ = ["CaseName", "Change", "Choice", "MetricName"]

CaseName = tuple[str, str]
"""Suite and case."""
MetricName = tuple[str, str]
"""Suite and metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A reason to show a case: its score on a metric changed, or one of the metric's checks failed.

    Attributes:
        size: The larger, the earlier it is shown among those of its metric.
        words: `100 % → 0 %`, or what else is to be said in one phrase.
    """

    case: CaseName
    metric: str
    size: float = 0.0
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What decides whose turn it is.

    Attributes:
        plan: The planned cases of both records.
        metrics: The decisions on metrics, by name.
        failed_slices: The slices that failed and are not waived, by the name of their metric.
    """

    plan: Mapping[CaseName, PlannedCase]
    metrics: Mapping[MetricName, MetricDecision] = field(default_factory=dict)
    failed_slices: Mapping[MetricName, Sequence[SliceDecision]] = field(default_factory=dict)

    @classmethod
    def of(cls, decision: Decision, plan: Mapping[CaseName, PlannedCase]) -> Choice:
        """What a decision says of its metrics and slices."""
        slices: dict[MetricName, list[SliceDecision]] = {}
        for part in decision.slices:
            if part.failed and not part.waived:
                slices.setdefault((part.suite, part.metric), []).append(part)
        metrics = {(metric.suite, metric.metric): metric for metric in decision.metrics}
        return cls(plan=plan, metrics=metrics, failed_slices=slices)

    def in_turns(self, changes: Iterable[Change]) -> Iterator[Change]:
        """One change per case: metrics that fail first, each in turn, and among those of a metric its failing slices.

        What does not fail follows in the same way: gating metrics that do not pass, those that pass, watched ones.
        Metrics of one rank stand in the order of the decision.
        """
        queues: dict[MetricName, list[Change]] = {}
        for change in changes:
            queues.setdefault((change.case[0], change.metric), []).append(change)
        ranks: dict[int, list[Iterator[Change]]] = {}
        seen: set[CaseName] = set()
        order = {name: place for place, name in enumerate(self.metrics)}
        for name in sorted(queues, key=lambda name: (order.get(name, len(order)), name)):
            queue = sorted(queues[name], key=lambda change: (-change.size, change.case))
            ranks.setdefault(self.rank(name), []).append(self._of_metric(name, queue))
        for rank in sorted(ranks):
            yield from _turns(ranks[rank], seen)

    def _of_metric(self, name: MetricName, queue: Sequence[Change]) -> Iterator[Change]:
        """Cases of the failing slices of one metric in turn; all of its cases take a turn too if it fails itself."""
        parts = [
            iter([change for change in queue if self._lies_in(change.case, part)])
            for part in self.failed_slices.get(name, ())
        ]
        yield from _turns([iter(queue), *parts] if self.fails(name) else parts, set())
        yield from queue

    def rank(self, name: MetricName) -> int:
        """How urgent a metric is: 0 if it or a slice of it fails."""
        metric = self.metrics.get(name)
        if self.fails(name) or name in self.failed_slices:
            return 0
        if metric is None or not metric.gates or metric.waived:
            return 3
        return 2 if metric.verdict is Verdict.PASS else 1

    def fails(self, name: MetricName) -> bool:
        """Whether a metric fails and counts."""
        metric = self.metrics.get(name)
        return metric is not None and metric.gates and not metric.waived and metric.verdict is Verdict.FAIL

    def parts_of(self, change: Change) -> list[str]:
        """The failing slices that a case lies in, `field = value` each."""
        failed = self.failed_slices.get((change.case[0], change.metric), ())
        return [f"{part.field} = {part.value}" for part in failed if self._lies_in(change.case, part)]

    def _lies_in(self, case: CaseName, part: SliceDecision) -> bool:
        planned = self.plan.get(case)
        return planned is not None and planned.slices.get(part.field) == part.value


def _turns(queues: Iterable[Iterator[Change]], seen: set[CaseName]) -> Iterator[Change]:
    """The next of each queue in turn whose case has not been seen, until all are empty."""
    waiting = list(queues)
    while waiting:
        left = []
        for queue in waiting:
            change = next((change for change in queue if change.case not in seen), None)
            if change is not None:
                seen.add(change.case)
                left.append(queue)
                yield change
        waiting = left
