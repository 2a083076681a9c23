"""What MLflow shows of a gate run: names and values only, no call."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision.wording import amount
from llmgate.promote import tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.promote.target import AttemptName
    from llmgate.record.manifest import Manifest, SuiteIdentity

__all__ = [
    "DatasetFacts",
    "attempt_tags",
    "attempts_in_words",
    "dataset_facts",
    "description",
    "metric_datasets",
    "run_metrics",
    "run_params",
    "run_tags",
    "version_tags",
]

MAX_PARAM = 6000
MAX_TAG = 5000
"""MLflow takes 8000 bytes in a tag of a run, and a character may need more than one."""
MAX_DATASET_DIGEST = 36
"""MLflow's limit; a full SHA-256 has 64 digits."""

NOT_A_KEY = re.compile(r"[^A-Za-z0-9_\-. /]")
FIGURES = ("candidate", "champion", "delta", "lower", "upper", "margin", "min")
IN_UNIT = ("candidate", "champion", "min", "max")
"""Figures of serving that have its unit; the others are relative changes, except for the bounds of a limit alone."""
COUNTS = ("expected", "evaluated", "errors", "better", "worse")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """One dataset input of a run.

    Attributes:
        name: Suite name.
        digest: As much of the SHA-256 as MLflow has room for.
        sha256: All of it.
        version: Version of the dataset.
        path: The suite file.
    """

    name: str
    digest: str
    sha256: str
    version: str
    path: str


def run_params(manifest: Manifest, baseline: str | None) -> dict[str, str]:
    """What was run, on what, how.

    Args:
        manifest: The candidate's manifest.
        baseline: The version that it was compared with, None without one.
    """
    model, server, judge = manifest.model, manifest.server, manifest.judge
    params = {
        "model": model.name,
        "model.source": model.source,
        "model.revision": model.revision,
        "model.registry_uri": model.registry_uri,
        "model.weights_digest": model.weights_digest,
        "baseline": baseline,
        "server": " ".join(filter(None, (server.engine, server.version))),
        "server.flags": " ".join(server.flags) or None,
        "server.owned": str(server.owned).lower(),
        "concurrency": f"{'auto, up to ' if manifest.adaptive else ''}{manifest.concurrency}",
        "seed": str(manifest.seed),
        "judge": judge.model if judge else None,
        "judge.prompt_digest": judge.prompt_digest if judge else None,
        "hardware": ", ".join((manifest.hardware.cpu, *manifest.hardware.gpus)),
        "llmgate": manifest.llmgate_version,
        "cases_digest": manifest.cases_digest,
    }
    for suite in manifest.suites:
        params[key("suite", suite.name)] = suite.version
        params[key("suite", suite.name, "digest")] = suite.digest
        params[key("suite", suite.name, "dataset")] = f"{suite.dataset_version} {suite.dataset_digest}"
    return {name: cut(value, MAX_PARAM) for name, value in params.items() if value}


def run_metrics(decision: Decision, serving: Mapping[str, float]) -> dict[str, float]:
    """Every figure of the decision, `SUITE/METRIC/FIGURE`, and of serving, `serving/NAME`.

    What does not exist or is not finite is left out: MLflow would draw it as a number.
    """
    metrics = {
        key(m.suite, m.metric, name): float(value)
        for m in decision.metrics
        for name, value in figures_of(m).items()
        if value is not None
    }
    metrics |= {key("serving", name): float(value) for name, value in serving.items()}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def metric_datasets(decision: Decision, manifest: Manifest) -> dict[str, DatasetFacts]:
    """On which dataset each figure of the decision was measured, by the name that `run_metrics` gives it."""
    known = {suite.name: dataset_facts(suite) for suite in manifest.suites}
    return {
        key(m.suite, m.metric, name): known[m.suite]
        for m in decision.metrics
        for name in figures_of(m)
        if m.suite in known
    }


def figures_of(metric: MetricDecision) -> dict[str, float | None]:
    """Figures and counts of a metric by name; of serving with the unit in the name: `candidate_tok_per_s`."""
    counts = {name: getattr(metric, name) for name in COUNTS}
    if not metric.unit:
        return {**{name: getattr(metric, name) for name in FIGURES}, **counts}
    unit = metric.unit.replace("/", "_per_")
    bounds = "relative" if metric.reference == "champion" else unit
    return {
        **{f"{name}_{unit}": getattr(metric, name) for name in IN_UNIT},
        "delta_relative": metric.delta,
        "margin_relative": metric.margin,
        **{f"{name}_{bounds}": getattr(metric, name) for name in ("lower", "upper")},
        **counts,
    }


def run_tags(manifest: Manifest, decision: Decision, *, subject: str | None, baseline: str | None) -> dict[str, str]:
    """The tags of the run, for lists, filters and look-ups."""
    values = {
        tags.VERDICT: str(decision.verdict),
        tags.SUITE: suites(manifest),
        tags.RUN_ID: manifest.run_id,
        tags.WEIGHTS_DIGEST: manifest.model.weights_digest,
        tags.BINDING: manifest.model.binding,
        tags.SUBJECT: subject,
        tags.BASELINE: baseline,
        "mlflow.note.content": description(decision),
        **{key("llmgate.label", name): value for name, value in manifest.labels.items()},
    }
    return {name: cut(value, MAX_TAG) for name, value in values.items() if value}


def attempt_tags(attempt: AttemptName) -> dict[str, str]:
    """The tags by which later attempts find a run; the one that is looked for last."""
    return {tags.ATTEMPT: str(attempt.number), tags.ATTEMPT_KEY: attempt.key, tags.ATTEMPT_ID: attempt.id}


def version_tags(
    manifest: Manifest, decision: Decision, mlflow_run: str, *, ended_at: datetime, attempt: AttemptName | None = None
) -> dict[str, str | None]:
    """The tags of the version that was judged; None means that an older tag of that name no longer holds."""
    counted = {f"{tags.ATTEMPTS}/{mlflow_run}": f"{attempt.number} {attempt.key} {attempt.id}"} if attempt else {}
    return {
        **counted,
        tags.ATTEMPT: attempts_in_words(decision) or None,
        tags.VERDICT: str(decision.verdict),
        tags.SUITE: cut(suites(manifest), MAX_TAG),
        tags.RUN_ID: manifest.run_id,
        tags.WEIGHTS_DIGEST: manifest.model.weights_digest,
        tags.EVIDENCE: mlflow_run,
        tags.REPORT: f"runs:/{mlflow_run}/report.html",
        tags.BINDING: manifest.model.binding,
        f"{tags.VERDICTS}/{mlflow_run}": f"{decision.verdict} {ended_at.isoformat(timespec='milliseconds')}",
    }


def attempts_in_words(decision: Decision) -> str:
    """`3 (earlier: FAIL, INCONCLUSIVE)`, "" where nothing was counted."""
    counted = decision.attempt
    if counted is None:
        return ""
    earlier = f" (earlier: {', '.join(counted.earlier)})" if counted.earlier else ""
    return cut(f"{counted.number}{earlier}", MAX_TAG)


def suites(manifest: Manifest) -> str:
    """`name@version` of every suite."""
    return ",".join(f"{suite.name}@{suite.version}" for suite in manifest.suites)


def dataset_facts(suite: SuiteIdentity) -> DatasetFacts:
    """The dataset of a suite as MLflow wants it."""
    sha256 = suite.dataset_digest.removeprefix("sha256:")
    return DatasetFacts(
        name=cut(suite.name, 200),
        digest=sha256[:MAX_DATASET_DIGEST],
        sha256=sha256,
        version=suite.dataset_version,
        path=suite.path,
    )


def description(decision: Decision) -> str:
    """The decision in markdown. A table needs the blank line before it, or MLflow shows it as text."""
    lines = [
        f"**llmgate: {decision.verdict}**",
        "",
        plain(decision.sentence),
        "",
        "| gate | role | verdict | score | champion | difference | bounds | cases | errors |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(m) for m in decision.metrics),
    ]
    if decision.problems:
        lines += ["", f"{len(decision.problems)} could not be evaluated; see report.html."]
    return "\n".join(lines)


def row(metric: MetricDecision) -> str:
    """One line of the table; figures in points, those of serving in their unit and relative changes in percent."""
    if metric.unit:
        figures = serving_cells(metric)
    else:
        figures = (
            points(metric.candidate),
            points(metric.champion),
            points(metric.delta, sign=True),
            f"{points(metric.lower, sign=True)} to {points(metric.upper, sign=True)}",
        )
    cells = (
        plain(f"{metric.suite}::{metric.metric}"),
        str(metric.role),
        str(metric.verdict),
        *figures,
        f"{metric.evaluated}/{metric.expected}",
        str(metric.errors),
    )
    return f"| {' | '.join(cells)} |"


def serving_cells(metric: MetricDecision) -> tuple[str, str, str, str]:
    """Candidate and champion in their unit, the relative change with its bounds; more than 0 is better."""
    score, champion = (
        "–" if value is None or not math.isfinite(value) else amount(value, metric.unit)
        for value in (metric.candidate, metric.champion)
    )
    if metric.lower is None or metric.upper is None:
        return score, champion, "–", "–"
    if metric.reference != "champion":
        return score, champion, "–", f"{amount(metric.lower)} to {amount(metric.upper, metric.unit)}"
    lower, upper = points(metric.lower, sign=True), points(metric.upper, sign=True)
    return score, champion, f"{points(metric.delta, sign=True)} %", f"{lower} to {upper} %"


def points(value: float | None, *, sign: bool = False) -> str:
    """A fraction as points; a dash if there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:{'+' if sign else ''}.1f}"


def plain(text: str) -> str:
    """Text that markdown shows as it is: suite names and sentences may quote what a stranger wrote."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|!#])", r"\\\1", flat)


def key(*parts: str) -> str:
    """A name that MLflow takes; distinct parts stay distinct.

    A slash inside a part would make another level, and a part of dots would climb one. MLflow's limit is 250.
    """
    return "/".join(clean(part) for part in parts)


def clean(part: str) -> str:
    """One part of a key: what had to be replaced leaves a fingerprint behind."""
    kept = NOT_A_KEY.sub("_", part).replace("/", "_").strip(" .")
    return kept if kept and kept == part and len(part) <= 60 else f"{kept[:60]}-{fingerprint(part)}"


def fingerprint(text: str) -> str:
    """Eight digits that tell two names apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def cut(text: str, limit: int) -> str:
    """The text, shortened visibly."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
