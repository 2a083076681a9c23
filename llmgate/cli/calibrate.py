"""`llmgate calibrate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llmgate.cli.frame import PATH, Command
from llmgate.errors import EXIT_FAIL

__all__ = ["calibrate"]


@click.command("calibrate", cls=Command)
@click.option("--out", type=PATH, default=Path("calibration"), show_default=True, help="Folder for the results.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all draws.")
@click.option("--quick", is_flag=True, help="A tenth of the data sets: for a look, not for a release.")
def calibrate(*, out: Path, seed: int, quick: bool) -> None:
    """Measure how often the gate errs, on results whose truth is known.

    Writes calibration.md and calibration.json into --out. Exits with 0 if every figure that a release must show is
    shown, with 1 and the names of those that are not.
    """
    from llmgate.report.calibration import calibration_lines
    from llmgate.session.calibrate import Effort, write_calibration
    from llmgate.session.calibrate import calibrate as measure
    from llmgate.session.progress import LineProgress

    found = measure(effort=Effort.of(quick=quick), seed=seed, progress=LineProgress())
    words = ["llmgate calibrate", *(["--quick"] if quick else []), f"--seed {seed}"]
    files = write_calibration(found, out, command=" ".join(words))
    colours = {"good": "green", "bad": "red", "warn": "yellow"}
    for text, style in calibration_lines(found):
        click.secho(text, fg=colours.get(style), bold=style == "strong")
    for path in files:
        click.echo(path)
    if not found.met:
        sys.exit(EXIT_FAIL)
