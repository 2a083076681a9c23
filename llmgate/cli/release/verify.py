"""`llmgate verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmgate.cli.frame import PATH, Command

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

__all__ = ["verify"]


@click.command(cls=Command, epilog="\b\nExit codes: 0 verified, 1 refused, 2 usage, 4 could not be verified.")
@click.argument("what")
@click.option(
    "--verdict", type=PATH, metavar="FILE", help="The signed verdict [default: the one that the version carries]."
)
@click.option("--policy", type=PATH, metavar="FILE", help="The registry's policy, whose keys and suites count.")
@click.option("--key", type=PATH, metavar="FILE", help="One public key (PEM) that counts, instead of a policy.")
@click.option("--model", metavar="NAME", help="Refuse a verdict about another registered model.")
@click.option("--alias", help="Refuse a verdict for another alias; of a version, which verdict [default: champion].")
@click.option(
    "--manifest", type=PATH, metavar="FILE", help="What passed, file by file [default: weights.json by the verdict]."
)
@click.option("--weights", type=PATH, metavar="DIR", help="The folder that the server at WHAT has loaded.")
@click.option(
    "--adapter", metavar="PLACE", help="The adapter that passed, on the base WHAT; a version, with its verdict."
)
@click.option("--max-age", metavar="AGE", help="Refuse a verdict that is older, e.g. 30d [default: any age will do].")
@click.option("--allow-override", is_flag=True, help="Accept a person's override like a PASS.")
@click.option("--trust-weights-cache", is_flag=True, help="Believe digests of earlier runs instead of reading all.")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def verify(
    what: str,
    *,
    verdict: Path | None,
    policy: Path | None,
    key: Path | None,
    model: str | None,
    alias: str | None,
    manifest: Path | None,
    weights: Path | None,
    adapter: str | None,
    max_age: str | None,
    allow_override: bool,
    trust_weights_cache: bool,
    mlflow_uri: str | None,
) -> int:
    """Say whether weights are exactly those that a signed verdict let pass.

    WHAT is a model folder or another place as for `llmgate run --model`, whose files are fetched and hashed (of
    models:/NAME/VERSION and models:/NAME@alias the verdict too); or the URL of a vLLM server in development mode, with
    --weights for the folder that it loaded.

    For the step before a server starts: mount the folder read-only, verify it there, and start only on exit code 0.
    """
    from llmgate.cli.frame import show_lines, visible_text
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.commands.verdict.for_serving import VerifyQuestion
    from llmgate.session.commands.verify import verify_weights
    from llmgate.session.progress import LineProgress

    refuse_secrets({"mlflow_uri": mlflow_uri})
    check = verify_weights(
        VerifyQuestion(
            what=what,
            verdict=verdict,
            policy=policy,
            key=key,
            model=model,
            alias=alias,
            manifest=manifest,
            weights=weights,
            adapter=adapter,
            max_age=None if max_age is None else read_age(max_age),
            allow_override=allow_override,
            mlflow_uri=mlflow_uri,
            trust_cache=trust_weights_cache,
        ),
        LineProgress(),
    )
    click.secho(visible_text(check.sentence), fg="green" if check.verified else "red")
    show_lines(check.lines)
    return check.exit_code


def read_age(text: str) -> timedelta:
    """An age as in a policy: `30d`, `12h`, `2w`.

    Raises:
        UsageError: If it is none.
    """
    from datetime import timedelta

    from llmgate.errors import UsageError

    hours = {"h": 1, "d": 24, "w": 24 * 7}.get(text[-1:])
    if hours is None or not text[:-1].isdecimal() or not 0 < int(text[:-1]) < 100_000:
        raise UsageError(f"{text!r} is no age", where="--max-age", fix="Write 30d, 12h or 2w")
    return timedelta(hours=hours * int(text[:-1]))
