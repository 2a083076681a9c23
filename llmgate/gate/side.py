"""What one side of a decision brings: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision import Problem
from llmgate.record.scores import ScoreTable

if TYPE_CHECKING:
    # Nothing reads these annotations, and who decides on plain scores has none of them.
    from llmgate.gate.chance import Noise, RepeatScores  # noqa: TC004
    from llmgate.gate.judged import JudgeDrift  # noqa: TC004
    from llmgate.gate.standing import Standing  # noqa: TC004
    from llmgate.gate.watched import EmbeddedAnswers  # noqa: TC004
    from llmgate.record.labels import AnswerLabels  # noqa: TC004

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one side of a decision brings.

    Attributes:
        tables: One per metric of the policy, and per watched trait.
        required_failures: `suite::case` of every failed `required: true` check.
        problems: What could not be evaluated, beyond the items without a score.
        repeats: The scores of single answers, of metrics whose cases were answered several times.
        noise: How much scores change if nothing has changed, where that is known.
        run: Run id, "" for plain score tables.
        digest: Journal digest, "" for plain score tables.
        readings: The versions of the rules by which traits of answers were read.
        embedded: The embeddings of answers, by suite, where the policy watches them.
        labels: The files that the tables' human columns come from.
        drift: What became of the anchors, None where there were none.
        standings: Whether the judges of judged metrics were admitted.
    """

    tables: tuple[ScoreTable, ...]
    required_failures: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    repeats: tuple[RepeatScores, ...] = ()
    noise: tuple[Noise, ...] = ()
    run: str = ""
    digest: str = ""
    readings: frozenset[int] = frozenset()
    embedded: tuple[EmbeddedAnswers, ...] = ()
    labels: tuple[AnswerLabels, ...] = ()
    drift: JudgeDrift | None = None
    standings: tuple[Standing, ...] = ()

    def table(self, suite: str, metric: str) -> ScoreTable | None:
        """The scores of one metric, None if there are none."""
        return next((t for t in self.tables if (t.suite, t.metric) == (suite, metric)), None)
