"""`llmgate show`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from llmgate.cli.frame import PATH, Command, show_json
from llmgate.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["show"]

COLOURS = {"good": "green", "bad": "red", "warn": "yellow"}

HELP = r"""Print cases of a run: question, answers, and what the checks say.

RUN is the folder of a run, finished or not. CASE is a case's name, alone or as
SUITE::CASE. Without it, prints the cases that got worse, those of every metric
that fails first; or, if there is no baseline, those below par.

\b
  llmgate show runs/candidate                     # the worst cases
  llmgate show runs/candidate refund-007          # one case, whole
  llmgate show runs/candidate --worse accuracy    # what fell on a metric
  llmgate show runs/candidate --missed --most 50
"""


@click.command(cls=Command, help=HELP)
@click.argument("run", type=PATH)
@click.argument("case", required=False)
@click.option("--worse", metavar="METRIC", help="Cases that got worse on a metric, alone or as SUITE::METRIC.")
@click.option("--missed", is_flag=True, help="Cases that the candidate answered below par.")
@click.option(
    "--baseline", type=PATH, metavar="RUN", help="The champion's run. [default: what the run was compared with]"
)
@click.option(
    "--most", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="How many at most."
)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def show(
    run: Path,
    case: str | None,
    *,
    worse: str | None,
    missed: bool,
    baseline: Path | None,
    most: int,
    as_json: bool,
) -> None:
    """Print cases of a run."""
    given = [name for name, value in (("CASE", case), ("--worse", worse), ("--missed", missed)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} were given", fix="Give one of CASE, --worse and --missed")
    from llmgate.session.commands.show import CasesQuestion, plain_content, show_cases

    question = CasesQuestion(case=case, worse=worse, missed=missed, most=most)
    shown = show_cases(run, baseline, question)
    if as_json:
        found = {"total": shown.total, "note": shown.note, "content": shown.content}
        show_json({**found, "cases": plain_content(shown.rows)})
        return
    from llmgate.report.terminal.cases import case_lines, wrapped

    width = shutil.get_terminal_size().columns
    lines = list(wrapped(shown.note, width, "warn", begin="! ")) if shown.note else []
    lines += list(wrapped(shown.heading, width, "strong")) if shown.heading else []
    for row in shown.rows:
        lines += [("", "plain"), *case_lines(row, width=width)] if lines else case_lines(row, width=width)
    for text, style in lines:
        click.secho(text, fg=COLOURS.get(style), bold=style == "strong", dim=style == "dim")
