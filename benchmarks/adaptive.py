"""Is `--concurrency auto` as fast as the best fixed number? Both ask the same server the same, one after another.

    python benchmarks/adaptive.py --url http://127.0.0.1:8000/v1 --model m --requests 200 --fixed 8 16 32 64 128
    python benchmarks/adaptive.py --room 24 --requests 600 --fixed 8 16 32 64

With `--room` a server of tests/support that works on so many requests at once runs in a process of its own. From round
to round the order is turned, so that a busy neighbour hits all of them. Printed: seconds of each, as medians over the
rounds, and of `auto` how many requests were in flight in the end. The last line compares it with the fastest number,
which is known only afterwards, and with 32, the default; with `--at-most 1.15` it exits with 1 beyond that ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from mock_server import mock_server

from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.generate.endpoint import probe
from llmgate.generate.pool.pace import START
from llmgate.generate.pool.slots import Slots
from llmgate.generate.replicas.adapting import Adapting
from llmgate.generate.replicas.looks import LoadMeter
from llmgate.generate.replicas.replicas import Replicas
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WORDS = [
    "river",
    "stone",
    "market",
    "winter",
    "engine",
    "garden",
    "letter",
    "window",
    "bridge",
    "paper",
    "silver",
    "mountain",
]


def bodies(requests: int, max_tokens: int, seed: int) -> list[dict[str, Any]]:
    """Prompts of different length, all different, so that no prefix cache answers a round out of the one before."""
    draw = random.Random(seed)  # noqa: S311 - words, not keys
    return [
        {
            "messages": [{"role": "user", "content": f"{n}: tell about {' '.join(draw.choices(WORDS, k=12))}."}],
            "temperature": 0,
            "max_tokens": draw.randint(max_tokens // 2, max_tokens),
            "seed": seed,
        }
        for n in range(requests)
    ]


async def ask_all(
    endpoint: Endpoint, asked: Sequence[dict[str, Any]], number: int | None, most: int, *, metrics: bool
) -> tuple[float, int]:
    """Ask all; `number` None for `auto`.

    Returns:
        Seconds, and how many could be in flight in the end.
    """

    def connect(one: Endpoint, elsewhere: Callable[[], bool]) -> ChatClient:
        return ChatClient(one, concurrency=1 << 16, retry=RetryPolicy(), elsewhere=elsewhere)

    slots = Slots(number or START)
    adapting = Adapting(slots, most=most, load=LoadMeter()) if number is None else None
    noted = adapting.noted if adapting else lambda *_: None
    async with Replicas([endpoint], connect, slots, attempts=4, noted=noted) as replicas:
        following = asyncio.create_task(adapting.follow(replicas.places, metrics=metrics)) if adapting else None
        begun = time.perf_counter()
        answers = await asyncio.gather(*(replicas.ask(body) for body in asked))
        took_s = time.perf_counter() - begun
        if following:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    bad = [answer for answer in answers if not isinstance(answer, Generation)]
    if bad:
        raise SystemExit(f"{len(bad)} requests got no answer: {bad[0]}")
    return took_s, slots.limit


def measure(url: str, model: str, given: argparse.Namespace) -> bool:
    """All rounds, and what they came to.

    Returns:
        Whether `auto` is no slower than it may be.
    """
    endpoint = Endpoint(url=url, model=model)
    numbers: list[int | None] = [*given.fixed, None]
    times: dict[int | None, list[float]] = {number: [] for number in numbers}
    ends: list[int] = []
    seed = 0
    for at in range(given.rounds):
        for number in numbers[at % len(numbers) :] + numbers[: at % len(numbers)]:
            seed += 1
            asked = bodies(given.requests, given.max_tokens, seed)
            one = partial(ask_all, endpoint, asked, number, given.most, metrics=not given.no_metrics)
            took_s, limit = asyncio.run(one())
            times[number].append(took_s)
            if number is None:
                ends.append(limit)
            print(f"round {at + 1}: {number or f'auto, {limit} in the end'}: {took_s:.2f} s", flush=True)
    medians = {number: median(taken) for number, taken in times.items()}
    for number, taken in medians.items():
        print(f"{number or 'auto':>6} {taken:8.2f} s  {given.requests / taken:8.1f} requests/s")
    best = min((number for number in given.fixed), key=lambda number: medians[number])
    ratio = medians[None] / medians[best]
    default = f", {medians[None] / medians[32]:.3f} of that of 32" if 32 in medians else ""
    print(f"auto takes {ratio:.3f} of the time of {best}, the fastest{default}; {ends} in flight in the end")
    if given.json:
        found = {"requests": given.requests, "times_s": {str(n or "auto"): t for n, t in times.items()}, "ends": ends}
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return given.at_most is None or ratio <= given.at_most


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", help="base URL of a server, with /v1")
    parser.add_argument("--model", help="its model; default: what it lists")
    parser.add_argument("--room", type=int, help="start a fake server with so much room instead")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--fixed", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--most", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-metrics", action="store_true", help="go by the answers alone")
    parser.add_argument("--at-most", type=float, help="exit with 1 beyond this ratio")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.room:
        with mock_server("--slots", str(given.room), "--words", "20") as (url, _):
            good = measure(f"{url}/v1", "fake-model", given)
    else:
        if not given.url:
            parser.error("name a server with --url, or --room")
        good = measure(given.url, probe(given.url, model=given.model).model, given)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
