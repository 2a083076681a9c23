"""`llmgate doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmgate.cli.frame import PATH, Command, show_json, visible_text
from llmgate.cli.options import ENGINE_NAMES, run_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.session.commands.doctor.diagnosis import Diagnosis

__all__ = ["doctor"]

HELP = """Look at what a run needs.

That is the machine, GPUs and their driver, vLLM with torch and what is known to go wrong with that version, the files
of --model and whether they fit, port and caches, the endpoint and its key, disk, SUITES and their locks, MLflow, the
sandbox.

Changes nothing, and asks no model anything. Ends with 0 if nothing is a problem, else with 4, because a run could not
start. A note is nothing wrong, only something that surprises.

\b
  llmgate doctor
  llmgate doctor --model models/candidate --tensor-parallel-size 2
  llmgate doctor suites/ --endpoint http://127.0.0.1:8000/v1
"""
COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "red"}


@click.command("doctor", cls=Command, help=HELP)
@click.argument("suites", nargs=-1, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@run_options(
    frozenset(
        {
            *("endpoint", "served-name", "api-key-env", "allow-key-over-http", "mlflow-uri", "allow-outside"),
            *("model", "server-args", "server-python", "port"),
            *ENGINE_NAMES,
        }
    )
)
def doctor(suites: tuple[Path, ...], *, as_json: bool, **options: Any) -> int:
    """Look at what a run needs."""
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.commands.doctor.checks import diagnose, exit_code, summary
    from llmgate.session.commands.doctor.diagnosis import Circumstances

    refuse_secrets(options)
    found = diagnose(Circumstances(root=Path(), suites=suites, options=options))
    if as_json:
        show_json({"found": [one.to_json() for one in found], "exit_code": exit_code(found)})
    else:
        show_table(found)
        click.secho(summary(found), bold=True)
    return exit_code(found)


def show_table(found: Iterable[Diagnosis]) -> None:
    """What was found, how it is, and what to do, within the terminal's width."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("state", "area"):
        table.add_column(name, no_wrap=True)
    table.add_column("what, and what to do", overflow="fold")
    area = ""
    for one in found:
        if area not in {"", one.area}:
            table.add_section()
        # Texts, because what others wrote could hold marks that Rich reads.
        what = Text(visible_text(one.what))
        if one.advice:
            what.append(f"\n→ {visible_text(one.advice)}", "bold" if one.health.value != "ok" else "dim")
        state = Text(one.health.value, COLOURS[one.health.value])
        table.add_row(state, Text("" if one.area == area else one.area), what)
        area = one.area
    Console(highlight=False).print(table)
