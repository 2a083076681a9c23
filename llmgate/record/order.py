"""The order in which cases are asked when a run may stop early: random, and the same everywhere.

Cases of one cluster stay together, as do the repeats of a case, so that every look sees whole clusters and whole cases.
The order comes from digests, not from a random generator, whose numbers may change from one version to the next.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

from llmgate.record.looks import LookPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.schema import PlannedCase

__all__ = ["case_order", "plan_looks"]


def case_order(cases: Iterable[PlannedCase], *, seed: int) -> tuple[PlannedCase, ...]:
    """The cases of one suite in the order of the digests of (seed, suite, cluster), or (seed, suite, case) without one.

    Args:
        cases: Of one suite. Inside a cluster they keep their order.
        seed: Another seed, another order.
    """
    return tuple(case for group in groups(cases, seed) for case in group)


def plan_looks(cases: Sequence[PlannedCase], *, seed: int, fractions: Sequence[float], reserve: int = 0) -> LookPlan:
    """The plan of looks at fractions of a suite's cases, rounded up to whole clusters.

    Args:
        cases: All cases of one suite, at least one.
        seed: Decides their order.
        fractions: Ascending, the last one 1.
        reserve: How many cases are only asked if the others do not decide.

    Raises:
        PolicyError: If the fractions are no plan, or there are no cases.
    """
    ends, total = [], 0
    for group in groups(cases, seed):
        total += len(group)
        ends.append(total)
    # Rounding must not carry 0.6 of 10 cases to the seventh.
    wanted = [math.ceil(fraction * total - 1e-9) for fraction in fractions]
    sizes = dict.fromkeys(next((end for end in ends if end >= least), total) for least in wanted)
    return LookPlan(
        suite=cases[0].suite if cases else "",
        seed=seed,
        fractions=tuple(fractions),
        cases=tuple(sizes),
        reserve=reserve,
    )


def groups(cases: Iterable[PlannedCase], seed: int) -> list[list[PlannedCase]]:
    """The cases by cluster, in random order."""
    clusters: dict[tuple[str, str, str], list[PlannedCase]] = {}
    for case in cases:
        name = ("case", case.case) if case.cluster is None else ("cluster", case.cluster)
        clusters.setdefault((case.suite, *name), []).append(case)
    return [clusters[name] for name in sorted(clusters, key=lambda name: digest_of(seed, name))]


def digest_of(seed: int, name: tuple[str, str, str]) -> bytes:
    """What decides the place of a case or cluster."""
    return hashlib.sha256(json.dumps([seed, *name], ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()
