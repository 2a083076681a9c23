"""The comparison with a ledger that a gated server wrote, and an alias that somebody moved in its database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from llmgate.cli import main
from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]


def check(server: str, *options: str) -> tuple[int, str]:
    args = ["webhook", "--check", "--mlflow-uri", server, "--model", "support-bot", *options]
    done = CliRunner().invoke(main, args)
    return done.exit_code, " ".join(done.output.split())


def test_an_alias_that_was_moved_in_the_database_is_found_and_set_back(tmp_path: Path) -> None:
    servers: Any = pytest.importorskip("support.gated_server", reason="the gated store is not here yet")
    registries: Any = pytest.importorskip("support.gated_registry")
    verdicts: Any = pytest.importorskip("support.verdicts")
    keys = verdicts.make_keys(tmp_path / "policy")
    with servers.start_server(tmp_path / "server", policy=keys.path) as server:
        with quiet():
            # As `llmgate promote` would, in the server's database and through the gate.
            registry = registries.Registry(store=registries.open_store(server.backend, keys.path), keys=keys)
            for version in (1, 2, 3):
                assert registry.add() == version
            registry.promote(1)
        code, told = check(server.url)
        assert (code, "v1 holds it (bootstrapped" in told) == (0, True), told
        with quiet():
            registry.promote(2)
        assert check(server.url)[0] == 0
        with quiet():
            registries.open_plain(server.backend).set_registered_model_alias("support-bot", "champion", "3")
        code, told = check(server.url)
        assert (code, "v3 holds it, and the ledger says v2 (promoted" in told) == (1, True), told
        code, told = check(server.url, "--revert")
        assert (code, "set back to v2" in told) == (1, True), told
        code, told = check(server.url)
        assert (code, "v2 holds it" in told) == (0, True), told
        with quiet():
            registries.open_plain(server.backend).delete_registered_model_alias("support-bot", "champion")
        code, told = check(server.url, "--revert")
        assert (code, "nobody holds it" in told) == (1, True), told
        with quiet():
            assert (registry.holder(), "set back to v2" in told) == (2, True), told
