"""What the gate costs: an alias that moves, a verdict that is put on a version, and reads, with and without it.

    python benchmarks/gated_alias.py --rounds 200             # in this process, on SQLite
    python benchmarks/gated_alias.py --rounds 100 --http      # two real servers as well
    python benchmarks/gated_alias.py --database postgresql://…  # an empty database, for the gated store

Gated and ungated calls alternate within one run, so that a busy neighbour hits both. Each promotion is a real one: a
new version with a verdict of its own against the present champion. Reported are medians in milliseconds, the extra,
and the ratio; the aims are below 10 ms of extra in process and 15 % over HTTP for an alias that moves.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.gated_registry import MODEL, Registry, open_plain, open_store
from support.gated_server import start_server
from support.verdicts import make_keys

from llmgate.mlflow_quiet import quiet

with quiet():
    from mlflow.store.model_registry.rest_store import RestStore
    from mlflow.utils.rest_utils import MlflowHostCreds

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.verdicts import Keys

KINDS = ("move the alias", "put a verdict", "read by alias", "search versions")
Times = dict[str, dict[str, list[tuple[float, float]]]]
"""By what was done and by side: milliseconds on the clock, and of the processor, call by call."""


def timed(times: Times, kind: str, side: str, act: Callable[[], Any]) -> None:
    """Do something and note how long it took."""
    begun, cpu = time.perf_counter(), time.thread_time()
    act()
    spent = (time.perf_counter() - begun) * 1e3, (time.thread_time() - cpu) * 1e3
    times.setdefault(kind, {}).setdefault(side, []).append(spent)


def measure(gated: Any, plain: Any, keys: Keys, rounds: int) -> Times:
    """Alternate between the two stores; who is first alternates as well."""
    times: Times = {}
    sides = {"gated": Registry(store=gated, keys=keys), "ungated": Registry(store=plain, keys=keys)}
    for registry in sides.values():
        registry.add()
    sides["gated"].promote(1)
    sides["ungated"].move(1)
    for number in range(rounds + 5):
        order = list(sides) if number % 2 else list(reversed(sides))
        versions = {side: sides[side].add() for side in order}
        text = sides["gated"].verdict(versions["gated"])
        noted = times if number >= 5 else {}
        for kind, act in acts(text).items():
            for side in order:
                timed(noted, kind, side, partial(act, sides[side], versions[side]))
    return times


def acts(text: str) -> dict[str, Callable[[Registry, int], Any]]:
    """What is timed, in the order in which it is done."""
    return {
        "put a verdict": lambda registry, version: registry.put(version, text),
        "move the alias": lambda registry, version: registry.move(version),
        "read by alias": lambda registry, _: registry.store.get_model_version_by_alias(MODEL, "champion"),
        "search versions": lambda registry, _: registry.store.search_model_versions(
            f"name = '{MODEL}'", max_results=10
        ),
    }


def report(title: str, times: Times) -> list[dict[str, Any]]:
    """Print a table, and give its rows."""
    print(f"\n{title}\n{'':18}{'ungated':>10}{'gated':>10}{'extra':>10}{'ratio':>8}{'extra CPU':>13}")
    rows = []
    for kind in KINDS:
        pairs = list(zip(times[kind]["gated"], times[kind]["ungated"], strict=True))
        gated, plain = median(g[0] for g, _ in pairs), median(p[0] for _, p in pairs)
        extra, cpu = (median(g[i] - p[i] for g, p in pairs) for i in (0, 1))
        print(f"{kind:18}{plain:>7.2f} ms{gated:>7.2f} ms{extra:>7.2f} ms{gated / plain:>8.2f}{cpu:>10.2f} ms")
        rows.append(
            {
                "where": title,
                "what": kind,
                "ungated_ms": plain,
                "gated_ms": gated,
                "extra_ms": extra,
                "extra_cpu_ms": cpu,
            }
        )
    return rows


def in_process(folder: Path, keys: Keys, rounds: int, database: str | None) -> list[dict[str, Any]]:
    """Both stores in this process."""
    gated = open_store(database or f"sqlite:///{folder}/gated.db", keys.path)
    plain = open_plain(f"sqlite:///{folder}/plain.db")
    return report("in process", measure(gated, plain, keys, rounds))


def over_http(folder: Path, keys: Keys, rounds: int) -> list[dict[str, Any]]:
    """Two servers, on SQLite."""
    with contextlib.ExitStack() as stack:
        gated = stack.enter_context(start_server(folder / "gated", policy=keys.path))
        plain = stack.enter_context(start_server(folder / "plain", policy=None))
        return report("over HTTP", measure(client(gated.url), client(plain.url), keys, rounds))


def client(url: str) -> Any:
    """A store that asks a server."""
    return RestStore(lambda: MlflowHostCreds(url))  # type: ignore[no-untyped-call]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--http", action="store_true", help="two real servers as well")
    parser.add_argument("--database", help="URI of an empty database for the gated store in process")
    parser.add_argument("--json", type=Path, help="write the rows into a file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, quiet():
        folder = Path(name)
        keys = make_keys(folder / "keys")
        rows = in_process(folder, keys, options.rounds, options.database)
        rows += over_http(folder, keys, options.rounds) if options.http else []
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
