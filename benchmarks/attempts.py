"""How often some attempt at the same candidate passes or fails, with each attempt on its own and by the gate's rule.

    python benchmarks/attempts.py [--repetitions 4000] [--seed 20261129] [--design N …]

Each design is a row of `llmgate.gate.calibration.attempts`: its models answer anew at each run (see
`attempt_models`). "Before" judges each attempt on its own at 5 %, as if there had been no other; "after" pools them at
bounds that spend 5 % over all of them, with a reserve of 10 %. Right-or-wrong scores of the first attempt take Tango's
interval, pooled ones the paired t or the bootstrap, so small suites are among the designs.
"""

from __future__ import annotations

import argparse
import time
from typing import Final

import numpy as np

from llmgate.gate.calibration.attempt_models import AttemptDesign, Scores
from llmgate.gate.calibration.attempt_rows import ATTEMPTS, AttemptRates
from llmgate.gate.calibration.attempt_verdicts import AttemptRule
from llmgate.gate.calibration.attempts import ATTEMPT_DESIGNS, simulate_attempts

SHOWN: Final = (1, 2, 3, 5, 10)
DESIGNS: Final = (
    *ATTEMPT_DESIGNS,
    AttemptDesign(scores=Scores.BINARY, pairs=688, discordance=0.075, champion_again=True),
    AttemptDesign(scores=Scores.BINARY, pairs=100, discordance=0.1),
    AttemptDesign(scores=Scores.BINARY, pairs=200, discordance=0.2),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Wrong verdicts over several attempts")
    parser.add_argument("--repetitions", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=20261129)
    parser.add_argument("--design", type=int, nargs="*", default=list(range(len(DESIGNS))))
    chosen = parser.parse_args()
    at = " / ".join(str(k) for k in SHOWN)
    print(f"{chosen.repetitions:,} candidates per truth; per cent after {at} attempts, before → after")
    for number in chosen.design:
        design = DESIGNS[number]
        began = time.process_time()
        margin = 0.03 if design.pairs >= 300 else 0.1 if design.pairs < 100 else 0.05
        row = simulate_attempts(
            design,
            rng=np.random.default_rng([chosen.seed, number]),
            repetitions=chosen.repetitions,
            rule=AttemptRule(margin=margin, alpha=0.05, reserve=0.1, attempts=ATTEMPTS),
        )
        print(f"{number}: {row.name}, margin {100 * margin:g} pp, r = {row.correlation:.2f}")
        for name, rates in (("before", row.alone), ("after", row.ledger)):
            print(f"  {name:7}{_told(rates)}")
        print(f"  {time.process_time() - began:.0f} s", flush=True)


def _told(rates: AttemptRates) -> str:
    columns = (
        ("some PASS at −m", rates.lost_passes),
        ("some FAIL at 0", rates.unchanged_fails),
        ("some PASS at 0", rates.unchanged_passes),
    )
    return " | ".join(f"{name} {' / '.join(f'{100 * found[k - 1]:.1f}' for k in SHOWN)}" for name, found in columns)


if __name__ == "__main__":
    main()
