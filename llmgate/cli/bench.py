"""`llmgate bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from llmgate.cli.decide import show_decision
from llmgate.cli.frame import PATH, Command, show_json, show_lines
from llmgate.cli.options import ENGINE_NAMES, load_options, run_options, sweep_options
from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS, UsageError

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.arms import ServingArms
    from llmgate.session.serving.sweep import Sweep

__all__ = ["bench"]


@click.command(cls=Command)
@click.argument("suites", nargs=-1, type=PATH)
@run_options(
    frozenset(
        {
            *("model", "adapter", "endpoint", "served-name", "reply-names", "api-key-env", "finish-reasons"),
            *("server-args", "server-python", "port", "startup-timeout", "stall-timeout", "allow-outside"),
            *ENGINE_NAMES,
            *("rpm", "tpm"),
            *("out", "resume", "serving-hosting"),
        }
    )
)  # fmt: skip
@load_options
@sweep_options
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Measure B against A, run by run, and decide: each a place as for --model, a URL, or either with #NAME.",
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
@click.option(
    "--prices", type=PATH, metavar="FILE", help="What GPUs cost per hour: tells the cost of a million output tokens."
)
@click.option("--html", "page", type=PATH, metavar="FILE", help="Write there a page with plots of what was measured.")
@click.option("--output", "kept", type=PATH, metavar="FILE", help="Write there what --json prints.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, with the keys of `vllm bench serve`.")
def bench(
    suites: tuple[Path, ...],
    *,
    requests: int,
    in_flight: int | None,
    max_tokens: int,
    workload: str,
    arrivals: str | None,
    seed: int | None,
    goodput: str,
    sweep: Literal["concurrency", "rate"] | None,
    slos: tuple[str, ...],
    runs: int,
    smallest: float,
    largest: float,
    compare: tuple[str, str] | None,
    compare_args_a: str,
    compare_args_b: str,
    pairs: int,
    margin: float,
    metrics: tuple[str, ...],
    most: tuple[str, ...],
    least: tuple[str, ...],
    prices: Path | None,
    page: Path | None,
    kept: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    r"""Measure serving throughput and latency, with the prompts of SUITES or with another --workload.

    A closed loop at fixed concurrency, or an open one where --arrivals say when requests are due. The measurement
    checks itself and says INVALID where it must not be believed.

    \b
    --workload random:in=512,out=64..256
    --workload shared-prefix:groups=4,prefix=512,in=64
    --workload multi-turn:turns=4,in=128
    --workload trace:FILE,speed=2,max-input=4096
    --arrivals poisson:rate=4
    --arrivals gamma:rate=4,burstiness=0.5
    --arrivals constant:rate=4
    --arrivals ramp:from=1,to=8

    Lengths are 512, 64..256, 128|512, normal(512,64) or lognormal(512,0.5,16..4096): in words, or exactly in tokens
    with tokenizer=FOLDER. A trace is JSONL of Mooncake's form, or CSV of BurstGPT's.

    With --sweep, the largest load is looked for at which --slo holds. Ends with 0 if there is one, with 1 if not even
    the smallest holds, with 3 if the runs do not say.

    With --compare, A is the champion and B the candidate. Runs of both take turns; a run that other processes disturbed
    is made again with its pair. Ends with 0, 1 or 3, as PASS, FAIL or INCONCLUSIVE; what is INVALID never passes.
    """
    from llmgate.session.progress import LineProgress
    from llmgate.session.serving.compare import OUR_EYES
    from llmgate.session.serving.load_spec import load_spec
    from llmgate.session.serving.single import refuse_limits
    from llmgate.session.settings.combined import settings_from

    settings = settings_from(options, root=Path.cwd())
    refuse_limits(settings)
    if compare is not None or sweep is not None:
        _only("a single measurement", "", (("--prices", prices),), fix="Leave it out")
    spec = load_spec(
        requests=requests,
        in_flight=in_flight,
        max_tokens=max_tokens,
        workload=workload,
        arrivals=arrivals,
        goodput=goodput,
        seed=seed,
    )
    if compare is not None:
        from llmgate.session.commands.bench import prompts_for
        from llmgate.session.run.by_hand import ByHand, compare_by_hand, comparison_json

        _only("a sweep", "--sweep", (("--sweep", sweep), ("--slo", slos)), fix="Leave it out of a comparison")
        sent = prompts_for(suites, settings, spec)
        comparison = compare_by_hand(
            sent.name,
            sent.prompts,
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
                spec=spec,
            ),
            progress=LineProgress(),
        )
        _show(comparison_json(comparison), as_json=as_json, kept=kept)
        _draw(page, (comparison.decision, comparison.arms))
        if not as_json:
            show_decision(comparison.decision, (comparison.arms,))
        return comparison.decision.exit_code
    _only(
        "a comparison",
        "--compare A B",
        (
            ("--compare-args-a", compare_args_a),
            ("--compare-args-b", compare_args_b),
            ("--metric", metrics),
            ("--max", most),
            ("--min", least),
            ("--out", settings.out),
            ("--resume", settings.resume),
        ),
    )
    if sweep is not None:
        from llmgate.session.commands.bench import bench_sweep
        from llmgate.session.serving.sweep_told import sweep_exit, sweep_facts, sweep_lines

        found = bench_sweep(
            suites,
            settings,
            spec,
            sweep,
            slos=slos,
            least=smallest,
            most=largest,
            runs=runs,
            progress=LineProgress(),
            eyes=OUR_EYES,
        )
        _show(sweep_facts(found), as_json=as_json, kept=kept)
        _draw(page, found)
        if not as_json:
            show_lines(sweep_lines(found))
        return sweep_exit(found)
    _only("a sweep", "--sweep", (("--slo", slos),))
    from llmgate.session.commands.bench import bench_endpoint, bench_facts, bench_lines

    summary = bench_endpoint(suites, settings, spec, prices=prices, progress=LineProgress(), eyes=OUR_EYES)
    _show(bench_facts(summary, spec), as_json=as_json, kept=kept)
    _draw(page, summary)
    if not as_json:
        show_lines(bench_lines(summary, spec))
    return EXIT_CANNOT_RUN if summary.invalid else EXIT_PASS


def _only(kind: str, flag: str, given: tuple[tuple[str, object], ...], *, fix: str = "") -> None:
    """Refuse options that belong to something else than what is asked for.

    Raises:
        UsageError: About the first of them.
    """
    for name, value in given:
        if value:
            raise UsageError(f"{name} is for {kind}", fix=fix or f"Add {flag}, or leave it out")


def _show(facts: dict[str, Any], *, as_json: bool, kept: Path | None) -> None:
    """Print JSON, and keep it in a file."""
    if kept is not None:
        import json

        from llmgate.record.disk import write_atomic

        text = json.dumps(facts, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        write_atomic(kept, f"{text}\n".encode(), private=False)
    if as_json:
        show_json(facts)


def _draw(page: Path | None, measured: ServingSummary | Sweep | tuple[Decision, ServingArms]) -> None:
    """Write the page where one is wanted."""
    if page is not None:
        from llmgate.session.serving.page import write_page

        write_page(page, measured)
