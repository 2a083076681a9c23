"""Unity Catalog through MLflow's client, against a server that does what Databricks does to the routes it uses."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.stub import Asked, Fault, Reply, Stub
from support.verdict_registry import RegistryContract, Tried, keys  # noqa: F401

from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote.elsewhere.databricks_uc import UnityCatalogRegistry
from llmgate.promote.elsewhere.failures import AbsentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.verdicts import Keys

MODEL = "ml.prod.support_bot"
UC, ML = "/api/2.0/mlflow/unity-catalog", "/api/2.0/mlflow"
TAG_KEY = re.compile(r"[^.,\-=/:]{1,255}")


class Databricks(Stub):
    """One model with two versions of one run, the run's artifacts behind signed addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, dict[str, Any]] = {}
        self.run = secrets.token_hex(16)  # MLflow remembers for each run where its artifacts are
        self.root = f"WorkspaceInternal/Mlflow/Artifacts/1/Runs/{self.run}/artifacts"
        for number in ("1", "2"):
            self.versions[number] = {
                "name": MODEL,
                "version": number,
                "creation_timestamp": 1_790_000_000_123 + int(number),
                "source": f"dbfs:/databricks/mlflow-tracking/1/{self.run}/artifacts/model-{number}",
                "run_id": self.run,
                "status": "READY",
                "tags": [],
            }
        self.aliases: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.has_files_api = True
        self.page = 50

    def answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/signed/"):
            return self.signed(asked)
        if asked.path.startswith("/.well-known/"):
            return error(404, "ENDPOINT_NOT_FOUND", asked.path)
        if asked.headers.get("authorization") != "Bearer dapi-good":
            return error(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type")
        given = {**asked.query, **(asked.json if asked.body else {})}
        if asked.path.startswith("/api/2.0/fs/"):
            return self.filesystem(asked)
        if asked.path.startswith(f"{UC}/"):
            return self.catalog(asked.path.removeprefix(f"{UC}/"), given)
        return self.tracking(asked.path.removeprefix(f"{ML}/"), given)

    def catalog(self, route: str, given: dict[str, Any]) -> Reply:  # noqa: PLR0911
        if given.get("name", MODEL) != MODEL:
            return error(404, "RESOURCE_DOES_NOT_EXIST", "Routine or Model does not exist.")
        if route == "registered-models/get":
            listed = [{"alias": alias, "version": number} for alias, number in self.aliases.items()]
            return Reply(json={"registered_model": {"name": MODEL, "aliases": listed}})
        version = self.versions.get(str(given.get("version")))
        if version is None:
            return error(404, "RESOURCE_DOES_NOT_EXIST", "Model version does not exist.")
        if route == "model-versions/get":
            held = [{"alias": alias} for alias, number in self.aliases.items() if number == version["version"]]
            return Reply(json={"model_version": {**version, "aliases": held}})
        if route == "model-versions/set-tag":
            if not TAG_KEY.fullmatch(given["key"]) or len(given["value"]) > 1000:
                return error(400, "INVALID_PARAMETER_VALUE", f"tag {given['key']} is invalid")
            others = [tag for tag in version["tags"] if tag["key"] != given["key"]]
            version["tags"] = [*others, {"key": given["key"], "value": given["value"]}]
            return Reply(json={})
        if route == "registered-models/alias":
            self.aliases[given["alias"]] = version["version"]
            return Reply(json={})
        return error(404, "ENDPOINT_NOT_FOUND", route)

    def tracking(self, route: str, given: dict[str, Any]) -> Reply:
        root = f"dbfs:/databricks/mlflow-tracking/1/{self.run}/artifacts"
        if route == "runs/get":
            info = {
                "run_id": self.run,
                "run_uuid": self.run,
                "experiment_id": "1",
                "status": "FINISHED",
                "artifact_uri": root,
            }
            return Reply(json={"run": {"info": {**info, "lifecycle_stage": "active"}, "data": {}}})
        if route == "logged-models/search":  # a run's artifacts include those of its models
            return Reply(json={"models": []})
        if route in {"artifacts/credentials-for-write", "artifacts/credentials-for-read"}:
            paths = given["path"] if isinstance(given["path"], list) else [given["path"]]
            found = [
                {
                    "run_id": self.run,
                    "path": path,
                    "signed_uri": f"{self.url}/signed/{path}?X-Sig=s3cr3t",
                    "type": "AWS_PRESIGNED_URL",
                }
                for path in paths
            ]
            return Reply(json={"credential_infos": found})
        if route == "artifacts/list":
            path = given.get("path", "")
            names = sorted(name for name in self.files if name.startswith(f"{path}/"))
            files = [{"path": name, "is_dir": False, "file_size": len(self.files[name])} for name in names]
            return Reply(json={"root_uri": root, "files": files})
        return error(404, "ENDPOINT_NOT_FOUND", route)

    def filesystem(self, asked: Asked) -> Reply:
        """The Files API, where MLflow looks first."""
        kind, _, path = asked.path.removeprefix("/api/2.0/fs/").partition("/")
        if not self.has_files_api:
            return error(403, "PERMISSION_DENIED", "Files API is not enabled")
        name = path.removeprefix(f"{self.root}/")
        if kind == "directories":
            names = sorted(one for one in self.files if one.startswith(f"{name}/"))
            if not names:
                return error(404, "NOT_FOUND", "The directory being accessed is not found.")
            begin = int(asked.query.get("page_token", 0))
            found = [
                {"path": f"/{self.root}/{one}", "is_directory": False, "file_size": len(self.files[one])}
                for one in names[begin : begin + self.page]
            ]
            more = {"next_page_token": str(begin + self.page)} if begin + self.page < len(names) else {}
            return Reply(json={"contents": found, **more})
        if asked.method == "PUT":
            self.files[name] = asked.body
            return Reply(status=204)
        if name not in self.files:
            return error(404, "NOT_FOUND", "The file being accessed is not found.")
        headers = {"Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"}
        return Reply(body=self.files[name], headers=headers)

    def signed(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix("/signed/")
        if asked.method == "PUT":
            self.files[path] = asked.body
            return Reply()
        data = self.files.get(path)
        return Reply(status=404) if data is None else Reply(body=data)


def error(status: int, code: str, message: str) -> Reply:
    return Reply(status=status, json={"error_code": code, "message": message})


def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databricks' client repeats a call for five minutes; here its clock jumps instead of waiting."""
    from databricks.sdk.clock import RealClock

    slept = [0.0]
    real = time.time
    monkeypatch.setattr(RealClock, "sleep", lambda self, seconds: slept.append(slept.pop() + seconds))  # noqa: ARG005
    monkeypatch.setattr(RealClock, "time", lambda self: real() + slept[0])  # noqa: ARG005


@pytest.fixture
def databricks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Databricks]:
    with Databricks() as stub:
        monkeypatch.setenv("DATABRICKS_HOST", stub.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-good")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        yield stub


@pytest.fixture
def tried(databricks: Databricks, keys: Keys) -> Tried:  # noqa: F811
    return Tried(UnityCatalogRegistry(), MODEL, "1", "2", keys)


class TestContract(RegistryContract):
    pass


def test_tags_keep_within_what_unity_catalog_takes(tried: Tried, databricks: Databricks) -> None:
    tried.crowned()
    tried.promote("2", tried.verdict("2"))
    tags = {tag["key"]: tag["value"] for tag in databricks.versions["2"]["tags"]}
    assert set(tags) == {"llmgate_attested_champion", "llmgate_earned_champion", "llmgate_over_champion"}
    assert tags["llmgate_over_champion"] == "1"
    assert databricks.aliases == {"champion": "2"}
    assert all(path.startswith(f"llmgate-verdicts/{MODEL}/") for path in databricks.files)


def test_a_version_that_comes_from_no_run(tried: Tried, databricks: Databricks) -> None:
    databricks.versions["1"]["run_id"] = ""
    with pytest.raises(CannotRunError, match="comes from no run"):
        tried.promote("1", tried.verdict("1"))


def test_a_version_that_is_not_ready(tried: Tried, databricks: Databricks) -> None:
    databricks.versions["1"]["status"] = "PENDING_REGISTRATION"
    with pytest.raises(PromotionRefusedError, match="not finished making"):
        tried.promote("1", tried.verdict("1"))


def test_an_alias_that_only_the_owner_may_set(tried: Tried, databricks: Databricks) -> None:
    tried.crowned()
    text = tried.verdict("2")
    denied = error(403, "PERMISSION_DENIED", "User is not an owner of Model 'ml.prod.support_bot'.")
    databricks.faults = [Fault(on="/registered-models/alias", reply=denied)]
    with pytest.raises(PromotionRefusedError, match=r"Databricks forbids this .*not an owner"):
        tried.promote("2", text)
    assert databricks.aliases == {"champion": "1"}
    databricks.faults = []
    assert tried.promote("2").granted == "promoted"


def test_artifacts_that_may_not_be_written_leave_no_tag(tried: Tried, databricks: Databricks) -> None:
    text = tried.verdict("1")
    databricks.has_files_api = False
    databricks.faults = [Fault(on="PUT /signed/", reply=Reply(status=403, body=b"AccessDenied"))]
    with pytest.raises(PromotionRefusedError, match="forbids this") as caught:
        tried.promote("1", text)
    assert "s3cr3t" not in str(caught.value)
    assert databricks.versions["1"]["tags"] == []


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(body=b"<html>"), CannotRunError, "answers with an error"),
        (error(401, "UNAUTHENTICATED", "no"), CannotRunError, "does not know you"),
        (error(403, "PERMISSION_DENIED", "no"), CannotRunError, "forbids this"),
        (error(404, "RESOURCE_DOES_NOT_EXIST", "no"), AbsentError, "nothing under this name"),
        (error(429, "REQUEST_LIMIT_EXCEEDED", "no"), CannotRunError, "too many calls"),
        (error(503, "TEMPORARILY_UNAVAILABLE", "no"), CannotRunError, "does not answer"),
        (error(400, "INVALID_PARAMETER_VALUE", "no"), CannotRunError, "answers with an error"),
    ],
)
def test_failures_when_it_is_read(
    tried: Tried,
    databricks: Databricks,
    reply: Reply,
    kind: type[Exception],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurried(monkeypatch)
    databricks.faults = [Fault(on="model-versions/get", reply=reply)]
    with pytest.raises(kind, match=words):
        tried.registry.version(MODEL, "1")


def test_a_workspace_without_the_files_api(tried: Tried, databricks: Databricks) -> None:
    databricks.has_files_api = False
    tried.crowned()
    assert tried.promote("2", tried.verdict("2")).granted == "promoted"
    assert any(one.startswith("PUT /signed/") for one in databricks.requests)


def test_a_verdict_that_is_written_where_nobody_reads_it(tried: Tried, databricks: Databricks) -> None:
    text = tried.verdict("1")
    databricks.faults = [Fault(on="PUT /api/2.0/fs/", reply=error(403, "PERMISSION_DENIED", "no"))]
    databricks.faults += [Fault(on="HEAD /api/2.0/fs/", reply=Reply(status=404))]
    with pytest.raises(CannotRunError, match="cannot be read there"):
        tried.promote("1", text)
    assert databricks.versions["1"]["tags"] == []


def test_more_verdicts_than_one_page(tried: Tried, databricks: Databricks) -> None:
    databricks.page = 2
    version = tried.registry.version(MODEL, "1")
    run, path = UnityCatalogRegistry().place(version, "champion")
    assert run == databricks.run
    for digit in "12345":
        databricks.files[f"{path}/{digit * 64}.dsse.json"] = b"{}"
    assert len(tried.registry.envelopes(version, "champion")) == 5


@pytest.mark.parametrize("route", ["registered-models/get", "model-versions/get"])
def test_answers_of_something_else(tried: Tried, databricks: Databricks, route: str) -> None:
    databricks.faults = [Fault(on=route, reply=Reply(json={}))]
    with pytest.raises(CannotRunError, match="something else than Unity Catalog"):
        tried.holder() if "registered" in route else tried.registry.version(MODEL, "1")


def test_a_model_that_is_not_there_has_no_holder(tried: Tried) -> None:
    assert tried.registry.holder("ml.prod.other", "champion") is None
    with pytest.raises(AbsentError):
        tried.registry.version("ml.prod.other", "1")


@pytest.mark.parametrize("alias", ["prod-eu", "a.b", "", "x" * 201])
def test_aliases_that_are_no_part_of_a_tags_key(tried: Tried, alias: str) -> None:
    assert tried.registry.alias_problem(alias)
