"""The option table that the command line shares with the pytest plugin, as options of a command; and those of bench."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmgate.session.options.model import ENGINE
from llmgate.session.options.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENGINE_NAMES", "load_options", "run_options", "sweep_options"]

ENGINE_NAMES = frozenset(option.name for option in ENGINE)
"""For commands that start a server."""
LOAD = (
    click.option("--requests", type=click.IntRange(1), default=64, show_default=True, help="Requests of a run."),
    click.option(
        "--in-flight",
        type=click.IntRange(0),
        metavar="N",
        help="Requests in flight at once [default: 8]; with --arrivals the most that may be [default: any number].",
    ),
    click.option("--max-tokens", type=click.IntRange(2), default=64, show_default=True, help="Tokens per answer."),
    click.option(
        "--workload",
        default="prompts",
        metavar="KIND:KEY=VALUE,...",
        help="What is sent instead of the suites' prompts, which then need not be named; see above.",
    ),
    click.option(
        "--arrivals",
        metavar="KIND:KEY=VALUE,...",
        help="When requests are due; see above. Default: closed, one when another has ended; of a trace its own times.",
    ),
    click.option("--seed", type=int, metavar="N", help="Of all that is drawn: prompts, lengths, times. [default: 0]"),
    click.option(
        "--goodput",
        default="",
        metavar="KEY:MS,...",
        help="Service levels of request_goodput, e.g. ttft_ms:500,tpot_ms:50.",
    ),
)
SWEEP = (
    click.option(
        "--sweep",
        type=click.Choice(["concurrency", "rate"]),
        help="Look for the largest load, in requests in flight or per second, at which --slo holds.",
    ),
    click.option(
        "--slo",
        "slos",
        multiple=True,
        metavar="NAME=VALUE",
        help="What has to hold, e.g. p95_ttft_ms=500 or output_throughput=100; several have to hold together.",
    ),
    click.option("--runs", type=click.IntRange(3), default=3, show_default=True, help="Runs of each load of a sweep."),
    click.option("--from", "smallest", type=float, default=1.0, show_default=True, help="Smallest load of a sweep."),
    click.option("--to", "largest", type=float, default=256.0, show_default=True, help="Largest load of a sweep."),
)


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


def load_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options on what is sent and when."""
    for option in reversed(LOAD):
        function = option(function)
    return function


def sweep_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a sweep."""
    for option in reversed(SWEEP):
        function = option(function)
    return function
