"""What all commands share: how errors end, and printing text of others."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from llmgate.errors import (
    EXIT_CANNOT_RUN,
    EXIT_FAIL,
    EXIT_INCONCLUSIVE,
    EXIT_PASS,
    EXIT_USAGE,
    CannotRunError,
    LlmgateError,
)
from llmgate.session.termination import end_as_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "EXIT_CODES",
    "PATH",
    "Command",
    "DecidingCommand",
    "Group",
    "LazyGroup",
    "Undecided",
    "show_json",
    "show_lines",
    "visible_text",
]

EXIT_CODES = """
\b
Exit codes: 0 PASS, 1 FAIL, 2 usage, 3 INCONCLUSIVE, 4 could not run.
"""
FEW_OPTIONS: Final = 25
"""So many need no headings."""
PATH = click.Path(path_type=Path)
FAILURES: Final = frozenset({EXIT_FAIL, EXIT_USAGE, EXIT_CANNOT_RUN})
"""What an error may end with."""


class Command(click.Command):
    """Ends the process with the exit code that the command returns, or with that of its error."""

    def __init__(self, name: str | None, **options: Any) -> None:
        # Click keeps the lines of a paragraph that begins with a backspace, which a docstring can only spell.
        options["help"] = (options.get("help") or "").replace("\\b\n", "\b\n")
        super().__init__(name, **options)

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run the command and end. Only what the command returns ends with 0, whatever is raised meanwhile."""
        ctx.exit(self.ended(ctx))

    def ended(self, ctx: click.Context) -> int:
        """Run the command, say how it ended unless it did so itself, and return the exit code."""
        try:
            return self.code_of(super().invoke(ctx))
        except LlmgateError as error:
            # Errors quote what servers and endpoints said.
            click.secho(f"llmgate: {visible_text(without_secrets(ctx, str(error)))}", err=True, fg="red")
            # A class of somebody else's could say 0.
            return error.exit_code if error.exit_code in FAILURES else EXIT_CANNOT_RUN
        except KeyboardInterrupt:
            click.secho(
                "llmgate: interrupted. What was answered is kept: add --resume --out with the run's folder", err=True
            )
        except SystemExit as error:
            text = f"llmgate: {place_of(error)} called sys.exit({error.code!r}) before the command had ended. Remove it"
            click.secho(visible_text(without_secrets(ctx, text)), err=True, fg="red")
        except BaseException:  # noqa: BLE001 - Python would exit with 1, and 1 means FAIL
            import traceback

            click.echo(without_secrets(ctx, traceback.format_exc()), err=True)
            click.secho("llmgate: this is a bug in llmgate; please report the lines above", err=True, fg="red")
        return EXIT_CANNOT_RUN

    def code_of(self, returned: object) -> int:
        """The exit code that a command returned; 0 if it returned nothing."""
        return returned if isinstance(returned, int) else EXIT_PASS

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by purpose, where they are many."""
        from llmgate.session.options.table import GROUPS

        if len(self.params) <= FEW_OPTIONS:
            super().format_options(ctx, formatter)
            return
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        titles = {option.field: title for title, group in GROUPS.items() for option in group}
        for title in (*GROUPS, ""):
            records = [option.get_help_record(ctx) for option in options if titles.get(option.name or "", "") == title]
            if shown := [record for record in records if record]:
                with formatter.section(title or "Other options"):
                    formatter.write_dl(shown)


class Undecided:
    """What a deciding command returns that decided nothing because it was not to: the process ends with 3."""


class DecidingCommand(Command):
    """A command whose exit code is that of the decision that it returns: there is no 0 without one."""

    def code_of(self, returned: object) -> int:
        """The decision's exit code.

        Raises:
            CannotRunError: If there is none.
        """
        if isinstance(returned, Undecided):
            return EXIT_INCONCLUSIVE
        from llmgate.gate.decision.types import Decision

        if not isinstance(returned, Decision):
            raise CannotRunError("the command ended without a decision", fix="Please report this")
        return returned.exit_code


def place_of(error: BaseException) -> str:
    """The file and line that raised an error."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def without_secrets(ctx: click.Context, text: str) -> str:
    """A text without what the environment, the options of a command and pyproject.toml say that is secret."""
    from llmgate.record.redaction import Redactor, environment_secrets, url_secrets
    from llmgate.session.options.table import file_options

    options = [(name, str(value)) for name, value in ctx.params.items()]
    with suppress(LlmgateError):
        options += [(name, str(value)) for name, value in file_options(Path.cwd()).items()]
    names = [value for name, value in options if name.endswith("api_key_env")]
    found = environment_secrets(names=names) | url_secrets(value for _, value in options)
    return Redactor(tuple(found)).text(text)


class Group(click.Group):
    """Commands that report errors in the same way."""

    command_class = Command


class LazyGroup(Group):
    """Commands whose modules are imported when somebody names them, and not before."""

    def __init__(
        self, *args: Any, places: Mapping[str, str], sections: Mapping[str, Mapping[str, str]], **options: Any
    ) -> None:
        """Take the places: by command, `package.module:attribute`; and by heading what the help says of commands."""
        super().__init__(*args, **options)
        self.places = dict(places)
        self.sections = dict(sections)

    def __call__(self, *args: Any, **options: Any) -> NoReturn:
        """The process: it ends here, with the code of the command, and nothing can run afterwards.

        A thread that a check left behind, or a function that it registered for the interpreter's end, could keep the
        process, or end it with another code.
        """
        end_as_ctrl_c()
        code: object = EXIT_CANNOT_RUN
        try:
            # Not standalone: then it is this that ends the process, and not whatever `sys.exit` has become.
            carry_out: Callable[..., object] = self.main
            code = carry_out(*args, **options, standalone_mode=False)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            click.echo("llmgate: interrupted before the command began", err=True)
        except BaseException:  # noqa: BLE001 - Python would exit with 1, and 1 means FAIL
            import traceback

            click.echo(traceback.format_exc(), err=True)
        leave(code if isinstance(code, int) else EXIT_CANNOT_RUN)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        del ctx
        return sorted(self.places)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by purpose; none is imported for that, but those that no section names."""
        named = {name for section in self.sections.values() for name in section}
        others = [name for name in self.list_commands(ctx) if name not in named]
        more = {name: command.get_short_help_str(50) for name in others if (command := self.get_command(ctx, name))}
        width = max(map(len, [*named, *others]))
        for title, section in {**self.sections, "More": more}.items():
            rows = [(f"{name:<{width}}", text) for name, text in section.items() if name in self.places]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, None if there is none of that name."""
        del ctx
        if cmd_name not in self.places:
            return None
        module, _, attribute = self.places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def leave(code: int) -> NoReturn:
    """End the process, once all that was said has been written; what cannot be said is no success."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or EXIT_CANNOT_RUN
    os._exit(code)


def visible_text(text: str) -> str:
    """A text of others for a terminal."""
    from llmgate.report.visible import visible

    return visible(text)


def show_json(value: object) -> None:
    """Print JSON, in ASCII: exact for programs, and nothing in it drives a terminal."""
    import json

    click.echo(json.dumps(value, indent=2, allow_nan=False))


def show_lines(lines: Iterable[str]) -> None:
    """Print lines that hold text of others."""
    for line in lines:
        click.echo(visible_text(line))
