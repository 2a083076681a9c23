"""Vertex AI's model registry: an alias belongs to one version of a model.

Labels hold 63 lower-case characters each, so the signed verdict lies in Cloud Storage and its digest in a label.
"""

from __future__ import annotations

import base64
import contextlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError, UsageError
from llmgate.promote.elsewhere.contract import RegisteredVersion
from llmgate.promote.elsewhere.failures import (
    TIMEOUT_S,
    AbsentError,
    FailedCall,
    Meaning,
    calls,
    meaning_of,
    not_installed,
)
from llmgate.promote.elsewhere.shelf import MAX_BYTES, bounded, digests_in, file_name, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VertexRegistry"]

SERVICE = "Vertex AI"
ATTESTED, EARNED, OVER = "llmgate-attested_", "llmgate-earned_", "llmgate-over_"
FOLDER = "llmgate-verdicts"
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,40}[a-z0-9]")
"""What Vertex AI takes as an alias, less capital letters and length: a label's key has to bear it."""
GS = re.compile(r"gs://(?P<bucket>[^/ ]+)/?(?P<prefix>[^ ]*)")


class VertexRegistry:
    """A `VerdictRegistry` over the models of one project and location.

    Args:
        project: Project id or number.
        location: Region.
        verdicts: Where verdicts lie, `gs://BUCKET/PREFIX`; by default in the bucket of the version's own weights.
        endpoint: The service's address, for tests and private endpoints.
        credentials: By default those of the environment.

    Raises:
        CannotRunError: If the client is not installed, or there are no credentials.
        UsageError: If `verdicts` is no place in Cloud Storage.
    """

    def __init__(
        self,
        project: str,
        location: str,
        *,
        verdicts: str | None = None,
        endpoint: str | None = None,
        credentials: Any = None,
    ) -> None:
        try:
            from google.api_core.retry import Retry  # noqa: PLC0415 - an optional extra
            from google.cloud import aiplatform_v1, storage  # noqa: PLC0415
        except ImportError as error:
            raise not_installed("google-cloud-aiplatform", "vertex") from error
        if verdicts is not None and GS.fullmatch(verdicts) is None:
            raise UsageError("this is no place in Cloud Storage", where=verdicts, fix="Write gs://BUCKET/PREFIX")
        self.project, self.location, self.verdicts = project, location, verdicts
        self.kinds: Any = aiplatform_v1
        address = endpoint or f"{location}-aiplatform.googleapis.com"
        # Twice the wait between tries, so that throttled calls end within half a minute.
        self.again: Any = Retry(initial=0.5, multiplier=2.0, timeout=TIMEOUT_S)
        with calls(SERVICE, address, read_error):
            self.models: Any = aiplatform_v1.ModelServiceClient(
                transport="rest", client_options={"api_endpoint": address}, credentials=credentials
            )
            self.storage: Any = storage.Client(project=project, credentials=credentials)

    def alias_problem(self, alias: str) -> str | None:
        """Vertex AI knows no capital letters, and keeps `default` for itself."""
        if alias == "default":
            return "'default' is Vertex AI's own alias, use a name such as 'champion'"
        if ALIAS.fullmatch(alias) is None:
            return f"{alias!r} is no alias here, use 2 to 42 lower-case letters, digits and '-', the first a letter"
        return None

    def version(self, model: str, version: str) -> RegisteredVersion:
        """The facts of one version, read now."""
        where = self.uri(model, version)
        with calls(SERVICE, where, read_error):
            told = self.models.get_model(name=self.resource(model, version), retry=self.again, timeout=TIMEOUT_S)
        facts = self.facts(model, told)
        if facts.version != version:
            raise CannotRunError(f"Vertex AI answers with version {facts.version!r}", where=where)
        return facts

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """The version that the alias leads to."""
        try:
            with calls(SERVICE, self.uri(model, alias), read_error):
                told = self.models.get_model(name=self.resource(model, alias), retry=self.again, timeout=TIMEOUT_S)
        except AbsentError:
            return None
        facts = self.facts(model, told)
        if alias not in facts.holds:
            raise CannotRunError(
                f"Vertex AI answers with version {facts.version}, which does not hold the alias {alias!r}",
                where=self.uri(model, alias),
            )
        return facts

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        """Put the verdict into Cloud Storage, then its digest on the version."""
        bucket, folder = self.folder(version, alias)
        where = f"gs://{bucket}/{folder}{file_name(digest)}"
        with calls("Cloud Storage", where, read_error, writing=True):
            blob = self.storage.bucket(bucket).blob(f"{folder}{file_name(digest)}")
            blob.upload_from_string(
                envelope.encode(),
                content_type="application/vnd.dsse.envelope.v1+json",
                timeout=TIMEOUT_S,
                retry=self.again,
            )
        if version.attached.get(alias) != digest:
            self.label(version, {f"{ATTESTED}{alias}": short(digest)})

    def envelopes(self, version: RegisteredVersion, alias: str) -> Mapping[str, str]:
        """Every verdict that lies in Cloud Storage for this version."""
        bucket, folder = self.folder(version, alias)
        where = f"gs://{bucket}/{folder}"
        found: dict[str, str] = {}
        with calls("Cloud Storage", where, read_error):
            names = [one.name for one in self.storage.list_blobs(bucket, prefix=folder, timeout=TIMEOUT_S)]
            for digest in bounded(digests_in(names), where):
                blob = self.storage.bucket(bucket).blob(f"{folder}{file_name(digest)}")
                with contextlib.closing(blob.open("rb", timeout=TIMEOUT_S)) as file:
                    found[digest] = read_text(file.read(MAX_BYTES + 1), f"{where}{file_name(digest)}")
        return found

    def set_holder(
        self, version: RegisteredVersion, alias: str, *, over: RegisteredVersion | None, digest: str
    ) -> None:
        """Note the verdict, then move the alias; Vertex AI takes it from whoever had it."""
        self.label(
            version, {f"{EARNED}{alias}": short(digest), f"{OVER}{alias}": over.version if over is not None else "none"}
        )
        with calls(SERVICE, version.uri, read_error, writing=True):
            self.models.merge_version_aliases(name=version.handle, version_aliases=[alias], timeout=TIMEOUT_S)

    def finish(self, version: RegisteredVersion, alias: str) -> None:
        """Nothing: the alias moves in one call."""

    def label(self, version: RegisteredVersion, labels: Mapping[str, str]) -> None:
        """Add labels to the version, if nobody changed it since they were read."""
        with calls(SERVICE, version.uri, read_error, writing=True):
            told = self.models.get_model(name=version.handle, retry=self.again, timeout=TIMEOUT_S)
            model = self.kinds.Model(name=version.handle, labels={**told.labels, **labels}, etag=told.etag)
            self.models.update_model(model=model, update_mask="labels", timeout=TIMEOUT_S)

    def facts(self, model: str, told: Any) -> RegisteredVersion:
        """What Vertex AI says, as ours."""
        number = str(told.version_id)
        labels = dict(told.labels)
        where = [told.artifact_uri, told.container_spec.image_uri if told.container_spec else ""]
        created = told.version_create_time
        if not number or created is None:
            raise CannotRunError("Vertex AI does not say which version this is", where=self.uri(model, "?"))
        utc = datetime.fromtimestamp(created.timestamp(), tz=UTC)
        return RegisteredVersion(
            uri=self.uri(model, number),
            workspace=f"{self.project}/{self.location}",
            model=model,
            version=number,
            source=" ".join(one for one in where if one),
            created_at=utc.replace(microsecond=utc.microsecond // 1000 * 1000),
            ready=True,
            holds=frozenset(told.version_aliases),
            attached=pointers(labels, ATTESTED),
            earned=pointers(labels, EARNED),
            handle=self.resource(model, number),
        )

    def folder(self, version: RegisteredVersion, alias: str) -> tuple[str, str]:
        """Bucket and prefix of a version's verdicts. A version that was made again begins with none."""
        place = GS.fullmatch(self.verdicts or "") or GS.match(version.source)
        if place is None:
            raise UsageError(
                f"the weights lie at {version.source!r}, not in Cloud Storage, so there is no place for its verdicts",
                where=version.uri,
                fix="Name one with --verdicts-at gs://BUCKET/PREFIX",
            )
        prefix = place["prefix"].strip("/") if self.verdicts else FOLDER
        made = int(version.created_at.timestamp() * 1000)
        parts = (prefix, version.workspace, version.model, f"{version.version}-{made}", alias)
        return place["bucket"], "/".join(part for part in parts if part) + "/"

    def resource(self, model: str, version: str) -> str:
        """The resource name of a version; an alias may stand in its place."""
        return f"projects/{self.project}/locations/{self.location}/models/{model}@{version}"

    def uri(self, model: str, version: str) -> str:
        """How a person names it."""
        return f"vertex://{self.project}/{self.location}/{model}/{version}"


def short(digest: str) -> str:
    """A digest in the 52 lower-case characters of base 32: in hexadecimal it has one too many for a label."""
    return base64.b32encode(bytes.fromhex(digest)).decode().rstrip("=").lower()


def long(label: str) -> str | None:
    """The digest in a label, None if there is none."""
    try:
        raw = base64.b32decode(label.upper() + "=" * (-len(label) % 8))
    except ValueError:
        return None
    return raw.hex() if len(raw) == 32 else None  # bytes of a SHA-256


def pointers(labels: Mapping[str, str], key: str) -> dict[str, str]:
    """The digests under labels that begin with `key`, by alias. What is no digest leads nowhere, and says so later."""
    return {name.removeprefix(key): long(value) or value for name, value in labels.items() if name.startswith(key)}


def read_error(error: Exception) -> FailedCall | None:
    """What an error of Google's clients means."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415

    if isinstance(error, RetryError) and isinstance(error.cause, GoogleAPICallError):
        error = error.cause
    if isinstance(error, GoogleAPICallError):
        said = str(error.message or error)
        # The REST transport hides a condition that failed behind 400.
        conflict = "FAILED_PRECONDITION" in said or getattr(error.grpc_status_code, "name", "") in {
            "ABORTED",
            "FAILED_PRECONDITION",
        }
        return FailedCall(meaning=Meaning.CONFLICT if conflict else meaning_of(error.code), said=said)
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return FailedCall(meaning=Meaning.UNKNOWN_CALLER, said=str(error))
    names = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if isinstance(error, RetryError | TransportError) or names & {"requests", "urllib3"}:
        return FailedCall(meaning=Meaning.UNREACHABLE, said=str(error))
    return None
