"""W&B's registry: an alias belongs to one version of a collection, and may be protected there.

A version of a collection is a link to an artifact, which may be linked to other collections too. The verdicts stand
in the artifact's metadata, each collection's under its own name.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError, PromotionRefusedError
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
from llmgate.promote.elsewhere.shelf import bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["WandbRegistry"]

SERVICE = "W&B"
KEY = "llmgate"
"""The one key of an artifact's metadata that is ours; W&B takes 100 of them."""
ALIAS = re.compile(r"[A-Za-z0-9_-]{1,128}")
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)
ABSENT = re.compile(r"not found|could not find|does not exist", re.IGNORECASE)
UNKNOWN = re.compile(r"\b401\b|verify credentials|not logged in|log ?in|api[_ ]key|authentication", re.IGNORECASE)
FORBIDDEN = re.compile(r"permission|forbidden|protected|\b403\b|not authori[sz]ed", re.IGNORECASE)
THROTTLED = re.compile(r"\b429\b|rate limit|too many", re.IGNORECASE)
UNREACHED = re.compile(
    r"timed? ?out|deadline|connection|refused|unreachable|no such host|not running|did not respond|\b50\d\b",
    re.IGNORECASE,
)
SILENT = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


class WandbRegistry:
    """A `VerdictRegistry` over the collections of one registry; `WANDB_BASE_URL` and `WANDB_API_KEY` say which.

    Args:
        entity: The organisation.
        registry: The registry, without W&B's `wandb-registry-` before it.

    Raises:
        CannotRunError: If wandb is not installed, or W&B does not know who asks.
    """

    def __init__(self, entity: str, registry: str) -> None:
        try:
            with silent():
                import wandb  # noqa: PLC0415 - an optional extra, and two seconds of import
        except ImportError as error:
            raise not_installed("wandb", "wandb") from error
        self.entity, self.registry = entity, registry
        self.project = f"wandb-registry-{registry}"
        if not (os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")):
            # It would ask for one on the terminal, and wait.
            raise CannotRunError("there is no key for W&B", where="WANDB_API_KEY", fix="Set it")
        with silent(), calls(SERVICE, f"wandb://{entity}/{registry}", read_error):
            self.api: Any = wandb.Api(timeout=int(TIMEOUT_S))

    def alias_problem(self, alias: str) -> str | None:
        """W&B moves `latest` and `vN` by itself."""
        if RESERVED.fullmatch(alias) or ALIAS.fullmatch(alias) is None:
            return f"{alias!r} is no alias for a champion in W&B, use a name such as 'champion'"
        return None

    def version(self, model: str, version: str) -> RegisteredVersion:
        """The facts of one version, read now."""
        facts = self.facts(model, self.artifact(model, version))
        if facts.version != version:
            raise CannotRunError(f"W&B answers with version {facts.version}", where=self.uri(model, version))
        return facts

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """The version that the alias leads to."""
        try:
            facts = self.facts(model, self.artifact(model, alias))
        except AbsentError:
            return None
        if alias not in facts.holds:
            raise CannotRunError(
                f"W&B answers with version {facts.version}, which does not hold the alias {alias!r}",
                where=self.uri(model, alias),
            )
        return facts

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        """Write the verdict into the artifact's metadata."""
        self.note(version, alias, attached=digest, verdicts={digest: envelope})

    def envelopes(self, version: RegisteredVersion, alias: str) -> Mapping[str, str]:
        """Every verdict in the artifact's metadata."""
        artifact = self.artifact(version.model, version.version)
        verdicts = self.notes(artifact, version.model).get(alias, {}).get("verdicts", {})
        bounded(list(verdicts), version.uri)
        return {str(digest): str(text) for digest, text in verdicts.items()}

    def set_holder(
        self, version: RegisteredVersion, alias: str, *, over: RegisteredVersion | None, digest: str
    ) -> None:
        """Note the verdict, then link the artifact once more, with the alias; W&B takes it from whoever had it."""
        self.note(version, alias, earned=digest, over=over.version if over is not None else "none")
        artifact = self.artifact(version.model, version.version)
        with silent(), calls(SERVICE, version.uri, read_error, writing=True):
            linked = artifact.link(f"{self.entity}/{self.project}/{version.model}", aliases=[alias])
        if linked.version != version.version:
            raise PromotionRefusedError(
                f"W&B made version {linked.version} of it, which has the alias now",
                where=version.uri,
                fix="Remove that version, and look who is to hold the alias",
            )

    def finish(self, version: RegisteredVersion, alias: str) -> None:
        """Nothing: the alias moves in one call."""

    def artifact(self, model: str, version: str) -> Any:
        """The artifact behind a version or an alias."""
        name = f"{self.entity}/{self.project}/{model}:{version}"
        with silent(), calls(SERVICE, self.uri(model, version), read_error):
            return self.api.artifact(name)

    def facts(self, model: str, artifact: Any) -> RegisteredVersion:
        """What W&B says, as ours."""
        notes = self.notes(artifact, model)
        version = str(artifact.version)
        created = datetime.fromisoformat(str(artifact.created_at))
        utc = (created if created.tzinfo else created.replace(tzinfo=UTC)).astimezone(UTC)
        return RegisteredVersion(
            uri=self.uri(model, version),
            workspace=f"{self.entity}/{self.registry}",
            model=model,
            version=version,
            # The digest is that of the artifact's manifest, so the source names contents and not only a place.
            source=f"wandb-artifact://{artifact.source_qualified_name}#{artifact.digest}",
            created_at=utc.replace(microsecond=utc.microsecond // 1000 * 1000),
            ready=str(artifact.state) == "COMMITTED",
            holds=frozenset(str(alias) for alias in artifact.aliases),
            attached=pointers(notes, "attached"),
            earned=pointers(notes, "earned"),
            handle=str(artifact.id),
        )

    def notes(self, artifact: Any, model: str) -> dict[str, dict[str, Any]]:
        """What the artifact's metadata says about this collection, by alias."""
        ours = artifact.metadata.get(KEY, {})
        place = ours.get(self.place(model), {}) if isinstance(ours, dict) else None
        entries = place.values() if isinstance(place, dict) else [None]
        if not all(isinstance(entry, dict) and isinstance(entry.get("verdicts", {}), dict) for entry in entries):
            raise CannotRunError(
                f"the key {KEY!r} of its metadata was written by something else",
                where=self.uri(model, str(artifact.version)),
                fix="Remove that key",
            )
        return dict(place or {})

    def note(
        self, version: RegisteredVersion, alias: str, *, verdicts: Mapping[str, str] | None = None, **pointer: str
    ) -> None:
        """Add to the artifact's metadata, and look whether it was taken.

        W&B's client only warns, and to the terminal at that, where the artifact's own project may not be written.
        """
        artifact = self.artifact(version.model, version.version)
        notes = self.notes(artifact, version.model)
        entry = notes.get(alias, {})
        entry = {**entry, **pointer, "verdicts": {**entry.get("verdicts", {}), **(verdicts or {})}}
        if entry == notes.get(alias):
            return
        before = artifact.metadata.get(KEY, {})
        after = {**before, self.place(version.model): {**notes, alias: entry}}
        with silent(), calls(SERVICE, version.uri, read_error, writing=True):
            artifact.metadata = {**artifact.metadata, KEY: after}
            artifact.save()
        kept = self.notes(self.artifact(version.model, version.version), version.model).get(alias)
        if kept != entry:
            raise PromotionRefusedError(
                "W&B did not keep the verdict: the artifact's own project is closed to this key, or somebody else "
                "wrote at the same time",
                where=version.uri,
                fix="Use a key that may write there, and promote again",
            )

    def place(self, model: str) -> str:
        """How this collection is called in an artifact's metadata."""
        return f"{self.entity}/{self.registry}/{model}"

    def uri(self, model: str, version: str) -> str:
        """How a person names it."""
        return f"wandb://{self.entity}/{self.registry}/{model}/{version}"


def pointers(notes: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, str]:
    """One of the pointers of every alias."""
    return {alias: str(entry[name]) for alias, entry in notes.items() if name in entry}


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep W&B from the terminal, for this block."""
    before = {name: os.environ.get(name) for name in SILENT}
    logger = logging.getLogger("wandb")
    level = logger.level
    os.environ.update(SILENT)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def read_error(error: Exception) -> FailedCall | None:
    """What an error of W&B's client means; it has words for them, and no codes."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    said = str(error)
    # A version that is not there is a plain ValueError.
    absent = isinstance(error, ValueError) and ABSENT.search(said)
    if not absent and not kinds & {"wandb", "requests", "pydantic_core"}:
        return None
    cause = error.__cause__
    if cause is not None and "permission" in said:
        # Its words for any failure of adding an alias.
        said = f"{said} ({cause})"
    for pattern, meaning in (
        (THROTTLED, Meaning.THROTTLED),
        (FORBIDDEN, Meaning.FORBIDDEN),
        (UNKNOWN, Meaning.UNKNOWN_CALLER),
        (ABSENT, Meaning.ABSENT),
        (UNREACHED, Meaning.UNREACHABLE),
    ):
        if pattern.search(said):
            return FailedCall(meaning=meaning, said=said)
    return FailedCall(meaning=meaning_of(0), said=said)
