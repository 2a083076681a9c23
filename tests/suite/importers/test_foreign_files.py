"""Real files of other tools, where they lie beside the checkout: counted, and every suite that is made of them loads."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
FOREIGN = ROOT.parent / "shared" / "data" / "foreign"
PRICES = "the assert needs to know what tokens cost"
"""What a suite is refused with whose import said that `prices:` has to be filled in."""
COMMIT = "the revision 'COMMIT' is no full commit"
"""The same of a suite whose dataset lies on the hub: an import asks nobody which commit there is."""


@pytest.fixture(scope="module")
def survey() -> ModuleType:
    path = ROOT / "benchmarks" / "import_table.py"
    if not FOREIGN.is_dir() or not path.is_file():
        pytest.skip("neither the files of other tools nor the benchmarks are part of a distribution")
    spec = importlib.util.spec_from_file_location("import_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_real_files_are_carried_over_or_what_is_missing_has_a_name(survey: ModuleType) -> None:
    found = survey.survey(FOREIGN)
    files = {tool: len(each) for tool, each in found.items()}
    assert files == {"promptfoo": 91, "lm-eval": 31, "openai-evals": 37}
    for tool, each in found.items():
        counts = Counter(one.outcome for one in each)
        assert counts.total() == len(each), tool
        unnamed = [one.path for one in each if one.outcome != "whole" and not one.reasons]
        assert unnamed == [], tool
        broken = [(one.path, one.problem) for one in each if one.problem and not one.problem.endswith((PRICES, COMMIT))]
        assert broken == [], tool
    promptfoo = Counter(one.outcome for one in found["promptfoo"])
    assert promptfoo["whole"] + promptfoo["settings"] >= 55
    assert promptfoo["refused"] <= 12
