"""MLflow's model registry as a promotion target."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmgate.attest.tags import ledger_key
from llmgate.errors import AttestationError, CannotRunError, LlmgateError, PromotionRefusedError
from llmgate.promote import tags
from llmgate.promote.mirror import read_mirror
from llmgate.promote.mlflow_client import ABSENT, calls, first_line, is_absent, is_forbidden, open_client, quoted
from llmgate.promote.target import EvidenceFiles, PastVerdict, VersionFacts
from llmgate.record.artifact_store import is_artifact_store
from llmgate.record.disk import private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from llmgate.promote.mirror import Mirror

__all__ = ["BASELINE_FOLDER", "DECISION_FILE", "RECORD_FOLDER", "MlflowTarget", "failing", "instant", "noted_verdicts"]

RECORD_FOLDER = "record"
BASELINE_FOLDER = "baseline"
DECISION_FILE = "decision.json"
"""Where a gate run keeps its evidence, below the run's artifacts."""

LOGGED_MODEL = re.compile(r"(?:^models:/|/models/)(m-[0-9a-f]{32})(?:/|$)")
ALL_RUNS = 3
"""MLflow's `ViewType.ALL`, which cannot be imported before MLflow is."""
NO_TAG = "mlflow.prompt.is_prompt?"
"""MLflow takes no question mark in a tag's name. A gate looks first, and takes it for the tag that makes a prompt of a
model, which nobody may change where the model is protected."""
VERSIONS = 100
"""So many versions are looked at where the newest ones are asked for."""
AGAIN = "run the gate again on this version"
ANEW = "restore it, or remove the alias and promote a version anew, judged by thresholds (min:)"


class MlflowTarget:
    """A `PromotionTarget`. Every method is quiet, bounded in time, and raises our errors.

    Attributes:
        client: The client underneath; use it inside `calls`.
        tracking_uri: Where the runs are.
        registry_uri: Where the models are.
    """

    def __init__(self, tracking_uri: str, registry_uri: str, *, create: bool = False) -> None:
        self.tracking_uri = tracking_uri
        self.registry_uri = registry_uri
        self.client: MlflowClient = open_client(tracking_uri, registry_uri, create=create)

    def version(self, name: str, version: str) -> VersionFacts:
        """The facts of one version, read now."""
        with calls(f"models:/{name}/{version}"):
            try:
                return facts(self.client.get_model_version(name, version))
            except Exception as error:
                if not is_absent(error):
                    raise
                raise CannotRunError(
                    "there is no such model version",
                    where=f"models:/{name}/{version}",
                    fix=f"Look at the versions of {name} in the registry",
                ) from error

    def holder(self, name: str, alias: str) -> VersionFacts | None:
        """Who holds the alias now; None if nobody does or there is no such model."""
        with calls(f"models:/{name}@{alias}"):
            try:
                # The list of aliases tells upper from lower case on every database; a query by name may not.
                number = self.client.get_registered_model(name).aliases.get(alias)
            except Exception as error:
                if not is_absent(error):
                    raise
                return None
        return None if number is None else self.version(name, str(number))

    def aliases(self, name: str) -> frozenset[str]:
        """All aliases of the model, spelt as the registry keeps them."""
        with calls(f"models:/{name}"):
            try:
                return frozenset(self.client.get_registered_model(name).aliases)
            except Exception as error:
                if not is_absent(error):
                    raise
                raise CannotRunError(
                    "there is no such registered model", where=f"models:/{name}", fix="Look at the registry's list"
                ) from error

    def evidence(self, version: VersionFacts, into: Path, *, kept: str | None = None) -> EvidenceFiles | None:
        """Download what proves this version's verdict; None if the version names no gate run."""
        run_id = kept or version.tags.get(tags.EVIDENCE)
        if run_id is None:
            return None
        private_folder(into)
        where, again = f"MLflow run {run_id}", ANEW if kept else AGAIN
        with calls(where):
            try:
                run = self.client.get_run(run_id)
            except Exception as error:
                if not is_absent(error):
                    raise
                raise PromotionRefusedError(f"the verdict names {where}, which does not exist, {again}") from error
            if run.info.lifecycle_stage != "active":
                raise PromotionRefusedError(
                    f"{where}, which holds the verdict, was deleted; {again if kept else f'restore it or {again}'}"
                )
            if not is_artifact_store(run.info.artifact_uri):
                raise PromotionRefusedError(
                    f"{where} keeps its files at {run.info.artifact_uri!r}, from where llmgate takes none; {again}"
                )
            if run.info.status != "FINISHED" or run.info.end_time is None:
                raise PromotionRefusedError(f"{where} is {run.info.status} and not FINISHED, {again}")
            artifacts = {entry.path for entry in self.client.list_artifacts(run_id)}
            for needed in (RECORD_FOLDER, DECISION_FILE):
                if needed not in artifacts:
                    raise PromotionRefusedError(f"{where} lacks the artifact {needed}, {again}")
            for name in artifacts & {RECORD_FOLDER, BASELINE_FOLDER, DECISION_FILE}:
                self.client.download_artifacts(run_id, name, str(into))
        return EvidenceFiles(
            run=run_id,
            where=where,
            subject=run.data.tags.get(tags.SUBJECT),
            ended_at=instant(run.info.end_time),
            candidate=into / RECORD_FOLDER,
            baseline=into / BASELINE_FOLDER if BASELINE_FOLDER in artifacts else None,
            decision=into / DECISION_FILE,
        )

    def verdicts(self, version: VersionFacts) -> tuple[PastVerdict, ...]:
        """Every gate run of this version that its tags name, or that lies beside the one with the evidence."""
        found = {past.run: past for past in noted_verdicts(version)}
        with calls(version.uri):
            for run in self.beside(version):
                told = run.data.tags
                if told.get(tags.KEPT_FROM) is None and run.info.end_time is not None:
                    past = PastVerdict(
                        run=run.info.run_id, verdict=told.get(tags.VERDICT, "?"), ended_at=instant(run.info.end_time)
                    )
                    # A version of this name that was deleted had runs too.
                    if past.ended_at >= version.created_at:
                        found[past.run] = past
        return tuple(sorted(found.values(), key=lambda past: past.ended_at))

    def beside(self, version: VersionFacts) -> list[Run]:
        """The runs about this version in the experiment of its evidence, deleted ones included: tags can be edited."""
        evidence = version.tags.get(tags.EVIDENCE)
        if evidence is None:
            return []
        quote = '"' if "'" in version.uri else "'"
        wanted = f"tags.`{tags.SUBJECT}` = {quote}{version.uri}{quote} and attributes.status = 'FINISHED'"
        try:
            experiment = self.client.get_run(evidence).info.experiment_id
        except Exception as error:
            if not is_absent(error):
                raise
            return []
        runs: list[Run] = []
        token: str | None = None
        while True:
            page = self.client.search_runs([experiment], wanted, run_view_type=ALL_RUNS, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def keep(self, version: VersionFacts, alias: str, files: EvidenceFiles) -> str:
        """Copy evidence into a run of its own, beside the gate run and with its times."""
        with calls(version.uri):
            gate_run = self.client.get_run(files.run)
            kept = self.client.create_run(
                gate_run.info.experiment_id,
                start_time=gate_run.info.start_time,
                run_name=f"{version.name} v{version.version} earned {alias}",
                tags={tags.KEPT_FROM: files.run, tags.SUBJECT: files.subject or ""},
            )
        run_id: str = kept.info.run_id
        with failing(self, run_id), calls(version.uri):
            self.client.log_artifacts(run_id, str(files.candidate), RECORD_FOLDER)
            if files.baseline is not None:
                self.client.log_artifacts(run_id, str(files.baseline), BASELINE_FOLDER)
            self.client.log_artifact(run_id, str(files.decision))
            self.client.set_terminated(run_id, "FINISHED", gate_run.info.end_time)
        return run_id

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give the alias to the version; a server that refuses is quoted."""
        with calls(f"models:/{name}@{alias}"), refusals():
            self.client.set_registered_model_alias(name, alias, version)

    def annotate(self, name: str, version: str, values: Mapping[str, str | None]) -> None:
        """Write tags on the version; None takes a tag away."""
        with calls(f"models:/{name}/{version}"):
            for key, value in values.items():
                if value is None:
                    self.client.delete_model_version_tag(name, version, key)
                else:
                    self.client.set_model_version_tag(name, version, key, value)

    def mirror(self, name: str, alias: str) -> Mirror | None:
        """What a gated server shows of an alias."""
        with calls(f"models:/{name}"):
            try:
                text = self.client.get_registered_model(name).tags.get(ledger_key(alias))
            except Exception as error:
                if not is_absent(error):
                    raise
                return None
        try:
            return None if text is None else read_mirror(text, alias)
        except AttestationError as error:
            raise CannotRunError(
                f"the registry's ledger cannot be read ({error.what})",
                where=f"models:/{name}@{alias}",
                fix=f"Something else than a gated registry wrote the model's tag {ledger_key(alias)}, or a newer one",
            ) from error

    def runs_of(self, version: VersionFacts, record_run: str) -> tuple[str, ...]:
        """The gate runs that the version's tags name, the last one first, and that say that this is their record."""
        noted = [past.run for past in sorted(noted_verdicts(version), key=lambda past: past.ended_at, reverse=True)]
        named = version.tags.get(tags.EVIDENCE)
        found = []
        with calls(version.uri):
            for run in dict.fromkeys([*([named] if named else []), *noted]):
                try:
                    if self.client.get_run(run).data.tags.get(tags.RUN_ID) == record_run:
                        found.append(run)
                except Exception as error:
                    if not is_absent(error):
                        raise
        return tuple(found)

    def gated(self, name: str) -> bool | None:
        """Ask to take away a tag that no model can have: a gate refuses that for a model that it protects.

        MLflow itself says that there is no such model, or that the tag's name is not valid, before it touches anything.
        """
        with calls(f"models:/{name}"):
            try:
                self.client.delete_registered_model_tag(name, NO_TAG)
            except Exception as error:
                if is_forbidden(error):
                    return True if quoted(error) is not None else None
                if getattr(error, "error_code", None) in {"INVALID_PARAMETER_VALUE", ABSENT}:
                    return False
                raise
        return None

    def versions(self, name: str) -> tuple[VersionFacts, ...]:
        """The newest versions of a model, newest first."""
        quote = '"' if "'" in name else "'"
        with calls(f"models:/{name}"):
            found = self.client.search_model_versions(
                f"name = {quote}{name}{quote}", max_results=VERSIONS, order_by=["version_number DESC"]
            )
            return tuple(facts(version) for version in found)

    def post_verdict(self, version: VersionFacts, key: str, envelope: str) -> None:
        """Put a signed verdict into a tag; a server that refuses is quoted."""
        with calls(version.uri), refusals():
            self.client.set_model_version_tag(version.name, version.version, key, envelope)

    def log_files(self, run: str, files: Sequence[Path]) -> None:
        """Add files to a run, finished or not."""
        with calls(f"MLflow run {run}"):
            for path in files:
                self.client.log_artifact(run, str(path))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """A server that forbids something is quoted: in its words, or those of the gate in it."""
    try:
        yield
    except Exception as error:
        if not is_forbidden(error):
            raise
        why, fix = quoted(error) or (first_line(error), None)
        raise PromotionRefusedError(why, fix=fix) from error


@contextlib.contextmanager
def failing(target: MlflowTarget, run_id: str) -> Iterator[None]:
    """Mark the run FAILED if it cannot be written to its end."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(LlmgateError), calls(target.tracking_uri):
            target.client.set_terminated(run_id, "FAILED")
        raise


def noted_verdicts(version: VersionFacts) -> list[PastVerdict]:
    """The gate runs that a version's tags name; a note that cannot be read counts as one that never ends."""
    past = []
    for key, value in version.tags.items():
        name, slash, run = key.partition("/")
        if name == tags.VERDICTS and slash:
            verdict, _, when = value.partition(" ")
            try:
                ended_at = datetime.fromisoformat(when).astimezone(UTC)
            except ValueError:
                ended_at = datetime.max.replace(tzinfo=UTC)
            past.append(PastVerdict(run=run, verdict=verdict, ended_at=ended_at))
    return past


def facts(version: ModelVersion) -> VersionFacts:
    """A model version as facts."""
    return VersionFacts(
        name=version.name,
        version=str(version.version),
        source=version.source or "",
        created_at=instant(version.creation_timestamp),
        ready=version.status == "READY",
        tags=dict(version.tags),
        aliases=frozenset(version.aliases),
        description=version.description or "",
        model_id=version.model_id or logged_model(version.source or ""),
        # Before MLflow 3.10 there were no workspaces.
        workspace=getattr(version, "workspace", None) or "default",
    )


def logged_model(source: str) -> str | None:
    """The logged model that a source names: outside Unity Catalog, MLflow's versions do not say it otherwise."""
    match = LOGGED_MODEL.search(source)
    return match[1] if match else None


def instant(milliseconds: int) -> datetime:
    """MLflow's time as ours."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
