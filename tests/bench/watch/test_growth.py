"""Two pages of metrics, and what lies between them."""

from __future__ import annotations

import math
from dataclasses import replace

from pydantic import TypeAdapter

from llmgate.bench.watch.growth import Page, grown, page_of, ranges, ttft_of
from llmgate.generate.exposition import read_samples
from llmgate.record.serving.trace import GaugeRange, ServerHistogram, ServerMetrics

TTFT = "vllm:time_to_first_token_seconds"


def page(text: str) -> Page:
    return page_of(read_samples(text))


def ttft(*counts: int, total: float, engine: str = "0") -> str:
    """A histogram with the bounds 0.1, 1 and infinity."""
    lines = [
        f'{TTFT}_bucket{{engine="{engine}",le="{bound}"}} {count}'
        for bound, count in zip(("0.1", "1.0", "+Inf"), counts, strict=True)
    ]
    return "\n".join(
        [*lines, f'{TTFT}_count{{engine="{engine}"}} {counts[-1]}', f'{TTFT}_sum{{engine="{engine}"}} {total}', ""]
    )


def test_engines_are_added_up_and_shares_are_not() -> None:
    found = page(
        'vllm:num_requests_running{engine="0"} 3\nvllm:num_requests_running{engine="1"} 4\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.5\nvllm:kv_cache_usage_perc{engine="1"} 0.7\n'
        'vllm:num_preemptions_total{engine="0"} 1\nvllm:num_preemptions_total{engine="1"} 2\n'
        'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 5\n'
        'vllm:num_requests_waiting_by_reason{engine="1",reason="capacity"} 6\n'
        'vllm:num_requests_waiting_by_reason{engine="0",reason="deferred"} 1\n'
        "something_else 9\nvllm:num_requests_waiting NaN\n"
        + ttft(1, 2, 3, total=3.0)
        + ttft(2, 3, 4, total=1, engine="1")
    )
    assert dict(found.gauges) == {
        "vllm:num_requests_running": 7.0,
        "vllm:kv_cache_usage_perc": 0.6,
        "vllm:num_requests_waiting_by_reason{capacity}": 11.0,
        "vllm:num_requests_waiting_by_reason{deferred}": 1.0,
    }
    assert dict(found.counters) == {"vllm:num_preemptions": 3.0}
    assert found.histograms[TTFT].buckets == {0.1: 3.0, 1.0: 5.0, math.inf: 7.0}
    assert found.histograms[TTFT].sum == 4.0


def test_growth() -> None:
    before = page("vllm:prefix_cache_hits_total 100\n" + ttft(1, 2, 3, total=3.0))
    after = page("vllm:prefix_cache_hits_total 160\nvllm:num_preemptions_total 2\n" + ttft(1, 4, 6, total=8.0))
    metrics = grown(before, after)
    assert metrics is not None
    # A series that the server made for its first observation began at 0.
    assert metrics.counters == {"vllm:prefix_cache_hits": 60.0, "vllm:num_preemptions": 2.0}
    assert metrics.histograms[TTFT].count == 3
    assert metrics.histograms[TTFT].sum == 5.0
    assert metrics.histograms[TTFT].buckets == ((0.1, 0), (1.0, 2), (math.inf, 3))
    assert ttft_of(metrics) == ServerHistogram(count=3, sum_s=5.0)


def test_a_server_that_was_started_again_has_no_growth() -> None:
    start = "process_start_time_seconds 1000.5\n"
    before = page(start + "vllm:num_preemptions_total 2\n" + ttft(1, 2, 3, total=3.0))
    again = (
        "process_start_time_seconds 1003.0\nvllm:num_preemptions_total 5\n" + ttft(9, 9, 9, total=9.0),
        start + "vllm:num_preemptions_total 1\n" + ttft(9, 9, 9, total=9.0),
        start + ttft(9, 9, 9, total=9.0),
        start + "vllm:num_preemptions_total 2\n" + ttft(1, 2, 2, total=9.0),
        start + "vllm:num_preemptions_total 2\n" + ttft(0, 2, 3, total=3.0),
        start + "vllm:num_preemptions_total 2\n" + ttft(1, 2, 3, total=2.5),
        start + "vllm:num_preemptions_total 2\n",
        "",
    )
    assert [grown(before, page(text)) for text in again] == [None] * len(again)
    assert grown(before, page(start + "vllm:num_preemptions_total 2\n" + ttft(1, 2, 3, total=3.0))) is not None


def test_histograms_whose_buckets_do_not_add_up_keep_count_and_sum() -> None:
    other = f'{TTFT}_bucket{{engine="1",le="0.5"}} 4\n{TTFT}_bucket{{engine="1",le="+Inf"}} 4\n{TTFT}_count{{engine="1"}} 4\n'
    metrics = grown(
        page("vllm:num_preemptions_total 0\n"),
        page(ttft(5, 6, 7, total=1.0) + other + "vllm:num_preemptions_total 0\n"),
    )
    assert metrics is not None
    assert (metrics.histograms[TTFT].count, metrics.histograms[TTFT].buckets) == (11, ())


def test_there_is_no_time_to_first_token_where_the_server_tells_none() -> None:
    assert ttft_of(None) is None
    assert ttft_of(ServerMetrics()) is None


def test_ranges() -> None:
    looks = [page(f"vllm:num_requests_running {value}\n") for value in (1, 4, 1)]
    assert ranges([*looks, page("")]) == {"vllm:num_requests_running": GaugeRange(mean=2.0, max=4.0, samples=3)}
    assert ranges([]) == {}


def test_it_can_be_written_and_read() -> None:
    metrics = grown(page(ttft(1, 2, 3, total=3.0)), page(ttft(2, 3, 5, total=9.5)))
    assert metrics is not None
    metrics = replace(metrics, gauges=ranges([page("vllm:num_requests_running 1\n")]))
    adapter = TypeAdapter(ServerMetrics)
    assert adapter.validate_json(adapter.dump_json(metrics)) == metrics
