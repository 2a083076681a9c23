"""Two sides become pairs; what has no partner becomes an error, never a gap.

Items are matched once per sheet, scores are gathered once per metric.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import NotComparableError
from llmgate.record.scores import NO_LABEL, Labels

if TYPE_CHECKING:
    from llmgate.record.scores import Items, ScoreTable

__all__ = ["Errors", "Match", "Matches", "Pairs", "match_items", "pair_up"]

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Items that are expected but not evaluated.

    Attributes:
        count: How many.
        named: `id (why)` of the first few of them.
        uncountable: Why they cannot be counted against the candidate, "" if they can.
    """

    count: int = 0
    named: tuple[str, ...] = ()
    uncountable: str = ""

    def __str__(self) -> str:
        """The few, and how many more there are."""
        left = self.count - len(self.named)
        return ", ".join(self.named) + (f" and {left:,} more" if left else "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """Which item of one side is which of the other.

    Attributes:
        ids: Shape (n,): every id that either side knows, sorted.
        candidate_at: Shape (n,): its index on the candidate's side, −1 where it is missing.
        champion_at: The same for the champion, None without one.
        clusters: Cluster codes, shape (n,), where at least two items share one, else None. An item without a key is
            its own cluster.
        slices: Field name to the items' values.
        straight: Both sides list the same items in this order already, so that nothing has to be gathered.
    """

    ids: NDArray[np.object_]
    candidate_at: NDArray[np.int64]
    champion_at: NDArray[np.int64] | None
    clusters: NDArray[np.int64] | None
    slices: Mapping[str, Labels]
    straight: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """The cases that could be evaluated, sorted by id, and those that could not.

    Attributes:
        item_ids: n ids.
        candidate: Scores, shape (n,).
        champion: Scores of the champion on the same cases, None without one.
        clusters: Cluster codes, shape (n,), where at least two cases share one, else None.
        slices: Field name to the cases' values.
        human: Differences of what people say, candidate − champion, shape (n,), NaN where not both answers were
            labelled; without a champion what people say of the candidate. None without labels.
        stratified: Whether the labelled cases were drawn by the judge's difference, see `human_labels.parts_of`.
        human_own: What people say of the candidate, shape (n,), NaN where nobody labelled it; None without labels.
        expected: Cases that either side knows.
        errors: Every case that is expected but not evaluated.
        right_or_wrong: Whether a score can be nothing but 0 or 1, one that is missing too.
        everyone: The same with the cases that could not be evaluated, whose missing scores are NaN; None where there
            are none, or where one side does not even list a case.
        sampling: Shape (n, 4): of each case s²/K and K of the candidate's answers, and of the champion's (0 and K of
            the candidate's without one); None where nobody asked, or one side does not tell.
    """

    item_ids: NDArray[np.object_]
    candidate: NDArray[np.float64]
    champion: NDArray[np.float64] | None
    clusters: NDArray[np.int64] | None = None
    slices: Mapping[str, Labels]
    human: NDArray[np.float64] | None = None
    human_own: NDArray[np.float64] | None = None
    stratified: bool = False
    expected: int
    errors: Errors
    right_or_wrong: bool = False
    everyone: Pairs | None = None
    sampling: NDArray[np.float64] | None = None

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
            digest.update(b"" if side is None else np.ascontiguousarray(side, dtype="<f8").tobytes())
        digest.update(b"" if self.clusters is None else np.ascontiguousarray(self.clusters, dtype="<i8").tobytes())
        return int.from_bytes(digest.digest()[:16], "big")

    def flipped(self) -> Pairs:
        """1 − score on both sides, so that what was unwanted is wanted."""
        alone, human = self.champion is None, self.human
        return replace(
            self,
            everyone=None if self.everyone is None else self.everyone.flipped(),
            candidate=1.0 - self.candidate,
            champion=None if self.champion is None else 1.0 - self.champion,
            human=None if human is None else 1.0 - human if alone else -human,
            human_own=None if self.human_own is None else 1.0 - self.human_own,
        )

    def at(self, indices: NDArray[np.int64]) -> Pairs:
        """Some of the cases, as a comparison of their own.

        Args:
            indices: Which, ascending.
        """
        return replace(
            self,
            item_ids=self.item_ids[indices],
            candidate=self.candidate[indices],
            champion=None if self.champion is None else self.champion[indices],
            clusters=None if self.clusters is None else shared(self.clusters[indices]),
            slices={name: labels.taken(indices) for name, labels in self.slices.items()},
            human=None if self.human is None else self.human[indices],
            human_own=None if self.human_own is None else self.human_own[indices],
            expected=len(indices),
            errors=Errors(),
            everyone=None,
            sampling=None if self.sampling is None else self.sampling[indices],
        )


class Matches:
    """Remembers matches within one decision: twenty metrics of a million items are matched once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Items, Items | None, Match]] = {}

    def of(self, candidate: Items, champion: Items | None, *, where: str) -> Match:
        """As `match_items`, the second time from memory."""
        key = (id(candidate), id(champion))
        if key not in self._known:
            # The items are kept as well, so that their identities cannot be given to others.
            self._known[key] = (candidate, champion, match_items(candidate, champion, where=where))
        return self._known[key][2]


def match_items(candidate: Items, champion: Items | None, *, where: str) -> Match:
    """Match the items of two sides by id, or take one side as it is.

    Args:
        candidate: The candidate's items.
        champion: The champion's, None without one.
        where: Names the two in messages.

    Raises:
        NotComparableError: If the two put an item that both have into different clusters.
    """
    if champion is None or same_ids(candidate, champion):
        ids, candidate_at = in_order(candidate.ids)
        champion_at = None if champion is None else candidate_at
        straight = ids is candidate.ids
    else:
        straight = False
        ids, candidate_at, champion_at = join(candidate.ids, champion.ids)
    if champion is not None and champion_at is not None:
        check_clusters(candidate, champion, (candidate_at, champion_at), ids, where)
    return Match(
        ids=ids,
        candidate_at=candidate_at,
        champion_at=champion_at,
        clusters=cluster_codes(candidate, candidate_at),
        slices=candidate.slices if straight else {k: taken(v, candidate_at) for k, v in candidate.slices.items()},
        straight=straight,
    )


def pair_up(candidate: ScoreTable, champion: ScoreTable | None, match: Match | None = None) -> Pairs:
    """Gather one metric's scores of two sides, or of one.

    Args:
        candidate: The candidate's scores.
        champion: The champion's, None without one.
        match: How their items match, where that is known already.

    Raises:
        NotComparableError: If the two put the same case into different clusters.
    """
    if match is None:
        items = None if champion is None else champion.items
        match = match_items(candidate.items, items, where=f"{candidate.suite}::{candidate.metric}")
    scores = gathered(candidate.scores, match, match.candidate_at)
    champion_scores = None
    if champion is not None and match.champion_at is not None:
        champion_scores = gathered(champion.scores, match, match.champion_at)
    whole = ~np.isnan(scores if champion_scores is None else scores + champion_scores)
    pairs = Pairs(
        item_ids=match.ids,
        candidate=scores,
        champion=champion_scores,
        clusters=match.clusters,
        slices=match.slices,
        human=human_differences(candidate, champion, match),
        human_own=None if candidate.human is None else gathered(candidate.human, match, match.candidate_at),
        expected=len(match.ids),
        errors=Errors(),
        right_or_wrong=candidate.right_or_wrong and (champion is None or champion.right_or_wrong),
        sampling=_sampling(candidate, champion, match),
    )
    if bool(np.all(whole)):
        return pairs
    errors = errors_of(candidate, champion, match, np.flatnonzero(~whole))
    listed = match.champion_at is None or bool(np.all((match.candidate_at >= 0) & (match.champion_at >= 0)))
    everyone = pairs if listed else None
    return replace(pairs.at(np.flatnonzero(whole)), expected=len(match.ids), errors=errors, everyone=everyone)


def _sampling(candidate: ScoreTable, champion: ScoreTable | None, match: Match) -> NDArray[np.float64] | None:
    if candidate.sampling is None or (champion is not None and champion.sampling is None):
        return None
    own = [gathered(candidate.sampling[:, j], match, match.candidate_at) for j in (0, 1)]
    if champion is None or champion.sampling is None or match.champion_at is None:
        return np.stack([*own, np.zeros(len(own[0])), own[1]], axis=1)
    return np.stack([*own, *(gathered(champion.sampling[:, j], match, match.champion_at) for j in (0, 1))], axis=1)


def same_ids(candidate: Items, champion: Items) -> bool:
    """Whether two sides list the same items in the same order, so that nothing needs matching."""
    return candidate is champion or (
        len(candidate) == len(champion) and bool(np.array_equal(candidate.ids, champion.ids))
    )


def in_order(ids: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Sorted ids and where each of them was."""
    listed = ids.tolist()
    if all(map(str.__le__, listed, listed[1:])):
        return ids, np.arange(len(ids), dtype=np.int64)
    order = np.array(sorted(range(len(listed)), key=listed.__getitem__), dtype=np.int64)
    return ids[order], order


def join(
    candidate: NDArray[np.object_], champion: NDArray[np.object_]
) -> tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.int64]]:
    """All ids sorted, and where each of them is on either side, −1 for nowhere."""
    candidate_at = {item_id: i for i, item_id in enumerate(candidate.tolist())}
    champion_at = {item_id: i for i, item_id in enumerate(champion.tolist())}
    everything = sorted(candidate_at.keys() | champion_at.keys())
    ids = np.empty(len(everything), dtype=np.object_)
    ids[:] = everything
    return (
        ids,
        np.array([candidate_at.get(item_id, -1) for item_id in everything], dtype=np.int64),
        np.array([champion_at.get(item_id, -1) for item_id in everything], dtype=np.int64),
    )


def gathered(scores: NDArray[np.float64], match: Match, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores in the order of a match, NaN where the side lacks the item."""
    if match.straight:
        return scores
    if len(scores) == 0:
        return np.full(len(indices), np.nan)
    return np.where(indices >= 0, scores[indices], np.nan)


def taken(labels: Labels, indices: NDArray[np.int64]) -> Labels:
    """Labels in the order of a match, none where the side lacks the item."""
    if len(labels.codes) == 0:
        return Labels(codes=np.full(len(indices), NO_LABEL, dtype=np.int64), names=labels.names)
    return Labels(codes=np.where(indices >= 0, labels.codes[indices], NO_LABEL), names=labels.names)


def cluster_codes(items: Items, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """A code per item; items without a key, or that only the champion has, are clusters of their own."""
    if items.clusters is None:
        return None
    codes = taken(items.clusters, indices).codes
    alone = np.flatnonzero(codes == NO_LABEL)
    codes = codes.copy()
    codes[alone] = len(items.clusters.names) + np.arange(len(alone))
    return shared(codes)


def shared(codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Codes renumbered by first occurrence, None where no two items share one."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    if len(first) == len(codes):
        return None
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse]


def human_differences(candidate: ScoreTable, champion: ScoreTable | None, match: Match) -> NDArray[np.float64] | None:
    """What people say of the two answers, subtracted; a pair counts where both were labelled."""
    if candidate.human is None or (champion is not None and champion.human is None):
        return None
    own = gathered(candidate.human, match, match.candidate_at)
    if champion is None or champion.human is None or match.champion_at is None:
        return own
    return own - gathered(champion.human, match, match.champion_at)


def errors_of(candidate: ScoreTable, champion: ScoreTable | None, match: Match, lost: NDArray[np.int64]) -> Errors:
    """Count what was not evaluated, and say why for the first few."""
    named = []
    for i in lost[:_NAMED].tolist():
        side, table, index = "candidate", candidate, int(match.candidate_at[i])
        if index >= 0 and index not in candidate.errors and champion is not None and match.champion_at is not None:
            side, table, index = "champion", champion, int(match.champion_at[i])
        cause = "not there" if index < 0 else table.errors.get(index, "no score")
        named.append(f"{match.ids[i]} ({cause if champion is None else f'{side}: {cause}'})")
    return Errors(count=len(lost), named=tuple(named), uncountable=uncountable(candidate, match, lost))


def uncountable(candidate: ScoreTable, match: Match, lost: NDArray[np.int64]) -> str:
    """Why missing scores cannot be counted as the worst possible ones: of the cases something else is unknown."""
    if not candidate.needed.isdisjoint(match.candidate_at[lost].tolist()):
        return "an assert that must never fail may be among what is missing"
    return ""


def check_clusters(
    candidate: Items,
    champion: Items,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
    ids: NDArray[np.object_],
    where: str,
) -> None:
    """Refuse items that the two sides put into different clusters."""
    candidate_at, champion_at = at
    if candidate.clusters is None and champion.clusters is None:
        return
    none = Labels(codes=np.zeros(0, dtype=np.int64), names=())
    keys, champion_keys = candidate.clusters or none, champion.clusters or none
    known = {name: code for code, name in enumerate(keys.names)}
    # The champion's codes in the candidate's numbering; a key that the candidate lacks gets one that matches nothing.
    renumbered = np.array([known.get(name, len(known)) for name in champion_keys.names] + [NO_LABEL], dtype=np.int64)
    differs = taken(keys, candidate_at).codes != renumbered[taken(champion_keys, champion_at).codes]
    differing = np.flatnonzero(differs & (candidate_at >= 0) & (champion_at >= 0))
    if len(differing):
        i = int(differing[0])
        first = keys.at(int(candidate_at[i])) if len(keys.codes) else None
        second = champion_keys.at(int(champion_at[i])) if len(champion_keys.codes) else None
        raise NotComparableError(
            f"cluster is {first!r} for the candidate, but {second!r} for the champion",
            where=f"{where.partition('::')[0]}::{ids[i]}",
            fix="Score both with the same cluster keys",
        )
