"""Which shard asks a case: the same for ever, wherever the case stands, and with its whole cluster."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_case

from llmgate.record.manifest import Shard
from llmgate.record.order import shard_cases

CLUSTERS = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), min_size=1, max_size=60)


def test_the_parts_are_written_in_stone() -> None:
    """Shards of today must merge with every later version."""
    cases = [make_case(f"c{i}", cluster="k" if i > 5 else None) for i in range(8)]
    assert [[case.case for case in shard_cases(cases, Shard(index=k, of=3))] for k in (1, 2, 3)] == [
        ["c4", "c5"],
        ["c0", "c6", "c7"],
        ["c1", "c2", "c3"],
    ]


@given(clusters=CLUSTERS, of=st.integers(1, 9))
def test_every_case_is_asked_once_and_clusters_stay_together(clusters: list[str | None], of: int) -> None:
    cases = [make_case(f"c{i}", cluster=cluster) for i, cluster in enumerate(clusters)]
    shards = [shard_cases(cases, Shard(index=k, of=of)) for k in range(1, of + 1)]
    assert Counter(case.case for shard in shards for case in shard) == Counter(case.case for case in cases)
    for cluster in {cluster for cluster in clusters if cluster}:
        assert sum(any(case.cluster == cluster for case in shard) for shard in shards) == 1
    for shard in shards:
        assert [case for case in cases if case in shard] == list(shard)


@given(clusters=CLUSTERS, more=CLUSTERS)
def test_a_dataset_that_grows_moves_nothing(clusters: list[str | None], more: list[str | None]) -> None:
    cases = [make_case(f"c{i}", cluster=cluster) for i, cluster in enumerate([*clusters, *more])]
    before, shard = cases[: len(clusters)], Shard(index=2, of=3)
    assert [case for case in shard_cases(cases, shard) if case in before] == list(shard_cases(before, shard))


def test_parts_are_of_about_one_size() -> None:
    cases = [make_case(f"c{i}") for i in range(8_000)]
    sizes = [len(shard_cases(cases, Shard(index=k, of=8))) for k in range(1, 9)]
    # Of 1,000 each, the standard deviation is 30.
    assert max(abs(size - 1_000) for size in sizes) < 120


def test_a_case_and_a_cluster_of_one_name_are_two_things() -> None:
    cases = [make_case("x"), make_case("y", cluster="x")]
    assert any(len(shard_cases(cases, Shard(index=1, of=n))) == 1 for n in range(2, 30))


@pytest.mark.parametrize(("index", "of"), [(0, 2), (3, 2), (-1, 1), (1, 0)])
def test_there_is_no_such_shard(index: int, of: int) -> None:
    with pytest.raises(ValueError, match="there is no part"):
        Shard(index=index, of=of)
