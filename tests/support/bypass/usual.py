"""What works as it does without a gate, and what works with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.attest.envelope import read_envelope
from support.bypass.content import enveloped
from support.bypass.scene import PRODUCTION
from support.bypass.table import Area

if TYPE_CHECKING:
    from support.bypass.scene import Answer, Scene

__all__ = ["GOOD", "READING", "USUAL"]

GOOD: Final = Area(title="With a good verdict")
READING: Final = Area(title="Reading")
USUAL: Final = Area(title="What is not protected")
ALIAS: Final = "POST registered-models/alias"


@GOOD.works(
    "first",
    "the first champion, by a bootstrap key's verdict",
    "client: set_model_version_tag, set_registered_model_alias",
)
def first(scene: Scene) -> Answer:
    version = scene.create_version()
    text = scene.verdict(version)
    return scene.attempt(
        lambda: scene.client("set_model_version_tag", scene.model, version, "llmgate.attestation/champion", text),
        lambda: scene.client("set_registered_model_alias", scene.model, "champion", version),
    )


@GOOD.works("second", "a champion after another, by the gate's verdict", ALIAS)
def second(scene: Scene) -> Answer:
    version = scene.challenger()
    text = scene.verdict(version)
    answer = scene.attempt(lambda: scene.attest(version, text), lambda: scene.set_alias(version))
    holder = scene.client("get_model_version_by_alias", scene.model, "champion")
    assert holder.body.version == version
    return answer


@GOOD.works("two-signatures", "a verdict with a good signature and one that is worth nothing", ALIAS)
def two_signatures(scene: Scene) -> Answer:
    version = scene.challenger()
    envelope = read_envelope(scene.verdict(version))
    good = envelope.signatures[0]
    text = enveloped(envelope.payload, ("somebody", b"\0" * 64), (good.keyid, good.sig))
    return scene.attempt(lambda: scene.attest(version, text), lambda: scene.set_alias(version))


@GOOD.works("override", "a person's override, signed with a key of that role", ALIAS)
def override(scene: Scene) -> Answer:
    version = scene.challenger()
    text = scene.keys.override(scene.facts(version), champion=scene.champion())
    return scene.attempt(lambda: scene.attest(version, text), lambda: scene.set_alias(version))


@GOOD.works("stage", "a version into Production, by a verdict for that stage", "client: transition_model_version_stage")
def stage(scene: Scene) -> Answer:
    version = scene.create_version()
    text = scene.verdict(version, alias=PRODUCTION)
    return scene.attempt(
        lambda: scene.attest(version, text, alias=PRODUCTION),
        lambda: scene.client("transition_model_version_stage", scene.model, version, "Production"),
    )


@GOOD.works("again", "set the alias to who holds it", ALIAS)
def again(scene: Scene) -> Answer:
    version = scene.crown()
    answer = scene.attempt(lambda: scene.set_alias(version))
    assert scene.before == scene.after
    return answer


@GOOD.works("better", "a PASS after a FAIL", ALIAS)
def better(scene: Scene) -> Answer:
    version = scene.challenger()
    scene.done(scene.attest(version, scene.verdict(version, outcome="FAIL")))
    text = scene.verdict(version)
    return scene.attempt(lambda: scene.attest(version, text), lambda: scene.set_alias(version))


@GOOD.works("returning", "a former champion once more, by a new verdict under the second tag", ALIAS)
def returning(scene: Scene) -> Answer:
    oldest = scene.crown("v1")
    scene.crown("v2")
    scene.crown("v3")
    text = scene.verdict(oldest)
    return scene.attempt(
        lambda: scene.attest(oldest, text, "llmgate.attestation/champion/2"), lambda: scene.set_alias(oldest)
    )


@READING.works("read-alias", "read who is champion", "GET registered-models/alias")
def read_alias(scene: Scene) -> Answer:
    version = scene.crown()
    answer = scene.attempt(lambda: scene.api("GET", f"registered-models/alias?name={scene.model}&alias=champion"))
    assert answer.body["model_version"]["version"] == version
    return answer


@READING.works("read-model", "read a model", "client: get_registered_model")
def read_model(scene: Scene) -> Answer:
    version = scene.crown()
    answer = scene.attempt(lambda: scene.client("get_registered_model", scene.model))
    assert {alias: str(held) for alias, held in answer.body.aliases.items()} == {"champion": version}
    return answer


@READING.works("search-models", "search models", "client: search_registered_models")
def search_models(scene: Scene) -> Answer:
    scene.crown()
    answer = scene.attempt(lambda: scene.client("search_registered_models", filter_string=f"name = '{scene.model}'"))
    assert [model.name for model in answer.body] == [scene.model]
    return answer


@READING.works("search-versions", "search versions by a tag", "client: search_model_versions")
def search_versions(scene: Scene) -> Answer:
    version = scene.crown()
    scene.done(scene.attest(version, "yes", "team"))
    answer = scene.attempt(
        lambda: scene.client("search_model_versions", f"name = '{scene.model}' AND tags.team = 'yes'")
    )
    assert [found.version for found in answer.body] == [version]
    return answer


@READING.works("read-latest", "the latest versions of all stages", "POST registered-models/get-latest-versions")
def read_latest(scene: Scene) -> Answer:
    scene.crown(alias=PRODUCTION)
    answer = scene.attempt(
        lambda: scene.api("POST", "registered-models/get-latest-versions", name=scene.model, stages=["Production"])
    )
    assert [found["version"] for found in answer.body["model_versions"]] == ["1"]
    return answer


@READING.works("download-uri", "where a version's weights lie", "client: get_model_version_download_uri")
def download_uri(scene: Scene) -> Answer:
    version = scene.crown()
    answer = scene.attempt(lambda: scene.client("get_model_version_download_uri", scene.model, version))
    assert answer.body == f"s3://bucket/{scene.model}/v1"
    return answer


@USUAL.works("free-alias", "another alias of a protected model", "client: set_, delete_registered_model_alias")
def free_alias(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(
        lambda: scene.client("set_registered_model_alias", scene.model, "shadow", version),
        lambda: scene.client("delete_registered_model_alias", scene.model, "shadow"),
    )


@USUAL.works("free-stage", "another stage", "client: transition_model_version_stage")
def free_stage(scene: Scene) -> Answer:
    version = scene.create_version()
    return scene.attempt(
        lambda: scene.client("transition_model_version_stage", scene.model, version, "Staging"),
        lambda: scene.client("transition_model_version_stage", scene.model, version, "Archived"),
    )


@USUAL.works("free-tags", "other tags", "client: set_, delete_model_version_tag, set_registered_model_tag")
def free_tags(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(
        lambda: scene.client("set_model_version_tag", scene.model, version, "team", "a"),
        lambda: scene.client("delete_model_version_tag", scene.model, version, "team"),
        lambda: scene.client("set_registered_model_tag", scene.model, "team", "a"),
        lambda: scene.client("delete_registered_model_tag", scene.model, "team"),
    )


@USUAL.works("free-description", "descriptions", "client: update_model_version, update_registered_model")
def free_description(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(
        lambda: scene.client("update_model_version", scene.model, version, "better"),
        lambda: scene.client("update_registered_model", scene.model, "best"),
    )


@USUAL.works("free-delete", "delete a version that never held an alias", "client: delete_model_version")
def free_delete(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.client("delete_model_version", scene.model, version))


@USUAL.works("free-model", "a model that no rule fits: alias, stage, new name, deletion", "client")
def free_model(scene: Scene) -> Answer:
    name = f"other-{scene.token}"
    version = scene.create_version(model=name)
    return scene.attempt(
        lambda: scene.client("set_registered_model_alias", name, "champion", version),
        lambda: scene.client("transition_model_version_stage", name, version, "Production"),
        lambda: scene.client("rename_registered_model", name, f"{name}-new"),
        lambda: scene.client("delete_registered_model_alias", f"{name}-new", "champion"),
        lambda: scene.client("delete_registered_model", f"{name}-new"),
    )


@USUAL.works("free-copy", "copy the champion into a model that no rule fits", "client: copy_model_version")
def free_copy(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(
        lambda: scene.client("copy_model_version", f"models:/{scene.model}/{version}", f"other-{scene.token}")
    )
