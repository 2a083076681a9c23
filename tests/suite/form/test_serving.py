"""`serving:` of a suite is taken as it is meant, or refused with its line and advice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.project import write_suite

from llmgate.errors import SuiteError
from llmgate.record.policy_words import Role
from llmgate.record.serving.plan import OWN_PROMPTS, ServiceLevels, ServingSpec, TokenLengths
from llmgate.record.serving.policy import SERVING_FIGURES, tail_requests
from llmgate.record.serving.trace import Arrivals
from llmgate.session.run.plan import plan_file
from llmgate.suite.form.serving import turned

LINES = """\
serving:
  requests: 200
  pairs: 9
  gate:
    output_throughput: {margin: 0.03}
    median_ttft_ms: {role: guardrail, margin: 0.1}
    ttft_p95_ms: {max: 500}
    request_goodput: {}
    tpot_p50_ms: {role: watch}
  max: {p95_e2el_ms: 900, median_ttft_ms: 100}
  min: {request_throughput: 2}
  goodput: {ttft_ms: 500, tpot_ms: 50}
"""


def spec_of(folder: Path, serving: str) -> ServingSpec:
    path = write_suite(folder)
    path.write_text(path.read_text(encoding="utf-8") + serving, encoding="utf-8")
    spec = plan_file(path).suite.serving
    assert spec is not None
    return spec


def refused(folder: Path, serving: str) -> SuiteError:
    with pytest.raises(SuiteError) as caught:
        spec_of(folder, serving)
    return caught.value


def line_of(folder: Path, error: SuiteError) -> str:
    assert error.where is not None
    path, _, number = error.where.rpartition(":")
    assert path.startswith(str(folder))
    return Path(path).read_text(encoding="utf-8").splitlines()[int(number) - 1].strip()


@pytest.mark.parametrize("serving", ["serving: {}\n", "serving: {workload: prompts, arrivals: closed}\n"])
def test_without_a_gate_serving_is_measured_once_as_before(tmp_path: Path, serving: str) -> None:
    spec = spec_of(tmp_path, serving)
    assert spec == ServingSpec(workload=replace(OWN_PROMPTS, where=spec.workload.where))


def test_gates_limits_and_levels_arrive(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, LINES)
    assert (spec.concurrency, spec.requests, spec.pairs) == (8, 200, 9)
    assert spec.levels == ServiceLevels(ttft_ms=500, tpot_ms=50)
    found = {gate.metric: (gate.role, gate.margin, gate.min, gate.max) for gate in spec.gates}
    assert found == {
        "output_throughput": (Role.PRIMARY, 0.03, None, None),
        "median_ttft_ms": (Role.GUARDRAIL, 0.1, None, 100.0),
        "p95_ttft_ms": (Role.PRIMARY, None, None, 500.0),
        "request_goodput": (Role.PRIMARY, 0.05, None, None),
        "median_tpot_ms": (Role.WATCH, 0.05, None, None),
        "p95_e2el_ms": (Role.PRIMARY, None, None, 900.0),
        "request_throughput": (Role.PRIMARY, None, 2.0, None),
    }
    assert {gate.suite for gate in spec.gates} == {"words"}


@pytest.mark.parametrize("figure", SERVING_FIGURES)
def test_every_figure_has_both_spellings(figure: str) -> None:
    assert turned(figure) == figure
    if figure.endswith("_ms"):
        statistic, name, _ = figure.split("_")
        assert turned(f"{name}_{statistic}_ms") == figure


@pytest.mark.parametrize(
    ("serving", "says", "line"),
    [
        ("serving:\n  gate: {}\n  gates: {}\n", "unknown key 'gates'. Did you mean gate?", "gates: {}"),
        (
            "serving:\n  gate:\n    median_tfft_ms: {}\n",
            "'median_tfft_ms' is no serving figure. Did you mean median_ttft_ms?",
            "median_tfft_ms: {}",
        ),
        (
            "serving:\n  gate:\n    median_ttft_ms: {marjin: 0.1}\n",
            "unknown key 'marjin'. Did you mean margin?",
            "median_ttft_ms: {marjin: 0.1}",
        ),
        (
            "serving:\n  requests: 500\n  gate:\n    p95_ttft_ms: {}\n    ttft_p95_ms: {}\n",
            "'ttft_p95_ms' is given twice",
            "ttft_p95_ms: {}",
        ),
        (
            "serving:\n  requests: 500\n  gate:\n    p95_ttft_ms: {max: 3}\n  max: {ttft_p95_ms: 4}\n",
            "'ttft_p95_ms' is given twice",
            "max: {ttft_p95_ms: 4}",
        ),
        (
            "serving:\n  requests: 500\n  max: {ttft_p95_ms: 4, p95_ttft_ms: 5}\n",
            "'p95_ttft_ms' is given twice",
            "max: {ttft_p95_ms: 4, p95_ttft_ms: 5}",
        ),
        (
            "serving:\n  max: {output_throughput: 4}\n",
            "more is better here, so there is no max",
            "max: {output_throughput: 4}",
        ),
        ("serving:\n  min: {mean_itl_ms: 4}\n", "less is better here, so there is no min", "min: {mean_itl_ms: 4}"),
        ("serving:\n  min: {request_throughput: 0}\n", "greater than 0", "min: {request_throughput: 0}"),
        ("serving:\n  max: {mean_itl_ms: .inf}\n", "not a finite number", "max: {mean_itl_ms: .inf}"),
        (
            "serving:\n  gate:\n    output_throughput: {margin: null}\n",
            "neither a margin nor a limit",
            "output_throughput: {margin: null}",
        ),
        (
            "serving:\n  gate:\n    output_throughput: {margin: 0.6}\n",
            "margin is 0.6, which is above 0.5 and needs a reason",
            "output_throughput: {margin: 0.6}",
        ),
        (
            "serving:\n  requests: 199\n  gate:\n    p95_ttft_ms: {}\n",
            "p95_ttft_ms of 199 requests rests on the few slowest of them. Write `requests: 200` or more",
            "p95_ttft_ms: {}",
        ),
        (
            "serving:\n  requests: 999\n  max:\n    ttft_p99_ms: 40\n",
            "p99_ttft_ms of 999 requests rests on the few slowest of them. Write `requests: 1000` or more",
            "ttft_p99_ms: 40",
        ),
        (
            "serving:\n  gate:\n    request_goodput: {}\n",
            "goodput without service levels counts every request",
            "request_goodput: {}",
        ),
        ("serving:\n  goodput: {}\n", "no level at all", "goodput: {}"),
        ("serving:\n  goodput: {ttft_ms: 0}\n", "greater than 0", "goodput: {ttft_ms: 0}"),
        ("serving:\n  pairs: 5\n", "greater than or equal to 6", "pairs: 5"),
        ("serving:\n  concurrency: 0\n", "a closed loop with nothing in flight", "concurrency: 0"),
        (
            "serving:\n  requests: 23\n  gate:\n    output_throughput: {}\n",
            "23 requests with 8 in flight have no steady part, so that no run is valid. Ask for at least 24",
            "requests: 23",
        ),
        ("serving:\n  workload: random\n", "valid dictionary", "workload: random"),
        (
            "serving:\n  workload: {rendom: {input: 5}}\n",
            "unknown key 'rendom'. Did you mean random?",
            "workload: {rendom: {input: 5}}",
        ),
        (
            "serving:\n  workload: {random: {inputs: 5}}\n",
            "unknown key 'inputs'. Did you mean input?",
            "workload: {random: {inputs: 5}}",
        ),
        (
            "serving:\n  workload: {random: {input: 5}, trace: {file: a}}\n",
            "two workloads; write one of them",
            "workload: {random: {input: 5}, trace: {file: a}}",
        ),
        ("serving:\n  workload: {random: {input: 0}}\n", "a length of 0", "workload: {random: {input: 0}}"),
        ("serving:\n  workload: {random: {input: 9..3}}\n", "lengths from 9 to 3", "workload: {random: {input: 9..3}}"),
        ("serving:\n  workload: {random: {input: many}}\n", "no lengths: 'many'", "workload: {random: {input: many}}"),
        ("serving:\n  workload: {random: {input: true}}\n", "no lengths: 'True'", "workload: {random: {input: true}}"),
        (
            "serving:\n  workload:\n    trace: {file: ../../../etc/passwd}\n",
            "lies outside",
            "trace: {file: ../../../etc/passwd}",
        ),
        (
            "serving:\n  workload:\n    random: {input: 5, tokenizer: .hidden}\n",
            "is hidden: a name begins with a dot",
            "random: {input: 5, tokenizer: .hidden}",
        ),
        ("serving:\n  arrivals: {poisson: {rate: 0}}\n", "greater than 0", "arrivals: {poisson: {rate: 0}}"),
        ("serving:\n  arrivals: {poisson: {}}\n", "is missing", "arrivals: {poisson: {}}"),
        (
            "serving:\n  arrivals: {gamma: {rate: 1, burstiness: 0}}\n",
            "greater than or equal to 0.01",
            "arrivals: {gamma: {rate: 1, burstiness: 0}}",
        ),
        (
            "serving:\n  arrivals: {poisson: {rate: 1}, constant: {rate: 1}}\n",
            "two kinds of arrivals",
            "arrivals: {poisson: {rate: 1}, constant: {rate: 1}}",
        ),
        (
            "serving:\n  workload: {trace: {file: t.jsonl, speed: 2}}\n  arrivals: {poisson: {rate: 1}}\n",
            "the trace has a speed, and `arrivals:` sets other times",
            "arrivals: {poisson: {rate: 1}}",
        ),
    ],
)
def test_mistakes_are_refused_with_their_line(tmp_path: Path, serving: str, says: str, line: str) -> None:
    error = refused(tmp_path, serving)
    assert says in str(error)
    assert line_of(tmp_path, error) == line


def test_a_percentile_may_be_watched_on_any_number_of_requests(tmp_path: Path) -> None:
    assert [gate.gates for gate in spec_of(tmp_path, "serving: {gate: {p99_itl_ms: {role: watch}}}\n").gates] == [False]


def test_requests_that_percentiles_need() -> None:
    needed = {figure: tail_requests(figure) for figure in SERVING_FIGURES if figure.endswith("_itl_ms")}
    assert needed == {"mean_itl_ms": 1, "median_itl_ms": 1, "p90_itl_ms": 100, "p95_itl_ms": 200, "p99_itl_ms": 1000}


@pytest.mark.parametrize(
    ("written", "lengths"),
    [
        ("512", TokenLengths(kind="constant", first=512)),
        ("64..256", TokenLengths(kind="uniform", first=64, second=256)),
        ("[64, 512]", TokenLengths(kind="choice", choices=(64, 512))),
        ("64|512", TokenLengths(kind="choice", choices=(64, 512))),
        ("normal(512, 64)", TokenLengths(kind="normal", first=512, second=64)),
        ("'lognormal(512,0.5,16..4096)'", TokenLengths(kind="lognormal", first=512, second=0.5, least=16, most=4096)),
    ],
)
def test_lengths_arrive(tmp_path: Path, written: str, lengths: TokenLengths) -> None:
    spec = spec_of(tmp_path, f"serving:\n  workload:\n    random:\n      input: {written}\n      seed: 3\n")
    assert (spec.workload.kind, spec.workload.input, spec.workload.output, spec.workload.seed) == (
        "random",
        lengths,
        None,
        3,
    )


def test_all_workloads_arrive(tmp_path: Path) -> None:
    prefix = spec_of(tmp_path, "serving: {workload: {shared-prefix: {prefix: 100, input: 20, output: 8}}}\n").workload
    assert (prefix.kind, prefix.groups, prefix.prefix, str(prefix.input)) == ("shared-prefix", 4, 100, "20")
    turns = spec_of(tmp_path, "serving: {workload: {multi-turn: {turns: 3, input: 20, together: 2}}}\n").workload
    assert (turns.kind, turns.turns, turns.together) == ("multi-turn", 3, 2)
    trace = spec_of(tmp_path, "serving: {workload: {trace: {file: t.jsonl, speed: 2, max-input: 99}}}\n")
    assert (trace.workload.kind, trace.workload.max_input, trace.workload.speed) == ("trace", 99, 2.0)
    assert trace.workload.path == (tmp_path / "t.jsonl").resolve()
    assert trace.workload.within is not None
    assert trace.arrivals == Arrivals(kind="trace", speed=2.0)


@pytest.mark.parametrize(
    ("written", "arrivals"),
    [
        ("closed", Arrivals()),
        ("{poisson: {rate: 4, seed: 2}}", Arrivals(kind="poisson", rate=4, seed=2)),
        ("{gamma: {rate: 4, burstiness: 0.5}}", Arrivals(kind="gamma", rate=4, burstiness=0.5)),
        ("{constant: {rate: 2.5}}", Arrivals(kind="constant", rate=2.5)),
        ("{ramp: {from: 1, to: 8}}", Arrivals(kind="ramp", rate_from=1, rate=8)),
    ],
)
def test_arrivals_arrive(tmp_path: Path, written: str, arrivals: Arrivals) -> None:
    spec = spec_of(tmp_path, f"serving: {{arrivals: {written}}}\n")
    assert spec.arrivals == arrivals
    assert spec.concurrency == (8 if arrivals.kind == "closed" else 0)
