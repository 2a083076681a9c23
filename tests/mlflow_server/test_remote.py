"""The gate before a registry on another server: a ledger of its own, and no common transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from support.gated_registry import MODEL, Registry, open_plain

from llmgate.attest.tags import attestation_key
from llmgate.mlflow_server.policy_file import PolicyFile
from llmgate.mlflow_server.stores import RemoteGate, gated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.verdicts import Keys

# The gate calls the same methods of MLflow's `RestStore`; here they answer without a server.
BASE = SqlAlchemyStore


@pytest.fixture
def uri(new_database: Callable[[str], str]) -> str:
    """The other server's database."""
    return new_database("sqlite")


@pytest.fixture
def remote(uri: str, keys: Keys, tmp_path: Path) -> Registry:
    """A gated store before it."""
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    return Registry(store=gated(RemoteGate, BASE, uri, policy=PolicyFile(keys.path), gate_ledger=ledger), keys=keys)


def blocked(act: Callable[..., Any], *words: str) -> None:
    with pytest.raises(MlflowException) as caught:
        act()
    assert caught.value.error_code == "PERMISSION_DENIED"
    for word in words:
        assert word in str(caught.value)


def test_it_promotes_refuses_and_rolls_back_as_in_a_database(remote: Registry) -> None:
    store = remote.store
    first, second = remote.add(), remote.add()
    blocked(lambda: remote.move(first), "no verdict")
    remote.promote(first)
    remote.promote(second)
    assert [event["event"] for event in remote.events()] == ["promoted", "verdict", "bootstrapped", "verdict"]
    remote.move(first)
    assert remote.events()[0]["event"] == "rolled-back"
    blocked(lambda: remote.move(second), "promotes once")
    blocked(lambda: store.delete_registered_model_alias(MODEL, "champion"), "protected")
    blocked(lambda: store.set_registered_model_alias(MODEL, "Champion", "1"), "looks like")
    blocked(lambda: store.delete_model_version(MODEL, "2"), "held champion")
    blocked(lambda: store.delete_model_version_tag(MODEL, "1", attestation_key("champion")), "earned")
    blocked(lambda: store.rename_registered_model(MODEL, "x"), "protected")
    blocked(lambda: store.delete_registered_model(MODEL), "protected")
    blocked(lambda: store.transition_model_version_stage(MODEL, "2", "Production", True), "stage:Production")
    with pytest.raises(MlflowException, match="not found"):
        remote.move(1, model="support-none")


def test_a_prompt_with_a_protected_name_holds_no_model(remote: Registry) -> None:
    remote.store.create_prompt("support-prompt")
    remote.store.create_prompt_version("support-prompt", "Answer {{question}}")
    remote.store.set_prompt_alias("support-prompt", "champion", 1)
    blocked(lambda: remote.add(model="support-prompt"), "it is a prompt")
    assert len(remote.store.search_prompt_versions("support-prompt")) == 1
    version = remote.add()
    mark: Any = ModelVersionTag("mlflow.prompt.is_prompt", "true")  # type: ignore[no-untyped-call]
    blocked(lambda: remote.store.set_model_version_tag(MODEL, str(version), mark), "prompt")
    blocked(lambda: remote.store.set_registered_model_tag(MODEL, mark), "prompt")


def test_stages_of_a_model_whose_name_has_a_quote(remote: Registry) -> None:
    model = "support-o'neill"
    remote.add(model=model)
    blocked(lambda: remote.store.transition_model_version_stage(model, "1", "production", False), "no verdict")


def test_an_alias_that_moved_on_the_other_server_is_noticed(remote: Registry, uri: str) -> None:
    remote.promote(remote.add())
    stranger, candidate = remote.add(), remote.add()
    Registry(store=open_plain(uri), keys=remote.keys).move(stranger)
    remote.put(candidate, remote.verdict(candidate))
    blocked(lambda: remote.move(candidate), "moved past the gate")
    remote.move(1)
    assert remote.holder() == 1


def test_a_process_that_dies_before_it_tells_the_other_server_leaves_the_old_champion(
    remote: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.promote(remote.add())
    version = remote.add()
    remote.put(version, remote.verdict(version))
    before = remote.events()

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BASE, "set_registered_model_alias", dies)
        with pytest.raises(KeyboardInterrupt):
            remote.move(version)
    assert remote.holder() == 1
    assert remote.store.gate_engine is not None
    # What it showed is only for reading; the ledger itself has no such row, so the verdict still counts.
    assert len(remote.events()) >= len(before)
    remote.move(version)
    assert remote.holder() == version
