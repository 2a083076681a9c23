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
@click.option("--verdict", type=PATH, metavar="FILE", help="Other registries: the signed verdict [default: attached].")
@click.option("--verdicts-at", metavar="URI", help="SageMaker, Vertex AI: where verdicts lie, s3://… or gs://….")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def promote(  # noqa: PLR0917 - click hands them over by name
    uri: str,
    alias: str,
    accept: str | None,
    registry_policy: Path | None,
    verdict: Path | None,
    verdicts_at: str | None,
    mlflow_uri: str | None,
) -> None:
    """Set an alias on a registered version, if a PASS verdict for exactly that version allows it.

    URI is models:/NAME/VERSION. The decision is taken again from the records that the gate logged to MLflow; no tag
    is trusted, and records must be those that a signed verdict names, where there is one. The evidence is kept with
    the alias, and later candidates are compared with it. A version that holds the alias stays there, and its evidence
    is kept if an older llmgate did not keep it. Exits with 1 and one sentence if it is refused, here or by a gated
    registry, which has the last word.

    URI may also be sagemaker://REGION/GROUP/VERSION, databricks-uc://CATALOG.SCHEMA.MODEL/VERSION,
    vertex://PROJECT/LOCATION/MODEL/VERSION, wandb://ENTITY/REGISTRY/COLLECTION/vN or hf://ORG/MODEL@REVISION. There a
    signed verdict is needed, and a policy that says whose verdicts count.
    """
    from llmgate.errors import UsageError
    from llmgate.promote.elsewhere.address import is_elsewhere
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.decide.promote import ask_for_refresh, promote_version

    refuse_secrets({"mlflow_uri": mlflow_uri})
    if is_elsewhere(uri):
        from llmgate.session.decide.promote_elsewhere import promote_version_elsewhere

        if accept is not None or mlflow_uri is not None:
            name = "--mlflow-uri" if accept is None else "--accept-policy-change"
            raise UsageError("this is for MLflow alone", where=name, fix="Leave it out")
        done = promote_version_elsewhere(uri, alias, policy=registry_policy, verdict=verdict, verdicts_at=verdicts_at)
        for line in done.lines():
            click.echo(visible_text(line))
        return
    if verdict is not None or verdicts_at is not None:
        name = "--verdicts-at" if verdict is None else "--verdict"
        raise UsageError("this is for other registries than MLflow", where=name, fix="Leave it out")
    promotion = promote_version(uri, alias, accept=accept, registry_policy=registry_policy, mlflow_uri=mlflow_uri)
    click.secho(visible_text(promotion.sentence), fg="green")
    before = f" (was {promotion.over.uri})" if promotion.over and promotion.changed else ""
    verb = "is now" if promotion.changed else "already is"
    click.echo(f"{promotion.version.uri} {verb} {alias}{before}")
    show_lines(promotion.lines())
    if promotion.changed and promotion.binding is not None:
        click.echo(visible_text(ask_for_refresh(promotion)))
