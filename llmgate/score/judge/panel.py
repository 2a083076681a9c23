"""Several judges for one assert: each is asked by itself, every vote is kept, and one rule counts them.

`judges: [a, b, c]` works for every type that asks a judge, with `config: {vote: …, quorum: …}`. A member that cannot be
asked or understood makes the whole an error, unless `quorum` says how many votes are enough.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError, LlmgateError, SuiteError, UndefinedError
from llmgate.record.schema import Judgement, Outcome, Vote
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import Kind, ModelGradedKind, Need
from llmgate.score.assertion.models import writable
from llmgate.score.assertion.rule import invalid_value
from llmgate.score.assertion.settings import choice, least, whole

if TYPE_CHECKING:
    from llmgate.score.assertion.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["PANEL_SETTINGS", "VOTES", "with_panel", "with_panels"]

PANEL_SETTINGS: Final[Mapping[str, str]] = {
    "vote": "how several judges' votes count: `majority` (default), `all`, `any`, `mean`, `median`",
    "quorum": "how many judges must give a verdict, all",
}
"""Keys of `config` that say how several judges' votes count, for every type that asks one."""
_MAX_REASON_CHARS: Final = 300
_NAMED_REASON_CHARS: Final = 60

Count = Callable[[Sequence[Finding], float], tuple[bool, float]]
"""Findings and a threshold → whether the answer passes, and its score."""


def _majority(findings: Sequence[Finding], _: float) -> tuple[bool, float]:
    passing = sum(finding.passed for finding in findings)
    if 2 * passing == len(findings):
        # Neither side; as a fail it would be a pass for `not-`.
        raise JudgeError(f"the judges are split {passing} to {passing}", fix="Ask an odd number of judges")
    return 2 * passing > len(findings), passing / len(findings)


def _all(findings: Sequence[Finding], _: float) -> tuple[bool, float]:
    return all(finding.passed for finding in findings), min(finding.score for finding in findings)


def _any(findings: Sequence[Finding], _: float) -> tuple[bool, float]:
    return any(finding.passed for finding in findings), max(finding.score for finding in findings)


def _mean(findings: Sequence[Finding], threshold: float) -> tuple[bool, float]:
    score = statistics.fmean(finding.score for finding in findings)
    return score >= threshold, score


def _median(findings: Sequence[Finding], threshold: float) -> tuple[bool, float]:
    score = statistics.median(finding.score for finding in findings)
    return score >= threshold, score


VOTES: Final[Mapping[str, Count]] = {"majority": _majority, "all": _all, "any": _any, "mean": _mean, "median": _median}
"""How votes are counted, by the name in a suite."""
_BY_SCORE: Final = frozenset({"mean", "median"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """The judges of one assert and how their votes count."""

    names: tuple[str, ...]
    vote: str
    threshold: float
    quorum: int

    @classmethod
    def read(cls, spec: AssertSpec) -> _Panel:
        """Reads `judges`, `vote` and `quorum`.

        Raises:
            SuiteError: If they do not fit together.
        """
        names = spec.judges
        if any(not name.strip() for name in names):
            raise invalid_value(spec, "a judge in `judges` has no name")
        if len(set(names)) < len(names):
            raise invalid_value(spec, "a judge stands twice in `judges`", "Each judge has one vote")
        vote = choice(spec, "vote", "majority", VOTES)
        if len(names) < 2 and spec.config.keys() & PANEL_SETTINGS.keys():
            raise invalid_value(spec, "`vote` and `quorum` need several judges", "Name them: judges: [a, b, c]")
        if vote in _BY_SCORE and spec.threshold is None:
            raise invalid_value(spec, f"the vote {vote!r} needs a threshold for the score", "Add `threshold:`")
        threshold = least(spec, 1.0) if vote in _BY_SCORE else 0.0
        quorum = whole(spec, "quorum", max(1, len(names)), low=1, high=max(1, len(names)))
        return cls(names=names, vote=vote, threshold=threshold, quorum=quorum)


def with_panels(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    """The same kinds, of which those that ask a judge can ask several."""
    return {name: with_panel(kind) for name, kind in kinds.items()}


def with_panel(kind: Kind) -> Kind:
    """The same kind, which can ask several judges if it asks one."""
    if not isinstance(kind, ModelGradedKind) or Need.JUDGE not in kind.asks:
        return kind

    def prepare(spec: AssertSpec) -> Consult:
        panel = _Panel.read(spec)
        own = {key: value for key, value in spec.config.items() if key not in PANEL_SETTINGS}
        consult = kind.prepare(replace(spec, judges=(), config=own))
        return _asking(panel, consult) if panel.names else consult

    return replace(kind, prepare=prepare, settings={**kind.settings, **PANEL_SETTINGS})


def _asking(panel: _Panel, consult: Consult) -> Consult:
    async def ask(context: CheckContext, models: Models) -> Finding:
        if len(panel.names) == 1:
            return await consult(context, models.asking(panel.names[0]))
        logs: list[list[Judgement]] = [[] for _ in panel.names]
        members = zip(panel.names, logs, strict=True)
        try:
            votes = await asyncio.gather(
                *(_vote(consult, context, models.asking(name).logged(log)) for name, log in members)
            )
        finally:
            if models.log is not None:
                # Member by member, so that the record does not depend on who answered first.
                models.log.extend(entry for log in logs for entry in log)
        for vote in votes:
            if isinstance(vote, SuiteError):
                # The rule is broken, so no quorum of other judges can have applied it.
                raise vote
        return _counted(panel, votes)

    return ask


async def _vote(consult: Consult, context: CheckContext, models: Models) -> Finding | Exception:
    """What a member came to, noted at its last question."""
    log = models.log if models.log is not None else []
    finding: Finding | Exception
    try:
        finding = await consult(context, models)
        if not math.isfinite(finding.score):
            raise UndefinedError(f"the score is {finding.score}")
        vote = Vote(
            outcome=Outcome.PASS if finding.passed else Outcome.FAIL,
            score=min(1.0, max(0.0, finding.score)),
            reason=writable(finding.reason[:_MAX_REASON_CHARS]),
        )
    except Exception as error:  # noqa: BLE001 - one member's error is not the others'
        finding = error
        vote = Vote(outcome=Outcome.ERROR, score=None, reason=writable(_worded(error)[:_MAX_REASON_CHARS]))
    if not log:
        log.append(Judgement(judge=models.default, error=vote.reason if vote.score is None else None))
    log[-1] = replace(log[-1], vote=vote)
    return finding


def _worded(error: Exception) -> str:
    return str(error) if isinstance(error, LlmgateError) else f"{type(error).__name__}: {error}"


def _counted(panel: _Panel, votes: Sequence[Finding | Exception]) -> Finding:
    findings = [vote for vote in votes if isinstance(vote, Finding)]
    shown = "; ".join(f"{name}: {_shown(vote)}" for name, vote in zip(panel.names, votes, strict=True))
    if len(findings) < panel.quorum:
        raise JudgeError(f"{len(findings)} of {len(votes)} judges gave a verdict, wanted {panel.quorum}: {shown}")
    passed, score = VOTES[panel.vote](findings, panel.threshold)
    return Finding(passed, score, f"{panel.vote} of {len(findings)} judges: {shown}")


def _shown(vote: Finding | Exception) -> str:
    if isinstance(vote, Exception):
        return f"error, {_worded(vote)[:_NAMED_REASON_CHARS]}"
    return f"{'pass' if vote.passed else 'fail'} {vote.score:.3g}, {vote.reason[:_NAMED_REASON_CHARS]}"
