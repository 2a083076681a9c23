"""json-diff: how much of a JSON output agrees with an expected document.

A leaf is a text, number, boolean, null, empty list or empty object; its path is the member names and indexes that lead
to it. With E and O the leaf paths of the expected document and of the output, the score is

    |{p in E and O: the leaves at p are equal}| / |E or O|

so that a missing, an extra and a different leaf each cost one. It is 1 exactly if the documents are equal.

Settings: `ignore` (paths as in json-field; what they lead to is taken out of both documents first),
`numeric-tolerance` (the greatest difference at which two numbers are equal) and `list-order`. With `list-order: ignore`
the items of two lists are paired before they are compared: equal ones first, then numbers within the tolerance, then
what is left in the order written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError, did_you_mean
from llmgate.score.check import CheckContext, CheckKind, Evaluate, Finding
from llmgate.score.jsoncompare import compare_json
from llmgate.score.jsondata import check_json, not_json, output_json
from llmgate.score.jsontext import parse_json
from llmgate.score.limits import least
from llmgate.score.rule import Rule, broken, refuse_hidden_templates
from llmgate.score.structured.path import JsonPath
from llmgate.suite import jsvalues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["JSON_DIFF_CHECKS"]

_ORDERS: Final = ("ignore", "strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    ignore: tuple[JsonPath, ...] = ()
    tolerance: float = 0
    any_order: bool = False

    @classmethod
    def read(cls, spec: AssertSpec) -> _Settings:
        order = spec.config.get("list-order", "strict")
        if order not in _ORDERS:
            raise broken(spec, f"unknown list-order {str(order)[:80]!r}", did_you_mean(str(order), _ORDERS))
        tolerance = spec.config.get("numeric-tolerance", 0)
        if not jsvalues.is_number(tolerance) or not 0 <= tolerance < math.inf:
            raise broken(spec, "numeric-tolerance must be a number, 0 or more")
        written = spec.config.get("ignore", [])
        try:
            ignore = tuple(JsonPath.compile(path) for path in (written if isinstance(written, list) else [written]))
        except SuiteError as error:
            raise broken(spec, error.what, error.fix) from error
        if not all(path.steps for path in ignore):
            raise broken(spec, "ignore: $ leaves nothing to compare")
        return cls(ignore=ignore, tolerance=tolerance, any_order=order == "ignore")

    def prune(self, document: Json) -> Json:
        for path in self.ignore:
            document = path.without(document)
        return document


def _json_diff(spec: AssertSpec) -> Evaluate:
    refuse_hidden_templates(spec)
    threshold = least(spec, 1.0)
    settings = _Settings.read(spec)
    rule = Rule.compile(spec, lambda value: _Expected(settings.prune(_expected(spec, value))))

    def evaluate(context: CheckContext) -> Finding:
        expected = rule.on(context).document
        try:
            output = settings.prune(output_json(context))
        except ValueError as error:
            return not_json(spec, error)
        found = compare_json(expected, output, tolerance=settings.tolerance, any_order=settings.any_order)
        reason = f"{found.equal} of {found.leaves} leaves agree"
        return Finding(found.score >= threshold, found.score, f"{reason}; not {found.first}" if found.first else reason)

    return evaluate


@dataclass(frozen=True, slots=True)
class _Expected:
    """Wrapped, because null is a document too."""

    document: object


def _expected(spec: AssertSpec, value: object) -> Json:
    if not isinstance(value, str):
        return check_json(spec, value)
    try:
        return parse_json(value)
    except ValueError as error:
        raise broken(
            spec,
            f"the expected value {value[:80]!r} is not JSON: {error}"[:200],
            "Write data, JSON text, or a template such as {{ column }} that renders to JSON text; a text is in quotes",
        ) from error


JSON_DIFF_CHECKS: Mapping[str, CheckKind] = {
    "json-diff": CheckKind(
        prepare=_json_diff, version="2", settings=frozenset({"ignore", "list-order", "numeric-tolerance"})
    ),
}
