"""`llmgate import`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Command
from llmgate.cli.options import run_options
from llmgate.errors import EXIT_PASS

__all__ = ["import_"]

EXIT_INCOMPLETE = 3
"""`llmgate import` left something out."""


@click.command("import", cls=Command)
@click.argument("tool", type=click.Choice(["deepeval", "inspect", "lm-eval", "openai-evals", "promptfoo"]))
@click.argument("path", type=PATH)
@click.option("--out", type=PATH, default=Path("suites"), show_default=True, help="Folder for the suites.")
@run_options(frozenset({"allow-outside"}))
def import_(tool: str, path: Path, out: Path, **options: Any) -> int:
    """Make suites of the files of another TOOL: PATH is its configuration, data set, log or folder.

    Writes a suite per prompt or task, its rows and their lock. Nothing is run. Whatever cannot be carried over is
    named, here and in the suite's comments; the exit code is then 3 instead of 0.
    """
    from llmgate.report.visible import visible
    from llmgate.session.commands.import_suites import import_suites
    from llmgate.session.settings import settings_from

    settings = settings_from(options, root=Path.cwd())
    done = import_suites(tool, path, out, allowed=settings.allow_outside)
    colours = {"good": "green", "warn": "yellow", "plain": None}
    for line, mood in done.lines():
        click.secho(visible(line), fg=colours[mood])
    return EXIT_PASS if done.imported.complete else EXIT_INCOMPLETE
