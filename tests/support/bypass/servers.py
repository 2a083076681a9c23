"""The servers on which the table is tried: each set-up on each database, all started at the same time."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.keys import generate, private_key
from support.bypass.scene import Live
from support.bypass.table import PLAIN, WALLED
from support.gated_server import ADMIN, start_server
from support.postgres import find_programs, start_cluster
from support.verdicts import make_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.verdicts import Keys

__all__ = ["DATABASES", "SETUPS", "bypass_keys", "start_all"]

DATABASES: Final = ("sqlite", "postgresql")
SETUPS: Final[dict[str, dict[str, Any]]] = {
    PLAIN: {"workers": 2},
    WALLED: {"workers": 1, "app_name": "basic-auth", "workspaces": True},
}
PROTECT: Final = """
  - models: ["support-strict-*"]
    suites: {support: "2.*"}
    rollback: none
  - models: ["support-*"]
    aliases: [champion, production]
    stages: [Production]
    suites: {support: "*"}
    max_age: 30d
"""
MORE_KEYS: Final = {
    "retired": ("not_after: 2026-01-01", "not_before: 2020-01-01"),
    "early": ("not_before: 2999-01-01",),
    "elsewhere": ('models: ["other-*"]',),
}
"""Keys of the role `gate` that do not count for the models of the table."""


def bypass_keys(folder: Path) -> Keys:
    """The keys of all tests, and some that do not count just now, or here."""
    keys = make_keys(folder, protect=PROTECT)
    lines = ["keys:"]
    for name, limits in MORE_KEYS.items():
        private, public = generate()
        (folder / f"{name}.pub").write_text(public, encoding="utf-8")
        keys.signers[name] = private_key(private, where=name)
        lines += [f"  {name}:", f"    file: {name}.pub", "    roles: [gate]", *(f"    {limit}" for limit in limits)]
    text = keys.path.read_text(encoding="utf-8")
    keys.path.write_text(text.replace("keys:", "\n".join(lines), 1), encoding="utf-8")
    return keys


@contextlib.contextmanager
def start_all(folder: Path) -> Iterator[dict[tuple[str, str], Live]]:
    """Serve every set-up on every database that is there; the keys of the result name both."""
    keys = bypass_keys(folder / "keys")
    with contextlib.ExitStack() as stack:
        backends: dict[tuple[str, str], str | None] = {(setup, "sqlite"): None for setup in SETUPS}
        if (programs := find_programs()) is not None:
            cluster = stack.enter_context(start_cluster(programs))
            backends |= {(setup, "postgresql"): cluster.create(setup) for setup in SETUPS}

        def start(place: tuple[str, str]) -> tuple[contextlib.ExitStack, Live]:
            setup, database = place
            options, own = SETUPS[setup], contextlib.ExitStack()
            server = own.enter_context(
                start_server(
                    folder / setup / database,
                    policy=keys.path,
                    backend=backends[place],
                    **options,
                )
            )
            live = Live(
                url=server.url,
                uri=server.backend,
                keys=keys,
                artifacts=server.folder / "artifacts",
                user=ADMIN if "app_name" in options else None,
                workspaces=options.get("workspaces", False),
            )
            return own, live

        with ThreadPoolExecutor(len(backends)) as pool:
            futures = {place: pool.submit(start, place) for place in backends}
            done: dict[tuple[str, str], Live] = {}
            failures: list[BaseException] = []
            for place, future in futures.items():
                if (error := future.exception()) is not None:
                    failures.append(error)
                    continue
                own, done[place] = future.result()
                stack.enter_context(own)
        if failures:
            raise failures[0]
        yield done
