"""The page of `llmgate bench`: what it shows of one measurement, of a sweep, and of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.serving_reports import serving_arms, serving_decision, varied_trace

from llmgate.gate.serving.knee import Holding, Knee, LoadRuns, Search
from llmgate.gate.serving.summary import summarise
from llmgate.record.serving.policy import ServingPolicy
from llmgate.session.serving.page import page_of, write_page
from llmgate.session.serving.sweep import Sweep, SweptLoad

if TYPE_CHECKING:
    from pathlib import Path

LEVEL = ServingPolicy(suite="chat", metric="p95_ttft_ms", margin=None, max=100.0)


def swept(load: float, figures: list[dict[str, float]], **runs: object) -> SweptLoad:
    return SweptLoad(
        load=load,
        requests=64,
        holding=Holding.HOLDS,
        runs=LoadRuns(load=load, figures=tuple(figures), **runs),  # type: ignore[arg-type]
    )


def test_a_sweep_shows_every_load_by_its_mean_and_the_answer() -> None:
    found = Sweep(
        kind="concurrency",
        search=Search(levels=(LEVEL,), least=1, most=8, whole=True),
        knee=Knee(load=2.0, above=4.0, misses=4.0, undecided=(), reason="4 in flight misses"),
        loads=(
            swept(1, [{"output_throughput": 90.0, "p95_ttft_ms": 50.0}, {"output_throughput": 110.0, "p95_ttft_ms": 70.0}]),
            swept(2, [{"output_throughput": 180.0, "p95_ttft_ms": 80.0}], invalid=("the client lagged",)),
            swept(4, [], invalid=("the client lagged",) * 2),
        ),
    )  # fmt: skip
    page = page_of(found)
    (curve,) = page.curves
    assert [(point.throughput, point.latency_ms, point.invalid) for point in curve.points] == [
        (100.0, 60.0, False),
        (180.0, 80.0, False),
    ]
    assert curve.level_ms == 100.0
    assert [row.cells[-1] for row in curve.table.rows] == ["met", "met", "INVALID: the client lagged"]
    assert page.sentence == "Largest load with p95_ttft_ms ≤ 100: 2 in flight (4 in flight misses)."
    assert page.verdict == ""


def test_a_load_whose_requests_failed_meets_nothing() -> None:
    found = Sweep(
        kind="rate",
        search=Search(levels=(LEVEL,), least=1.0, most=8.0, whole=False),
        knee=Knee(load=None, above=1.0, misses=1.0, undecided=(), reason="1 per second misses"),
        loads=(
            swept(1.0, [{"output_throughput": 90.0, "request_throughput": 1.0, "p95_ttft_ms": 50.0}], failed=1),
            swept(2.0, [{"output_throughput": 95.0, "request_throughput": 2.0, "p95_ttft_ms": 90.0}]),
        ),
    )
    (curve,) = page_of(found).curves
    assert curve.table.rows[0].cells[-1] == "INVALID: requests failed in 1 of 2 runs"
    assert [point.label for point in curve.points] == ["1 /s", "2 /s"]


def test_a_comparison_and_a_single_measurement_are_written(tmp_path: Path) -> None:
    arms = serving_arms()
    write_page(tmp_path / "both.html", (serving_decision(arms), arms))
    write_page(tmp_path / "one.html", summarise(varied_trace(1)))
    assert "<title>FAIL · support · llmgate</title>" in (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "Serving of support" in (tmp_path / "one.html").read_text(encoding="utf-8")
