"""match, includes, exact and f1 of Inspect: answers scored as it scores them.

What is right was computed with its own code, inspect-ai 0.3.285: `match_str` of scorer/_common.py, `max_exact_score`
and `max_f1_score` of scorer/_classification.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.imports import outcomes, planned, write_files

from llmgate import evaluate_assert
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.inspect_logs import import_inspect

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported

PLACES: Final = ("begin", "end", "any", "exact")
ROWS: Final[tuple[tuple[str, str, tuple[bool, ...], tuple[bool, ...], tuple[bool, bool], bool, float], ...]] = (
    # target, answer, `match` at each place in any case, the same with case, `includes` likewise, `exact`, `f1`
    ("Paris", "It is PARIS.", (False, True, True, False), (False, False, False, False), (True, False), False, 0.5),
    ("Paris", "Paris, I think", (True, False, True, False), (True, False, True, False), (True, True), False, 0.5),
    ("Paris", "parisé", (True, False, True, False), (False, False, False, False), (True, False), False, 0.0),
    ("Paris", "Paris_", (True, True, True, True), (True, True, True, True), (True, True), True, 1.0),
    (" Paris ", "so: (Paris)!\n", (False, True, True, False), (False, True, True, False), (False, False), False, 0.67),
    ("Paris", "Not Paris", (False, True, True, False), (False, True, True, False), (True, True), False, 0.67),
    ("Paris", "NotParis", (False, True, True, False), (False, True, True, False), (True, True), False, 0.0),
    ("Paris!", "Paris", (True, True, True, True), (True, True, True, True), (False, False), True, 1.0),
    ("3.5", "it is 3.5", (False, True, True, False), (False, True, True, False), (True, True), False, 0.5),
    ("3.5", "it is 3.50", (False, False, True, False), (False, False, True, False), (True, True), False, 0.5),
    (
        "half-full",
        "it is half full",
        (False, False, False, False),
        (False, False, False, False),
        (False, False),
        False,
        0.67,
    ),
    ("half-full", "half-full", (True, True, True, True), (True, True, True, True), (True, True), True, 1.0),
    ("the end", "end", (False, False, False, False), (False, False, False, False), (False, False), True, 1.0),
    ("7", "7.0", (True, False, True, False), (True, False, True, False), (True, True), True, 1.0),
    ("7", "$7", (True, True, True, True), (True, True, True, True), (True, True), True, 1.0),
    ("1,000", "1000", (False, False, False, False), (False, False, False, False), (False, False), True, 1.0),
    ("A", "A", (True, True, True, True), (True, True, True, True), (True, True), False, 0.0),
    ("(B)", "b", (True, True, True, True), (False, False, False, False), (False, False), True, 1.0),
    ("straße", "STRASSE", (True, True, True, True), (False, False, False, False), (True, False), True, 1.0),
    ("x y", "x  y", (False, False, False, False), (False, False, False, False), (False, False), True, 1.0),
    ("don't", "dont", (False, False, False, False), (False, False, False, False), (False, False), True, 1.0),
    ("a.b", "aXb", (False, False, False, False), (False, False, False, False), (False, False), False, 0.0),
    ("Paris", "“Paris”", (False, False, True, False), (False, False, True, False), (True, True), False, 0.0),
    ("5 %", "5 %", (True, True, True, True), (True, True, True, True), (True, True), True, 1.0),
    ("no", "know", (False, False, True, False), (False, False, True, False), (True, True), False, 0.0),
    ("(3.14)", "3.14", (True, True, True, True), (True, True, True, True), (False, False), True, 1.0),
    ("2-1", "2 1", (False, False, False, False), (False, False, False, False), (False, False), True, 1.0),
    ("x", "", (False, False, False, False), (False, False, False, False), (False, False), False, 0.0),
)


def imported(folder: Path, targets: list[str], name: str, params: dict[str, Any]) -> Imported:
    samples = [{"id": i, "epoch": 1, "input": "x", "target": target} for i, target in enumerate(targets, start=1)]
    log = {
        "version": 2,
        "status": "success",
        "eval": {"task": "t", "scorers": [{"name": name, "options": params}]},
        "samples": samples,
    }
    return import_inspect(write_files(folder, {"log.json": json.dumps(log)}) / "log.json", VOCABULARY)


def decided(folder: Path, rows: list[tuple[Any, ...]], name: str, params: dict[str, Any]) -> list[bool]:
    done = imported(folder, [row[0] for row in rows], name, params)
    assert done.complete
    found = outcomes(planned(done, folder / "out"), {str(i): row[1] for i, row in enumerate(rows, start=1)})
    return [found[str(i)] == ["pass"] for i in range(1, len(rows) + 1)]


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_match(tmp_path: Path, place: str, fold: bool) -> None:
    wanted = [(row[2] if fold else row[3])[PLACES.index(place)] for row in ROWS]
    assert decided(tmp_path, list(ROWS), "match", {"location": place, "ignore_case": fold}) == wanted


@pytest.mark.parametrize("fold", [True, False])
def test_includes(tmp_path: Path, fold: bool) -> None:
    rows = [(target, answer, found[0 if fold else 1]) for target, answer, _, _, found, _, _ in ROWS]
    rows = [row for row in rows if row[0] != "straße"]
    assert decided(tmp_path, list(rows), "inspect_ai/includes", {"ignore_case": fold}) == [row[2] for row in rows]


def test_exact_and_f1(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row[0] != "A"]
    assert decided(tmp_path, list(rows), "exact", {}) == [row[5] for row in rows]
    for target, answer, *_, f1 in rows:
        found = evaluate_assert({"type": "f1", "value": target, "config": {"normalise": "drop"}}, answer)
        assert found.score == pytest.approx(f1, abs=0.0051)


@pytest.mark.parametrize(
    ("target", "name", "params", "words"),
    [
        ("A", "exact", {}, "make no exact-match"),
        ("...", "match", {}, "left without punctuation"),
        ("", "includes", {}, "every answer includes"),
        ("straße", "includes", {}, "folds"),
        ("Paris", "choice", {}, "not the letter of one option"),
        (["A", "B"], "choice", {}, "not the letter of one option"),
    ],
)
def test_a_sample_that_would_be_scored_otherwise_is_named(
    tmp_path: Path, target: Any, name: str, params: dict[str, Any], words: str
) -> None:
    good = "B" if name == "choice" else "Paris"
    done = imported(tmp_path, [good, target], name, params)
    assert len(done.suites[0].rows) == 1
    assert any(note.lost and words in note.what for note in done.notes)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("mine/match", {}),
        ("match", {"numeric": True}),
        ("f1", {"stop_words": ["x"]}),
        ("pattern", {"pattern": "(a)(b)"}),
        ("pattern", {"pattern": "(a)", "match_all": True}),
        ("model_graded_qa", {"partial_credit": True}),
        ("model_graded_qa", {"template": "x"}),
    ],
)
def test_what_another_scorer_would_do_is_named(tmp_path: Path, name: str, params: dict[str, Any]) -> None:
    done = imported(tmp_path, ["Paris"], name, params)
    assert not done.suites[0].asserts
    assert any(note.lost and repr(name) in note.what for note in done.notes)


@pytest.mark.parametrize(
    ("kind", "target", "answer", "right"),
    [
        ("letter", "B", "ANSWER: A. No.\nANSWER: b", True),
        ("letter", "B", "ANSWER: Bob", False),
        ("word", "yes", "so\nanswer: Yes.", True),
        ("word", "yes", "ANSWER: yes and no", False),
        ("line", "the end", "ANSWER: The end\n", True),
        ("line", "the end", "ANSWER: the end\nor not", False),
    ],
)
def test_answer(tmp_path: Path, kind: str, target: str, answer: str, right: bool) -> None:
    assert decided(tmp_path, [(target, answer)], "answer", {"pattern": kind}) == [right]
