"""The Hugging Face Hub through huggingface-hub, against a server that does what the Hub does to the routes it uses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.stub import Asked, Fault, Reply, Stub
from support.verdict_registry import RegistryContract, Tried, keys  # noqa: F401

from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote.elsewhere import hugging_face
from llmgate.promote.elsewhere.failures import AbsentError
from llmgate.promote.elsewhere.hugging_face import BRANCH, HuggingFaceRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.verdicts import Keys

MODEL = "acme/support-bot"
START = datetime(2026, 11, 1, tzinfo=UTC)


class Hub(Stub):
    """One repository: commits with their files, branches and tags."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: dict[str, dict[str, Any]] = {}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.token = "hf_good"
        self.page = 50

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        parent = self.branches.get(branch)
        sha = hashlib.sha1(f"{branch}{parent}{len(self.commits)}".encode()).hexdigest()
        before = self.commits[parent]["files"] if parent else {}
        when = START + timedelta(hours=len(self.commits))
        self.commits[sha] = {"files": {**before, **files}, "parent": parent, "date": when}
        self.branches[branch] = sha
        return sha

    def sha(self, revision: str) -> str | None:
        found = self.branches.get(revision) or self.tags.get(revision) or revision
        return found if found in self.commits else None

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(status=401, json={"error": "Invalid credentials"})
        if not asked.path.startswith((f"/api/models/{MODEL}", f"/{MODEL}/resolve")):
            return Reply(status=404, json={"error": "no"}, headers={"X-Error-Code": "RepoNotFound"})
        rest = asked.path.removeprefix(f"/api/models/{MODEL}").removeprefix(f"/{MODEL}")
        for method, pattern, act in (
            ("GET", r"/revision/(.+)", self.info),
            ("GET", r"/commits/(.+)", self.log),
            ("GET", r"/refs", self.refs),
            ("GET", r"/tree/([^/]+)/(.+)", self.tree),
            ("POST", r"/branch/(.+)", self.branch),
            ("POST", r"/preupload/(.+)", self.preupload),
            ("POST", r"/commit/(.+)", self.write),
            ("POST", r"/tag/(.+)", self.tag),
            ("DELETE", r"/tag/(.+)", self.untag),
            ("HEAD|GET", r"/resolve/([^/]+)/(.+)", self.resolve),
        ):
            match = re.fullmatch(pattern, rest)
            if match and asked.method in method.split("|"):
                return act(asked, *match.groups())
        return Reply(status=404, json={"error": f"no route {asked}"})

    def gone(self) -> Reply:
        return Reply(status=404, json={"error": "no"}, headers={"X-Error-Code": "RevisionNotFound"})

    def info(self, asked: Asked, revision: str) -> Reply:  # noqa: ARG002
        sha = self.sha(revision)
        return Reply(json={"id": MODEL, "sha": sha, "tags": [], "siblings": []}) if sha else self.gone()

    def log(self, asked: Asked, revision: str) -> Reply:  # noqa: ARG002
        sha, found = self.sha(revision), []
        if sha is None:
            return self.gone()
        while sha:
            when = self.commits[sha]["date"].isoformat().replace("+00:00", ".000Z")
            found.append({"id": sha, "authors": [{"user": "ada"}], "date": when, "title": "t", "message": ""})
            sha = self.commits[sha]["parent"]
        return Reply(json=found)

    def refs(self, asked: Asked) -> Reply:  # noqa: ARG002
        def listed(refs: dict[str, str], kind: str) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha} for name, sha in refs.items()]

        return Reply(
            json={"branches": listed(self.branches, "heads"), "tags": listed(self.tags, "tags"), "converts": []}
        )

    def tree(self, asked: Asked, revision: str, path: str) -> Reply:
        sha = self.sha(revision)
        files = self.commits[sha]["files"] if sha else {}
        paths = sorted(one for one in files if one.startswith(f"{path}/"))
        if not paths:
            return Reply(status=404, json={"error": "no"}, headers={"X-Error-Code": "EntryNotFound"})
        begin = int(asked.query.get("cursor", 0))
        entries = [
            {"type": "file", "path": one, "size": len(files[one]), "oid": hashlib.sha1(files[one]).hexdigest()}
            for one in paths[begin : begin + self.page]
        ]
        more = begin + self.page < len(paths)
        url = f"{self.url}/api/models/{MODEL}/tree/{revision}/{path}?cursor={begin + self.page}"
        return Reply(json=entries, headers={"Link": f'<{url}>; rel="next"'} if more else {})

    def branch(self, asked: Asked, name: str) -> Reply:
        if name in self.branches:
            return Reply(status=409, json={"error": "exists"})
        sha = self.sha(asked.json.get("startingPoint", "main"))
        assert sha is not None
        self.branches[name] = sha
        return Reply(json={})

    def preupload(self, asked: Asked, revision: str) -> Reply:  # noqa: ARG002
        files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked.json["files"]]
        return Reply(json={"files": files})

    def write(self, asked: Asked, revision: str) -> Reply:
        lines = [json.loads(line) for line in asked.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") != self.branches.get(revision):
            return Reply(status=412, json={"error": "A commit has happened since. Please refresh and try again."})
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        sha = self.commit(revision, files)
        return Reply(json={"commitUrl": f"{self.url}/{MODEL}/commit/{sha}", "commitOid": sha, "success": True})

    def tag(self, asked: Asked, revision: str) -> Reply:
        name, sha = asked.json["tag"], self.sha(revision)
        if name in self.tags:
            return Reply(status=409, json={"error": "exists"})
        if sha is None:
            return self.gone()
        self.tags[name] = sha
        return Reply(json={})

    def untag(self, asked: Asked, name: str) -> Reply:  # noqa: ARG002
        return Reply(json={}) if self.tags.pop(name, None) else self.gone()

    def resolve(self, asked: Asked, revision: str, path: str) -> Reply:  # noqa: ARG002
        sha = self.sha(revision)
        data = self.commits[sha]["files"].get(path) if sha else None
        if data is None:
            return Reply(status=404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": str(sha)}
        return Reply(body=data, headers=headers)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as stub:
        monkeypatch.setenv("HF_TOKEN", stub.token)
        stub.commit("main", {"config.json": b"{}", "model.safetensors": b"one"})
        stub.commit("main", {"model.safetensors": b"two"})
        yield stub
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    set_client_factory(default_client_factory)


@pytest.fixture
def tried(hub: Hub, keys: Keys) -> Tried:  # noqa: F811
    first, second = list(hub.commits)
    return Tried(HuggingFaceRegistry(endpoint=hub.url), MODEL, first, second, keys)


class TestContract(RegistryContract):
    pass


def test_a_revision_means_the_commit_that_it_names_now(tried: Tried, hub: Hub) -> None:
    version = tried.registry.version(MODEL, "main")
    assert (version.version, version.source) == (tried.second, f"hf://{MODEL}@{tried.second}")
    assert version.created_at == START + timedelta(hours=1)


def test_no_commit_of_the_weights_branch_is_made(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    tried.promote(tried.second, tried.verdict(tried.second))
    assert hub.branches["main"] == tried.second
    assert hub.tags == {"champion": tried.second}
    kept = json.loads(hub.commits[hub.branches[BRANCH]]["files"]["llmgate/champion.json"])
    assert (kept["holder"], kept["over"]) == (tried.second, tried.first)


def test_of_two_promotions_at_once_one_gets_through(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    real = hub.preupload
    raced: list[str] = []

    def race(asked: Asked, revision: str) -> Reply:
        if not raced and hub.requests.count(f"POST /api/models/{MODEL}/commit/{BRANCH}") >= 3:
            raced.append(hub.commit(BRANCH, {"llmgate/else.json": b"{}"}))
        return real(asked, revision)

    hub.preupload = race  # type: ignore[method-assign]
    with pytest.raises(PromotionRefusedError, match="something else changed it at the same time"):
        tried.promote(tried.second, text)
    assert raced
    assert hub.tags == {"champion": tried.first}


def test_a_tag_that_cannot_be_made_is_put_back(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    hub.faults = [Fault(on=f"POST /api/models/{MODEL}/tag/{tried.second}", reply=Reply(status=403, json={}))]
    with pytest.raises(PromotionRefusedError, match="forbids") as caught:
        tried.promote(tried.second, text)
    assert any(f"is back on {tried.first}" in note for note in caught.value.__notes__)
    assert hub.tags == {"champion": tried.first}
    hub.faults = []
    assert tried.promote(tried.second).granted == "promoted"


def test_a_tag_that_cannot_be_put_back_either(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    hub.faults = [Fault(on=f"POST /api/models/{MODEL}/tag/", reply=Reply(status=500, json={}))]
    with pytest.raises(CannotRunError, match="so nobody holds it") as caught:
        tried.promote(tried.second, text)
    assert f"hf repos tag create {MODEL} champion --revision {tried.first}" in str(caught.value)


@pytest.mark.parametrize("lost", ["DELETE ", f"POST /api/models/{MODEL}/tag/"])
def test_an_answer_that_is_lost_is_looked_up(tried: Tried, hub: Hub, lost: str) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    hub.faults = [Fault(on=lost, reply=Reply(status=502), after=True)]
    assert tried.promote(tried.second, text).granted == "promoted"
    assert hub.tags == {"champion": tried.second}


def test_a_tag_that_is_gone_makes_nobody_the_first(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    tried.promote(tried.second, text)
    del hub.tags["champion"]
    with pytest.raises(PromotionRefusedError, match="is gone") as caught:
        tried.promote(tried.second, text)
    assert f"--revision {tried.first}" in str(caught.value)
    hub.tags["champion"] = tried.first
    assert tried.promote(tried.second, text).granted == "promoted"


def test_an_interrupted_promotion_is_finished_by_the_same_and_by_no_other(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    third = hub.commit("main", {"model.safetensors": b"three"})
    other = tried.verdict(third)
    hub.faults = [Fault(on="DELETE ", reply=Reply(status=503, json={}))]
    with pytest.raises(CannotRunError, match="does not answer"):
        tried.promote(tried.second, text)
    hub.faults = []
    with pytest.raises(PromotionRefusedError, match="under way or was interrupted"):
        tried.promote(third, other)
    assert tried.promote(tried.second).granted == "promoted"


def test_a_tag_that_was_moved_by_hand(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    text = tried.verdict(tried.second)
    hub.tags["champion"] = tried.second
    done = tried.promote(tried.second, text)
    assert done.granted is None
    assert "nothing shows a verdict that earned it" in done.lines()


def test_more_verdicts_than_one_page(tried: Tried, hub: Hub) -> None:
    hub.page = 2
    for hours in range(5):
        text = tried.verdict(tried.first, issued_at=datetime.now(UTC) - timedelta(hours=hours + 1))
        version = tried.registry.version(MODEL, tried.first)
        tried.registry.attach(
            version, "champion", hashlib.sha256(base64.b64decode(json.loads(text)["payload"])).hexdigest(), text
        )
    assert len(tried.registry.envelopes(tried.registry.version(MODEL, tried.first), "champion")) == 5


@pytest.mark.parametrize("alias", ["main", BRANCH, "f" * 40])
def test_tags_that_would_mean_something_else(tried: Tried, alias: str) -> None:
    assert tried.registry.alias_problem(alias)


def test_a_state_that_somebody_broke(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    hub.commit(BRANCH, {f"llmgate/{tried.first}/state.json": b"[]"})
    with pytest.raises(CannotRunError, match="no JSON object"):
        tried.held_by()


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(status=401, json={"error": "no"}), CannotRunError, "does not know you"),
        (Reply(status=403, json={"error": "not yours"}), CannotRunError, "forbids this"),
        (Reply(status=404, json={"error": "Repository not found"}), AbsentError, "nothing under this name"),
        (Reply(status=429, json={"error": "slow down"}), CannotRunError, "too many calls"),
        (Reply(status=500), CannotRunError, "does not answer"),
        (Reply(body=b"<html>"), CannotRunError, "answers with an error"),
        (Reply(json={}), CannotRunError, "answers with an error|does not say which commit"),
        (Reply(status=418, json={"error": "teapot"}), CannotRunError, "answers with an error"),
    ],
)
def test_failures_when_it_is_read(tried: Tried, hub: Hub, reply: Reply, kind: type[Exception], words: str) -> None:
    hub.faults = [Fault(on="/revision/", reply=reply)]
    with pytest.raises(kind, match=words):
        tried.registry.version(MODEL, tried.first)
    hub.faults = [Fault(on="/refs", reply=reply)]
    with pytest.raises(kind, match=words):
        tried.holder()


def test_an_answer_that_never_comes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face, "TIMEOUT_S", 0.5)
    registry = HuggingFaceRegistry(endpoint=hub.url)
    hub.faults = [Fault(on="/refs", reply=Reply(json={}), hangs=True)]
    with pytest.raises(CannotRunError, match="does not answer"):
        registry.holder(MODEL, "champion")


def test_a_token_that_may_not_write(tried: Tried, hub: Hub) -> None:
    text = tried.verdict(tried.first)
    hub.faults = [Fault(on="POST ", reply=Reply(status=403, json={"error": "read-only token"}))]
    with pytest.raises(PromotionRefusedError, match=r"forbids this \(read-only token\)"):
        tried.promote(tried.first, text)
    assert not hub.tags


def test_somebody_elses_repository(tried: Tried) -> None:
    with pytest.raises(AbsentError):
        tried.registry.version("acme/other", "main")
    with pytest.raises(CannotRunError):
        tried.registry.version("acme/--bad--", "main")


def test_a_file_that_cannot_be_fetched_is_not_taken_for_none(tried: Tried, hub: Hub) -> None:
    tried.crowned()
    hub.faults = [Fault(on="/resolve/", reply=Reply(status=500))]
    with pytest.raises(CannotRunError, match="does not answer"):
        tried.held_by()
