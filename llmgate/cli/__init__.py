"""The command line. Commands only read options, call the session, and print; each imports what it needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmgate import __version__
from llmgate.cli.anchors import anchors_group
from llmgate.cli.calibrate import calibrate
from llmgate.cli.datasets import dataset_group, lock
from llmgate.cli.decide import decide, show_decision
from llmgate.cli.foreign import import_
from llmgate.cli.frame import EXIT_CODES, PATH, Group, run_options, visible_text
from llmgate.cli.judge import judge_group
from llmgate.cli.labels import labels_group
from llmgate.cli.power import power
from llmgate.cli.schema import schema
from llmgate.errors import EXIT_CANNOT_RUN
from llmgate.session.options import OPTIONS

if TYPE_CHECKING:
    from llmgate.session.settings import Settings

__all__ = ["main"]


MAIN_HELP = """A release gate for language models.

Runs versioned suites against a model on vLLM (or any OpenAI-compatible endpoint), compares it with the champion
by paired statistics, and says PASS, FAIL or INCONCLUSIVE.

\b
First steps:
  llmgate import promptfoo promptfooconfig.yaml                  # suites of another tool, or write your own
  llmgate dataset lock datasets/support.jsonl                    # once, and whenever rows change
  llmgate run suites/ --endpoint http://127.0.0.1:8000/v1        # absolute thresholds (min:)
  llmgate run suites/ --model new --baseline runs/champion       # paired comparison
  llmgate decide runs/candidate runs/champion                    # again, without a model
  llmgate promote models:/support-bot/7 --alias champion

Asserts, judges, datasets, imports and checks of your own: docs/cookbook/ in the repository.
"""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES, help=MAIN_HELP)
@click.version_option(__version__, prog_name="llmgate")
def main() -> None:
    """The command line."""


@main.command(epilog=EXIT_CODES)
@click.argument("suites", nargs=-1, type=PATH)
@run_options()
def run(suites: tuple[Path, ...], **options: Any) -> None:
    """Run SUITES (files or folders) and decide.

    Writes a run record, report.html, decision.json and verdict.json into --out. A run that was interrupted, or
    whose server died, goes on with --resume --out DIR; answers that it has are kept.

    Asserts that ask a judge need --judge-endpoint or --judge-model; panels and judges that suites name, --judges;
    similarities, --embed-endpoint. Checks of your own are found in the conftest.py beside a suite.
    code-executes runs code of the model only if the environment has LLMGATE_ALLOW_CODE=1.
    """
    from llmgate.record.watch import RunLock
    from llmgate.session.models import check_models
    from llmgate.session.outcome import decide_run, note_baseline, resolve_baseline
    from llmgate.session.plan import plan_paths
    from llmgate.session.progress import LineProgress
    from llmgate.session.publish import publish
    from llmgate.session.run import execute
    from llmgate.session.settings import settings_from

    settings = settings_from(options, root=Path.cwd())
    progress = LineProgress()
    out = out_folder(settings)
    progress.stage("loading suites")
    plan = plan_paths(suites, settings)
    check_models(settings, plan)
    for warning in (one for suite in plan.suites for one in suite.warnings):
        click.secho(f"warning: {visible_text(warning)}", err=True, fg="yellow")
    baseline = resolve_baseline(settings, out)
    with RunLock(out):
        note_baseline(out, baseline)
        execute(settings, lambda: plan, out=out, progress=progress)
    progress.stage("deciding")
    decision = decide_run(out, baseline, settings)
    published = publish(out, decision, baseline, settings)
    show_decision(decision)
    for line in published.lines():
        click.echo(line)
    sys.exit(decision.exit_code)


def out_folder(settings: Settings) -> Path:
    """The run's folder."""
    from llmgate.session.folder import default_out

    return Path(settings.out) if settings.out else default_out()


@main.command()
@click.argument("candidate", type=PATH)
@click.argument("baseline", required=False, type=PATH)
@click.option("--policy", type=PATH, metavar="FILE", help="Policy file that overrides the one in the record.")
@click.option(
    "--labels", type=PATH, multiple=True, metavar="FILE", help="What people say: see `llmgate labels sample`."
)
def report(candidate: Path, baseline: Path | None, *, policy: Path | None, labels: tuple[Path, ...]) -> None:
    """Write the report of a run again, from its record.

    CANDIDATE and BASELINE are folders of runs. Writes report.html, summary.md, decision.json and verdict.json into
    the candidate's folder; needs neither a model nor a network.
    """
    from llmgate.session.outcome import Baseline, decide_folders
    from llmgate.session.publish import write_report

    decision = decide_folders(candidate, baseline, policy=policy, labels=labels)
    click.echo(write_report(candidate, decision, Baseline(folder=str(baseline)) if baseline else None))


@main.command("github-summary")
@click.argument("run_folder", metavar="RUN", type=PATH)
@click.option("--exit-code", type=int, required=True, metavar="N", help="What `llmgate run` ended with.")
def github_summary(run_folder: Path, exit_code: int) -> None:
    """Write the step outputs and the job summary of a RUN in GitHub Actions, and print one annotation.

    Works where the gate could not run: the verdict is then ERROR, with the reason. Always exits with 0; the output
    `exit-code` says what the job should end with.
    """
    from llmgate.session.github import announce

    click.echo(announce(run_folder, exit_code=exit_code).annotation, nl=False)


@main.command()
@click.argument("suites", nargs=-1, type=PATH)
@run_options(
    frozenset(
        {"model", "endpoint", "served-name", "api-key-env", "server-args", "server-python", "port", "startup-timeout"}
    )
)
@click.option("--requests", type=click.IntRange(1), default=64, show_default=True, help="Requests to measure.")
@click.option("--in-flight", type=click.IntRange(1), default=8, show_default=True, help="Requests in flight at once.")
@click.option("--max-tokens", type=click.IntRange(2), default=64, show_default=True, help="Tokens per answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, with the keys of `vllm bench serve`.")
def bench(
    suites: tuple[Path, ...], *, requests: int, in_flight: int, max_tokens: int, as_json: bool, **options: Any
) -> None:
    """Measure serving throughput and latency with the prompts of SUITES.

    A closed loop at fixed concurrency. The measurement checks itself and says INVALID where it must not be believed.
    """
    from llmgate.session.bench import bench_endpoint, bench_lines
    from llmgate.session.progress import LineProgress
    from llmgate.session.settings import settings_from

    given = {option.field: None for option in OPTIONS} | options
    summary = bench_endpoint(
        suites,
        settings_from(given, root=Path.cwd()),
        requests=requests,
        concurrency=in_flight,
        max_tokens=max_tokens,
        progress=LineProgress(),
    )
    for line in bench_lines(summary, as_json=as_json):
        click.echo(line)
    if summary.invalid:
        sys.exit(EXIT_CANNOT_RUN)


@main.command()
@click.argument("uri")
@click.option("--alias", default="champion", show_default=True, help="The alias to set.")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def promote(uri: str, alias: str, mlflow_uri: str | None) -> None:
    """Set an alias on a registered version, if a PASS verdict for exactly that version allows it.

    URI is models:/NAME/VERSION. The decision is taken again from the records that the gate logged to MLflow; no tag
    is trusted. Exits with 1 and one sentence if it is refused.
    """
    from llmgate.session.promotion import promote_version

    promotion = promote_version(uri, alias, mlflow_uri=mlflow_uri)
    click.secho(promotion.decision.sentence, fg="green")
    before = f" (was {promotion.over.uri})" if promotion.over else ""
    verb = "is now" if promotion.changed else "already is"
    click.echo(f"{promotion.version.uri} {verb} {alias}{before}")


@main.command(epilog=EXIT_CODES)
@click.option("--folder", type=PATH, default=Path(".demo"), show_default=True, help="Where models and runs go.")
def demo(folder: Path) -> None:
    """Show the gate at work on a real small model, without a GPU.

    Fetches SmolLM2-135M, makes two candidates from it (re-saved, and one with layers removed), runs the suites on
    all three, logs to MLflow, decides, and promotes the one that deserves it.
    """
    from llmgate.demo.run import run_demo

    sys.exit(run_demo(folder))


main.add_command(calibrate)
main.add_command(dataset_group)
main.add_command(decide)
main.add_command(lock)
main.add_command(import_)
main.add_command(judge_group)
main.add_command(labels_group)
main.add_command(anchors_group)
main.add_command(schema)
main.add_command(power)
