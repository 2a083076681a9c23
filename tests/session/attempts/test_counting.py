"""Which attempt a verdict is, from the ledger, the note beside the record, and what both say when tampered with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.attempts import POLICY, RESERVED, Tried, record_of, told

from llmgate.record.run.files import ATTEMPTS_KEPT, ATTEMPTS_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Tried:
    """A project without attempts."""
    return Tried(tmp_path)


def test_attempts_are_counted_in_order(project: Tried) -> None:
    assert told(project.decide(project.run(shift=1), "FAIL")) == []
    assert told(project.decide(project.run(shift=2), "INCONCLUSIVE")) == [(1, "FAIL")]
    third = project.decide(project.run(shift=3), "PASS")
    assert told(third) == [(1, "FAIL"), (2, "INCONCLUSIVE")]
    assert third.problems == ()
    assert len({one.digest for one in third.earlier}) == 2


def test_an_earlier_record_is_kept_without_its_words(project: Tried) -> None:
    first = project.run(shift=1)
    project.decide(first, "FAIL")
    out, whole = first
    shutil.rmtree(out)
    kept = project.decide(project.run(shift=2)).earlier[0]
    assert kept.candidate is not None
    assert kept.candidate.manifest == whole.manifest
    assert kept.candidate.seal == whole.seal
    assert {key: result.passed for key, result in kept.candidate.scored.items()} == {
        key: result.passed for key, result in whole.scored.items()
    }
    assert kept.champion is not None
    assert kept.champion.manifest.run_id == "champion"
    assert {getattr(result.answer, "text", None) for result in kept.candidate.results.values()} == {""}


def test_deciding_again_is_the_same_attempt(project: Tried) -> None:
    first, second = project.run(shift=1), project.run(shift=2)
    project.decide(first, "FAIL")
    project.decide(second, "INCONCLUSIVE")
    for _ in range(2):
        assert told(project.decide(first, "PASS")) == []
        assert told(project.decide(second, "PASS")) == [(1, "FAIL")]
    assert told(project.decide(project.run(shift=3))) == [(1, "FAIL"), (2, "INCONCLUSIVE")]


def test_a_run_that_found_the_same_is_the_same_attempt(project: Tried) -> None:
    project.decide(project.run(shift=1), "INCONCLUSIVE")
    again = project.decide(project.run(shift=1), "INCONCLUSIVE")
    assert told(again) == []
    assert told(project.decide(project.run(shift=2))) == [(1, "INCONCLUSIVE")]


def test_the_record_alone_tells_its_attempt(project: Tried, tmp_path: Path) -> None:
    project.decide(project.run(shift=1), "FAIL")
    second = project.run(shift=2)
    project.decide(second, "INCONCLUSIVE")
    copy = tmp_path / "elsewhere" / "record"
    shutil.copytree(second[0], copy)
    shutil.rmtree(project.ledger.root)
    counted = project.decide((copy, second[1]), ledger=False)
    assert told(counted) == [(1, "FAIL")]
    assert counted.problems == ()


def test_a_record_without_a_note_is_no_pass_where_nothing_else_tells(project: Tried) -> None:
    counted = project.decide(project.run(), ledger=False)
    assert [problem.fix for problem in counted.problems] == [
        "Decide on it with `llmgate decide` where its attempt ledger is, and publish it again"
    ]


def test_an_old_record_is_decided_as_ever(project: Tried) -> None:
    run = project.run(policy=POLICY)
    counted = project.decide(run, ledger=False)
    assert (counted.earlier, counted.problems) == ((), ())
    assert not (run[0] / ATTEMPTS_NAME).exists()


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"version": 9}, False),
        ({"policy": replace(RESERVED, reserve=0.05)}, True),
        ({"policy": replace(RESERVED, metrics=(replace(POLICY.metrics[0], margin=0.11),))}, False),
    ],
)
def test_what_makes_another_gate(project: Tried, changed: dict[str, object], same: bool) -> None:
    project.decide(project.run(shift=1), "FAIL")
    counted = project.decide(project.run(shift=2, **changed))  # type: ignore[arg-type]
    assert told(counted) == ([(1, "FAIL")] if same else [])


def test_a_smaller_reserve_before_is_no_pass_now(project: Tried) -> None:
    project.decide(project.run(shift=1, policy=replace(RESERVED, reserve=0.05)), "FAIL")
    counted = project.decide(project.run(shift=2))
    assert [problem.fix for problem in counted.problems] == ["Write `reserve: 0.05` into the suite's gate, as it was"]


def test_a_champion_that_is_asked_again_begins_no_new_count(project: Tried) -> None:
    project.decide(project.run(shift=1), "FAIL")
    project.champion = record_of("champion-2", right=18, shift=7, version=7)
    counted = project.decide(project.run(shift=2))
    assert told(counted) == [(1, "FAIL")]
    assert counted.earlier[0].champion is not None
    assert counted.earlier[0].champion.manifest.run_id == "champion"


def test_the_same_candidate_against_another_run_of_the_champion_is_another_attempt(project: Tried) -> None:
    run = project.run(shift=1)
    project.decide(run, "FAIL")
    project.champion = record_of("champion-2", right=18, shift=7, version=7)
    assert told(project.decide(run)) == [(1, "FAIL")]


def chain_of(project: Tried) -> Path:
    """The one chain."""
    return next(project.ledger.root.glob("*/ledger.jsonl"))


def alter_lines(change: Callable[[list[str]], list[str]]) -> Callable[[Tried], None]:
    """Change the lines of the chain."""

    def alter(project: Tried) -> None:
        path = chain_of(project)
        path.write_text("".join(change(path.read_text().splitlines(keepends=True))))

    return alter


def drop_folder(project: Tried) -> None:
    shutil.rmtree(chain_of(project).parent)


def drop_scores(project: Tried) -> None:
    for path in project.ledger.root.glob("*/kept/*"):
        path.unlink()


def swap_scores(project: Tried) -> None:
    first, *others = sorted(project.ledger.root.glob("*/kept/*"))
    for path in others:
        path.write_bytes(first.read_bytes())


TAMPERED: dict[str, Callable[[Tried], None]] = {
    "the first gone": alter_lines(lambda lines: lines[1:]),
    "the middle gone": alter_lines(lambda lines: [lines[0], lines[2]]),
    "the last gone": alter_lines(lambda lines: lines[:-1]),
    "all gone": alter_lines(lambda _: []),
    "out of order": alter_lines(lambda lines: [lines[1], lines[0], lines[2]]),
    "there twice": alter_lines(lambda lines: [*lines, lines[-1]]),
    "a verdict edited": alter_lines(lambda lines: [lines[0].replace("FAIL", "PASS"), *lines[1:]]),
    "the last verdict edited": alter_lines(lambda lines: [*lines[:2], lines[2].replace("FAIL", "PASS")]),
    "the last cut": alter_lines(lambda lines: [*lines[:2], lines[2][:-5]]),
    "no JSON": alter_lines(lambda lines: [lines[0], "{}\n", lines[2]]),
    "its folder gone": drop_folder,
    "the scores gone": drop_scores,
    "the scores swapped": swap_scores,
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_ledger_that_was_tampered_with_is_no_pass(project: Tried, how: str) -> None:
    for shift in (1, 2, 3):
        run = project.run(shift=shift)
        project.decide(run, "FAIL")
        shutil.rmtree(run[0])
    TAMPERED[how](project)
    counted = project.decide(project.run(shift=4))
    assert counted.problems or any(one.candidate is None for one in counted.earlier)
    for problem in counted.problems:
        assert problem.fix
        assert not problem.counted


@pytest.mark.parametrize("how", ["the last gone", "all gone", "its folder gone"])
def test_runs_beside_it_give_back_what_a_ledger_lost(project: Tried, how: str) -> None:
    for shift in (1, 2, 3):
        project.decide(project.run(shift=shift), "FAIL")
    TAMPERED[how](project)
    (project.ledger.root / "heads.json").unlink()
    counted = project.decide(project.run(shift=4))
    assert told(counted) == [(1, "FAIL"), (2, "FAIL"), (3, "FAIL")]
    assert counted.problems == ()
    assert all(one.candidate is not None for one in counted.earlier)


def test_a_chain_that_is_ahead_of_its_head_is_whole(project: Tried) -> None:
    heads = project.ledger.root / "heads.json"
    project.decide(project.run(shift=1), "FAIL")
    before = heads.read_bytes()
    project.decide(project.run(shift=2), "FAIL")
    heads.write_bytes(before)  # as if the process had been killed between the two files
    assert told(project.decide(project.run(shift=3))) == [(1, "FAIL"), (2, "FAIL")]


def test_a_note_that_forgets_attempts_is_found_out(project: Tried) -> None:
    project.decide(project.run(shift=1), "FAIL")
    out, _ = run = project.run(shift=2)
    project.decide(run)
    note = json.loads((out / ATTEMPTS_NAME).read_text())
    note["before"], note["own"]["earlier"] = [], []
    (out / ATTEMPTS_NAME).write_text(json.dumps(note))
    counted = project.decide(run)
    assert [problem.what for problem in counted.problems] == ["it tells other attempts than the ledger does"]
    assert told(counted) == [(1, "FAIL")]


@pytest.mark.parametrize("name", [ATTEMPTS_NAME, ATTEMPTS_KEPT])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x1f\x8b\x08", None])
def test_a_damaged_note_is_no_pass(project: Tried, name: str, content: bytes | None) -> None:
    project.decide(project.run(shift=1), "FAIL")
    out, _ = run = project.run(shift=2)
    project.decide(run)
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    counted = project.decide(run, ledger=False)
    assert counted.problems


def test_completing_a_run_is_the_same_attempt(project: Tried) -> None:
    out, _ = project.run()
    for missing in (3, 1, 0):
        counted = project.decide((out, record_of("run-1", right=15, lost=missing)))
        assert (told(counted), counted.problems) == ([], ())
    after = project.decide(project.run(shift=1))
    assert told(after) == [(1, "INCONCLUSIVE")]
    kept = after.earlier[0].candidate
    assert kept is not None
    assert all(result.evaluated for result in kept.scored.values())


def test_an_answer_that_changed_in_a_run_that_was_decided_on_is_no_pass(project: Tried) -> None:
    out, _ = run = project.run(right=15)
    project.decide(run)
    counted = project.decide((out, record_of("run-1", right=20)))
    assert ["5 answers of this run changed" in problem.what for problem in counted.problems] == [True]
    assert "run anew without --resume" in counted.problems[0].fix
    assert told(counted) == [(1, "INCONCLUSIVE")]


def test_what_attempts_share_is_kept_once_and_for_its_owner_alone(project: Tried) -> None:
    for shift in (1, 2, 3):
        project.decide(project.run(shift=shift), "FAIL")
    kept = list(project.ledger.root.glob("*/kept/*"))
    # Cases once, the champion's head and results once, of each run its head and results.
    assert len(kept) == 1 + 2 + 3 * 2
    assert {path.stat().st_mode & 0o777 for path in project.ledger.root.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in project.ledger.root.rglob("*") if path.is_dir()} == {0o700}
