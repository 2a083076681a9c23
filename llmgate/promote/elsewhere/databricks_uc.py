"""Models in Unity Catalog, by MLflow's own client: an alias belongs to one version of a model.

Values of tags hold 1,000 characters there, so the signed verdict is an artifact of the run that the version comes from,
and its digest is a tag of the version.
"""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.mlflow_quiet import quiet
from llmgate.promote.elsewhere.contract import RegisteredVersion
from llmgate.promote.elsewhere.failures import AbsentError, FailedCall, Meaning, calls, meaning_of, not_installed
from llmgate.promote.elsewhere.shelf import MAX_BYTES, bounded, digests_in, file_name, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["UnityCatalogRegistry"]

SERVICE = "Databricks"
ATTESTED, EARNED, OVER = "llmgate_attested_", "llmgate_earned_", "llmgate_over_"
"""Before an alias, the keys of tags: Unity Catalog takes none of `. , - = / :` in them."""
ALIAS = re.compile(r"[A-Za-z0-9_]{1,200}")
FOLDER = "llmgate-verdicts"
WAITS: Mapping[str, str] = {"MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "30"}
"""Seconds in which Databricks' own client repeats what was throttled; MLflow's default is 500."""
CODES: Mapping[str, Meaning] = {
    "RESOURCE_DOES_NOT_EXIST": Meaning.ABSENT,
    "NOT_FOUND": Meaning.ABSENT,
    "REGISTERED_MODEL_DOES_NOT_EXIST": Meaning.ABSENT,
    "MODEL_VERSION_DOES_NOT_EXIST": Meaning.ABSENT,
    "PERMISSION_DENIED": Meaning.FORBIDDEN,
    "UNAUTHENTICATED": Meaning.UNKNOWN_CALLER,
    "RESOURCE_CONFLICT": Meaning.CONFLICT,
    "ABORTED": Meaning.CONFLICT,
    "REQUEST_LIMIT_EXCEEDED": Meaning.THROTTLED,
    "RESOURCE_EXHAUSTED": Meaning.THROTTLED,
    "TEMPORARILY_UNAVAILABLE": Meaning.UNREACHABLE,
}
STATUS = re.compile(r"error code (\d{3})|\b(\d{3}) (?:Client|Server) Error|HTTP (\d{3})")
UNREACHED = re.compile(r"timed ?out|max retries exceeded|connection (?:refused|aborted|reset)", re.IGNORECASE)
TOO_MANY = re.compile(r"\b429\b|too many")


class UnityCatalogRegistry:
    """A `VerdictRegistry` over the models that one Databricks workspace sees; `DATABRICKS_HOST` and its kin say which.

    Args:
        registry_uri: `databricks-uc`, or `databricks-uc://PROFILE` of the Databricks configuration.
        tracking_uri: `databricks`, or `databricks://PROFILE`.

    Raises:
        CannotRunError: If MLflow is not installed.
    """

    def __init__(self, *, registry_uri: str = "databricks-uc", tracking_uri: str = "databricks") -> None:
        with quiet():
            try:
                from mlflow import MlflowClient  # noqa: PLC0415 - an optional extra, and two seconds of import
            except ImportError as error:
                raise not_installed("mlflow", "mlflow") from error
        with quiet(WAITS), calls(SERVICE, registry_uri, read_error):
            self.client: MlflowClient = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri)

    def alias_problem(self, alias: str) -> str | None:
        """The alias is part of a tag's key."""
        if ALIAS.fullmatch(alias):
            return None
        return f"{alias!r} cannot be part of a tag's key in Unity Catalog, use letters, digits and '_'"

    def version(self, model: str, version: str) -> RegisteredVersion:
        """The facts of one version, read now."""
        with quiet(WAITS), calls(SERVICE, uri(model, version), read_error):
            found = facts(self.client.get_model_version(model, version))
        if (found.model, found.version) != (model, version):
            raise CannotRunError("something else than Unity Catalog answers", where=uri(model, version))
        return found

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """The version that the alias leads to."""
        try:
            with quiet(WAITS), calls(SERVICE, uri(model, alias), read_error):
                told = self.client.get_registered_model(model)
        except AbsentError:
            return None
        if told.name != model:
            raise CannotRunError("something else than Unity Catalog answers", where=uri(model, alias))
        number = told.aliases.get(alias)
        return None if number is None else self.version(model, str(number))

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        """Log the verdict to the version's run, then its digest on the version."""
        run, path = self.place(version, alias)
        with quiet(WAITS), calls(SERVICE, version.uri, read_error, writing=True):
            self.client.log_text(run, envelope, f"{path}/{file_name(digest)}")
        # MLflow writes in one of two ways, and may look for what it wrote in the other.
        if self.envelopes(version, alias).get(digest) != envelope:
            raise CannotRunError(
                f"the verdict was logged to run {run} and cannot be read there",
                where=version.uri,
                fix="Look at the artifacts of the run, and whether these credentials may read them",
            )
        with quiet(WAITS), calls(SERVICE, version.uri, read_error, writing=True):
            if version.attached.get(alias) != digest:
                self.client.set_model_version_tag(version.model, version.version, f"{ATTESTED}{alias}", digest)

    def envelopes(self, version: RegisteredVersion, alias: str) -> Mapping[str, str]:
        """Every verdict that was logged to the version's run."""
        run, path = self.place(version, alias)
        found: dict[str, str] = {}
        where = f"run {run}, {path}"
        with (
            tempfile.TemporaryDirectory(prefix="llmgate-uc-") as into,
            quiet(WAITS),
            calls(SERVICE, where, read_error),
        ):
            entries = [entry.path for entry in self.client.list_artifacts(run, path)]
            for digest in bounded(digests_in(entries), where):
                got = self.client.download_artifacts(run, f"{path}/{file_name(digest)}", into)
                with Path(got).open("rb") as file:
                    found[digest] = read_text(file.read(MAX_BYTES + 1), f"{where}/{file_name(digest)}")
        return found

    def set_holder(
        self, version: RegisteredVersion, alias: str, *, over: RegisteredVersion | None, digest: str
    ) -> None:
        """Note the verdict, then move the alias; Unity Catalog takes it from whoever had it."""
        with quiet(WAITS), calls(SERVICE, version.uri, read_error, writing=True):
            for key, value in ((EARNED, digest), (OVER, over.version if over is not None else "none")):
                self.client.set_model_version_tag(version.model, version.version, f"{key}{alias}", value)
            self.client.set_registered_model_alias(version.model, alias, version.version)

    def finish(self, version: RegisteredVersion, alias: str) -> None:
        """Nothing: the alias moves in one call."""

    def place(self, version: RegisteredVersion, alias: str) -> tuple[str, str]:
        """The run and the folder of a version's verdicts. A version that was made again begins with none."""
        if not version.handle:
            raise CannotRunError(
                "this version comes from no run, so there is no place for its verdict",
                where=version.uri,
                fix="Register the model from an MLflow run",
            )
        made = int(version.created_at.timestamp() * 1000)
        return version.handle, f"{FOLDER}/{version.model}/{version.version}-{made}/{alias}"


def facts(told: ModelVersion) -> RegisteredVersion:
    """What Unity Catalog says, as ours."""
    labels = dict(told.tags)
    return RegisteredVersion(
        uri=uri(told.name, str(told.version)),
        # The catalog belongs to a metastore that many workspaces share; the model's name begins with the catalog.
        workspace="default",
        model=told.name,
        version=str(told.version),
        source=told.source or "",
        created_at=datetime.fromtimestamp(told.creation_timestamp / 1000, tz=UTC),
        ready=told.status == "READY",
        holds=frozenset(told.aliases),
        attached=under(labels, ATTESTED),
        earned=under(labels, EARNED),
        handle=told.run_id or "",
    )


def under(labels: Mapping[str, str], key: str) -> dict[str, str]:
    """The values of tags that begin with `key`, by what follows."""
    return {name.removeprefix(key): value for name, value in labels.items() if name.startswith(key)}


def uri(model: str, version: str) -> str:
    """How a person names it."""
    return f"databricks-uc://{model}/{version}"


def read_error(error: Exception) -> FailedCall | None:
    """What an error of MLflow or of Databricks' own library means."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    said = str(error)
    if not isinstance(error, TimeoutError) and not kinds & {"mlflow", "databricks", "requests", "urllib3"}:
        return None
    # Databricks' own client repeats what was throttled for a while, and then says only how long it tried.
    throttled = any(kind.__name__ == "TooManyRequests" for one in causes(error) for kind in type(one).__mro__)
    if throttled or isinstance(error, TimeoutError):
        return FailedCall(meaning=Meaning.THROTTLED if throttled else Meaning.UNREACHABLE, said=said)
    code = str(getattr(error, "error_code", ""))
    if code in CODES:
        return FailedCall(meaning=CODES[code], said=said)
    for pattern, meaning in ((TOO_MANY, Meaning.THROTTLED), (UNREACHED, Meaning.UNREACHABLE)):
        if pattern.search(said):
            return FailedCall(meaning=meaning, said=said)
    match = STATUS.search(said)
    status = next((int(one) for one in match.groups() if one), None) if match else None
    return FailedCall(meaning=Meaning.OTHER if status is None else meaning_of(status), said=said)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
