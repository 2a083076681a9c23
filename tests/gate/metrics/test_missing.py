"""What is missing is counted against the candidate: never a PASS that the full data would not give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from llmgate.errors import PolicyError
from llmgate.gate.decide import decide
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.metrics.look import look_point
from llmgate.gate.sequential.stopping_rule import run_test_at
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction, MetricPolicy, OnInconclusive, Policy, SlicePolicy
from llmgate.record.scores import Items, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

GATE = MetricPolicy(suite="support", metric="accuracy", margin=0.03)


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Both sides' scores, NaN where one is missing."""

    candidate: Scores
    champion: Scores | None
    clusters: Sequence[str] | None = None
    topics: Sequence[str] | None = None
    right_or_wrong: bool = True

    def evidence(self, *, metric: str = "accuracy") -> tuple[Evidence, Evidence | None]:
        sides = [self._side(scores, metric) for scores in (self.candidate, self.champion) if scores is not None]
        return sides[0], sides[1] if len(sides) > 1 else None

    def _side(self, scores: Scores, metric: str) -> Evidence:
        items = Items.of(
            [f"c{i:04d}" for i in range(len(scores))],
            clusters=self.clusters,
            slices={"topic": self.topics} if self.topics else None,
        )
        table = ScoreTable(
            suite="support",
            metric=metric,
            items=items,
            scores=scores,
            errors={int(i): "timeout" for i in np.flatnonzero(np.isnan(scores))},
            right_or_wrong=self.right_or_wrong,
        )
        return Evidence(tables=(table,))

    def decided(self, *metrics: MetricPolicy) -> Decision:
        slices = (SlicePolicy(suite="support", field="topic"),) if self.topics else ()
        return decide(*self.evidence(), Policy(metrics=metrics or (GATE,), slices=slices))

    def completions(self, draws: Sequence[Sequence[float]]) -> Iterator[Sides]:
        """With each draw's numbers in the place of what is missing."""
        count = int(np.isnan(self.candidate).sum())
        for draw in draws:
            ours = self.candidate.copy()
            ours[np.isnan(ours)] = draw[:count]
            theirs = None if self.champion is None else self.champion.copy()
            if theirs is not None:
                theirs[np.isnan(theirs)] = draw[count : count + int(np.isnan(theirs).sum())]
            yield replace(self, candidate=ours, champion=theirs)

    @property
    def missing(self) -> int:
        """How many scores are, on both sides."""
        sides = [self.candidate] if self.champion is None else [self.candidate, self.champion]
        return sum(int(np.isnan(side).sum()) for side in sides)


def sides_of(
    seed: int,
    *,
    n: int,
    missing: int,
    kind: str = "binary",
    clusters: int = 0,
    topics: int = 0,
    champion: bool = True,
    right_or_wrong: bool = False,
) -> Sides:
    """Random sides: `binary`, `graded` or `mixed`, with gaps on the candidate's, the champion's, or both."""
    rng = np.random.default_rng(seed)
    rate, discordance = rng.uniform(0.3, 0.95), rng.uniform(0.0, 0.3)
    theirs = (rng.random(n) < rate).astype(float)
    ours = np.where(rng.random(n) < discordance, (rng.random(n) < rate).astype(float), theirs)
    if kind == "graded":
        theirs, ours = (np.clip(side * 0.6 + rng.uniform(0.0, 0.4, n), 0.0, 1.0) for side in (theirs, ours))
    gone = rng.choice(n, missing, replace=False)
    for at in gone.tolist():
        side = rng.integers(3)
        if side != 1 or not champion:
            ours[at] = np.nan
        if side != 0 and champion:
            theirs[at] = np.nan
    return Sides(
        candidate=ours,
        champion=theirs if champion else None,
        clusters=[f"d{rng.integers(clusters)}" for _ in range(n)] if clusters else None,
        topics=[f"t{rng.integers(topics)}" for _ in range(n)] if topics else None,
        right_or_wrong=right_or_wrong and kind == "binary",
    )


def tightest(sides: Sides, metric: MetricPolicy) -> MetricPolicy | None:
    """The policy with the smallest margin, or the highest minimum, at which it passes; None if it never does."""

    def at(x: float) -> MetricPolicy:
        if sides.champion is not None:
            return replace(metric, margin=x)
        return replace(metric, max=x) if metric.direction is Direction.LOWER else replace(metric, min=1.0 - x)

    strict, lax = 1e-6, 0.999
    if sides.decided(at(lax)).verdict is not Verdict.PASS:
        return None
    for _ in range(18):
        middle = (strict + lax) / 2.0
        if sides.decided(at(middle)).verdict is Verdict.PASS:
            lax = middle
        else:
            strict = middle
    return at(lax)


def with_limit(sides: Sides, policy: MetricPolicy) -> MetricPolicy:
    """With the highest `min:` (lowest `max:`) besides at which it passes, as far as there is one."""
    name, limits = (
        ("max", np.arange(100) / 100) if policy.direction is Direction.LOWER else ("min", 1 - np.arange(100) / 100)
    )
    for limit in limits.tolist():
        limited = replace(policy, **{name: limit})
        if sides.decided(limited).verdict is Verdict.PASS:
            return limited
    return policy


SHAPES = {
    "right or wrong": {"kind": "binary", "right_or_wrong": True},
    "right or wrong as far as seen": {"kind": "binary"},
    "graded": {"kind": "graded"},
    "clustered": {"kind": "graded", "clusters": 45},
    "few clusters": {"kind": "graded", "clusters": 9},
    "clustered, right or wrong": {"kind": "binary", "clusters": 60, "right_or_wrong": True},
    "sliced": {"kind": "binary", "topics": 3, "right_or_wrong": True},
    "sliced and graded": {"kind": "graded", "topics": 3},
    "without a champion": {"kind": "binary", "champion": False, "right_or_wrong": True},
    "graded without a champion": {"kind": "graded", "champion": False},
}


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=st.integers(0, 2**32), missing=st.integers(1, 8), down=st.booleans(), data=st.data())
@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_a_pass_is_a_pass_of_the_full_data_whatever_they_are(
    shape: str, seed: int, missing: int, down: bool, data: st.DataObject
) -> None:
    sides = sides_of(seed, n=200, missing=missing, **SHAPES[shape])  # type: ignore[arg-type]
    direction = Direction.LOWER if down else Direction.HIGHER
    policy = tightest(sides, replace(GATE, margin=None, direction=direction, missing=0.05))
    if policy is None:
        return
    if sides.champion is not None and data.draw(st.booleans()):
        policy = with_limit(sides, policy)
    scores = st.sampled_from([0.0, 1.0]) if sides.right_or_wrong else st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1)
    row = st.lists(scores, min_size=sides.missing, max_size=sides.missing)
    ends = [[0.0] * sides.missing, [1.0] * sides.missing]
    for full in sides.completions([*ends, *data.draw(st.lists(row, min_size=10, max_size=10))]):
        decision = full.decided(policy)
        assert decision.verdict is Verdict.PASS, decision.sentence
        assert not decision.problems


@pytest.mark.parametrize("shape", SHAPES)
def test_every_corner_passes(shape: str) -> None:
    passed = 0
    for seed in range(5):
        sides = sides_of(seed, n=500, missing=2, **SHAPES[shape])  # type: ignore[arg-type]
        policy = tightest(sides, replace(GATE, margin=None, missing=0.05))
        if policy is not None:
            passed += 1
            for full in sides.completions(list(product((0.0, 1.0), repeat=sides.missing))):
                assert full.decided(policy).verdict is Verdict.PASS
    assert passed > 1, "the rule lets nothing pass"


def test_for_right_or_wrong_scores_the_rule_gives_nothing_away() -> None:
    for seed in range(10):
        sides = sides_of(seed, n=170, missing=3, right_or_wrong=True)
        policy = tightest(sides, replace(GATE, margin=None, missing=0.05))
        assert policy is not None
        stricter = replace(policy, margin=(policy.margin or 0.0) - 1e-4)
        assert sides.decided(stricter).verdict is not Verdict.PASS
        corners = sides.completions(list(product((0.0, 1.0), repeat=sides.missing)))
        full = [corner.decided(stricter).verdict is Verdict.PASS for corner in corners]
        assert not all(full) or without_the_missing(sides).decided(stricter).verdict is not Verdict.PASS


def without_the_missing(sides: Sides) -> Sides:
    assert sides.champion is not None
    there = ~np.isnan(sides.candidate + sides.champion)
    return replace(sides, candidate=sides.candidate[there], champion=sides.champion[there])


# The rule, case by case

BOTH = ("candidate", "champion")
ALIKE = np.repeat([1.0, 0.0], [1000, 319])
"""1,319 questions, of which both sides know 1,000."""


def gaps(scores: Scores, *at: int) -> Scores:
    scores = scores.copy()
    scores[list(at)] = np.nan
    return scores


def changed(better: int, worse: int) -> Sides:
    ours, theirs = ALIKE.copy(), ALIKE.copy()
    ours[1000 : 1000 + better], ours[:worse] = 1.0, 0.0
    return Sides(candidate=ours, champion=theirs)


def test_one_missing_case_of_1319_is_counted_shown_and_bars_nothing() -> None:
    sides = replace(changed(40, 40), candidate=gaps(changed(40, 40).candidate, 500))
    decision = sides.decided()
    assert (decision.verdict, decision.exit_code, decision.barring) == (Verdict.PASS, 0, ())
    (problem,) = decision.problems
    assert problem.counted
    assert problem.what == (
        "1 of 1,319 pairs could not be evaluated and is counted against the candidate, which passes even so:"
        " c0500 (candidate: timeout)"
    )
    assert "1 of 1,319 pairs could not be evaluated and is counted against the candidate" in decision.metrics[0].reason
    (metric,) = decision.metrics
    assert (metric.verdict, metric.expected, metric.evaluated, metric.errors) == (Verdict.PASS, 1319, 1318, 1)
    written = decision_to_json(decision)
    assert decision_from_json(written) == decision
    assert '"counted": true' in written


def test_a_decision_without_missing_cases_is_written_as_ever() -> None:
    assert "counted" not in decision_to_json(changed(40, 40).decided())
    assert "counted" not in decision_to_json(replace(changed(4, 4), candidate=gaps(ALIKE, *range(20))).decided())


@pytest.mark.parametrize(
    ("missing", "share", "verdict"),
    [
        (13, 0.01, Verdict.PASS),
        (14, 0.01, Verdict.INCONCLUSIVE),
        (14, 0.02, Verdict.PASS),
        (65, 0.05, Verdict.PASS),
        (66, 0.05, Verdict.INCONCLUSIVE),
        (1, 0.0, Verdict.INCONCLUSIVE),
        (0, 0.0, Verdict.PASS),
    ],
)
@pytest.mark.parametrize("side", BOTH)
def test_more_than_the_share_bars_a_pass(missing: int, share: float, verdict: Verdict, side: str) -> None:
    candidate, champion = (gaps(ALIKE, *range(200, 200 + missing)) if name == side else ALIKE for name in BOTH)
    sides = Sides(candidate=candidate, champion=champion)
    assert sides.decided(replace(GATE, margin=0.2, missing=share)).verdict is verdict


@pytest.mark.parametrize("share", [-0.01, 0.051, 1.0, float("nan"), float("inf")])
def test_no_more_than_5_percent_can_be_allowed(share: float) -> None:
    with pytest.raises(PolicyError, match="missing is"):
        replace(GATE, missing=share)


def test_what_would_not_pass_at_its_worst_is_inconclusive_and_says_so() -> None:
    whole = changed(40, 53)
    assert whole.decided().verdict is Verdict.PASS
    decision = replace(whole, candidate=gaps(whole.candidate, *range(500, 513))).decided()
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3
    (problem,) = decision.barring
    assert problem.what.startswith(
        "13 of 1,319 pairs could not be evaluated; counted against the candidate, it does not pass: c0500"
    )


def test_a_fail_is_made_by_what_was_observed_alone() -> None:
    fewer = changed(0, 0)
    lost = replace(fewer, candidate=gaps(fewer.candidate, *range(13)))
    assert lost.decided(replace(GATE, margin=0.001)).verdict is Verdict.INCONCLUSIVE
    worse = changed(10, 100)
    assert worse.decided().verdict is Verdict.FAIL
    assert replace(worse, candidate=gaps(worse.candidate, 5, 1200)).decided().verdict is Verdict.FAIL


def test_without_a_champion_a_minimum_is_held_to_it_too() -> None:
    alone = Sides(candidate=gaps(ALIKE, 500), champion=None)
    decision = alone.decided(replace(GATE, margin=None, min=0.73))
    assert decision.verdict is Verdict.PASS
    assert decision.problems[0].what.startswith("1 of 1,319 cases could not be evaluated and is counted")
    assert "so it cannot pass" not in decision.metrics[0].reason


def test_a_graded_score_may_be_missing_where_the_method_is_certain() -> None:
    sides = sides_of(3, n=1319, missing=1, kind="graded")
    assert sides.decided(replace(GATE, margin=0.1)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "sides",
    [
        sides_of(1, n=45, missing=1, kind="graded"),
        Sides(candidate=gaps(np.full(400, 0.5), 3), champion=np.full(400, 0.5), right_or_wrong=False),
        Sides(candidate=gaps(np.ones(400), 3), champion=np.ones(400), right_or_wrong=False),
        Sides(
            candidate=gaps(np.ones(400), 3),
            champion=np.ones(400),
            clusters=[f"d{i // 4}" for i in range(400)],
        ),
    ],
    ids=["few cases", "no spread", "right or wrong as far as seen, no spread", "alike clusters"],
)
def test_where_a_bootstrap_might_be_chosen_what_is_missing_bars(sides: Sides) -> None:
    decision = sides.decided(replace(GATE, margin=0.9, missing=0.05))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "; the method for these scores has no bound for what is missing: c0" in decision.barring[0].what


def test_a_case_that_one_side_does_not_even_list_bars() -> None:
    sides = changed(0, 0)
    candidate, champion = sides.evidence()
    assert champion is not None
    (table,) = champion.tables
    fewer = ScoreTable.of(list(table.rows())[1:], suite="support", metric="accuracy")
    for pair in ((candidate, Evidence(tables=(fewer,))), (Evidence(tables=(fewer,)), champion)):
        decision = decide(*pair, Policy(metrics=(GATE,)))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert decision.problems[0].what.startswith("1 of 1,319 pairs could not be evaluated: c0000 (")
        assert "not there" in decision.problems[0].what


def test_a_case_that_must_never_fail_bars_where_the_candidate_lacks_it() -> None:
    sides = replace(changed(0, 0), candidate=gaps(ALIKE, 700))
    candidate, champion = sides.evidence()
    for needed, verdict in ((frozenset({700}), Verdict.INCONCLUSIVE), (frozenset({1}), Verdict.PASS)):
        table = replace(candidate.tables[0], needed=needed)
        decision = decide(Evidence(tables=(table,)), champion, Policy(metrics=(GATE,)))
        assert decision.verdict is verdict
        assert ("must never fail" in decision.problems[0].what) is (verdict is Verdict.INCONCLUSIVE)


def test_a_suite_that_may_stop_early_is_barred_as_ever() -> None:
    candidate, champion = replace(changed(0, 0), candidate=gaps(ALIKE, 700)).evidence()
    point = look_point([1319], look=1)
    test = run_test_at(GATE, candidate, champion, point)
    assert test.counted is None
    assert test.problem is not None
    assert "; in a suite that may stop early it is not counted against the candidate: c0700" in test.problem.what


def test_lengths_and_scores_that_labels_correct_have_no_worst_case() -> None:
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.1, 0.12, 400)
    length = replace(GATE, trait=OutputFeature.LENGTH, margin=0.9)
    decision = Sides(candidate=gaps(scores, 3), champion=scores[::-1], right_or_wrong=False).decided(length)
    assert decision.barring[0].what.startswith("1 of 400 pairs could not be evaluated: c0003")
    sides = Sides(candidate=gaps(rng.random(400), 3), champion=rng.random(400), right_or_wrong=False)
    candidate, champion = (
        Evidence(tables=(replace(side.tables[0], human=np.where(np.arange(400) < 200, 1.0, np.nan)),))
        for side in sides.evidence()
        if side is not None
    )
    decision = decide(candidate, champion, Policy(metrics=(replace(GATE, margin=0.9),)))
    assert "has no bound for what is missing" in decision.barring[0].what


def test_a_judge_that_was_never_admitted_is_not_hidden_by_what_was_counted() -> None:
    decision = replace(changed(0, 0), candidate=gaps(ALIKE, 700)).decided(replace(GATE, judged=True))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert [problem.counted for problem in decision.problems] == [False, True]


def test_an_inconclusive_that_is_allowed_may_have_counted_what_is_missing() -> None:
    sides = replace(changed(0, 0), candidate=gaps(ALIKE, 700))
    candidate, champion = sides.evidence()
    assert champion is not None
    tables = [(side.tables[0], replace(side.tables[0], metric="tone")) for side in (candidate, champion)]
    tables[0] = (tables[0][0], replace(tables[0][1], scores=ALIKE[::-1], errors={}))
    policy = Policy(metrics=(GATE, replace(GATE, metric="tone", margin=0.001)), inconclusive=OnInconclusive.ALLOW)
    decision = decide(Evidence(tables=tables[0]), Evidence(tables=tables[1]), policy)
    assert (decision.verdict, decision.exit_code) == (Verdict.INCONCLUSIVE, 0)
    assert [problem.counted for problem in decision.problems] == [True]


# Slices


def sliced(lost: int, missing: int, *, size: int = 25) -> Sides:
    """1,319 cases, `size` of them of a topic in which `lost` are wrong and `missing` without a score."""
    candidate, champion = ALIKE.copy(), ALIKE.copy()
    candidate[:lost] = 0.0
    champion[:size] = 1.0
    candidate[lost : lost + missing] = np.nan
    return Sides(candidate=candidate, champion=champion, topics=["law"] * size + ["other"] * (1319 - size))


def test_a_loss_in_a_slice_does_not_vanish_with_what_is_missing() -> None:
    gate = replace(GATE, margin=0.1)
    assert sliced(9, 0).decided(gate).verdict is Verdict.FAIL
    assert sliced(2, 7).decided(gate).verdict is Verdict.INCONCLUSIVE
    decision = sliced(2, 7).decided(gate)
    assert "; counted against the candidate, a slice may be lost: c0002" in decision.barring[0].what
    assert sliced(2, 1).decided(gate).verdict is Verdict.PASS
    assert sliced(9, 2).decided(gate).verdict is Verdict.FAIL


def test_a_slice_that_is_too_small_without_what_is_missing_is_none_for_that() -> None:
    gate = replace(GATE, margin=0.1)
    assert sliced(12, 0, size=20).decided(gate).verdict is Verdict.FAIL
    decision = sliced(11, 1, size=20).decided(gate)
    assert all(part.value != "law" for part in decision.slices)
    assert decision.verdict is Verdict.INCONCLUSIVE


# How much it costs


def test_an_unchanged_model_with_one_missing_case_passes_nearly_as_often() -> None:
    rng = np.random.default_rng(11)
    passed = dict.fromkeys((0, 1, 13), 0)
    runs = 80
    for _ in range(runs):
        discordant = rng.random(1319) < 0.1
        ours = np.where(discordant, rng.random(1319) < 0.5, ALIKE).astype(float)
        theirs = np.where(discordant, 1.0 - ours, ALIKE)
        for missing in passed:
            at = rng.choice(1319, missing, replace=False).tolist()
            sides = Sides(candidate=gaps(ours, *at), champion=theirs)
            passed[missing] += sides.decided().verdict is Verdict.PASS
    rates = {missing: count / runs for missing, count in passed.items()}
    assert rates[0] >= rates[1] >= rates[0] - 0.05
    assert rates[13] < rates[1]
