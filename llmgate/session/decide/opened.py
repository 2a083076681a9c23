"""Records that this process has read already: what a report shows is what the decision rests on, and is read once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from llmgate.record.schema import Record

__all__ = ["OpenedRecords"]


class OpenedRecords:
    """Reads each record once.

    It is for the moments between seal and report: what another process does to a record meanwhile is noticed by
    whoever reads it next. Records are large, so let go of it as soon as the report is written.
    """

    def __init__(self) -> None:
        self._read: dict[Path, Record] = {}

    def of(self, folder: Path | str) -> Record:
        """The record in a folder.

        Raises:
            RecordError: If it cannot be read.
        """
        path = Path(folder).resolve()
        if path not in self._read:
            self._read[path] = load_record(Path(folder))
        return self._read[path]

    def keep(self, folder: Path, record: Record) -> None:
        """Remember a record that was read back as it was sealed."""
        self._read[folder.resolve()] = record
