"""What a judge does to a comparison, and what human labels on part of the cases put right: the OpenQA exhibit.

    python benchmarks/openqa.py DIR [--repeats 2000] [--labelled 50 100 150]

DIR holds openqa-nq301.jsonl: ten systems that answered all questions (two more lack some), people's verdicts on every
answer, and those of three judges; that makes 45 pairs of systems. Each pair is turned so that people find the
candidate worse. The questions are the population, so that people's difference is known: each repetition draws as many
questions with replacement, gives the judge's scores of all of them and people's of a random part, and asks how often
an interval holds people's difference.

- judge alone: paired t on the judge's scores of all drawn questions.
- PPI++: `llmgate.stats.corrected.ppi_bounded`, which the gate calls, on the same scores and the labels.
- labels alone: Tango's score interval of the labels, which is PPI++ without a judge. Few labels are counted in
  few_labels.py.

"95 %" is the share of two-sided 95 % intervals that hold the truth; "lower" that of one-sided 95 % lower bounds, which
are what a PASS hangs on; "worst" the same for the pair with the smallest share.

A second table keeps the questions and draws only which of them are labelled. The truth is then the difference on these
very questions; the gate's interval, which is about questions like these, is too wide for that, and survey sampling's
(its variance times the share that is not labelled) fits.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.errors import UndefinedError
from llmgate.stats.corrected import ppi_bounded, ppi_weight
from llmgate.stats.proportion import PairedCounts, tango

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE = "openqa-nq301.jsonl"
INCOMPLETE = frozenset({"emdr2", "dpr"})
JUDGES = ("judge_gpt4", "judge_davinci003", "judge_bem")
ALPHA = 0.025
LOWER_ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Differences:
    """Candidate − champion of every pair of systems, on the questions that all of them answered.

    Attributes:
        names: Champion and candidate; people find the candidate worse, or as good.
        human: Shape (pairs, questions).
        judge: Shape (pairs, questions).
    """

    names: tuple[tuple[str, str], ...]
    human: NDArray[np.float64]
    judge: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """Shares of repetitions in which an interval held people's difference, per pair.

    Attributes:
        two_sided: Shape (pairs,), of 95 % intervals.
        lower: Shape (pairs,), of one-sided 95 % lower bounds.
        reach: Mean half width of the 95 % intervals.
    """

    two_sided: NDArray[np.float64]
    lower: NDArray[np.float64]
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A two-sided 95 % interval and a one-sided 95 % lower bound."""

    low: float
    high: float
    lower: float


def read_differences(path: Path, judge: str) -> Differences:
    """The 45 pairs of the ten complete systems."""
    scores: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["system"] not in INCOMPLETE and row[judge] is not None:
            scores[row["system"]][row["item_id"]] = (row["score"], row[judge])
    shared = sorted(set.intersection(*(set(of_one) for of_one in scores.values())))
    table = {name: np.array([of_one[item] for item in shared], dtype=float) for name, of_one in sorted(scores.items())}
    names, found = [], []
    for one, other in combinations(table, 2):
        worse_first = table[one][:, 0].mean() < table[other][:, 0].mean()
        champion, candidate = (other, one) if worse_first else (one, other)
        names.append((champion, candidate))
        found.append(table[candidate] - table[champion])
    both = np.array(found)
    return Differences(names=tuple(names), human=both[:, :, 0], judge=both[:, :, 1])


def judge_alone(judge: NDArray[np.float64]) -> Bounds:
    """Paired t on what the judge said of all cases."""
    return student(judge.mean(), judge.std(ddof=1) / math.sqrt(len(judge)), len(judge) - 1)


def corrected(judge: NDArray[np.float64], human: NDArray[np.float64], labelled: NDArray[np.bool_]) -> Bounds:
    """PPI++ as the gate has it."""
    at = judge[labelled], human[labelled], judge[~labelled]
    both = ppi_bounded(*at, alpha=ALPHA, floor=-1.0, ceiling=1.0)
    return Bounds(
        low=both.lower, high=both.upper, lower=ppi_bounded(*at, alpha=LOWER_ALPHA, floor=-1.0, ceiling=1.0).lower
    )


def labels_alone(human: NDArray[np.float64]) -> Bounds:
    """Without a judge."""
    counts = PairedCounts(better=int((human > 0).sum()), worse=int((human < 0).sum()), pairs=len(human))
    both = tango(counts, alpha=ALPHA)
    return Bounds(low=both.lower, high=both.upper, lower=tango(counts, alpha=LOWER_ALPHA).lower)


def survey(judge: NDArray[np.float64], human: NDArray[np.float64], labelled: NDArray[np.bool_]) -> Bounds:
    """The same estimate for these very cases: the variance of the residuals, times the share without a label."""
    n, cases = int(labelled.sum()), len(judge)
    weight = ppi_weight(judge[labelled], human[labelled], cases - n)
    estimate = weight * judge[~labelled].mean() + (human - weight * judge)[labelled].mean()
    # The weight is the regression's slope times the share without a label.
    residuals = (human - weight / (1.0 - n / cases) * judge)[labelled]
    return student(estimate, residuals.std(ddof=1) * math.sqrt((1.0 - n / cases) / n), n - 1)


def student(estimate: float, error: float, df: int) -> Bounds:
    """Student's t."""
    reach = special.stdtrit(df, 1.0 - ALPHA) * error
    return Bounds(
        low=estimate - reach, high=estimate + reach, lower=estimate - special.stdtrit(df, 1.0 - LOWER_ALPHA) * error
    )


def draws(
    cases: int, *, size: int, labelled: int, repeats: int, seed: int, anew: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Which questions, and which of them people look at."""
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        chosen = rng.integers(0, cases, size) if anew else np.arange(cases)
        mask = np.zeros(len(chosen), dtype=np.bool_)
        mask[rng.permutation(len(chosen))[:labelled]] = True
        yield chosen, mask


def held(truth: NDArray[np.float64], found: Iterable[list[Bounds]]) -> Held:
    """Count."""
    rows = list(found)
    low, high, lower = (
        np.array([[getattr(one, name) for one in row] for row in rows]) for name in ("low", "high", "lower")
    )
    return Held(
        two_sided=((low <= truth) & (truth <= high)).mean(axis=0),
        lower=(lower <= truth).mean(axis=0),
        reach=float((high - low).mean() / 2.0),
    )


def exhibit(
    data: Differences, *, labelled: int, repeats: int, seed: int, size: int | None = None, anew: bool = True
) -> dict[str, Held]:
    """How often each interval holds people's difference.

    Args:
        data: The pairs.
        labelled: Questions with labels.
        repeats: Repetitions.
        seed: Of everything that is drawn.
        size: Questions per repetition, None for as many as there are.
        anew: Draw the questions too, with replacement; else only the labels.
    """
    truth = data.human.mean(axis=1)
    results: dict[str, list[list[Bounds]]] = {"judge alone": [], "PPI++": [], "labels alone": [], "survey": []}
    cases = data.human.shape[1]
    for chosen, mask in draws(cases, size=size or cases, labelled=labelled, repeats=repeats, seed=seed, anew=anew):
        pairs = list(zip(data.judge[:, chosen], data.human[:, chosen], strict=True))
        results["judge alone"].append([judge_alone(judge) for judge, _ in pairs])
        results["PPI++"].append([corrected(judge, human, mask) for judge, human in pairs])
        results["labels alone"].append([labels_alone(human[mask]) for _, human in pairs])
        if not anew:
            results["survey"].append([survey(judge, human, mask) for judge, human in pairs])
    return {name: held(truth, rows) for name, rows in results.items() if rows}


def line(label: str, found: Held) -> str:
    """A row of a table."""
    return (
        f"{label:<34}{found.two_sided.mean():>8.1%}{found.two_sided.min():>8.1%}"
        f"{found.lower.mean():>8.1%}{found.lower.min():>8.1%}{100 * found.reach:>9.2f}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help=f"folder with {FILE}")
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--labelled", type=int, nargs="+", default=[50, 100, 150])
    parser.add_argument("--seed", type=int, default=20241)
    given = parser.parse_args()
    path = given.folder / FILE
    if not path.is_file():
        parser.error(f"{path}: no such file; name the folder that holds {FILE}")
    heading = f"{'':<34}{'95 %':>8}{'worst':>8}{'lower':>8}{'worst':>8}{'± pp':>9}"
    for judge in JUDGES:
        data = read_differences(path, judge)
        biases = 100 * (data.judge - data.human).mean(axis=1)
        worst = int(np.argmax(np.abs(biases)))
        print(f"\n{judge}: {len(data.names)} pairs, {data.human.shape[1]} questions; bias of a difference up to")
        print(
            f"{biases[worst]:+.1f} pp ({' → '.join(data.names[worst])}: people {100 * data.human[worst].mean():+.1f}, "
            f"judge {100 * data.judge[worst].mean():+.1f})"
        )
        for anew, title in ((True, "questions drawn anew"), (False, "the same questions, other labels")):
            print(f"\n{title}\n{heading}")
            for labelled in given.labelled:
                try:
                    found = exhibit(data, labelled=labelled, repeats=given.repeats, seed=given.seed, anew=anew)
                except UndefinedError as error:
                    print(f"{labelled} labels: {error.what}")
                    continue
                shown = ("PPI++", "labels alone") if anew else ("PPI++", "survey")
                if anew and labelled == given.labelled[0]:
                    print(line("judge alone", found["judge alone"]))
                for name in shown:
                    print(line(f"{name}, {labelled} labels", found[name]))


if __name__ == "__main__":
    main()
