"""`llmgate bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Command
from llmgate.cli.options import run_options
from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS

__all__ = ["bench"]


@click.command(cls=Command)
@click.argument("suites", nargs=-1, type=PATH)
@run_options(
    frozenset(
        {
            *("model", "endpoint", "served-name", "reply-names", "api-key-env", "finish-reasons"),
            *("server-args", "server-python", "port", "startup-timeout", "allow-outside"),
        }
    )
)  # fmt: skip
@click.option("--requests", type=click.IntRange(1), default=64, show_default=True, help="Requests to measure.")
@click.option("--in-flight", type=click.IntRange(1), default=8, show_default=True, help="Requests in flight at once.")
@click.option("--max-tokens", type=click.IntRange(2), default=64, show_default=True, help="Tokens per answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, with the keys of `vllm bench serve`.")
def bench(
    suites: tuple[Path, ...], *, requests: int, in_flight: int, max_tokens: int, as_json: bool, **options: Any
) -> int:
    """Measure serving throughput and latency with the prompts of SUITES.

    A closed loop at fixed concurrency. The measurement checks itself and says INVALID where it must not be believed.
    """
    from llmgate.session.commands.bench import bench_endpoint, bench_lines
    from llmgate.session.progress import LineProgress
    from llmgate.session.settings import settings_from

    summary = bench_endpoint(
        suites,
        settings_from(options, root=Path.cwd()),
        requests=requests,
        concurrency=in_flight,
        max_tokens=max_tokens,
        progress=LineProgress(),
    )
    for line in bench_lines(summary, as_json=as_json):
        click.echo(line)
    return EXIT_CANNOT_RUN if summary.invalid else EXIT_PASS
