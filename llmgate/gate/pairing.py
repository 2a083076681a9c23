"""Two score tables become pairs; what has no partner becomes an error, never a gap."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import NotComparableError

if TYPE_CHECKING:
    from llmgate.record.scores import ItemScore, ScoreTable

__all__ = ["Pairs", "pair_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The cases that could be evaluated, sorted by id, and those that could not.

    Attributes:
        item_ids: n ids.
        candidate: Scores, shape (n,).
        champion: Scores of the champion on the same cases, None without one.
        clusters: Cluster keys where at least two cases share one, else None. A case without a key is its own cluster.
        expected: Cases that either side knows.
        errors: `id (why)` of every case that is expected but not evaluated.
    """

    item_ids: tuple[str, ...]
    candidate: NDArray[np.float64]
    champion: NDArray[np.float64] | None
    clusters: tuple[Hashable, ...] | None
    expected: int
    errors: tuple[str, ...]

    @property
    def binary(self) -> bool:
        """Whether every score, on both sides, is 0 or 1."""
        sides = [self.candidate] if self.champion is None else [self.candidate, self.champion]
        return all(bool(np.all((side == 0.0) | (side == 1.0))) for side in sides)

    @property
    def simple(self) -> bool:
        """Whether these are right-or-wrong scores of independent cases, so that exact methods for rates apply."""
        return self.binary and self.clusters is None

    @property
    def seed(self) -> int:
        """A seed that belongs to these data, so that deciding again gives the same bytes."""
        digest = hashlib.sha256()
        for side in (self.candidate, self.champion):
            digest.update(b"" if side is None else side.astype("<f8").tobytes())
        digest.update(repr(self.clusters).encode())
        return int.from_bytes(digest.digest()[:16], "big")


def pair_up(candidate: ScoreTable, champion: ScoreTable | None) -> Pairs:
    """Match two tables by item id, or take one as it is.

    Raises:
        NotComparableError: If the two put the same case into different clusters.
    """
    new = {item.item_id: item for item in candidate.items}
    old = None if champion is None else {item.item_id: item for item in champion.items}
    ids, errors, scores, baseline, clusters = [], [], [], [], []
    everyone = sorted(new.keys() | (old.keys() if old is not None else set()))
    for item_id in everyone:
        mine, theirs = new.get(item_id), None if old is None else old.get(item_id)
        if mine is None or mine.score is None:
            errors.append(f"{item_id} ({_why(mine, 'candidate' if old is not None else '')})")
        elif old is None:
            ids.append(item_id)
            scores.append(mine.score)
            clusters.append(_cluster(mine))
        elif theirs is None or theirs.score is None:
            errors.append(f"{item_id} ({_why(theirs, 'champion')})")
        else:
            _same_cluster(mine, theirs, candidate)
            ids.append(item_id)
            scores.append(mine.score)
            baseline.append(theirs.score)
            clusters.append(_cluster(mine))
    return Pairs(
        item_ids=tuple(ids),
        candidate=np.array(scores, dtype=np.float64),
        champion=None if old is None else np.array(baseline, dtype=np.float64),
        clusters=tuple(clusters) if len(set(clusters)) < len(clusters) else None,
        expected=len(everyone),
        errors=tuple(errors),
    )


def _cluster(item: ItemScore) -> tuple[bool, str]:
    return (True, item.cluster) if item.cluster is not None else (False, item.item_id)


def _why(item: ItemScore | None, side: str) -> str:
    cause = "not there" if item is None else (item.error or "no score")
    return f"{side}: {cause}" if side else cause


def _same_cluster(mine: ItemScore, theirs: ItemScore, table: ScoreTable) -> None:
    if mine.cluster != theirs.cluster:
        raise NotComparableError(
            f"cluster is {mine.cluster!r} for the candidate, but {theirs.cluster!r} for the champion",
            where=f"{table.suite}::{mine.item_id}",
            fix="Score both with the same cluster keys",
        )
