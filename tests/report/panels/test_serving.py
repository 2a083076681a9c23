from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from support.reports import make_serving

from llmgate.report.panels.serving import serving_tables

if TYPE_CHECKING:
    from llmgate.report.rows import ServingRow

THROUGHPUT = "Output tokens per second"
FIRST_TOKEN = "Time to first token, median (ms)"


def row_of(label: str, candidate: object, champion: object) -> ServingRow:
    tables = serving_tables(candidate, champion)  # type: ignore[arg-type]
    return next(row for row in tables[0].rows if row.label == label)


def test_an_invalid_run_never_shows_a_plain_number() -> None:
    invalid = make_serving(1234.0, invalid=("the client was the bottleneck",))
    (table,) = serving_tables([invalid], [make_serving()])
    assert table.invalid == ("candidate, run 1 of 1: the client was the bottleneck",)
    for row in table.rows:
        assert row.candidate is not None
        assert row.candidate.invalid
        assert row.candidate.text == "INVALID: 1 of 1 run"
        assert (row.change, row.gain) == ("", None)


def test_a_side_with_one_invalid_run_is_not_compared() -> None:
    runs = [make_serving(5000.0), make_serving(1.0, invalid=("12 requests failed",))]
    row = row_of(THROUGHPUT, runs, [make_serving()])
    assert row.candidate is not None
    assert row.candidate.text == "INVALID: 1 of 2 runs; the others: 5,000"
    assert row.gain is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_an_impossible_figure_is_invalid(value: float) -> None:
    row = row_of(THROUGHPUT, [make_serving(metrics={"output_throughput": value})], [make_serving()])
    assert row.candidate is not None
    assert (row.candidate.text, row.candidate.invalid) == ("INVALID: 1 of 1 run", True)


def test_several_runs_show_their_median() -> None:
    row = row_of(THROUGHPUT, [make_serving(v) for v in (4000.0, 5000.0, 9000.0)], [make_serving(4000.0)])
    assert row.candidate is not None
    assert row.candidate.text == "5,000 (median of 3 runs)"
    assert row.change == "+25.0 % (better)"
    assert row.gain == pytest.approx(0.25)


def test_more_is_better_for_rates_and_worse_for_times() -> None:
    slower = row_of(FIRST_TOKEN, [make_serving(5238.0, 256.0)], [make_serving(5238.0, 128.0)])
    assert slower.change == "+100.0 % (worse)"
    assert slower.gain == pytest.approx(-1.0)
    fewer = row_of(THROUGHPUT, [make_serving(2619.0)], [make_serving(5238.0)])
    assert fewer.change == "−50.0 % (worse)"
    same = row_of(THROUGHPUT, [make_serving()], [make_serving()])
    assert same.change == "0.0 % (same)"


def test_a_figure_that_does_not_exist_is_not_measured() -> None:
    row = row_of(FIRST_TOKEN, [make_serving(metrics={"output_throughput": 1.0})], [make_serving()])
    assert row.candidate is not None
    assert (row.candidate.text, row.candidate.invalid, row.gain) == ("not measured", False, None)


def test_without_a_champion_there_is_no_cell() -> None:
    row = row_of(THROUGHPUT, [make_serving()], [])
    assert row.champion is None
    assert row.change == ""


def test_workloads_and_concurrencies_are_never_mixed() -> None:
    tables = serving_tables([make_serving(), make_serving(concurrency=8)], [make_serving(name="long")])
    assert [(table.name, table.concurrency) for table in tables] == [
        ("chat-512-128", 256),
        ("chat-512-128", 8),
        ("long", 256),
    ]
    assert all(row.gain is None for table in tables for row in table.rows)


def test_lost_requests_and_notes_are_told_once() -> None:
    runs = [make_serving(completed=991, notes=("warm cache",)), make_serving(completed=991, notes=("warm cache",))]
    (table,) = serving_tables(runs, [])
    assert table.notes == ("candidate: warm cache", "candidate: 9 requests of 1,000 got no full answer")


def test_figures_that_need_no_reader_are_left_out() -> None:
    (table,) = serving_tables([make_serving(metrics={"duration": 3.0, "std_ttft_ms": 1.0, "mean_ttft_ms": 2.0})], [])
    assert [row.label for row in table.rows] == ["Time to first token, mean (ms)"]
