"""`llmgate power`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Command, show_json, show_lines
from llmgate.cli.options import run_options
from llmgate.errors import EXIT_INCONCLUSIVE, EXIT_PASS

__all__ = ["power"]

HELP = """Say what the gate of SUITES can decide, before anything is run.

Per gating metric: how often it passes an unchanged model, which loss it finds, and what would make it enough. How much
scores change if nothing has changed is measured by two runs of the same model (--aa), a run with repeats (--repeats) or
past releases (--history); without any it is assumed, or given (--discordance). How much the serving runs of one model
vary is read from the pairs of runs in the same records, or given (--serving-cv). Without SUITES the runs say what is
gated.

\b
  llmgate power suites/ --aa runs/champion runs/champion-again
  llmgate power --history runs/v5 --history runs/v6 --history runs/v7
  llmgate power --n 300 --discordance 0.1 --margin 0.03
"""


@click.command("power", cls=Command, help=HELP)
@click.argument("suites", nargs=-1, type=PATH)
@click.option("--aa", nargs=2, type=PATH, metavar="RUN RUN", help="Two runs of the same model, served the same way.")
@click.option("--repeats", type=PATH, metavar="RUN", help="A run whose cases were answered several times.")
@click.option(
    "--history", multiple=True, type=PATH, metavar="RUN", help="A past release; give it once per run, oldest first."
)
@click.option("--discordance", type=float, metavar="D", help="Share of scores that differ, where no run tells.")
@click.option("--margin", type=float, metavar="M", help="Assume this margin, e.g. 0.03.")
@click.option("--n", "cases", type=int, metavar="N", help="Assume so many cases.")
@click.option("--repeat", type=int, metavar="K", help="Assume so many answers to each case.")
@click.option("--serving-cv", type=float, metavar="CV", help="How much serving runs vary, where no run tells.")
@click.option("--serving-pairs", type=int, metavar="N", help="Assume so many pairs of serving runs.")
@click.option(
    "--serving-slowdown", type=float, default=0.08, show_default=True, help="Say how surely this slowdown is found."
)
@click.option("--policy", type=PATH, metavar="FILE", help="Policy file that overrides margins and roles.")
@click.option(
    "--power", "wanted", type=float, default=0.8, show_default=True, help="How often an unchanged model is to pass."
)
@click.option("--strict", is_flag=True, help="Exit with 3 if the gate passes an unchanged model more rarely.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@run_options(frozenset({"allow-outside"}))
def power(
    suites: tuple[Path, ...],
    *,
    aa: tuple[Path, Path] | None,
    repeats: Path | None,
    history: tuple[Path, ...],
    discordance: float | None,
    margin: float | None,
    cases: int | None,
    repeat: int | None,
    serving_cv: float | None,
    serving_pairs: int | None,
    serving_slowdown: float,
    policy: Path | None,
    wanted: float,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Say what the gate of SUITES can decide, before anything is run."""
    from llmgate.report.terminal.power import power_lines, shortfall
    from llmgate.session.commands.power import PowerQuestion, ask_power

    question = PowerQuestion(
        suites=suites,
        aa=aa or None,
        repeats=repeats,
        history=history,
        discordance=discordance,
        margin=margin,
        cases=cases,
        repeat=repeat,
        policy=policy,
        power=wanted,
        pairs=serving_pairs,
        serving_cv=serving_cv,
        slowdown=serving_slowdown,
        options=options,
    )
    answer = ask_power(question, root=Path.cwd())
    if as_json:
        show_json(answer.to_json())
    else:
        show_lines(power_lines(answer.power, answer.texts))
        show_lines(f"note: {remark}" for remark in answer.remarks)
    if not answer.power.enough:
        click.secho(shortfall(answer.power, strict=strict), err=True, fg="red" if strict else "yellow")
    return EXIT_INCONCLUSIVE if strict and not answer.power.enough else EXIT_PASS
