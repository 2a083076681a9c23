"""Shards → one run, noted with what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.record.manifest import ALONE, FOR_COMPARISON, FOR_PROMOTION
from llmgate.record.run.content_digest import content_digest
from llmgate.record.run.files import MANIFEST
from llmgate.record.run.merge import check_shards, merge_shards
from llmgate.record.run.rundir import folder_taken
from llmgate.record.run.watch import RunLock
from llmgate.record.schema import Record
from llmgate.report.words import plural
from llmgate.session.decide.records import Baseline, note_baseline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


__all__ = ["Merged", "merge_folders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What was made of shards.

    Attributes:
        record: The whole run.
        baseline: What it is compared with.
        content: The digest of what it found.
    """

    record: Record
    baseline: Baseline | None
    content: str

    @property
    def lines(self) -> tuple[str, ...]:
        """What to say of it."""
        answers = plural(len(self.record.results), "answer")
        return (f"merged {answers} to {plural(len(self.record.cases), 'case')}", f"content: {self.content}")


def merge_folders(
    shards: Sequence[Path], out: Path, baseline: Callable[[], Baseline | None], *, as_baseline: bool = False
) -> Merged:
    """Check shards, find the champion, and write the whole run.

    Args:
        shards: The folders of all shards.
        out: Where the run goes; nothing is left there if the shards are refused.
        baseline: Finds the champion's record, once the shards are seen to be good.
        as_baseline: Whether others will be compared with it.

    Raises:
        RecordError: If they are not the shards of one run, or the folder holds a run.
        LlmgateError: As `resolve_baseline`.
    """
    if MANIFEST.exists(out):
        raise folder_taken(out)
    parts = check_shards(shards)
    champion = baseline()
    with RunLock(out):
        note_baseline(out, champion)
        made_for = FOR_COMPARISON if as_baseline else FOR_PROMOTION if champion else ALONE
        record = merge_shards(parts, out, made_for=made_for)
    return Merged(record=record, baseline=champion, content=content_digest(record))
