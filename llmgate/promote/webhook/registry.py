"""The few questions that the receiver asks MLflow, quiet and bounded in time. Every call may block for a minute."""

from __future__ import annotations

from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

from llmgate.attest.tags import STAGE
from llmgate.errors import CannotRunError
from llmgate.promote import tags
from llmgate.promote.mlflow_client import INSTALL, calls, is_absent, open_client
from llmgate.promote.webhook.ledger import ModelState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow import MlflowClient

__all__ = ["MlflowWatch", "WatchedRegistry"]

PAGE: Final = 100
MOST_MODELS: Final = 10_000
WILD: Final = frozenset("*?[")


class WatchedRegistry(Protocol):
    """What the receiver needs of a registry."""

    def has_version(self, name: str, version: str) -> bool:
        """Whether there is such a version.

        Raises:
            CannotRunError: If the registry does not say.
        """

    def note(self, name: str, version: str, status: str) -> bool:
        """Write the state of a version's gate run on the version.

        Returns:
            False if there is no such version.

        Raises:
            CannotRunError: If it cannot be written.
        """

    def model(self, name: str) -> ModelState | None:
        """A model's aliases and tags, None if there is no such model.

        Raises:
            CannotRunError: If the registry does not say.
        """

    def models(self, patterns: Sequence[str]) -> list[str]:
        """The names of the models that any of the patterns fits, and every name that is no pattern.

        Raises:
            CannotRunError: If the registry does not say, or has too many.
        """

    def ungated(self, name: str, since: float) -> list[str]:
        """Those of a model's newest versions on which no gate run is noted.

        Args:
            name: The model, a plain word.
            since: Unix time in seconds; older versions do not count.

        Raises:
            CannotRunError: If the registry does not say.
        """

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version.

        Raises:
            CannotRunError: If it is refused or fails.
        """


class MlflowWatch:
    """A `WatchedRegistry`. Opens its client when it is first asked, and again after a failure to open it.

    Args:
        tracking_uri: Where the runs are.
        registry_uri: Where the models are.

    Raises:
        CannotRunError: If MLflow is not installed.
    """

    def __init__(self, tracking_uri: str, registry_uri: str) -> None:
        # The client is opened late, since the registry may be down now; this would not mend itself.
        if find_spec("mlflow") is None:
            raise CannotRunError("mlflow is not installed", fix=INSTALL)
        self._uris = tracking_uri, registry_uri
        self._opened: MlflowClient | None = None

    @property
    def _client(self) -> MlflowClient:
        # Two threads may both open one; either does.
        if self._opened is None:
            self._opened = open_client(*self._uris)
        return self._opened

    def has_version(self, name: str, version: str) -> bool:
        """Whether there is such a version."""
        client = self._client
        with calls(f"models:/{name}/{version}"):
            try:
                client.get_model_version(name, version)
            except Exception as error:
                if not is_absent(error):
                    raise
                return False
        return True

    def note(self, name: str, version: str, status: str) -> bool:
        """Write the state of a version's gate run on the version."""
        client = self._client
        with calls(f"models:/{name}/{version}"):
            try:
                client.set_model_version_tag(name, version, tags.GATE, status)
            except Exception as error:
                if not is_absent(error):
                    raise
                return False
        return True

    def model(self, name: str) -> ModelState | None:
        """A model's aliases and tags."""
        client = self._client
        with calls(f"models:/{name}"):
            try:
                found = client.get_registered_model(name)
            except Exception as error:
                if not is_absent(error):
                    raise
                return None
            aliases = {alias: str(version) for alias, version in found.aliases.items()}
            # A stage means the highest version in it, and that is the latest one.
            stages = {f"{STAGE}{latest.current_stage}": str(latest.version) for latest in found.latest_versions}
            return ModelState(name=name, aliases={**aliases, **stages}, tags=dict(found.tags))

    def models(self, patterns: Sequence[str]) -> list[str]:
        """The names of the models that any of the patterns fits, and every name that is no pattern."""
        names = {pattern for pattern in patterns if not set(pattern) & WILD}
        if len(names) < len(set(patterns)):
            names |= {name for name in self._all_names() if any(fnmatchcase(name, pattern) for pattern in patterns)}
        return sorted(names)

    def _all_names(self) -> list[str]:
        client, where = self._client, self._uris[1]
        names: list[str] = []
        token: str | None = None
        with calls(where):
            while True:
                page = client.search_registered_models(max_results=PAGE, page_token=token)
                names += [model.name for model in page]
                token = page.token
                if not token:
                    return names
                if len(names) >= MOST_MODELS:
                    raise CannotRunError(
                        f"the registry has more than {MOST_MODELS} models", fix="Name those to watch with --model"
                    )

    def ungated(self, name: str, since: float) -> list[str]:
        """Those of a model's newest versions on which no gate run is noted."""
        client = self._client
        with calls(f"models:/{name}"):
            newest = client.search_model_versions(
                f"name = '{name}'", max_results=PAGE, order_by=["creation_timestamp DESC"]
            )
            return [
                str(version.version)
                for version in newest
                if tags.GATE not in version.tags and version.creation_timestamp >= since * 1000
            ]

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version."""
        client = self._client
        with calls(f"models:/{name}@{alias}"):
            client.set_registered_model_alias(name, alias, version)
