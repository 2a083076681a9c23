"""Cases with their answers: what flipped, what was missed, what could not be evaluated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from llmgate.record.schema import Outcome
from llmgate.report.case_rows import ErrorRow, Listing, Share
from llmgate.report.panels.cards import CANDIDATE, Cards, evaluated, flip_words, passed, why_not_evaluated
from llmgate.report.panels.chosen_cases import Change, Choice
from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmgate.gate.decision.types import Decision, Flip
    from llmgate.record.schema import Record
    from llmgate.report.case_rows import CaseRow
    from llmgate.report.limits import ReportLimits
    from llmgate.report.panels.chosen_cases import CaseName, MetricName

__all__ = ["CaseBook", "Listings"]

NEW = "new: the champion passed it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listings:
    """The cards of a report, in its order. A case has one card, in the first listing that it belongs to."""

    required: Listing
    worse: Listing
    better: Listing
    missed: Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBook:
    """Both records, ready for looking up cases.

    Attributes:
        choice: Whose turn it is where not every case can be shown.
    """

    cards: Cards
    choice: Choice

    @classmethod
    def open(
        cls, candidate: Record, champion: Record | None, decision: Decision | None, limits: ReportLimits
    ) -> CaseBook:
        """Index the planned cases of both records; the candidate's plan wins."""
        plan = {(case.suite, case.case): case for record in (champion, candidate) if record for case in record.cases}
        return cls(
            cards=Cards(candidate=candidate, champion=champion, plan=plan, limits=limits),
            choice=Choice.of(decision, plan) if decision else Choice(plan=plan),
        )

    @property
    def candidate(self) -> Record:
        """The candidate's record."""
        return self.cards.candidate

    @property
    def champion(self) -> Record | None:
        """The champion's record, None without one."""
        return self.cards.champion

    def listings(self, decision: Decision) -> Listings:
        """Everything that a report shows of single cases."""
        limits = self.cards.limits
        above: set[CaseName] = set()
        return Listings(
            required=self._required(decision, above),
            worse=self.flips(decision.flips, limits.worse, better=False, above=above),
            better=self.flips(decision.flips, limits.better, better=True, above=above),
            missed=self.missed(limits.missed, above=above),
        )

    def flips(self, flips: Sequence[Flip], most: int, *, better: bool, above: set[CaseName]) -> Listing:
        """Cases whose score on a metric changed in one direction.

        Args:
            flips: In both directions: a card names the other changes of its case.
            most: Cards to show at most.
            better: In which direction.
            above: Cases that have a card already; those that get one here are added.
        """
        changed = by_case(flips)
        changes = [
            Change(case=(flip.suite, flip.case), metric=flip.metric, size=abs(flip.delta), words=flip_words(flip))
            for flip in flips
            if (flip.delta > 0) == better
        ]

        def card(change: Change) -> CaseRow:
            about = next(flip for flip in changed[change.case] if flip.metric == change.metric)
            return replace(
                self.cards.card(change.case, change.words, about=about),
                better=better,
                parts=one_line(", ".join(self.choice.parts_of(change)), 200),
                also=_also(flip for flip in changed[change.case] if flip is not about),
            )

        return self._listing(changes, most, above, card)

    def _required(self, decision: Decision, above: set[CaseName]) -> Listing:
        """Failed cases that must never be wrong, `suite::case` each."""
        names, changed = decision.required_failures, by_case(decision.flips)
        known = {f"{suite}::{case}": (suite, case) for suite, case in self.cards.plan}
        rows = []
        for name in names[: self.cards.limits.missed]:
            suite, _, case = name.partition("::")
            found = known.get(name, (suite, case))
            above.add(found)
            card = self.cards.card(found, "must never fail")
            rows.append(replace(card, required=True, also=_also(changed.get(found, ()))))
        return Listing(rows=tuple(rows), total=len(names))

    def missed(self, most: int, *, above: set[CaseName]) -> Listing:
        """Cases that the candidate answered below par; those that the champion passed come first."""
        changes = []
        for name in self.missed_names():
            words = self._missed_phrase(name)
            metrics = dict.fromkeys(
                check.metric
                for key in self.cards.plan[name].keys
                for check in self.candidate.scored[key].checks
                if check.outcome is Outcome.FAIL and not check.part
            )
            changes += [Change(case=name, metric=it, words=words, size=words == NEW) for it in metrics or [""]]

        def card(change: Change) -> CaseRow:
            return self.cards.card(change.case, change.words, metric=change.metric, sides=CANDIDATE)

        return self._listing(changes, most, above, card)

    def missed_names(self) -> list[CaseName]:
        """Cases of which every repeat was evaluated and at least one did not pass."""
        return [
            (case.suite, case.case)
            for case in self.candidate.cases
            if not case.unchecked and not passed(self.candidate, case) and evaluated(self.candidate, case)
        ]

    def _missed_phrase(self, name: CaseName) -> str:
        if self.champion is None:
            return "below par"
        case = self.cards.plan[name]
        if not evaluated(self.champion, case):
            return "champion not evaluated"
        return NEW if passed(self.champion, case) else "missed by the champion too"

    def _listing(
        self, changes: Sequence[Change], most: int, above: set[CaseName], card: Callable[[Change], CaseRow]
    ) -> Listing:
        """The first cards of cases that have none yet, and of every metric how many cases it has and how many show."""
        cases = {change.case for change in changes}
        already = len(cases & above)
        chosen = list(islice((it for it in self.choice.in_turns(changes) if it.case not in above), most))
        above.update(change.case for change in chosen)
        return Listing(
            rows=tuple(card(change) for change in chosen),
            total=len(cases),
            above=already,
            shares=tuple(self._shares(changes, above))[: self.cards.limits.shares],
        )

    def _shares(self, changes: Sequence[Change], above: set[CaseName]) -> Iterable[Share]:
        """The metrics that fail first, then those with the most cases."""
        totals: dict[MetricName, int] = {}
        shown: dict[MetricName, int] = {}
        for change in changes:
            name = (change.case[0], change.metric)
            totals[name] = totals.get(name, 0) + 1
            shown[name] = shown.get(name, 0) + (change.case in above)
        for name in sorted(totals, key=lambda name: (self.choice.rank(name), -totals[name], name)):
            if name[1]:
                yield Share(
                    suite=one_line(name[0], 120),
                    metric=one_line(name[1], 120),
                    fails=self.choice.rank(name) == 0,
                    total=totals[name],
                    shown=shown[name],
                )

    def errors(self) -> tuple[tuple[ErrorRow, ...], int]:
        """Causes of everything that was not evaluated, the most frequent first, and how many causes are left out."""
        rows = [*self._causes("candidate", self.candidate)]
        if self.champion is not None:
            rows += self._causes("champion", self.champion)
        rows.sort(key=lambda row: (row.side != "candidate", -row.count, row.cause))
        most = self.cards.limits.errors
        return tuple(rows[:most]), max(0, len(rows) - most)

    def _causes(self, side: Literal["candidate", "champion"], record: Record) -> Iterable[ErrorRow]:
        causes: dict[str, list[str]] = {}
        for key in (key for case in record.cases for key in case.keys):
            cause = why_not_evaluated(record.scored.get(key))
            if cause:
                causes.setdefault(cause, []).append(one_line(str(key), 120))
        for cause, names in causes.items():
            shown = tuple(names[: self.cards.limits.names])
            yield ErrorRow(side=side, cause=cause, count=len(names), cases=shown, left_out=len(names) - len(shown))


def by_case(flips: Iterable[Flip]) -> dict[CaseName, list[Flip]]:
    """The changes of every case."""
    changed: dict[CaseName, list[Flip]] = {}
    for flip in flips:
        changed.setdefault((flip.suite, flip.case), []).append(flip)
    return changed


def _also(flips: Iterable[Flip]) -> tuple[str, ...]:
    return tuple(f"{one_line(flip.metric, 120)} {flip_words(flip)}" for flip in flips)
