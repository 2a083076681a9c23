"""Results of any harness → decision. Imports neither a model, nor a run record, nor YAML."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import NotComparableError, PolicyError, UsageError, did_you_mean
from llmgate.gate.decide import decide
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.policy import DEFAULT_ALPHA, MetricPolicy, OnInconclusive, Policy, Role, SlicePolicy
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import SUITE, Results, load_results
from llmgate.record.results.source import read_source
from llmgate.session.clock import today

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision

__all__ = ["ResultsQuestion", "decide_results"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsQuestion:
    """What is asked about two files of results.

    Attributes:
        layout: Which columns of plain tables mean what.
        candidate_only: Column and value of the candidate's rows, where a file holds several systems.
        baseline_only: The same for the champion's.
        kind: Format of both files; None to tell from each one's content.
        metrics: Metrics that gate; empty for those that the format suggests.
        margin: Non-inferiority margin as a fraction; None for the default.
        alpha: One-sided error rate.
        policy: A policy file, instead of metrics, margin and alpha.
        allow_inconclusive: Exit with 0 on INCONCLUSIVE.
    """

    layout: Layout = field(default_factory=Layout)
    candidate_only: tuple[tuple[str, str], ...] = ()
    baseline_only: tuple[tuple[str, str], ...] = ()
    kind: str | None = None
    metrics: tuple[str, ...] = ()
    margin: float | None = None
    alpha: float = DEFAULT_ALPHA
    policy: Path | None = None
    allow_inconclusive: bool = False


def decide_results(candidate: Path, champion: Path, question: ResultsQuestion) -> Decision:
    """Decide on two files of results.

    Args:
        candidate: The candidate's file, or the folder that holds it.
        champion: The champion's, of the same or another format.
        question: What is asked.

    Raises:
        RecordError: If a file cannot be read.
        NotComparableError: If the two are the same results, or put the same item into different clusters.
        PolicyError: If a margin or alpha is impossible, or a policy names what is not there.
        UsageError: If a metric is asked for that is not there, or a folder is a run's.
    """
    layout = question.layout
    for path in (candidate, champion):
        refuse_run(path)
    new = load_results(candidate, replace(layout, only=question.candidate_only), kind=question.kind)
    old = load_results(champion, replace(layout, only=question.baseline_only), kind=question.kind)
    policy = policy_for(new, old, question)
    if question.candidate_only == question.baseline_only and same_lines(new.source, old.source):
        raise NotComparableError(
            f"holds the same rows as {champion}, so it was compared with itself",
            where=str(candidate),
            fix="Name the file of another run. Where two runs scored alike in every row, add a column that says which"
            " run it is, and name the others: --id COLUMN --score COLUMN",
        )
    if question.allow_inconclusive:
        policy = replace(policy, inconclusive=OnInconclusive.ALLOW)
    return decide(Evidence(tables=new.tables), Evidence(tables=old.tables), policy, today=today())


def refuse_run(path: Path) -> None:
    """Refuse the folder of a run, which has more to say than a table."""
    if not path.is_dir():
        return
    from llmgate.record.run.files import MANIFEST  # noqa: PLC0415 - only for folders

    if MANIFEST.exists(path):
        raise UsageError(
            "is a run of llmgate, and no results of another tool",
            where=str(path),
            fix="Name runs without options: llmgate decide CANDIDATE BASELINE",
        )


def same_lines(candidate: str, champion: str) -> bool:
    """Whether two files hold the same lines, in whatever order, packed or not.

    Results of tools tell two runs apart by times and ids. A plain table may be equal by honest chance, and then
    nothing in it says that there were two runs.
    """
    new, old = ({line.strip() for line in read_source(path).data.split(b"\n")} for path in (candidate, champion))
    return new - {b""} == old - {b""}


def policy_for(candidate: Results, champion: Results, question: ResultsQuestion) -> Policy:
    """Which metrics gate. One that only the champion's file has is asked for too: leaving it out is no way to pass.

    With a policy file it is as with `gate:` of a suite: what the file names gates unless it says otherwise.
    """
    known = tuple(dict.fromkeys(table.metric for side in (candidate, champion) for table in side.tables))
    for metric in question.metrics:
        if metric not in known:
            raise UsageError(f"there is no metric {metric!r}", where=candidate.source, fix=did_you_mean(metric, known))
    judged = candidate.judged | champion.judged
    gating = question.metrics or (*candidate.main, *champion.main)
    if question.policy is not None:
        # YAML is read only where a policy file is named.
        from llmgate.suite.form.policy import named_metrics, override_policy  # noqa: PLC0415

        named = named_metrics(str(question.policy))
        gating = tuple(metric for metric in known if f"{SUITE}/{metric}" in named)
    policy = Policy(
        metrics=tuple(
            MetricPolicy(
                suite=SUITE,
                metric=metric,
                role=Role.PRIMARY if metric in gating else Role.WATCH,
                margin=question.margin,
                alpha=question.alpha,
                judged=metric in judged,
            )
            for metric in known
        ),
        slices=tuple(SlicePolicy(suite=SUITE, field=name) for name in question.layout.slices),
    )
    if question.policy is None:
        return policy
    policy = override_policy(policy, str(question.policy))
    if policy.serving:
        raise PolicyError(
            "`serving:` asks for what runs measure, and results of other tools do not hold it",
            where=str(question.policy),
            fix="Remove it from the policy file",
        )
    for part in policy.slices:
        if part.field not in question.layout.slices:
            raise PolicyError(
                f"no column is read for the slice {part.field!r}",
                where=str(question.policy),
                fix=f"Add --slice {part.field}",
            )
    return policy
