"""What the server itself says about a measurement, and a word to it before one.

vLLM makes a page of all its metrics in some milliseconds, during which its event loop does nothing else. So the whole
page is asked for before and after only. During the measurement a program of its own asks for the few gauges alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.bench.client.http import HttpOrigin
from llmgate.bench.watch.engines import GAUGES
from llmgate.bench.watch.growth import grown, page_of, ranges, ttft_of
from llmgate.bench.watch.sampler import PageError, fetch
from llmgate.bench.watch.sampling import SamplerRun
from llmgate.errors import EndpointError
from llmgate.generate.exposition import read_samples
from llmgate.record.serving.trace import ServerMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.bench.watch.growth import Page
    from llmgate.generate.client import Endpoint
    from llmgate.record.serving.trace import ServingTrace

__all__ = ["PERIOD_S", "ServerWatch"]

PERIOD_S: Final = 0.5
PAGE_S: Final = 10.0
LOOK_S: Final = 2.0


class ServerWatch:
    """Notes the server's own metrics, as `ServerMetrics`, and its time to first token, as `ServerHistogram`.

    Args:
        endpoint: The server.
        period_s: Between two looks during the measurement.

    Attributes:
        note: Why something is missing, "" if nothing is.
    """

    def __init__(self, endpoint: Endpoint, *, period_s: float = PERIOD_S) -> None:
        self.note = ""
        self._server = _server(endpoint)
        self._url = endpoint.url
        self._period_s = period_s
        self._sampling: SamplerRun | None = None
        self._before: str | None = None
        self._after: str | None = None
        self._seen: dict[str, Any] | None = None

    async def start(self) -> None:
        """Take the first page, and start to look."""
        self._before = self._after = self._seen = self._sampling = None
        self._before = await self._page()
        if self._before is None:
            return
        job = {
            "what": "metrics",
            "server": self._server,
            "names": sorted(GAUGES),
            "timeout_s": LOOK_S,
            "period_s": self._period_s,
        }
        self._sampling = SamplerRun(job)
        await self._sampling.start()

    async def stop(self) -> None:
        """End the looking, and take the last page."""
        if self._before is None:
            return
        if self._sampling is not None:
            self._seen = await self._sampling.stop()
            self.note = self._sampling.note
        self._after = await self._page()

    def told(self, trace: ServingTrace) -> ServingTrace:
        """The trace with the server's account; as it was if it gives none.

        The time to first token that the trace has already, taken by the client, is kept.
        """
        try:
            metrics = self._metrics()
        except EndpointError as error:
            self.note = str(error)
            return trace
        if metrics is None:
            return trace
        return replace(trace, metrics=metrics, server_ttft=trace.server_ttft or ttft_of(metrics))

    def _metrics(self) -> ServerMetrics | None:
        if self._before is None or self._after is None:
            return None
        before, after = self._read(self._before), self._read(self._after)
        if not before and not after:
            self.note = f"{self._url} has no metrics with names that are known here"
            return None
        growth = grown(before, after)
        if growth is None:
            self.note = "the server was started again during the measurement: its counters went back"
            growth = ServerMetrics()
        pages = [] if self._seen is None else [self._read(text) for text in self._seen.get("pages", ())]
        return replace(growth, gauges=ranges(pages))

    def _read(self, text: str) -> Page:
        return page_of(read_samples(text, where=f"{self._url}: /metrics"))

    async def _page(self) -> str | None:
        try:
            status, text = await asyncio.to_thread(fetch, self._server, "GET", "/metrics", timeout_s=PAGE_S)
        except PageError as error:
            self.note = f"{self._url}: /metrics cannot be read ({error})"
            return None
        if status != 200:
            self.note = f"{self._url}: /metrics is answered with status {status}"
            return None
        return text


def _server(endpoint: Endpoint) -> Mapping[str, Any]:
    """The server as `fetch` wants it."""
    origin = HttpOrigin.parse(endpoint.url, api_key=endpoint.api_key)
    return {
        "host": origin.host,
        "port": origin.port,
        "tls": origin.tls,
        "prefix": origin.prefix,
        "key": origin.api_key,
    }
