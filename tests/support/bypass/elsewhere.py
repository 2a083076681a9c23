"""Other doors into the registry: workspaces, users, GraphQL, files, the database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy

from llmgate.attest.statement import ChampionFacts
from llmgate.errors import LlmgateError
from llmgate.mlflow_quiet import quiet
from support.bypass.scene import Answer, engine_of
from support.bypass.table import WALLED, Area
from support.bypass.weights import verified

if TYPE_CHECKING:
    from support.bypass.scene import Scene

__all__ = ["DOORS", "LIMITS", "USERS", "WORKSPACES"]

WORKSPACES: Final = Area(title="Workspaces")
USERS: Final = Area(title="Users")
DOORS: Final = Area(title="GraphQL")
LIMITS: Final = Area(title="Beside and above the gate")
SPACES: Final = "/api/3.0/mlflow/workspaces"
NO_VERDICT: Final = "no verdict of this version is known"


def team(scene: Scene) -> str:
    """A workspace of one's own, in which everything happens from now on."""
    name = f"team-{scene.token}"
    scene.done(scene.raw("POST", SPACES, {"name": name}))
    scene.workspace = name
    return name


def remove(scene: Scene, mode: str, door: str = "api/3.0") -> Answer:
    name = team(scene)
    scene.crown()
    scene.workspace = "default"
    return scene.attempt(lambda: scene.raw("DELETE", f"/{door}/mlflow/workspaces/{name}?mode={mode}"))


for mode, tried in {
    "SET_DEFAULT": "delete a workspace, and have its protected model moved into `default`",
    "CASCADE": "delete a workspace with the protected model in it, to make both anew",
}.items():
    for door in ("api/3.0", "ajax-api/3.0"):
        WORKSPACES.refused(
            f"workspace-{mode}-{door}",
            tried,
            f"DELETE /{door}/mlflow/workspaces/…?mode={mode}",
            "refused",
            setup=WALLED,
        )(partial(remove, mode=mode, door=door))

WORKSPACES.refused(
    "workspace-RESTRICT", "delete a workspace that is not empty", f"DELETE {SPACES}/…", setup=WALLED, by="MLflow"
)(partial(remove, mode="RESTRICT"))


@WORKSPACES.refused(
    "workspace-alias",
    "set the alias in a workspace where no verdict is",
    "POST registered-models/alias",
    NO_VERDICT,
    setup=WALLED,
)
def workspace_alias(scene: Scene) -> Answer:
    version = scene.crown()
    team(scene)
    scene.create_version()
    return scene.attempt(lambda: scene.set_alias(version))


@WORKSPACES.refused(
    "workspace-stage", "the same with a stage", "POST model-versions/transition-stage", NO_VERDICT, setup=WALLED
)
def workspace_stage(scene: Scene) -> Answer:
    team(scene)
    version = scene.create_version()
    return scene.attempt(lambda: scene.stage(version))


@WORKSPACES.refused(
    "workspace-delete-model",
    "delete the model in its workspace",
    "DELETE registered-models/delete",
    "refused",
    setup=WALLED,
)
def workspace_delete_model(scene: Scene) -> Answer:
    team(scene)
    scene.crown()
    return scene.attempt(lambda: scene.api("DELETE", "registered-models/delete", name=scene.model))


@WORKSPACES.refused(
    "workspace-root", "give a workspace another place for artifacts", f"PATCH {SPACES}/…", "refused", setup=WALLED
)
def workspace_root(scene: Scene) -> Answer:
    name = team(scene)
    scene.crown()
    root = {"default_artifact_root": "s3://elsewhere"}
    return scene.attempt(lambda: scene.raw("PATCH", f"{SPACES}/{name}", root))


@WORKSPACES.works(
    "workspace-promote", "promote in a workspace with a verdict for it", "POST registered-models/alias", setup=WALLED
)
def workspace_promote(scene: Scene) -> Answer:
    team(scene)
    version = scene.challenger()
    scene.done(scene.attest(version, scene.verdict(version)))
    return scene.attempt(lambda: scene.set_alias(version))


@WORKSPACES.works(
    "workspace-empty", "delete a workspace in which nothing is protected", f"DELETE {SPACES}/…", setup=WALLED
)
def workspace_empty(scene: Scene) -> Answer:
    name = team(scene)
    scene.create_version(model=f"other-{scene.token}")
    scene.workspace = "default"
    return scene.attempt(lambda: scene.raw("DELETE", f"{SPACES}/{name}?mode=CASCADE"))


@USERS.refused(
    "admin-alias",
    "an administrator sets the alias without a verdict",
    "POST registered-models/alias",
    NO_VERDICT,
    setup=WALLED,
)
def admin_alias(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.set_alias(version))


@USERS.refused("admin-client", "the same by the client", "client: set_registered_model_alias", NO_VERDICT, setup=WALLED)
def admin_client(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.client("set_registered_model_alias", scene.model, "champion", version))


@USERS.refused(
    "admin-delete", "an administrator deletes the model", "DELETE registered-models/delete", "refused", setup=WALLED
)
def admin_delete(scene: Scene) -> Answer:
    scene.crown()
    return scene.attempt(lambda: scene.api("DELETE", "registered-models/delete", name=scene.model))


@USERS.refused(
    "admin-tag",
    "an administrator replaces the champion's verdict",
    "POST model-versions/set-tag",
    "refused",
    setup=WALLED,
)
def admin_tag(scene: Scene) -> Answer:
    version = scene.crown()
    return scene.attempt(lambda: scene.attest(version, "{}"))


@USERS.refused(
    "nobody", "somebody without a password sets the alias", "POST registered-models/alias", by="MLflow", setup=WALLED
)
def nobody(scene: Scene) -> Answer:
    version = scene.challenger()
    values = {"name": scene.model, "alias": "champion", "version": version}
    path = "/api/2.0/mlflow/registered-models/alias"
    return scene.attempt(lambda: scene.raw("POST", path, values, user=("nobody", "nothing")))


@USERS.works(
    "admin-promote", "an administrator promotes with a verdict", "client: set_registered_model_alias", setup=WALLED
)
def admin_promote(scene: Scene) -> Answer:
    version = scene.challenger()
    scene.done(scene.attest(version, scene.verdict(version)))
    return scene.attempt(lambda: scene.client("set_registered_model_alias", scene.model, "champion", version))


@DOORS.refused("graphql", "a mutation that sets the alias", "POST /graphql", by="MLflow")
def graphql(scene: Scene) -> Answer:
    version = scene.challenger()
    call = f'mlflowSetRegisteredModelAlias(input: {{name: "{scene.model}", alias: "champion", version: "{version}"}})'
    return scene.attempt(lambda: asked(scene, f"mutation {{ {call} {{ apiError {{ message }} }} }}"))


@DOORS.works("graphql-read", "read versions", "POST /graphql")
def graphql_read(scene: Scene) -> Answer:
    scene.crown()
    query = f"query {{ mlflowSearchModelVersions(input: {{filter: \"name = '{scene.model}'\"}}) {{ modelVersions {{ version }} }} }}"
    answer = scene.attempt(lambda: asked(scene, query))
    assert answer.body["data"]["mlflowSearchModelVersions"]["modelVersions"] == [{"version": "1"}]
    return answer


def asked(scene: Scene, query: str) -> Answer:
    """A call of GraphQL, whose errors come with HTTP 200."""
    answer = scene.raw("POST", "/graphql", {"query": query, "variables": {}})
    if answer.ok and isinstance(answer.body, dict) and answer.body.get("errors"):
        return Answer(status=400, code="GRAPHQL", message=str(answer.body["errors"]), body=answer.body)
    return answer


@LIMITS.limit(
    "database",
    "write into the registry's database",
    "UPDATE registered_model_aliases",
    "Whoever can write the database",
)
def database(scene: Scene) -> Answer:
    version = scene.challenger()
    answer = scene.attempt(lambda: moved(scene, version))
    with pytest.raises(LlmgateError, match="verdict"):
        verified(scene)
    return answer


def moved(scene: Scene, version: str) -> Any:
    """Move the alias past the server."""
    with engine_of(scene.live.uri).begin() as connection:
        query = sqlalchemy.text("UPDATE registered_model_aliases SET version = :version WHERE name = :name")
        connection.execute(query, {"version": int(version), "name": scene.model})
    return scene.api("GET", f"registered-models/alias?name={scene.model}&alias=champion")


@LIMITS.refused(
    "database-then",
    "go on as if nothing had happened after the alias was moved in the database",
    "POST registered-models/alias",
    "moved past the gate",
)
def database_then(scene: Scene) -> Answer:
    version = scene.challenger()
    third = scene.create_version("v3")
    scene.done(moved(scene, version))
    facts = scene.facts(version)
    squatter = ChampionFacts(version=version, created_at=facts.created_at)
    scene.done(scene.attest(third, scene.verdict(third, champion=squatter, key="gate")))
    return scene.attempt(lambda: scene.set_alias(third))


@LIMITS.works("database-back", "go back to where the ledger has the alias", "POST registered-models/alias")
def database_back(scene: Scene) -> Answer:
    champion = scene.crown()
    scene.done(moved(scene, scene.create_version("v2")))
    return scene.attempt(lambda: scene.set_alias(champion))


@LIMITS.works(
    "before-gate", "promote over a champion from before the registry was gated", "POST registered-models/alias"
)
def before_gate(scene: Scene) -> Answer:
    old, new = scene.create_version("v1"), scene.create_version("v2")
    with engine_of(scene.live.uri).begin() as connection:
        query = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES (:w, :n, :a, :v)"
        values = {"w": scene.workspace, "n": scene.model, "a": "champion", "v": int(old)}
        connection.execute(sqlalchemy.text(query), values)
    champion = ChampionFacts(version=old, created_at=scene.facts(old).created_at)
    text = scene.verdict(new, champion=champion, key="gate")
    return scene.attempt(lambda: scene.attest(new, text), lambda: scene.set_alias(new))


@LIMITS.limit(
    "number", "deploy `models:/NAME/2`", "client: get_model_version_download_uri", "Versions without an alias"
)
def number(scene: Scene) -> Answer:
    version = scene.challenger()
    return scene.attempt(lambda: scene.client("get_model_version_download_uri", scene.model, version))


@LIMITS.limit(
    "client-database",
    "run a client on the registry's database",
    "client: registry_uri=sqlite:///… or postgresql://…",
    "Whoever can write the database",
)
def client_database(scene: Scene) -> Answer:
    version = scene.challenger()

    def write() -> Answer:
        with quiet():
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=scene.live.uri, registry_uri=scene.live.uri)
            client.set_registered_model_alias(scene.model, "champion", version)
        return Answer()

    return scene.attempt(write)


@LIMITS.limit(
    "latest", "deploy `models:/NAME@latest`", "GET registered-models/alias?alias=latest", "Versions without an alias"
)
def latest(scene: Scene) -> Answer:
    scene.challenger()
    answer = scene.attempt(lambda: scene.client("get_model_version_by_alias", scene.model, "latest"))
    assert answer.body.version == "2"
    return answer


@LIMITS.limit(
    "unprotected",
    "deploy by an alias that the policy does not name",
    "POST registered-models/alias",
    "Versions without an alias",
)
def unprotected(scene: Scene) -> Answer:
    version = scene.create_version()
    return scene.attempt(lambda: scene.set_alias(version, "canary"))
