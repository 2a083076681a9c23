"""classifier: how sure a text classifier is of a label, for example of `toxic` under `not-`.

promptfoo asks an endpoint of the hub; here the model lies in a folder, and its weights are part of what two runs must
have in common.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import least
from llmgate.score.embeddings.classify import classify, labels_of, require_libraries
from llmgate.score.embeddings.folder import find_folder, is_on_hub
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.score.assertion.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]

DEFAULT_THRESHOLD: Final = 1.0
ROUNDING: Final = 2.0**-52
"""How far a probability may miss its threshold, as in promptfoo."""


def _classifier(spec: AssertSpec) -> Consult:
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)
    where = spec.where or None
    named = _model(spec)
    rule = AssertRule.compile(spec, lambda value: _label(spec, value)) if spec.has_value else None
    if not is_on_hub(named, where=where):
        labels = labels_of(find_folder(named, where=where), where=where)
        require_libraries(where)
        if rule is not None and rule.built is not None:
            _known(spec, rule.built, labels)

    async def consult(context: CheckContext, _: Models) -> Finding:
        label = rule.on(context) if rule is not None else None
        if not javascript.trim(context.text):
            raise UndefinedError(f"{spec.name}: the answer is empty, so there is nothing to classify")
        folder = find_folder(named, where=where)
        labels_of(folder, where=where)
        require_libraries(where)
        found = await asyncio.to_thread(partial(classify, folder, context.text))
        if label is None:
            likeliest = max(found, key=lambda name: found[name])
            return _finding(f"{likeliest}, the likeliest label,", found[likeliest], threshold)
        return _finding(label, found[_known(spec, label, found)], threshold)

    return consult


def _finding(what: str, probability: float, threshold: float) -> Finding:
    reason = f"the classifier gives {what} {probability:.4g}, wanted at least {threshold:g}"
    return Finding(probability >= threshold - ROUNDING, probability, reason)


def _model(spec: AssertSpec) -> str:
    named = spec.config.get("model")
    if named is None:
        raise invalid_value(
            spec, "no classifier is named", "Add `config: {model: FOLDER}`, or {model: hf://OWNER/NAME} from the cache"
        )
    if not isinstance(named, str) or not named.strip():
        raise invalid_value(spec, f"model must be the path of a folder, or hf://OWNER/NAME, not {shown(named)}")
    return named


def _label(spec: AssertSpec, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise invalid_value(spec, f"the value must be a label, not {shown(value)}", "Leave `value:` out for any label")
    return value


def _known(spec: AssertSpec, label: str, labels: Collection[str]) -> str:
    # promptfoo gives an unknown label the probability 0, which `not-` turns into a pass for ever.
    if label not in labels:
        raise invalid_value(spec, f"the classifier has no label {label!r}", did_you_mean(label, labels))
    return label


def _folder(spec: AssertSpec) -> str | None:
    named = spec.config.get("model")
    return named if isinstance(named, str) else None


TYPES: Final = (
    ModelGradedKind(
        id="classifier",
        passes="a text classifier gives it this label",
        score="the label's probability",
        value="label; without one the likeliest",
        threshold="1",
        settings={"model": "folder of the classifier, or `hf://OWNER/NAME` from the hub's cache"},
        example={"value": "toxic", "threshold": 0.5, "config": {"model": "hf://owner/name"}},
        asks=frozenset(),
        folder=_folder,
        prepare=_classifier,
    ),
)
