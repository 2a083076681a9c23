"""What promptfoo makes of code asserts: outcomes recorded with Node 22 and CPython, on answers of all kinds.

Each line of `outcomes.jsonl` has a code and what promptfoo 0.123.1's own handling of its result gives for each output:
`p0.5` a pass with that score, `f0` a fail, `3*f0` three of them. Scores are kept within 0 and 1. `nan` is a score
that is no number: a fail there, an error here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Recorded", "recorded"]

_TABLES = Path(__file__).parents[1] / "score" / "expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One code with its outcomes.

    Attributes:
        language: `javascript` or `python`.
        code: As it stands in a promptfoo configuration.
        expected: For each output its outcome and its score, None for an error.
    """

    language: str
    code: str
    expected: tuple[tuple[str, float | None], ...]

    @property
    def hopeless(self) -> bool:
        """Whether it fails on all outputs."""
        return all(outcome == "fail" and score == 0 for outcome, score in self.expected)


def recorded(table: str = "outcomes") -> tuple[list[Any], dict[str, Any], list[Recorded]]:
    """The outputs, the variables, and the codes; the table `outcomes-data` has outputs that are data."""
    head, *lines = map(json.loads, (_TABLES / f"{table}.jsonl").read_text(encoding="utf-8").splitlines())
    return head["outputs"], head["vars"], [_read(line) for line in lines]


def _read(line: dict[str, str]) -> Recorded:
    expected: list[tuple[str, float | None]] = []
    for run in line["expect"].split():
        times, _, cell = run.rpartition("*")
        score = None if cell == "nan" else float(cell[1:])
        outcome = {"p": "pass", "f": "fail", "n": "error"}[cell[0]]
        expected += [(outcome, score)] * int(times or 1)
    return Recorded(language=line["language"], code=line["code"], expected=tuple(expected))
