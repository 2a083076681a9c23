"""Evidence and names that have to stay: tags, versions, models; and what prompts may not be used for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.tags import attestation_key, ledger_key
from support.bypass.table import Area

if TYPE_CHECKING:
    from support.bypass.scene import Answer, Scene

__all__ = ["DELETIONS", "PROMPTS", "TAGS"]

TAGS: Final = Area(title="Tags")
DELETIONS: Final = Area(title="Deleting and making anew")
PROMPTS: Final = Area(title="Prompts")
IS_PROMPT: Final = "mlflow.prompt.is_prompt"
KEY: Final = attestation_key("champion")
DOORS: Final = ("api/2.0", "ajax-api/2.0")


def replace_tag(scene: Scene, door: str) -> Answer:
    version = scene.crown()
    values = {"name": scene.model, "version": version, "key": KEY, "value": "{}"}
    return scene.attempt(lambda: scene.api("POST", "model-versions/set-tag", door=door, **values))


def delete_tag(scene: Scene, door: str) -> Answer:
    version = scene.crown()
    values = {"name": scene.model, "version": version, "key": KEY}
    return scene.attempt(lambda: scene.api("DELETE", "model-versions/delete-tag", door=door, **values))


for door in DOORS:
    TAGS.refused(
        f"frozen-set-{door}",
        "replace the verdict of the champion",
        f"POST /{door}/mlflow/model-versions/set-tag",
        "refused",
    )(partial(replace_tag, door=door))
    TAGS.refused(
        f"frozen-delete-{door}",
        "delete the verdict of the champion",
        f"DELETE /{door}/mlflow/model-versions/delete-tag",
        "refused",
    )(partial(delete_tag, door=door))


@TAGS.refused("frozen-client", "the same by the client", "client: delete_model_version_tag", "refused")
def frozen_client(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(lambda: scene.client("delete_model_version_tag", scene.model, version, KEY))


@TAGS.refused(
    "frozen-newer", "replace the champion's verdict by a newer PASS", "POST model-versions/set-tag", "refused"
)
def frozen_newer(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(lambda: scene.attest(version, scene.verdict(version)))


def ledger_model(scene: Scene, door: str) -> Answer:
    scene.crown()
    values = {"name": scene.model, "key": ledger_key("champion"), "value": "[]"}
    return scene.attempt(lambda: scene.api("POST", "registered-models/set-tag", door=door, **values))


def ledger_delete(scene: Scene, door: str) -> Answer:
    scene.crown()
    values = {"name": scene.model, "key": ledger_key("champion")}
    return scene.attempt(lambda: scene.api("DELETE", "registered-models/delete-tag", door=door, **values))


for door in DOORS:
    TAGS.refused(
        f"ledger-set-{door}",
        "write the ledger that the server shows",
        f"POST /{door}/mlflow/registered-models/set-tag",
        "refused",
    )(partial(ledger_model, door=door))
    TAGS.refused(
        f"ledger-delete-{door}",
        "delete the ledger that the server shows",
        f"DELETE /{door}/mlflow/registered-models/delete-tag",
        "refused",
    )(partial(ledger_delete, door=door))


@TAGS.refused("ledger-version", "write a ledger on a version", "POST model-versions/set-tag", "refused")
def ledger_version(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(lambda: scene.attest(version, "[]", ledger_key("champion")))


@TAGS.refused(
    "ledger-case", "write a ledger as `LLMGate.Ledger/champion`", "client: set_registered_model_tag", "refused"
)
def ledger_case(scene: Scene) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.client("set_registered_model_tag", scene.model, "LLMGate.Ledger/champion", "[]"))


@TAGS.refused("ledger-born", "create a protected model with a ledger", "POST registered-models/create", "refused")
def ledger_born(scene: Scene) -> Answer:
    tags = [{"key": ledger_key("champion"), "value": "[]"}]
    return scene.attempt(lambda: scene.api("POST", "registered-models/create", name=scene.model, tags=tags))


@TAGS.futile("ledger-version-born", "create a version with a ledger among its tags", "POST model-versions/create")
def ledger_version_born(scene: Scene) -> Answer:
    scene.create_model()
    tags = [{"key": ledger_key("champion"), "value": "[]"}, {"key": "team", "value": "a"}]
    values: dict[str, Any] = {"name": scene.model, "source": "s3://bucket/v1", "tags": tags}
    answer = scene.attempt(lambda: scene.api("POST", "model-versions/create", **values))
    assert [line[-2:] for line in scene.after["model_version_tags"]] == [("team", "a")]
    return answer


def odd_key(scene: Scene, key: str) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.attest(version, scene.verdict(version), key))


for what, key in {
    "number": f"{KEY}/1",
    "zero": f"{KEY}/02",
    "case": "llmgate.attestation/Champion",
    "prefix": "LLMGATE.attestation/champion",
}.items():
    TAGS.refused(f"odd-{what}", f"put a verdict into the tag `{key}`", "POST model-versions/set-tag")(
        partial(odd_key, key=key)
    )


def delete_model(scene: Scene, door: str) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.api("DELETE", "registered-models/delete", door=door, name=scene.model))


def delete_version(scene: Scene, door: str) -> Answer:
    version = scene.crown()
    values = {"name": scene.model, "version": version}
    return scene.attempt(lambda: scene.api("DELETE", "model-versions/delete", door=door, **values))


for door in DOORS:
    DELETIONS.refused(
        f"delete-model-{door}",
        "delete a protected model, to make it anew under the same name",
        f"DELETE /{door}/mlflow/registered-models/delete",
        "refused",
    )(partial(delete_model, door=door))
    DELETIONS.refused(
        f"delete-version-{door}",
        "delete the champion's version, and its alias with it",
        f"DELETE /{door}/mlflow/model-versions/delete",
        "refused",
    )(partial(delete_version, door=door))


@DELETIONS.refused("delete-client", "delete a protected model", "client: delete_registered_model", "refused")
def delete_client(scene: Scene) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.client("delete_registered_model", scene.model))


@DELETIONS.refused(
    "delete-unpromoted",
    "delete a protected model that never had a champion",
    "DELETE registered-models/delete",
    "refused",
)
def delete_unpromoted(scene: Scene) -> Answer:
    scene.create_version()
    return scene.attempt(lambda: scene.api("DELETE", "registered-models/delete", name=scene.model))


@DELETIONS.refused(
    "delete-dethroned", "delete a version that held the alias", "client: delete_model_version", "refused"
)
def delete_dethroned(scene: Scene) -> Answer:
    old, _ = scene.dethroned()
    return scene.attempt(lambda: scene.client("delete_model_version", scene.model, old))


@DELETIONS.futile("source-update", "give the champion's version another source", "PATCH model-versions/update")
def source_update(scene: Scene) -> Answer:
    version = scene.crown()
    values = {"name": scene.model, "version": version, "source": "s3://bucket/other"}
    answer = scene.attempt(lambda: scene.api("PATCH", "model-versions/update", **values))
    assert scene.changed() == []
    return answer


@PROMPTS.refused(
    "prompt-tag",
    "turn a protected model into a prompt, whose aliases are free",
    "POST registered-models/set-tag",
    "refused",
)
def prompt_tag(scene: Scene) -> Answer:
    scene.challenger()
    values = {"name": scene.model, "key": IS_PROMPT, "value": "true"}
    return scene.attempt(lambda: scene.api("POST", "registered-models/set-tag", **values))


@PROMPTS.refused(
    "prompt-tag-ajax", "the same as the page does", "POST /ajax-api/2.0/mlflow/registered-models/set-tag", "refused"
)
def prompt_tag_ajax(scene: Scene) -> Answer:
    scene.challenger()
    values = {"name": scene.model, "key": IS_PROMPT, "value": "true"}
    return scene.attempt(lambda: scene.api("POST", "registered-models/set-tag", door="ajax-api/2.0", **values))


@PROMPTS.refused("prompt-version-tag", "mark a version as a prompt's", "POST model-versions/set-tag", "refused")
def prompt_version_tag(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.attest(version, "true", IS_PROMPT))


@PROMPTS.refused(
    "prompt-weights",
    "put weights into a prompt of a protected name, and set its alias",
    "POST registered-models/alias",
    "llmgate: ",
)
def prompt_weights(scene: Scene) -> Answer:
    tags = [{"key": IS_PROMPT, "value": "true"}]
    scene.create_model(tags=tags)
    values: dict[str, Any] = {"name": scene.model, "source": "s3://bucket/weights"}
    made = scene.api("POST", "model-versions/create", **values)
    if not made.ok:
        return scene.attempt(lambda: scene.api("POST", "model-versions/create", **values))
    return scene.attempt(lambda: scene.set_alias("1"))


@PROMPTS.refused(
    "prompt-weights-tagged",
    "the same with a version that says it is a prompt",
    "POST model-versions/create",
    by="MLflow",
)
def prompt_weights_tagged(scene: Scene) -> Answer:
    tags = [{"key": IS_PROMPT, "value": "true"}]
    scene.create_model(tags=tags)
    values: dict[str, Any] = {"name": scene.model, "source": f"s3://bucket/{scene.model}/weights", "tags": tags}
    return scene.attempt(lambda: scene.api("POST", "model-versions/create", **values))


@PROMPTS.refused(
    "prompt-True",
    "create a model whose tag says `True` instead of `true`",
    "POST registered-models/create",
    "makes no prompt",
)
def prompt_true(scene: Scene) -> Answer:
    tags = [{"key": IS_PROMPT, "value": "True"}]
    return scene.attempt(lambda: scene.api("POST", "registered-models/create", name=scene.model, tags=tags))


@PROMPTS.refused(
    "prompt-in-model",
    "put a prompt's version into a protected model",
    "POST model-versions/create",
    "cannot become a prompt",
)
def prompt_in_model(scene: Scene) -> Answer:
    scene.crown()
    values: dict[str, Any] = {
        "name": scene.model,
        "source": "prompt-template",
        "tags": [{"key": IS_PROMPT, "value": "true"}],
    }
    return scene.attempt(lambda: scene.api("POST", "model-versions/create", **values))


def prompt_back(scene: Scene, method: str, path: str, **values: str) -> Answer:
    prompt(scene)
    scene.done(scene.set_alias("1"))
    return scene.attempt(lambda: scene.api(method, path, name=scene.model, key=IS_PROMPT, **values))


PROMPTS.refused(
    "prompt-back",
    "make a model of a prompt that has the alias already",
    "DELETE registered-models/delete-tag",
    "refused",
)(partial(prompt_back, method="DELETE", path="registered-models/delete-tag"))
PROMPTS.refused("prompt-false", "the same by the value `false`", "POST registered-models/set-tag", "refused")(
    partial(prompt_back, method="POST", path="registered-models/set-tag", value="false")
)


def prompt(scene: Scene) -> None:
    """A prompt of a protected name, as MLflow's client makes it."""
    tags = [{"key": IS_PROMPT, "value": "true"}]
    scene.create_model(tags=tags)
    text = [
        {"key": "mlflow.prompt.text", "value": "Answer {{question}}"},
        {"key": "_mlflow_prompt_type", "value": "text"},
    ]
    values: dict[str, Any] = {"name": scene.model, "source": "prompt-template", "tags": tags + text}
    scene.done(scene.api("POST", "model-versions/create", **values))


@PROMPTS.works(
    "prompt-alias",
    "set the alias `champion` of a prompt whose name the policy's pattern also fits",
    "client: register_prompt, set_prompt_alias",
)
def prompt_alias(scene: Scene) -> Answer:
    scene.done(scene.client("register_prompt", scene.model, "Answer {{question}}"))
    return scene.attempt(lambda: scene.client("set_prompt_alias", scene.model, "champion", 1))


@PROMPTS.works("prompt-load", "load a prompt by its alias", "client: get_prompt_version_by_alias")
def prompt_load(scene: Scene) -> Answer:
    scene.done(scene.client("register_prompt", scene.model, "Answer {{question}}"))
    scene.done(scene.client("set_prompt_alias", scene.model, "champion", 1))
    answer = scene.attempt(lambda: scene.client("get_prompt_version_by_alias", scene.model, "champion"))
    assert answer.body.template == "Answer {{question}}"
    return answer
