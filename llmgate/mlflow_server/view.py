"""What a registry says about a model, read inside of the transaction that is about to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from sqlalchemy import bindparam, insert, or_, select, update

from llmgate.attest.tags import ATTESTATION
from llmgate.mlflow_server.events import StoredVersion

__all__ = ["PROMPT", "DatabaseView", "RemoteView", "View"]

PROMPT: Final = IS_PROMPT_TAG_KEY
"""By this tag MLflow tells a prompt from a model."""
MISSING: Final = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


class View(Protocol):
    """One model of a registry."""

    def lock(self) -> bool:
        """Keep everybody else from changing the model until the transaction ends; False if there is no such model."""

    def stored_name(self) -> str | None:
        """The model's name as it is stored; a database may find it under another spelling."""

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""

    def version(self, number: int, *, tagged: bool = True) -> StoredVersion | None:
        """A version, None if there is none or it is deleted; its tags only if they matter."""

    def aliases(self) -> dict[str, int]:
        """All aliases, with who holds them."""

    def staged(self) -> dict[int, str]:
        """The versions that are in a stage, with that stage."""


MODELS, MODEL_TAGS, ALIASES, VERSIONS, VERSION_TAGS = (
    entity.__table__
    for entity in (
        SqlRegisteredModel,
        SqlRegisteredModelTag,
        SqlRegisteredModelAlias,
        SqlModelVersion,
        SqlModelVersionTag,
    )
)
HAS_WORKSPACES: Final = "workspace" in MODELS.c
"""Before workspaces came, tables had no column for them."""


def mine(table: Any) -> tuple[Any, ...]:
    """The rows of one model."""
    found = (table.c.name == bindparam("of_model"),)
    return (*found, table.c.workspace == bindparam("of_workspace")) if HAS_WORKSPACES else found


# Statements are made once: to make them anew takes longer than to have SQLite carry them out.
LOCK = update(MODELS).where(*mine(MODELS)).values(last_updated_time=MODELS.c.last_updated_time)
STORED_NAME = select(MODELS.c.name).where(*mine(MODELS))
IS_PROMPT = select(MODEL_TAGS.c.key, MODEL_TAGS.c.value).where(*mine(MODEL_TAGS), MODEL_TAGS.c.key == PROMPT)
VERSION = select(VERSIONS.c.creation_time, VERSIONS.c.source, VERSIONS.c.current_stage).where(
    *mine(VERSIONS), VERSIONS.c.version == bindparam("number"), VERSIONS.c.current_stage != STAGE_DELETED_INTERNAL
)
TAGS_THAT_MATTER = select(VERSION_TAGS.c.key, VERSION_TAGS.c.value).where(
    *mine(VERSION_TAGS),
    VERSION_TAGS.c.version == bindparam("number"),
    or_(VERSION_TAGS.c.key == PROMPT, VERSION_TAGS.c.key.startswith(f"{ATTESTATION}/", autoescape=True)),
)
CHANGE_TAG = (
    update(MODEL_TAGS).where(*mine(MODEL_TAGS), MODEL_TAGS.c.key == bindparam("of_key")).values(value=bindparam("text"))
)
ADD_TAG = insert(MODEL_TAGS)
ALIASES_OF = select(ALIASES.c.alias, ALIASES.c.version).where(*mine(ALIASES))
STAGED = select(VERSIONS.c.version, VERSIONS.c.current_stage).where(
    *mine(VERSIONS), VERSIONS.c.current_stage.not_in(["None", STAGE_DELETED_INTERNAL])
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseView:
    """A model in MLflow's own tables.

    Attributes:
        execute: Carries out a statement with its parameters, inside of the transaction.
        workspace: MLflow's workspace.
        name: The model.
    """

    execute: Callable[..., Any]
    workspace: str
    name: str

    def ask(self, statement: Any, **more: Any) -> Any:
        """Carry out a statement about this model."""
        place = {"of_model": self.name} | ({"of_workspace": self.workspace} if HAS_WORKSPACES else {})
        return self.execute(statement, place | more)

    def lock(self) -> bool:
        """A write that changes nothing: it locks the row on servers, and the database on SQLite."""
        return bool(self.ask(LOCK).rowcount)

    def stored_name(self) -> str | None:
        """The model's name as it is stored."""
        found: str | None = self.ask(STORED_NAME).scalar()
        return found

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""
        return any((key, value) == (PROMPT, "true") for key, value in self.ask(IS_PROMPT))

    def version(self, number: int, *, tagged: bool = True) -> StoredVersion | None:
        """A version with the tags that matter."""
        row = self.ask(VERSION, number=number).one_or_none()
        if row is None:
            return None
        found = self.ask(TAGS_THAT_MATTER, number=number) if tagged else ()
        return StoredVersion(
            version=number,
            created=row[0],
            source=row[1] or "",
            stage=row[2] or "None",
            tags={key: value or "" for key, value in found},
        )

    def write_tag(self, key: str, value: str) -> None:
        """Set a tag of the model with one statement where MLflow takes three; it is written with every promotion."""
        if not self.ask(CHANGE_TAG, of_key=key, text=value).rowcount:
            place = {"workspace": self.workspace} if HAS_WORKSPACES else {}
            self.execute(ADD_TAG, {"name": self.name, "key": key, "value": value, **place})

    def aliases(self) -> dict[str, int]:
        """All aliases, with who holds them."""
        return dict(iter(self.ask(ALIASES_OF)))

    def staged(self) -> dict[int, str]:
        """The versions that are in a stage."""
        return dict(iter(self.ask(STAGED)))


class RemoteView:
    """A model on another server, read by the methods of MLflow's store.

    Args:
        get_model: `get_registered_model` of the store.
        get_version: `get_model_version` of the store.
        search: `search_model_versions` of the store.
        touch: Takes the lock that stands for the model in the ledger's database.
        name: The model.
    """

    def __init__(
        self,
        *,
        get_model: Callable[[str], Any],
        get_version: Callable[[str, str], Any],
        search: Callable[..., Any],
        touch: Callable[[], None],
        name: str,
    ) -> None:
        self.get_model = get_model
        self.get_version = get_version
        self.search = search
        self.touch = touch
        self.name = name

    def lock(self) -> bool:
        """Take the lock, and ask whether the model is there."""
        self.touch()
        return self.model() is not None

    def model(self) -> Any:
        """The model as it is now, None if there is none."""
        return there(lambda: self.get_model(self.name))

    def stored_name(self) -> str | None:
        """The model's name as it is stored."""
        found = self.model()
        return found and str(found.name)

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""
        found = self.model()
        # `tags` hides the one that is asked for.
        return found is not None and found._tags.get(PROMPT) == "true"  # noqa: SLF001

    def version(self, number: int, *, tagged: bool = True) -> StoredVersion | None:  # noqa: ARG002 - it has them
        """A version with the tags that matter."""
        found = there(lambda: self.get_version(self.name, str(number)))
        if found is None:
            return None
        return StoredVersion(
            version=int(found.version),
            created=int(found.creation_timestamp),
            source=found.source or "",
            stage=found.current_stage or "None",
            tags={k: v for k, v in found.tags.items() if k == PROMPT or k.startswith(f"{ATTESTATION}/")},
        )

    def aliases(self) -> dict[str, int]:
        """All aliases, with who holds them."""
        found = self.model()
        return {alias: int(version) for alias, version in found.aliases.items()} if found is not None else {}

    def staged(self) -> dict[int, str]:
        """The versions that are in a stage."""
        quote = '"' if "'" in self.name else "'"
        found: dict[int, str] = {}
        token = None
        while True:
            page = self.search(filter_string=f"name = {quote}{self.name}{quote}", max_results=200, page_token=token)
            found |= {int(v.version): v.current_stage for v in page if v.current_stage not in {None, "", "None"}}
            if not (token := page.token):
                return found


def there(get: Callable[[], Any]) -> Any:
    """What a store gives, None if it says that there is no such thing."""
    try:
        return get()
    except MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise
