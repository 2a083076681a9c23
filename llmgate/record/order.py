"""In which order cases are asked when a run may stop early, and by which part of it: random, and the same everywhere.

Cases of one cluster stay together, as do the repeats of a case, so that every look and every part has whole clusters
and whole cases. Both come from digests, not from a random generator, whose numbers may change from one version to the
next.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

from llmgate.record.looks import LookPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.manifest import Shard
    from llmgate.record.schema import PlannedCase

__all__ = ["case_order", "plan_looks", "shard_cases"]


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
        clusters.setdefault(group_of(case), []).append(case)
    return [clusters[name] for name in sorted(clusters, key=lambda name: digest_of(seed, name))]


def shard_cases(cases: Iterable[PlannedCase], shard: Shard | None) -> tuple[PlannedCase, ...]:
    """The cases that one part of a run asks, in their order.

    The part of a case is the digest of its suite and cluster, or of its suite and id without one, modulo the number of
    parts. So it depends on nothing else: a dataset that grows moves none of its rows to another part. Parts are of
    about the same size, and may be empty where there are few cases.

    Args:
        cases: All cases of the run.
        shard: Which part; None for all.
    """
    if shard is None:
        return tuple(cases)
    return tuple(case for case in cases if part_of(case, shard.of) == shard.index)


def part_of(case: PlannedCase, parts: int) -> int:
    """The number of the part that asks a case, from 1."""
    return int.from_bytes(digest_of("shard", group_of(case))[:8], "big") % parts + 1


def group_of(case: PlannedCase) -> tuple[str, str, str]:
    """What a case belongs to: its cluster, or itself."""
    name = ("case", case.case) if case.cluster is None else ("cluster", case.cluster)
    return (case.suite, *name)


def digest_of(seed: int | str, name: tuple[str, str, str]) -> bytes:
    """What decides the place of a case or cluster."""
    return hashlib.sha256(json.dumps([seed, *name], ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()
