"""When requests are due in an open loop: times that do not wait for answers."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from llmgate.bench.workload.words import rng
from llmgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.serving.trace import Arrivals

__all__ = ["due_times"]

MOST_S: Final = 7 * 86400.0


def due_times(arrivals: Arrivals, requests: int, *, recorded_s: Sequence[float] = ()) -> tuple[float, ...]:
    """When each request is due, in seconds from the start.

    The first one is due at once. Gaps of `poisson` are exponential with mean 1/rate; those of `gamma` have shape
    `burstiness` and scale 1/(rate·burstiness), so the same mean, and a coefficient of variation of 1/√burstiness;
    those of `constant` are 1/rate. Of a `ramp` the gaps are exponential at the rate of their place: it grows evenly
    from the first request to the last.

    All gaps are then stretched alike so that they add up to what they would on average, as `vllm bench serve` does: 64
    requests at burstiness 0.5 would else come at a rate that is a fifth off in one of three measurements.

    Args:
        arrivals: What they follow.
        requests: How many.
        recorded_s: Of a `trace`: the recorded times.

    Returns:
        Ascending, one per request; nothing of a closed loop.

    Raises:
        UsageError: If a rate, a burstiness or a speed is none, or the recorded times are not as many.

    Reference: vllm/benchmarks/serve.py of vLLM 0.33, `get_request`, for shape, scale and stretching.
    """
    if arrivals.kind == "closed":
        return ()
    if requests < 1:
        raise UsageError(f"{requests} requests have no times of arrival", where="arrivals", fix="Ask for at least 1")
    if arrivals.kind == "trace":
        times = _replayed(arrivals, requests, recorded_s)
    else:
        times = tuple(accumulate(_gaps(arrivals, requests - 1), initial=0.0))
    if not times[-1] <= MOST_S:
        raise UsageError(
            f"the last request would be due after {times[-1] / 3600:.1f} hours",
            where="arrivals",
            fix="Raise the rate or the speed, or ask for fewer requests",
        )
    return times


def _gaps(arrivals: Arrivals, count: int) -> list[float]:
    rate = _positive("rate", arrivals.rate)
    source = rng(arrivals.seed, "arrivals", arrivals.kind)
    means = [1 / rate] * count
    if arrivals.kind == "constant":
        return means
    if arrivals.kind == "gamma":
        shape = _positive("burstiness", arrivals.burstiness)
        gaps = [source.gammavariate(shape, 1 / (rate * shape)) for _ in range(count)]
    elif arrivals.kind == "ramp":
        low = _positive("rate_from", arrivals.rate_from)
        means = [1 / (low + (rate - low) * (k + 0.5) / count) for k in range(count)]
        gaps = [source.expovariate(1 / mean) for mean in means]
    else:
        gaps = [source.expovariate(rate) for _ in range(count)]
    wanted, drawn = math.fsum(means), math.fsum(gaps)
    # Few gaps of a very small shape may all be 0 in floating point.
    return [gap * (wanted / drawn) for gap in gaps] if drawn > 1e-9 * wanted else means


def _replayed(arrivals: Arrivals, requests: int, recorded_s: Sequence[float]) -> tuple[float, ...]:
    speed = _positive("speed", arrivals.speed)
    if len(recorded_s) < requests:
        raise UsageError(
            f"{len(recorded_s)} recorded times for {requests} requests", where="arrivals", fix="Ask for fewer requests"
        )
    begin = recorded_s[0]
    return tuple((time_s - begin) / speed for time_s in recorded_s[:requests])


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} is {value}, but must be above 0", where="arrivals", fix=f"Give {name} a number")
    return value
