"""`llmgate report` and `llmgate github-summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmgate.cli.frame import PATH, Command

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["github_summary", "report"]


@click.command(cls=Command)
@click.argument("candidate", type=PATH)
@click.argument("baseline", required=False, type=PATH)
@click.option("--policy", type=PATH, metavar="FILE", help="Policy file that overrides the one in the record.")
@click.option(
    "--labels", type=PATH, multiple=True, metavar="FILE", help="What people say: see `llmgate labels sample`."
)
@click.option("--attempts", type=PATH, metavar="DIR", help="Where attempts are counted. [default: .llmgate/attempts]")
def report(
    candidate: Path, baseline: Path | None, *, policy: Path | None, labels: tuple[Path, ...], attempts: Path | None
) -> None:
    """Write the report of a run again, from its record.

    CANDIDATE and BASELINE are folders of runs. Writes report.html, summary.md, decision.json and verdict.json into
    the candidate's folder; needs neither a model nor a network.
    """
    from llmgate.session.attempts.place import attempts_at
    from llmgate.session.decide.publish import write_report
    from llmgate.session.decide.records import Baseline, decide_folders

    decision = decide_folders(candidate, baseline, policy=policy, labels=labels, attempts=attempts_at(attempts))
    click.echo(write_report(candidate, decision, Baseline(folder=str(baseline)) if baseline else None))


@click.command("github-summary", cls=Command)
@click.argument("run_folder", metavar="RUN", type=PATH)
@click.option("--exit-code", type=int, required=True, metavar="N", help="What `llmgate run` ended with.")
def github_summary(run_folder: Path, exit_code: int) -> None:
    """Write the step outputs and the job summary of a RUN in GitHub Actions, and print one annotation.

    Works where the gate could not run: the verdict is then ERROR, with the reason. Always exits with 0; the output
    `exit-code` says what the job should end with.
    """
    from llmgate.session.decide.github import announce

    click.echo(announce(run_folder, exit_code=exit_code).annotation, nl=False)
