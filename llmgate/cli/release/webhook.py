"""`llmgate webhook`."""

from __future__ import annotations

from pathlib import Path

import click

from llmgate.cli.frame import PATH, Command

__all__ = ["webhook"]


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[-- COMMAND...]", type=click.UNPROCESSED)
@click.option(
    "--secret-env",
    "secret_env",
    metavar="NAME",
    multiple=True,
    help="Environment variable that holds the webhook's secret. More than one while you change it.",
)
@click.option(
    "--run",
    "run",
    metavar="TEMPLATE",
    help="What to run for a new version. No shell reads it. Placeholders: {version_uri}, {model}, {version}, "
    "{workspace}, {run_folder}. The same as a list of arguments after --.",
)
@click.option(
    "--pass-env",
    metavar="NAME",
    multiple=True,
    help="Environment variable that the command gets; it gets no other one but PATH.",
)
@click.option(
    "--model",
    "models",
    metavar="GLOB",
    multiple=True,
    help="Models to gate and to watch [default: all; --check needs one].",
)
@click.option(
    "--alias",
    "aliases",
    metavar="NAME",
    multiple=True,
    default=("champion",),
    show_default=True,
    help="Aliases to watch; a stage as stage:Production.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen. TLS is left to a proxy.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Where to listen.")
@click.option(
    "--state",
    "folder",
    type=PATH,
    default=Path("llmgate-webhook"),
    show_default=True,
    help="Folder for logs of the runs, and for what a restart has to know.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="How many runs at once.")
@click.option("--queue", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many runs may wait.")
@click.option(
    "--time-limit",
    type=click.FloatRange(1, 7 * 86_400),
    default=4 * 3600,
    show_default=True,
    metavar="SECONDS",
    help="After which a run is ended.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="That a run has between SIGTERM and SIGKILL.",
)
@click.option(
    "--poll",
    type=click.FloatRange(0, 86_400),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How often all watched aliases are compared with the ledger; 0 for never.",
)
@click.option("--alarm-url-env", metavar="NAME", help="Environment variable with a URL that alarms are sent to.")
@click.option("--revert", is_flag=True, help="Set an alias that moved past the gate back to what the ledger says.")
@click.option("--once", is_flag=True, help="End after the first delivery, with the exit code of its run or comparison.")
@click.option("--check", is_flag=True, help="Compare the aliases with the ledger now, and end.")
@click.option("--mlflow-uri", metavar="URI", help="Tracking server or store [default: MLFLOW_TRACKING_URI].")
def webhook(
    *,
    words: tuple[str, ...],
    secret_env: tuple[str, ...],
    run: str | None,
    pass_env: tuple[str, ...],
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    host: str,
    port: int,
    folder: Path,
    jobs: int,
    queue: int,
    time_limit: float,
    grace: float,
    poll: float,
    alarm_url_env: str | None,
    revert: bool,
    once: bool,
    check: bool,
    mlflow_uri: str | None,
) -> int:
    """Receive MLflow's webhooks: gate new versions, and say when an alias moved past the gate.

    A signed model_version.created starts the command, and the version's tag llmgate.gate says how far it is.
    model_version_alias events, and a poll, compare the watched aliases with the ledger of a gated server.

    With --check: exits with 0 if the aliases agree with the ledger, 1 if one moved past the gate, 4 if one could
    not be checked.
    """
    import os

    from llmgate.errors import UsageError
    from llmgate.promote.mlflow_client import resolve_uris
    from llmgate.promote.webhook.registry import MlflowWatch
    from llmgate.session.clock import timestamp
    from llmgate.session.command_line import refuse_secrets
    from llmgate.session.webhook.check import check_aliases
    from llmgate.session.webhook.service import receive
    from llmgate.session.webhook.settings import (
        ReceiverSettings,
        checked_url,
        child_environment,
        found_command,
        secrets_of,
        workspace_of,
    )

    refuse_secrets({"mlflow_uri": mlflow_uri, "run": run})
    for word in words:
        refuse_secrets({"run": word})
    environ = dict(os.environ)
    if alarm_url_env is not None and not environ.get(alarm_url_env):
        raise UsageError(f"the environment variable {alarm_url_env} is not set", where="--alarm-url-env")
    alarm_url = checked_url(environ[alarm_url_env] if alarm_url_env else None)
    if check and not models:
        raise UsageError("no model is named", where="--check", fix="Name one with --model, or '*' for all")
    if check and (run is not None or words or once):
        raise UsageError("--check starts no runs", where="--check", fix="Leave out --once, --run and what follows --")
    if not check:
        settings = ReceiverSettings(
            host=host,
            port=port,
            secrets=secrets_of(secret_env, environ),
            command=found_command(run, words, environ),
            environ=child_environment(pass_env, secret_env, environ),
            models=models or ("*",),
            aliases=aliases,
            workspace=workspace_of(environ),
            folder=folder.absolute(),
            at_once=jobs,
            waiting=queue,
            time_limit_s=time_limit,
            grace_s=grace,
            poll_s=poll,
            revert=revert,
            alarm_url=alarm_url,
            once=once,
        )
    registry = MlflowWatch(*resolve_uris(mlflow_uri, None))
    if check:
        return check_aliases(registry, models=models, aliases=aliases, revert=revert, alarm_url=alarm_url, say=say_line)
    return receive(settings, registry, lambda line: say_line(f"{timestamp()} {line}"))


def say_line(line: str) -> None:
    """Print a line that holds names of others."""
    from llmgate.cli.frame import visible_text

    click.echo(visible_text(line))
