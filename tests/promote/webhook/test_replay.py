"""Each delivery is carried out once, also over a restart."""

from __future__ import annotations

import pytest

from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.promote.webhook.replay import KEPT_S, SeenDeliveries
from llmgate.promote.webhook.signature import MAX_AGE_S, MAX_AHEAD_S


def refused(seen: SeenDeliveries, delivery: str, now: float, status: int) -> None:
    with pytest.raises(DeliveryRefusedError) as caught:
        seen.check(delivery, now)
    assert caught.value.status == status


def test_a_second_one_is_refused_and_another_is_not() -> None:
    seen = SeenDeliveries()
    seen.check("a", 0)
    seen.remember("a", 0)
    refused(seen, "a", 1, 409)
    seen.check("b", 1)


def test_it_is_known_after_a_restart_for_as_long_as_it_could_come_again() -> None:
    assert KEPT_S >= MAX_AGE_S + MAX_AHEAD_S
    seen = SeenDeliveries()
    seen.remember("a", 100)
    refused(SeenDeliveries(seen.young(100 + MAX_AGE_S + MAX_AHEAD_S)), "a", 100 + MAX_AGE_S + MAX_AHEAD_S, 409)
    assert seen.young(100 + KEPT_S + 1) == {}


def test_when_it_is_full_nothing_young_is_forgotten() -> None:
    seen = SeenDeliveries(capacity=3)
    for delivery in "abc":
        seen.remember(delivery, 10)
    refused(seen, "d", 11, 503)
    refused(seen, "a", 11, 409)
    seen.check("d", 10 + KEPT_S + 1)
    seen.remember("d", 10 + KEPT_S + 1)
    assert seen.young(10 + KEPT_S + 1) == {"d": 10 + KEPT_S + 1}


def test_what_could_not_be_carried_out_may_come_again() -> None:
    seen = SeenDeliveries()
    seen.remember("a", 0)
    seen.forget("a")
    seen.forget("never came")
    seen.check("a", 1)


def test_a_clock_set_back_forgets_nothing() -> None:
    seen = SeenDeliveries(capacity=1)
    seen.remember("a", 1000)
    refused(seen, "b", 10, 503)
    refused(seen, "a", 10, 409)
