"""A round of candidates, decided together: stepped down from the best, at one error rate for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from llmgate.errors import NotComparableError, RecordError, UsageError
from llmgate.gate.attempts.earlier import Earlier
from llmgate.gate.decision.round_types import RoundDecision
from llmgate.gate.decision.statement import policy_digest
from llmgate.gate.decision.types import Problem, Verdict
from llmgate.gate.evidence.comparable import check_comparable, check_decidable, same_answers
from llmgate.gate.rounds.correlation import round_correlation
from llmgate.gate.rounds.member import decide_member
from llmgate.record.policy import Policy
from llmgate.record.schema import Record

if TYPE_CHECKING:
    from datetime import date

    from llmgate.gate.decision.types import Decision

__all__ = ["DeclaredRound", "check_round", "decide_final", "decide_round"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredRound:
    """What is decided together.

    Attributes:
        name: As `--round` declared it.
        candidates: Their records, two at least, in the order of their numbers.
        champion: The champion's record.
        policy: None for the candidates' own, which must be one.
        earlier: By journal digest, the earlier attempts of candidates that have some; of the final too.
        problems: By journal digest, what is wrong with what tells of them.
    """

    name: str
    candidates: Sequence[Record]
    champion: Record
    policy: Policy | None = None
    earlier: Mapping[str, Sequence[Earlier]] = field(default_factory=dict)
    problems: Mapping[str, Sequence[Problem]] = field(default_factory=dict)

    @property
    def rules(self) -> Policy:
        """The policy that holds for all."""
        return self.candidates[0].manifest.policy if self.policy is None else self.policy

    def member(self, record: Record, champion: Record, place: RoundDecision, *, today: date | None = None) -> Decision:
        """The decision on one record of the round, with its earlier attempts; see `decide_member`."""
        digest = _digest(record)
        return decide_member(
            record,
            champion,
            self.policy,
            place,
            today=today,
            earlier=self.earlier.get(digest, ()),
            problems=self.problems.get(digest, ()),
        )

    @property
    def digests(self) -> tuple[str, ...]:
        """Journal digests of the candidates."""
        return tuple(map(_digest, self.candidates))


def decide_round(declared: DeclaredRound, *, today: date | None = None) -> tuple[Decision, ...]:
    """Decide on all candidates of a round together.

    All are put to the bound of K; whoever passes leaves, and the others are put to the bound of those that are left,
    until nobody passes. A bad candidate passes with a probability of at most alpha, whichever and however many are bad.

    Args:
        declared: The round.
        today: As for `decide`.

    Returns:
        A decision for each, in the same order.

    Raises:
        UsageError: If there are fewer than two.
        RecordError: If a record is unfinished, named twice, the champion's, or was not made for this round.
        NotComparableError: If they differ in what was asked, or by which policy.
        LlmgateError: As `decide_records`.

    Reference: Dunnett & Tamhane (1991), Statistics in Medicine 10:939-947.
    """
    check_round(declared)
    count = len(declared.candidates)
    correlation = round_correlation(declared.candidates, declared.champion, declared.rules)
    decided: dict[int, Decision] = {}
    passed: tuple[int, ...] = ()
    while len(passed) < count:
        before = passed
        for number, record in enumerate(declared.candidates, start=1):
            if number not in before:
                place = RoundDecision(
                    name=declared.name,
                    number=number,
                    of=count,
                    candidates=declared.digests,
                    before=before,
                    correlation=correlation,
                )
                decided[number] = declared.member(record, declared.champion, place, today=today)
        passed = tuple(number for number in sorted(decided) if decided[number].verdict is Verdict.PASS)
        if passed == before:
            break
    return tuple(decided[number] for number in sorted(decided))


def decide_final(
    declared: DeclaredRound, final: Record, final_champion: Record, *, today: date | None = None
) -> Decision:
    """Decide on one candidate of a round that was asked again, on cases that had no part in choosing it.

    Such a run has the whole error rate to itself, however many candidates there were and however it was chosen.

    Args:
        declared: The round.
        final: The chosen candidate's record on new cases, made for the same round.
        final_champion: The champion's record on the new cases.
        today: As for `decide`.

    Raises:
        UsageError: If there are fewer than two candidates.
        RecordError: As `decide_round`; if the final asked a case of the round again.
        NotComparableError: If the final's model is none of the candidates, its champion is another one, or its policy
            is.
        LlmgateError: As `decide_records`.
    """
    check_round(declared)
    check_decidable(final)
    check_decidable(final_champion)
    _refuse_old_cases(final, declared.candidates)
    if declared.policy is None and policy_digest(final.manifest.policy) != policy_digest(declared.rules):
        _differ("policy of the final", final, "another one", fix="Run the final with the round's policy")
    if not _same_model(final_champion, declared.champion):
        what = f"{final_champion.manifest.model.name!r}, and the round's is {declared.champion.manifest.model.name!r}"
        _differ("champion of the final", final_champion, what, fix="Ask the round's champion the new cases too")
    numbers = [number for number, record in enumerate(declared.candidates, start=1) if _same_model(record, final)]
    if len(numbers) != 1:
        what = f"{final.manifest.model.name!r}, which is {len(numbers)} of the round's candidates"
        _differ("model of the final", final, what, fix="Run one of the candidates again, served as it was")
    place = RoundDecision(
        name=declared.name,
        number=numbers[0],
        of=len(declared.candidates),
        candidates=declared.digests,
        final=True,
    )
    return declared.member(final, final_champion, place, today=today)


def check_round(declared: DeclaredRound) -> None:
    """Refuse what is no round: see `decide_round`."""
    candidates, champion, name = declared.candidates, declared.champion, declared.name
    if len(candidates) < 2:
        raise UsageError(
            f"{len(candidates)} candidate is no round",
            where=name,
            fix="Name all candidates of the round; one that stands alone is run without --round, and decided alone",
        )
    check_decidable(champion)
    first = candidates[0]
    for number, record in enumerate(candidates, start=1):
        where = record.path or record.manifest.run_id
        check_decidable(record)
        if record.manifest.round != name:
            was = f"round {record.manifest.round!r}" if record.manifest.round else "no round"
            raise RecordError(
                f"the run was made for {was}, and not for {name!r}",
                where=where,
                fix=f"Run it anew with --round {name}: a round is declared before it is run",
            )
        if _digest(record) in declared.digests[: number - 1]:
            raise RecordError("the run is named twice", where=where, fix="Name each candidate once")
        if record.manifest.run_id == champion.manifest.run_id or same_answers(record, champion):
            raise RecordError("the run is the champion's own", where=where, fix="Name the candidates only")
        asked = (record.manifest.suites, record.manifest.cases_digest)
        if asked != (first.manifest.suites, first.manifest.cases_digest):
            _differ("list of cases", record, "not that of the first candidate", fix="Ask all candidates the same cases")
        if declared.policy is None and policy_digest(record.manifest.policy) != policy_digest(declared.rules):
            _differ("policy", record, "not that of the first candidate", fix="Name one for all with --policy")
        check_comparable(record, champion, declared.rules)


def _refuse_old_cases(final: Record, candidates: Sequence[Record]) -> None:
    """A final on cases that chose it passes a bad candidate in 16 % of rounds of 5, and in 31 % of rounds of 20."""
    known = {repr(case.messages) for record in candidates for case in record.cases if case.messages}
    names = {(case.suite, case.case) for record in candidates for case in record.cases if not case.messages}
    again = [
        case
        for case in final.cases
        if repr(case.messages) in known or (not case.messages and (case.suite, case.case) in names)
    ]
    if again:
        raise RecordError(
            f"{len(again):,} of the final's {len(final.cases):,} cases are the round's, such as"
            f" {again[0].suite}::{again[0].case}: who was chosen by them looks better on them than it is",
            where=final.path or final.manifest.run_id,
            fix="Ask new cases, of another dataset; or decide the candidates together, without --final",
        )


def _same_model(one: Record, other: Record) -> bool:
    first, second = one.manifest.model, other.manifest.model
    if first.weights_digest and second.weights_digest:
        return first.weights_digest == second.weights_digest
    deployments = one.manifest.server.deployment == other.manifest.server.deployment
    return deployments and (first.name, first.source.rstrip("/")) == (second.name, second.source.rstrip("/"))


def _digest(record: Record) -> str:
    return record.seal.journal_digest if record.seal is not None else ""


def _differ(field: str, record: Record, what: str, *, fix: str) -> NoReturn:
    raise NotComparableError(f"the {field} is {what}", where=record.path or record.manifest.run_id, fix=fix)
