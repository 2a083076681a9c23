"""Score tables on disk: JSON Lines from any evaluation harness, read without mercy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.record.results.jsonl import read_jsonl
from llmgate.record.results.layout import Layout
from llmgate.record.results.source import read_source
from llmgate.record.scores import ItemScore, ScoreTable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ItemScore", "ScoreTable", "load_score_table"]


def load_score_table(path: Path | str, *, suite: str = "scores", metric: str = "score") -> ScoreTable:
    """Read one `{"item_id": …, "score": …, "cluster": …}` object per line; `cluster` may be left out or null.

    `human` may hold what people say of the same answer, and `error` why there is no score, which is then null.

    Args:
        path: A UTF-8 file, or one packed by gzip. Empty lines are skipped.
        suite: Name for the report.
        metric: Name for the report.

    Raises:
        RecordError: With file and line, for anything else: no rows, broken JSON, an unknown, missing or repeated key,
            an item id that is no text or occurs twice, a score that is no number in [0, 1] (NaN included).
    """
    (table,) = read_jsonl(read_source(path), Layout(), suite=suite)
    return replace(table, metric=metric)
