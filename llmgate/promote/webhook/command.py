"""The operator's command, with the names of a version put in. No shell ever reads it.

A version's names come from whoever may create versions. So the command is split into arguments before they are put in,
each is put in once, and what could be read as an option, a path or several words is refused.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.promote.webhook.refusal import DeliveryRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PLACEHOLDERS", "CommandTemplate", "argument_name", "command_template"]

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "model": "the model's name",
    "version": "the version's number",
    "version_uri": "models:/MODEL/VERSION",
    "workspace": "the version's workspace, `default` without workspaces",
    "run_folder": "a folder of this run, for --out",
}
PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]+)\}")
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTemplate:
    """A program and its arguments, with placeholders in the arguments.

    Attributes:
        arguments: The program first.
    """

    arguments: tuple[str, ...]

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """The arguments of one run. What was put in is not looked at again.

        Args:
            values: A value for every placeholder.
        """
        return [PLACEHOLDER.sub(lambda found: values[found[1]], argument) for argument in self.arguments]


def command_template(text: str | None, words: Sequence[str]) -> CommandTemplate | None:
    """The command that the operator gave, None if there is none.

    Args:
        text: In one piece, quoted as for a shell, which is not asked.
        words: As a list.

    Raises:
        UsageError: If both are given, a placeholder is unknown or stands for the program, or nothing tells the runs
            of two versions apart.
    """
    if text is not None and words:
        raise UsageError("the command is given twice, by --run and after --", fix="Leave one of them out")
    if text is None and not words:
        return None
    try:
        arguments = tuple(shlex.split(text)) if text is not None else tuple(words)
    except ValueError as error:
        raise UsageError(f"the command cannot be split ({error})", where="--run", fix="Check the quotes") from error
    if not arguments or not arguments[0]:
        raise UsageError("the command is empty", where="--run")
    used = {found[1] for argument in arguments for found in PLACEHOLDER.finditer(argument)}
    for unknown in sorted(used - PLACEHOLDERS.keys()):
        raise UsageError(f"unknown placeholder {{{unknown}}}", where="--run", fix=did_you_mean(unknown, PLACEHOLDERS))
    if PLACEHOLDER.search(arguments[0]):
        raise UsageError("the program may hold no placeholder", where="--run", fix="Name it")
    if "version_uri" not in used and not {"model", "version"} <= used:
        raise UsageError(
            "the command does not say which version is to be judged", where="--run", fix="Use {version_uri} in it"
        )
    if any("\0" in argument for argument in arguments):
        raise UsageError("the command holds a null character", where="--run")
    return CommandTemplate(arguments=arguments)


def argument_name(name: str) -> str:
    """A model's or workspace's name as part of an argument.

    Raises:
        DeliveryRefusedError: With 422, if it could be read as anything but a name.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise DeliveryRefusedError(
            422,
            f"{name!r} is not put into a command: letters, digits, '_', '-' and single '.', at most 200",
            fix="Register the model under another name, or run its gate by hand",
        )
    return name
