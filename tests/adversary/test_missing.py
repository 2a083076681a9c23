"""Making cases go missing: requests that fail where the model would be wrong, and records that lack what was right."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.fake_server import FakeServer, Fault
from support.project import WRONG, answer_right, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

CASES = 120
GATE = "margin: 0.06, missing: 0.05"


def word(body: dict[str, Any]) -> int:
    """Which case is asked."""
    return int(answer_right(body).removeprefix("word-"))


def run(
    out: str, *options: str, wrong: Collection[int] = (), fails: Collection[int] = (), suite: str = "words"
) -> Ending:
    """A run of a model that is wrong on some cases, and whose requests fail on others."""
    with FakeServer(
        answer=lambda body: WRONG if word(body) in wrong else answer_right(body),
        faults=lambda _, body: Fault.HTTP_400 if word(body) in fails else None,
    ) as server:
        words = ("--endpoint", server.url, "--deployment", out, "--retries", "0", "--no-bench")
        return llmgate("run", f"{suite}.yaml", *words, *options, out=out)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite, and the record of a champion that has all right."""
    folder = tmp_path_factory.mktemp("missing")
    write_suite(folder, cases=CASES, gate=GATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("champion")
    return folder


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_honest_one_missing_case_bars_nothing_that_it_could_not_change() -> None:
    assert run("new", "--baseline", "champion").green
    ending = run("gap", "--baseline", "champion", fails={7})
    assert (ending.exit_code, ending.verdict) == (0, "PASS")
    assert "is counted against the candidate, which passes even so: word-7" in " ".join(ending.output.split())
    again = llmgate("decide", "gap", "champion", out="gap")
    assert (again.exit_code, again.verdict) == (0, "PASS")


def test_honest_a_gap_on_the_champions_side_is_counted_too() -> None:
    run("gappy", fails={3})
    assert run("new", "--baseline", "gappy").green


@pytest.mark.parametrize(
    ("wrong", "fails"),
    [
        pytest.param((), range(3, 9), id="six fail that would be wrong"),
        pytest.param(range(3), range(3, 6), id="half of them fail"),
        pytest.param((), range(CASES), id="all fail"),
        pytest.param((), range(7), id="one more than 5 %"),
    ],
)
def test_requests_that_fail_where_the_model_would_be_wrong(
    wrong: Collection[int], fails: Collection[int], attempt: Callable[[Ending], None]
) -> None:
    attempt(run("honest", "--baseline", "champion", wrong={*wrong, *fails}))
    attempt(run("sly", "--baseline", "champion", wrong=wrong, fails=fails))


def test_a_champion_that_lacks_what_it_had_right(attempt: Callable[[Ending], None]) -> None:
    run("gappy", fails=range(6))
    attempt(run("new", "--baseline", "gappy", wrong=range(6)))
    attempt(run("other", "--baseline", "gappy", wrong=range(6, 10)))


def test_missing_on_both_sides(attempt: Callable[[Ending], None]) -> None:
    run("gappy", fails=range(3))
    attempt(run("new", "--baseline", "gappy", fails=range(3, 6)))
    attempt(run("same", "--baseline", "gappy", fails=range(6)))


def test_more_missing_than_anybody_may_allow(project: Path, attempt: Callable[[Ending], None]) -> None:
    write_suite(project, cases=CASES, gate="margin: 0.4, missing: 0.06")
    attempt(run("new", "--baseline", "champion"))
    write_suite(project, cases=CASES, gate="margin: 0.4")
    run("wide")
    attempt(run("new", "--baseline", "wide", fails={1, 2}))


def test_a_case_that_must_never_fail_is_the_one_that_fails_to_answer(
    project: Path, attempt: Callable[[Ending], None]
) -> None:
    write_suite(project, cases=CASES, gate=GATE, required=True)
    run("strict")
    attempt(run("new", "--baseline", "strict", fails={7}))


def test_a_slice_is_thinned_out(project: Path, attempt: Callable[[Ending], None]) -> None:
    topics = ("law", "a", "b", "c", "d", "e")
    write_suite(project, "parts", cases=CASES, gate="margin: 0.2, missing: 0.05", topics=topics)
    run("parted", suite="parts")
    law = [i for i in range(CASES) if i % len(topics) == 0]
    against = ("--baseline", "parted")
    assert run("fine", *against, wrong=law[:2], fails=law[2:4], suite="parts").green
    attempt(run("lossy", *against, wrong=law[:12], suite="parts"))
    attempt(run("sly", *against, wrong=law[:8], fails=law[8:12], suite="parts"))
    attempt(run("slyer", *against, wrong=law[:6], fails=law[6:12], suite="parts"))


def test_a_gap_in_the_minimum(project: Path, attempt: Callable[[Ending], None]) -> None:
    write_suite(project, cases=CASES, gate="min: 0.93, missing: 0.05")
    assert run("right", wrong={1}).green
    attempt(run("honest", wrong=range(5)))
    attempt(run("sly", fails=range(5)))


# Tables

ROWS = 400


def table(name: str, scores: list[float | None], clusters: int = 0) -> str:
    rows = (
        {"item_id": f"q{i:03d}", "score": score}
        | ({"cluster": f"d{i % clusters}"} if clusters else {})
        | ({"error": "timeout"} if score is None else {})
        for i, score in enumerate(scores)
    )
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def decide(new: list[float | None], old: list[float | None], margin: float = 0.05, clusters: int = 0) -> Ending:
    files = ("--candidate", table("new.jsonl", new, clusters), "--baseline", table("old.jsonl", old, clusters))
    return llmgate("decide", *files, "--margin", str(margin), out=os.devnull)


def spread(i: int) -> float:
    """Graded scores without much order in them."""
    return (i * 37 % 101) / 100


GRADED: list[float | None] = [spread(i) for i in range(ROWS)]
NOISY: list[float | None] = [min(1.0, max(0.0, spread(i) + (i * 53 % 41 - 20) / 100)) for i in range(ROWS)]


def gone(scores: list[float | None], *at: int) -> list[float | None]:
    return [None if i in at else score for i, score in enumerate(scores)]


def lost(scores: list[float | None], *at: int) -> list[float | None]:
    return [0.0 if i in at else score for i, score in enumerate(scores)]


def test_honest_a_table_may_lack_a_score() -> None:
    assert decide(NOISY, GRADED).green
    assert decide(gone(NOISY, 9), GRADED).green
    assert decide(NOISY, gone(GRADED, 9, 12)).green
    assert decide(gone(NOISY, 9), GRADED, clusters=50).green


@pytest.mark.parametrize("clusters", [0, 50, 20])
def test_tables_that_lack_what_was_lost(clusters: int, attempt: Callable[[Ending], None]) -> None:
    attempt(decide(gone(NOISY, *range(5)), GRADED, clusters=clusters))
    attempt(decide(gone(NOISY, *range(4)), GRADED, margin=0.006, clusters=clusters))
    attempt(decide(gone(lost(NOISY, *range(60)), 60), GRADED, clusters=clusters))


def test_a_whole_cluster_is_left_out(attempt: Callable[[Ending], None]) -> None:
    cluster = range(0, ROWS, 100)
    attempt(decide(gone(NOISY, *cluster), GRADED, margin=0.012, clusters=100))
    few = [*range(0, ROWS, 40)]
    attempt(decide(gone(NOISY, *few), GRADED, clusters=40))


def test_rows_that_are_not_even_there(attempt: Callable[[Ending], None]) -> None:
    attempt(decide(NOISY[:-1], GRADED))
    attempt(decide(NOISY, GRADED[:-1]))
