"""Several candidates, one champion: how often a bad one passes, each alone and by the two ways of `llmgate round`.

    python benchmarks/rounds.py --repetitions 8000 --seed 1

All candidates are worse by the margin (3 points), or some are; 688 or 200 cases, a champion that is right in 70 %.
Printed are the shares of rounds in which some bad candidate passes. Found with the numbers above:

| round | cases | discordance | each alone | together | final on new cases | final on the same cases |
|---|---|---|---|---|---|---|
| 2 candidates, all of them worse by the margin | 688 | 10 % | 9.5 | 5.1 | 4.9 | 8.6 |
| 5 candidates, all of them worse by the margin | 688 | 10 % | 19.7 | 4.8 | 5.3 | 16.3 |
| 10 candidates, all of them worse by the margin | 688 | 10 % | 31.7 | 4.4 | 4.9 | 22.3 |
| 20 candidates, all of them worse by the margin | 688 | 10 % | 47.1 | 4.2 | 5.0 | 30.8 |
| 5 candidates, all of them worse by the margin | 688 | 22.5 % | 18.9 | 4.9 | 4.9 | 14.0 |
| 10 candidates, all of them worse by the margin | 688 | 22.5 % | 29.3 | 4.9 | 4.8 | 19.1 |
| 20 candidates, all of them worse by the margin | 688 | 22.5 % | 43.6 | 5.0 | 5.3 | 26.6 |
| 5 candidates, 3 of them worse by the margin | 688 | 10 % | 12.6 | 4.5 | 0.1 | 0.9 |
| 5 candidates, all of them worse by the margin | 200 | 10 % | 20.4 | 4.2 | 5.4 | 15.8 |

Each alone is what was done before there were rounds; a final on the same cases is refused.
"""

from __future__ import annotations

import argparse
from itertools import groupby

import numpy as np

from llmgate.gate.calibration.rounds import ROUND_DESIGNS, RoundDesign, RoundRow, RoundRule, simulate_rounds

MARGIN, ALPHA = 0.03, 0.05
COLUMNS = (RoundRule.ALONE, RoundRule.TOGETHER, RoundRule.FINAL, RoundRule.SAME_CASES)
DESIGNS = (*ROUND_DESIGNS, RoundDesign(candidates=10, bad=10), RoundDesign(candidates=10, bad=10, discordance=0.225))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows = simulate_rounds(DESIGNS, rng=rng, repetitions=options.repetitions, margin=MARGIN, alpha=ALPHA)
    for _, of_design in groupby(rows, key=lambda row: (row.design, row.pairs, row.discordance)):
        by_rule: dict[RoundRule, RoundRow] = {row.rule: row for row in of_design}
        one = by_rule[RoundRule.TOGETHER]
        rates = " | ".join(f"{100 * by_rule[rule].bad_passes:.1f}" for rule in COLUMNS)
        print(f"| {one.design} | {one.pairs} | {100 * one.discordance:g} % | {rates} |", flush=True)


if __name__ == "__main__":
    main()
