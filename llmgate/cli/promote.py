"""`llmgate promote`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmgate.cli.frame import PATH, Command, show_lines, visible_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["promote"]

POLICY_VARIABLE = "LLMGATE_REGISTRY_POLICY"
"""As in `llmgate.attest.policy`, which the help should not have to load."""


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
@click.option(
    "--registry-policy",
    type=PATH,
    envvar=POLICY_VARIABLE,
    metavar="FILE",
    help=f"The registry's policy, to verify the signed verdict here too. [default: {POLICY_VARIABLE}]",
)
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def promote(uri: str, alias: str, accept: str | None, registry_policy: Path | None, mlflow_uri: str | None) -> None:
    """Set an alias on a registered version, if a PASS verdict for exactly that version allows it.

    URI is models:/NAME/VERSION. The decision is taken again from the records that the gate logged to MLflow; no tag
    is trusted, and records must be those that a signed verdict names, where there is one. The evidence is kept with
    the alias, and later candidates are compared with it. A version that holds the alias stays there, and its evidence
    is kept if an older llmgate did not keep it. Exits with 1 and one sentence if it is refused, here or by a gated
    registry, which has the last word.
    """
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.decide.promote import promote_version

    refuse_secrets({"mlflow_uri": mlflow_uri})
    promotion = promote_version(uri, alias, accept=accept, registry_policy=registry_policy, mlflow_uri=mlflow_uri)
    click.secho(visible_text(promotion.sentence), fg="green")
    before = f" (was {promotion.over.uri})" if promotion.over and promotion.changed else ""
    verb = "is now" if promotion.changed else "already is"
    click.echo(f"{promotion.version.uri} {verb} {alias}{before}")
    show_lines(promotion.lines())
