"""What a registry says about a model, read inside of the transaction that is about to change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from sqlalchemy import and_, bindparam, insert, or_, select, update

from llmgate.attest.tags import ATTESTATION
from llmgate.mlflow_server.events import StoredVersion
from llmgate.mlflow_server.tagged import PROMPT_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DatabaseView", "RemoteView", "View"]

MISSING: Final = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


class View(Protocol):
    """One model of a registry."""

    def lock(self) -> str | None:
        """Keep everybody else from changing the model until the transaction ends.

        Returns:
            The model's name as it is stored, since a database may find it under another spelling; None if there is no
            such model.
        """

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""

    def version(self, number: int) -> StoredVersion | None:
        """A version, None if there is none or it is deleted."""

    def at_stake(self, number: int, alias: str) -> tuple[StoredVersion | None, StoredVersion | None]:
        """A version, and the one that holds an alias; the tags of the second are of no matter."""

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
LOCK_AND_NAME = LOCK.returning(MODELS.c.name)
STORED_NAME = select(MODELS.c.name).where(*mine(MODELS))
IS_PROMPT = select(MODEL_TAGS.c.key, MODEL_TAGS.c.value).where(*mine(MODEL_TAGS), MODEL_TAGS.c.key == PROMPT_TAG)
ITS_TAGS = and_(
    *mine(VERSION_TAGS),
    VERSION_TAGS.c.version == VERSIONS.c.version,
    VERSION_TAGS.c.version == bindparam("number"),
    or_(VERSION_TAGS.c.key == PROMPT_TAG, VERSION_TAGS.c.key.startswith(f"{ATTESTATION}/", autoescape=True)),
)
FACTS = (
    VERSIONS.c.creation_time,
    VERSIONS.c.source,
    VERSIONS.c.current_stage,
    VERSION_TAGS.c.key,
    VERSION_TAGS.c.value,
)
VERSION = (
    select(*FACTS)
    .select_from(VERSIONS.outerjoin(VERSION_TAGS, ITS_TAGS))
    .where(*mine(VERSIONS), VERSIONS.c.current_stage != STAGE_DELETED_INTERNAL)
)
ONE_VERSION = VERSION.where(VERSIONS.c.version == bindparam("number"))
THIS_ALIAS = and_(*mine(ALIASES), ALIASES.c.alias == bindparam("of_alias"))
AT_STAKE = (
    select(*FACTS, VERSIONS.c.version, ALIASES.c.alias)
    .select_from(
        VERSIONS.outerjoin(VERSION_TAGS, ITS_TAGS).outerjoin(
            ALIASES, and_(THIS_ALIAS, ALIASES.c.version == VERSIONS.c.version)
        )
    )
    .where(
        *mine(VERSIONS),
        VERSIONS.c.current_stage != STAGE_DELETED_INTERNAL,
        or_(
            VERSIONS.c.version == bindparam("number"),
            VERSIONS.c.version == select(ALIASES.c.version).where(THIS_ALIAS).scalar_subquery(),
        ),
    )
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
        connection: Of the transaction.
        workspace: MLflow's workspace.
        name: The model.
    """

    connection: Any
    workspace: str
    name: str

    def ask(self, statement: Any, **more: Any) -> Any:
        """Carry out a statement about this model."""
        place = {"of_model": self.name} | ({"of_workspace": self.workspace} if HAS_WORKSPACES else {})
        return self.connection.execute(statement, place | more)

    def lock(self) -> str | None:
        """A write that changes nothing: it locks the row on servers, and the database on SQLite."""
        returning = self.connection.dialect.update_returning
        locked = self.ask(LOCK_AND_NAME if returning else LOCK)
        found: str | None = (locked if returning else self.ask(STORED_NAME)).scalar()
        return found

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""
        return any((key, value) == (PROMPT_TAG, "true") for key, value in self.ask(IS_PROMPT))

    def version(self, number: int) -> StoredVersion | None:
        """A version with the tags that matter."""
        return read_version(number, self.ask(ONE_VERSION, number=number).all())

    def at_stake(self, number: int, alias: str) -> tuple[StoredVersion | None, StoredVersion | None]:
        """A version with the tags that matter, and the one that holds an alias, by one statement."""
        rows = self.ask(AT_STAKE, number=number, of_alias=alias).all()
        # A database may find the alias under another spelling.
        holder = next((version for *_, version, its in rows if its == alias), None)
        found = {of: [row[:-2] for row in rows if row[-2] == of] for of in (number, holder) if of is not None}
        return read_version(number, found[number]), None if holder is None else read_version(holder, found[holder])

    def write_tag(self, key: str, value: str) -> None:
        """Set a tag of the model with one statement where MLflow takes three; it is written with every promotion."""
        if not self.ask(CHANGE_TAG, of_key=key, text=value).rowcount:
            place = {"workspace": self.workspace} if HAS_WORKSPACES else {}
            self.connection.execute(ADD_TAG, {"name": self.name, "key": key, "value": value, **place})

    def aliases(self) -> dict[str, int]:
        """All aliases, with who holds them."""
        return dict(iter(self.ask(ALIASES_OF)))

    def staged(self) -> dict[int, str]:
        """The versions that are in a stage."""
        return dict(iter(self.ask(STAGED)))


def read_version(number: int, rows: Sequence[Any]) -> StoredVersion | None:
    """A version from its rows, one for each tag that matters; None without any."""
    if not rows:
        return None
    created, source, stage, *_ = rows[0]
    return StoredVersion(
        version=number,
        created=created,
        source=source or "",
        stage=stage or "None",
        tags={key: value or "" for *_, key, value in rows if key is not None},
    )


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

    def lock(self) -> str | None:
        """Take the lock, and ask whether the model is there."""
        self.touch()
        found = self.model()
        return found and str(found.name)

    def model(self) -> Any:
        """The model as it is now, None if there is none."""
        return there(lambda: self.get_model(self.name))

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""
        found = self.model()
        # `tags` hides the one that is asked for.
        return found is not None and found._tags.get(PROMPT_TAG) == "true"  # noqa: SLF001

    def version(self, number: int) -> StoredVersion | None:
        """A version with the tags that matter."""
        found = there(lambda: self.get_version(self.name, str(number)))
        if found is None:
            return None
        return StoredVersion(
            version=int(found.version),
            created=int(found.creation_timestamp),
            source=found.source or "",
            stage=found.current_stage or "None",
            tags={k: v for k, v in found.tags.items() if k == PROMPT_TAG or k.startswith(f"{ATTESTATION}/")},
        )

    def at_stake(self, number: int, alias: str) -> tuple[StoredVersion | None, StoredVersion | None]:
        """A version, and the one that holds an alias."""
        holder = self.aliases().get(alias)
        return self.version(number), None if holder is None else self.version(holder)

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
