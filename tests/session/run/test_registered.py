"""What the registry says about a run before anything is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import CannotRunError, UsageError
from llmgate.promote import tags
from llmgate.record.manifest import ModelIdentity
from llmgate.record.policy import Binding
from llmgate.record.weights import weights_digest
from llmgate.session.run.registered import Registered, look_up
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from support.registry import Registry

    from llmgate.session.settings.typed import Settings


def settings(tmp_path: Path, **given: Any) -> Settings:
    return settings_from({"endpoint": "http://127.0.0.1:1/v1", **given}, root=tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def served(folder: Path, uri: str) -> ModelIdentity:
    return ModelIdentity(name="bot", source=str(folder), weights_digest=weights_digest(folder), registry_uri=uri)


def test_without_a_registry_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert look_up(plain) == Registered()
    identity = ModelIdentity(name="bot", source="http://a")
    assert Registered().bind(plain, identity) == identity


def test_a_version_that_nobody_can_look_up_is_claimed(tmp_path: Path, model: Path) -> None:
    named = settings(tmp_path, registry_uri="models:/bot/1")
    assert look_up(named).bind(named, served(model, "models:/bot/1")).binding is Binding.CLAIMED


def test_a_new_version_needs_a_server(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no server is named to register it at. Add --mlflow-uri"):
        look_up(settings(tmp_path, mlflow_model="bot"))


def test_weights_bind_where_the_version_has_their_digest(registry: Registry, tmp_path: Path, model: Path) -> None:
    uri = registry.create("v1")
    named = settings(tmp_path, registry_uri=uri, mlflow_uri=registry.uri)
    identity = served(model, uri)
    assert look_up(named).bind(named, identity).binding is Binding.CLAIMED
    registry.raw("set_model_version_tag", registry.name, "1", tags.WEIGHTS_DIGEST, identity.weights_digest)
    assert look_up(named).bind(named, identity).binding is Binding.WEIGHTS
    endpoint = replace(identity, weights_digest=None)
    assert look_up(named).bind(named, endpoint).binding is Binding.CLAIMED
    (model / "model.safetensors").write_bytes(b"others")
    with pytest.raises(UsageError, match=f"the weights in .* are not those of {uri}"):
        look_up(named).bind(named, served(model, uri))


def test_a_source_within_reach_says_it_without_a_tag(registry: Registry, tmp_path: Path, model: Path) -> None:
    registry.raw("create_registered_model", registry.name)
    registry.raw("create_model_version", registry.name, model.as_uri())
    named = settings(tmp_path, registry_uri=f"models:/{registry.name}/1", mlflow_uri=registry.uri)
    assert look_up(named).bind(named, served(model, f"models:/{registry.name}/1")).binding is Binding.WEIGHTS


def test_what_could_not_be_logged_is_said_first(registry: Registry, tmp_path: Path) -> None:
    missing = settings(tmp_path, registry_uri=f"models:/{registry.name}/9", mlflow_uri=registry.uri)
    with pytest.raises(CannotRunError, match="there is no such model version"):
        look_up(missing)
    elsewhere = settings(tmp_path, mlflow_model="bot", mlflow_uri=registry.uri)
    with pytest.raises(UsageError, match=r"/models/bot: there is no model folder here"):
        look_up(elsewhere).bind(elsewhere, ModelIdentity(name="bot", source="/models/bot"))
    registry.raw("delete_experiment", registry.raw("create_experiment", registry.name))
    deleted = settings(tmp_path, mlflow_uri=registry.uri, mlflow_experiment=registry.name)
    with pytest.raises(UsageError, match="this MLflow experiment was deleted"):
        look_up(deleted).bind(deleted, ModelIdentity(name="bot", source="http://a"))
