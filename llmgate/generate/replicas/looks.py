"""What a server says of itself while it is asked: whether it lives, and how busy it is."""

from __future__ import annotations

import asyncio
import http.client
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from llmgate.errors import EndpointError
from llmgate.generate.endpoint import exchange
from llmgate.generate.exposition import read_samples
from llmgate.generate.pool.pace import ServerLoad

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.generate.client import Endpoint
    from llmgate.generate.exposition import Sample

__all__ = ["LoadMeter", "health_problem", "read_load"]

HEALTH_S: Final = 10.0
"""On a busy machine a healthy server takes seconds."""
PAGE_S: Final = 5.0
RUNNING: Final = "vllm:num_requests_running"
WAITING: Final = "vllm:num_requests_waiting"
BY_REASON: Final = "vllm:num_requests_waiting_by_reason"
CAPACITY: Final = "capacity"
"""The others of vLLM 0.32 wait for a grammar or for a cache elsewhere, and not for room."""
PREEMPTIONS: Final = "vllm:num_preemptions_total"
CACHE: Final = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""The second one is the name in older versions."""
NAMES: Final = (RUNNING, WAITING, BY_REASON, PREEMPTIONS, *CACHE)
SOME: Final = "/metrics/?" + urlencode([("name[]", name) for name in NAMES])
"""These alone, which prometheus_client knows how to answer: 1 ms of vLLM's event loop instead of 7. There two handlers
overlap, and only the one that a final slash reaches knows of names."""
WHOLE: Final = "/metrics"
FEW_BYTES: Final = 16_384
"""More than the few lines take, of many engines too, and less than a whole page of vLLM."""


async def health_problem(endpoint: Endpoint, *, vllm: bool) -> str:
    """Why a server is not healthy, "" if it is.

    Args:
        endpoint: The server.
        vllm: Whether it has vLLM's `/health`; of others any answer but a server error says that they live.
    """
    url = f"{endpoint.url.removesuffix('/v1')}/health" if vllm else f"{endpoint.url}/models"
    try:
        status, _, _ = await asyncio.to_thread(exchange, "GET", url, api_key=endpoint.api_key, timeout_s=HEALTH_S)
    except TimeoutError:
        return f"no word of its health within {HEALTH_S:.0f} s"
    except (OSError, http.client.HTTPException) as error:
        return f"it cannot be reached ({error})"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or (vllm and status != HTTPStatus.OK):
        return f"it answers HTTP {status} when asked for its health"
    return ""


class LoadMeter:
    """Asks servers how busy they are.

    A server that answers a restricted request with none of its metrics, or with all, is asked each second time only.
    """

    def __init__(self) -> None:
        self._whole: dict[str, int] = {}

    async def __call__(self, endpoint: Endpoint) -> ServerLoad | None:
        """How busy a server is; None if it does not say, or was asked a moment ago."""
        url = endpoint.url
        if url not in self._whole:
            load, size = await _load_of(endpoint, SOME)
            if load is not None and size <= FEW_BYTES:
                return load
            load, _ = await _load_of(endpoint, WHOLE)
            if load is not None:
                self._whole[url] = 0
            return load
        self._whole[url] += 1
        return (await _load_of(endpoint, WHOLE))[0] if self._whole[url] % 2 == 0 else None


async def _load_of(endpoint: Endpoint, path: str) -> tuple[ServerLoad | None, int]:
    """The load, and how many bytes it was told in."""
    url = f"{endpoint.url.removesuffix('/v1')}{path}"
    try:
        status, _, page = await asyncio.to_thread(exchange, "GET", url, api_key=endpoint.api_key, timeout_s=PAGE_S)
        return read_load(read_samples(page.decode(), where=url)) if status == HTTPStatus.OK else None, len(page)
    except (OSError, http.client.HTTPException, EndpointError, UnicodeDecodeError):
        return None, 0


def read_load(samples: Iterable[Sample]) -> ServerLoad | None:
    """The load that a page tells, its engines added up; None if it does not say how many requests run and wait."""
    sums: dict[str, float] = {}
    shares: list[float] = []
    for sample in samples:
        name = sample.name
        if name in CACHE:
            shares.append(sample.value)
        elif name == BY_REASON and sample.labels.get("reason") == CAPACITY:
            sums[CAPACITY] = sums.get(CAPACITY, 0.0) + sample.value
        elif name in {RUNNING, WAITING, PREEMPTIONS}:
            sums[name] = sums.get(name, 0.0) + sample.value
    # Written so that what is not a number is refused as well.
    if not {RUNNING, WAITING} <= sums.keys() or not all(0 <= value < 1e15 for value in (*sums.values(), *shares)):
        return None
    return ServerLoad(
        running=sums[RUNNING],
        waiting=sums.get(CAPACITY, sums[WAITING]),
        preemptions=sums.get(PREEMPTIONS, 0.0),
        cache=max(shares, default=0.0),
    )
