"""`llmgate calibrate`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from llmgate.cli.frame import PATH, Command, visible_text
from llmgate.errors import EXIT_FAIL, EXIT_PASS

__all__ = ["calibrate"]


@click.command("calibrate", cls=Command)
@click.argument("folder", required=False, type=PATH)
@click.option("--out", type=PATH, default=Path("calibration"), show_default=True, help="Folder for the results.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all draws.")
@click.option("--quick", is_flag=True, help="About a tenth of the data sets: for a first look, not for a release.")
@click.option("--jobs", type=int, metavar="N", help="Processes [default: one per core, one with --quick].")
def calibrate(folder: Path | None, *, out: Path, seed: int, quick: bool, jobs: int | None) -> int:
    r"""Measure how often the gate errs, on results whose truth is known.

    Results are simulated; with FOLDER they are also drawn from real ones, of which it holds NAME.jsonl or
    NAME.jsonl.gz with a row per item and system:

    \b
      {"item_id": "q-17", "system": "model-a", "score": 1, "cluster": null}

    Writes calibration.html, calibration.md and calibration.json into --out. Exits with 0 if every figure that a
    release must show is shown, with 1 and the names of those that are not.
    """
    from llmgate.report.calibration.tables import calibration_lines
    from llmgate.session.commands.calibrate import Effort, RealData, make_folder, read_folder, write_calibration
    from llmgate.session.commands.calibrate import calibrate as measure
    from llmgate.session.progress import LineProgress

    progress = LineProgress()
    if folder is not None:
        progress.stage(f"reading {visible_text(str(folder))}")
    data = RealData() if folder is None else read_folder(folder)
    make_folder(out)  # before minutes of measuring
    processes = jobs if jobs is not None else 1 if quick or folder is None else os.cpu_count() or 1
    calibration = measure(data, effort=Effort.of(quick=quick), seed=seed, progress=progress, jobs=processes)
    words = ["llmgate calibrate", *([str(folder)] if folder else []), *(["--quick"] if quick else []), f"--seed {seed}"]
    files = write_calibration(calibration, data, out, command=" ".join(words))
    colours = {"good": "green", "bad": "red", "warn": "yellow"}
    for text, style in calibration_lines(calibration):
        click.secho(text, fg=colours.get(style), bold=style == "strong")
    for path in files:
        click.echo(path)
    return EXIT_PASS if calibration.met else EXIT_FAIL
