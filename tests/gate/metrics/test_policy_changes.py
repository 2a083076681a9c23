from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.records import make_manifest, make_suite

from llmgate.gate.metrics.policy_changes import weaker_than
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import (
    Aggregate,
    Binding,
    Direction,
    MetricPolicy,
    OnInconclusive,
    Policy,
    Role,
    SlicePolicy,
    Unadmitted,
)
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.waiver import Waiver

if TYPE_CHECKING:
    from collections.abc import Callable

METRIC = MetricPolicy(suite="support", metric="accuracy", margin=0.03, min=0.8, alpha=0.05)
UNSAFE = MetricPolicy(
    suite="support", metric="unsafe", role=Role.GUARDRAIL, margin=0.05, max=0.02, direction=Direction.LOWER
)
TONE = MetricPolicy(suite="support", metric="tone", judged=True)
WATCHED = MetricPolicy(suite="support", metric="length", role=Role.WATCH)
WAIVER = Waiver(suite="support", metric="accuracy", until="2026-12-31", by="Ada", reason="known")
SPEED = ServingPolicy(suite="support", metric="output_throughput", margin=0.05, min=90.0)
WAITING = ServingPolicy(suite="support", metric="p95_ttft_ms", margin=None, max=500.0, role=Role.GUARDRAIL)
SEEN = ServingPolicy(suite="support", metric="mean_itl_ms", role=Role.WATCH)
POLICY = Policy(
    metrics=(METRIC, UNSAFE, TONE, WATCHED),
    slices=(SlicePolicy(suite="support", field="topic", min_cases=20),),
    serving=(SPEED, WAITING, SEEN),
    reserve=0.1,
)


def weaker(change: Callable[[Policy], Policy], champion: Policy = POLICY) -> tuple[str, ...]:
    suites = [make_suite("support", cases=300)]
    before = make_manifest(policy=champion, suites=suites)
    return weaker_than(before, make_manifest(policy=change(champion), suites=suites))


def with_metric(old: MetricPolicy, **changes: object) -> Callable[[Policy], Policy]:
    new = replace(old, **changes)  # type: ignore[arg-type]  # the fields of a frozen dataclass, by name
    return lambda policy: replace(policy, metrics=tuple(new if m == old else m for m in policy.metrics))


def with_figure(old: ServingPolicy, **changes: object) -> Callable[[Policy], Policy]:
    new = replace(old, **changes)  # type: ignore[arg-type]  # as above
    return lambda policy: replace(policy, serving=tuple(new if f == old else f for f in policy.serving))


def without_figure(old: ServingPolicy) -> Callable[[Policy], Policy]:
    return lambda policy: replace(policy, serving=tuple(f for f in policy.serving if f != old))


def without(old: MetricPolicy) -> Callable[[Policy], Policy]:
    return lambda policy: replace(policy, metrics=tuple(m for m in policy.metrics if m != old))


WEAKER: dict[str, tuple[Callable[[Policy], Policy], str]] = {
    "wider margin": (with_metric(METRIC, margin=0.2), "support::gate::accuracy: margin 0.03 → 0.2"),
    "the default margin, which is wider": (with_metric(METRIC, margin=None), "margin 0.03 → default"),
    "margin wider than the default": (with_metric(TONE, margin=0.06), "tone: margin default → 0.06"),
    "more may be missing": (with_metric(METRIC, missing=0.05), "missing 0.01 → 0.05"),
    "larger alpha": (with_metric(METRIC, alpha=0.1), "alpha 0.05 → 0.1"),
    "lower min": (with_metric(METRIC, min=0.5), "min 0.8 → 0.5"),
    "no min": (with_metric(METRIC, min=None), "min 0.8 → none"),
    "higher max": (with_metric(UNSAFE, max=0.3), "max 0.02 → 0.3"),
    "no max": (with_metric(UNSAFE, max=None), "max 0.02 → none"),
    "turned round": (with_metric(UNSAFE, direction=Direction.HIGHER, max=None), "direction lower → higher"),
    "means instead of all": (with_metric(METRIC, aggregate=Aggregate.MEAN), "aggregate all → mean"),
    "metric only watched": (with_metric(METRIC, role=Role.WATCH), "primary → watch"),
    "guardrail only watched": (with_metric(UNSAFE, role=Role.WATCH), "guardrail → watch"),
    "metric dropped": (without(METRIC), "support::gate::accuracy: the metric is gone"),
    "metric renamed": (with_metric(METRIC, metric="exactness"), "support::gate::accuracy: the metric is gone"),
    "unadmitted judges": (with_metric(TONE, unadmitted=Unadmitted.ALLOW), "unadmitted refuse → allow"),
    "labels instead of admission": (with_metric(TONE, unadmitted=Unadmitted.LABELS), "unadmitted refuse → labels"),
    "another score": (
        with_metric(METRIC, trait=OutputFeature.SCHEMA),
        f"trait None → {OutputFeature.SCHEMA}",
    ),
    "slice dropped": (lambda policy: replace(policy, slices=()), "support: slice 'topic' is gone"),
    "slice of more cases": (
        lambda policy: replace(policy, slices=(SlicePolicy(suite="support", field="topic", min_cases=90),)),
        "support: slice 'topic' min-cases 20 → 90",
    ),
    "fewer losses found in slices": (lambda policy: replace(policy, slice_alpha=0.0001), "slice-alpha 0.01 → 0.0001"),
    "waiver": (lambda policy: replace(policy, waivers=(WAIVER,)), "support::accuracy: waived until 2026-12-31"),
    "figure dropped": (without_figure(SPEED), "support::serving::output_throughput: the gate is gone"),
    "limit dropped": (without_figure(WAITING), "support::serving::p95_ttft_ms: the gate is gone"),
    "figure only watched": (with_figure(SPEED, role=Role.WATCH), "output_throughput: primary → watch"),
    "figure with a wider margin": (with_figure(SPEED, margin=0.08), "output_throughput: margin 0.05 → 0.08"),
    "figure without a margin": (with_figure(SPEED, margin=None), "output_throughput: margin 0.05 → none"),
    "figure with a larger alpha": (with_figure(SPEED, alpha=0.1), "output_throughput: alpha 0.05 → 0.1"),
    "figure with a lower min": (with_figure(SPEED, min=80.0), "output_throughput: min 90 → 80"),
    "figure without min": (with_figure(SPEED, min=None), "output_throughput: min 90 → none"),
    "figure with a higher max": (with_figure(WAITING, max=600.0), "p95_ttft_ms: max 500 → 600"),
    "a margin instead of a limit": (with_figure(WAITING, max=None, margin=0.05), "p95_ttft_ms: max 500 → none"),
    "inconclusive allowed": (
        lambda policy: replace(policy, inconclusive=OnInconclusive.ALLOW),
        "inconclusive fail → allow",
    ),
    "less kept for further attempts": (lambda policy: replace(policy, reserve=0.0), "reserve 0.1 → 0"),
    "a claim is enough": (lambda policy: replace(policy, binding=Binding.CLAIMED), "binding weights → claimed"),
}


@pytest.mark.parametrize("name", WEAKER)
def test_what_asks_for_less_is_named(name: str) -> None:
    change, words = WEAKER[name]
    (found,) = weaker(change) if name != "turned round" else weaker(change)[:1]
    assert words in found


STRICTER: dict[str, Callable[[Policy], Policy]] = {
    "the same": lambda policy: policy,
    "narrower margin": with_metric(METRIC, margin=0.01),
    "the default margin written down": with_metric(TONE, margin=0.05),
    "less may be missing": with_metric(METRIC, missing=0.0),
    "smaller alpha": with_metric(METRIC, alpha=0.01),
    "higher min": with_metric(METRIC, min=0.9),
    "lower max": with_metric(UNSAFE, max=0.01),
    "guardrail made primary": with_metric(UNSAFE, role=Role.PRIMARY),
    "watched metric gates": with_metric(WATCHED, role=Role.PRIMARY),
    "watched metric dropped": without(WATCHED),
    "further metric": lambda policy: replace(policy, metrics=(*policy.metrics, replace(METRIC, metric="more"))),
    "more losses found in slices": lambda policy: replace(policy, slice_alpha=0.05),
    "more kept for further attempts": lambda policy: replace(policy, reserve=0.2),
    "a reason": with_metric(METRIC, reason="because"),
    "watched figure dropped": without_figure(SEEN),
    "watched figure gates": with_figure(SEEN, role=Role.PRIMARY),
    "figure with a narrower margin": with_figure(SPEED, margin=0.02),
    "figure with a higher min": with_figure(SPEED, min=95.0),
    "figure with a lower max": with_figure(WAITING, max=400.0),
    "a margin beside a limit": with_figure(WAITING, margin=0.1),
}


@pytest.mark.parametrize("name", STRICTER)
def test_what_asks_for_no_less_is_not(name: str) -> None:
    assert weaker(STRICTER[name]) == ()


def test_a_waiver_that_held_before_is_no_news_and_a_longer_one_is() -> None:
    waived = replace(POLICY, waivers=(WAIVER,))
    assert weaker(lambda policy: policy, waived) == ()
    longer = weaker(lambda policy: replace(policy, waivers=(replace(WAIVER, until="2027-12-31"),)), waived)
    assert longer == ("support::accuracy: waived until 2027-12-31",)


def test_suites_count_too() -> None:
    two = [make_suite("support", cases=300), make_suite("safety", cases=50)]
    metrics = (METRIC, replace(METRIC, suite="safety"))
    before = make_manifest(policy=Policy(metrics=metrics, serving=(replace(SPEED, suite="safety"),)), suites=two)
    one = make_manifest(policy=Policy(metrics=metrics[:1]), suites=two[:1])
    assert weaker_than(before, one) == ("safety: the suite is gone",)
    fewer = replace(before, suites=(replace(two[0], cases=30), two[1]))
    assert weaker_than(before, fewer) == ("support: 300 → 30 cases",)
    other = replace(before, suites=(two[0], replace(two[1], version="9.9", digest="0" * 64)))
    (changed,) = weaker_than(before, other)
    assert changed.startswith("safety: the suite asks or asserts something else (version ")
    assert weaker_than(before, make_manifest(policy=before.policy, suites=two)) == ()
