"""`llmgate status`."""

from __future__ import annotations

import click

from llmgate.cli.frame import Command, show_json

__all__ = ["status"]

COLOURS = {"good": "green", "bad": "red", "warn": "yellow"}


@click.command(cls=Command)
@click.argument("uri")
@click.option("--alias", default="champion", show_default=True, help="The alias.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def status(uri: str, alias: str, *, as_json: bool, mlflow_uri: str | None) -> None:
    """Say who holds an alias, by which verdict, since when, and who is waiting.

    URI is models:/NAME. What a gated registry's ledger shows comes first; tags of versions, which anybody may edit who
    may edit the versions, say the rest. Changes nothing.
    """
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.commands.champion import status_of

    refuse_secrets({"mlflow_uri": mlflow_uri})
    found = status_of(uri, alias=alias, mlflow_uri=mlflow_uri)
    if as_json:
        from llmgate.session.commands.champion import status_values

        show_json(status_values(found))
        return
    from llmgate.report.terminal.decision import terminal_width
    from llmgate.session.commands.champion import status_lines

    for lead, text, style in status_lines(found, width=terminal_width()):
        click.secho(lead, fg=COLOURS.get(style), bold=style == "strong" or None, nl=False)
        click.echo(text)
