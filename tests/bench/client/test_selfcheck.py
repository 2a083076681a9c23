"""The lag probe, the collector's silence, the server's histogram."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.bench.client.selfcheck import LagProbe, growth, quiet_collector, read_ttft_histogram
from llmgate.record.serving.trace import ServerHistogram

pytestmark = pytest.mark.timing

METRICS = """# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 3.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 3.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 0.625
# TYPE vllm:time_to_first_token_seconds_created gauge
vllm:time_to_first_token_seconds_created{engine="0",model_name="m"} 1.7e+09
vllm:request_success_total{engine="0",model_name="m"} 3.0
"""


def test_the_histogram_is_summed_over_engines() -> None:
    assert read_ttft_histogram(METRICS) == ServerHistogram(count=3, sum_s=0.625)
    assert read_ttft_histogram(METRICS + METRICS.replace('engine="0"', 'engine="1"')) == ServerHistogram(
        count=6, sum_s=1.25
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not metrics</html>",
        METRICS.replace("_sum{", "_total{"),
        METRICS.replace("0.625", "many"),
        METRICS.replace("0.625", "NaN"),
        METRICS.replace("0.625", "+Inf"),
        METRICS.replace('sum{engine="0",model_name="m"} 0.625', "sum{"),
    ],
)
def test_no_histogram_or_a_broken_one_is_none(text: str) -> None:
    assert read_ttft_histogram(text) is None


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert read_ttft_histogram("vllm:time_to_first_token_seconds_sum{" + text) is None


def test_growth_is_none_where_it_is_not_known() -> None:
    low, high = ServerHistogram(count=3, sum_s=1.0), ServerHistogram(count=5, sum_s=1.5)
    assert growth(low, high) == ServerHistogram(count=2, sum_s=0.5)
    assert growth(None, high) is None
    assert growth(low, None) is None
    assert growth(high, low) is None, "the server restarted"


def test_a_blocked_loop_is_seen() -> None:
    async def block(seconds: float) -> LagProbe:
        probe = LagProbe()
        probe.start()
        await asyncio.sleep(0.02)
        time.sleep(seconds)  # noqa: ASYNC251 - on purpose
        await asyncio.sleep(0.02)
        probe.stop()
        return probe

    probe = asyncio.run(block(0.2))
    assert probe.worst_s[0] > 0.19
    assert probe.blocked_s >= probe.worst_s[0]
    assert list(probe.worst_s) == sorted(probe.worst_s, reverse=True)


def test_a_loop_blocked_to_the_end_is_seen() -> None:
    async def block() -> LagProbe:
        probe = LagProbe()
        probe.start()
        time.sleep(0.1)  # noqa: ASYNC251 - on purpose
        probe.stop()
        return probe

    assert asyncio.run(block()).worst_s[0] > 0.09


def test_at_most_20_values_are_kept() -> None:
    async def idle() -> LagProbe:
        probe = LagProbe()
        probe.start()
        await asyncio.sleep(0.5)
        probe.stop()
        probe.stop()
        return probe

    assert len(asyncio.run(idle()).worst_s) == 20


def test_the_collector_is_left_as_it_was() -> None:
    frozen, enabled = gc.get_freeze_count(), gc.isenabled()
    with quiet_collector():
        assert gc.get_freeze_count() > frozen
    assert gc.get_freeze_count() == frozen
    assert gc.isenabled() == enabled
