"""Vertex AI and Cloud Storage through Google's clients, against a stub server. Run by tests/e2e/test_registries.py."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.credentials import AnonymousCredentials
from support.stub import Asked, Fault, Reply, Stub
from support.verdict_registry import RegistryContract, Tried, keys  # noqa: F401

from llmgate.errors import CannotRunError, PromotionRefusedError, UsageError
from llmgate.promote.elsewhere import vertex
from llmgate.promote.elsewhere.failures import AbsentError
from llmgate.promote.elsewhere.vertex import VertexRegistry, long, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.verdicts import Keys

PROJECT, LOCATION, MODEL = "acme-ml", "europe-west4", "4711"
NAME = f"projects/{PROJECT}/locations/{LOCATION}/models/{MODEL}"
START = datetime(2026, 11, 1, tzinfo=UTC)


class Google(Stub):
    """One model with its versions, and one bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {"default": "1"}
        self.objects: dict[str, bytes] = {}
        self.page = 50
        for _ in range(2):
            self.add(f"gs://weights/models/{len(self.versions) + 1}")

    def add(self, artifact: str) -> None:
        number = str(len(self.versions) + 1)
        created = START + timedelta(hours=int(number), microseconds=123_456)
        self.versions[number] = {
            "name": NAME,
            "versionId": number,
            "versionCreateTime": created.isoformat().replace("+00:00", "Z"),
            "artifactUri": artifact,
            "containerSpec": {"imageUri": "vllm:1"},
            "labels": {"team": "search"},
            "etag": "0",
        }

    def answer(self, asked: Asked) -> Reply:
        if match := re.fullmatch(rf"/v1/{NAME}@([^:]+)(:mergeVersionAliases)?", asked.path):
            return self.vertex(asked, match[1], merge=match[2] is not None)
        if asked.path.startswith("/upload/storage/v1/b/weights/o"):
            _, meta, data, _ = re.split(rb"--=+\d+==(?:--)?\r?\n?", asked.body)
            name = json.loads(meta.split(b"\r\n\r\n")[1])["name"] if b"\r\n\r\n" in meta else ""
            self.objects[name] = data.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            return Reply(json={"name": name, "bucket": "weights"})
        if asked.path == "/storage/v1/b/weights/o":
            names = sorted(name for name in self.objects if name.startswith(asked.query["prefix"]))
            begin = int(asked.query.get("pageToken", 0))
            body: dict[str, Any] = {
                "items": [{"name": n, "bucket": "weights"} for n in names[begin : begin + self.page]]
            }
            if begin + self.page < len(names):
                body["nextPageToken"] = str(begin + self.page)
            return Reply(json=body)
        name = asked.path.removeprefix("/download/storage/v1/b/weights/o/")
        if name in self.objects:
            data = self.objects[name]
            return Reply(status=200, body=data)
        return error(404, "NOT_FOUND", f"no {asked}")

    def vertex(self, asked: Asked, key: str, *, merge: bool) -> Reply:
        number = self.aliases.get(key, key)
        found = self.versions.get(number)
        if found is None:
            return error(404, "NOT_FOUND", "The Model does not exist.")
        if merge:
            for alias in asked.json["versionAliases"]:
                self.aliases[alias] = number
        if asked.method == "PATCH":
            assert asked.query["updateMask"] == "labels"
            if asked.json.get("etag") != found["etag"]:
                return error(400, "FAILED_PRECONDITION", "etag mismatch, FAILED_PRECONDITION")
            found["labels"] = asked.json["labels"]
            assert all(len(value) <= 63 for pair in found["labels"].items() for value in pair)
            assert all(re.fullmatch(r"[a-z0-9_-]*", value) for pair in found["labels"].items() for value in pair)
            found["etag"] = str(int(found["etag"]) + 1)
        return Reply(json={**found, "versionAliases": [a for a, n in self.aliases.items() if n == number]})


def error(code: int, status: str, message: str) -> Reply:
    return Reply(status=code, json={"error": {"code": code, "status": status, "message": message}})


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with Google() as stub:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stub.url)
        yield stub


def opened(google: Google, **given: Any) -> VertexRegistry:
    anonymous: Any = AnonymousCredentials  # untyped
    anonymous = anonymous()
    return VertexRegistry(PROJECT, LOCATION, endpoint=google.url, credentials=anonymous, **given)


@pytest.fixture
def tried(google: Google, keys: Keys) -> Tried:  # noqa: F811
    return Tried(opened(google), MODEL, "1", "2", keys)


class TestContract(RegistryContract):
    pass


def test_labels_of_others_and_the_default_alias_stay(tried: Tried, google: Google) -> None:
    tried.crowned()
    tried.promote("2", tried.verdict("2"))
    assert google.aliases == {"default": "1", "champion": "2"}
    labels = google.versions["2"]["labels"]
    assert labels["team"] == "search"
    assert labels["llmgate-over_champion"] == "1"
    version = tried.registry.version(MODEL, "2")
    assert version.source == "gs://weights/models/2 vllm:1"
    assert version.workspace == f"{PROJECT}/{LOCATION}"


def test_digests_in_labels() -> None:
    digest = "0123456789abcdef" * 4
    assert len(short(digest)) == 52
    assert long(short(digest)) == digest
    assert [long(text) for text in ("", "1", "zz", short(digest)[:-8])] == [None] * 4


def test_more_verdicts_than_one_page(tried: Tried, google: Google) -> None:
    google.page = 2
    version = tried.registry.version(MODEL, "1")
    for hours in range(5):
        text = tried.verdict("1", issued_at=datetime.now(UTC) - timedelta(hours=hours + 1))
        tried.registry.attach(version, "champion", f"{hours}" * 64, text)
    assert len(tried.registry.envelopes(version, "champion")) == 5


def test_a_change_in_between(tried: Tried, google: Google) -> None:
    version = tried.registry.version(MODEL, "1")
    conflict = error(409, "ABORTED", "etag mismatch")
    for reply in (conflict, error(400, "FAILED_PRECONDITION", "FAILED_PRECONDITION: etag")):
        google.faults = [Fault(on="PATCH", reply=reply)]
        with pytest.raises(PromotionRefusedError, match="something else changed it"):
            tried.registry.attach(version, "champion", "0" * 64, "{}")


def test_a_failure_between_attaching_and_setting_can_be_repeated(tried: Tried, google: Google) -> None:
    tried.crowned()
    text = tried.verdict("2")
    google.faults = [Fault(on=":mergeVersionAliases", reply=error(403, "PERMISSION_DENIED", "no models.update"))]
    with pytest.raises(PromotionRefusedError, match=r"Vertex AI forbids this .*no models.update"):
        tried.promote("2", text)
    assert google.aliases["champion"] == "1"
    google.faults = []
    assert tried.promote("2").granted == "promoted"


def test_an_answer_that_is_lost_after_the_alias_moved(tried: Tried, google: Google) -> None:
    tried.crowned()
    text = tried.verdict("2")
    google.faults = [Fault(on=":mergeVersionAliases", reply=error(503, "UNAVAILABLE", "gone"), after=True)]
    with pytest.raises(CannotRunError, match="does not answer") as caught:
        tried.promote("2", text)
    assert "look first what it has done" in str(caught.value)
    assert tried.promote("2").granted is None


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(body=b"<html>"), CannotRunError, "answers with an error"),
        (Reply(json={}), CannotRunError, "does not say which version"),
        (error(401, "UNAUTHENTICATED", "no"), CannotRunError, "does not know you"),
        (error(403, "PERMISSION_DENIED", "no"), CannotRunError, "forbids this"),
        (error(404, "NOT_FOUND", "no"), AbsentError, "nothing under this name"),
        (error(400, "INVALID_ARGUMENT", "no"), CannotRunError, "answers with an error"),
    ],
)
def test_failures_when_it_is_read(
    tried: Tried, google: Google, reply: Reply, kind: type[Exception], words: str
) -> None:
    google.faults = [Fault(on="GET", reply=reply)]
    with pytest.raises(kind, match=words):
        tried.registry.version(MODEL, "1")


def test_throttling_is_waited_for_and_then_told(google: Google) -> None:
    registry = opened(google)
    busy = error(429, "RESOURCE_EXHAUSTED", "quota")
    google.faults = [Fault(on="GET", reply=busy, times=1)]
    assert registry.version(MODEL, "1").version == "1"
    google.faults = [Fault(on="GET", reply=busy)]
    registry.again = registry.again.with_timeout(1.0)
    with pytest.raises(CannotRunError, match="too many calls"):
        registry.version(MODEL, "1")


def test_an_answer_that_never_comes(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vertex, "TIMEOUT_S", 0.5)
    google.faults = [Fault(on="GET", reply=Reply(json={}), hangs=True)]
    with pytest.raises(CannotRunError, match="does not answer"):
        opened(google).version(MODEL, "1")


def test_another_version_than_was_asked_for(tried: Tried, google: Google) -> None:
    google.aliases["2"] = "1"
    with pytest.raises(CannotRunError, match="answers with version '1'"):
        tried.registry.version(MODEL, "2")


@pytest.mark.parametrize("alias", ["default", "Champion", "1a", "a", "x" * 43, "a_b"])
def test_aliases_that_vertex_does_not_take(tried: Tried, alias: str) -> None:
    assert tried.registry.alias_problem(alias)


def test_weights_outside_cloud_storage_need_a_place_for_verdicts(google: Google, keys: Keys) -> None:  # noqa: F811
    google.add("")
    tried = Tried(opened(google), MODEL, "3", "2", keys)
    with pytest.raises(UsageError, match="no place for its verdicts"):
        tried.promote("3", tried.verdict("3"))
    Tried(opened(google, verdicts="gs://weights/kept"), MODEL, "3", "2", keys).crowned()
    assert all(name.startswith(f"kept/{PROJECT}/{LOCATION}/{MODEL}/3-") for name in google.objects)
    with pytest.raises(UsageError, match="no place in Cloud Storage"):
        opened(google, verdicts="s3://bucket")
