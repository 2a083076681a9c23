"""Human labels for judges: files of labelled items, and the questions that a judge is asked about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError, did_you_mean
from llmgate.record.disk import read_regular
from llmgate.score.assertion.rule import shown
from llmgate.suite.data.strict_json import json_type, parse_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AnswerItem", "LabelFile", "PairItem", "read_labels"]

SHARED: Final = ("id", "prompt", "human", "vars", "cluster", "stratum", "case")
OUTPUTS: Final[Mapping[str, tuple[str, ...]]] = {"answers": ("output",), "pairs": ("output_1", "output_2")}
SYSTEMS: Final[Mapping[str, tuple[str, ...]]] = {"answers": ("system",), "pairs": ("system_1", "system_2")}
EXAMPLE: Final = 'Write {"id": "a1", "prompt": "…", "output": "…", "human": true}'


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
        system: Who gave the answer, None where that is not known.
        case: Answers to the same question share it; None for the prompt.
    """

    id: str
    output: str
    human: tuple[bool | None, ...]
    prompt: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None
    system: str | None = None
    case: str | None = None


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
        system_1: Who gave the first answer, None where that is not known.
        system_2: Who gave the second one.
        case: Comparisons of answers to the same question share it; None for the prompt.
    """

    id: str
    output_1: str
    output_2: str
    human: tuple[int | None, ...]
    prompt: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None
    system_1: str | None = None
    system_2: str | None = None
    case: str | None = None


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
        data = read_regular(path)
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
    known = (*SHARED, *OUTPUTS[kind], *SYSTEMS[kind])
    for key in row:
        if key not in known:
            raise DatasetError(f"unknown key {key!r}", where=where, fix=did_you_mean(key, known))
    for key in ("id", "human", *OUTPUTS[kind]):
        if key not in row:
            raise DatasetError(f"no {key!r}", where=where, fix=EXAMPLE)
    _check_types(row, OUTPUTS[kind], where)
    _check_names(row, SYSTEMS[kind], where)
    votes = row["human"] if isinstance(row["human"], list) else [row["human"]]
    shared: dict[str, Any] = {
        "id": row["id"],
        "prompt": row.get("prompt", ""),
        "variables": row.get("vars", {}),
        "cluster": row.get("cluster"),
        "stratum": row.get("stratum"),
        "case": row.get("case"),
        **{key: row.get(key) for key in SYSTEMS[kind]},
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


def _check_names(row: dict[str, Any], systems: tuple[str, ...], where: str) -> None:
    for key in ("case", *systems):
        if row.get(key) is not None and not (isinstance(row[key], str) and row[key]):
            raise DatasetError(f"{key} is {shown(row[key])}", where=where, fix="Write a text")
    named = [row[key] for key in systems if row.get(key) is not None]
    if len(systems) > len(named) > 0:
        raise DatasetError("only one of the two systems is named", where=where, fix="Write system_1 and system_2")
    if len(named) > 1 and len(set(named)) < len(named):
        raise DatasetError(
            f"both answers are of {named[0]!r}", where=where, fix="Compare two systems, or name none of them"
        )


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
