"""`llmgate champion refresh`: ask the champion again after its promotion, so that later candidates meet a fair run."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError, UsageError
from llmgate.gate.decide_records import decide_records
from llmgate.promote.earned import read_earned
from llmgate.promote.refreshed import log_refresh, may_stand_in
from llmgate.promote.registries import open_registry
from llmgate.promote.target import GateRun, parse_model_uri
from llmgate.record.run.loading import load_record
from llmgate.record.run.watch import RunLock
from llmgate.report.visible import one_line
from llmgate.report.words import percent
from llmgate.session.clock import today
from llmgate.session.decide.opened import OpenedRecords
from llmgate.session.decide.publish import write_report
from llmgate.session.decide.records import decide_run, note_baseline
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.reach.sources import localised
from llmgate.session.reach.target import open_target
from llmgate.session.run.champion import champion_place
from llmgate.session.run.execute import asking, check_folder, finish, judge_runs, nothing_left_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from llmgate.promote.earned import Earned
    from llmgate.promote.target import Registry, VersionFacts  # noqa: TC004 - nothing reads the annotation
    from llmgate.record.manifest import Manifest
    from llmgate.record.schema import Record
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["Refreshed", "refresh_champion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The champion's fresh run.

    Attributes:
        folder: Its record.
        version: The version that holds the alias.
        lines: What to say of it.
    """

    folder: Path
    version: VersionFacts
    lines: tuple[str, ...]


def refresh_champion(
    uri: str, settings: Settings, plan: Callable[[], Plan], *, out: Path, progress: Progress
) -> Refreshed:
    """Ask whoever holds an alias the questions of its suites again, and keep the run where later baselines are found.

    Args:
        uri: `models:/NAME`.
        settings: The options; the model is the champion's, and need only be named where its folder has moved, or it is
            an adapter.
        plan: Returns what to ask; called once.
        out: Folder of the record.
        progress: Told about every stage.

    Raises:
        UsageError: If the URI names no model, or suites of the run that earned the alias are not asked.
        CannotRunError: If nobody holds the alias, what earned it was not kept, or its weights are not at hand.
        LlmgateError: As a run.
    """
    name, alias = parse_model_uri(uri), settings.alias
    registry = open_registry(settings.mlflow_uri, experiment=settings.mlflow_experiment)
    holder = registry.holder(name, alias)
    if holder is None:
        raise CannotRunError("no version holds this alias", where=f"models:/{name}@{alias}", fix="Promote one first")
    check_folder(settings, out)
    settings = as_baseline(localised(settings, progress))
    with tempfile.TemporaryDirectory(prefix="llmgate-refresh-") as folder:
        earned = earned_by(registry, holder, alias, Path(folder))
        manifest = earned.record.manifest
        planned = replace(plan(), looks=())
        changed = check_suites(planned, manifest)
        told, opened = reach(settings, manifest, out=out, progress=progress)
        progress.stage(f"asking {holder.uri} again, which holds the alias {one_line(alias, 60)}")
        with ExitStack() as run:
            run.enter_context(nothing_left_behind(out))
            run.enter_context(RunLock(out, redact=redactor(settings)))
            note_baseline(out, None)
            asked = run.enter_context(
                asking(told, lambda: planned, out=out, progress=progress, opened=lambda: checked(opened, manifest))
            )
            judge_runs([asked], progress=progress)
            finish(asked, progress=progress)
        records = OpenedRecords()
        record = records.of(out)
        lines = [changed] if changed else list(confirmation(record, load_record(earned.files.candidate)))
    decision = decide_run(out, None, told, records)
    report = write_report(out, decision, None, records)
    done = GateRun(folder=out, decision=decision, decision_json=out / "decision.json", report=report)
    run_id, url = log_refresh(registry, holder, alias, done)
    lines.append(f"record: {out}")
    lines.append(f"mlflow: {url or run_id}")
    if may_stand_in(earned):
        lines.append(f"compared with from now on: --baseline models:/{name}@{alias}")
    else:
        lines.append(
            f"models:/{name}@{alias} stays the run that its signed verdict names, as nothing signs this one: give this "
            f"one by its folder, --baseline {out}, or have the champion asked beside each candidate, --champion fresh"
        )
    return Refreshed(folder=out, version=holder, lines=tuple(lines))


def as_baseline(settings: Settings) -> Settings:
    """The options of a run that others are compared with."""
    return replace(
        settings,
        baseline=None,
        as_baseline=True,
        champion="stored",
        champion_adapter=None,
        cache=None,
        registry_uri=None,
        registry_id=None,
        mlflow_model=None,
    )


def earned_by(registry: Registry, holder: VersionFacts, alias: str, into: Path) -> Earned:
    """What earned the alias, whose weights are asked again.

    Raises:
        CannotRunError: If it was not kept, cannot be had, or an endpoint answered in it.
    """
    try:
        earned = read_earned(registry, holder, alias, into)
    except PromotionRefusedError as error:
        raise CannotRunError(error.what, where=holder.uri, fix="Mend that first") from error
    if earned is None:
        raise CannotRunError(
            f"version {holder.version} holds the alias {alias!r}, but what earned it was not kept",
            where=holder.uri,
            fix=f"Run `llmgate promote {holder.uri} --alias {alias}`, which keeps it",
        )
    manifest = earned.record.manifest
    if not manifest.server.owned or manifest.model.weights_digest is None:
        raise CannotRunError(
            "an endpoint answered in the run that earned the alias, and nothing shows that it serves the same now",
            where=holder.uri,
            fix="Have the champion asked beside each candidate instead: `llmgate run --champion fresh`",
        )
    return earned


def check_suites(plan: Plan, manifest: Manifest) -> str:
    """See that all suites of a run are asked; a line about those that changed since, "" for none.

    Raises:
        UsageError: If one is not asked.
    """
    asked = {planned.suite.name: planned for planned in plan.suites}
    missing = [suite.name for suite in manifest.suites if suite.name not in asked]
    if missing:
        raise UsageError(
            f"the run that earned the alias has suites that are not named: {one_line(', '.join(missing), 300)}",
            fix="Name the same files and folders as then",
        )
    changed = [
        suite.name
        for suite in manifest.suites
        if (suite.digest, suite.dataset_digest) != (asked[suite.name].suite.digest, asked[suite.name].dataset.digest)
    ]
    return f"changed since the promotion: {one_line(', '.join(changed), 300)}" if changed else ""


def reach(
    settings: Settings, manifest: Manifest, *, out: Path, progress: Progress
) -> tuple[Settings, Callable[[], AbstractContextManager[Target]]]:
    """The champion's options, and what opens it: its folder with the flags of its run, or an adapter of this run.

    Raises:
        CannotRunError: If its weights are not at hand.
    """
    log = out / "server.log"
    if manifest.model.adapter:
        if not (settings.model and settings.adapter):
            raise CannotRunError(
                f"the champion is the adapter {one_line(manifest.model.name, 80)}, and none is named",
                where="champion refresh",
                fix='Name it and its base: --model BASE --adapter "NAME=DIR"',
            )
        return settings, lambda: open_target(settings, log_path=log, progress=progress)
    place = champion_place(
        replace(settings, serving_champion=settings.model), manifest, log_path=log, progress=progress
    )
    source = place.model.source if place.model else manifest.model.source
    return replace(settings, model=source, served_name=None, adapter={}), place.open


@contextmanager
def checked(opened: Callable[[], AbstractContextManager[Target]], manifest: Manifest) -> Iterator[Target]:
    """A model that is up, once it is seen to be the champion.

    Raises:
        CannotRunError: If it is another one.
    """
    with opened() as target:
        if target.model.weights_digest != manifest.model.weights_digest:
            raise CannotRunError(
                f"{one_line(target.model.name, 80)} does not hold the weights that earned the alias",
                where="champion refresh",
                fix="Name those with --model, or --adapter for an adapter",
            )
        yield target


def confirmation(fresh: Record, earned: Record) -> Iterator[str]:
    """How the fresh run lies beside the one that earned the alias, of the same model: the difference is luck."""
    try:
        decision = decide_records(fresh, earned, fresh.manifest.policy, today=today())
    except LlmgateError as error:
        yield f"not held against the run that earned the alias: {one_line(error.what, 300)}"
        return
    for metric in decision.metrics:
        if metric.gates and metric.candidate is not None and metric.champion is not None and not metric.unit:
            where = one_line(f"{metric.suite}::{metric.metric}", 120)
            now, then = percent(metric.candidate), percent(metric.champion)
            told = "; that is more than luck explains: look at it" if metric.verdict == "FAIL" else ""
            yield f"{where}: {now} now, {then} in the run that earned the alias{told}"
