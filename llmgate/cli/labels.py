"""`llmgate labels`: draw answers for people to label."""

from __future__ import annotations

from pathlib import Path

import click

from llmgate.cli.frame import PATH, Group, show_lines

__all__ = ["labels_group"]

DEFAULT_CASES = 150


@click.group("labels", cls=Group)
def labels_group() -> None:
    """Have people label a random part of the answers, to correct a judge by."""


@labels_group.command(short_help="Draw cases into a file that people fill in.")
@click.argument("candidate", type=PATH)
@click.argument("baseline", required=False, type=PATH)
@click.option("--metric", required=True, metavar="SUITE/METRIC", help="The metric whose score people give.")
@click.option("--cases", type=click.IntRange(1), default=DEFAULT_CASES, show_default=True, help="Cases to draw.")
@click.option("--stratify", is_flag=True, help="Draw twice as many cases on which the judge finds the sides different.")
@click.option("--seed", type=click.IntRange(0), help="Of the drawing. Default: one that follows from the records.")
@click.option(
    "--reuse", type=PATH, multiple=True, metavar="FILE", help="Earlier labels, kept where the answer is the same."
)
@click.option("--out", type=PATH, default=Path("labels.jsonl"), show_default=True, help="The file to fill in.")
def sample(
    candidate: Path,
    baseline: Path | None,
    *,
    metric: str,
    cases: int,
    stratify: bool,
    seed: int | None,
    reuse: tuple[Path, ...],
    out: Path,
) -> None:
    """Draw cases at random, and write their answers to a file for people to fill in.

    CANDIDATE and BASELINE are folders of runs. Whose answer is whose is not to be seen. Give the file back with
    `llmgate decide CANDIDATE BASELINE --labels FILE`: the metric is then decided on what people would say of all cases.
    """
    from llmgate.session.admission.label_sheets import sample_labels

    drawn = sample_labels(
        candidate, baseline, metric=metric, cases=cases, out=out, seed=seed, reuse=reuse, stratify=stratify
    )
    show_lines(drawn.lines())
