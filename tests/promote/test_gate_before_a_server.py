"""The gate before a registry on another server, as two real servers: the one behind knows nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.gated_registry import MODEL, Registry
from support.gated_server import start_server
from support.verdicts import make_keys

from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.e2e
@pytest.mark.mlflow_server
def test_two_real_servers(tmp_path: Path) -> None:
    with quiet():
        from mlflow.exceptions import RestException
        from mlflow.store.model_registry.rest_store import RestStore
        from mlflow.utils.rest_utils import MlflowHostCreds

    keys = make_keys(tmp_path / "keys", more=f"ledger: sqlite:///{tmp_path}/ledger.db")
    with (
        start_server(tmp_path / "behind", policy=None) as behind,
        start_server(tmp_path / "gate", policy=keys.path, registry=f"llmgate:{behind.url}") as gate,
        quiet(),
    ):
        store: Any = RestStore(lambda: MlflowHostCreds(gate.url))  # type: ignore[no-untyped-call]
        registry = Registry(store=store, keys=keys)
        first, second = registry.add(), registry.add()

        def refused(version: int, why: str) -> None:
            with pytest.raises(RestException) as caught:
                registry.move(version)
            assert caught.value.error_code == "PERMISSION_DENIED"
            assert why in str(caught.value)

        refused(first, "no verdict of this version")
        registry.promote(first)
        registry.promote(second)
        registry.move(first)
        assert registry.events()[0]["event"] == "rolled-back"
        refused(second, "promotes once")
        with pytest.raises(RestException, match="it is protected"):
            store.delete_registered_model_alias(MODEL, "champion")
        # The server behind is what everybody reads, and whoever reaches it past the gate is noticed.
        past: Any = RestStore(lambda: MlflowHostCreds(behind.url))  # type: ignore[no-untyped-call]
        assert str(past.get_model_version_by_alias(MODEL, "champion").version) == str(first)
        past.set_registered_model_alias(MODEL, "champion", str(second))
        third = registry.add()
        registry.put(third, registry.verdict(third))
        refused(third, "moved past the gate")
        registry.move(first)
        assert str(store.get_model_version_by_alias(MODEL, "champion").version) == str(first)
