"""The definitions of all assert types: whole, each once, none left out."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest

import llmgate.score
from llmgate.record.output_features import FORMAT_TYPES, REFUSAL_TYPES, OutputFeature
from llmgate.score.assertion.definition import CheckKind, ModelGradedKind, Need
from llmgate.score.builtin import KINDS, _by_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from llmgate.score.assertion.definition import Kind

OF_OTHERS = {"llmgate.score.adapters.ragas", "llmgate.score.adapters.deepeval"}
"""Need packages that are not always there."""


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name not in OF_OTHERS:
            yield importlib.import_module(found.name)


def test_no_definition_is_left_out() -> None:
    defined = {kind.id for module in modules(llmgate.score) for kind in getattr(module, "TYPES", ())} | {"equals"}
    assert defined == KINDS.keys()


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'bleu'"):
        _by_id([KINDS["bleu"], CheckKind(id="bleu", prepare=lambda _: lambda _: pytest.fail("not asked"))])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_definition_says_all_that_people_read(kind: Kind) -> None:
    assert not kind.id.startswith("not-")
    assert kind.passes
    assert all(kind.settings.values())
    assert bool(kind.value) >= ("value" in kind.example)
    assert (Need.JUDGE in kind.asks) == (isinstance(kind, ModelGradedKind) and bool(kind.prompts))
    texts = [kind.passes, kind.score, kind.value, kind.threshold, kind.use, *kind.settings.values()]
    assert not any("|" in text or "\n" in text for text in texts), "a row of a table cannot hold it"


def test_what_is_compared_between_models_is_what_definitions_say() -> None:
    # The deciding side has a list of its own, since it may not import a rule.
    named = {
        feature: {kind.id for kind in KINDS.values() if kind.feature is feature}
        for feature in (OutputFeature.SCHEMA, OutputFeature.REFUSALS)
    }
    assert named == {OutputFeature.SCHEMA: FORMAT_TYPES, OutputFeature.REFUSALS: REFUSAL_TYPES}
