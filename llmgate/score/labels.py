"""A judge over items that people have labelled: raw pairs of what people said and what the judge said.

Nothing here averages. How far both agree is `llmgate.stats.agreement`'s business, and what follows from it the gate's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from llmgate.record.schema import CheckResult, Judgement, Outcome
from llmgate.score.check import CheckContext
from llmgate.score.checks import error_reason, run_consult
from llmgate.score.prefer import DEFAULT_CRITERION, Side, ask_both_orders

if TYPE_CHECKING:
    from llmgate.score.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["AnswerItem", "JudgedAnswer", "JudgedPair", "PairItem", "judge_answers", "judge_pairs"]

TIE: Final = 0
_NUMBER: Final[Mapping[Side, int]] = {"one": 1, "other": 2, "tie": TIE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerItem:
    """One answer and what people said about it.

    Attributes:
        id: Stable and unique.
        output: The answer.
        human: Each person's label, None where one gave none.
        prompt: What it answers.
        variables: Columns for the assert's templates.
        cluster: Items that are not independent of each other share it.
        stratum: The part of the items that it belongs to.
    """

    id: str
    output: str
    human: tuple[bool | None, ...]
    prompt: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """An answer, people's labels, and the judge's word: True for pass, None if it could not be had."""

    item: AnswerItem
    result: CheckResult

    @property
    def judge(self) -> bool | None:
        """What the judge said."""
        return None if self.result.outcome is Outcome.ERROR else self.result.outcome is Outcome.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class PairItem:
    """Two answers to one question and which of them people found better.

    Attributes:
        id: Stable and unique.
        output_1: An answer.
        output_2: Another answer.
        human: Each person's vote: 1 or 2 for that answer, 0 for a tie, None where one gave none.
        prompt: What both answer.
        variables: Columns for the criterion's templates.
        cluster: Items that are not independent of each other share it.
        stratum: The part of the items that it belongs to.
    """

    id: str
    output_1: str
    output_2: str
    human: tuple[int | None, ...]
    prompt: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPair:
    """A pair, people's votes, and the judge's votes in both orders.

    Attributes:
        item: The pair.
        judge: With answer 1 shown first, and with answer 2 shown first: 1, 2, 0 for a tie, None for no verdict.
        judgements: What the judge was asked and answered.
        error: Why there is no verdict.
    """

    item: PairItem
    judge: tuple[int | None, int | None]
    judgements: tuple[Judgement, ...] = ()
    error: str | None = None


async def judge_answers(items: Sequence[AnswerItem], spec: AssertSpec, models: Models) -> tuple[JudgedAnswer, ...]:
    """Asks a judge about every labelled answer.

    Args:
        items: The answers.
        spec: A judged assert. It is asked as it would be without `not-` and weight: people label what the criterion
            says.
        models: The judge.
    """
    plain = replace(spec, negated=False, weight=1.0)

    async def one(item: AnswerItem) -> JudgedAnswer:
        context = CheckContext(output=item.output, variables=item.variables, prompt=item.prompt)
        return JudgedAnswer(item=item, result=await run_consult(plain, context, models))

    return tuple(await asyncio.gather(*(one(item) for item in items)))


async def judge_pairs(
    items: Sequence[PairItem], models: Models, *, criterion: str = DEFAULT_CRITERION
) -> tuple[JudgedPair, ...]:
    """Asks a judge about every pair, in both orders.

    Args:
        items: The pairs.
        models: The judge.
        criterion: What makes an answer better.
    """

    async def one(item: PairItem) -> JudgedPair:
        log: list[Judgement] = []
        found = await ask_both_orders(
            models.logged(log), item.output_1, item.output_2, question=item.prompt, criterion=criterion
        )
        votes = [None if isinstance(side, Exception) else _NUMBER[side[0]] for side in found]
        errors = [error_reason(side) for side in found if isinstance(side, Exception)]
        return JudgedPair(item=item, judge=(votes[0], votes[1]), judgements=tuple(log), error="; ".join(errors) or None)

    return tuple(await asyncio.gather(*(one(item) for item in items)))
