"""A decision on paper: canonical JSON, and the in-toto statement that a signature can cover."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from llmgate.errors import RecordError, UndefinedError
from llmgate.record.policy import written_policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.record.judges.admission import AdmissionRecord
    from llmgate.record.judges.identity import JudgeIdentity
    from llmgate.record.manifest import Manifest, ModelIdentity
    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.serving.policy import ServingPolicy

__all__ = [
    "DECISION_MAJOR",
    "PREDICATE_TYPE",
    "STATEMENT_TYPE",
    "decision_to_json",
    "headline",
    "policy_digest",
    "statement",
]

_HEADLINE: Final = (
    *("metric", "method", "delta", "lower", "upper", "margin", "alpha", "se", "se_clustered", "clusters"),
    *("better", "worse", "errors", "expected"),
)

LATER_OF_MODELS: Final = frozenset({"adapter", "base", "revision"})
_LATER: Final = ("as_baseline", "cluster_facts", "counted", "unit")
"""Fields that were added later, and are left out where they are false or empty."""

DECISION_MAJOR = 1
DECISION_MINOR = 2
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:llmgate:verdict:v1"


def decision_to_json(decision: Decision, headline: Mapping[str, object] | None = None) -> str:
    """Sorted keys, no NaN, one final line feed: the same decision always gives the same bytes.

    Floats are written in the shortest form that reads back as the same number.

    Args:
        decision: The decision.
        headline: Further keys beside the decision's own.

    Raises:
        UndefinedError: If a number is not finite.
    """
    values = {"major": DECISION_MAJOR, "minor": DECISION_MINOR, **_fields(decision), **(headline or {})}
    try:
        # As `asdict` would have it, without its deep copies.
        text = json.dumps(values, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False, default=_fields)
    except ValueError as error:
        raise UndefinedError(f"the decision holds a number that is not finite ({error})") from error
    return text + "\n"


def _fields(value: Any) -> dict[str, object]:
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: held for name, held in values.items() if held or name not in _LATER}


def policy_digest(policy: Policy) -> str:
    """SHA-256 over the policy's canonical JSON."""
    return _digest(written_policy(policy))


def statement(
    decision: Decision,
    *,
    candidate: Manifest,
    issued_at: str,
    policy: Policy | None = None,
    champion: Manifest | None = None,
    expires_at: str | None = None,
    serving: Sequence[Mapping[str, object]] = (),
    arms: Sequence[Mapping[str, object]] = (),
) -> dict[str, object]:
    """An in-toto Statement v1, unsigned: what was judged, by what, with which result.

    The subject is the model's weights. Where only an endpoint is known there are none to name, and the subject is the
    run's journal instead: such a statement vouches for the record, not for a model.

    Args:
        decision: The decision.
        candidate: Manifest of the run that was decided on.
        issued_at: ISO 8601 with a time zone; there is no clock in here.
        policy: The policy that was applied, None for the candidate's own.
        champion: Manifest of the champion's run.
        expires_at: As `issued_at`; None for a statement that names no end.
        serving: Serving measurements in figures, see `llmgate.gate.serving.summary.told`.
        arms: Measurements on two arms, run by run, see `llmgate.gate.serving.arms_told.told_arms`.

    Raises:
        RecordError: If decision, manifests and policy do not belong together, or a time has no zone.
    """
    policy = replace(policy or candidate.policy, inconclusive=decision.on_inconclusive)
    _check_belongs(decision, candidate, champion, policy)
    weights = candidate.model.weights_digest
    name, digest = (candidate.model.name, weights) if weights else (candidate.run_id, decision.candidate_digest)
    predicate = {
        "verdict": decision.verdict.value,
        "sentence": decision.sentence,
        "subjectIs": "weights" if weights else "journal",
        "model": _model(candidate.model),
        "run": candidate.run_id,
        "championRun": decision.champion_run,
        "championModel": _model(champion.model) if champion else None,
        "suites": [
            {"name": s.name, "version": s.version, "digest": s.digest, "dataset": s.dataset_digest}
            for s in candidate.suites
        ],
        "policy": policy_digest(policy),
        "judge": _judge_digest(candidate.judge),
        "admissions": [_admission(record) for record in candidate.admissions],
        "journal": decision.candidate_digest,
        "championJournal": decision.champion_digest,
        "cases": candidate.cases_digest,
        "metrics": [_metric(metric) for metric in decision.metrics],
        "problems": [str(problem) for problem in decision.problems],
        "requiredFailures": list(decision.required_failures),
        "slicesFailed": [part.name for part in decision.slices if part.failed and not part.waived],
        "waivers": [asdict(use) for use in decision.waivers],
        "outputs": [asdict(drift) for drift in decision.outputs],
        "serving": [dict(figures) for figures in serving],
        **({"arms": [dict(figures) for figures in arms]} if arms else {}),
        "decision": hashlib.sha256(decision_to_json(decision).encode()).hexdigest(),
        "llmgate": candidate.llmgate_version,
        "tools": _tools(candidate),
        "issuedAt": _zoned("issued_at", issued_at),
        "expiresAt": None if expires_at is None else _zoned("expires_at", expires_at),
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def _check_belongs(decision: Decision, candidate: Manifest, champion: Manifest | None, policy: Policy) -> None:
    if decision.candidate_run != candidate.run_id:
        _refuse_pair("run", decision.candidate_run, candidate.run_id)
    if champion is not None and decision.champion_run != champion.run_id:
        _refuse_pair("champion's run", decision.champion_run, champion.run_id)
    wanted_metrics: list[MetricPolicy | ServingPolicy] = [*policy.metrics, *policy.serving]
    decided = [(m.suite, m.metric, m.role, m.alpha, m.min, m.max) for m in decision.metrics]
    asked = [(m.suite, m.metric, m.role, m.alpha, m.min, m.max) for m in wanted_metrics]
    if decided != asked:
        _refuse_pair("policy", decided, asked)
    for metric, wanted in zip(decision.metrics, wanted_metrics, strict=True):
        if None not in {metric.margin, wanted.margin} and metric.margin != wanted.margin:
            _refuse_pair(f"margin of {metric.suite}::{metric.metric}", metric.margin, wanted.margin)


def _refuse_pair(field: str, decided: object, given: object) -> NoReturn:
    raise RecordError(
        f"the {field} of the decision is {decided!r}, but {given!r} was given for the verdict",
        where="verdict",
        fix="Give what the decision was taken on",
    )


def _model(model: ModelIdentity) -> dict[str, object]:
    values = asdict(model)
    if model.binding is None:
        del values["binding"]
    # Of most models there is nothing to say here, and of older ones nothing was said.
    return {name: value for name, value in values.items() if value or name not in LATER_OF_MODELS}


def _tools(manifest: Manifest) -> dict[str, object]:
    """What answered and measured, with versions."""
    return {
        "llmgate": manifest.llmgate_version,
        "engine": manifest.server.engine,
        "engineVersion": manifest.server.version,
        "engineOwned": manifest.server.owned,
        "packages": dict(manifest.packages),
    }


def _metric(metric: MetricDecision) -> dict[str, object]:
    values = asdict(metric)
    return {
        key: value for key, value in values.items() if key not in {"reason", "notes"} and (value or key not in _LATER)
    }


def _admission(record: AdmissionRecord) -> dict[str, object]:
    """What a judge was admitted on; the record itself is in the manifest."""
    return {
        "digest": record.digest,
        "type": record.instrument.type,
        "criterion": record.instrument.criterion,
        "judges": [_judge_digest(judge) for judge in record.instrument.judges],
        "labels": record.labels_digest,
        "labelled": record.results.settled,
        "kappaLower": record.results.kappa.lower,
        "admitted": record.admitted,
    }


def _judge_digest(judge: JudgeIdentity | None) -> str | None:
    if judge is None:
        return None
    return _digest(
        {
            "model": judge.model,
            "prompt": judge.prompt_digest,
            "sampling": dict(judge.sampling),
            "weights": judge.weights_digest,
        }
    )


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _zoned(field: str, text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordError(f"{field} is {text!r}, which is no ISO 8601 time", where="verdict") from error
    if moment.tzinfo is None:
        raise RecordError(f"{field} is {text!r}, which has no time zone", where="verdict", fix="Add +00:00 for UTC")
    return text


def headline(decision: Decision) -> dict[str, Any]:
    """The one gating metric's figures; empty where none or several gate.

    Returns:
        `delta`, `lower`, `upper`, `margin`, `se` and `se_clustered` as fractions, `n` evaluated pairs, `errors` and
        `expected` ones, `better` and `worse` pairs and, of scores, their share `discordance`, `clusters`, `alpha`,
        `metric`, and the `method` of the interval.
    """
    gating = [metric for metric in decision.metrics if metric.gates]
    if len(gating) != 1:
        return {}
    metric = gating[0]
    n = metric.evaluated
    discordance = (metric.better + metric.worse) / n if n and not metric.unit else None
    return {**{key: getattr(metric, key) for key in _HEADLINE}, "n": n, "discordance": discordance}
