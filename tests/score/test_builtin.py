"""The definitions of all assert types: whole, each once, none left out."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import llmgate.score
from llmgate.record.output_features import FORMAT_TYPES, REFUSAL_TYPES, OutputFeature
from llmgate.score.assertion.definition import ModelGradedKind, Need
from llmgate.score.builtin import _WRITTEN, KINDS, SECTIONS, _by_name

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
    defined = [(kind.id, module.__name__) for module in modules(llmgate.score) for kind in getattr(module, "TYPES", ())]
    written = [
        (name, f"llmgate.score.{module}")
        for section in _WRITTEN.values()
        for module, names in section.items()
        for name in names.split()
    ]
    assert sorted(defined) == sorted(written)
    assert list(KINDS) == [name for names in SECTIONS.values() for name in names]
    assert all(kind.id == name for name, kind in KINDS.items())


def test_a_type_is_imported_when_it_is_asked_for() -> None:
    script = """
import sys
from llmgate.score.vocabulary import VOCABULARY
assert "is-sql" in VOCABULARY.names and "is-sql" in VOCABULARY.kinds and "is-sq" not in VOCABULARY.kinds
assert VOCABULARY.is_judge("llm-rubric") and VOCABULARY.version("equals")
print(*sorted(name for name in sys.modules if name.startswith("llmgate.score.")))
print("sqlglot" in sys.modules, "jsonschema" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours, others = done.stdout.splitlines()
    assert "llmgate.score.judge.llm_rubric" in ours
    assert not {"llmgate.score.sql.checks", "llmgate.score.judge.g_eval", "llmgate.score.transform"} & set(ours.split())
    assert others == "False False"


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'bleu'"):
        _by_name([("bleu", "text.bleu_rouge"), ("bleu", "text.meteor")])


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
