"""Cases with their answers: what flipped, what was missed, what could not be evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmgate.record.schema import (
    CaseResult,
    CheckResult,
    Failure,
    FailureKind,
    Generation,
    Outcome,
    PlannedCase,
    Record,
)
from llmgate.report.difference import differences
from llmgate.report.limits import ReportLimits
from llmgate.report.rows import Answer, AnswerPair, CaseRow, CheckRow, ErrorRow, Listing, PromptRow
from llmgate.report.visible import as_text, one_line
from llmgate.report.words import percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.gate.decision.types import Decision, Flip
    from llmgate.record.schema import CaseKey

__all__ = ["CaseBook", "evaluated", "passed"]

CaseName = tuple[str, str]

FAILURE_WORDS = {
    FailureKind.CONNECTION: "no connection",
    FailureKind.TIMEOUT: "timeout",
    FailureKind.HTTP: "HTTP error",
    FailureKind.GARBAGE: "unreadable reply",
    FailureKind.ERROR_REPLY: "error instead of an answer",
    FailureKind.INCOMPLETE: "no complete answer",
    FailureKind.SERVER_DIED: "the server died",
    FailureKind.INTERRUPTED: "interrupted",
    FailureKind.REQUEST: "request refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBook:
    """Both records, ready for looking up cases.

    Attributes:
        gating: `(suite, metric)` of the metrics that count for the verdict.
    """

    candidate: Record
    champion: Record | None
    plan: Mapping[CaseName, PlannedCase]
    gating: frozenset[tuple[str, str]]
    limits: ReportLimits

    @classmethod
    def open(cls, candidate: Record, champion: Record | None, decision: Decision, limits: ReportLimits) -> CaseBook:
        """Index the planned cases of both records; the candidate's plan wins."""
        plan = {(case.suite, case.case): case for record in (champion, candidate) if record for case in record.cases}
        gating = frozenset((metric.suite, metric.metric) for metric in decision.metrics if metric.gates)
        return cls(candidate=candidate, champion=champion, plan=plan, gating=gating, limits=limits)

    def flips(self, flips: Sequence[Flip], *, better: bool) -> Listing:
        """Flips in one direction, gating metrics first, the largest change first."""
        chosen = [flip for flip in flips if (flip.delta > 0) == better]
        chosen.sort(key=self._urgency)
        most = self.limits.better if better else self.limits.worse
        return Listing(rows=tuple(self._flip_row(flip) for flip in chosen[:most]), total=len(chosen))

    def _urgency(self, flip: Flip) -> tuple[bool, float, str, str, str]:
        return ((flip.suite, flip.metric) not in self.gating, -abs(flip.delta), flip.suite, flip.case, flip.metric)

    def _flip_row(self, flip: Flip) -> CaseRow:
        row = self._row((flip.suite, flip.case), f"{percent(flip.champion, 0)} → {percent(flip.candidate, 0)}")
        return replace(row, metric=one_line(flip.metric, 120), better=flip.delta > 0)

    def required(self, names: Sequence[str]) -> Listing:
        """Failed cases that must never be wrong, `suite::case` each."""
        known = {f"{suite}::{case}": (suite, case) for suite, case in self.plan}
        rows = []
        for name in names[: self.limits.missed]:
            suite, _, case = name.partition("::")
            rows.append(replace(self._row(known.get(name, (suite, case)), "must never fail"), required=True))
        return Listing(rows=tuple(rows), total=len(names))

    def missed(self) -> Listing:
        """Cases that the candidate answered below par; those that the champion passed come first."""
        missed = [(self._missed_phrase(name), name) for name in self.missed_names()]
        missed.sort(key=lambda case: case[0] != NEW)
        rows = tuple(self._row(name, phrase, sides=("candidate",)) for phrase, name in missed[: self.limits.missed])
        return Listing(rows=rows, total=len(missed))

    def missed_names(self) -> list[CaseName]:
        """Cases of which every repeat was evaluated and at least one did not pass."""
        return [
            (case.suite, case.case)
            for case in self.candidate.cases
            if evaluated(self.candidate, case) and not passed(self.candidate, case)
        ]

    def _missed_phrase(self, name: CaseName) -> str:
        if self.champion is None:
            return "below par"
        case = self.plan[name]
        if not evaluated(self.champion, case):
            return "champion not evaluated"
        return NEW if passed(self.champion, case) else "missed by the champion too"

    def errors(self) -> tuple[tuple[ErrorRow, ...], int]:
        """Causes of everything that was not evaluated, the most frequent first, and how many causes are left out."""
        rows = [*self._causes("candidate", self.candidate)]
        if self.champion is not None:
            rows += self._causes("champion", self.champion)
        rows.sort(key=lambda row: (row.side != "candidate", -row.count, row.cause))
        return tuple(rows[: self.limits.errors]), max(0, len(rows) - self.limits.errors)

    def _causes(self, side: Literal["candidate", "champion"], record: Record) -> Iterable[ErrorRow]:
        causes: dict[str, list[str]] = {}
        for key in (key for case in record.cases for key in case.keys):
            cause = _why_not_evaluated(record.results.get(key))
            if cause:
                causes.setdefault(cause, []).append(one_line(str(key), 120))
        for cause, names in causes.items():
            shown = tuple(names[: self.limits.names])
            yield ErrorRow(side=side, cause=cause, count=len(names), cases=shown, left_out=len(names) - len(shown))

    def _row(self, name: CaseName, change: str, *, sides: tuple[str, ...] = ("champion", "candidate")) -> CaseRow:
        case = self.plan.get(name)
        keys = sorted(case.keys if case else (), key=lambda key: (not self._differs(key), key.repeat))
        shown = keys[: self.limits.repeats]
        note = "This case is not in the record." if case is None else ""
        if len(keys) > len(shown):
            note = f"{plural(len(keys) - len(shown), 'further repeat')} not shown."
        return CaseRow(
            suite=one_line(name[0], 120),
            case=one_line(name[1], 120),
            metric="",
            change=change,
            better=False,
            required=False,
            prompt=tuple(
                PromptRow(role=message.role, text=as_text(message.content, self.limits.text))
                for message in (case.messages if case else ())
            ),
            expected=as_text(case.expected if case else "", self.limits.text),
            pairs=tuple(self._pair(key, sides) for key in shown),
            note=note,
        )

    def _differs(self, key: CaseKey) -> bool:
        before = self.champion.results.get(key) if self.champion else None
        after = self.candidate.results.get(key)
        return before is not None and after is not None and before.passed != after.passed

    def _pair(self, key: CaseKey, sides: tuple[str, ...]) -> AnswerPair:
        candidate = self._answer(self.candidate.results.get(key))
        if self.champion is None or "champion" not in sides:
            return AnswerPair(repeat=key.repeat, champion=None, candidate=candidate)
        champion = self._answer(self.champion.results.get(key))
        before, after = differences(champion.text, candidate.text)
        return AnswerPair(
            repeat=key.repeat, champion=replace(champion, text=before), candidate=replace(candidate, text=after)
        )

    def _answer(self, result: CaseResult | None) -> Answer:
        cause = _why_not_evaluated(result)
        outcome: Literal["pass", "fail", "error"] = (
            "error" if result is None or cause else "pass" if result.passed else "fail"
        )
        generation = result.answer if result and isinstance(result.answer, Generation) else None
        checks = sorted(result.checks, key=_failed_first) if result else []
        return Answer(
            outcome=outcome,
            text=as_text(generation.text, self.limits.text) if generation else (),
            failure=cause if generation is None else "",
            checks=tuple(_check_row(check) for check in checks[: self.limits.checks]),
        )


NEW = "new: the champion passed it"


def _failed_first(check: CheckResult) -> int:
    return {Outcome.ERROR: 0, Outcome.FAIL: 1, Outcome.PASS: 2}[check.outcome]


def _check_row(check: CheckResult) -> CheckRow:
    return CheckRow(
        type=one_line(check.type, 80),
        metric=one_line(check.metric, 120),
        outcome=check.outcome.value,
        score=percent(check.score, 0),
        reason=one_line(check.reason, 600),
        required=check.required,
    )


def _results(record: Record, case: PlannedCase) -> list[CaseResult | None]:
    return [record.results.get(key) for key in case.keys]


def evaluated(record: Record, case: PlannedCase) -> bool:
    """Whether every repeat of the case was evaluated; a case without repeats was not."""
    results = _results(record, case)
    return bool(results) and all(result is not None and result.evaluated for result in results)


def passed(record: Record, case: PlannedCase) -> bool:
    """Whether every repeat of the case passed."""
    results = _results(record, case)
    return bool(results) and all(result is not None and result.passed for result in results)


def _why_not_evaluated(result: CaseResult | None) -> str:
    """One line on why a generation counts as an error, empty if it was evaluated."""
    if result is None:
        return "planned, but the record holds no result"
    if isinstance(result.answer, Failure):
        tries = f" (after {plural(result.answer.attempts, 'attempt')})"
        return f"{FAILURE_WORDS[result.answer.kind]}: {one_line(result.answer.message)}{tries}"
    causes = Counter(
        f"{one_line(check.type, 80)}: {one_line(check.reason) or 'could not be evaluated'}"
        for check in result.checks
        if check.outcome is Outcome.ERROR
    )
    if causes:
        return "; ".join(causes)
    return "" if result.judged else "judge asserts are still to come"
