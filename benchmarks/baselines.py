"""What a candidate that is the champion's equal meets after a promotion, by kind of baseline, before and now.

    python benchmarks/baselines.py --repetitions 20000

Prints, for a margin of 3 points: FAIL and PASS against the run that earned the promotion (what every gate did before),
against the best of five equal runs, against a stored run that nobody chose (and the 90th percentile of FAIL over such
runs, each met by many candidates), and against the champion asked again beside the candidate, which is what `llmgate
run` does now where the champion's weights are at hand. In brackets what the formulae of `stats.planning.selected` say,
which the gate prints beside a verdict.

Found with 20,000 repetitions, seed 1, FAIL / PASS in %:

| cases, changed | run that passed (before) | best of 5 | stored, one in ten | asked again (now) |
|---|---|---|---|---|
| 688, 7.5% | 5.9 / 85.6 (5.6 / 86.1) | 17.0 / 66.8 (16.4 / 65.6) | 5.2 / 87.3, 14.1 (14.6) | 5.3 / 87.3 (4.9 / 87.7) |
| 688, 22.5% | 8.5 / 33.6 (8.7 / 33.6) | 16.2 / 17.5 (16.5 / 16.8) | 4.8 / 49.8, 12.1 (14.7) | 4.9 / 50.8 (5.0 / 50.2) |
| 300, 10% | 9.4 / 30.5 (8.9 / 31.1) | 16.8 / 17.0 (16.6 / 15.4) | 5.1 / 47.7, 13.5 (14.7) | 5.4 / 47.5 (5.0 / 48.3) |
"""

from __future__ import annotations

import argparse

import numpy as np

from llmgate.gate.calibration.baselines import BASELINE_DESIGNS, BaselineKind, BaselineRow, simulate_baselines

HEADER = ("run that passed (before)", "best of 5", "stored, one in ten", "asked again (now)")
ORDER = (BaselineKind.SELECTED, BaselineKind.BEST, BaselineKind.STORED, BaselineKind.FRESH)


def cell(row: BaselineRow) -> str:
    """FAIL / PASS in per cent, and what is known of them."""
    found = f"{100 * row.fail_rate:.1f} / {100 * row.pass_rate:.1f}"
    if row.unlucky is not None and row.known_unlucky is not None:
        return f"{found}, {100 * row.unlucky:.1f} ({100 * row.known_unlucky:.1f})"
    return f"{found} ({100 * row.known_fail:.1f} / {100 * row.known_pass:.1f})"


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description="An unchanged model after a promotion, by kind of baseline.")
    parser.add_argument("--repetitions", type=int, default=20_000, help="promotions per design")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--margin", type=float, default=0.03)
    given = parser.parse_args()
    print(f"| cases, changed | {' | '.join(HEADER)} |")
    print("|---|---|---|---|---|")
    for design in BASELINE_DESIGNS:
        rng = np.random.default_rng(given.seed)
        rows = simulate_baselines(design, rng=rng, repetitions=given.repetitions, margin=given.margin, alpha=0.05)
        by_kind = {row.kind: row for row in rows}
        cells = " | ".join(cell(by_kind[kind]) for kind in ORDER)
        print(f"| {design.pairs}, {100 * design.discordance:.3g}% | {cells} |", flush=True)


if __name__ == "__main__":
    main()
