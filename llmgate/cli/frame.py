"""What all commands share: how errors end, and printing text of others."""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmgate.errors import EXIT_CANNOT_RUN, LlmgateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EXIT_CODES", "PATH", "Command", "Group", "LazyGroup", "show_json", "show_lines", "visible_text"]

EXIT_CODES = """
\b
Exit codes: 0 PASS, 1 FAIL, 2 usage, 3 INCONCLUSIVE, 4 could not run.
"""
PATH = click.Path(path_type=Path)


class Command(click.Command):
    """Turns llmgate's errors into one line on standard error and the right exit code."""

    def __init__(self, name: str | None, **options: Any) -> None:
        # Click keeps the lines of a paragraph that begins with a backspace, which a docstring can only spell.
        options["help"] = (options.get("help") or "").replace("\\b\n", "\b\n")
        super().__init__(name, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LlmgateError as error:
            from llmgate.report.visible import visible

            # Errors quote what servers and endpoints said.
            click.secho(f"llmgate: {visible(without_secrets(ctx, str(error)))}", err=True, fg="red")
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.secho(
                "llmgate: interrupted. What was answered is kept: add --resume --out with the run's folder", err=True
            )
            ctx.exit(EXIT_CANNOT_RUN)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001 - Python would exit with 1, and 1 means FAIL
            import traceback

            click.echo(without_secrets(ctx, traceback.format_exc()), err=True)
            click.secho("llmgate: this is a bug in llmgate; please report the lines above", err=True, fg="red")
            ctx.exit(EXIT_CANNOT_RUN)


def without_secrets(ctx: click.Context, text: str) -> str:
    """A text without what the environment, the options of a command and pyproject.toml say that is secret."""
    from llmgate.record.redaction import Redactor, environment_secrets, url_secrets
    from llmgate.session.options import file_options

    options = [(name, str(value)) for name, value in ctx.params.items()]
    with contextlib.suppress(LlmgateError):
        options += [(name, str(value)) for name, value in file_options(Path.cwd()).items()]
    names = [value for name, value in options if name.endswith("api_key_env")]
    found = environment_secrets(names=names) | url_secrets(value for _, value in options)
    return Redactor(tuple(found)).text(text)


class Group(click.Group):
    """Commands that report errors in the same way."""

    command_class = Command


class LazyGroup(Group):
    """Commands whose modules are imported when somebody names them, and not before."""

    def __init__(self, *args: Any, places: Mapping[str, str], **options: Any) -> None:
        """Take the places: by command, `package.module:attribute`."""
        super().__init__(*args, **options)
        self.places = dict(places)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        del ctx
        return sorted(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, None if there is none of that name."""
        del ctx
        if cmd_name not in self.places:
            return None
        module, _, attribute = self.places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


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
