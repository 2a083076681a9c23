"""What a registry says about a model, read inside of the transaction that is about to change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

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
from sqlalchemy import insert, or_, select, update

from llmgate.attest.tags import ATTESTATION
from llmgate.mlflow_server.events import VersionFacts

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def version(self, number: int, *, tagged: bool = True) -> VersionFacts | None:
        """A version, None if there is none or it is deleted; its tags only if they matter."""

    def aliases(self) -> dict[str, int]:
        """All aliases, with who holds them."""

    def staged(self) -> dict[int, str]:
        """The versions that are in a stage, with that stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseView:
    """A model in MLflow's own tables.

    Attributes:
        session: The transaction.
        workspace: MLflow's workspace.
        name: The model.
    """

    session: Any
    workspace: str
    name: str

    def mine(self, table: Any) -> tuple[Any, ...]:
        """The rows of this model; before workspaces came, tables had no column for them."""
        found = (table.name == self.name,)
        return (*found, table.workspace == self.workspace) if hasattr(table, "workspace") else found

    def lock(self) -> bool:
        """A write that changes nothing: it locks the row on servers, and the database on SQLite."""
        touch = (
            update(SqlRegisteredModel)
            .where(*self.mine(SqlRegisteredModel))
            .values(last_updated_time=SqlRegisteredModel.last_updated_time)
            .execution_options(synchronize_session=False)
        )
        return bool(self.session.execute(touch).rowcount)

    def stored_name(self) -> str | None:
        """The model's name as it is stored."""
        found: str | None = self.session.execute(
            select(SqlRegisteredModel.name).where(*self.mine(SqlRegisteredModel))
        ).scalar()
        return found

    def is_prompt(self) -> bool:
        """Whether it is a prompt."""
        table = SqlRegisteredModelTag
        found = self.session.execute(select(table.key, table.value).where(*self.mine(table), table.key == PROMPT))
        return any((key, value) == (PROMPT, "true") for key, value in found)

    def version(self, number: int, *, tagged: bool = True) -> VersionFacts | None:
        """A version with the tags that matter."""
        table, tags = SqlModelVersion, SqlModelVersionTag
        row = self.session.execute(
            select(table.creation_time, table.source, table.current_stage).where(
                *self.mine(table), table.version == number, table.current_stage != STAGE_DELETED_INTERNAL
            )
        ).one_or_none()
        if row is None:
            return None
        wanted = select(tags.key, tags.value).where(
            *self.mine(tags),
            tags.version == number,
            or_(tags.key == PROMPT, tags.key.startswith(f"{ATTESTATION}/", autoescape=True)),
        )
        found = self.session.execute(wanted) if tagged else ()
        return VersionFacts(
            version=number,
            created=row[0],
            source=row[1] or "",
            stage=row[2] or "None",
            tags={key: value or "" for key, value in found},
        )

    def write_tag(self, key: str, value: str) -> None:
        """Set a tag of the model with one statement where MLflow takes three; it is written with every promotion."""
        table = SqlRegisteredModelTag
        found = self.session.execute(
            update(table)
            .where(*self.mine(table), table.key == key)
            .values(value=value)
            .execution_options(synchronize_session=False)
        )
        if not found.rowcount:
            place = {"workspace": self.workspace} if hasattr(table, "workspace") else {}
            self.session.execute(insert(table).values(name=self.name, key=key, value=value, **place))

    def aliases(self) -> dict[str, int]:
        """All aliases, with who holds them."""
        table = SqlRegisteredModelAlias
        found = self.session.execute(select(table.alias, table.version).where(*self.mine(table)))
        return dict(iter(found))

    def staged(self) -> dict[int, str]:
        """The versions that are in a stage."""
        table = SqlModelVersion
        found = self.session.execute(
            select(table.version, table.current_stage).where(
                *self.mine(table), table.current_stage.not_in(["None", STAGE_DELETED_INTERNAL])
            )
        )
        return dict(iter(found))


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

    def version(self, number: int, *, tagged: bool = True) -> VersionFacts | None:  # noqa: ARG002 - it has them
        """A version with the tags that matter."""
        found = there(lambda: self.get_version(self.name, str(number)))
        if found is None:
            return None
        return VersionFacts(
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
