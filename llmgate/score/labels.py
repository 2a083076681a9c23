"""Human labels for judges: files of labelled items, and the questions that a judge is asked about them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError, did_you_mean
from llmgate.record.schema import CheckResult, Judgement, Outcome
from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.rule import shown
from llmgate.score.execute import error_reason, run_consult
from llmgate.score.judge.pairwise import DEFAULT_CRITERION, Side, ask_both_orders
from llmgate.suite.data.strict_json import json_type, parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.score.assertion.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "AnswerItem",
    "JudgedAnswer",
    "JudgedPair",
    "LabelFile",
    "PairItem",
    "judge_answers",
    "judge_pairs",
    "read_labels",
]

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


SHARED: Final = ("id", "prompt", "human", "vars", "cluster", "stratum")
OUTPUTS: Final[Mapping[str, tuple[str, ...]]] = {"answers": ("output",), "pairs": ("output_1", "output_2")}
EXAMPLE: Final = 'Write {"id": "a1", "prompt": "…", "output": "…", "human": true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFile:
    """What a file holds; exactly one of the two is not empty.

    Attributes:
        name: The file's name.
        digest: SHA-256 of its bytes.
        answers: Labelled answers.
        pairs: Labelled pairs of answers.
    """

    name: str
    digest: str
    answers: tuple[AnswerItem, ...] = ()
    pairs: tuple[PairItem, ...] = ()


def read_labels(path: Path) -> LabelFile:
    """Read a file of labels.

    Args:
        path: UTF-8, one JSON object per line; empty lines are skipped.

    Raises:
        DatasetError: With file and line: not JSON, an unknown or missing key, an id that occurs twice, a label that is
            none, or answers and pairs in one file.
    """
    try:
        data = path.read_bytes()
        text = data.decode()
    except OSError as error:
        raise DatasetError(
            f"cannot be read ({error.strerror})", where=str(path), fix="Name a file of labels"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"not UTF-8 at byte {error.start}", where=str(path), fix="Save it as UTF-8") from error
    answers: list[AnswerItem] = []
    pairs: list[PairItem] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        item = _item(_row(line, where), where)
        if item.id in seen:
            raise DatasetError(
                f"the id {item.id!r} occurred already on line {seen[item.id]}",
                where=where,
                fix="Put the labels of several people into one row: human: [true, false]",
            )
        seen[item.id] = number
        if isinstance(item, AnswerItem):
            answers.append(item)
        else:
            pairs.append(item)
        if answers and pairs:
            raise DatasetError("answers and pairs are mixed", where=where, fix="Write a file for each")
    if not seen:
        raise DatasetError("no labels", where=str(path), fix=EXAMPLE)
    return LabelFile(
        name=path.name, digest=hashlib.sha256(data).hexdigest(), answers=tuple(answers), pairs=tuple(pairs)
    )


def _row(line: str, where: str) -> dict[str, Any]:
    row = parse_json(line, where=where, fix=EXAMPLE)
    if not isinstance(row, dict):
        raise DatasetError(f"{json_type(row)} instead of an object", where=where, fix=EXAMPLE)
    return row


def _item(row: dict[str, Any], where: str) -> AnswerItem | PairItem:
    kind = "answers" if "output" in row else "pairs"
    known = (*SHARED, *OUTPUTS[kind])
    for key in row:
        if key not in known:
            raise DatasetError(f"unknown key {key!r}", where=where, fix=did_you_mean(key, known))
    for key in ("id", "human", *OUTPUTS[kind]):
        if key not in row:
            raise DatasetError(f"no {key!r}", where=where, fix=EXAMPLE)
    _check_types(row, OUTPUTS[kind], where)
    votes = row["human"] if isinstance(row["human"], list) else [row["human"]]
    shared: dict[str, Any] = {
        "id": row["id"],
        "prompt": row.get("prompt", ""),
        "variables": row.get("vars", {}),
        "cluster": row.get("cluster"),
        "stratum": row.get("stratum"),
    }
    if kind == "answers":
        human = tuple(_yes_or_no(vote, where) for vote in votes)
        return AnswerItem(output=row["output"], human=human, **shared)
    better = tuple(_better(vote, where) for vote in votes)
    return PairItem(output_1=row["output_1"], output_2=row["output_2"], human=better, **shared)


def _check_types(row: dict[str, Any], outputs: tuple[str, ...], where: str) -> None:
    for key in ("prompt", *outputs):
        if not isinstance(row.get(key, ""), str):
            raise DatasetError(f"{key} is {json_type(row[key])}, but must be a text", where=where, fix="Write a text")
    for key in ("id", "cluster", "stratum"):
        if row.get(key) is not None and not (isinstance(row[key], str) and row[key]):
            raise DatasetError(f"{key} is {shown(row[key])}", where=where, fix="Write a text")
    if row["id"] is None:
        raise DatasetError("id is null", where=where, fix="Give every item its own id")
    if not isinstance(row.get("vars", {}), dict):
        raise DatasetError(f"vars is {json_type(row['vars'])}", where=where, fix="Write {name: value}")


def _yes_or_no(vote: object, where: str) -> bool | None:
    if vote is None or isinstance(vote, bool):
        return vote
    raise DatasetError(
        f"the label {shown(vote)} is none",
        where=where,
        fix="Write true if the answer meets the criterion, false if not, null for no label",
    )


def _better(vote: object, where: str) -> int | None:
    if vote is None or (isinstance(vote, int) and not isinstance(vote, bool) and vote in {0, 1, 2}):
        return vote
    raise DatasetError(
        f"the label {shown(vote)} is none",
        where=where,
        fix="Write 1 or 2 for the better answer, 0 for a tie, null for no label",
    )
