"""`llmgate run`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmgate.cli.decide import show_decision
from llmgate.cli.frame import EXIT_CODES, PATH, DecidingCommand, Undecided, show_lines, visible_text
from llmgate.cli.options import run_options
from llmgate.errors import LlmgateError
from llmgate.session.garbage import collected, uncollected

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.gate.decision.types import Decision
    from llmgate.record.manifest import Shard
    from llmgate.record.schema import Record
    from llmgate.session.run.fresh_champion import ComparedWith
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings

__all__ = ["run"]


@click.command(cls=DecidingCommand, epilog=EXIT_CODES)
@click.argument("suites", nargs=-1, type=PATH)
@click.option("--lock", is_flag=True, help="Lock datasets that have no lock yet, after showing what is locked.")
@run_options()
def run(suites: tuple[Path, ...], *, lock: bool, **options: Any) -> Decision | Undecided:
    """Run SUITES (files or folders) and decide.

    Of a folder, YAML and JSON files with the top-level key `llmgate` are run. Files that might be suites and are not
    run are listed; what looks like a suite and cannot be read as one is an error.

    Writes a run record, report.html, decision.json and verdict.json into --out. A run that was interrupted, or
    whose server died, goes on with --resume --out DIR; answers that it has are kept.

    Where the champion's weights are at hand, or with --champion fresh|DIR|URL, the champion is asked again beside the
    candidate; with --adapter "new=DIR old=DIR" --champion-adapter old, by one start of their server. Its record goes
    to a folder beside --out, named like it with "-champion" at its end.
    With --shard I/N it asks a part and decides nothing: merge all parts with llmgate merge.

    Asserts that ask a judge need --judge-endpoint or --judge-model; panels and judges that suites name, --judges;
    similarities, --embed-endpoint. Checks of your own are found in the conftest.py beside a suite.
    code-executes runs code of the model only if the environment has LLMGATE_ALLOW_CODE=1.
    """
    click.get_current_context().with_resource(uncollected())
    from llmgate.record.run.content_digest import content_digest
    from llmgate.record.run.files import read_arms
    from llmgate.record.run.watch import RunLock
    from llmgate.session.decide.opened import OpenedRecords
    from llmgate.session.decide.publish import publish, taken, withdraw
    from llmgate.session.decide.records import decide_run, note_baseline
    from llmgate.session.progress import LineProgress
    from llmgate.session.reach.known_secrets import redactor
    from llmgate.session.run.execute import check_folder, nothing_left_behind
    from llmgate.session.run.fresh_champion import compared_with
    from llmgate.session.run.models import check_models
    from llmgate.session.run.plan import plan_paths
    from llmgate.session.run_folder import default_out
    from llmgate.session.settings.combined import settings_from

    settings = settings_from(options, root=Path.cwd())
    progress = LineProgress()
    out = Path(settings.out) if settings.out else default_out()
    check_folder(settings, out)
    withdraw(out)
    progress.stage("loading suites")
    if lock:
        from llmgate.session.commands.first_locks import lock_missing

        show_lines(lock_missing(suites))
    # Handed over whole: of 200,000 cases nobody may still hold the plan when the record is read.
    planned = [plan_paths(suites, settings)]
    check_models(settings, planned[0])
    warn_of_suites(planned[0])
    compared = compared_with(settings, out, progress=progress)
    baseline = compared.baseline
    warn_of_serving(settings, planned[0], compared)
    records = OpenedRecords()
    with collected(), nothing_left_behind(out), RunLock(out, redact=redactor(settings)):
        note_baseline(out, baseline)
        record = chosen_execute(compared)(settings, planned.pop, out=out, progress=progress)
    if record.manifest.shard is not None:
        return ended_part(record, record.manifest.shard, out)
    records.keep(out, record)
    progress.stage("deciding")
    decision = decide_run(out, baseline, settings, records)
    arms = read_arms(out)
    try:
        published = publish(out, decision, baseline, settings, records)
    except LlmgateError:
        # Whoever cannot be told by the registry is told here.
        show_decision(decision, arms)
        raise
    show_decision(decision, arms)
    for line in published.lines():
        click.echo(line)
    click.echo(f"content: {content_digest(record)}")
    if decision.is_baseline:
        click.secho(f"recorded as baseline: compare later runs with --baseline {visible_text(str(out))}", fg="green")
    return taken(out, decision)


def chosen_execute(compared: ComparedWith) -> Callable[..., Record]:
    """The candidate alone, or its champion beside it."""
    if compared.choice.fresh:
        from llmgate.session.commands.both_arms import execute_both

        return partial(execute_both, choice=compared.choice, baseline=compared.stored)
    from llmgate.session.run.execute import execute

    return execute


def warn_of_serving(settings: Settings, plan: Plan, compared: ComparedWith) -> None:
    """Say what keeps serving from being compared, where a suite measures it."""
    if not any(suite.suite.serving for suite in plan.suites):
        return
    from llmgate.session.run.serving_arms import serving_warnings

    for line in serving_warnings(settings, plan, Path(compared.stored.folder) if compared.stored else None):
        click.secho(visible_text(line), err=True, fg="yellow")


def warn_of_suites(plan: Plan) -> None:
    """Say what is not run, and what of the suites somebody should look at."""
    for line in plan.left_out:
        click.secho(visible_text(line), err=True, fg="yellow" if line.startswith("not run") else None)
    for suite in plan.suites:
        for warning in suite.warnings:
            click.secho(f"warning: {visible_text(warning)}", err=True, fg="yellow")


def ended_part(record: Record, shard: Shard, out: Path) -> Undecided:
    """Say that a shard is recorded and decides nothing."""
    from llmgate.record.order import shard_cases
    from llmgate.record.run.content_digest import content_digest

    asked, whole = len(shard_cases(record.cases, shard)), len(record.cases)
    text = (
        f"NO DECISION: shard {shard.name} is recorded, {asked:,} of {whole:,} {'case' if whole == 1 else 'cases'}."
        f" A part decides nothing: merge all {shard.of} with `llmgate merge SHARD... --out DIR`; this one is {out}"
    )
    click.echo(f"content: {content_digest(record)}")
    click.secho(visible_text(text), fg="yellow")
    return Undecided()
