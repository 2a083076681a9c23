"""What `llmgate calibrate` does: measure the gate's error rates, and write them down."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate import __version__
from llmgate.errors import CannotRunError, UsageError
from llmgate.gate.calibration.attempt_rows import ATTEMPTS
from llmgate.gate.calibration.attempt_verdicts import AttemptRule
from llmgate.gate.calibration.attempts import attempt_designs, simulate_attempts
from llmgate.gate.calibration.baselines import BASELINE_DESIGNS, simulate_baselines
from llmgate.gate.calibration.clustered import CLUSTERED_DESIGNS, real_clusters, simulate_clusters
from llmgate.gate.calibration.labelled import LABELLED_DESIGNS, LABELLED_SIZES, simulate_labels
from llmgate.gate.calibration.power import POWER_DESIGNS, power_of_pairs, simulate_power
from llmgate.gate.calibration.resampled import Sampling, real_losses, resample
from llmgate.gate.calibration.results import FIVE_POINTS, Calibration, CalibrationRow, FurtherRow, ServingCalibrationRow
from llmgate.gate.calibration.rounds import ROUND_DESIGNS, simulate_rounds
from llmgate.gate.calibration.serving import serving_cases, simulate_serving
from llmgate.gate.calibration.simulated import DESIGNS, PUBLISHED, simulate, simulate_looks
from llmgate.gate.calibration.system_pairs import choose
from llmgate.record.disk import write_atomic
from llmgate.record.policy import DEFAULT_ALPHA, DEFAULT_RESERVE
from llmgate.record.results.paired import PairedResults, is_paired, load_paired, paired_name
from llmgate.report.calibration.page import calibration_page
from llmgate.report.calibration.tables import CalibrationOrigin, calibration_json, calibration_markdown
from llmgate.session.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmgate.gate.calibration.attempt_models import AttemptDesign
    from llmgate.gate.calibration.baselines import BaselineDesign
    from llmgate.gate.calibration.clustered import ClusteredDesign
    from llmgate.gate.calibration.labelled import LabelledDesign
    from llmgate.gate.calibration.power import PowerDesign
    from llmgate.gate.calibration.resampled import SystemPair
    from llmgate.gate.calibration.rounds import RoundDesign
    from llmgate.gate.calibration.serving import ServingCase
    from llmgate.gate.calibration.simulated import SimulatedDesign
    from llmgate.session.progress import Progress

    Found = tuple[CalibrationRow | ServingCalibrationRow | FurtherRow, ...]
    Job = partial[Found]

__all__ = ["MARGIN", "Effort", "RealData", "calibrate", "make_folder", "read_folder", "write_calibration"]

MARGIN: Final = 0.03
SIZES: Final = (100, 300, 1000)
CASES_PER_JOB: Final = 12
"""Of serving: together they take about as long as another design."""
ALL: Final = 1_000_000
"""More comparisons than any data set has."""
LARGE: Final = 300
WIDE_MARGIN: Final = 0.1
"""Of attempts at fewer cases, where hardly anything would pass at a smaller one."""
NEARLY: Final = 0.9
"""Share of a size that two systems have to share: 299 items stand for 300."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is drawn.

    Attributes:
        repetitions: Data sets per figure, simulated or of right-or-wrong results.
        graded: Data sets per figure of graded results, where the gate may resample.
        clustered: Data sets per figure of whole clusters, where it mostly does.
        comparisons: Most pairs of systems of a data set.
        clustered_comparisons: The same where whole clusters are drawn.
        attempts: Candidates per figure that are tried again and again.
        quick: Whether that is less than a release publishes.
    """

    repetitions: int = 20_000
    graded: int = 10_000
    clustered: int = 4_000
    comparisons: int = 200
    clustered_comparisons: int = 50
    attempts: int = 2_000
    quick: bool = False

    @classmethod
    def of(cls, *, quick: bool) -> Effort:
        """A release's, or about a tenth of it."""
        if not quick:
            return cls()
        return cls(
            repetitions=2_000,
            graded=1_000,
            clustered=500,
            comparisons=50,
            clustered_comparisons=25,
            attempts=200,
            quick=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RealData:
    """Paired results that were read.

    Attributes:
        sets: In the order of their names.
        notes: Files that hold something else.
    """

    sets: tuple[PairedResults, ...] = ()
    notes: tuple[str, ...] = ()


def read_folder(folder: Path) -> RealData:
    """Read every file of paired results in a folder.

    Args:
        folder: Holds `NAME.jsonl` or `NAME.jsonl.gz` with rows `{"item_id", "system", "score", "cluster"}`.

    Raises:
        UsageError: If there is no such folder, no such file in it, or two of one name.
        RecordError: If a file is broken.
    """
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder), fix="Name a folder with paired results")
    files = sorted(path for path in folder.iterdir() if path.is_file() and paired_name(path) is not None)
    usable = [path for path in files if is_paired(path)]
    if not usable:
        raise UsageError(
            "no file with paired results",
            where=str(folder),
            fix='Write NAME.jsonl with rows {"item_id": "…", "system": "…", "score": 1, "cluster": null}',
        )
    names = [paired_name(path) for path in usable]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two files are called {twice}", where=str(folder), fix="Keep one of them")
    return RealData(
        sets=tuple(load_paired(path) for path in usable),
        notes=tuple(f"{path.name}: its rows name no system" for path in files if path not in usable),
    )


def calibrate(data: RealData, *, effort: Effort, seed: int, progress: Progress, jobs: int = 1) -> Calibration:
    """Measure how often the gate errs.

    Every row has its own source of random numbers, derived from the seed and its place: the same seed and data give
    the same figures, on any number of processes.

    Args:
        data: Real results; simulated ones are always measured.
        effort: How much is drawn.
        seed: Not negative.
        progress: Told of every row.
        jobs: Processes; 1 for this one.

    Raises:
        UsageError: If the seed is negative or there is no process.
        CannotRunError: If a process was killed.
    """
    if seed < 0:
        raise UsageError(f"the seed is {seed}", where="--seed", fix="Give a whole number that is not negative")
    if jobs < 1:
        raise UsageError(f"{jobs} processes measure nothing", where="--jobs", fix="Give 1 or more")
    choosing, drawing, serving, trying = np.random.SeedSequence(seed).spawn(4)
    planned: list[Job] = [partial(_simulate, design, effort.repetitions) for design in DESIGNS]
    planned += [partial(_simulate_looks, design, effort.repetitions) for design in PUBLISHED]
    planned += [partial(_simulate_power, design, effort) for design in POWER_DESIGNS]
    planned += [partial(_simulate_clusters, design, effort.repetitions) for design in CLUSTERED_DESIGNS]
    planned += [partial(_simulate_baselines, design, effort.repetitions) for design in BASELINE_DESIGNS]
    planned += [partial(_simulate_rounds, design, effort.repetitions) for design in ROUND_DESIGNS]
    planned += [partial(_simulate_labels, design, effort.repetitions) for design in LABELLED_DESIGNS]
    notes = list(data.notes)
    for results, source in zip(data.sets, choosing.spawn(len(data.sets)), strict=True):
        planned += _real(results, effort, np.random.default_rng(source), notes)
    cases = tuple(serving_cases(quick=effort.quick))
    parts = [cases[i : i + CASES_PER_JOB] for i in range(0, len(cases), CASES_PER_JOB)]
    served: list[Job] = [partial(_serve, part, effort.repetitions) for part in parts]
    candidates = min(effort.attempts, effort.repetitions)
    tried: list[Job] = [partial(_try_again, design, candidates) for design in attempt_designs(quick=effort.quick)]
    sources = (*drawing.spawn(len(planned)), *serving.spawn(len(served)), *trying.spawn(len(tried)))
    work: list[Job] = [partial(job, source) for job, source in zip((*planned, *served, *tried), sources, strict=True)]
    progress.stage(f"measuring {len(work)} designs")
    measured = [row for rows in _carry_out(work, jobs, progress) for row in rows]
    return Calibration(
        seed=seed,
        repetitions=effort.repetitions,
        quick=effort.quick,
        margin=MARGIN,
        alpha=DEFAULT_ALPHA,
        rows=tuple(row for row in measured if isinstance(row, CalibrationRow)),
        notes=tuple(dict.fromkeys(notes)),
        serving=tuple(row for row in measured if isinstance(row, ServingCalibrationRow)),
        further=tuple(row for row in measured if not isinstance(row, CalibrationRow | ServingCalibrationRow)),
    )


def make_folder(out: Path) -> None:
    """Make the folder of the results, if it is not there.

    Raises:
        UsageError: If it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder cannot be made ({error.strerror})", where=str(out), fix="Choose another --out"
        ) from error


def write_calibration(calibration: Calibration, data: RealData, out: Path, *, command: str) -> tuple[Path, ...]:
    """Write calibration.html, calibration.md and calibration.json.

    Args:
        calibration: What was found.
        data: On what.
        out: A folder; made if it is not there.
        command: The command line, for whoever wants the same figures.

    Returns:
        The files.

    Raises:
        UsageError: If the folder cannot be made.
        RecordError: If a file cannot be written.
    """
    origin = CalibrationOrigin(
        version=__version__,
        command=command,
        created_at=timestamp(),
        data=tuple((results.name, results.sha256) for results in data.sets),
    )
    make_folder(out)
    contents = {
        "calibration.html": calibration_page(calibration, origin),
        "calibration.md": calibration_markdown(calibration, origin),
        "calibration.json": calibration_json(calibration, origin),
    }
    for name, content in contents.items():
        write_atomic(out / name, content.encode(), private=False)
    return tuple(out / name for name in contents)


def _carry_out(work: Sequence[Job], jobs: int, progress: Progress) -> list[Found]:
    progress.count("designs", 0, len(work))
    if jobs == 1:
        rows = []
        for done, job in enumerate(work, start=1):
            rows.append(job())
            progress.count("designs", done, len(work))
        return rows
    try:
        # Spawned, not forked: the caller may have threads.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            # Real results come last and take longest, so that they are begun first.
            futures = [pool.submit(job) for job in reversed(work)]
            for done, _ in enumerate(as_completed(futures), start=1):
                progress.count("designs", done, len(work))
            return [future.result() for future in reversed(futures)]
    except BrokenProcessPool as error:
        raise CannotRunError("a process that measured was killed", fix="Free some memory, or give --jobs 1") from error


def _real(results: PairedResults, effort: Effort, rng: np.random.Generator, notes: list[str]) -> Iterator[Job]:
    chosen = choose(results, loss=max(MARGIN, FIVE_POINTS), most=effort.comparisons, rng=rng)
    notes += chosen.notes
    if not chosen.pairs:
        notes.append(f"{results.name}: it has no two systems that can be compared")
        return
    binary = all(pair.binary for pair in chosen.pairs)
    kind, repetitions = ("right or wrong", effort.repetitions) if binary else ("graded", effort.graded)
    # Labels are swapped item by item here, so that the items are independent whatever cluster they are in.
    alone = [replace(pair, clusters=None) for pair in chosen.pairs]
    for size in SIZES:
        pairs = [pair for pair in alone if len(pair.first) >= NEARLY * size]
        if pairs:
            yield partial(
                _resample, pairs, Sampling(source=results.name, scores=kind, size=size, repetitions=repetitions)
            )
            if binary:
                yield partial(_power_of_pairs, pairs, results.name, size, repetitions)
    if results.clusters is not None:
        fewer = choose(results, loss=max(MARGIN, FIVE_POINTS), most=effort.clustered_comparisons, rng=rng)
        scores = f"{kind}, whole clusters"
        sampling = Sampling(source=results.name, scores=scores, size=None, repetitions=effort.clustered)
        yield partial(_resample, fewer.pairs, sampling)
        # Sums of clusters cost so little that all comparisons are made, those that score too little to lose more too.
        every = choose(results, loss=0.0, most=ALL, rng=rng)
        yield partial(_real_clusters, every.pairs, results.name)


def _serve(cases: Sequence[ServingCase], repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return tuple(row for case in cases for row in simulate_serving(case, rng=rng, repetitions=repetitions))


def _try_again(design: AttemptDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    margin = MARGIN if design.pairs >= LARGE else WIDE_MARGIN
    rule = AttemptRule(margin=margin, alpha=DEFAULT_ALPHA, reserve=DEFAULT_RESERVE, attempts=ATTEMPTS)
    return (simulate_attempts(design, rng=np.random.default_rng(source), repetitions=repetitions, rule=rule),)


def _simulate(design: SimulatedDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return simulate(design, rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA)


def _simulate_looks(design: SimulatedDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return simulate_looks(design, rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA)


def _simulate_power(design: PowerDesign, effort: Effort, source: np.random.SeedSequence) -> Found:
    kind = effort.clustered if design.clusters is not None else effort.graded if design.repeats > 1 else None
    repetitions = effort.repetitions if kind is None else min(kind, effort.repetitions)
    rng = np.random.default_rng(source)
    return tuple(simulate_power((design,), rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA))


def _simulate_rounds(design: RoundDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return tuple(simulate_rounds((design,), rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA))


def _power_of_pairs(
    pairs: Sequence[SystemPair], name: str, size: int, repetitions: int, source: np.random.SeedSequence
) -> Found:
    rng = np.random.default_rng(source)
    row = power_of_pairs(
        pairs, source=name, size=size, rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA
    )
    return () if row is None else (row,)


def _simulate_clusters(design: ClusteredDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return (simulate_clusters(design, rng=rng, repetitions=repetitions, alpha=DEFAULT_ALPHA),)


def _simulate_labels(design: LabelledDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return tuple(
        simulate_labels(design, labels=labels, rng=rng, repetitions=repetitions, alpha=DEFAULT_ALPHA)
        for labels in LABELLED_SIZES
    )


def _real_clusters(pairs: Sequence[SystemPair], name: str, source: np.random.SeedSequence) -> Found:
    row = real_clusters(pairs, source=name, rng=np.random.default_rng(source), alpha=DEFAULT_ALPHA)
    return () if row is None else (row,)


def _simulate_baselines(design: BaselineDesign, repetitions: int, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    return simulate_baselines(design, rng=rng, repetitions=repetitions, margin=MARGIN, alpha=DEFAULT_ALPHA)


def _resample(pairs: Sequence[SystemPair], sampling: Sampling, source: np.random.SeedSequence) -> Found:
    rng = np.random.default_rng(source)
    planted = resample(pairs, sampling, rng=rng, margin=MARGIN, alpha=DEFAULT_ALPHA)
    # Real losses of whole clusters have rows of their own.
    real = None if sampling.size is None else real_losses(pairs, sampling, rng=rng, alpha=DEFAULT_ALPHA)
    return planted if real is None else (*planted, real)
