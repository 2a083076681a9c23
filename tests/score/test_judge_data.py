"""Recorded verdicts as the judge: asked again in both orders, and agreement held against figures that are known.

The small set below was made up, and its figures counted by hand. The large ones (PandaLM, LLMBar, arena votes,
RAGChecker, with people's labels and judges' verdicts) are not part of the repository: LLMGATE_JUDGE_DATA names the
folder that holds them.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.judges import parts_of
from support.shared_data import shared_file

from llmgate.errors import JudgeError
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.judge.pairwise import DEFAULT_CRITERION, ask_both_orders
from llmgate.stats.agreement import cohen_kappa, observed_agreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Votes = tuple[int | None, int | None]
FOUR = 5e-5
"""The table of judges has at most four places."""


def recorded(verdicts: Mapping[str, Votes]) -> dict[str, Votes]:
    """Asks a judge that looks its verdicts up. Answers are named `ID/1` and `ID/2`."""

    async def ask(request: JudgeRequest) -> JudgeReply:
        parts = parts_of(request)
        item, shown_first = parts["first-answer"].rsplit("/", 1)
        vote = verdicts[item][int(shown_first) - 1]
        if vote is None:
            raise JudgeError("no verdict is recorded")
        better = "tie" if vote == 0 else "first" if vote == int(shown_first) else "second"
        return JudgeReply(content=json.dumps({"reason": "recorded", "better": better}))

    async def votes(name: str) -> Votes:
        sides = await ask_both_orders(
            Models(judges={"": ask}), f"{name}/1", f"{name}/2", question="", criterion=DEFAULT_CRITERION
        )
        numbers = {"tie": 0, "one": 1, "other": 2}
        first, second = (None if isinstance(side, Exception) else numbers[side[0]] for side in sides)
        return first, second

    async def all_votes() -> dict[str, Votes]:
        return {name: await votes(name) for name in verdicts}

    return asyncio.run(all_votes())


MADE_UP: Mapping[str, tuple[tuple[int, int, int], int, Votes]] = {
    # item: three people, their majority, a judge with answer 1 first and with answer 2 first
    "a": ((1, 1, 1), 1, (1, 1)),
    "b": ((1, 1, 2), 1, (1, 2)),
    "c": ((2, 2, 2), 2, (2, 2)),
    "d": ((2, 0, 2), 2, (1, 2)),
    "e": ((2, 2, 2), 2, (None, 2)),
    "f": ((1, 1, 1), 1, (2, 2)),
}


def test_a_made_up_set_gives_the_figures_that_were_counted_by_hand() -> None:
    judged = recorded({name: row[2] for name, row in MADE_UP.items()})
    assert judged == {name: row[2] for name, row in MADE_UP.items()}
    # Right: a twice, b once, c twice, d once, e once, f never: 7 of 12.
    calls = [(row[1], vote) for name, row in MADE_UP.items() for vote in judged[name]]
    assert observed_agreement(calls) == pytest.approx(7 / 12)
    # People 1 and 3: 5 of 6 agree; chance (3·2 + 3·4 + 0)/36 = 1/2, so kappa is (5/6 − 1/2)/(1/2) = 2/3.
    pairs = [(row[0][0], row[0][2]) for row in MADE_UP.values()]
    assert observed_agreement(pairs) == pytest.approx(5 / 6)
    assert cohen_kappa(pairs) == pytest.approx(2 / 3)


def folder() -> Path:
    named = os.environ.get("LLMGATE_JUDGE_DATA")
    return Path(named) if named else shared_file("judge/README.md").parent


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder() / name).read_text(encoding="utf-8").split("\n") if line]


def table(first_column: str) -> list[dict[str, str]]:
    """The rows of a table in the folder's README, found by the name of its first column."""
    lines = [line for line in (folder() / "README.md").read_text(encoding="utf-8").split("\n") if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if set(line) - set("|- ")]
    starts = [number for number, row in enumerate(cells) if row[0] == first_column]
    assert len(starts) == 1, first_column
    header, *body = cells[starts[0] :]
    same = [row for row in body if len(row) == len(header)]
    return [dict(zip(header, row, strict=True)) for row in same]


def within_rounding(text: str) -> Any:
    """A figure as it was printed, give or take half of its last place."""
    places = len(text.partition(".")[2])
    return pytest.approx(float(text), abs=0.5001 * 10**-places)


def rating(row: Mapping[str, Any], rater: str) -> int | None:
    value = row["human"][int(rater[-1]) - 1] if rater.startswith("annotator") else row[rater]
    return None if value is None else int(value)


def test_pandalm_raters() -> None:
    found = rows("pandalm.jsonl")
    lines = [line for line in table("pair of raters") if " – " in line["pair of raters"]]
    assert len(lines) == 5
    for line in lines:
        one, other = (name.partition(" (")[0] for name in line["pair of raters"].split(" – "))
        pairs = [(rating(row, one), rating(row, other)) for row in found]
        complete = [pair for pair in pairs if None not in pair]
        assert len(complete) == int(line["n"])
        assert observed_agreement(complete) == within_rounding(line["agreement"]), line
        assert cohen_kappa(complete) == within_rounding(line["Cohen's kappa (unweighted, 3 classes)"]), line


def test_pandalm_as_a_whole() -> None:
    found = rows("pandalm.jsonl")
    said = (folder() / "README.md").read_text(encoding="utf-8")
    matches = re.search(
        r"gpt35 matches the majority on (\d\.\d+) of all rows .*?pandalm7b on (\d\.\d+)", said, re.DOTALL
    )
    assert matches
    for name, text in zip(("judge_gpt35", "judge_pandalm7b"), matches.groups(), strict=True):
        assert observed_agreement([(row["majority"], row[name]) for row in found]) == within_rounding(text)


def accuracy(found: Sequence[Mapping[str, Any]], judged: Mapping[str, Votes]) -> float:
    """Share of calls that name the better answer; a call without a verdict is wrong."""
    return observed_agreement([(row["gold"], vote) for row in found for vote in judged[row["item_id"]]])


def llmbar_table() -> dict[str, dict[str, str]]:
    with (folder() / "llmbar-judges.csv").open(encoding="utf-8", newline="") as file:
        return {line.pop("judge"): line for line in csv.DictReader(file)}


def votes_of(found: Sequence[Mapping[str, Any]], judge: str) -> dict[str, Votes]:
    return {row["item_id"]: (row["verdicts"][judge][0], row["verdicts"][judge][1]) for row in found}


def check_accuracies(line: Mapping[str, str], found: Sequence[Mapping[str, Any]], judged: Mapping[str, Votes]) -> None:
    natural = [row for row in found if row["subset"] == "Natural"]
    adversarial = [row for row in found if row["subset"] != "Natural"]
    for figure, subset in (("acc", found), ("natural", natural), ("adversarial", adversarial)):
        assert accuracy(subset, judged) == pytest.approx(float(line[figure]), abs=FOUR), figure


def test_llmbar_judges() -> None:
    found, wanted = rows("llmbar-verdicts.jsonl"), llmbar_table()
    assert len(wanted) == 58
    for name, line in wanted.items():
        check_accuracies(line, found, votes_of(found, name))


@pytest.mark.parametrize("name", ["GPT-4/Metrics_Reference", "Falcon/CoT", "PaLM2/Metrics_Reference"])
def test_llmbar_judges_asked_again(name: str) -> None:
    found = rows("llmbar-verdicts.jsonl")
    judged = recorded(votes_of(found, name))
    assert judged == votes_of(found, name)
    check_accuracies(llmbar_table()[name], found, judged)


def test_arena_votes() -> None:
    judges = {"gpt-4o-mini": "judge_gpt4omini", "gpt-5.2": "judge_gpt52"}
    found = rows("arena-votes.jsonl")
    lines = [line for line in table("candidate") if line["judge"] in judges]
    assert len(lines) == 6
    for line in lines:
        candidate, judge = line["candidate"], judges[line["judge"]]
        battles = [row for row in found if candidate in (row["model_a"], row["model_b"]) and row[judge]]
        wins = [(row["human_winner"] == candidate, row[judge] == candidate) for row in battles]
        assert len(wins) == int(line["n"])
        assert observed_agreement(wins) == within_rounding(line["agreement"]), line
        assert observed_agreement([(row["model_a"], row[judge]) for row in battles]) == within_rounding(line["picks A"])


def test_ragchecker() -> None:
    found = rows("ragchecker.jsonl")
    lines = table("scale")
    assert len(lines) == 3
    for line in lines:
        exact = list(line.values())[1]
        people = [(row["human"][line["scale"]][0], row["human"][line["scale"]][1]) for row in found]
        assert observed_agreement(people) == within_rounding(exact), line
