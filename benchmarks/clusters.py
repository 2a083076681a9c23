"""Unequal and skewed clusters: how often the gate errs, rule by rule, old figures beside new ones.

    python benchmarks/clusters.py [--repetitions 20000] [--data DIR] [--seed 1]

The designs are those of `llmgate calibrate` (right-or-wrong scores, clusters with means of their own around the truth,
sd 10 points where nothing else is said, margin 5 points) and some more. Of each: how often an unchanged model FAILs and
a lost margin passes, by

- CR1: cluster-robust t with G − 1 degrees of freedom, which was the rule from 30 clusters on;
- subsets, Hall: the other two parts of the rule, each alone;
- llmgate: the outermost of the three, widened for what stayed unseen, by the gate's own vectorised verdicts.

"Before" is what was measured of the old rule through the tool's own functions when the issue was filed. Power is
PASS of an unchanged model, divided by CR1's. With DIR, a folder that holds livebench.jsonl.gz, the same is asked of
pairs of real systems: the margin is the true loss, and whole tasks are drawn with replacement, 1,000 times per pair.

Figures of 29 November 2026, 20,000 repetitions (standard error 0.15 points at 5 %):

    FAIL at 0 and PASS at -m, %             before         CR1     subsets        Hall     llmgate   power / CR1
    40 of 10                             4.6   4.5   5.0   5.2   4.2   4.7   5.1   5.2   4.2   4.5   0.96
    41, one holds half                  17.5  19.1  19.7  20.6   4.1   4.7  27.0  27.9   3.6   4.2   0.69
    41, one holds half, 5 looks         17.0  17.0                                       3.8   4.3
    3 of 60 and 100 of 1                10.5  11.1  10.8  10.9   3.4   5.1  13.0  13.0   3.2   4.6   0.70
    31, geometric                        8.5   7.9   7.1   6.9   4.4   4.9   8.0   7.8   4.2   4.6   0.85
    21, one holds half                   9.0   9.3  16.3  16.4   4.1   4.7  21.7  21.6   3.5   4.0   0.55
    2 of 150 and 30 of 5, sd 20                     16.9  17.5   3.8   4.7  21.4  22.1   3.6   4.4   0.57
    8 of 40, sd 20                                   5.0   4.9   4.2   4.0   4.7   4.9   3.6   3.4   0.77
    30 of 10, 10 % fail                              0.0  12.4   0.0  11.6   0.0   7.7   0.0   7.7
    40 of 10, 7 % fail                               0.0  12.4   0.0  12.3   0.0   6.6   0.0   6.6
    60 of 5, 6 % fail                                0.0  10.5   0.0  10.2   0.0   5.5   0.0   5.5
    20 of 25, 12 % fail                              0.0  12.9   0.0  12.9   0.0   8.2   0.0   8.2
    12 of 25, 20 % fail                              0.0  12.5   0.0  12.3   0.0   9.1   0.0   9.0
    12 of 25                                         5.1   5.2   4.0   5.0   5.0   5.2   3.7   4.5   0.90
    8 of 40                                          5.3   4.9   4.3   3.8   5.2   4.9   3.8   3.4   0.77
    100 of 4                                         5.2   5.1   4.1   4.9   5.3   5.0   4.1   4.7   0.98
    18 of a LiveBench                                5.3   5.2   4.4   4.7   5.5   5.5   4.1   4.2   0.91
    13 clusters, 20 families of subsets alone: 3.66 to 3.90 %
    18 clusters, 20 families of subsets alone: 3.66 to 3.97 %
    41 clusters, 20 families of subsets alone: 4.22 to 4.61 %
    478 real pairs that lose 2 to 10 points, 1,000 draws each:
      CR1      mean  6.5, worst 32.9, over 10 %: 8.6 %
      subsets  mean  6.1, worst 32.9, over 10 %: 6.9 %
      Hall     mean  5.6, worst 32.9, over 10 %: 4.0 %
      llmgate  mean  4.7, worst 30.7, over 10 %: 2.5 %
    1,478 real pairs that lose 1 to 30 points, 1,000 draws each:
      CR1      mean  6.4, worst 31.4, over 10 %: 6.4 %
      subsets  mean  6.1, worst 31.4, over 10 %: 6.0 %
      Hall     mean  5.3, worst 31.3, over 10 %: 3.0 %
      llmgate  mean  4.6, worst 28.3, over 10 %: 1.4 %
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.gate.calibration.clustered import CLUSTERED_DESIGNS, CLUSTERED_MARGIN, ClusteredDesign, _decide, _drawn
from llmgate.gate.calibration.clusters_together import ClusterTable, most_fit
from llmgate.gate.calibration.system_pairs import choose
from llmgate.gate.calibration.vectorised import decide_clusters
from llmgate.record.results.paired import load_paired

ALPHA = 0.05
BEFORE = {
    "40 of 10": (4.6, 4.5),
    "41, one holds half": (17.5, 19.1),
    "41, one holds half, 5 looks": (17.0, 17.0),
    "3 of 60 and 100 of 1": (10.5, 11.1),
    "31, geometric": (8.5, 7.9),
    "21, one holds half": (9.0, 9.3),
}
"""FAIL at 0 and PASS at −m, in %."""
MORE = (
    ClusteredDesign(name="12 of 25", sizes=(25,) * 12),
    ClusteredDesign(name="8 of 40", sizes=(40,) * 8),
    ClusteredDesign(name="100 of 4", sizes=(4,) * 100),
    ClusteredDesign(
        name="18 of a LiveBench", sizes=(100, 100, 78, 78, 65, 60, 58, 50, 50, 50, 50, 50, 50, 50, 40, 36, 26, 10)
    ),
)
PARTS = ("CR1", "subsets", "Hall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Rates in per cent: FAIL at 0, PASS at −m, PASS at 0."""

    failed: float
    passed: float
    power: float

    def __str__(self) -> str:
        return f"{self.failed:5.1f} {self.passed:5.1f}"


Row = dict[str, NDArray[np.bool_]]


def above(sums: NDArray[np.float64], sizes: NDArray[np.float64], limit: float) -> Row:
    """Whether each part's lower bound lies above a limit: of data sets with equally many clusters, shape (R, G)."""
    n = sizes.sum(axis=1)
    mean = sums.sum(axis=1) / n
    e = sums - mean[:, None] * sizes
    g = sums.shape[1]
    squares = (e * e).sum(axis=1)
    se = np.sqrt(g / (g - 1) * squares) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = (e**3).sum(axis=1) / squares**1.5
        t0 = (mean - limit) / se
    hall = t0 + kappa * t0**2 / 3 + kappa**2 * t0**3 / 27 + kappa / 6
    t = special.stdtrit(g - 1, 1 - ALPHA)
    return {"CR1": t0 > t, "subsets": most_fit(sums - (limit + 1e-12) * sizes, alpha=ALPHA), "Hall": hall > t}


def errors_of(design: ClusteredDesign, rng: np.random.Generator, repetitions: int) -> dict[str, Errors]:
    """Of every part and of the rule."""
    null, lost = (_drawn(design, mean, rng, repetitions) for mean in (0.0, -CLUSTERED_MARGIN))
    sizes = np.broadcast_to(np.array(design.sizes, dtype=np.float64), null.shape)
    found = {}
    if design.looks == 1:
        fails, passes, power = (
            above(-null, sizes, 0.0), above(lost, sizes, -CLUSTERED_MARGIN), above(null, sizes, -CLUSTERED_MARGIN)
        )  # fmt: skip
        found = {
            part: Errors(
                failed=0.0 if design.frequency else 100 * float((fails[part] & ~power[part]).mean()),
                passed=100 * float(passes[part].mean()),
                power=100 * float(power[part].mean()),
            )
            for part in PARTS
        }
    unchanged, worse = _decide(design, null, rng, ALPHA), _decide(design, lost, rng, ALPHA)
    found["llmgate"] = Errors(
        failed=0.0 if design.frequency else 100 * float(unchanged.failed.mean()),
        passed=100 * float(worse.passed.mean()),
        power=100 * float(unchanged.passed.mean()),
    )
    return found


def table(repetitions: int, seed: int) -> None:
    """All designs."""
    header = " ".join(f"{name:>11}" for name in ("before", *PARTS, "llmgate"))
    print(f"{'FAIL at 0 and PASS at -m, %':34} {header}   power / CR1")
    for number, design in enumerate((*CLUSTERED_DESIGNS, *MORE)):
        found = errors_of(design, np.random.default_rng([seed, number]), repetitions)
        cells = [str(found[part]) if part in found else "" for part in (*PARTS, "llmgate")]
        before = "{:5.1f} {:5.1f}".format(*BEFORE[design.name]) if design.name in BEFORE else ""
        ratio = f"{found['llmgate'].power / found['CR1'].power:.2f}" if "CR1" in found and not design.frequency else ""
        print(f"{design.name:34} {' '.join(f'{cell:>11}' for cell in (before, *cells))}   {ratio}", flush=True)


def families(repetitions: int, seed: int) -> None:
    """The subsets of so many clusters are always the same: does one family err more than another?"""
    for groups in (13, 18, 41):
        design = replace(CLUSTERED_DESIGNS[1], sizes=(*(10,) * (groups - 1), 10 * (groups - 1)))
        null = _drawn(design, 0.0, np.random.default_rng([seed, groups]), repetitions)
        sizes = np.array(design.sizes, dtype=np.float64)
        rates = []
        for order in range(20):
            # Another order of the clusters is another family.
            at = np.random.default_rng([seed, order]).permutation(groups)
            rates.append(100 * float(most_fit(null[:, at] - 1e-12 * sizes[at], alpha=ALPHA).mean()))
        print(f"{groups} clusters, 20 families of subsets alone: {min(rates):.2f} to {max(rates):.2f} %")


def real(data: Path, seed: int, *, least: float, most: float, runs: int = 1_000) -> None:
    """Real losses at the margin, by part."""
    results = load_paired(data / "livebench.jsonl.gz")
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in choose(results, loss=0.0, most=10**6, rng=rng).pairs if least <= abs(pair.delta) <= most]
    rates: dict[str, list[float]] = {}
    for pair in pairs:
        differences = pair.second - pair.first if pair.delta < 0 else pair.first - pair.second
        sizes = np.bincount(pair.codes).astype(np.float64)
        sums = np.bincount(pair.codes, weights=differences).astype(np.float64)
        chosen = rng.integers(len(sizes), size=(runs, len(sizes)))
        for name, passed in above(sums[chosen], sizes[chosen], -abs(pair.delta)).items():
            rates.setdefault(name, []).append(float(passed.mean()))
        drawn = ClusterTable.of_rows(sums[chosen], sizes[chosen])
        found, _ = decide_clusters(drawn, margin=abs(pair.delta), alpha=ALPHA, only_pass=True)
        rates.setdefault("llmgate", []).append(float(found.passed.mean()))
    print(f"{len(pairs):,} real pairs that lose {100 * least:g} to {100 * most:g} points, {runs:,} draws each:")
    for name, found_rates in rates.items():
        values = 100 * np.array(found_rates)
        far = 100 * (values > 10).mean()
        print(f"  {name:8} mean {values.mean():4.1f}, worst {values.max():4.1f}, over 10 %: {far:.1f} %")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=20_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    table(arguments.repetitions, arguments.seed)
    families(arguments.repetitions, arguments.seed)
    if arguments.data is not None:
        real(arguments.data, arguments.seed, least=0.02, most=0.1)
        real(arguments.data, arguments.seed, least=0.01, most=0.3)


if __name__ == "__main__":
    main()
