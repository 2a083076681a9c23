"""`serving:` of a suite: what is sent to the server and when, and which figures gate.

serving:
  concurrency: 8
  requests: 200
  gate:
    output_throughput: {margin: 0.05}
    median_ttft_ms: {role: guardrail, margin: 0.1}
  max: {p95_ttft_ms: 500}                  # limits alone; ttft_p95_ms means the same
  goodput: {ttft_ms: 500, tpot_ms: 50}
  workload: {random: {input: 512, output: 64..256}}
  arrivals: {poisson: {rate: 4}}
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, model_validator

from llmgate.errors import PolicyError, SuiteError
from llmgate.record.policy_words import DEFAULT_ALPHA, Role
from llmgate.record.serving.plan import DEFAULT_PAIRS, LEAST_PAIRS, ServiceLevels, ServingSpec, WorkloadSpec
from llmgate.record.serving.policy import DEFAULT_SERVING_MARGIN, SERVING_FIGURES, ServingPolicy, tail_requests
from llmgate.record.serving.trace import CLOSED_LOOP, Arrivals
from llmgate.suite.form.load import ArrivalsPart, WorkloadPart
from llmgate.suite.form.part import Finite, Part, placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmgate.record.reach import Reach

__all__ = ["FigurePart", "GoodputPart", "ServingPart", "serving_spec"]

TURNED: Final = re.compile(r"^(?P<name>ttft|tpot|itl|e2el)_(?P<statistic>mean|median|p\d\d)_ms$")
ROUNDS: Final = 3
"""Requests per slot that a closed loop needs for a steady part."""


class FigurePart(Part):
    """One entry of `serving: {gate: …}`."""

    role: Annotated[Role, Field(strict=False)] = Role.PRIMARY
    """primary and guardrail gate; watch is only shown."""
    margin: Finite | None = DEFAULT_SERVING_MARGIN
    """The largest loss against the champion that is accepted, relative: 0.05 is 5 % less throughput or 5 % more
    latency. Default: 0.05, or none where the entry has a limit."""
    min: Finite | None = None
    """What the lower confidence bound must reach, where more is better."""
    max: Finite | None = None
    """What the upper confidence bound must not exceed, where less is better."""
    alpha: Finite = DEFAULT_ALPHA
    """One-sided error rate."""
    reason: str = ""
    """Why, where alpha is above 0.2 or the margin above 0.5."""

    @property
    def asked_margin(self) -> float | None:
        """An entry that gives a limit and no margin asks about the limit alone."""
        limited = self.min is not None or self.max is not None
        return None if limited and "margin" not in self.model_fields_set else self.margin


Positive = Annotated[Finite, Field(gt=0)]


class GoodputPart(Part):
    """`goodput:` - what a request must meet to be counted by `request_goodput`."""

    ttft_ms: Positive | None = None
    """Time to the first token, ms."""
    tpot_ms: Positive | None = None
    """Mean time per further token, ms."""
    e2el_ms: Positive | None = None
    """Time to the last token, ms."""

    @model_validator(mode="after")
    def some(self) -> GoodputPart:
        """Refuse levels that hold for every request."""
        if self.ttft_ms is None and self.tpot_ms is None and self.e2el_ms is None:
            raise ValueError("no level at all; write for example ttft_ms: 500")
        return self


def turned(name: str) -> str:
    """A figure under its own name: `ttft_p95_ms` is `p95_ttft_ms`, and p50 is the median."""
    found = TURNED.match(name)
    own = f"{found['statistic']}_{found['name']}_ms" if found else name
    return own.replace("p50_", "median_", 1) if own.startswith("p50_") else own


NAMES: Final = sorted(
    {
        *SERVING_FIGURES,
        *(f"{b}_{a}_ms" for a, _, b in (n[:-3].partition("_") for n in SERVING_FIGURES if n[-3:] == "_ms")),
    }
)
FIGURE_NAMES: Final[dict[str, Any]] = {"propertyNames": {"enum": NAMES}}
"""For editors; the reader names what is near."""


class ServingPart(Part):
    """`serving:` - the measurement of throughput and latency."""

    concurrency: Annotated[int, Field(ge=0)] | None = None
    """Requests in flight at once, 8 by default; where `arrivals:` says when they are due, the most that may be (0 for
    any number, the default there)."""
    requests: Annotated[int, Field(ge=1)] = 64
    """Requests that are measured in one run."""
    max_tokens: Annotated[int, Field(ge=2)] = 64
    """Tokens per answer."""
    warmup: Annotated[int, Field(ge=0)] = 4
    """Requests before the measured ones."""
    gate: dict[str, FigurePart] = Field(default_factory=dict, json_schema_extra=FIGURE_NAMES)
    """Figures that are compared with the champion's, run by run. Without it serving is measured once and shown."""
    min: dict[str, Positive] = Field(default_factory=dict, json_schema_extra=FIGURE_NAMES)
    """Throughputs that must be reached, per second."""
    max: dict[str, Positive] = Field(default_factory=dict, json_schema_extra=FIGURE_NAMES)
    """Latencies that must not be exceeded, in ms."""
    goodput: GoodputPart | None = None
    """What a request must meet to be counted by request_goodput."""
    pairs: Annotated[int, Field(ge=LEAST_PAIRS)] = DEFAULT_PAIRS
    """Pairs of runs, candidate and champion, where figures gate."""
    workload: WorkloadPart = WorkloadPart.model_construct()
    """What is sent: the suite's own prompts, or one of the others."""
    arrivals: ArrivalsPart | None = None
    """When requests are due. Default: closed, so that one is sent when another has ended; of a trace its own times."""


def serving_spec(part: ServingPart, *, suite: str, path: Path, reach: Reach, where: Callable[..., str]) -> ServingSpec:
    """What a suite asks for.

    Args:
        part: `serving:` as it is written.
        suite: The suite's name.
        path: The suite's file.
        reach: Which files it may name.
        where: Words the place of a part of `serving:`.

    Raises:
        SuiteError: If it is impossible, with its line.
    """
    workload = part.workload.spec(path.parent, reach, where)
    arrivals = arrivals_of(part.arrivals, workload, where("arrivals"))
    concurrency = part.concurrency
    if concurrency is None:
        concurrency = 8 if arrivals.kind == "closed" else 0
    if arrivals.kind == "closed" and concurrency < 1:
        raise SuiteError(
            "a closed loop with nothing in flight", where=where("concurrency"), fix="Write at least 1, or `arrivals:`"
        )
    levels = ServiceLevels(**part.goodput.model_dump()) if part.goodput else None
    gates = tuple(policies(part, suite, where))
    check_gates(gates, part, where)
    if gates and arrivals.kind == "closed" and part.requests < ROUNDS * concurrency:
        raise SuiteError(
            f"{part.requests} requests with {concurrency} in flight have no steady part, so that no run is valid",
            where=where("requests"),
            fix=f"Ask for at least {ROUNDS * concurrency}",
        )
    return ServingSpec(
        concurrency=concurrency,
        requests=part.requests,
        max_tokens=part.max_tokens,
        warmup=part.warmup,
        pairs=part.pairs,
        levels=levels,
        workload=workload,
        arrivals=arrivals,
        gates=gates,
    )


def arrivals_of(part: ArrivalsPart | None, workload: WorkloadSpec, where: str) -> Arrivals:
    """When requests are due.

    Args:
        part: As written, None if it is not.
        workload: What is sent; a trace has times of its own.
        where: Names it in messages.

    Raises:
        SuiteError: If a trace has a speed and its times are not used.
    """
    trace = workload.kind == "trace"
    if part is None:
        return Arrivals(kind="trace", speed=workload.speed) if trace else CLOSED_LOOP
    if trace and workload.speed != 1.0:
        raise SuiteError(
            "the trace has a speed, and `arrivals:` sets other times",
            where=where,
            fix="Remove `speed:`, or leave `arrivals:` out to replay the trace's own times",
        )
    return part.arrivals()


def policies(part: ServingPart, suite: str, where: Callable[..., str]) -> Iterator[ServingPolicy]:
    """The gates, limits in their short form included.

    Raises:
        SuiteError: If one is impossible, or a figure stands twice.
    """
    limits: dict[str, tuple[str, str, float]] = {}
    for key, written in (("min", part.min), ("max", part.max)):
        for name, value in written.items():
            if turned(name) in limits:
                raise twice(name, where(key, name))
            limits[turned(name)] = (key, name, value)
    seen: set[str] = set()
    for name, entry in part.gate.items():
        figure = turned(name)
        if figure in seen:
            raise twice(name, where("gate", name))
        seen.add(figure)
        own: dict[str, Any] = {"margin": entry.asked_margin, "min": entry.min, "max": entry.max}
        if figure in limits:
            key, short, value = limits.pop(figure)
            if own[key] is not None:
                raise twice(short, where(key, short))
            own[key] = value
        with placed(where("gate", name)):
            policy = ServingPolicy(
                suite=suite, metric=figure, role=entry.role, alpha=entry.alpha, reason=entry.reason, **own
            )
            if problem := policy.unexplained:
                raise PolicyError(problem, fix="Add `reason: …` beside it, or write a smaller one")
        yield policy
    for figure, (key, short, value) in limits.items():
        with placed(where(key, short)):
            yield ServingPolicy(
                suite=suite,
                metric=figure,
                margin=None,
                min=value if key == "min" else None,
                max=value if key == "max" else None,
            )


def twice(name: str, where: str) -> SuiteError:
    """The error about a figure that stands twice."""
    return SuiteError(f"the figure {name!r} is given twice", where=where, fix="Remove one of them")


def check_gates(gates: tuple[ServingPolicy, ...], part: ServingPart, where: Callable[..., str]) -> None:
    """Refuse gates that could never be decided.

    Raises:
        SuiteError: If a percentile gates on too few requests, or goodput without its levels.
    """
    for policy in gates:
        place = where(*written_at(part, policy.metric))
        needed = tail_requests(policy.metric)
        if policy.gates and part.requests < needed:
            raise SuiteError(
                f"{policy.metric} of {part.requests} requests rests on the few slowest of them",
                where=place,
                fix=f"Write `requests: {needed}` or more, `role: watch`, or gate the median",
            )
        if policy.metric == "request_goodput" and part.goodput is None:
            raise SuiteError(
                "goodput without service levels counts every request",
                where=place,
                fix="Add `goodput: {ttft_ms: 500, tpot_ms: 50}`",
            )


def written_at(part: ServingPart, figure: str) -> tuple[str, str]:
    """Where a figure stands in `serving:`."""
    for key, written in (("gate", part.gate), ("min", part.min), ("max", part.max)):
        for name in written:
            if turned(name) == figure:
                return key, name
    return "gate", figure
