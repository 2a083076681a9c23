"""The attempts of one candidate become one piece of evidence, and each metric learns what this attempt has to reach.

Attempt k is decided on the mean score of each case over attempts 1 to k, at a bound that spends α_k = α·ρ·2^−(k−1) (the
first attempt α·(1 − ρ)), ρ the policy's reserve. Both tests of a metric, "worse by the margin" and "not worse", keep
alpha over all attempts, however many there will be and whatever they are made for:

- PASS asks every gating metric to pass, so it is as rare as the rarest of them (intersection and union).
- FAIL takes p-values that hold over all attempts, adjusted by Holm (see `repeated_alpha`).
- Slices take the shares of their own alpha.

The first attempt may stop early: its looks spend α_1. Further ones run to the end. Where the first has stopped, a case
that it never asked is scored by the others, and the bound is that of α_k alone, which holds whatever they share.

What cannot be pooled is judged by this attempt's figures at α_k alone: serving figures, and metrics that people's
labels on this run's answers correct.

Nothing of an earlier attempt is forgotten: a required check that failed stays failed, and what could not be evaluated
then keeps the verdict from PASS as it did then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import NotComparableError, RecordError, UndefinedError
from llmgate.gate.attempts.earlier import Earlier
from llmgate.gate.attempts.pooling import pool_tables
from llmgate.gate.decision.types import Problem
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.evidence.pairing import cluster_codes
from llmgate.gate.metrics.attempt_point import AttemptPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.scores import ScoreTable

__all__ = ["Attempts", "count_attempts", "shares_of"]

RESTORE: str = "Bring the ledger back, or measure new cases: a new version of the suite starts anew"
```
