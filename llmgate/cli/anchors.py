"""`llmgate anchors`: freeze judged answers, to see whether the judge changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Group, show_lines
from llmgate.cli.options import run_options

__all__ = ["anchors_group"]


@click.group("anchors", cls=Group)
def anchors_group() -> None:
    """Answers with a stored verdict, which the judge is asked about again in every run."""


@anchors_group.command(short_help="Take judged answers of a run as anchors.")
@click.argument("run_folder", metavar="RUN", type=PATH)
@click.argument("suites", nargs=-1, required=True, type=PATH)
@click.option("--metric", required=True, metavar="SUITE/METRIC", help="The judged metric.")
@click.option("--number", type=click.IntRange(1), default=200, show_default=True, help="How many anchors.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the choice.")
@click.option("--out", type=PATH, default=Path("anchors.jsonl"), show_default=True, help="The file.")
@run_options(frozenset({"allow-outside"}))
def freeze(
    run_folder: Path, suites: tuple[Path, ...], *, metric: str, number: int, seed: int, out: Path, **options: Any
) -> None:
    """Take answers of RUN with what the judge said of them, half of each verdict where possible.

    SUITES are those of the run. Name the file with --judge-anchors in later runs: a judge whose verdicts on it changed
    cannot gate. Keep it as it is; freezing anew is for a new judge.
    """
    from llmgate.session.run.anchors import freeze_anchors
    from llmgate.session.run.plan import plan_paths
    from llmgate.session.settings.combined import settings_from

    settings = settings_from(options, root=Path.cwd())
    done = freeze_anchors(plan_paths(suites, settings), run_folder, metric=metric, number=number, seed=seed, out=out)
    show_lines([f"{done.path}: {done.passed:,} anchors that pass and {done.failed:,} that fail"])
