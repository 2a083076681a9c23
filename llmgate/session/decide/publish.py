"""A decision → files beside the record, MLflow, the job summary. Acts upon a decision; never changes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.gate.decision.statement import decision_to_json, statement
from llmgate.record.disk import read_regular, write_atomic
from llmgate.record.run.watch import RunLock
from llmgate.report.formats.html import render_html
from llmgate.report.formats.markdown import render_markdown
from llmgate.report.view import build_view
from llmgate.session.attempts.note import has_note, read_note
from llmgate.session.clock import timestamp
from llmgate.session.decide.github import DECISION_NAME, RESULT_NAMES
from llmgate.session.decide.opened import OpenedRecords
from llmgate.session.progress import LineProgress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.generate.sources.place import Place
    from llmgate.promote.target import AttemptName, NewVersion
    from llmgate.record.manifest import ModelIdentity
    from llmgate.record.schema import Record
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.report.rows import ReportView
    from llmgate.session.decide.records import Baseline
    from llmgate.session.settings.typed import Settings

__all__ = ["Published", "new_version", "publish", "taken", "view_of", "withdraw", "write_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where the results are.

    Attributes:
        report: The HTML report.
        version: The registered version that was judged, `models:/NAME/VERSION`, where there is one.
        mlflow_run: MLflow's id of the run, None if it was not logged.
        mlflow_url: Its page, where there is a server.
        signed: The signed verdict that the registry has; why there is none, where a part of what it takes was at hand;
            None where nobody asked for one.
    """

    report: Path
    version: str | None = None
    mlflow_run: str | None = None
    mlflow_url: str | None = None
    signed: str | None = None

    def lines(self) -> list[str]:
        """One line per place."""
        lines = [f"report: {self.report}", f"record: {self.report.parent}"]
        if self.version:
            lines.append(f"version: {self.version}")
        if self.mlflow_run:
            lines.append(f"mlflow: {self.mlflow_url or self.mlflow_run}")
        if self.signed:
            lines.append(f"signed: {self.signed}")
        return lines


def view_of(candidate: Record, champion: Record | None, decision: Decision) -> ReportView:
    """What every report format shows."""
    return build_view(
        candidate,
        champion,
        decision,
        serving=summaries(candidate.serving),
        champion_serving=summaries(champion.serving) if champion else (),
    )


def summaries(serving: Sequence[ServingTrace]) -> tuple[ServingSummary, ...]:
    """What measurements of serving come to."""
    if not serving:
        return ()
    # What reads timings: only who measured serving pays for it, here and below.
    from llmgate.gate.serving.summary import summarise  # noqa: PLC0415

    return tuple(summarise(trace) for trace in serving)


def told(record: Record) -> list[dict[str, object]]:
    """Measurements on two arms as a statement tells them."""
    if not record.arms:
        return []
    from llmgate.gate.serving.arms_told import told_arms  # noqa: PLC0415 - see `summaries`

    return told_arms(record.arms, record.manifest.policy)


def write_report(
    out: Path, decision: Decision, baseline: Baseline | None, records: OpenedRecords | None = None
) -> Path:
    """Write report.html, summary.md, decision.json and verdict.json beside the record.

    Args:
        out: Folder of the record.
        decision: What was decided on it.
        baseline: The champion's record.
        records: What the decision read of them.

    Returns:
        The HTML report.
    """
    records = records or OpenedRecords()
    candidate = records.of(out)
    champion = records.of(baseline.folder) if baseline else None
    view = view_of(candidate, champion, decision)
    write_atomic(out / "decision.json", decision_to_json(decision).encode())
    verdict = statement(
        decision,
        candidate=candidate.manifest,
        issued_at=timestamp(),
        arms=told(candidate),
    )
    write_atomic(out / "verdict.json", json.dumps(verdict, indent=2, sort_keys=True, allow_nan=False).encode())
    write_atomic(out / "summary.md", render_markdown(view).encode())
    write_atomic(out / "report.html", render_html(view).encode())
    return out / "report.html"


def publish(
    out: Path,
    decision: Decision,
    baseline: Baseline | None,
    settings: Settings,
    records: OpenedRecords | None = None,
) -> Published:
    """Write the report, log to MLflow if asked to, and sign the verdict for the version that was judged.

    Signing comes last: whatever is in the record, on the run and on the version by then is what was signed for.

    Args:
        out: Folder of the record.
        decision: What was decided on it.
        baseline: The champion's record.
        settings: The options.
        records: What the decision read of them.

    Raises:
        RecordError: If a file cannot be written.
        CannotRunError: If MLflow cannot be reached or refuses, or the verdict cannot be signed or posted.
    """
    records = records or OpenedRecords()
    report = write_report(out, decision, baseline, records)
    if not settings.mlflow_uri:
        return note_published(Published(report=report))
    # The registry client is an extra: only who names a server pays for it, and for what is told to it.
    from llmgate.promote.registries import open_registry  # noqa: PLC0415
    from llmgate.promote.target import GateRun  # noqa: PLC0415
    from llmgate.session.decide.attestation import post_verdict, signing_of, why_not_signed  # noqa: PLC0415

    signing = signing_of(settings)
    registry = open_registry(settings.mlflow_uri, experiment=settings.mlflow_experiment, create=True)
    record = records.of(out)
    new = new_version(settings, record.manifest.model) if settings.mlflow_model else None
    logged = registry.log(
        GateRun(
            folder=out,
            decision=decision,
            decision_json=out / "decision.json",
            verdict_json=out / "verdict.json",
            report=report,
            baseline=Path(baseline.folder) if baseline else None,
            baseline_uri=baseline.uri if baseline else None,
            serving=serving_figures(record),
            attempt=attempt_name(out),
        ),
        subject=settings.registry_uri,
        new=new,
    )
    published = Published(
        report=report,
        version=logged.version.uri if logged.version else None,
        mlflow_run=logged.run_id,
        mlflow_url=logged.url,
    )
    # Noted before the signature, too: what was logged is there, whether it can be signed or not.
    note_published(published)
    if logged.version is None:
        return published
    if signing is None:
        why = why_not_signed(settings)
        return replace(published, signed=f"no, {why}") if why else published
    version = registry.version(logged.version.name, logged.version.version)
    posted = post_verdict(registry, version, logged.run_id, out, decision=decision, baseline=baseline, signing=signing)
    return note_published(replace(published, signed=str(posted)))


def attempt_name(out: Path) -> AttemptName | None:
    """Which attempt a run is by what stands beside its record, None where it was not counted.

    Raises:
        RecordError: If what stands there cannot be read.
    """
    # As in `publish`.
    from llmgate.promote.target import AttemptName  # noqa: PLC0415

    if not has_note(out):
        return None
    own = read_note(out).own
    return AttemptName(key=own.key, id=own.id, number=own.number)


def withdraw(out: Path) -> None:
    """Remove what an earlier decision left in a run's folder: a run that goes on has none until it takes its own.

    Raises:
        RecordError: If another process is writing to the folder.
    """
    if any((out / name).exists() for name in RESULT_NAMES):
        with RunLock(out):
            for name in RESULT_NAMES:
                (out / name).unlink(missing_ok=True)


def taken(out: Path, decision: Decision) -> Decision:
    """The decision, once it is seen to lie in the run's folder: nothing else lets a run end with 0.

    Raises:
        RecordError: If another one lies there, or none.
    """
    path = out / DECISION_NAME
    try:
        same = read_regular(path) == decision_to_json(decision).encode()
    except OSError:
        same = False
    if not same:
        raise RecordError("the decision that was taken does not lie here", where=str(path), fix="Run `llmgate decide`")
    return decision


def note_published(published: Published) -> Published:
    """Write down beside the record where the results are, for other processes."""
    noted = {name: getattr(published, name) for name in ("version", "mlflow_run", "mlflow_url", "signed")}
    write_atomic(published.report.with_name("published.json"), json.dumps(noted, indent=2).encode())
    return published


def new_version(settings: Settings, model: ModelIdentity) -> NewVersion:
    """The version to register: the model folder, where it lies in an object store, or what the endpoint says it serves.

    Of an adapter that is the adapter alone; the digest on the version is that of adapter and base.

    Args:
        settings: The options.
        model: What was judged.

    Raises:
        CannotRunError: If a model that was fetched cannot be had once more.
    """
    # As in `publish`.
    from llmgate.generate.sources.place import ObjectFolder, read_place  # noqa: PLC0415
    from llmgate.promote.target import NewVersion  # noqa: PLC0415

    name = settings.mlflow_model or ""
    named = settings.adapter.get(model.name) if model.adapter else settings.model
    if not named:
        return NewVersion(name=name, source=model.source, upload=False)
    known = settings.fetched.get(named)
    place = read_place(known.source if known is not None else named)
    if isinstance(place, ObjectFolder):
        return NewVersion(name=name, source=place.text.rstrip("/"), upload=False)
    folder = known.folder if known is not None else _folder_of(settings, place, model)
    # An MLflow server takes a local folder only as an artifact of the run.
    remote = (settings.mlflow_uri or "").startswith(("http://", "https://"))
    return NewVersion(name=name, source=str(folder), upload=remote)


def _folder_of(settings: Settings, place: Place, model: ModelIdentity) -> Path:
    """The folder that was judged; a branch may have moved since then."""
    from llmgate.generate.sources.place import Folder, HubModel  # noqa: PLC0415 - as in `publish`

    if isinstance(place, Folder) and not model.revision:
        return Path(place.path).expanduser().resolve()
    # A model that is registered out of the hub's cache, or out of a run: few are.
    from llmgate.generate.sources.local import bring_home  # noqa: PLC0415

    if isinstance(place, Folder | HubModel):
        repo = place.repo if isinstance(place, HubModel) else place.text
        place = HubModel(text=place.text, repo=repo, revision=model.revision)
    quiet = LineProgress(lambda _: None)
    return bring_home(place, tracking_uri=settings.mlflow_uri, code=False, cache=None, progress=quiet).folder


def serving_figures(record: Record) -> Mapping[str, float]:
    """Figures of valid serving measurements, by measurement and name. Invalid ones are not logged as numbers.

    Of a suite that was measured on two arms, the medians over the candidate's runs, if each of them is valid.
    """
    figures = {
        f"{summary.name}/{name}": value
        for summary in summaries(record.serving)
        if not summary.invalid
        for name, value in summary.metrics.items()
    }
    for arms in record.arms:
        from llmgate.gate.serving.arm_figures import read_arms  # noqa: PLC0415 - see `summaries`

        runs = [candidate for candidate, _ in read_arms(arms).pairs]
        valid = [run.summary.metrics for run in runs if run is not None and not run.doubt]
        if valid and len(valid) == len(runs):
            shared = set.intersection(*(set(metrics) for metrics in valid))
            figures |= {f"{arms.plan.suite}/{name}": median(it[name] for it in valid) for name in sorted(shared)}
    return figures
