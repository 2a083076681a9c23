"""Two pages of a server's metrics → what was added in between; several looks at its gauges → their range.

Engines of one server (label `engine`), and whatever else labels tell apart, are added up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmgate.bench.watch.engines import BY_REASON, COUNTERS, GAUGES, HISTOGRAMS, SHARES, TTFT
from llmgate.record.serving.trace import GaugeRange, HistogramGrowth, ServerHistogram, ServerMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.generate.exposition import Sample

__all__ = ["Page", "grown", "page_of", "ranges", "ttft_of"]

START = "process_start_time_seconds"


@dataclass(slots=True, kw_only=True)
class Histogram:
    """A histogram of one moment. `buckets`: upper bound → observations up to it."""

    count: float = 0.0
    sum: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page of metrics says, as far as it is of interest.

    Attributes:
        started: When the server's process started, None if it does not say.
        gauges: Name, with the reason in braces where there is one → value.
        counters: Name without `_total` → value.
        histograms: Name → histogram.
    """

    started: float | None
    gauges: Mapping[str, float]
    counters: Mapping[str, float]
    histograms: Mapping[str, Histogram]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.gauges or self.counters or self.histograms)


def page_of(samples: Iterable[Sample]) -> Page:
    """Add up the samples of one page. Values that are not finite are no values."""
    gauges: dict[str, list[float]] = {}
    counters: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    started = None
    for sample in samples:
        if not math.isfinite(sample.value):
            continue
        name, counter = sample.name, sample.name.removesuffix("_total")
        histogram, _, part = name.rpartition("_")
        if name == START:
            started = max(sample.value, started or 0.0)
        elif name in GAUGES:
            reason = sample.labels.get("reason")
            key = f"{name}{{{reason}}}" if name == BY_REASON and reason is not None else name
            gauges.setdefault(key, []).append(sample.value)
        elif counter in COUNTERS:
            counters[counter] = counters.get(counter, 0.0) + sample.value
        elif histogram in HISTOGRAMS:
            _add(histograms.setdefault(histogram, Histogram()), part, sample)
    return Page(
        started=started,
        gauges={name: sum(of) / (len(of) if name in SHARES else 1) for name, of in gauges.items()},
        counters=counters,
        histograms=histograms,
    )


def _add(histogram: Histogram, part: str, sample: Sample) -> None:
    if part == "count":
        histogram.count += sample.value
    elif part == "sum":
        histogram.sum += sample.value
    elif part == "bucket" and (bound := _bound(sample.labels.get("le", ""))) is not None:
        histogram.buckets[bound] = histogram.buckets.get(bound, 0.0) + sample.value


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def grown(before: Page, after: Page) -> ServerMetrics | None:
    """What was added between two pages; None if the server was started again in between, or has nothing.

    It was if its process has another time of start, or if anything that only grows has become less.
    """
    if not after or before.started != after.started or _less(before, after):
        return None
    return ServerMetrics(
        counters={name: value - before.counters.get(name, 0.0) for name, value in after.counters.items()},
        histograms={
            name: _growth(before.histograms.get(name, Histogram()), histogram)
            for name, histogram in after.histograms.items()
        },
    )


def _less(before: Page, after: Page) -> bool:
    counters = any(after.counters.get(name, -1.0) < value for name, value in before.counters.items())
    return counters or any(_shrunk(value, after.histograms.get(name)) for name, value in before.histograms.items())


def _shrunk(before: Histogram, after: Histogram | None) -> bool:
    if after is None or after.count < before.count or after.sum < before.sum:
        return True
    return any(after.buckets.get(bound, -1.0) < count for bound, count in before.buckets.items())


def _growth(before: Histogram, after: Histogram) -> HistogramGrowth:
    added = {bound: count - before.buckets.get(bound, 0.0) for bound, count in after.buckets.items()}
    bounds = sorted(added)
    count, counts = round(after.count - before.count), [round(added[bound]) for bound in bounds]
    # Engines with other bounds than their neighbours make no common histogram.
    whole = bool(bounds) and bounds[-1] == math.inf and counts == sorted(counts) and counts[-1] == count
    return HistogramGrowth(
        count=count,
        sum=after.sum - before.sum,
        buckets=tuple(zip(bounds, counts, strict=True)) if whole else (),
    )


def ranges(pages: Sequence[Page]) -> dict[str, GaugeRange]:
    """Mean and maximum of each gauge over looks at equal distances."""
    values: dict[str, list[float]] = {}
    for page in pages:
        for name, value in page.gauges.items():
            values.setdefault(name, []).append(value)
    return {name: GaugeRange(mean=sum(v) / len(v), max=max(v), samples=len(v)) for name, v in values.items()}


def ttft_of(metrics: ServerMetrics | None) -> ServerHistogram | None:
    """The growth of the server's own time to first token, which the client is checked against."""
    histogram = None if metrics is None else metrics.histograms.get(TTFT)
    return None if histogram is None else ServerHistogram(count=histogram.count, sum_s=histogram.sum)
