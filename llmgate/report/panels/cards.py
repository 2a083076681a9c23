"""One case as a card: its question, both answers, and what the checks say of the metric that the card is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from llmgate.errors import UndefinedError
from llmgate.gate.evidence.gather import answer_score
from llmgate.record.policy import Direction
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
from llmgate.report.case_rows import Answer, AnswerPair, CaseRow, CheckRow, PromptRow
from llmgate.report.limits import ReportLimits
from llmgate.report.panels.chosen_cases import CaseName
from llmgate.report.visible import as_text, one_line
from llmgate.report.words import percent, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import Flip
    from llmgate.record.policy import MetricPolicy
    from llmgate.record.schema import CaseKey

__all__ = ["BOTH", "CANDIDATE", "Cards", "evaluated", "flip_words", "passed", "why_not_evaluated"]

BOTH: Final = ("champion", "candidate")
CANDIDATE: Final = ("candidate",)

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
    FailureKind.TEST: "test did not run to its end",
}
OUTCOME_WORDS = {"pass": "passed", "fail": "failed", "error": "not evaluated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Makes cards.

    Attributes:
        plan: The planned cases of both records.
    """

    candidate: Record
    champion: Record | None
    plan: Mapping[CaseName, PlannedCase]
    limits: ReportLimits

    def card(
        self,
        name: CaseName,
        words: str,
        *,
        metric: str = "",
        about: Flip | None = None,
        sides: tuple[str, ...] = BOTH,
    ) -> CaseRow:
        """A card.

        Args:
            name: Suite and case.
            words: What to say of it in one phrase.
            metric: The metric that it is about, "" for none.
            about: The change of a score that it is about; both answers are then judged by its metric alone.
            sides: Whose answers to show.
        """
        metric = about.metric if about else metric
        case = self.plan.get(name)
        keys = sorted(case.keys if case else (), key=lambda key: (not self._differs(key), key.repeat))
        shown = keys[: self.limits.repeats]
        note = "This case is not in the record." if case is None else ""
        if len(keys) > len(shown):
            note = f"{plural(len(keys) - len(shown), 'further repeat')} not shown."
        return CaseRow(
            suite=one_line(name[0], 120),
            case=one_line(name[1], 120),
            metric=one_line(metric, 120) if metric else "",
            change=words,
            better=False,
            required=False,
            prompt=tuple(
                PromptRow(role=message.role, text=as_text(message.content, self.limits.text))
                for message in (case.messages if case else ())
            ),
            expected=as_text(case.expected if case else "", self.limits.text),
            pairs=tuple(self._pair(key, metric, about, sides) for key in shown),
            note=note,
            why=_why([self.candidate.results.get(key) for key in keys], metric),
        )

    def _differs(self, key: CaseKey) -> bool:
        before = self.champion.results.get(key) if self.champion else None
        after = self.candidate.results.get(key)
        return before is not None and after is not None and before.passed != after.passed

    def _pair(self, key: CaseKey, metric: str, about: Flip | None, sides: tuple[str, ...]) -> AnswerPair:
        candidate = self._answer(self.candidate, key, metric, about)
        if self.champion is None or "champion" not in sides:
            return AnswerPair(repeat=key.repeat, champion=None, candidate=candidate)
        champion = self._answer(self.champion, key, metric, about)
        # It brings `regex`: only reports with pairs of answers pay for it.
        from llmgate.report.difference import differences  # noqa: PLC0415

        before, after = differences(champion.text, candidate.text)
        return AnswerPair(
            repeat=key.repeat, champion=replace(champion, text=before), candidate=replace(candidate, text=after)
        )

    def _answer(self, record: Record, key: CaseKey, metric: str, about: Flip | None) -> Answer:
        result = record.results.get(key)
        cause = why_not_evaluated(result)
        outcome: Literal["pass", "fail", "error", "score"] = (
            "error" if result is None or cause else "pass" if result.passed else "fail"
        )
        words = OUTCOME_WORDS[outcome]
        score = None if about is None else self._score(result, key, about)
        if about is not None and score is not None:
            whole = score in {0.0, 1.0} and about.direction is Direction.HIGHER
            outcome = "score" if not whole else "pass" if score else "fail"
            words = OUTCOME_WORDS.get(outcome, percent(score, 0))
        if result is not None and not cause and not result.checks:
            outcome, words = "score", "recorded"  # neither passed nor failed: nothing checks it
        generation = result.answer if result and isinstance(result.answer, Generation) else None
        checks = sorted(result.checks, key=lambda check: _order(check, metric)) if result else []
        return Answer(
            outcome=outcome,
            how=words,
            text=as_text(generation.text, self.limits.text) if generation else (),
            failure=cause if generation is None else "",
            checks=tuple(_check_row(check) for check in checks[: self.limits.checks]),
        )

    def _score(self, result: CaseResult | None, key: CaseKey, about: Flip) -> float | None:
        """What the gate made of one answer on one metric, None where it made nothing."""
        case, metric = self.plan.get((key.suite, key.case)), self._policy(about)
        if case is None or metric is None:
            return None
        try:
            return answer_score(result, metric, case)
        except UndefinedError:
            return None

    def _policy(self, about: Flip) -> MetricPolicy | None:
        metrics = self.candidate.manifest.policy.metrics
        return next((it for it in metrics if (it.suite, it.metric) == (about.suite, about.metric)), None)


def flip_words(flip: Flip) -> str:
    """`100 % → 0 %`."""
    return f"{percent(flip.champion, 0)} → {percent(flip.candidate, 0)}"


def _order(check: CheckResult, metric: str) -> tuple[bool, int]:
    """Checks of the metric that a card is about come first, and among them those that failed."""
    return (bool(metric) and check.metric != metric, _failed_first(check))


def _failed_first(check: CheckResult) -> int:
    return {Outcome.ERROR: 0, Outcome.FAIL: 1, Outcome.PASS: 2}[check.outcome]


def _why(results: Sequence[CaseResult | None], metric: str) -> str:
    """What the checks say of the first answer that is the worst: those of the metric, of all where there is none."""
    causes = [why_not_evaluated(result) for result in results if result is None or isinstance(result.answer, Failure)]
    if causes:
        return causes[0]
    checks = [check for result in results if result for check in result.checks if not metric or check.metric == metric]
    # A check that must never fail is why a case stands among those; a graded one may pass and have lost all the same.
    checks.sort(key=lambda check: (_failed_first(check), not check.required, check.score or 0.0))
    return next((one_line(check.reason, 600) for check in checks if check.reason), "")


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
    return [record.scored.get(key) for key in case.keys]


def evaluated(record: Record, case: PlannedCase) -> bool:
    """Whether every repeat of the case was evaluated; a case without repeats was not."""
    results = _results(record, case)
    return bool(results) and all(result is not None and result.evaluated for result in results)


def passed(record: Record, case: PlannedCase) -> bool:
    """Whether every repeat of the case passed."""
    results = _results(record, case)
    return bool(results) and all(result is not None and result.passed for result in results)


def why_not_evaluated(result: CaseResult | None) -> str:
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
