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
    r"""Make suites of the files of another TOOL: PATH is its configuration, data set, log or folder.

    Writes a suite per prompt or task, its rows and their lock. Nothing is run. Three sorts of remarks come back, here
    and in the suite's comments: what is not carried over, so that less is checked (exit code 3 instead of 0); what is
    asked in another way; and what is worth knowing.

    Then read the comments at the top of the suite, add `gate:` with a margin, and run it with `llmgate run`. Cases
    without any assert are asked, recorded and compared, and gate nothing.

    \b
    llmgate import promptfoo promptfooconfig.yaml
    llmgate import lm-eval tasks/gsm8k/gsm8k.yaml --out suites/gsm8k
    llmgate import openai-evals registry/evals/coqa.yaml
    llmgate import inspect logs/run.eval
    llmgate import deepeval goldens.json
    """
    from llmgate.report.visible import visible
    from llmgate.session.commands.import_suites import import_suites
    from llmgate.session.settings.combined import settings_from

    settings = settings_from(options, root=Path.cwd())
    done = import_suites(tool, path, out, allowed=settings.allow_outside)
    colours = {"good": "green", "warn": "yellow", "plain": None}
    for line, mood in done.lines():
        click.secho(visible(line), fg=colours[mood])
    return EXIT_PASS if done.imported.complete else EXIT_INCOMPLETE
