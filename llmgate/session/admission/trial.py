"""A judge is asked about everything that people labelled: every question that is planned, and what came of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.gate.judges.agreement import settled_label
from llmgate.record.judges.admission import AdmissionEvidence, CanaryTrial, LabelledItem
from llmgate.record.judges.verdicts import TrialVerdict
from llmgate.record.schema import Judgement, Outcome
from llmgate.score.assertion.check import CheckContext
from llmgate.score.execute import error_reason, run_consult
from llmgate.score.judge.criterion import text_setting
from llmgate.score.judge.pairwise import DEFAULT_CRITERION, ask_both_orders
from llmgate.score.judge_canaries import CANARIES
from llmgate.score.labels import LabelFile, PairItem
from llmgate.score.vocabulary import Checks
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from llmgate.record.judges.verdicts import VerdictLog, Verdicts
    from llmgate.score.assertion.models import Models
    from llmgate.score.labels import AnswerItem
    from llmgate.session.progress import Progress

__all__ = ["CANARY_ITEMS", "REPEATS", "Questions", "ask_all", "evidence_of"]

REPEATS: Final = 50
"""Questions that are asked once more."""
CANARY_ITEMS: Final = 3
"""Items in whose place canaries are put."""
CANARY: Final = "canary:"
LAID_OUT: Final = re.compile(r"^(#{1,6} |[-*+] |\d+[.)] |```|\|.+\|)|\*\*\S", re.MULTILINE)
"""Markdown that a judge may like better than people do."""

Key = tuple[str, str]
"""Task and item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked: the same for the same labels, so that an answer that is missing is seen to be missing.

    Attributes:
        labels: What people labelled.
        spec: The judged assert, without `not-` and weight: people label what the criterion says.
        vocabulary: The assert types that exist.
        repeats: Questions that are asked once more, spread over the items.
    """

    labels: LabelFile
    spec: AssertSpec
    vocabulary: Checks
    repeats: int = REPEATS

    @property
    def items(self) -> Sequence[AnswerItem | PairItem]:
        """All items, in order."""
        return self.labels.answers or self.labels.pairs

    @property
    def repeated(self) -> frozenset[str]:
        """The items that are asked about once more."""
        return frozenset(item.id for item in spread(self.items, self.repeats))

    @property
    def keys(self) -> list[Key]:
        """Every question."""
        again = self.repeated
        return [
            *(("verdict", item.id) for item in self.items),
            *(("again", item.id) for item in self.items if item.id in again),
            *((f"{CANARY}{name}", item.id) for item in spread(self.items, CANARY_ITEMS) for name in CANARIES),
        ]


def spread(items: Sequence[AnswerItem | PairItem], count: int) -> list[AnswerItem | PairItem]:
    """So many items at even distances."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


async def ask_all(questions: Questions, models: Models, log: VerdictLog, *, progress: Progress) -> None:
    """Ask everything to which no answer stands.

    Args:
        questions: What is asked.
        models: The judges.
        log: Knows what was answered, and keeps what is.
        progress: Told how far it is.

    Raises:
        RecordError: If the log cannot be written.
    """
    todo = [key for key in questions.keys if key not in log.verdicts or not log.verdicts[key].final]
    by_id = {item.id: item for item in questions.items}
    ask = asker_of(questions, models)
    done = 0

    async def put(task: str, name: str) -> None:
        nonlocal done
        log.append(replace(await ask(by_id[name], task), item=name, task=task))
        done += 1
        progress.count("questions to the judge", done, len(todo))

    async with asyncio.TaskGroup() as group:
        for task, name in todo:
            group.create_task(put(task, name))


Asking = Callable[["AnswerItem | PairItem", str], Coroutine[Any, Any, TrialVerdict]]


def asker_of(questions: Questions, models: Models) -> Asking:
    """Asks one question about an item, as a task wants it."""
    spec = replace(questions.spec, negated=False, weight=1.0, required=False)
    criterion = text_setting(spec, "criterion")

    async def ask(item: AnswerItem | PairItem, task: str) -> TrialVerdict:
        canary = CANARIES[task.removeprefix(CANARY)] if task.startswith(CANARY) else None
        if not isinstance(item, PairItem):
            output = item.output if canary is None else canary
            context = CheckContext(output=output, variables=item.variables, prompt=item.prompt)
            result = await run_consult(spec, context, models, questions.vocabulary)
            lost = result.outcome is Outcome.ERROR
            return TrialVerdict(
                item=item.id,
                said=None if lost else result.outcome.value,
                error=result.reason if lost else None,
                replies=replies_of(result.judgements),
            )
        wanted = criterion.on(CheckContext(output="", variables=item.variables)) if criterion else DEFAULT_CRITERION
        if canary is None:
            return await both_orders(item, models, item.output_1, item.output_2, wanted)
        verdict = await both_orders(item, models, canary, preferred(item), wanted)
        return replace(verdict, said=canary_said(verdict), orders=None)

    return ask


async def both_orders(item: PairItem, models: Models, output: str, other: str, criterion: str) -> TrialVerdict:
    """Which of two answers the judge prefers, in both orders."""
    log: list[Judgement] = []
    sides = await ask_both_orders(models.logged(log), output, other, question=item.prompt, criterion=criterion)
    words = {"one": "1", "other": "2", "tie": "tie"}
    first, second = (None if isinstance(side, Exception) else words[side[0]] for side in sides)
    errors = [error_reason(side) for side in sides if isinstance(side, Exception)]
    return TrialVerdict(item=item.id, orders=(first, second), error="; ".join(errors) or None, replies=replies_of(log))


def preferred(item: PairItem) -> str:
    """The answer that people find better, the first one where they find none."""
    return item.output_2 if settled_label([pair_word(vote) for vote in item.human]) == "2" else item.output_1


def canary_said(verdict: TrialVerdict) -> str | None:
    """`fail` if the canary was beaten in both orders together, `pass` if it came away with a tie or more."""
    points = {"1": 1.0, "tie": 0.5, "2": 0.0}
    first, second = verdict.orders or (None, None)
    if first is None or second is None:
        return None
    return "pass" if points[first] + points[second] >= 1.0 else "fail"


def replies_of(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """What came back."""
    return tuple(judgement.reply for judgement in judgements if judgement.reply is not None)


def pair_word(vote: int | None) -> str | None:
    """A person's vote in the words of admissions."""
    return None if vote is None else ("tie", "1", "2")[vote]


def evidence_of(questions: Questions, verdicts: Verdicts) -> AdmissionEvidence:
    """What was planned, with what was answered; what was not is there without an answer."""
    again = questions.repeated
    return AdmissionEvidence(
        kind="answers" if questions.labels.answers else "pairs",
        items=tuple(labelled(item, verdicts, again=item.id in again) for item in questions.items),
        canaries=tuple(
            CanaryTrial(canary=task.removeprefix(CANARY), item=name, outcome=canary_outcome(verdicts.get((task, name))))
            for task, name in questions.keys
            if task.startswith(CANARY)
        ),
    )


def labelled(item: AnswerItem | PairItem, verdicts: Verdicts, *, again: bool) -> LabelledItem:
    """One item."""
    verdict, repeated = (verdicts.get((task, item.id)) for task in ("verdict", "again"))
    paired = isinstance(item, PairItem)
    votes = (
        tuple(pair_word(vote) for vote in item.human)
        if paired
        else tuple(None if vote is None else "pass" if vote else "fail" for vote in item.human)
    )
    outputs = (item.output_1, item.output_2) if isinstance(item, PairItem) else (item.output,)
    systems = (item.system_1, item.system_2) if isinstance(item, PairItem) else (item.system,)
    return LabelledItem(
        item=item.id,
        votes=votes,
        said=word_of(verdict, paired=paired),
        orders=((verdict.orders if verdict else None) or (None, None)) if paired else None,
        again=(word_of(repeated, paired=paired),) if again else (),
        cluster=item.cluster,
        stratum=item.stratum,
        systems=tuple(system for system in systems if system is not None),
        case=item.case or item.prompt or None,
        lengths=tuple(len(output) for output in outputs),
        styled=tuple(LAID_OUT.search(output) is not None for output in outputs),
    )


def word_of(verdict: TrialVerdict | None, *, paired: bool) -> str | None:
    """What the judge said; of a pair the average of both orders, where two that disagree are a tie."""
    if verdict is None:
        return None
    if not paired:
        return verdict.said
    worth = {"1": 1, "tie": 0, "2": -1}
    first, second = verdict.orders or (None, None)
    if first is None or second is None:
        return None
    total = worth[first] + worth[second]
    return "1" if total > 0 else "2" if total < 0 else "tie"


def canary_outcome(verdict: TrialVerdict | None) -> Literal["caught", "passed", "lost"]:
    """What became of a canary."""
    if verdict is None or verdict.said not in {"pass", "fail"}:
        return "lost"
    return "passed" if verdict.said == "pass" else "caught"
