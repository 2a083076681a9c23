"""What a million output tokens cost: energy by the GPUs' own account, money by prices that the user gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from llmgate.gate.serving.validity import plausible

if TYPE_CHECKING:
    from llmgate.record.serving.prices import PriceTable
    from llmgate.record.serving.trace import ServingTrace

__all__ = ["cost_lines", "cost_per_million", "energy_per_million", "kwh_per_million"]

MILLION: Final = 1e6
HOUR_S: Final = 3600.0
KWH_J: Final = 3.6e6


def energy_per_million(trace: ServingTrace) -> float | None:
    """Energy of all GPUs of the server for a million output tokens, in joules.

    That of the whole measurement, idle time included, over the tokens of answers that came in full. The rest of the
    machine is not in it. None where a GPU's energy or the number of tokens is not known.
    """
    tokens, energy_j = _tokens(trace), _energy_j(trace)
    return None if tokens is None or energy_j is None else energy_j / tokens * MILLION


def kwh_per_million(trace: ServingTrace) -> float | None:
    """As `energy_per_million`, in kilowatt-hours."""
    energy_j = energy_per_million(trace)
    return None if energy_j is None else energy_j / KWH_J


def cost_per_million(trace: ServingTrace, prices: PriceTable) -> float | None:
    """Price of a million output tokens: the GPUs' hours, and electricity where it has a price of its own.

    None where that is not known for all of the server's GPUs.
    """
    tokens = _tokens(trace)
    if tokens is None or not trace.devices or not (math.isfinite(trace.duration_s) and trace.duration_s > 0):
        return None
    cost = 0.0
    if prices.gpus:
        hourly = [prices.per_hour(device.name) for device in trace.devices]
        known = [price for price in hourly if price is not None]
        if len(known) < len(hourly):
            return None
        cost += math.fsum(known) * trace.duration_s / HOUR_S
    if prices.per_kwh is not None:
        energy_j = _energy_j(trace)
        if energy_j is None:
            return None
        cost += energy_j / KWH_J * prices.per_kwh
    return cost / tokens * MILLION


def cost_lines(trace: ServingTrace, prices: PriceTable | None = None) -> tuple[str, ...]:
    """Energy and cost in words, one line each; with prices also why there is no cost."""
    lines = []
    energy_j = energy_per_million(trace)
    if energy_j is not None:
        kwh = energy_j / KWH_J
        lines.append(f"energy per million output tokens: {energy_j / 1e3:.1f} kJ ({kwh:.4f} kWh), GPUs only")
    if prices is not None:
        cost = cost_per_million(trace, prices)
        lines.append(
            f"cost per million output tokens: {_why_none(trace, prices)}"
            if cost is None
            else f"cost per million output tokens: {cost:.4f} {prices.currency}"
        )
    return tuple(lines)


def _why_none(trace: ServingTrace, prices: PriceTable) -> str:
    if not trace.devices:
        return "not known, no GPU of the server was seen"
    if _tokens(trace) is None:
        return "not known, the server did not count its tokens"
    unpriced = [device.name for device in trace.devices if prices.gpus and prices.per_hour(device.name) is None]
    return f"not known, no price fits {unpriced[0]!r}" if unpriced else "not known, a GPU does not tell its energy"


def _energy_j(trace: ServingTrace) -> float | None:
    used = [device.energy_j for device in trace.devices]
    known = [energy_j for energy_j in used if energy_j is not None and math.isfinite(energy_j) and energy_j >= 0]
    return math.fsum(known) if known and len(known) == len(used) else None


def _tokens(trace: ServingTrace) -> int | None:
    """Output tokens of answers in full; None if there are none, or one answer's were not counted."""
    written = [request.completion_tokens for request in trace.requests if request.error is None and plausible(request)]
    known = [tokens for tokens in written if tokens is not None]
    return (sum(known) or None) if len(known) == len(written) else None
