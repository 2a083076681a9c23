"""JSON Schemas of the signed statements, for whoever reads them without llmgate.

They share with the reader (`attest.statement`) its patterns and words, and take the metrics' fields from the very class
that is written. A newer minor version may add fields, so unknown ones are allowed everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import TypeAdapter

from llmgate.attest.fields import SHA256
from llmgate.attest.statement import OUTCOMES, OVERRIDE_TYPE, STATEMENT_TYPE, TIME, VERDICT_TYPE
from llmgate.gate.decision.statement_size import FIGURES
from llmgate.gate.decision.types import MetricDecision
from llmgate.record.arms import Hosting

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["override_schema", "verdict_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SAID_ELSEWHERE: Final = ("reason", "notes")
ALWAYS: Final = ("suite", "metric", "role", "verdict", "reference", "alpha", "expected", "evaluated", "errors")
"""What even a metric in short has; see `statement_size`."""


def verdict_schema() -> dict[str, Any]:
    """The schema of a gate's verdict, as it is signed.

    Returns:
        A JSON Schema, draft 2020-12.
    """
    metric, definitions = metric_schema()
    return statement_schema(
        VERDICT_TYPE,
        "llmgate verdict",
        "What a release gate found out about one version of a model, bound to one registry and one alias.",
        {
            "verdict": {"enum": list(OUTCOMES), "description": "Only PASS promotes. The others outdate an older PASS."},
            "sentence": text("The verdict in one sentence."),
            "suites": {
                "type": "array",
                "description": "Which questions were asked.",
                "items": shape(
                    {
                        "name": text("Suite.", empty=False),
                        "version": text("Its version."),
                        "digest": text("SHA-256 over prompt, sampling, asserts and dataset."),
                        "dataset": text("SHA-256 of its dataset."),
                    }
                ),
            },
            "records": shape(
                {
                    "candidate": sha256("The candidate's record: over names and contents of all sealed files."),
                    "baseline": maybe(sha256("The champion's record in the comparison.")),
                    "decision": sha256("The decision, decision.json."),
                }
            ),
            "attempts": {"type": "integer", "minimum": 1, "description": "Which attempt at this version it is."},
            "metrics": {
                "type": "array",
                "description": "Metrics with their intervals. Scores, bounds and margins are fractions. Of serving"
                " figures, which have a unit, candidate, champion and limits are in it, and bounds relative changes.",
                "items": metric,
            },
        },
        optional={
            "policy": text("SHA-256 over the policy that was applied."),
            "judge": maybe(text("SHA-256 over the judge's identity.")),
            "journal": text("SHA-256 of the candidate's answers and scores."),
            "championJournal": maybe(text("The same of the champion.")),
            "cases": text("SHA-256 over all questions."),
            "problems": texts("What could not be evaluated."),
            "requiredFailures": texts("Cases that had to pass and did not."),
            "slicesFailed": texts("Parts of the cases that got worse."),
            "weakerPolicy": texts("What the policy asks less for than that of the baseline."),
            "serving": {
                "type": "array",
                "description": "Serving measurements; one that must not be believed has no figures.",
                "items": shape(
                    {
                        "name": text("Measurement."),
                        "concurrency": {"type": "integer"},
                        "requests": {"type": "integer"},
                        "completed": {"type": "integer"},
                        "figures": {"type": "object", "additionalProperties": {"type": "number"}},
                        "invalid": texts("Why it must not be believed."),
                    }
                ),
            },
            "arms": {
                "type": "array",
                "description": "Serving measured on two arms, run by run: the figures that gate.",
                "items": arms_shape(),
            },
            "attempt": shape(
                {
                    "number": {"type": "integer", "minimum": 1, "description": "Which attempt at this candidate."},
                    "reserve": {"type": "number", "description": "Share of every alpha that is kept for further ones."},
                    "earlier": {"type": "array", "items": {"enum": list(OUTCOMES)}, "description": "In order."},
                    "ids": texts("Which attempts counted with it, in order."),
                }
            ),
            "tools": {"type": "object", "description": "What answered and measured, with versions."},
            "llmgate": text("The version of llmgate that measured."),
            "leftOut": {
                "type": "object",
                "description": "How much was left out for want of room, by name. The records' digests cover all of it.",
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
        },
        definitions=definitions,
    )


def arms_shape() -> dict[str, Any]:
    """One measurement on two arms."""
    figure = maybe({"type": "number"})
    return shape(
        {
            "name": text("Suite."),
            "hosting": {
                "enum": list(get_args(Hosting)),
                "description": "Both servers at once, one for both, or one at a time.",
            },
            "pairs": {"type": "integer", "minimum": 0, "description": "Pairs of runs that were wanted."},
            "order": {"type": "string", "pattern": "^[AB]*$", "description": "Candidate A, champion B, as planned."},
            "discarded": {"type": "integer", "minimum": 0, "description": "Runs that were made again."},
            "figures": {
                "type": "object",
                "description": "By metric and arm one figure per pair, null where it must not be believed.",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": figure},
                },
            },
        },
        optional={
            "servers": {"type": "object", "additionalProperties": {"type": "string"}, "description": "By arm."},
            "reasons": texts("Why runs were made again, and how many of them."),
        },
    )


def override_schema() -> dict[str, Any]:
    """The schema of a person's override, as it is signed.

    Returns:
        A JSON Schema, draft 2020-12.
    """
    return statement_schema(
        OVERRIDE_TYPE,
        "llmgate override",
        "A person's decision that a version may have an alias although no verdict says so.",
        {"reason": text("Why.", empty=False), "by": text("Who, by their own account.", empty=False)},
    )


def statement_schema(
    predicate_type: str,
    title: str,
    description: str,
    predicate: Mapping[str, Any],
    *,
    optional: Mapping[str, Any] | None = None,
    definitions: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An in-toto statement with this predicate and what every verdict is bound to."""
    bound = {
        "subjectIs": {
            "enum": ["weights", "journal"],
            "description": "`weights` if the subject is the weights that llmgate served, `journal` if only the answers"
            " of an endpoint are known.",
        },
        "registry": registry(),
        "champion": maybe(champion()),
        "issuedAt": moment("When it was given."),
        "expiresAt": moment("From when on it promotes nothing."),
    }
    subject = shape(
        {
            "name": text("The registered model."),
            "digest": shape({"sha256": sha256("The weights, or the journal of the answers.")}),
        }
    )
    whole = shape(
        {
            "_type": {"const": STATEMENT_TYPE},
            "subject": {"type": "array", "minItems": 1, "maxItems": 1, "items": subject},
            "predicateType": {"const": predicate_type},
            "predicate": shape({**predicate, **bound}, optional=optional),
        }
    )
    head = {"$schema": DIALECT, "$id": f"{predicate_type}:schema", "title": title, "description": description}
    return {**head, **whole} | ({"$defs": dict(definitions)} if definitions else {})


def registry() -> dict[str, Any]:
    """The version that it is about."""
    return shape(
        {
            "id": text("The registry, by the id in its policy.", empty=False),
            "workspace": text("Its workspace, `default` without any.", empty=False),
            "model": text("Registered model.", empty=False),
            "version": text("Version number.", empty=False),
            "createdAt": moment("When that version was created, by the registry's clock."),
            "source": text("Where its weights lie, as the registry has it."),
            "alias": text("The alias that it asks for, or `stage:NAME`.", empty=False),
        }
    )


def champion() -> dict[str, Any]:
    """Whom it was compared with."""
    return shape(
        {
            "version": text("The version that held the alias.", empty=False),
            "createdAt": moment("When that version was created."),
            "verdict": maybe(sha256("Payload of the verdict by which it held the alias.")),
            "weights": maybe(sha256("Its weights.")),
            "journal": maybe(sha256("The journal of its record in the comparison.")),
        }
    )


def metric_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """One metric, whole or in short, and the definitions that it names."""
    made = TypeAdapter(MetricDecision).json_schema()
    definitions = made.get("$defs", {})
    for definition in definitions.values():
        definition.pop("description", None)
    properties = {name: field for name, field in made["properties"].items() if name not in SAID_ELSEWHERE}
    for field in properties.values():
        field.pop("title", None)
        field.pop("default", None)
    assert set(FIGURES) <= properties.keys()  # noqa: S101 - a figure that no metric has could not be published
    return {"type": "object", "required": list(ALWAYS), "properties": properties}, definitions


def shape(required: Mapping[str, Any], *, optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An object."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def text(description: str, *, empty: bool = True) -> dict[str, Any]:
    """A text; one that must not be empty has something else than white space in it."""
    return {"type": "string", "description": description} | ({} if empty else {"pattern": r"\S"})


def texts(description: str) -> dict[str, Any]:
    """A list of texts."""
    return {"type": "array", "items": {"type": "string"}, "description": description}


def sha256(description: str) -> dict[str, Any]:
    """A digest."""
    return {"type": "string", "pattern": f"^{SHA256.pattern}$", "description": description}


def moment(description: str) -> dict[str, Any]:
    """A time in UTC, to the millisecond."""
    return {"type": "string", "pattern": f"^{TIME.pattern}$", "description": description}


def maybe(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Or null."""
    return {"anyOf": [dict(schema), {"type": "null"}]}
