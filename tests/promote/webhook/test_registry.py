"""What the receiver asks MLflow, against a SQLite store."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import CannotRunError
from llmgate.mlflow_quiet import quiet
from llmgate.promote.webhook.ledger import Standing, compare
from llmgate.promote.webhook.registry import MlflowWatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def client(mlflow_database: str) -> Any:
    with quiet():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=mlflow_database)


@pytest.fixture
def name(client: Any) -> str:
    name = f"bot-{uuid.uuid4().hex[:12]}"
    with quiet():
        client.create_registered_model(name)
        for _ in range(3):
            client.create_model_version(name, "s3://bucket/weights")
    return name


@pytest.fixture
def watch(mlflow_database: str) -> MlflowWatch:
    return MlflowWatch(mlflow_database, mlflow_database)


def test_versions_that_are_there_and_not(watch: MlflowWatch, name: str) -> None:
    assert watch.has_version(name, "3")
    assert not watch.has_version(name, "4")
    assert not watch.has_version("no-such-model", "1")


def test_a_note_is_a_tag_of_the_version(watch: MlflowWatch, client: Any, name: str) -> None:
    assert watch.note(name, "2", "running now")
    assert not watch.note(name, "9", "running now")
    with quiet():
        assert client.get_model_version(name, "2").tags == {"llmgate.gate": "running now"}


def test_versions_without_a_note_since_then(watch: MlflowWatch, name: str) -> None:
    watch.note(name, "2", "PASS now")
    assert sorted(watch.ungated(name, time.time() - 3600)) == ["1", "3"]
    assert watch.ungated(name, time.time() + 3600) == []


def test_a_model_with_its_aliases_stages_and_tags(watch: MlflowWatch, client: Any, name: str) -> None:
    with quiet():
        client.set_registered_model_alias(name, "champion", "1")
        client.set_registered_model_tag(name, "llmgate.ledger/champion", "[]")
        client.transition_model_version_stage(name, "1", "Production")
        client.transition_model_version_stage(name, "2", "Production")
    model = watch.model(name)
    assert model is not None
    assert model.aliases["champion"] == "1"
    assert model.aliases["stage:Production"] == "2"
    assert model.tags == {"llmgate.ledger/champion": "[]"}
    assert compare(model, "champion").state is Standing.MOVED
    assert compare(model, "stage:Production").state is Standing.UNCHECKED
    assert watch.model("no-such-model") is None


def test_names_and_patterns(watch: MlflowWatch, name: str) -> None:
    assert watch.models([name]) == [name]
    assert watch.models(["not-there"]) == ["not-there"]
    assert watch.models([f"{name[:-1]}?"]) == [name]
    assert name in watch.models(["bot-*", "not-there"])
    assert watch.models(["no-model-like-this-*"]) == []


def test_an_alias_is_set(watch: MlflowWatch, client: Any, name: str) -> None:
    watch.set_alias(name, "champion", "2")
    with quiet():
        assert client.get_registered_model(name).aliases == {"champion": 2}
    with pytest.raises(CannotRunError):
        watch.set_alias(name, "champion", "9")


def test_without_mlflow_it_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.promote.webhook.registry.find_spec", {}.get)
    with pytest.raises(CannotRunError, match="mlflow is not installed"):
        MlflowWatch("http://127.0.0.1:1", "http://127.0.0.1:1")


def test_a_store_that_is_not_there_is_asked_again(tmp_path: Path, client: Any) -> None:
    uri = f"sqlite:///{tmp_path}/later.db"
    watch = MlflowWatch(uri, uri)
    with pytest.raises(CannotRunError, match="there is no such database"):
        watch.model("bot")
    with quiet():
        type(client)(tracking_uri=uri).create_registered_model("bot")
    assert watch.model("bot") is not None
