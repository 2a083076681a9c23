"""Setting aliases and stages by every route, and by names that only look like the protected ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from support.bypass.scene import PRODUCTION
from support.bypass.table import Area

if TYPE_CHECKING:
    from support.bypass.scene import Answer, Scene

__all__ = ["ALIASES", "NAMES", "STAGES"]

ALIASES: Final = Area(title="The alias by every route")
NAMES: Final = Area(title="Names that look alike")
STAGES: Final = Area(title="Stages")
SET: Final = "registered-models/alias"
FORM: Final = "application/x-www-form-urlencoded"
NO_VERDICT: Final = "no verdict of this version is known"


@ALIASES.refused(
    "alias-client",
    "set the champion's alias without a verdict",
    "client: set_registered_model_alias",
    "promotion blocked",
    NO_VERDICT,
)
def alias_client(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.client("set_registered_model_alias", scene.model, "champion", version))


def alias_route(scene: Scene, door: str) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.set_alias(version, door=door))


for door in ("api/2.0", "ajax-api/2.0"):
    ALIASES.refused(
        f"alias-{door}", "the same by a raw call", f"POST /{door}/mlflow/{SET}", "promotion blocked", NO_VERDICT
    )(partial(alias_route, door=door))


@ALIASES.refused("alias-first", "set the alias that nobody holds yet", f"POST {SET}", NO_VERDICT)
def alias_first(scene: Scene) -> Answer:
    version = scene.create_version()
    return scene.attempt(lambda: scene.set_alias(version))


@ALIASES.refused("alias-zeros", "write the version's number as 0002", f"POST {SET}", NO_VERDICT)
def alias_zeros(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.set_alias(version.zfill(4)))


@ALIASES.refused("alias-space", "write the version's number with a space before it", f"POST {SET}", NO_VERDICT)
def alias_space(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.set_alias(f" {version}"))


@ALIASES.refused("alias-digits", "write the version's number in Arabic-Indic digits", f"POST {SET}", NO_VERDICT)
def alias_digits(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.set_alias(chr(0x660 + int(version))))


@ALIASES.refused("alias-form", "send the call as a form instead of JSON", f"POST {SET}", by="MLflow")
def alias_form(scene: Scene) -> Answer:
    version = scene.challenger()
    form = f"name={scene.model}&alias=champion&version={version}".encode()
    return scene.attempt(lambda: scene.raw("POST", f"/api/2.0/mlflow/{SET}", form, kind=FORM))


@ALIASES.refused("alias-query", "send the call's values in its query", f"POST {SET}?name=…", by="MLflow")
def alias_query(scene: Scene) -> Answer:
    version = scene.challenger()
    query = f"name={scene.model}&alias=champion&version={version}"
    return scene.attempt(lambda: scene.api("POST", f"{SET}?{query}"))


@ALIASES.refused("alias-second", "set the second protected alias of a model", f"POST {SET}", NO_VERDICT)
def alias_second(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(lambda: scene.set_alias(version, "production"))


@ALIASES.refused("alias-elsewhere", "use a verdict for another protected alias", f"POST {SET}", NO_VERDICT)
def alias_elsewhere(scene: Scene) -> Answer:
    version = scene.create_version()
    scene.done(scene.attest(version, scene.verdict(version)))
    return scene.attempt(lambda: scene.set_alias(version, "production"))


def alias_delete(scene: Scene, door: str) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.api("DELETE", SET, door=door, name=scene.model, alias="champion"))


for door in ("api/2.0", "ajax-api/2.0"):
    ALIASES.refused(f"alias-delete-{door}", "take the alias away", f"DELETE /{door}/mlflow/{SET}", "refused")(
        partial(alias_delete, door=door)
    )


@ALIASES.refused("alias-delete-client", "take the alias away", "client: delete_registered_model_alias", "refused")
def alias_delete_client(scene: Scene) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.client("delete_registered_model_alias", scene.model, "champion"))


def alias_like(scene: Scene, alias: str) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.set_alias(version, alias))


LOOK_ALIKES: Final = {
    "capital": "Champion",
    "capitals": "CHAMPION",
    "cyrillic": "ch\u0430mpion",
    "all-cyrillic": "\u0441\u04bb\u0430\u043cp\u0456\u043en",
    "greek": "champi\u03bfn",
    "zero": "champi0n",
    "one": "champ1on",
    "dash": "cham-pion",
    "underscore": "cham_pion",
    "dotless": "champ\u0131on",
    "accent": "ch\u00e1mpion",
    "full-width": "\uff43\uff48\uff41\uff4d\uff50\uff49\uff4f\uff4e",
    "mathematical": "\U0001d41c\U0001d421\U0001d41a\U0001d426\U0001d429\U0001d422\U0001d428\U0001d427",
    "cherokee": "\u13df\u13bbampion",
    "rn": "charnpion",
}
"""By what each does."""
for what, alias in LOOK_ALIKES.items():
    NAMES.refused(
        f"like-{what}", f"an alias that looks like the champion's: `{alias}` ({what})", f"POST {SET}", "looks like"
    )(partial(alias_like, alias=alias))


@NAMES.refused("like-newline", "an alias with a line break at its end: `champion\\n`", f"POST {SET}", "champion")
def like_newline(scene: Scene) -> Answer:
    return alias_like(scene, "champion\n")


@NAMES.refused("like-delete", "delete what looks like the champion's alias", f"DELETE {SET}", "it is protected")
def like_delete(scene: Scene) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.api("DELETE", SET, name=scene.model, alias="Champion"))


def model_like(scene: Scene, name: str) -> Answer:
    name = f"{name}-{scene.token}"
    version = scene.create_version(model=name)
    return scene.attempt(lambda: scene.set_alias(version, name=name))


for what, name in {"capital": "Support", "cyrillic": "supp\u043ert", "zero": "supp0rt"}.items():
    NAMES.refused(
        f"model-{what}", f"a model whose name looks protected: `{name}-…`", f"POST {SET}", "promotion blocked"
    )(partial(model_like, name=name))


@NAMES.refused(
    "rename-away", "rename a protected model, promote, and rename it back", "client: rename_registered_model", "refused"
)
def rename_away(scene: Scene) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.client("rename_registered_model", scene.model, f"other-{scene.token}"))


def rename_route(scene: Scene, door: str) -> Answer:
    scene.create_version()
    return scene.attempt(
        lambda: scene.api(
            "POST", "registered-models/rename", door=door, name=scene.model, new_name=f"other-{scene.token}"
        )
    )


for door in ("api/2.0", "ajax-api/2.0"):
    NAMES.refused(
        f"rename-{door}",
        "rename a protected model that has no champion",
        f"POST /{door}/mlflow/registered-models/rename",
        "refused",
    )(partial(rename_route, door=door))


def rename_into(scene: Scene, name: str) -> Answer:
    other = f"other-{scene.token}"
    version = scene.create_version(model=other)
    scene.done(scene.set_alias(version, name=other))
    return scene.attempt(
        lambda: scene.api("POST", "registered-models/rename", name=other, new_name=f"{name}-{scene.token}")
    )


for what, name in {"name": "support", "look-alike": "Supp0rt"}.items():
    NAMES.refused(
        f"rename-into-{what}",
        f"give an unprotected model with a champion the name `{name}-…`",
        "POST registered-models/rename",
        "refused",
    )(partial(rename_into, name=name))


def stage_route(scene: Scene, door: str) -> Answer:
    version = scene.create_version()
    return scene.attempt(lambda: scene.stage(version, door=door))


for door in ("api/2.0", "ajax-api/2.0"):
    STAGES.refused(
        f"stage-{door}", "move a version into the stage Production without a verdict",
        f"POST /{door}/mlflow/model-versions/transition-stage", "promotion blocked", NO_VERDICT,
    )(partial(stage_route, door=door))  # fmt: skip


@STAGES.refused("stage-client", "the same by the client", "client: transition_model_version_stage", NO_VERDICT)
def stage_client(scene: Scene) -> Answer:
    version = scene.create_version()
    return scene.attempt(lambda: scene.client("transition_model_version_stage", scene.model, version, "Production"))


@STAGES.refused("stage-case", "write the stage as `pRODUCTION`", "POST model-versions/transition-stage", NO_VERDICT)
def stage_case(scene: Scene) -> Answer:
    version = scene.create_version()
    return scene.attempt(lambda: scene.stage(version, "pRODUCTION"))


@STAGES.refused(
    "stage-alias", "use the champion's verdict for the stage", "POST model-versions/transition-stage", NO_VERDICT
)
def stage_alias(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(lambda: scene.stage(version))


@STAGES.refused(
    "stage-archive",
    "archive who is in Production by moving another version there",
    "POST model-versions/transition-stage",
    NO_VERDICT,
)
def stage_archive(scene: Scene) -> Answer:
    scene.crown(alias=PRODUCTION)
    version = scene.create_version("v2")
    return scene.attempt(lambda: scene.stage(version, archive_existing_versions=True))


@STAGES.refused(
    "stage-out", "take the version that is in Production out of it", "POST model-versions/transition-stage", "refused"
)
def stage_out(scene: Scene) -> Answer:
    version = scene.crown(alias=PRODUCTION)
    return scene.attempt(lambda: scene.stage(version, "Archived"))


@STAGES.refused("stage-delete", "delete the version that is in Production", "DELETE model-versions/delete", "refused")
def stage_delete(scene: Scene) -> Answer:
    version = scene.crown(alias=PRODUCTION)
    return scene.attempt(lambda: scene.api("DELETE", "model-versions/delete", name=scene.model, version=version))
