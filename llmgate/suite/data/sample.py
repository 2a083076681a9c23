"""A smaller dataset from a larger one, the same for the same seed.

Each row gets the SHA-256 of the seed and its id, and the lowest are taken. So a sample of 50 lies within the sample of
100 with the same seed, adding rows to the dataset changes a sample little, and no library's generator is involved.
Stratified, each value of a column gets its share by the largest remainder.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from llmgate.errors import DatasetError, did_you_mean
from llmgate.suite.data.strict_json import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.data.rows import Row

__all__ = ["sample_rows"]


def sample_rows(rows: Sequence[Row], count: int, *, seed: int, stratify: str | None = None) -> tuple[Row, ...]:
    """Draw rows without replacement.

    Args:
        rows: The rows.
        count: How many to draw.
        seed: What decides which.
        stratify: A column whose values keep their shares.

    Returns:
        The drawn rows, in the order of the dataset.

    Raises:
        DatasetError: If there are not so many rows, or the column does not exist.
    """
    if not 1 <= count <= len(rows):
        raise DatasetError(f"{count} rows cannot be drawn from {len(rows)}", fix=f"Ask for 1 to {len(rows)}")
    strata: dict[str, list[Row]] = {}
    for row in rows:
        if stratify is not None and stratify not in row.values:
            raise DatasetError(f"there is no column {stratify!r}", fix=did_you_mean(stratify, row.values))
        strata.setdefault(canonical(row.values[stratify]) if stratify is not None else "", []).append(row)
    drawn: set[str] = set()
    for key, share in _shares({key: len(members) for key, members in strata.items()}, count).items():
        ranked = sorted(strata[key], key=lambda row: hashlib.sha256(f"{seed}\n{row.id}".encode()).digest())
        drawn.update(row.id for row in ranked[:share])
    return tuple(row for row in rows if row.id in drawn)


def _shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    """Largest remainder (Hamilton): whole quotas first, then one more for the largest fractions; ties by key."""
    total = sum(sizes.values())
    shares = {key: size * count // total for key, size in sizes.items()}
    by_fraction = sorted(sizes, key=lambda key: (-(sizes[key] * count % total), key))
    for key in by_fraction[: count - sum(shares.values())]:
        shares[key] += 1
    return shares
