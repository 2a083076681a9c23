"""What `llmgate webhook` was told, checked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llmgate.errors import UsageError
from llmgate.promote.webhook.command import CommandTemplate, argument_name, command_template
from llmgate.promote.webhook.refusal import DeliveryRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ReceiverSettings", "checked_url", "child_environment", "found_command", "secrets_of", "workspace_of"]

SHORTEST_SECRET: Final = 16
ALWAYS: Final = ("PATH",)
"""Without it a command does not find the programs that it starts itself; it is no secret."""
DEFAULT_WORKSPACE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """One receiver.

    Attributes:
        host: Where it listens.
        port: Where it listens; 0 for any.
        secrets: What deliveries are signed with; any of them.
        command: What a new version starts; None if versions start nothing.
        environ: The whole environment of the command.
        models: Globs and names of the models that are gated and watched.
        aliases: The aliases that are watched.
        workspace: The one workspace whose events are taken.
        folder: Where logs and state lie.
        at_once: How many gate runs there are at once.
        waiting: How many more may wait.
        time_limit_s: Seconds after which a run is ended.
        grace_s: Seconds that a command has to end itself.
        poll_s: Seconds between two looks at all watched models; 0 for none.
        revert: Whether an alias that moved past the gate is set back.
        alarm_url: Who is told about it.
        once: Whether the first delivery is the last one.
    """

    host: str
    port: int
    secrets: tuple[str, ...]
    command: CommandTemplate | None
    environ: Mapping[str, str]
    models: tuple[str, ...]
    aliases: tuple[str, ...]
    workspace: str
    folder: Path
    at_once: int = 1
    waiting: int = 100
    time_limit_s: float = 14_400.0
    grace_s: float = 30.0
    poll_s: float = 300.0
    revert: bool = False
    alarm_url: str | None = None
    once: bool = False


def secrets_of(names: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that variables hold.

    Raises:
        UsageError: If there is none, or one is empty or short enough to be guessed.
    """
    if not names:
        raise UsageError(
            "no secret is named, and what is not signed is not taken",
            where="--secret-env",
            fix="Name the environment variable that holds the webhook's secret",
        )
    for name in names:
        if len(environ.get(name, "").strip()) < SHORTEST_SECRET:
            raise UsageError(
                f"the environment variable {name} is not set, or has fewer than {SHORTEST_SECRET} characters",
                where="--secret-env",
                fix="Make a secret with `openssl rand -hex 32`, and give it to the webhook in MLflow too",
            )
    return tuple(environ[name] for name in names)


def child_environment(names: Sequence[str], secret_names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a gate run: what was named, and PATH.

    Raises:
        UsageError: If one is not set, or holds the webhook's secret, with which a run could forge deliveries.
    """
    secrets = {environ[name] for name in secret_names if name in environ}
    for name in names:
        if name not in environ:
            raise UsageError(
                f"the environment variable {name} is not set", where="--pass-env", fix="Set it, or leave it out"
            )
        if environ[name] in secrets:
            raise UsageError(f"{name} holds the webhook's secret", where="--pass-env", fix="Leave it out")
    return {name: environ[name] for name in (*ALWAYS, *names) if name in environ}


def found_command(text: str | None, words: Sequence[str], environ: Mapping[str, str]) -> CommandTemplate | None:
    """The command, with the program found now: a misspelt one is not noticed by the first version only.

    Raises:
        UsageError: As `command_template`, and if there is no such program.
    """
    template = command_template(text, words)
    if template is None:
        return None
    program = shutil.which(template.arguments[0], path=environ.get("PATH"))
    if program is None:
        raise UsageError(
            f"there is no program {template.arguments[0]!r}", where="--run", fix="Give its whole path, or correct PATH"
        )
    return replace(template, arguments=(program, *template.arguments[1:]))


def checked_url(url: str | None) -> str | None:
    """The URL of an alarm.

    Raises:
        UsageError: If it is none.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        # Not repeated: such URLs are often secrets themselves.
        raise UsageError("the alarm's URL is no http or https URL", where="--alarm-url-env")
    return url


def workspace_of(environ: Mapping[str, str]) -> str:
    """The workspace that the MLflow client asks in.

    Raises:
        UsageError: If it cannot be part of a command.
    """
    name = environ.get("MLFLOW_WORKSPACE") or DEFAULT_WORKSPACE
    try:
        return argument_name(name)
    except DeliveryRefusedError as error:
        raise UsageError(error.what, where="MLFLOW_WORKSPACE") from error
