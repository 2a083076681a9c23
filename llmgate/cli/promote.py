"""`llmgate promote`."""

from __future__ import annotations

import click

from llmgate.cli.frame import Command, visible_text

__all__ = ["promote"]


@click.command(cls=Command)
@click.argument("uri")
@click.option("--alias", default="champion", show_default=True, help="The alias to set.")
@click.option(
    "--accept-policy-change",
    "accept",
    metavar="REASON",
    help="Why a policy that asks for less than the champion's will do, or why a champion's later evidence replaces "
    "that which earned it the alias. Kept in the registry.",
)
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def promote(uri: str, alias: str, accept: str | None, mlflow_uri: str | None) -> None:
    """Set an alias on a registered version, if a PASS verdict for exactly that version allows it.

    URI is models:/NAME/VERSION. The decision is taken again from the records that the gate logged to MLflow; no tag
    is trusted. The evidence is kept with the alias, and later candidates are compared with it. A version that holds
    the alias stays there, and its evidence is kept if an older llmgate did not keep it. Exits with 1 and one sentence
    if it is refused.
    """
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.decide.promote import promote_version

    refuse_secrets({"mlflow_uri": mlflow_uri})
    promotion = promote_version(uri, alias, accept=accept, mlflow_uri=mlflow_uri)
    click.secho(visible_text(promotion.sentence), fg="green")
    before = f" (was {promotion.over.uri})" if promotion.over and promotion.changed else ""
    verb = "is now" if promotion.changed else "already is"
    click.echo(f"{promotion.version.uri} {verb} {alias}{before}")
    for line in promotion.lines():
        click.echo(line)
