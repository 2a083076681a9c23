"""`llmgate promote`."""

from __future__ import annotations

import click

from llmgate.cli.frame import Command

__all__ = ["promote"]


@click.command(cls=Command)
@click.argument("uri")
@click.option("--alias", default="champion", show_default=True, help="The alias to set.")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def promote(uri: str, alias: str, mlflow_uri: str | None) -> None:
    """Set an alias on a registered version, if a PASS verdict for exactly that version allows it.

    URI is models:/NAME/VERSION. The decision is taken again from the records that the gate logged to MLflow; no tag
    is trusted. Exits with 1 and one sentence if it is refused.
    """
    from llmgate.session.decide.promote import promote_version

    promotion = promote_version(uri, alias, mlflow_uri=mlflow_uri)
    click.secho(promotion.decision.sentence, fg="green")
    before = f" (was {promotion.over.uri})" if promotion.over else ""
    verb = "is now" if promotion.changed else "already is"
    click.echo(f"{promotion.version.uri} {verb} {alias}{before}")
