"""A model of one's own on a live server, and the moves by which people promote, or try to."""

from __future__ import annotations

import base64
import functools
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy

from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import ChampionFacts, RegistryFacts
from llmgate.attest.tags import STAGE, attestation_key
from llmgate.mlflow_quiet import quiet
from llmgate.mlflow_server.events import instant
from support.verdicts import REGISTRY, Keys, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHAMPION", "PRODUCTION", "Answer", "Live", "Scene", "engine_of"]

CHAMPION: Final = "champion"
PRODUCTION: Final = f"{STAGE}Production"
PRESENT: Final = object()
"""Stands for who holds the alias now."""
TABLES: Final = {
    "registered_models": "workspace, name",
    "model_versions": "workspace, name, version, current_stage, source, storage_location",
    "registered_model_aliases": "workspace, name, alias, version",
    "registered_model_tags": "workspace, name, key, value",
    "model_version_tags": "workspace, name, version, key, value",
}
"""What a reader of the registry sees, times of the last change left out."""
MEANING: Final = ("registered_models", "model_versions", "registered_model_aliases", "llmgate_promotions")
"""What decides which weights an alias or a stage means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A gated server.

    Attributes:
        url: Where it answers.
        uri: Its database.
        keys: Who may sign, and the policy.
        artifacts: Where files lie.
        user: Name and password, where users are told apart.
        workspaces: Whether it has workspaces.
    """

    url: str
    uri: str
    keys: Keys
    artifacts: Path
    user: tuple[str, str] | None = None
    workspaces: bool = False

    def tracking_uri(self) -> str:
        """What the official client takes; it sends the password that stands in it."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{':'.join(self.user)}@{rest}" if self.user else self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said.

    Attributes:
        status: HTTP status.
        code: MLflow's error code, empty if all is well.
        message: The error's text.
        body: What came, as JSON where it is JSON.
    """

    status: int = 200
    code: str = ""
    message: str = ""
    body: Any = None

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 300

    @property
    def denied(self) -> bool:
        """Whether the gate refused it."""
        return self.status == 403 and self.code == "PERMISSION_DENIED" and self.message.startswith("llmgate: ")


@dataclass(kw_only=True)
class Scene:
    """One model on one server.

    Attributes:
        live: The server.
        rule: First part of the model's name, by which the policy's rule is chosen.
        workspace: In which everything happens.
        before: What the database held when the attempt began.
        after: What it held when the attempt had ended.
        calls: How many calls the attempt took.
    """

    live: Live
    rule: str = "support"
    workspace: str = "default"
    token: str = field(default_factory=lambda: secrets.token_hex(5))
    models: set[str] = field(default_factory=set)
    versions: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    holders: dict[tuple[str, str], ChampionFacts] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    before: dict[str, list[Any]] = field(default_factory=dict)
    after: dict[str, list[Any]] = field(default_factory=dict)
    calls: int = 0
    issued: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def keys(self) -> Keys:
        """Who may sign."""
        return self.live.keys

    @property
    def model(self) -> str:
        """The model's name."""
        return f"{self.rule}-{self.token}"

    # What is asked of the server.

    def raw(
        self,
        method: str,
        path: str,
        values: Any = None,
        *,
        user: tuple[str, str] | None = None,
        kind: str = "application/json",
    ) -> Answer:
        """One call, by a connection of its own, so that any of the workers may get it."""
        data = values if isinstance(values, bytes) or values is None else json.dumps(values).encode()
        headers = {"Content-Type": kind}
        if user := user or self.live.user:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode("ascii")
        if self.live.workspaces:
            headers["X-MLFLOW-WORKSPACE"] = self.workspace
        url = self.live.url + urllib.parse.quote(path, safe="/?&=%")
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(status=answer.status, body=parsed(answer.read()))
        except urllib.error.HTTPError as error:
            body = parsed(error.read())
            told = body if isinstance(body, dict) else {"message": str(body)}
            return Answer(
                status=error.code, code=told.get("error_code", ""), message=told.get("message", ""), body=body
            )

    def api(self, method: str, path: str, *, door: str = "api/2.0", **values: Any) -> Answer:
        """One call of a route of MLflow's."""
        return self.raw(method, f"/{door}/mlflow/{path}", values)

    def client(self, name: str, *arguments: Any, **named: Any) -> Answer:
        """One call of the official client."""
        with quiet({"MLFLOW_WORKSPACE": self.workspace} if self.live.workspaces else None):
            from mlflow.exceptions import MlflowException

            try:
                body = getattr(client_of(self.live.tracking_uri()), name)(*arguments, **named)
            except MlflowException as error:
                # What the client adds before the server's words.
                message = error.message.removeprefix(f"{error.error_code}: ")
                status: Any = error
                return Answer(status=status.get_http_status_code(), code=error.error_code, message=message)
        return Answer(body=body)

    def done(self, answer: Answer) -> Any:
        """What came of a move that belongs to the preparations."""
        assert answer.ok, answer
        return answer.body

    # Preparations.

    def create_model(self, name: str | None = None, **values: Any) -> str:
        """A registered model."""
        name = name or self.model
        self.done(self.api("POST", "registered-models/create", name=name, **values))
        self.models.add(f"{self.workspace}/{name}")
        return name

    def create_version(self, weights: str = "v1", *, model: str | None = None, **values: Any) -> str:
        """A version, and its model where there is none yet."""
        name = model or self.model
        if f"{self.workspace}/{name}" not in self.models:
            self.create_model(name)
        values = {"source": f"s3://bucket/{name}/{weights}", **values}
        made = self.done(self.api("POST", "model-versions/create", name=name, **values))["model_version"]
        version = str(made["version"])
        self.versions[self.workspace, name, version] = made
        self.weights[version] = weights
        return version

    def facts(self, version: str, *, alias: str = CHAMPION) -> RegistryFacts:
        """What the registry says of a version."""
        found = self.versions[self.workspace, self.model, version]
        return RegistryFacts(
            id=REGISTRY,
            workspace=self.workspace,
            model=self.model,
            version=version,
            created_at=instant(int(found["creation_timestamp"])),
            source=found["source"],
            alias=alias,
        )

    def champion(self, alias: str = CHAMPION) -> ChampionFacts | None:
        """Who holds an alias, by all that was promoted here."""
        return self.holders.get((self.model, alias))

    def next_time(self) -> datetime:
        """Verdicts follow one another, at least a millisecond apart."""
        self.issued = max(self.issued + timedelta(milliseconds=1), datetime.now(UTC))
        return self.issued

    def verdict(
        self, version: str, *, alias: str = CHAMPION, champion: Any = PRESENT, changed: Any = None, **told: Any
    ) -> str:
        """A signed verdict on a version, a PASS against the present holder unless told otherwise.

        Args:
            version: Version number.
            alias: What it is for.
            champion: Whom it was compared with.
            changed: Facts about the version that are not so.
            told: What else `Keys.verdict` takes.
        """
        told = {"weights": self.weights.get(version, "v1"), "issued_at": self.next_time(), **told}
        against = self.champion(alias) if champion is PRESENT else champion
        facts = replace(self.facts(version, alias=alias), **(changed or {}))
        return self.keys.verdict(facts, champion=against, **told)

    def attest(self, version: str, text: str, key: str = "", *, alias: str = CHAMPION) -> Answer:
        """Put a verdict on a version."""
        values = {"name": self.model, "version": version, "key": key or attestation_key(alias), "value": text}
        return self.api("POST", "model-versions/set-tag", **values)

    def set_alias(self, version: str, alias: str = CHAMPION, **values: Any) -> Answer:
        """Let an alias point to a version."""
        return self.api(
            "POST", "registered-models/alias", **{"name": self.model, "alias": alias, "version": version, **values}
        )

    def stage(self, version: str, stage: str = "Production", **values: Any) -> Answer:
        """Move a version into a stage."""
        values = {"name": self.model, "version": version, "stage": stage, "archive_existing_versions": False, **values}
        return self.api("POST", "model-versions/transition-stage", **values)

    def took(self, version: str, text: str, alias: str = CHAMPION) -> None:
        """Note who holds an alias now, and by which verdict."""
        self.holders[self.model, alias] = ChampionFacts(
            version=version,
            created_at=self.facts(version).created_at,
            verdict=read_envelope(text).digest,
            weights=digest_of(self.weights.get(version, "v1")),
            journal=digest_of("journal"),
        )

    def promote(self, version: str, alias: str = CHAMPION, *, key: str = "") -> str:
        """Promote as one should; returns the envelope."""
        text = self.verdict(version, alias=alias)
        self.done(self.attest(version, text, key, alias=alias))
        staged = alias.startswith(STAGE)
        self.done(self.stage(version, alias.removeprefix(STAGE)) if staged else self.set_alias(version, alias))
        self.took(version, text, alias)
        return text

    def crown(self, weights: str = "v1", alias: str = CHAMPION) -> str:
        """A new version that holds an alias."""
        version = self.create_version(weights)
        self.promote(version, alias)
        return version

    def challenger(self) -> str:
        """A champion, and a version that would like to take its place; returns the latter."""
        self.crown("v1")
        return self.create_version("v2")

    def dethroned(self) -> tuple[str, str]:
        """A version that held the alias, and the one that holds it now."""
        return self.crown("v1"), self.crown("v2")

    # Attempts.

    def look(self) -> dict[str, list[Any]]:
        """All that the database holds about this scene's names."""
        like = {"like": f"%{self.token}%"}
        with engine_of(self.live.uri).connect() as connection:
            seen = {
                table: connection.execute(
                    sqlalchemy.text(f"SELECT {columns} FROM {table} WHERE name LIKE :like ORDER BY {columns}"), like
                ).all()
                for table, columns in TABLES.items()
            }
            for table in ("llmgate_verdicts", "llmgate_promotions"):
                query = f"SELECT * FROM {table} WHERE model LIKE :like ORDER BY id"
                seen[table] = connection.execute(sqlalchemy.text(query), like).all()
        return {table: [tuple(line) for line in lines] for table, lines in seen.items()}

    def attempt(self, *calls: Callable[[], Answer]) -> Answer:
        """Try something, in one call or several; what the gate says to any of them is put together.

        Returns:
            The last answer, with the words of all.
        """
        self.calls = len(calls)
        self.before = self.look()
        answers = [call() for call in calls]
        self.after = self.look()
        last = answers[-1]
        if len(answers) == 1:
            return last
        said = " | ".join(answer.message for answer in answers if answer.message)
        return Answer(status=last.status, code=last.code, message=said, body=last.body)

    def try_with(self, version: str, text: str, key: str = "") -> Answer:
        """Put a verdict on a version, and set the champion's alias whatever came of it."""
        return self.attempt(lambda: self.attest(version, text, key), lambda: self.set_alias(version))

    def changed(self) -> list[str]:
        """The tables in which the attempt changed something; verdicts that were put on a version may stay there."""
        looked_at = self.before if self.calls == 1 else MEANING
        return [table for table in looked_at if self.before[table] != self.after[table]]


@functools.cache
def engine_of(uri: str) -> Any:
    """The database behind a server."""
    return sqlalchemy.create_engine(uri)


@functools.cache
def client_of(uri: str) -> Any:
    """The official client of a server."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def parsed(data: bytes) -> Any:
    """JSON, or the text that came instead."""
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
