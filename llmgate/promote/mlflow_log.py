"""One MLflow run per gate run, and the version that it judged."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.promote import tags
from llmgate.promote.mlflow_client import calls, is_absent, without_credentials
from llmgate.promote.mlflow_target import (
    BASELINE_FOLDER,
    DECISION_FILE,
    RECORD_FOLDER,
    MlflowTarget,
    failing,
    instant,
    noted_verdicts,
)
from llmgate.promote.mlflow_values import (
    attempt_tags,
    dataset_facts,
    description,
    metric_datasets,
    run_metrics,
    run_params,
    run_tags,
    version_tags,
)
from llmgate.promote.target import LoggedRun, VersionFacts, parse_version_uri
from llmgate.record.artifact_store import local_path
from llmgate.record.policy import Binding
from llmgate.record.run.files import ATTEMPTS_KEPT, ATTEMPTS_NAME
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.entities import DatasetInput, Run

    from llmgate.promote.target import GateRun, NewVersion
    from llmgate.record.schema import Record

__all__ = ["MlflowRegistry"]

MODEL_FOLDER = "model"
BATCH = 100
"""MLflow takes at most this many params and tags in one request."""
CREATION_TIMEOUT_S = 60
CLOCKS_APART = timedelta(days=1)
"""A verdict that is said to be further in the future was not given by a clock that is merely wrong."""
OUR_NOTE = "**llmgate: "


class MlflowRegistry(MlflowTarget):
    """MLflow as a `Registry`: a promotion target that gate runs are logged to.

    Args:
        tracking_uri: Where the runs are.
        registry_uri: Where the models are.
        experiment: Name of the MLflow experiment of the runs; made if it does not exist.
        create: Whether a missing SQLite file may be created.
    """

    def __init__(self, tracking_uri: str, registry_uri: str, *, experiment: str, create: bool = False) -> None:
        super().__init__(tracking_uri, registry_uri, create=create)
        self.experiment = experiment

    def check(self, new: NewVersion | None) -> None:
        """Refuse what `log` would refuse, before anything is asked."""
        with calls(self.tracking_uri):
            experiment = self.client.get_experiment_by_name(self.experiment)
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise deleted_experiment(self.experiment)
        if new is not None:
            check_source(self, new)

    def log(self, run: GateRun, *, subject: str | None, new: NewVersion | None) -> LoggedRun:
        """Write everything, close the run, and only then write the version's tags."""
        record = load_record(run.folder)
        version = judged_version(self, record, subject, new)
        self.check(new)
        with calls(self.tracking_uri):
            name = f"{record.manifest.model.name} {record.manifest.run_id}"
            opened = self.client.create_run(
                experiment_id(self, self.experiment),
                run_name=name,
                tags=run_tags(
                    record.manifest,
                    run.decision,
                    subject=version.uri if version else None,
                    baseline=run.baseline_uri,
                ),
            )
        with failing(self, opened.info.run_id):
            with calls(self.tracking_uri):
                model_id = logged_model_of(self, version)
                log_values(self, opened, run, record, model_id)
                log_inputs(self, opened.info.run_id, record, model_id)
                log_files(self, opened.info.run_id, run, record)
            if new is not None:
                version = create(self, opened, run, new)
            ended_at = finish(self, opened.info.run_id, version)
        if version is not None:
            values = version_tags(
                record.manifest, run.decision, opened.info.run_id, ended_at=ended_at, attempt=run.attempt
            )
            if new is None and record.manifest.model.binding is not Binding.WEIGHTS:
                # Nothing showed that these weights are the version's, and a digest on a version says that they are.
                del values[tags.WEIGHTS_DIGEST]
            link(self, version, values, description(run.decision))
        return LoggedRun(run_id=opened.info.run_id, url=run_url(self, opened), version=version)


def judged_version(
    target: MlflowTarget, record: Record, subject: str | None, new: NewVersion | None
) -> VersionFacts | None:
    """The registered version that was judged, None if there is none yet."""
    measured = record.manifest.model.registry_uri
    named = {uri for uri in (measured, subject) if uri is not None}
    if len(named) > 1 or (named and new is not None):
        raise UsageError(
            f"the run judged {measured or subject} and cannot stand for another version",
            where=subject if new is None else f"models:/{new.name}",
            fix="Leave the version out, or run the gate on the other one",
        )
    return target.version(*parse_version_uri(named.pop())) if named else None


def check_source(target: MlflowTarget, new: NewVersion) -> None:
    """Refuse early what the registry would refuse late."""
    folder = local_folder(new.source)
    if folder is None:
        if new.upload:
            raise UsageError("only a folder can be uploaded", where=new.source, fix="Leave upload out")
        return
    if not folder.is_dir():
        raise UsageError("there is no model folder here", where=str(folder))
    if not new.upload and target.registry_uri.startswith(("http:", "https:")):
        raise UsageError(
            "an MLflow server takes a local folder only as an artifact of a run",
            where=str(folder),
            fix="Upload it with the run, or register the URI of a copy that the server can read, such as s3://…",
        )


def local_folder(source: str) -> Path | None:
    """The folder that a source names, None for a remote URI."""
    path = local_path(source)
    return path.absolute() if path is not None else None


def experiment_id(target: MlflowTarget, name: str) -> str:
    """The experiment, made if need be; somebody else may be making it right now."""
    experiment = target.client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return target.client.create_experiment(name)
        except Exception as error:
            if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = target.client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise deleted_experiment(name)
    return experiment.experiment_id


def deleted_experiment(name: str) -> UsageError:
    """There is one, and nothing can be logged to it."""
    return UsageError("this MLflow experiment was deleted", where=name, fix="Restore it or choose another name")


def log_values(target: MlflowTarget, opened: Run, run: GateRun, record: Record, model_id: str | None) -> None:
    """Params and metrics, in requests of a size that MLflow takes.

    Where the version has a logged model, the metrics are that model's too, each with its dataset.
    """
    from mlflow.entities import Metric, Param  # noqa: PLC0415 - an optional extra

    run_id, now = opened.info.run_id, int(time.time() * 1000)
    params = [Param(k, v) for k, v in run_params(record.manifest, run.baseline_uri).items()]
    measured_on = metric_datasets(run.decision, record.manifest) if model_id else {}
    metrics = []
    for name, value in run_metrics(run.decision, run.serving).items():
        dataset = measured_on.get(name)
        of_model = {"model_id": model_id} if model_id else {}
        if dataset is not None:
            of_model |= {"dataset_name": dataset.name, "dataset_digest": dataset.digest}
        metrics.append(Metric(name, value, now, 0, **of_model))
    for start in range(0, max(len(params), len(metrics)), BATCH):
        chunk = slice(start, start + BATCH)
        target.client.log_batch(run_id, metrics=metrics[chunk], params=params[chunk])


def logged_model_of(target: MlflowTarget, version: VersionFacts | None) -> str | None:
    """MLflow's id of the logged model behind a version, None if it has none on this server."""
    if version is None or not version.model_id:
        return None
    try:
        found: str = target.client.get_logged_model(version.model_id).model_id
    except Exception as error:
        # A source may still name a model that was deleted, or that lives on another server.
        if not is_absent(error):
            raise
        return None
    return found


def log_inputs(target: MlflowTarget, run_id: str, record: Record, model_id: str | None) -> None:
    """The datasets, and the logged model behind the version if it has one."""
    from mlflow.entities import LoggedModelInput  # noqa: PLC0415 - an optional extra

    models = [LoggedModelInput(model_id)] if model_id else []
    target.client.log_inputs(run_id, datasets=datasets(record), models=models)


def datasets(record: Record) -> list[DatasetInput]:
    """One dataset input per suite; the full digest stands beside the one that MLflow has room for."""
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415 - an optional extra

    return [
        DatasetInput(
            Dataset(name=d.name, digest=d.digest, source_type="local", source=json.dumps({"uri": d.path})),
            [
                InputTag("mlflow.data.context", "eval"),
                InputTag("llmgate.sha256", d.sha256),
                InputTag("llmgate.dataset_version", d.version[:BATCH]),
            ],
        )
        for d in map(dataset_facts, record.manifest.suites)
    ]


def log_files(target: MlflowTarget, run_id: str, run: GateRun, record: Record) -> None:
    """The records as they were sealed and nothing else of their folders, and what people read."""
    log_record(target, run_id, run.folder, record, RECORD_FOLDER)
    log_attempt(target, run_id, run)
    if run.baseline is not None:
        log_record(target, run_id, run.baseline, load_record(run.baseline), BASELINE_FOLDER)
    named = (("report.html", run.report), (DECISION_FILE, run.decision_json), ("verdict.json", run.verdict_json))
    for name, path in named:
        if path is None:
            continue
        if path.name != name:
            raise UsageError(f"this file must be called {name}", where=str(path))
        target.client.log_artifact(run_id, str(path))


def log_attempt(target: MlflowTarget, run_id: str, run: GateRun) -> None:
    """What tells of the attempt, and then the tags by which later ones find it: no tag is there without the files."""
    if run.attempt is None:
        return
    for name in (ATTEMPTS_NAME, ATTEMPTS_KEPT):
        target.client.log_artifact(run_id, str(run.folder / name), RECORD_FOLDER)
    for name, value in attempt_tags(run.attempt).items():
        target.client.set_tag(run_id, name, value)


def log_record(target: MlflowTarget, run_id: str, folder: Path, record: Record, into: str) -> None:
    """Exactly the files under the seal, and the seal."""
    sealed = record.seal.files if record.seal is not None else {}
    for name in (*sorted(sealed), "journal.jsonl", "seal.json"):
        target.client.log_artifact(run_id, str(folder / name), into)


def create(target: MlflowTarget, opened: Run, run: GateRun, new: NewVersion) -> VersionFacts:
    """Register the candidate, as a candidate: without any alias."""
    run_id, folder = opened.info.run_id, local_folder(new.source)
    source = new.source if folder is None else folder.as_uri()
    with calls(target.registry_uri):
        if folder is not None and new.upload:
            target.client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
            source = f"{opened.info.artifact_uri}/{MODEL_FOLDER}"
        try:
            target.client.create_registered_model(new.name)
        except Exception as error:
            if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                raise
        made = target.client.create_model_version(
            new.name, source, run_id, description=description(run.decision), await_creation_for=CREATION_TIMEOUT_S
        )
        uri = f"models:/{new.name}/{made.version}"
        target.client.set_tag(run_id, tags.SUBJECT, uri)
    return target.version(new.name, str(made.version))


def finish(target: MlflowTarget, run_id: str, version: VersionFacts | None) -> datetime:
    """Close the run: after the version that it judged was created, and after all other verdicts of that version.

    The clocks of the registry and of other machines may be ahead of ours, and the order of verdicts must not depend on
    whose is right.
    """
    ended_at = datetime.now(UTC)
    if version is not None:
        version = target.version(version.name, version.version)
        noted = [past.ended_at + timedelta(milliseconds=1) for past in noted_verdicts(version)]
        ended_at = max(ended_at, version.created_at, *(then for then in noted if then - ended_at < CLOCKS_APART))
    with calls(target.tracking_uri):
        milliseconds = int(ended_at.timestamp() * 1000)
        target.client.set_terminated(run_id, "FINISHED", milliseconds)
    return instant(milliseconds)


def link(target: MlflowTarget, version: VersionFacts, values: Mapping[str, str | None], note: str) -> None:
    """Point from the version to its gate run; a description that somebody else wrote stays."""
    target.annotate(
        version.name, version.version, {k: v for k, v in values.items() if v is not None or k in version.tags}
    )
    with calls(version.uri):
        if not version.description or version.description.startswith(OUR_NOTE):
            target.client.update_model_version(version.name, version.version, note)


def run_url(target: MlflowTarget, opened: Run) -> str | None:
    """The page of the run, None without a server."""
    if not target.tracking_uri.startswith(("http:", "https:")):
        return None
    base = without_credentials(target.tracking_uri).rstrip("/")
    return f"{base}/#/experiments/{opened.info.experiment_id}/runs/{opened.info.run_id}"
