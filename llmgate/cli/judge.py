"""`llmgate judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Group, show_lines
from llmgate.cli.options import run_options
from llmgate.errors import EXIT_FAIL, EXIT_PASS, UsageError

__all__ = ["judge_group"]

JUDGE_OPTIONS = frozenset(
    {
        "judge-model", "judge-endpoint", "judge-name", "judge-api-key-env", "judge-finish-reasons", "judges",
        "embed-endpoint", "embed-name", "embed-api-key-env", "server-args", "server-python", "port", "startup-timeout",
        "stall-timeout",
        "concurrency", "timeout", "retries", "resume", "allow-outside",
    }
)  # fmt: skip


@click.group("judge", cls=Group)
def judge_group() -> None:
    """Try judges on what people said: a judge gates when it is admitted."""


@judge_group.command("admit", short_help="Try a judge on what people said.")
@click.argument("labels", type=PATH)
@click.option("--suite", type=PATH, metavar="FILE", help="Suite whose judged assert is tried, with its sampling.")
@click.option("--metric", metavar="NAME", help="The metric of that assert, where the suite has several.")
@click.option(
    "--rubric", metavar="TEXT", help="Without a suite: the criterion of an llm-rubric (of prefer, for pairs)."
)
@click.option(
    "--max-tokens", type=click.IntRange(32), default=400, show_default=True, help="Without a suite: limit of a verdict."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Without a suite: seed of the judge.")
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The admission record; verdicts go beside it.")
@click.option("--recorded", type=PATH, metavar="FILE", help="Decide by verdicts that were recorded, without a model.")
@click.option(
    "--repeats", type=click.IntRange(0), default=50, show_default=True, help="Questions that are asked once more."
)
@click.option(
    "--margin",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    metavar="M",
    help="Of the metric it is to score. Default: the suite's, else 0.05.",
)
@run_options(JUDGE_OPTIONS)
def admit(
    labels: Path,
    *,
    suite: Path | None,
    metric: str | None,
    rubric: str | None,
    max_tokens: int,
    seed: int,
    out: Path,
    recorded: Path | None,
    repeats: int,
    margin: float | None,
    **options: Any,
) -> int:
    r"""Try a judge on LABELS that people gave, and say whether it may gate.

    LABELS has a JSON object per line: an answer, or two of them, and what people said.

    \b
      {"id": "a1", "system": "v1", "prompt": "…", "output": "…", "human": true}
      {"id": "p1", "system_1": "v1", "system_2": "v2", "prompt": "…",
       "output_1": "…", "output_2": "…", "human": 1}

    A judge is admitted for one criterion if the lower 95 % bounds of its agreement with people (Cohen's κ 0.4), of
    its repeated answers (0.85) and, for pairs, of both orders (0.8) are reached on 150 items or more, 30 of each
    label, it caught every canary, and what it may be off by between two systems lies below the margin. Exits with 0
    if it is admitted, 1 if it is refused.
    """
    from llmgate.report.terminal.admission import admission_lines
    from llmgate.score.labels import read_labels
    from llmgate.session.admission.admit import admit_judge, admit_recorded, asked_in
    from llmgate.session.progress import LineProgress
    from llmgate.session.settings.combined import settings_from

    # --resume of a run needs to know which; here --out says it.
    settings = settings_from(options | {"out": str(out)}, root=Path.cwd())
    read = read_labels(labels)
    asked = asked_in(
        suite,
        metric=metric,
        rubric=rubric,
        max_tokens=max_tokens,
        seed=seed,
        labels=read,
        allowed=settings.allow_outside,
        margin=margin,
    )
    if recorded is not None:
        if settings.resume:
            raise UsageError("--recorded asks nothing that could be resumed", fix="Remove --resume")
        record = admit_recorded(read, asked, recorded, out=out, repeats=repeats)
    else:
        record = admit_judge(
            read, asked, settings, out=out, resume=settings.resume, repeats=repeats, progress=LineProgress()
        )
    show_lines(admission_lines(record))
    click.secho(f"{'admitted' if record.admitted else 'refused'}: {out}", fg="green" if record.admitted else "red")
    return EXIT_PASS if record.admitted else EXIT_FAIL
