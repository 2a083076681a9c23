"""What one side of a decision brings, and what is known of how its scores spread by chance alone: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from llmgate.gate.decision.types import Problem
from llmgate.record.scores import ScoreTable

if TYPE_CHECKING:
    from llmgate.gate.decision.judge_types import JudgeDrift  # noqa: TC004 - nothing reads these annotations
    from llmgate.gate.evidence.feature_metrics import EmbeddedAnswers  # noqa: TC004 - nothing reads these annotations
    from llmgate.gate.judges.admission_status import AdmissionStatus  # noqa: TC004 - nothing reads these annotations
    from llmgate.record.labels import AnswerLabels  # noqa: TC004 - nothing reads these annotations

__all__ = ["Evidence", "Noise", "RepeatScores"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RepeatScores:
    """The scores of single answers on one metric. N answers to n cases, each case's answers next to each other.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        ids: The n cases that have two answers or more, all of them scored.
        cases: Shape (N,): the index of each answer's case.
        scores: Shape (N,), in [0, 1].
        texts: Shape (N,): a number per answer, the same for answers to a case that are worded the same.
    """

    suite: str
    metric: str
    ids: tuple[str, ...]
    cases: NDArray[np.int64]
    scores: NDArray[np.float64]
    texts: NDArray[np.int64]

    @property
    def repeats(self) -> int:
        """The most answers that a case has."""
        return int(np.bincount(self.cases).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much the scores of one metric change between two runs of the same model, or of two releases.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        variance: Of one case's difference. Of right-or-wrong scores it is the share of cases that flip.
        lowest: One-sided 95 % lower bound of it.
        highest: One-sided 95 % upper bound of it.
        cases: How many cases tell.
        repeats: Answers whose mean is a case's score.
        source: The `repeats` of one run, a second `run` of the same model, or the `history` of releases.
        binary: Whether a case's score is right or wrong, so that the variance is a discordance.
        flips: How often two scores of the same case differ.
        level: The champion's mean score, turned so that more is better: what a loss can take from. None where nothing
            tells.
        design_effect: What of the variance is due to clusters, as a factor; 1 without clusters.
        reach: Of lengths: how far an answer that nobody saw may be from the champion's, as a log ratio; None of others.
    """

    suite: str
    metric: str
    variance: float
    lowest: float
    highest: float
    cases: int
    repeats: int
    source: Literal["repeats", "run", "history"]
    binary: bool
    flips: float
    level: float | None = None
    design_effect: float = 1.0
    reach: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one side of a decision brings.

    Attributes:
        tables: One per metric of the policy, and per watched output feature.
        required_failures: `suite::case` of every failed `required: true` check.
        problems: What could not be evaluated, beyond the items without a score.
        repeats: The scores of single answers, of metrics whose cases were answered several times.
        noise: How much scores change if nothing has changed, where that is known.
        run: Run id, "" for plain score tables.
        digest: Journal digest, "" for plain score tables.
        rule_versions: The versions of the rules by which output features were read.
        embedded: The embeddings of answers, by suite, where the policy watches them.
        labels: The files that the tables' human columns come from.
        drift: What became of the anchors, None where there were none.
        admission_statuses: Whether the judges of judged metrics were admitted.
        selected: Whether the run is the champion's because it passed, so that luck is part of its scores.
        forgeable: Suite and metric of those with a check that answers could have brought about without being right.
    """

    tables: tuple[ScoreTable, ...]
    required_failures: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    repeats: tuple[RepeatScores, ...] = ()
    noise: tuple[Noise, ...] = ()
    run: str = ""
    digest: str = ""
    rule_versions: frozenset[int] = frozenset()
    embedded: tuple[EmbeddedAnswers, ...] = ()
    labels: tuple[AnswerLabels, ...] = ()
    drift: JudgeDrift | None = None
    admission_statuses: tuple[AdmissionStatus, ...] = ()
    forgeable: frozenset[tuple[str, str]] = frozenset()
    selected: bool = False

    def table(self, suite: str, metric: str) -> ScoreTable | None:
        """The scores of one metric, None if there are none."""
        return next((t for t in self.tables if (t.suite, t.metric) == (suite, metric)), None)
