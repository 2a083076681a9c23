"""What `llmgate bench` sends and when, from its options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.record.serving.plan import LEVEL_NAMES, ServiceLevels, ServingSpec
from llmgate.suite.form.load import read_arrivals, read_workload
from llmgate.suite.form.serving import arrivals_of

__all__ = ["load_spec", "read_levels"]

DEFAULT_IN_FLIGHT: Final = 8


def load_spec(
    *,
    requests: int,
    in_flight: int | None,
    max_tokens: int,
    workload: str = "prompts",
    arrivals: str | None = None,
    goodput: str = "",
    seed: int | None = None,
) -> ServingSpec:
    """The measurement that options ask for.

    Args:
        requests: Of a run.
        in_flight: As `ServingSpec.concurrency`; None for the default of a closed or an open loop.
        max_tokens: Of an answer.
        workload: As `read_workload` takes it.
        arrivals: As `read_arrivals` takes them; None for closed, or the times of a trace.
        goodput: As `read_levels` takes them.
        seed: Of workload and arrivals, in place of their own.

    Raises:
        UsageError: If one of them is none.
    """
    sent = read_workload(workload, Path())
    when = arrivals_of(None if arrivals is None else read_arrivals(arrivals), sent, "--arrivals")
    if seed is not None:
        sent, when = replace(sent, seed=seed), replace(when, seed=seed)
    closed = when.kind == "closed"
    if in_flight is None:
        in_flight = DEFAULT_IN_FLIGHT if closed else 0
    if closed and in_flight < 1:
        raise UsageError("a closed loop with nothing in flight", where="--in-flight", fix="Ask for at least 1")
    return ServingSpec(
        concurrency=in_flight,
        requests=requests,
        max_tokens=max_tokens,
        # As many as are in flight, so that the first measured requests find the server as the others do.
        warmup=in_flight or DEFAULT_IN_FLIGHT,
        levels=read_levels(goodput) if goodput else None,
        workload=sent,
        arrivals=when,
    )


def read_levels(text: str) -> ServiceLevels:
    """Service levels: `ttft_ms:500,tpot_ms:50`, or with `=`. vLLM's `ttft:500` means the same.

    Raises:
        UsageError: If there is none, or one is no number.
    """
    levels: dict[str, float] = {}
    for each in text.replace("=", ":").replace(" ", ",").split(","):
        name, _, value = each.partition(":")
        if not each:
            continue
        name = name if name.endswith("_ms") else f"{name}_ms"
        if name not in LEVEL_NAMES:
            raise UsageError(f"{each!r} is no service level", where="--goodput", fix=did_you_mean(name, LEVEL_NAMES))
        if name in levels:
            raise UsageError(f"{name} is given twice", where="--goodput", fix="Remove one of them")
        try:
            levels[name] = float(value)
        except ValueError as error:
            raise UsageError(f"{each!r} has no number", where="--goodput", fix="Write ttft_ms:500") from error
    return ServiceLevels(**levels)
