"""`llmgate init`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Command, show_lines, visible_text
from llmgate.cli.options import run_options
from llmgate.errors import CannotRunError

__all__ = ["init"]

HELP = """Start a project in FOLDER, or here.

Writes a suite, its locked rows, margins that so many rows can hold, and a workflow for GitHub.

With --from, columns say what to ask (question, prompt, input, …), what is right (answer, expected, label, …) and what
was retrieved (context, …). Files that are there are never overwritten. Asks up to three questions on a terminal, and
none if an option is given.

\b
  llmgate init
  llmgate init support --from rows.csv --endpoint http://127.0.0.1:8000/v1
"""
KINDS = ("chat", "json", "rag")


@click.command("init", cls=Command, help=HELP)
@click.argument("folder", type=PATH, default=Path())
@click.option("--from", "rows", type=PATH, metavar="FILE", help="Your questions: .csv, .jsonl or .parquet.")
@click.option("--kind", type=click.Choice(KINDS), help="What the model is asked for. Default: what the rows look like.")
@run_options(frozenset({"endpoint", "served-name", "api-key-env", "allow-key-over-http"}))
def init(folder: Path, *, rows: Path | None, kind: str | None, **options: Any) -> None:
    """Start a project."""
    if rows is None and kind is None and not options["endpoint"] and at_terminal():
        rows, kind, options["endpoint"] = ask()
    from llmgate.session.commands.columns import ProjectKind
    from llmgate.session.commands.init import InitWish, plan_project, write_project

    wish = InitWish(folder=folder, rows=rows, kind=ProjectKind(kind) if kind else None, options=options)
    plan = plan_project(wish)
    write_project(plan)
    for path in sorted([*plan.files, plan.lock]):
        click.secho(f"wrote {visible_text(str(folder / path))}", fg="green")
    width = shutil.get_terminal_size().columns - 1
    for line in plan.chosen:
        show_lines(textwrap.wrap(line, width, initial_indent="- ", subsequent_indent="  ", break_long_words=False))
    click.echo("\nNext:")
    for what, command in plan.next:
        show_lines([*([f"  # {what}"] if what else []), f"  {command}"])


def at_terminal() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask() -> tuple[Path | None, str | None, str | None]:
    """Questions on a terminal: the rows, without any the kind, and where the model answers.

    Raises:
        CannotRunError: If they are broken off.
    """
    try:
        rows = click.prompt(
            "File with your questions, .csv or .jsonl (Enter for samples)", "", show_default=False, value_proc=a_file
        )
        kind = None if rows else click.prompt("What is asked for", "chat", type=click.Choice(KINDS))
        url = click.prompt("URL where your model answers (Enter for later)", "", show_default=False)
    except click.Abort as error:
        raise CannotRunError("interrupted; nothing was written") from error
    return rows, kind, url.strip() or None


def a_file(text: str) -> Path | None:
    """What was typed, as a file that is there."""
    path = Path(text.strip()).expanduser()
    if text.strip() and not path.is_file():
        raise click.BadParameter(f"there is no file {visible_text(text.strip())}")
    return path if text.strip() else None
