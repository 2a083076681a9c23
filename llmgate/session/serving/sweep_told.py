"""A sweep on the command line: what has to hold, read from it; what was found, in words, as JSON and as exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, UsageError
from llmgate.gate.serving.knee import Holding
from llmgate.record.policy_words import Direction
from llmgate.record.serving.policy import ServingPolicy
from llmgate.session.serving.sweep import load_in_words
from llmgate.suite.form.serving import turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.session.serving.sweep import Sweep, SweptLoad

__all__ = ["read_slos", "sweep_answer", "sweep_exit", "sweep_facts", "sweep_lines"]

COLUMNS: Final = (
    ("req/s", "request_throughput", 2),
    ("tok/s", "output_throughput", 1),
    ("TTFT p95", "p95_ttft_ms", 1),
    ("TPOT p95", "p95_tpot_ms", 1),
    ("goodput", "request_goodput", 2),
)


def read_slos(texts: Sequence[str], *, suite: str) -> tuple[ServingPolicy, ...]:
    """Service levels as policies: `p95_ttft_ms=500`, `output_throughput=100`.

    Raises:
        UsageError: If one is no figure with a number, or a figure stands twice.
    """
    levels: dict[str, ServingPolicy] = {}
    for text in texts:
        name, equals, value = text.replace(":", "=").partition("=")
        figure = turned(name.strip())
        try:
            limit = float(value)
        except ValueError as error:
            what = f"{text!r} has no number" if equals else f"{text!r} has no limit"
            raise UsageError(what, where="--slo", fix="Write p95_ttft_ms=500") from error
        if figure in levels:
            raise UsageError(f"{figure} is given twice", where="--slo", fix="Remove one of them")
        # The policy says which way is better, and refuses what is no figure.
        better = ServingPolicy(suite=suite, metric=figure).direction
        levels[figure] = ServingPolicy(
            suite=suite,
            metric=figure,
            margin=None,
            max=limit if better is Direction.LOWER else None,
            min=limit if better is Direction.HIGHER else None,
        )
    return tuple(levels.values())


def sweep_exit(found: Sweep) -> int:
    """0 if a load holds, 1 if the smallest one misses, 3 if the runs do not say."""
    if found.knee.load is not None:
        return EXIT_PASS
    return EXIT_FAIL if found.knee.misses is not None else EXIT_INCONCLUSIVE


def sweep_lines(found: Sweep) -> list[str]:
    """A row per load, then the answer."""
    shown = {name for _, name, _ in COLUMNS}
    asked = [(_title(level.metric), level.metric, 1) for level in found.search.levels if level.metric not in shown]
    columns = [
        column for column in (*COLUMNS, *asked) if any(each.runs.mean(column[1]) is not None for each in found.loads)
    ]
    head = "in flight" if found.kind == "concurrency" else "req/s due"
    lines = [f"{head:>9}{'requests':>10}" + "".join(f"{title:>{_width(title)}}" for title, _, _ in columns) + "  "]
    for each in found.loads:
        cells = [f"{_cell(each, name, digits):>{_width(title)}}" for title, name, digits in columns]
        lines.append(f"{each.load:>9g}{each.requests:>10}" + "".join(cells) + f"  {_word(each)}")
    lines.append(sweep_answer(found))
    lines += [f"note: {_discarded(each)}" for each in found.loads if each.discarded]
    return [line.rstrip() for line in lines]


def sweep_answer(found: Sweep) -> str:
    """The largest load, what it holds, and why the search ended there."""
    levels = ", ".join(
        f"{level.metric} {'≤' if level.max is not None else '≥'} {level.limit:g}" for level in found.search.levels
    )
    answer = "none" if found.knee.load is None else load_in_words(found.knee.load, found.kind)
    return f"Largest load with {levels}: {answer} ({found.knee.reason})"


def sweep_facts(found: Sweep) -> dict[str, Any]:
    """All of it as JSON, figures with the keys of `vllm bench serve`."""
    return {
        "sweep": found.kind,
        "slo": {level.metric: level.limit for level in found.search.levels},
        "alpha": {level.metric: level.alpha for level in found.search.levels},
        "runs": found.search.runs,
        "knee": {
            "load": found.knee.load,
            "above": found.knee.above,
            "misses": found.knee.misses,
            "undecided": list(found.knee.undecided),
            "reason": found.knee.reason,
        },
        "loads": [
            {
                "load": each.load,
                "requests": each.requests,
                "holds": str(each.holding),
                "runs": [dict(figures) for figures in each.runs.figures],
                "invalid": list(each.runs.invalid),
                "failed": each.runs.failed,
                "discarded": list(each.discarded),
            }
            for each in found.loads
        ],
    }


def _width(title: str) -> int:
    return max(10, len(title) + 2)


def _title(figure: str) -> str:
    """`p95_ttft_ms` as `TTFT p95`; throughputs as they are called."""
    statistic, _, name = figure.removesuffix("_ms").partition("_")
    return f"{name.upper()} {statistic}" if figure.endswith("_ms") else figure


def _cell(each: SweptLoad, name: str, digits: int) -> str:
    value = each.runs.mean(name)
    return "-" if value is None else f"{value:.{digits}f}"


def _word(each: SweptLoad) -> str:
    if each.runs.failed:
        return "misses: requests failed"
    if len(each.runs.invalid) and each.holding is Holding.UNDECIDED:
        return f"undecided: {len(each.runs.invalid)} invalid"
    return str(each.holding)


def _discarded(each: SweptLoad) -> str:
    times = "a run was" if len(each.discarded) == 1 else f"{len(each.discarded)} runs were"
    return f"{times} made again at {each.load:g}: {each.discarded[0]}"
