"""`llmgate rollback`."""

from __future__ import annotations

import click

from llmgate.cli.frame import Command, show_lines

__all__ = ["rollback"]


@click.command(cls=Command)
@click.argument("uri")
@click.option("--alias", default="champion", show_default=True, help="The alias that goes back.")
@click.option("--to", metavar="N", help="The version that gets it [default: the one that held it before].")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is written on both versions.")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def rollback(uri: str, alias: str, to: str | None, reason: str, mlflow_uri: str | None) -> None:
    """Give an alias back to a version that held it.

    URI is models:/NAME. A gated registry says by its ledger who held the alias, decides whether it may go back, and
    records it. For one that is not gated, the notes of earlier promotions say so, and what earned the alias then must
    still be there. Weights that can be reached from here must be those of then. Exits with 1 and one sentence if it is
    refused.
    """
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.commands.champion import roll_back_alias

    refuse_secrets({"mlflow_uri": mlflow_uri, "reason": reason})
    done = roll_back_alias(uri, alias=alias, to=to, reason=reason, mlflow_uri=mlflow_uri)
    click.secho(f"{done.version.uri} is {alias} again (was {done.over.uri})", fg="green")
    show_lines(done.lines())
