"""W&B through its own client and the program that it starts, against a stub server. Run by tests/e2e/test_registries.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.stub import Asked, Fault, Reply, Stub
from support.verdict_registry import RegistryContract, Tried, keys  # noqa: F401

from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote.elsewhere import wandb_registry
from llmgate.promote.elsewhere.failures import AbsentError
from llmgate.promote.elsewhere.wandb_registry import WandbRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.verdicts import Keys

ORG, ENTITY, COLLECTION = "acme-org", "acme-org-entity", "support-bot"
PROJECT = "wandb-registry-model"


class Wandb(Stub):
    """GraphQL: one collection that links two artifacts."""

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, dict[str, Any]] = {
            f"QXJ0{number}": {"index": number, "metadata": {"lr": 0.1}, "digest": f"md5-{number}"} for number in (0, 1)
        }
        self.aliases: dict[str, int] = {"latest": 1}
        self.readonly = False
        self.relink = False
        self.operations: list[str] = []

    def answer(self, asked: Asked) -> Reply:
        if asked.path != "/graphql":
            return Reply(status=404, json={})
        operation = str(asked.json.get("operationName") or asked.json["query"].split("{")[0].split("(")[0].split()[-1])
        variables = asked.json.get("variables") or {}
        self.operations.append(operation)
        try:
            return Reply(json={"data": self.graphql(operation, variables)})
        except ValueError as error:
            return Reply(status=400, json={"errors": [{"message": f"the stub does not know {error}"}]})

    def respond(self, asked: Asked) -> Reply:
        body = asked.json if asked.path == "/graphql" else {}
        named = Asked(**{**vars(asked), "path": asked.path})
        operation = body.get("query", "").split("{")[0].split("(")[0].split()[-1:] or [""]
        fault = next((f for f in self.faults if f.on == operation[0] and f.times), None)
        if fault is not None:
            fault.times -= 1
            if fault.hangs:
                self.ending.wait()
            return fault.reply
        return self.answer(named)

    def graphql(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: PLR0911
        if operation in {"Viewer", "GetDefaultEntity"}:
            viewer = {"id": "1", "entity": "acme", "username": "ada", "email": "", "flags": "{}"}
            return {"viewer": {**viewer, "teams": {"edges": []}}}
        if operation == "ServerFeaturesQuery":
            names = ["ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE"]
            return {"serverInfo": {"features": [{"name": name, "isEnabled": True} for name in names]}}
        if operation == "FetchOrgInfoFromEntity":
            organization = {"name": ORG, "orgEntity": {"name": ENTITY}}
            return {"entity": {"organization": organization, "user": None}}
        if operation == "ArtifactMembershipByName":
            if (variables["entity"], variables["project"]) != (ENTITY, PROJECT):
                return {"project": None}
            collection, _, key = variables["name"].partition(":")
            index = int(key[1:]) if key[1:].isdecimal() else self.aliases.get(key)
            known = collection == COLLECTION and any(one["index"] == index for one in self.artifacts.values())
            return {"project": {"artifactCollectionMembership": self.membership(index) if known else None}}
        if operation == "UpdateArtifact":
            given = variables["input"]
            self.artifacts[given["artifactID"]]["metadata"] = json.loads(given["metadata"])
            return {"result": {"artifact": self.artifact(given["artifactID"])}}
        if operation == "LinkArtifact":
            index = self.artifacts[variables["input"]["artifactID"]]["index"]
            for alias in variables["input"]["aliases"]:
                self.aliases[alias["alias"]] = index
            index = 7 if self.relink else index
            return {"result": {"versionIndex": index, "artifactMembership": self.membership(index)}}
        if operation == "FetchArtifactCollectionProject" or "Project" in operation:
            return {"project": {"readOnly": self.readonly, "entity": {"readOnly": False}}}
        raise ValueError(operation)

    def artifact(self, made: str) -> dict[str, Any]:
        one = self.artifacts[made]
        return {
            "__typename": "Artifact",
            "id": made,
            "artifactSequence": {
                "__typename": "ArtifactSequence",
                "name": "trained-bot",
                "project": {"id": "p", "internalId": "cHJv", "name": "training", "entity": {"name": "acme"}},
            },
            "versionIndex": one["index"] + 10,
            "artifactType": {"name": "model"},
            "description": None,
            "metadata": json.dumps(one["metadata"]),
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 10,
            "digest": one["digest"],
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": "c",
            "fileCount": 1,
            "createdAt": f"2026-11-0{one['index'] + 1}T10:00:00Z",
            "updatedAt": None,
            "aliases": [],
        }

    def membership(self, index: int | None) -> dict[str, Any]:
        made = next((made for made, one in self.artifacts.items() if one["index"] == index), "QXJ00")
        names = [f"v{index}", *(alias for alias, at in self.aliases.items() if at == index)]
        return {
            "__typename": "ArtifactCollectionMembership",
            "id": f"m{index}",
            "versionIndex": index,
            "createdAt": "2026-11-03T10:00:00Z",
            "aliases": [{"__typename": "ArtifactAlias", "id": name, "alias": name} for name in names],
            "artifactCollection": {
                "__typename": "ArtifactPortfolio",
                "name": COLLECTION,
                "project": {"id": "q", "internalId": "cHJx", "name": PROJECT, "entity": {"name": ENTITY}},
            },
            "artifact": self.artifact(made),
        }


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wandb]:
    home = tmp_path_factory.mktemp("wandb")
    with Wandb() as stub:
        for name, value in {
            "WANDB_BASE_URL": stub.url,
            "WANDB_API_KEY": "a" * 40,
            "WANDB_DIR": str(home),
            "WANDB_CONFIG_DIR": str(home),
            "WANDB_CACHE_DIR": str(home),
            "NETRC": str(home / "netrc"),
        }.items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
def tried(wandb: Wandb, keys: Keys) -> Tried:  # noqa: F811
    return Tried(WandbRegistry(ORG, "model"), COLLECTION, "v0", "v1", keys)


class TestContract(RegistryContract):
    pass


def test_the_promotion_is_a_link_with_the_alias(tried: Tried, wandb: Wandb) -> None:
    tried.crowned()
    assert wandb.aliases == {"latest": 1, "champion": 0}
    assert wandb.operations.count("LinkArtifact") == 1
    assert wandb.artifacts["QXJ00"]["metadata"]["lr"] == 0.1
    version = tried.registry.version(COLLECTION, "v0")
    assert version.source == "wandb-artifact://acme/training/trained-bot:v10#md5-0"
    assert version.workspace == f"{ORG}/model"


def test_a_project_that_may_not_be_written_is_told(tried: Tried, wandb: Wandb) -> None:
    text = tried.verdict("v0")
    wandb.readonly = True
    with pytest.raises(PromotionRefusedError, match="did not keep the verdict"):
        tried.promote("v0", text)
    assert "champion" not in wandb.aliases


def test_a_protected_alias(tried: Tried, wandb: Wandb) -> None:
    text = tried.verdict("v0")
    words = {"errors": [{"message": "permission denied: alias champion is protected"}], "data": None}
    wandb.faults = [Fault(on="LinkArtifact", reply=Reply(json=words))]
    with pytest.raises(PromotionRefusedError, match=r"W&B forbids this .*is protected"):
        tried.promote("v0", text)
    assert "champion" not in wandb.aliases


def test_a_link_that_becomes_another_version(tried: Tried, wandb: Wandb) -> None:
    text = tried.verdict("v0")
    wandb.relink = True
    with pytest.raises(PromotionRefusedError, match="made version v7 of it"):
        tried.promote("v0", text)


def test_metadata_of_others(tried: Tried, wandb: Wandb) -> None:
    place = "acme-org/model/support-bot"
    whole: list[Any] = ["text", {place: []}, {place: {"champion": "x"}}]
    for broken in whole:
        wandb.artifacts["QXJ00"]["metadata"] = {"llmgate": broken}
        with pytest.raises(CannotRunError, match="written by something else"):
            tried.registry.version(COLLECTION, "v0")


def test_another_collection_of_the_same_artifact_is_left_alone(tried: Tried, wandb: Wandb) -> None:
    other = {"acme-org/other/x": {"champion": {"attached": "1"}}}
    wandb.artifacts["QXJ00"]["metadata"] = {"llmgate": other}
    tried.crowned()
    assert wandb.artifacts["QXJ00"]["metadata"]["llmgate"]["acme-org/other/x"] == other["acme-org/other/x"]


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(status=401, json={"errors": [{"message": "invalid api key"}]}), CannotRunError, "does not know you"),
        (Reply(status=403, json={"errors": [{"message": "permission denied"}]}), CannotRunError, "forbids this"),
        (Reply(json={"data": {"project": None}}), AbsentError, "nothing under this name"),
        (Reply(body=b"<html>"), CannotRunError, "W&B"),
        (Reply(json={"data": {}}), CannotRunError, "answers with an error"),
    ],
)
def test_failures_when_it_is_read(tried: Tried, wandb: Wandb, reply: Reply, kind: type[Exception], words: str) -> None:
    wandb.faults = [Fault(on="ArtifactMembershipByName", reply=reply)]
    with pytest.raises(kind, match=words):
        tried.registry.version(COLLECTION, "v0")


def test_an_answer_that_never_comes(wandb: Wandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_registry, "TIMEOUT_S", 3.0)
    wandb.faults = [Fault(on="ArtifactMembershipByName", reply=Reply(json={}), hangs=True)]
    with pytest.raises(CannotRunError, match="does not answer"):
        WandbRegistry(ORG, "model").version(COLLECTION, "v0")


def test_nobody_is_asked_for_a_key(wandb: Wandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(CannotRunError, match="no key for W&B"):
        WandbRegistry(ORG, "model")


def test_a_key_that_is_not_known(wandb: Wandb) -> None:
    wandb.faults = [Fault(on="Viewer", reply=Reply(status=401, json={"errors": [{"message": "unauthorized"}]}))]
    with pytest.raises(CannotRunError, match="does not know you"):
        WandbRegistry(ORG, "model")


@pytest.mark.parametrize("alias", ["latest", "v3", "a/b", "a:b", ""])
def test_aliases_that_mean_something_else(tried: Tried, alias: str) -> None:
    assert tried.registry.alias_problem(alias)


def test_nothing_is_printed(tried: Tried, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tried.crowned()
    assert capfd.readouterr().out == ""
