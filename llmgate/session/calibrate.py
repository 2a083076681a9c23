"""What `llmgate calibrate` does: measure the gate's error rates, and write them down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate import __version__
from llmgate.errors import UsageError
from llmgate.gate.calibration import Calibration
from llmgate.gate.simulated import DESIGNS, simulate
from llmgate.record.policy import DEFAULT_ALPHA
from llmgate.record.rundir import write_atomic
from llmgate.report.calibration import Origin, calibration_json, calibration_markdown
from llmgate.session.manifest import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmgate.gate.calibration import Row
    from llmgate.gate.simulated import Design
    from llmgate.session.progress import Progress

__all__ = ["MARGIN", "Effort", "calibrate", "write_calibration"]

MARGIN: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is drawn.

    Attributes:
        repetitions: Data sets per figure.
        quick: Whether that is less than a release publishes.
    """

    repetitions: int = 20_000
    quick: bool = False

    @classmethod
    def of(cls, *, quick: bool) -> Effort:
        """A release's, or a tenth of it."""
        return cls(repetitions=2_000, quick=True) if quick else cls()


def calibrate(*, effort: Effort, seed: int, progress: Progress) -> Calibration:
    """Measure how often the gate errs.

    Every row has its own source of random numbers, derived from the seed and its place: the same seed and data give
    the same figures, whatever else is measured.

    Args:
        effort: How much is drawn.
        seed: Not negative.
        progress: Told of every row.

    Raises:
        UsageError: If the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"the seed is {seed}", where="--seed", fix="Give a whole number that is not negative")
    jobs = list(_simulations(effort))
    progress.stage(f"measuring {len(jobs)} designs, {effort.repetitions:,} data sets per figure")
    rows: list[Row] = []
    for done, (job, source) in enumerate(zip(jobs, np.random.SeedSequence(seed).spawn(len(jobs)), strict=True)):
        progress.count("designs", done, len(jobs))
        rows += job(np.random.default_rng(source))
    progress.count("designs", len(jobs), len(jobs))
    return Calibration(
        seed=seed,
        repetitions=effort.repetitions,
        quick=effort.quick,
        margin=MARGIN,
        alpha=DEFAULT_ALPHA,
        rows=tuple(rows),
    )


def write_calibration(calibration: Calibration, out: Path, *, command: str) -> tuple[Path, ...]:
    """Write calibration.md and calibration.json.

    Args:
        calibration: What was found.
        out: A folder; made if it is not there.
        command: The command line, for whoever wants the same figures.

    Returns:
        The files.

    Raises:
        UsageError: If the folder cannot be made.
        RecordError: If a file cannot be written.
    """
    origin = Origin(version=__version__, command=command, created_at=timestamp())
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder cannot be made ({error.strerror})", where=str(out), fix="Choose another --out"
        ) from error
    contents = {
        "calibration.md": calibration_markdown(calibration, origin),
        "calibration.json": calibration_json(calibration, origin),
    }
    for name, content in contents.items():
        write_atomic(out / name, content.encode())
    return tuple(out / name for name in contents)


def _simulations(effort: Effort) -> Iterator[Callable[[np.random.Generator], tuple[Row, ...]]]:
    for design in DESIGNS:
        yield partial(_simulate, design, effort.repetitions)


def _simulate(design: Design, repetitions: int, rng: np.random.Generator) -> tuple[Row, ...]:
    return simulate(design, rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA)
