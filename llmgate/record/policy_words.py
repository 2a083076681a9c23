"""The words of a policy: roles, directions, and where a number gets so lax that somebody has to say why."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_MISSING",
    "DEFAULT_RESERVE",
    "DEFAULT_SLICE_ALPHA",
    "DEFAULT_SLICE_CASES",
    "MOST_ALPHA",
    "MOST_MARGIN",
    "MOST_MISSING",
    "MOST_RESERVE",
    "Aggregate",
    "Binding",
    "Direction",
    "Inference",
    "OnInconclusive",
    "Role",
    "Unadmitted",
]

DEFAULT_ALPHA = 0.05
DEFAULT_SLICE_ALPHA = 0.01
"""Family-wise over all slices: looking into them blocks an unchanged model in at most 1 of 100 further runs."""
DEFAULT_SLICE_CASES = 20
DEFAULT_MISSING = 0.01
MOST_MISSING = 0.05
DEFAULT_RESERVE = 0.1
"""Of suites that say nothing: a tenth of each error rate is kept for trying again, at 1 to 2 points of power."""
MOST_RESERVE = 0.5
MOST_ALPHA = 0.2
MOST_MARGIN = 0.5
"""Beyond these a gate lets nearly everything pass, so that somebody has to say why."""


class Role(StrEnum):
    """What a metric may do to the verdict."""

    PRIMARY = "primary"
    """Gates: the verdict is PASS only if this metric passes."""
    GUARDRAIL = "guardrail"
    """Gates like a primary; by convention with a wider margin."""
    WATCH = "watch"
    """Shown, never gates."""


class Aggregate(StrEnum):
    """How the asserts of one case become the case's score on a metric."""

    ALL = "all"
    """1 if every assert of the metric passes, else 0 (binary)."""
    MEAN = "mean"
    """Weighted mean of the assert scores (graded)."""


class Direction(StrEnum):
    """Which way a metric is good."""

    HIGHER = "higher"
    LOWER = "lower"
    """The score counts something unwanted; differences and bounds are turned round, so that + is always better."""


class Inference(StrEnum):
    """What a verdict speaks of."""

    POPULATION = "population"
    """Cases like these: those of the suite are a sample of them."""
    BENCHMARK = "benchmark"
    """These cases and no others: only the answers' own chance counts."""


class OnInconclusive(StrEnum):
    """What an INCONCLUSIVE verdict does to the exit code. It never allows a promotion."""

    FAIL = "fail"
    ALLOW = "allow"


class Binding(StrEnum):
    """What ties a run to the registered version that it names."""

    WEIGHTS = "weights"
    """llmgate served the folder, and its digest is the version's."""
    CLAIMED = "claimed"
    """Whoever started the run says so: an endpoint answered, or the version's digest is not known."""


class Unadmitted(StrEnum):
    """What becomes of a gating metric whose judge was never admitted."""

    REFUSE = "refuse"
    """It cannot pass."""
    ALLOW = "allow"
    """It gates by what the judge says, and every report says so."""
    LABELS = "labels"
    """It cannot pass by what the judge says; a run may start, and people's labels then decide."""
