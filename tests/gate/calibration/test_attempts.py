"""Trying again, simulated: the columns agree with the gate itself, errors hold, requirements ask for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmgate.gate.attempts.earlier import PastAttempt
from llmgate.gate.calibration.attempt_models import AttemptDesign, AttemptModels, Scores, draw_models
from llmgate.gate.calibration.attempt_verdicts import AttemptRule, try_again
from llmgate.gate.calibration.attempts import ATTEMPT_DESIGNS, simulate_attempts
from llmgate.gate.decide import decide
from llmgate.gate.decision.types import Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.policy import MetricPolicy, Policy
from llmgate.record.scores import Items, ScoreTable

RULE = AttemptRule(margin=0.1, alpha=0.05, reserve=0.1, attempts=3)
POLICY = Policy(metrics=(MetricPolicy(suite="s", metric="m", margin=0.1),), reserve=0.1)


def evidence(scores: np.ndarray, clusters: np.ndarray | None) -> Evidence:
    items = Items.of(
        [f"{i:04d}" for i in range(len(scores))], clusters=None if clusters is None else [str(c) for c in clusters]
    )
    return Evidence(tables=(ScoreTable(suite="s", metric="m", items=items, scores=scores),))


def by_the_gate(models: AttemptModels, design: AttemptDesign, rng: np.random.Generator) -> np.ndarray:
    """The same draws, decided one by one: 1 for PASS, −1 for FAIL, shape (attempts, candidates)."""
    size = len(models.candidate)
    found = np.zeros((RULE.attempts, size))
    champion = models.asked(models.champion, rng)
    past: list[list[PastAttempt]] = [[] for _ in range(size)]
    for k in range(RULE.attempts):
        candidate = models.asked(models.candidate, rng)
        if design.champion_again and k:
            champion = models.asked(models.champion, rng)
        for i in range(size):
            ours, theirs = evidence(candidate[i], models.clusters), evidence(champion[i], models.clusters)
            verdict = decide(ours, theirs, POLICY, past=past[i]).verdict
            found[k, i] = {Verdict.PASS: 1.0, Verdict.FAIL: -1.0, Verdict.INCONCLUSIVE: 0.0}[verdict]
            past[i].append(PastAttempt(number=k + 1, digest=f"{k}", verdict=verdict, candidate=ours, champion=theirs))
    return found


@pytest.mark.parametrize(
    "design",
    [
        AttemptDesign(scores=Scores.BINARY, pairs=120, discordance=0.2),
        AttemptDesign(scores=Scores.BINARY, pairs=40, discordance=0.2, champion_again=True),
        AttemptDesign(scores=Scores.GRADED, pairs=80),
        AttemptDesign(scores=Scores.CLUSTERED, pairs=170, discordance=0.1),
    ],
)
def test_the_columns_agree_with_the_gate(design: AttemptDesign) -> None:
    models = draw_models(design, 0.02, np.random.default_rng(1), 12)
    tried = try_again(models, design, np.random.default_rng(2), RULE)
    gate = by_the_gate(models, design, np.random.default_rng(2))
    columns = tried.passed[0].astype(float) - tried.failed[0].astype(float)
    # Whether a candidate that has passed would pass again, the columns do not ask where that takes resampling.
    fresh = np.cumsum(columns > 0, axis=0) - (columns > 0) == 0
    assert np.mean(columns[fresh] != gate[fresh]) <= 1 / 36


@pytest.mark.parametrize("design", [ATTEMPT_DESIGNS[1], AttemptDesign(scores=Scores.GRADED, pairs=300)])
def test_errors_hold_over_ten_attempts_and_not_without_a_ledger(design: AttemptDesign) -> None:
    row = simulate_attempts(
        design,
        rng=np.random.default_rng(20261129),
        repetitions=500,
        rule=AttemptRule(margin=0.03, alpha=0.05, reserve=0.1, attempts=10),
    )
    assert all(requirement.met for requirement in row.requirements)
    assert row.alone.lost_passes[-1] > 0.15
    assert row.alone.unchanged_fails[-1] > 0.12
    assert list(row.ledger.lost_passes) == sorted(row.ledger.lost_passes)
    assert 0.3 < row.correlation < 0.7
    broken = replace(row, ledger=row.alone)
    assert not any(requirement.met for requirement in broken.requirements)


def test_designs_are_what_they_say() -> None:
    rng = np.random.default_rng(3)
    models = draw_models(ATTEMPT_DESIGNS[1], 0.03, rng, 400)
    assert np.mean(models.candidate - models.champion) == pytest.approx(-0.03, abs=0.002)
    unchanged = draw_models(ATTEMPT_DESIGNS[1], 0.0, rng, 400)
    differ = unchanged.asked(unchanged.candidate, rng) != unchanged.asked(unchanged.champion, rng)
    assert differ.mean() == pytest.approx(0.225, abs=0.005)
    clustered = draw_models(ATTEMPT_DESIGNS[5], 0.03, rng, 400)
    assert np.mean(clustered.candidate - clustered.champion) == pytest.approx(-0.03, abs=0.003)
    graded = draw_models(ATTEMPT_DESIGNS[4], 0.03, rng, 400)
    assert np.mean(graded.candidate - graded.champion) == pytest.approx(-0.03, abs=0.002)
