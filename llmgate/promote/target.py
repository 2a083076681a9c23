"""The contract that every registry meets, and the facts that pass through it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from llmgate.errors import UsageError
from llmgate.gate.decision.types import Decision
from llmgate.record.manifest import Manifest
from llmgate.record.schema import Seal

if TYPE_CHECKING:
    from llmgate.promote.mirror import Mirror

__all__ = [
    "AttemptName",
    "EvidenceFiles",
    "GateRun",
    "LoggedRun",
    "NewVersion",
    "PastVerdict",
    "PromotionEvidence",
    "PromotionTarget",
    "RecordIdentity",
    "Registry",
    "VersionFacts",
    "parse_model_uri",
    "parse_version_uri",
]

NO_FIGURES: Mapping[str, float] = MappingProxyType({})
NO_TAGS: Mapping[str, str] = MappingProxyType({})
MODEL_URI = re.compile(r"models:/(?P<name>[^/@:]+)")
VERSION_URI = re.compile(r"models:/(?P<name>[^/@:]+)/(?P<version>[1-9]\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What the registry says about one version, at one moment.

    Attributes:
        name: Registered model.
        version: Version number, as text.
        source: Where its weights lie, as the registry has it.
        created_at: When this version was created, by the registry's clock.
        ready: Whether the registry has finished creating it.
        tags: Forgeable by whoever may edit the version: pointers, never proof.
        aliases: The aliases that it holds.
        description: For a reader.
        model_id: The registry's own object for the model, where it keeps one.
        workspace: The part of the registry in which it lies, `default` where there are no parts.
    """

    name: str
    version: str
    source: str
    created_at: datetime
    ready: bool = True
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    aliases: frozenset[str] = frozenset()
    description: str = ""
    model_id: str | None = None
    workspace: str = "default"

    @property
    def uri(self) -> str:
        """`models:/NAME/VERSION`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFiles:
    """What the registry keeps of the gate run of a version, downloaded.

    Attributes:
        run: The registry's id of the run.
        where: The run, worded for a reader.
        subject: The version that the run says it judged, None if it names none.
        ended_at: When the run was closed, by the clock of whoever closed it.
        candidate: Folder of the record.
        baseline: Folder of the baseline's record, None if there was none.
        decision: The decision as it was stored.
    """

    run: str
    where: str
    subject: str | None
    ended_at: datetime
    candidate: Path
    baseline: Path | None
    decision: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PastVerdict:
    """One gate run of a version, as the registry lists it.

    Attributes:
        run: The registry's id of the run.
        verdict: PASS, FAIL or INCONCLUSIVE.
        ended_at: When the run was closed.
    """

    run: str
    verdict: str
    ended_at: datetime

    def __str__(self) -> str:
        """For a reader: the verdict and its time."""
        return f"{self.verdict} of {self.ended_at.isoformat(sep=' ', timespec='seconds')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordIdentity:
    """Who was measured, and the digests of a complete record."""

    manifest: Manifest
    seal: Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionEvidence:
    """The proof for one version: what its gate run left, and the decision taken again from it.

    Attributes:
        run: The registry's id of the run.
        where: The run, worded for a reader.
        subject: The version that the run says it judged.
        ended_at: When the run was closed.
        candidate: The record of the version.
        baseline: The record that it was compared with, None without one.
        claimed: The decision as it was stored.
        decision: The decision taken again, now, from the records.
        source_digest: SHA-256 over the files at the version's source, computed now; None where they cannot be reached.
    """

    run: str
    where: str
    subject: str | None
    ended_at: datetime
    candidate: RecordIdentity
    baseline: RecordIdentity | None
    claimed: Decision
    decision: Decision
    source_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptName:
    """Which attempt at a candidate a gate run is.

    Attributes:
        key: What it is an attempt at: the same for all of them.
        id: Tells it from the others.
        number: Counted from 1.
    """

    key: str
    id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """What a gate run left behind.

    Attributes:
        folder: The record's folder, sealed.
        decision: The decision taken from it.
        decision_json: The same decision as a file.
        report: The HTML report.
        verdict_json: The in-toto statement.
        baseline: The folder of the record that it was compared with, None without one.
        baseline_uri: The version that it was compared with, `models:/NAME/VERSION`, where there is one.
        serving: Serving figures by name, with their unit in the name (`ttft_p50_s`).
        attempt: Which attempt it is; None where it was not counted.
    """

    folder: Path
    decision: Decision
    decision_json: Path
    report: Path | None = None
    verdict_json: Path | None = None
    baseline: Path | None = None
    baseline_uri: str | None = None
    serving: Mapping[str, float] = field(default_factory=lambda: NO_FIGURES)
    attempt: AttemptName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A candidate that is to be registered.

    Attributes:
        name: Registered model; made if it does not exist.
        source: Model folder, or a URI that the registry can read (`s3://…`).
        upload: Copy the folder into the run's artifacts. An MLflow server takes a local folder no other way.
    """

    name: str
    source: str
    upload: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """Where the gate run is now.

    Attributes:
        run_id: MLflow's id.
        url: For a browser; None where there is no server.
        version: The version that was judged, as it was when it was linked; None if none was.
    """

    run_id: str
    url: str | None
    version: VersionFacts | None


class PromotionTarget(Protocol):
    """What promotion needs. Methods raise `CannotRunError` if the registry cannot be reached or answers nonsense."""

    def version(self, name: str, version: str) -> VersionFacts:
        """The facts of one version, read now."""

    def holder(self, name: str, alias: str) -> VersionFacts | None:
        """Who holds the alias now; None if nobody does."""

    def aliases(self, name: str) -> frozenset[str]:
        """All aliases of the model, spelt as the registry keeps them."""

    def evidence(self, version: VersionFacts, into: Path, *, kept: str | None = None) -> EvidenceFiles | None:
        """Download what proves this version's verdict.

        Args:
            version: The version.
            into: An empty folder.
            kept: The run that `keep` made; None for the gate run that the version names.

        Returns:
            The files, or None if the version names no gate run.

        Raises:
            PromotionRefusedError: If it names one, but a link on the way to its files is missing.
        """

    def verdicts(self, version: VersionFacts) -> tuple[PastVerdict, ...]:
        """Every gate run of this version, in the order of time."""

    def keep(self, version: VersionFacts, alias: str, files: EvidenceFiles) -> str:
        """Copy evidence to where no gate run touches it.

        Returns:
            The registry's id of the copy.
        """

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give the alias to the version.

        Raises:
            PromotionRefusedError: If the registry itself forbids it.
        """

    def annotate(self, name: str, version: str, values: Mapping[str, str | None]) -> None:
        """Write tags on the version; None takes a tag away."""

    def mirror(self, name: str, alias: str) -> Mirror | None:
        """The last events of the registry's own ledger on an alias, None if it shows none."""

    def runs_of(self, version: VersionFacts, record_run: str) -> tuple[str, ...]:
        """The registry's ids of the gate runs of a version whose record has this run id."""


class Registry(PromotionTarget, Protocol):
    """A registry: what promotion needs, and where gate runs are kept."""

    def gated(self, name: str) -> bool | None:
        """Whether the registry itself protects a model: some alias of it needs a verdict. None if it does not say."""

    def versions(self, name: str) -> tuple[VersionFacts, ...]:
        """The newest versions of a model, newest first."""

    def post_verdict(self, version: VersionFacts, key: str, envelope: str) -> None:
        """Put a signed verdict on a version.

        Args:
            version: The version.
            key: The tag that is to hold it.
            envelope: The signed verdict.

        Raises:
            PromotionRefusedError: If the registry does not take it.
        """

    def log_files(self, run: str, files: Sequence[Path]) -> None:
        """Add files to a gate run that was logged.

        Args:
            run: The registry's id of the run.
            files: They keep their names.
        """

    def check(self, new: NewVersion | None) -> None:
        """Refuse what `log` would refuse, before anything is asked.

        Raises:
            UsageError: If this version cannot be registered, or the runs cannot be logged where they should be.
        """

    def log(self, run: GateRun, *, subject: str | None, new: NewVersion | None) -> LoggedRun:
        """Keep a gate run, and link the version that it judged.

        Afterwards `evidence` finds the run from the version, whose tags hold `tags.RUN_ID` and `tags.WEIGHTS_DIGEST`.

        Args:
            run: What it left behind.
            subject: The version that was judged, `models:/NAME/VERSION`; None for the one in the record's manifest.
            new: Register the model that was judged as a new version, without any alias.

        Raises:
            UsageError: If the version that was judged is named twice, differently.
            RecordError: If a record is not sealed.
            CannotRunError: If the registry cannot be reached or refuses.
        """


def parse_model_uri(uri: str) -> str:
    """The name in `models:/NAME`.

    Raises:
        UsageError: If it names a version, an alias, or nothing.
    """
    match = MODEL_URI.fullmatch(uri)
    if match is None:
        raise UsageError(
            "this does not name a registered model", where=uri, fix="Write models:/NAME, and the alias with --alias"
        )
    return match["name"]


def parse_version_uri(uri: str) -> tuple[str, str]:
    """Split `models:/NAME/VERSION`.

    Returns:
        Name and version number.

    Raises:
        UsageError: If it names an alias, a stage, `latest` or nothing that can be promoted.
    """
    match = VERSION_URI.fullmatch(uri)
    if match is None:
        raise UsageError(
            "a verdict belongs to exactly one version, and this does not name one",
            where=uri,
            fix="Write models:/NAME/VERSION with the number of the version, for example models:/support-bot/7",
        )
    return match["name"], match["version"]
