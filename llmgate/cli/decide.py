"""`llmgate decide`: on runs, or on the results of any other harness."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from llmgate.cli.frame import EXIT_CODES, PATH, DecidingCommand
from llmgate.errors import RecordError, UsageError
from llmgate.session.garbage import uncollected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmgate.gate.decision.types import Decision
    from llmgate.record.arms import ServingArms
    from llmgate.session.decide.results import ResultsQuestion

__all__ = ["decide", "show_decision"]

DEFAULT_ALPHA = 0.05

HELP = r"""Take a decision without a model: on runs, or on results of any harness.

CANDIDATE and BASELINE are folders of runs; without BASELINE the absolute thresholds (min:) decide. Or compare what
promptfoo, Inspect, lm-eval, DeepEval, MLflow or a test runner (JUnit XML) wrote, files or folders; or two tables of
scores - JSON Lines, CSV or Parquet, plain or .gz - with the columns item_id, score and, where there are any, cluster,
human and error:

\b
  llmgate decide --candidate a.jsonl --baseline b.jsonl --margin 0.03 --json
  llmgate decide --candidate a.csv --baseline b.csv --id key --slice topic
  llmgate decide --candidate new/results.json --baseline old/results.json
"""


@click.command(cls=DecidingCommand, epilog=EXIT_CODES, help=HELP)
@click.argument("candidate", required=False, type=PATH)
@click.argument("baseline", required=False, type=PATH)
@click.option(
    "--candidate", "candidate_table", type=PATH, metavar="PATH", help="Results of the candidate, file or folder."
)
@click.option("--baseline", "baseline_table", type=PATH, metavar="PATH", help="Results of the champion.")
@click.option("--margin", type=float, metavar="M", help="Non-inferiority margin for files of results, e.g. 0.03.")
@click.option(
    "--alpha", type=float, metavar="A", help=f"One-sided error rate for files of results. [default: {DEFAULT_ALPHA}]"
)
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metric that gates; several are all required.")
@click.option("--id", "item", metavar="COLUMN", help="Column of the item's id. [default: item_id]")
@click.option("--score", "scores", multiple=True, metavar="COLUMN", help="Column of scores. [default: score]")
@click.option("--cluster", metavar="COLUMN", help="Column of the cluster key. [default: cluster, if there is one]")
@click.option("--human", metavar="COLUMN", help="Column of people's scores. [default: human, if there is one]")
@click.option("--slice", "slices", multiple=True, metavar="COLUMN", help="Column whose values are compared one by one.")
@click.option(
    "--candidate-only", multiple=True, metavar="COLUMN=VALUE", help="Only these rows, where a file has several systems."
)
@click.option("--baseline-only", multiple=True, metavar="COLUMN=VALUE", help="The same for the champion's file.")
@click.option("--format", "kind", metavar="NAME", help="Format of both files. [default: told from their content]")
@click.option("--policy", type=PATH, metavar="FILE", help="Policy file that says which metrics gate, and how strictly.")
@click.option(
    "--noise", type=PATH, metavar="RUN", help="A noise run (a second run of the champion): how often would it pass?"
)
@click.option(
    "--labels",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="What people say: a sheet of `llmgate labels sample`.",
)
@click.option(
    "--judge-admission", type=PATH, multiple=True, metavar="FILE", help="Admission record of a judge, after the run."
)
@click.option("--attempts", type=PATH, metavar="DIR", help="Where attempts are counted. [default: .llmgate/attempts]")
@click.option("--allow-inconclusive", is_flag=True, help="Exit with 0 on INCONCLUSIVE.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole decision as JSON.")
def decide(
    candidate: Path | None,
    baseline: Path | None,
    *,
    candidate_table: Path | None,
    baseline_table: Path | None,
    policy: Path | None,
    noise: Path | None,
    labels: tuple[Path, ...],
    judge_admission: tuple[Path, ...],
    attempts: Path | None,
    allow_inconclusive: bool,
    as_json: bool,
    **options: Any,
) -> Decision:
    """Take a decision without a model."""
    click.get_current_context().with_resource(one_shot())
    if candidate_table or baseline_table:
        if candidate or not (candidate_table and baseline_table):
            raise UsageError(
                "score tables come in pairs, and not together with run folders",
                fix="Give --candidate FILE --baseline FILE, or CANDIDATE [BASELINE] folders",
            )
        if noise is not None:
            raise UsageError("--noise is a run, and score tables are none", fix="Leave it out, or name run folders")
        if labels:
            raise UsageError("--labels is for runs", fix="Name the folders of two runs, or add a column: --human")
        if judge_admission:
            raise UsageError("--judge-admission is for runs", fix="Scores alone do not say who judged: leave it out")
        if attempts is not None:
            raise UsageError("--attempts is for runs", fix="Scores alone do not say whose they are: leave it out")
        from llmgate.session.decide.results import decide_results

        question = question_from(options, policy=policy, allow_inconclusive=allow_inconclusive)
        decision = decide_results(candidate_table, baseline_table, question)
    elif candidate is None:
        raise UsageError("no run is named", fix="Give the folder of a run, or --candidate FILE --baseline FILE")
    else:
        refuse_table_options(options)
        refuse_results(candidate, baseline)
        from llmgate.session.attempts.place import attempts_at
        from llmgate.session.decide.records import decide_folders

        decision = decide_folders(
            candidate,
            baseline,
            policy=policy,
            allow_inconclusive=allow_inconclusive,
            labels=labels,
            noise=noise,
            admissions=judge_admission,
            attempts=attempts_at(attempts),
        )
    if as_json:
        click.echo(json_of(decision, with_headline=candidate is None), nl=False)
    else:
        show_decision(decision)
    return decision


@contextmanager
def one_shot() -> Iterator[None]:
    """For a process that computes one thing and ends: spare it what only long-lived processes gain from.

    That is collecting garbage, and starting and ending threads for linear algebra that nothing uses.
    """
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with uncollected():
        yield


def refuse_results(*runs: Path | None) -> None:
    """Results of other tools are named by options, since they are decided on in another way."""
    from llmgate.record.run.files import MANIFEST

    for run in runs:
        if run is not None and run.exists() and not MANIFEST.exists(run):
            fix = "Name the folder that `llmgate run` printed; results of other tools go to --candidate and --baseline"
            raise RecordError("there is no run here", where=str(run), fix=fix)


def refuse_table_options(options: dict[str, Any]) -> None:
    """Runs carry their own metrics, margins and slices."""
    flags = {"scores": "score", "slices": "slice", "metrics": "metric", "item": "id", "kind": "format"}
    for name, value in options.items():
        if value:
            flag = f"--{flags.get(name, name).replace('_', '-')}"
            raise UsageError(f"{flag} is for score tables", fix="Runs carry their margins: override them with --policy")


def question_from(options: dict[str, Any], *, policy: Path | None, allow_inconclusive: bool) -> ResultsQuestion:
    """The options of files of results, checked."""
    from llmgate.record.results.layout import Layout
    from llmgate.session.decide.results import ResultsQuestion

    given = [name for name in ("margin", "alpha", "metrics") if options[name]]
    if policy is not None and given:
        raise UsageError(
            f"--{given[0].removesuffix('s')} stands beside --policy", fix="Say it in the policy file, for each metric"
        )
    return ResultsQuestion(
        layout=Layout(
            item=options["item"],
            scores=options["scores"],
            cluster=options["cluster"],
            human=options["human"],
            slices=options["slices"],
        ),
        candidate_only=pairs_of(options["candidate_only"], "--candidate-only"),
        baseline_only=pairs_of(options["baseline_only"], "--baseline-only"),
        kind=options["kind"],
        metrics=options["metrics"],
        margin=options["margin"],
        alpha=DEFAULT_ALPHA if options["alpha"] is None else options["alpha"],
        policy=policy,
        allow_inconclusive=allow_inconclusive,
    )


def pairs_of(given: tuple[str, ...], flag: str) -> tuple[tuple[str, str], ...]:
    """COLUMN=VALUE, taken apart."""
    parted = [text.partition("=") for text in given]
    for (column, sign, _), text in zip(parted, given, strict=True):
        if not (column and sign):
            raise UsageError(f"{flag} is {text!r}", fix=f"Write {flag} COLUMN=VALUE")
    return tuple((column, value) for column, _, value in parted)


def json_of(decision: Decision, *, with_headline: bool) -> str:
    """The decision as JSON, with the figures of a single metric on top."""
    from llmgate.gate.decision.statement import decision_to_json, headline

    return decision_to_json(decision, headline(decision)) if with_headline else decision_to_json(decision)


def show_decision(decision: Decision, arms: Sequence[ServingArms] = ()) -> None:
    """Print the metrics as a table, what there is to say about them, the verdict, and what to do next.

    Args:
        decision: What to say.
        arms: The measurements on two arms that it rests on.
    """
    from llmgate.report.terminal.decision import decision_lines, terminal_width

    if arms:
        from llmgate.report.terminal.serving import serving_led_lines

        lines = serving_led_lines(decision, arms, terminal_width())
    else:
        lines = decision_lines(decision, width=terminal_width())
    colours = {"good": "green", "bad": "red", "warn": "yellow"}
    for lead, text, style in lines:
        click.secho(lead, fg=colours.get(style), bold=style in colours or None, nl=False)
        click.echo(text)
