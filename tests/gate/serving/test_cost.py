"""Energy and money for a million output tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from llmgate.errors import UsageError
from llmgate.gate.serving.cost import cost_lines, cost_per_million, energy_per_million, kwh_per_million
from llmgate.record.serving.prices import PriceTable
from llmgate.record.serving.trace import DeviceUse, RequestTrace, ServingTrace

H100 = DeviceUse(index=0, name="NVIDIA H100 80GB HBM3", memory_gib=70.0, memory_total_gib=80.0, energy_j=18_000.0)
L4 = DeviceUse(index=1, name="NVIDIA L4", memory_gib=1.0, memory_total_gib=24.0, energy_j=1_800.0)
PRICES = PriceTable(gpus=(("NVIDIA H100*", 3.6), ("NVIDIA L4", 0.72), ("NVIDIA*", 99.0)))


def request(index: int, tokens: int | None, *, error: str | None = None) -> RequestTrace:
    return RequestTrace(
        index=index,
        queued_s=0.0,
        sent_s=0.0,
        token_events_s=(1.0, 2.0),
        end_s=2.0,
        completion_tokens=tokens,
        error=error,
    )


def trace(*devices: DeviceUse, tokens: tuple[int | None, ...] = (4000, 5000)) -> ServingTrace:
    return ServingTrace(
        name="a",
        workload="w",
        workload_digest="0" * 64,
        concurrency=1,
        requests=(*(request(i, n) for i, n in enumerate(tokens)), request(99, 7, error="cut")),
        duration_s=36.0,
        client_cpu_s=0.5,
        client_version="test",
        devices=devices,
    )


def test_energy() -> None:
    assert energy_per_million(trace(H100)) == pytest.approx(2e6)
    assert energy_per_million(trace(H100, L4)) == pytest.approx(2.2e6)
    assert kwh_per_million(trace(H100)) == pytest.approx(2e6 / 3.6e6)


def test_cost() -> None:
    # 36 s are a hundredth of an hour; 9000 tokens.
    assert cost_per_million(trace(H100), PRICES) == pytest.approx(0.036 / 9000 * 1e6)
    assert cost_per_million(trace(H100, L4), PRICES) == pytest.approx((0.036 + 0.0072) / 9000 * 1e6)
    power = PriceTable(per_kwh=0.2)
    assert cost_per_million(trace(H100), power) == pytest.approx(18e3 / 3.6e6 * 0.2 / 9000 * 1e6)
    both = replace(PRICES, per_kwh=0.2)
    assert cost_per_million(trace(H100), both) == pytest.approx(4.0 + 18e3 / 3.6e6 * 0.2 / 9000 * 1e6)


def test_the_first_pattern_that_fits() -> None:
    assert [PRICES.per_hour(name) for name in ("NVIDIA L4", "NVIDIA L40S", "nvidia l4", "AMD")] == [
        0.72,
        99.0,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (trace(), "no GPU of the server was seen"),
        (trace(H100, tokens=(4000, None)), "the server did not count its tokens"),
        (trace(H100, tokens=()), "the server did not count its tokens"),
        (trace(H100, tokens=(0,)), "the server did not count its tokens"),
        (trace(H100, replace(L4, name="AMD Instinct")), "no price fits 'AMD Instinct'"),
        (trace(H100, replace(L4, energy_j=None)), "a GPU does not tell its energy"),
        (trace(H100, replace(L4, energy_j=math.nan)), "a GPU does not tell its energy"),
    ],
)
def test_what_is_not_known_costs_nothing_and_is_said(found: ServingTrace, why: str) -> None:
    prices = replace(PRICES, per_kwh=0.2)
    assert cost_per_million(found, prices) is None
    assert cost_lines(found, prices)[-1] == f"cost per million output tokens: not known, {why}"


def test_energy_that_is_not_known() -> None:
    for found in (
        trace(),
        trace(replace(H100, energy_j=None)),
        trace(H100, replace(L4, energy_j=-1.0)),
        trace(H100, tokens=()),
    ):
        assert energy_per_million(found) is None
        assert kwh_per_million(found) is None
        assert cost_lines(found) == ()


def test_lines() -> None:
    assert cost_lines(trace(H100)) == ("energy per million output tokens: 2000.0 kJ (0.5556 kWh), GPUs only",)
    assert cost_lines(trace(H100), replace(PRICES, currency="EUR"))[1:] == (
        "cost per million output tokens: 4.0000 EUR",
    )


@pytest.mark.parametrize("price", [-0.1, math.nan, math.inf])
def test_prices_that_cannot_be(price: float) -> None:
    with pytest.raises(UsageError, match="the price of NVIDIA L4 is"):
        PriceTable(gpus=(("NVIDIA L4", price),))
    with pytest.raises(UsageError, match="the price of per_kwh is"):
        PriceTable(per_kwh=price)


def test_no_price_at_all() -> None:
    with pytest.raises(UsageError, match="there is no price"):
        PriceTable()
