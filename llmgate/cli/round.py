"""`llmgate round`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from llmgate.cli.frame import EXIT_CODES, PATH, Command, show_json
from llmgate.cli.options import run_options
from llmgate.errors import UsageError

__all__ = ["round_"]

OPTIONS: Final = frozenset({"mlflow-uri", "mlflow-experiment", "registry-id", "alias", "signing-key"})

HELP = r"""Decide several candidates of the round NAME together.

CANDIDATES are all runs that were made with --round NAME: the same cases, the same policy, the same champion. Each alone
would pass too easily: of 20 that are as bad as the margin allows, one passes almost every second time. Together one
passes at most 5 % of the time, and the best needs a little more evidence than one that stands alone.

Or let the best of them answer new cases, and decide on those alone: --final RUN, made with --round NAME as well, and
--final-champion RUN, the champion's answers to them. Cases of the round do not count as new.

Exit codes: 0 if one passes, 1 if all fail, else 3.

\b
  llmgate run suites/ --baseline runs/champion --round june --out runs/a …
  llmgate round june runs/a runs/b runs/c --champion runs/champion
"""


@click.command("round", cls=Command, epilog=EXIT_CODES, help=HELP)
@click.argument("name")
@click.argument("candidates", nargs=-1, type=PATH, required=True)
@click.option("--champion", type=PATH, required=True, metavar="RUN", help="The champion's run on the round's cases.")
@click.option("--final", type=PATH, metavar="RUN", help="One candidate's run on new cases: decide on that.")
@click.option("--final-champion", type=PATH, metavar="RUN", help="The champion's run on the new cases.")
@click.option("--json", "as_json", is_flag=True, help="Print the decisions as JSON.")
@run_options(OPTIONS)
def round_(
    name: str,
    candidates: tuple[Path, ...],
    *,
    champion: Path,
    final: Path | None,
    final_champion: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Decide several candidates of the round NAME together."""
    from llmgate.report.terminal.rounds import round_lines, round_values
    from llmgate.session.commands.round import RoundQuestion, ask_round, publish_round
    from llmgate.session.decide.opened import OpenedRecords
    from llmgate.session.settings.combined import settings_from

    if (final is None) != (final_champion is None):
        raise UsageError(
            "a final needs the champion's answers to the same new cases", fix="Give --final RUN --final-champion RUN"
        )
    settings = settings_from(options, root=Path.cwd())
    records = OpenedRecords()
    question = RoundQuestion(
        name=name, candidates=candidates, champion=champion, final=final, final_champion=final_champion
    )
    decided = ask_round(question, records)
    published = publish_round(decided, settings, records)
    if as_json:
        show_json(round_values(decided.runs, decided.decisions))
        return decided.exit_code
    colours = {"good": "green", "bad": "red", "warn": "yellow"}
    for lead, text, style in round_lines(decided.runs, decided.decisions):
        click.secho(lead, fg=colours.get(style), bold=style in colours or None, nl=False)
        click.echo(text)
    for one in published:
        for line in one.lines():
            click.echo(line)
    return decided.exit_code
