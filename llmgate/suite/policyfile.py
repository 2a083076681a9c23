"""A policy file: margins, roles and thresholds kept apart from the suites, so that those who gate own them.

llmgate-policy: 1
inconclusive: fail
metrics:
short-facts/accuracy: {role: primary, margin: 0.03, min: 0.4, alpha: 0.05, aggregate: all}
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmgate.errors import PolicyError, did_you_mean
from llmgate.record.policy import Aggregate, MetricPolicy, OnInconclusive, Policy, Role
from llmgate.suite.document import Document, read_document

__all__ = ["POLICY_MAJOR", "override_policy"]

POLICY_MAJOR: Final = 1

Finite = Annotated[float, Field(allow_inf_nan=False)]


class MetricPart(BaseModel):
    """What a policy file may say about one metric; what it leaves out stays as the suite has it."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    aggregate: Aggregate | None = None
    margin: Finite | None = None
    min: Finite | None = None
    alpha: Finite | None = None


class PolicyPart(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    major: Annotated[int, Field(alias="llmgate-policy")]
    inconclusive: OnInconclusive | None = None
    metrics: dict[str, MetricPart] = {}


def override_policy(policy: Policy, path: str) -> Policy:
    """Apply a policy file.

    Args:
        policy: What the suites say.
        path: The policy file.

    Raises:
        SuiteError: If the file cannot be read as YAML.
        PolicyError: With file and line, if it holds unknown metrics or impossible values.
    """
    document = read_document(Path(path))
    part = validated(document)
    known = {f"{metric.suite}/{metric.metric}": metric for metric in policy.metrics}
    changed = dict(known)
    for name, change in part.metrics.items():
        where = document.where("metrics", name)
        if name not in known:
            raise PolicyError(f"there is no metric {name!r}", where=where, fix=did_you_mean(name, known))
        changed[name] = overridden(known[name], change, where)
    return Policy(metrics=tuple(changed.values()), inconclusive=part.inconclusive or policy.inconclusive)


def validated(document: Document) -> PolicyPart:
    """Check names and types."""
    try:
        part = PolicyPart.model_validate(document.data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        location = tuple(problem["loc"])
        fix = "Correct the value"
        if problem["type"] == "extra_forbidden":
            model = MetricPart if location[0] == "metrics" else PolicyPart
            fix = did_you_mean(str(location[-1]), [field.alias or name for name, field in model.model_fields.items()])
        message = f"{'.'.join(map(str, location))}: {problem['msg']}"
        raise PolicyError(message, where=document.where(*location), fix=fix) from error
    if part.major != POLICY_MAJOR:
        raise PolicyError(
            f"the policy format is {part.major}, and this llmgate reads format {POLICY_MAJOR}",
            where=document.where("llmgate-policy"),
            fix=f"Write `llmgate-policy: {POLICY_MAJOR}`",
        )
    return part


def overridden(metric: MetricPolicy, change: MetricPart, where: str) -> MetricPolicy:
    """One metric's policy with what the file says about it."""
    try:
        return replace(metric, **{k: v for k, v in change.model_dump().items() if v is not None})
    except PolicyError as error:
        raise PolicyError(error.what, where=where, fix=error.fix) from error
