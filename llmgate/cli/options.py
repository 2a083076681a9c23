"""The option table that the command line shares with the pytest plugin, as options of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmgate.session.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_options"]


def run_options(names: frozenset[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the shared options to a command, all or some of them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(OPTIONS):
            if names is not None and option.name not in names:
                continue
            if option.kind == "flag":
                function = click.option(f"--{option.name}", option.field, is_flag=True, help=option.help)(function)
            else:
                shown = f" [default: {option.default}]" if option.default else ""
                function = click.option(
                    f"--{option.name}", option.field, metavar=option.metavar, default=None, help=option.help + shown
                )(function)
        return function

    return decorate
