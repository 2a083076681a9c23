"""What files may grow to in memory: some kilobytes can stand for gigabytes.

A budget per reading of a file, or per import: 256 MB, and 32 bytes for each byte of the file. A file of text never
needs the second part whole, so what is refused is packed, repeated or multiplied, and whoever trusts it can raise the
first part by LLMGATE_MAX_GROWTH_MB.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from llmgate.errors import DatasetError, RecordError, SuiteError

__all__ = ["CELL", "MAX_ROWS", "RESULT", "ROW", "Growth", "check_rows", "json_cost"]

BASE_MB: Final = 256
PER_BYTE: Final = 32
MAX_ROWS: Final = 2_000_000
"""Of a dataset: each is a question that somebody waits for. More by LLMGATE_MAX_ROWS."""
ROW: Final = 400
"""What a row costs besides what is in it: its id, its digest, its place."""
RESULT: Final = 250
"""What a row of results costs."""
CELL: Final = 50
"""What a value costs, whatever it is."""
NODE: Final = 64
MB: Final = 1_000_000
GROWTH_VARIABLE: Final = "LLMGATE_MAX_GROWTH_MB"
ROWS_VARIABLE: Final = "LLMGATE_MAX_ROWS"


def _chosen(variable: str, default: int) -> int:
    """A limit, which the environment may set."""
    written = os.environ.get(variable, "")
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 10 else default


def check_rows(rows: int, where: str) -> None:
    """Refuse a dataset with more rows than there may be.

    Raises:
        DatasetError: With the limit.
    """
    limit = _chosen(ROWS_VARIABLE, MAX_ROWS)
    if rows > limit:
        raise DatasetError(
            f"has {rows} rows, more than {limit}",
            where=where,
            fix=f"Take a sample of it, or set {ROWS_VARIABLE} to a larger number",
        )


def json_cost(text: str | bytes) -> int:
    """What the data come to that a text in JSON stands for: two characters can make a list of 64 bytes."""
    if isinstance(text, str):
        members, commas = text.count("[") + text.count("{"), text.count(",")
    else:
        members, commas = text.count(b"[") + text.count(b"{"), text.count(b",")
    return len(text) + NODE * members + CELL * commas


class Growth:
    """The budget of one file, or of one import.

    Args:
        size: Bytes on disk.
        where: The file, for messages.
        error: What is raised.
    """

    def __init__(
        self, size: int, where: str, *, error: type[DatasetError | RecordError | SuiteError] = RecordError
    ) -> None:
        self.size = size
        self.where = where
        self._error = error
        self._spent = 0

    @property
    def limit(self) -> int:
        """All bytes that may be spent."""
        return _chosen(GROWTH_VARIABLE, BASE_MB) * MB + PER_BYTE * self.size

    def spend(self, cost: int, where: str | None = None) -> None:
        """Pay for bytes before they are taken.

        Raises:
            DatasetError, RecordError, SuiteError: As said, if the budget does not suffice.
        """
        self.afford(cost, where)
        self._spent += cost

    def afford(self, cost: int, where: str | None = None) -> None:
        """See that bytes could be paid for, without paying: they are given back before others are taken.

        Raises:
            DatasetError, RecordError, SuiteError: As said, if the budget does not suffice.
        """
        if self._spent + cost > self.limit:
            raise self._error(
                f"grows to more than {self.limit // MB} MB in memory"
                + (f", and has {self.size} bytes on disk" if self.size else ""),
                where=where or self.where,
                fix=f"Make it smaller, or set {GROWTH_VARIABLE} to more than {_chosen(GROWTH_VARIABLE, BASE_MB)} if you"
                " trust it",
            )

    def value(self, value: object, where: str | None = None) -> None:
        """Pay for a copy of some data, as far as the budget goes."""
        stack, cost, most = [value], 0, self.limit - self._spent
        while stack and cost <= most:
            part = stack.pop()
            if isinstance(part, dict):
                cost += NODE
                stack += [*part.keys(), *part.values()]
            elif isinstance(part, list | tuple):
                cost += NODE
                stack += part
            else:
                cost += CELL + sys.getsizeof(part)
        self.spend(cost, where)
