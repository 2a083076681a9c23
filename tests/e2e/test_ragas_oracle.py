"""The native retrieval metrics beside Ragas 0.4.3 itself, in an environment of its own, on the same scripted replies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.extras import extra_python
from support.rag_scenarios import SCENARIOS, Scenario, random_scenarios

pytestmark = [pytest.mark.e2e, pytest.mark.extra]


def ragas_scores(scenarios: list[Scenario]) -> list[float | None]:
    script = Path(__file__).parents[1] / "support" / "ragas_oracle.py"
    asked = json.dumps([one.for_ragas() for one in scenarios])
    done = subprocess.run(
        [extra_python("ragas"), script], input=asked, capture_output=True, text=True, timeout=300, check=True
    )
    return list(json.loads(done.stdout))


def test_the_recorded_scores_are_what_ragas_gives() -> None:
    for scenario, score in zip(SCENARIOS, ragas_scores(SCENARIOS), strict=True):
        recorded = None if scenario.ragas is None else pytest.approx(scenario.ragas, abs=2e-8)
        assert score == recorded, f"{scenario.type}/{scenario.name}"


def test_random_replies_score_as_in_ragas() -> None:
    scenarios = random_scenarios(np.random.default_rng(20261124), 450)
    for scenario, score in zip(scenarios, ragas_scores(scenarios), strict=True):
        assert score is not None, scenario
        found = scenario.evaluate()
        assert found.score == pytest.approx(scenario.wanted(score), abs=1e-9), (scenario, found.reason)
