"""Two arms in a report: what is said of every run, and that nothing of it is hidden or trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.hostile import HOSTILE
from support.reports import texts_of
from support.serving_reports import serving_arms, serving_decision, varied_trace
from support.serving_runs import busy, make_arms, with_run

from llmgate.gate.serving.arm_figures import read_arms
from llmgate.record.serving.trace import GaugeRange, ServerMetrics
from llmgate.report.panels.arm_facts import gpu_minutes, load_words
from llmgate.report.panels.arms import STEPS, arms_view, doubts_of, summaries_of
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from llmgate.record.arms import ServingArms
    from llmgate.report.arm_rows import ArmsView


def view_of(arms: ServingArms) -> ArmsView:
    return arms_view(read_arms(arms), serving_decision(arms))


@pytest.fixture(scope="module")
def arms() -> ServingArms:
    return serving_arms()


@pytest.fixture(scope="module")
def view(arms: ServingArms) -> ArmsView:
    return view_of(arms)


def test_how_it_was_measured_is_said(view: ArmsView) -> None:
    facts = dict(view.facts)
    assert facts["Pairs"] == "6 of 6 pairs were measured, 14 runs in all; 2 were discarded."
    assert facts["Order"] == "B A A B B A A B B A A B (A the champion, B the candidate), by seed 7."
    assert facts["Hosting"] == "One server at a time, started anew for each run."
    assert facts["Load"] == "32 requests per run, 4 in flight: 32 chat prompts of support."
    assert "GPU minutes of measuring on 1 GPU" in facts["Time"]
    assert facts["Other work"] == "Other processes used at most 0.5 % of the processors in runs that count."
    assert view.invalid == ()


def test_pairs_stand_in_the_order_of_their_making_and_discarded_runs_are_marked(
    arms: ServingArms, view: ArmsView
) -> None:
    throughput, first, limit = view.pairs
    assert [point.number for point in throughput.points] == [1, 2, 3, 4, 5, 6]
    assert [point.at for point in throughput.points] == [0.5, 2.5, 6.5, 8.5, 10.5, 12.5]
    assert [run.at for run in throughput.discarded] == [4, 5]
    assert "other processes used" in throughput.discarded[0].words
    assert throughput.lower is not None
    assert throughput.mean is not None
    assert throughput.upper is not None
    assert throughput.lower < throughput.mean < throughput.upper < 0
    assert throughput.limit == -5.0
    decided = serving_decision(arms).metrics[0]
    assert throughput.mean == pytest.approx(100 * (decided.delta or 0.0))
    assert all(point.words.endswith(("slower", "faster")) for point in first.points)
    assert (limit.compared, limit.unit, limit.low_is_better, limit.limit) == (False, "ms", True, 500.0)
    assert [point.at for point in limit.points] == [0.0, 3.0, 6.0, 9.0, 10.0, 13.0]


def test_an_invalid_run_is_named_and_its_pair_is_no_point(arms: ServingArms) -> None:
    last = arms.runs[-1]
    bad = replace(last, trace=replace(last.trace, client_cpu_s=last.trace.duration_s))
    seen = view_of(replace(arms, runs=(*arms.runs[:-1], bad)))
    (doubt,) = seen.invalid
    assert doubt.startswith("run 14, candidate, pair 6: the client used")
    assert [point.number for point in seen.pairs[0].points] == [1, 2, 3, 4, 5]
    assert seen.pairs[0].discarded[-1].words.startswith("Run 14, candidate: INVALID")


def test_where_no_run_counts_the_load_of_those_that_were_discarded_is_told() -> None:
    arms = serving_arms(discard=False)
    lost = tuple(replace(run, trace=busy(run.trace), discarded="other processes were busy") for run in arms.runs)
    facts = dict(view_of(replace(arms, runs=lost)).facts)
    assert facts["Pairs"] == "0 of 6 pairs were measured, 12 runs in all; 12 were discarded."
    assert facts["Other work"] == "Other processes used at most 30.5 % of the processors in runs that were discarded."


def test_a_busy_machine_makes_a_run_that_counts_invalid() -> None:
    arms = make_arms([100.0] * 6, [101.0] * 6)
    machine = arms.runs[0].trace.machine
    assert machine is not None
    arms = with_run(arms, 0, arms.runs[0].arm, machine=replace(machine, busy_s=machine.busy_s * 1.5))
    assert "other processes used" in doubts_of(read_arms(arms))[0]


def test_a_run_that_is_missing_leaves_its_pair_out() -> None:
    arms = make_arms([100.0 + k for k in range(6)], [110.0] * 6)
    half = replace(arms, runs=arms.runs[:-1])
    seen = view_of(half)
    assert len(seen.pairs[0].points) == 5
    assert dict(seen.facts)["Pairs"] == "5 of 6 pairs were measured, 11 runs in all."


def test_latencies_of_both_sides_are_pooled_over_the_runs_that_count(view: ArmsView) -> None:
    ttft, itl = view.ecdfs
    assert [line.side for line in ttft.lines] == ["champion", "candidate"]
    assert "192 values" in ttft.lines[0].words
    for line in (*ttft.lines, *itl.lines):
        values, shares = zip(*line.steps, strict=True)
        assert list(values) == sorted(values)
        assert list(shares) == sorted(set(shares))
        assert shares[-1] == 1.0
        assert len(shares) <= STEPS + 1


def test_differences_of_the_servers_are_named_and_what_is_alike_too(view: ArmsView) -> None:
    table = next(table for table in view.tables if table.id == "servers")
    rows = {row.cells[0]: row.cells[1:] for row in table.rows}
    assert rows["Engine"] == ("vllm 0.32.0", "vllm 0.25.1")
    assert rows["Flags"][0] == "--max-num-seqs 256"
    assert table.lead == "The same on both sides: model, who started it, endpoint."


def test_flags_that_were_swapped_are_no_less_different() -> None:
    arms = serving_arms()
    assert arms.plan.champion is not None
    swapped = tuple(
        replace(it, server=replace(it.server, flags=flags))
        for it, flags in (
            (arms.plan.candidate, ("--a", "1", "--b", "2")),
            (arms.plan.champion, ("--a", "2", "--b", "1")),
        )
    )
    plan = replace(arms.plan, candidate=swapped[0], champion=swapped[1])
    table = next(table for table in view_of(replace(arms, plan=plan)).tables if table.id == "servers")
    assert ("Flags", "--a 2 --b 1", "--a 1 --b 2") in [row.cells for row in table.rows]


def test_what_servers_and_gpus_say_stands_in_tables(view: ArmsView) -> None:
    tables = {table.id: {row.cells[0]: row.cells[1:] for row in table.rows} for table in view.tables}
    account = tables["server-account"]
    assert account["KV cache in use, mean"] == ("11.4 %, at most 20.8 %",) * 2
    assert account["Prefix cache hits"] == ("37.5 %",) * 2
    assert account["Preemptions"] == ("0",) * 2
    assert account["Waiting for capacity, mean"] == ("0.100, at most 1.00",) * 2
    gpus = tables["gpus"]
    assert gpus["GPU 0 (NVIDIA H100 80GB HBM3): memory, most"] == ("71.4 of 79.6 GiB",) * 2
    assert gpus["GPU 0 (NVIDIA H100 80GB HBM3): power, mean"] == ("412 W", "375 W")
    assert gpus["Energy per million output tokens"][0].endswith("kWh")


def test_without_a_champion_there_is_one_side() -> None:
    seen = view_of(serving_arms(alone=True, discard=False))
    assert not seen.compared
    assert dict(seen.facts)["Runs"] == "6 of 6 runs were measured."
    assert "Order" not in dict(seen.facts)
    assert {line.side for ecdf in seen.ecdfs for line in ecdf.lines} == {"candidate"}
    assert all(len(row.cells) == 2 for table in seen.tables for row in table.rows)


def test_gpu_minutes_count_every_gpu_and_discarded_runs_apart(arms: ServingArms) -> None:
    minutes, lost, gpus = gpu_minutes(arms)
    assert minutes == pytest.approx(sum(run.trace.duration_s for run in arms.runs) / 60)
    assert lost == pytest.approx(sum(run.trace.duration_s for run in arms.runs[4:6]) / 60)
    assert gpus == 1


@pytest.mark.parametrize(
    ("arrivals", "words"),
    [
        ({"kind": "poisson", "rate": 4.0}, "poisson arrivals, 4.00 per s"),
        ({"kind": "ramp", "rate_from": 1.0, "rate": 8.0}, "arrivals from 1.00 up to 8.00 per s"),
        ({"kind": "trace", "speed": 2.0}, "recorded arrivals, replayed at 2.00 times their speed"),
    ],
)
def test_open_loops_are_worded(arrivals: dict[str, object], words: str) -> None:
    trace = varied_trace(1)
    assert words in load_words(replace(trace, arrivals=replace(trace.arrivals, **arrivals)))  # type: ignore[arg-type]


def test_summaries_carry_the_name_of_the_suite(arms: ServingArms) -> None:
    renamed = replace(arms, plan=replace(arms.plan, suite="other"))
    assert {it.name for it in summaries_of(read_arms(renamed), "champion")} == {"other"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_what_strangers_word_is_made_visible(text: str) -> None:
    arms = serving_arms()
    said = ServerMetrics(
        gauges={f"vllm:num_requests_waiting_by_reason{{{text}}}": GaugeRange(mean=1, max=1, samples=1)}
    )
    runs = tuple(
        replace(
            run,
            discarded=text if run.discarded else "",
            trace=replace(
                run.trace,
                workload=text,
                metrics=said,
                devices=tuple(replace(it, name=text) for it in run.trace.devices),
            ),
        )
        for run in arms.runs
    )
    server = replace(arms.plan.candidate.server, engine=text, version=text, flags=(text,), url=text)
    candidate = replace(arms.plan.candidate, server=server, model=replace(arms.plan.candidate.model, name=text))
    plan = replace(arms.plan, suite=text, candidate=candidate)
    seen = arms_view(read_arms(replace(arms, plan=plan, runs=runs)), serving_decision(arms))
    for path, string in texts_of(seen):
        assert visible(string) == string, path
    assert seen.id.replace("-", "").isalnum()
    assert seen.id.isascii()
