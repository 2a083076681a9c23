"""`llmgate bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmgate.cli.decide import show_decision
from llmgate.cli.frame import PATH, Command, show_json
from llmgate.cli.options import run_options
from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS, UsageError

__all__ = ["bench"]


@click.command(cls=Command)
@click.argument("suites", nargs=-1, type=PATH)
@run_options(
    frozenset(
        {
            *("model", "endpoint", "served-name", "reply-names", "api-key-env", "finish-reasons"),
            *("server-args", "server-python", "port", "startup-timeout", "allow-outside"),
            *("out", "resume", "serving-hosting"),
        }
    )
)  # fmt: skip
@click.option("--requests", type=click.IntRange(1), default=64, show_default=True, help="Requests to measure.")
@click.option("--in-flight", type=click.IntRange(1), default=8, show_default=True, help="Requests in flight at once.")
@click.option("--max-tokens", type=click.IntRange(2), default=64, show_default=True, help="Tokens per answer.")
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Measure B against A, run by run, and decide: each a model folder, a URL, or either with #NAME.",
)
@click.option("--compare-args-a", default="", metavar="ARGS", help="Further flags of A's server.")
@click.option("--compare-args-b", default="", metavar="ARGS", help="Further flags of B's server.")
@click.option("--pairs", type=click.IntRange(6), default=8, show_default=True, help="Pairs of runs that are compared.")
@click.option(
    "--margin", type=float, default=0.05, show_default=True, help="Loss that is accepted: 0.05 is 5 % slower."
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="A figure that gates, e.g. p95_ttft_ms:margin=0.1; several are all required. Default: output_throughput,"
    " median_ttft_ms, median_tpot_ms.",
)
@click.option(
    "--max", "most", multiple=True, metavar="NAME=MS", help="A latency that B must keep, e.g. p95_ttft_ms=500."
)
@click.option("--min", "least", multiple=True, metavar="NAME=N", help="A throughput that B must reach.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, with the keys of `vllm bench serve`.")
def bench(
    suites: tuple[Path, ...],
    *,
    requests: int,
    in_flight: int,
    max_tokens: int,
    compare: tuple[str, str] | None,
    compare_args_a: str,
    compare_args_b: str,
    pairs: int,
    margin: float,
    metrics: tuple[str, ...],
    most: tuple[str, ...],
    least: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Measure serving throughput and latency with the prompts of SUITES.

    A closed loop at fixed concurrency. The measurement checks itself and says INVALID where it must not be believed.

    With --compare, A is the champion and B the candidate. Runs of both take turns; a run that other processes disturbed
    is made again with its pair. Ends with 0, 1 or 3, as PASS, FAIL or INCONCLUSIVE; what is INVALID never passes.
    """
    from llmgate.session.commands.bench import bench_endpoint, bench_lines
    from llmgate.session.progress import LineProgress
    from llmgate.session.settings import settings_from

    settings = settings_from(options, root=Path.cwd())
    if compare is not None:
        from llmgate.session.commands.bench_compare import ByHand, bench_compare, comparison_json

        comparison = bench_compare(
            suites,
            settings,
            ByHand(
                champion=compare[0],
                candidate=compare[1],
                champion_args=compare_args_a,
                candidate_args=compare_args_b,
                pairs=pairs,
                margin=margin,
                metrics=metrics,
                most=most,
                least=least,
                requests=requests,
                concurrency=in_flight,
                max_tokens=max_tokens,
            ),
            progress=LineProgress(),
        )
        if as_json:
            show_json(comparison_json(comparison))
        else:
            show_decision(comparison.decision)
        return comparison.decision.exit_code
    for flag, value in (
        ("--compare-args-a", compare_args_a),
        ("--compare-args-b", compare_args_b),
        ("--metric", metrics),
        ("--max", most),
        ("--min", least),
        ("--out", settings.out),
        ("--resume", settings.resume),
    ):
        if value:
            raise UsageError(f"{flag} is for a comparison", fix="Add --compare A B, or leave it out")
    summary = bench_endpoint(
        suites,
        settings,
        requests=requests,
        concurrency=in_flight,
        max_tokens=max_tokens,
        progress=LineProgress(),
    )
    for line in bench_lines(summary, as_json=as_json):
        click.echo(line)
    return EXIT_CANNOT_RUN if summary.invalid else EXIT_PASS
