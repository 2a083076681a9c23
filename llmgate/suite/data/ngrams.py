"""Texts as sets of character n-grams, and which of many texts are nearly the same.

Resemblance of two texts is the Jaccard coefficient |A ∩ B| / |A ∪ B| of their sets of n-grams. MinHash signatures
estimate it, banding finds the pairs worth a look, and every pair that is reported was counted exactly.

Reference: Broder (1997), "On the resemblance and containment of documents"; the banding of signatures as in Leskovec,
Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GRAM", "NEAR", "containment", "grams", "jaccard", "near_groups", "plain"]

GRAM: Final = 5
"""Characters of an n-gram: words of every language, and texts of three words, still have some."""
NEAR: Final = 0.8
"""Resemblance from which two texts count as nearly the same."""

BANDS: Final = 16
ROWS: Final = 4
"""Of a pair that resembles by s, 1 − (1 − s⁴)¹⁶ are looked at: 99.98 % at 0.8, 64 % at 0.5."""
SLACK: Final = 0.125
"""How far the estimate may lie below the threshold and the pair still be counted: two of its standard errors, which are
at most 1/16 with 64 minima. So of the pairs just at the threshold one in forty is missed."""
LEADERS: Final = 8
"""Texts of one bucket that the others are compared with: a bucket of thousands must not take millions of steps."""
BATCH_GRAMS: Final = 4_000_000
"""That are in memory at once."""
MAX_CHARS: Final = 200_000
"""Of a text, so that one huge row does not take the time of all others."""
SEED: Final = 20_240_917

Hashes = NDArray[np.uint64]
EMPTY: Final[Hashes] = np.zeros(0, dtype=np.uint64)


def plain(text: str) -> str:
    """A text without what a reader does not see: NFKC, case folded, white space as single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def grams(text: str) -> Hashes:
    """The sorted set of the hashes of a plain text's n-grams; of a shorter text, the text itself is the only one."""
    return np.unique(_hashes(text))


def jaccard(first: Hashes, second: Hashes) -> float:
    """|A ∩ B| / |A ∪ B|; two empty sets resemble by 1."""
    common = np.intersect1d(first, second, assume_unique=True).size
    union = first.size + second.size - common
    return float(common / union) if union else 1.0


def containment(part: Hashes, whole: Hashes) -> float:
    """|A ∩ B| / |A|: how much of A stands in B, both sorted; nothing is contained nowhere."""
    if not part.size or not whole.size:
        return 0.0
    places = np.minimum(np.searchsorted(whole, part), whole.size - 1)
    return float((whole[places] == part).sum() / part.size)


def near_groups(texts: Sequence[str], *, near: float = NEAR) -> list[tuple[int, ...]]:
    """Groups of texts that are nearly the same.

    A text belongs to a group if it resembles one of the group by at least `near`. Linear in the characters, plus a
    bounded number of comparisons per text.

    Args:
        texts: Plain texts; empty ones belong to no group.
        near: Least resemblance, a fraction in (0, 1].

    Returns:
        Indices of each group with at least two texts, in order.
    """
    first_of: dict[str, int] = {}
    same = _Groups(len(texts))
    for index, text in enumerate(texts):
        if text:
            same.join(first_of.setdefault(text, index), index)
    distinct = sorted(first_of.values())
    signatures = _signatures([texts[i] for i in distinct])
    sets: dict[int, Hashes] = {}
    in_memory = 0
    for first, second in _candidates(signatures, near):
        a, b = distinct[first], distinct[second]
        if same.root(a) == same.root(b):
            continue
        if in_memory > BATCH_GRAMS:
            sets, in_memory = {}, 0
        for index in (a, b):
            if index not in sets:
                sets[index] = grams(texts[index][:MAX_CHARS])
                in_memory += sets[index].size
        if jaccard(sets[a], sets[b]) >= near:
            same.join(a, b)
    return same.groups()


class _Groups:
    """Disjoint sets of indices."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def root(self, index: int) -> int:
        while self._above[index] != index:
            self._above[index] = self._above[self._above[index]]
            index = self._above[index]
        return index

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self._above[high] = low

    def groups(self) -> list[tuple[int, ...]]:
        members: dict[int, list[int]] = {}
        for index in range(len(self._above)):
            members.setdefault(self.root(index), []).append(index)
        return [tuple(group) for group in members.values() if len(group) > 1]


def _hashes(text: str) -> Hashes:
    # The encoder refuses half a surrogate pair; a row cannot hold one, but a prompt might.
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if not points.size:
        return EMPTY
    width = min(GRAM, points.size)
    # Horner's rule modulo 2^64, then a mix: the plain polynomial would leave neighbours close together.
    value: Hashes = np.zeros(points.size - width + 1, dtype=np.uint64)
    for offset in range(width):
        value = value * np.uint64(0x100000001B3) + points[offset : points.size - width + 1 + offset]
    return _mixed(value)


def _mixed(value: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _signatures(texts: Sequence[str]) -> Hashes:
    """One row of minima per text, in batches of bounded memory."""
    keys = np.random.default_rng(SEED).integers(0, 2**64, size=BANDS * ROWS, dtype=np.uint64)
    result = np.zeros((len(texts), keys.size), dtype=np.uint64)
    start = 0
    while start < len(texts):
        batch: list[Hashes] = []
        size = 0
        while start + len(batch) < len(texts) and (not batch or size < BATCH_GRAMS):
            batch.append(_hashes(texts[start + len(batch)][:MAX_CHARS]))
            size += batch[-1].size
        values = np.concatenate(batch)
        starts = np.cumsum([0, *(hashes.size for hashes in batch[:-1])])
        for column, key in enumerate(keys):
            result[start : start + len(batch), column] = np.minimum.reduceat(_mixed(values ^ key), starts)
        start += len(batch)
    return result


def _candidates(signatures: Hashes, near: float) -> list[tuple[int, int]]:
    """Pairs that share a band and whose signatures agree nearly as often as asked for."""
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = {}
        block = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        for index in range(len(block)):
            buckets.setdefault(block[index].tobytes(), []).append(index)
        for bucket in buckets.values():
            for position, leader in enumerate(bucket[:LEADERS]):
                others = bucket[position + 1 :]
                if others:
                    agreement = (signatures[others] == signatures[leader]).mean(axis=1)
                    pairs.update((leader, others[i]) for i in np.flatnonzero(agreement >= near - SLACK))
    return sorted(pairs)
