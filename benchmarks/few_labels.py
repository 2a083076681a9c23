"""How many labels a corrected comparison needs: coverage and width of bounds with 30 to 300 labels.

    python benchmarks/few_labels.py DIR [--repeats 2000]

DIR holds openqa-nq301.jsonl (see openqa.py). Real pairs: the 45 pairs of ten question-answering systems with a judge's
scores; questions are drawn with replacement from the shared ones, and people's word on a part of them is known. Made
up: skewed, tied and rare differences, and judges that turn some of them around. Everything is drawn as counts of
the nine possible (people, judge) differences, so that 100,000 comparisons take seconds.

- labels t: Student's t on the labels alone.
- labels Tango: the score interval of the labels alone, as without a judge.
- PPI++ t: the textbook's (`stats.corrected.ppi_mean`).
- PPI++ unseen: the same, never narrower than what n residuals cannot exclude: the gate's rule up to 0.5.
- PPI++ score: `stats.corrected.ppi_bounded`, the gate's rule.

"lower" and "upper" are shares of one-sided 95 % bounds that hold, on average over the pairs, and of the pair with the
least; "±" is the mean distance of a bound from its estimate in points.

Measured with 2,000 repetitions (standard error of a single pair 0.5 points), judge_gpt4, 297 questions, and 1,000 where
300 have labels; in brackets the pair with the least:

      30 labels t      lower  93.5% (87.2%)  upper  95.9% (93.6%)  ±13.40
      30 labels Tango  lower  95.5% (93.8%)  upper  94.7% (91.6%)  ±14.27
      30 PPI++ t       lower  92.9% (85.7%)  upper  95.3% (91.3%)  ±10.10
      30 PPI++ unseen  lower  98.5% (96.1%)  upper  98.9% (96.9%)  ±15.34
      30 PPI++ score   lower  95.5% (93.7%)  upper  96.0% (94.0%)  ±12.76
      50 labels t      lower  94.3% (92.0%)  upper  95.5% (93.6%)  ±10.34
      50 labels Tango  lower  95.1% (94.0%)  upper  94.5% (92.0%)  ±10.78
      50 PPI++ t       lower  94.2% (91.0%)  upper  95.1% (92.8%)  ± 8.17
      50 PPI++ unseen  lower  97.0% (94.4%)  upper  97.3% (94.2%)  ± 9.78
      50 PPI++ score   lower  95.2% (94.1%)  upper  95.3% (93.7%)  ± 9.28
      75 labels t      lower  94.4% (92.5%)  upper  95.3% (94.0%)  ± 8.42
      75 labels Tango  lower  95.0% (93.8%)  upper  94.5% (92.7%)  ± 8.68
      75 PPI++ t       lower  94.4% (92.2%)  upper  95.1% (93.2%)  ± 6.91
      75 PPI++ unseen  lower  95.6% (93.7%)  upper  96.1% (94.1%)  ± 7.30
      75 PPI++ score   lower  94.9% (93.7%)  upper  94.9% (93.7%)  ± 7.42
     100 labels t      lower  94.6% (92.5%)  upper  95.4% (94.2%)  ± 7.28
     100 labels Tango  lower  95.0% (93.8%)  upper  94.9% (92.8%)  ± 7.46
     100 PPI++ t       lower  94.6% (92.8%)  upper  95.1% (93.5%)  ± 6.16
     100 PPI++ unseen  lower  95.1% (93.7%)  upper  95.4% (93.9%)  ± 6.23
     100 PPI++ score   lower  95.0% (93.6%)  upper  94.9% (94.0%)  ± 6.44
     150 labels t      lower  94.6% (92.8%)  upper  95.2% (94.0%)  ± 5.94
     150 labels Tango  lower  95.1% (94.0%)  upper  94.9% (93.6%)  ± 6.04
     150 PPI++ t       lower  94.7% (93.0%)  upper  95.2% (94.2%)  ± 5.28
     150 PPI++ unseen  lower  94.7% (93.0%)  upper  95.2% (94.2%)  ± 5.28
     150 PPI++ score   lower  95.0% (93.2%)  upper  94.9% (94.0%)  ± 5.41
     300 labels t      lower  94.8% (93.6%)  upper  95.0% (93.8%)  ± 4.19
     300 labels Tango  lower  95.0% (94.2%)  upper  94.8% (93.4%)  ± 4.23
     300 PPI++ t       lower  94.8% (93.5%)  upper  94.9% (94.0%)  ± 3.52
     300 PPI++ unseen  lower  94.8% (93.5%)  upper  94.9% (94.0%)  ± 3.52
     300 PPI++ score   lower  94.9% (94.2%)  upper  94.9% (93.5%)  ± 3.58
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from openqa import FILE, read_differences
from scipy import special

from llmgate.record.labels import ALIKE, share_out
from llmgate.stats.corrected import ppi_bounded, ppi_mean
from llmgate.stats.labelled.residual import score_statistics
from llmgate.stats.labelled.stratified import LabelledPart, stratified_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Array = NDArray[np.float64]

PEOPLE: Final = np.repeat([-1.0, 0.0, 1.0], 3)
JUDGE: Final = np.tile([-1.0, 0.0, 1.0], 3)
ALPHA: Final = 0.05
REVERSED: Final = (2, 6)
"""The cells in which people and judge say the opposite."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Draws of labelled and other cases as counts, and what follows from them.

    Attributes:
        labelled: Shape (…, 9).
        others: Shape (…, 3): by the judge's difference.
    """

    labelled: Array
    others: Array

    def mirrored(self) -> Drawn:
        """Candidate and champion change places."""
        return Drawn(labelled=self.labelled[..., ::-1], others=self.others[..., ::-1])

    @property
    def n(self) -> Array:
        """Labels."""
        total: Array = self.labelled.sum(axis=-1)
        return total

    def weight(self, reversals: float) -> Array:
        """λ, as if so many cases of each reversal had been labelled besides."""
        counts = self.labelled.copy()
        counts[..., REVERSED] += reversals
        total = counts.sum(axis=-1)
        people, judge = (counts @ PEOPLE) / total, (counts @ JUDGE) / total
        covariance = (counts @ (PEOPLE * JUDGE)) / total - people * judge
        variance = (counts @ (JUDGE**2)) / total - judge**2
        slope = np.where(variance > 1e-12, covariance / np.maximum(variance, 1e-12), 0.0)
        weight: Array = np.clip(slope / (1.0 + self.n / self.others.sum(axis=-1)), 0.0, 1.0)
        return weight


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """An estimate in parts: residuals of the labelled cases, and the judge's mean of the others.

    Attributes:
        counts: Shape (…, 9).
        values: Shape (…, 9): Y − λf.
        shift: Shape (…).
        variance: Shape (…): of the shift.
        lowest: Shape (…): the least possible residual.
    """

    counts: Array
    values: Array
    shift: Array
    variance: Array
    lowest: Array

    @property
    def mean(self) -> Array:
        """Of the residuals."""
        found: Array = (self.counts * self.values).sum(axis=-1) / self.counts.sum(axis=-1)
        return found


def parts_of(drawn: Drawn, *, reversals: float | None) -> Parts:
    """With λ as `Drawn.weight` has it; None for 0."""
    weight = np.zeros(drawn.n.shape) if reversals is None else drawn.weight(reversals)
    total = drawn.others.sum(axis=-1)
    scale = np.array([-1.0, 0.0, 1.0])
    mean = (drawn.others @ scale) / total
    variance = ((drawn.others @ scale**2) / total - mean**2) * total / (total - 1)
    return Parts(
        counts=drawn.labelled,
        values=PEOPLE - weight[..., None] * JUDGE,
        shift=weight * mean,
        variance=weight**2 * variance / total,
        lowest=-1.0 - weight,
    )


def t_lower(parts: Parts) -> Array:
    """Student's lower bound."""
    n = parts.counts.sum(axis=-1)
    mean = parts.mean
    spread = (parts.counts * (parts.values - mean[..., None]) ** 2).sum(axis=-1) / (n - 1)
    reach = special.stdtrit(n - 1, 1.0 - ALPHA) * np.sqrt(spread / n + parts.variance)
    found: Array = mean + parts.shift - reach
    return found


def unseen_lower(parts: Parts) -> Array:
    """The same, as if a share of the cases had the least possible residual and had stayed unseen."""
    share = 1.0 - ALPHA ** (1.0 / parts.counts.sum(axis=-1))
    found: Array = np.minimum(t_lower(parts), parts.shift + (1.0 - share) * parts.mean + share * parts.lowest)
    return found


def score_lower(parts: Parts) -> Array:
    """The score bound, to 1e-5."""
    z = special.ndtri(1.0 - ALPHA)
    low, high = parts.lowest.copy(), parts.mean
    for _ in range(18):
        middle = (low + high) / 2.0
        found = score_statistics(parts.counts, parts.values, middle, lowest=parts.lowest, variance=parts.variance)
        low, high = np.where(found > z, middle, low), np.where(found > z, high, middle)
    return low + parts.shift


RULES: Final[Mapping[str, tuple[float | None, Callable[[Parts], Array]]]] = {
    "labels t": (None, t_lower),
    "labels Tango": (None, score_lower),
    "PPI++ t": (0.0, t_lower),
    "PPI++ unseen": (0.0, unseen_lower),
    "PPI++ score": (1.0, score_lower),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """Shares of bounds that hold, and their mean distance from the estimate, by design: shape (designs,)."""

    lower: Array
    upper: Array
    reach: Array


def measure(
    cells: Array, *, labels: int, others: int, repeats: int, seed: int, rules: Mapping[str, object] = RULES
) -> dict[str, Held]:
    """How often bounds hold.

    Args:
        cells: Shape (designs, 9): chances of the nine differences.
        labels: n.
        others: N.
        repeats: Draws of each design.
        seed: Of all of them.
        rules: Names in `RULES`.
    """
    rng = np.random.default_rng(seed)
    by_judge = np.stack([cells[:, value == JUDGE].sum(axis=1) for value in (-1.0, 0.0, 1.0)], axis=1)
    shape = (len(cells), repeats)
    drawn = Drawn(labelled=counts(cells, labels, repeats, rng), others=counts(by_judge, others, repeats, rng))
    truth = np.broadcast_to((cells @ PEOPLE)[:, None], shape)
    found = {}
    for name in rules:
        reversals, bound = RULES[name]
        sides = []
        for one, target in ((drawn, truth), (drawn.mirrored(), -truth)):
            parts = parts_of(one, reversals=reversals)
            lower = bound(parts)
            sides.append(((lower <= target + 1e-5).mean(axis=1), (parts.mean + parts.shift - lower).mean(axis=1)))
        (lower_held, below), (upper_held, above) = sides
        found[name] = Held(lower=lower_held, upper=upper_held, reach=(below + above) / 2.0)
    return found


def counts(chances: Array, size: int, repeats: int, rng: np.random.Generator) -> Array:
    """Draws of each design, shape (designs, repeats, kinds)."""
    drawn = [rng.multinomial(size, one / one.sum(), size=repeats) for one in chances]
    return np.stack(drawn).astype(np.float64)


def real_cells(path: Path, judge: str) -> Array:
    """The 45 real pairs as chances of the nine differences."""
    data = read_differences(path, judge)
    return np.stack(
        [
            [float(np.mean((people == y) & (said == f))) for y, f in zip(PEOPLE, JUDGE, strict=True)]
            for people, said in zip(data.human, data.judge, strict=True)
        ]
    )


def made_up(*, gains: float, losses: float, agree: float, reversed_: float = 0.0) -> Array:
    """Differences of people at two rates; the judge says the same with chance `agree`, else ±1 in 5 % each."""
    people = np.array([losses, 1.0 - gains - losses, gains])
    own = np.array([0.05, 0.9, 0.05])
    cells = np.array([people[i] * (agree * (i == k) + (1.0 - agree) * own[k]) for i in range(3) for k in range(3)])
    cells *= 1.0 - reversed_
    cells[REVERSED[0]] += reversed_
    return cells


DESIGNS: Final[Mapping[str, Mapping[str, float]]] = {
    "5 % lost, none gained": {"gains": 0.0, "losses": 0.05, "agree": 0.8},
    "3 % gained, none lost": {"gains": 0.03, "losses": 0.0, "agree": 0.8},
    "1 % each": {"gains": 0.01, "losses": 0.0101, "agree": 0.8},
    "5 % lost, 2 % gained": {"gains": 0.02, "losses": 0.05, "agree": 0.5},
    "10 % lost, 5 % gained": {"gains": 0.05, "losses": 0.1, "agree": 0.8},
    "15 % each, a poor judge": {"gains": 0.15, "losses": 0.15, "agree": 0.5},
    "10 % each, near perfect": {"gains": 0.1, "losses": 0.1, "agree": 0.95},
    "1 % turned around": {"gains": 0.06, "losses": 0.06, "agree": 1.0, "reversed_": 0.01},
    "2.5 % turned around": {"gains": 0.06, "losses": 0.06, "agree": 1.0, "reversed_": 0.025},
    "5 % turned around": {"gains": 0.06, "losses": 0.06, "agree": 1.0, "reversed_": 0.05},
}


def strata(cells: Array, *, labels: int, cases: int) -> tuple[float, float, float]:
    """Labels that simple draws need for each that draws by the judge's difference need, as a ratio of variances.

    Returns:
        Proportional; twice as many of the cases on which the sides' scores differ; the best allocation there is,
        n_h ∝ W_h·S_h, which nobody knows beforehand.
    """
    gains = []
    for chances in cells:
        kinds = [value == JUDGE for value in (-1.0, 0.0, 1.0)]
        share = np.array([chances[kind].sum() for kind in kinds])
        mean = np.array([chances[kind] @ PEOPLE[kind] for kind in kinds])
        square = np.array([chances[kind] @ PEOPLE[kind] ** 2 for kind in kinds])
        within = square / np.maximum(share, 1e-12) - (mean / np.maximum(share, 1e-12)) ** 2
        whole = float(chances @ PEOPLE**2 - (chances @ PEOPLE) ** 2)
        judged = float(chances @ JUDGE**2 - (chances @ JUDGE) ** 2)
        both = float(chances @ (PEOPLE * JUDGE) - (chances @ PEOPLE) * (chances @ JUDGE))
        weight = min(1.0, max(0.0, both / judged))
        base, free = whole / cases, 1.0 / labels - 1.0 / cases
        simple = base + free * (whole - 2.0 * weight * both + weight**2 * judged)
        found = []
        for wanted in (share, share * np.array([2.0, 1.0, 2.0]), share * np.sqrt(np.maximum(within, 0.05))):
            drawn = np.minimum(wanted / wanted.sum() * labels, share * cases)
            drawn[1] += labels - drawn.sum()
            terms = share**2 * (1.0 / np.maximum(drawn, 1e-9) - 1.0 / np.maximum(share * cases, 1e-9)) * within
            found.append(simple / (base + float(terms[share > 0.0].sum())))
        gains.append(found)
    proportional, twice, best = np.mean(gains, axis=0)
    return float(proportional), float(twice), float(best)


def clusters(sizes: Sequence[int], *, repeats: int, seed: int) -> dict[str, tuple[float, float]]:
    """How often bounds of a lost margin of 5 points err, with 200 labels: lower and upper, of CR1 and of the rule."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    wrong = {"CR1": [0, 0], "rule": [0, 0]}
    for _ in range(repeats):
        tilt = rng.normal(-0.05, 0.1, len(sizes))[codes] / 2.0
        lot = rng.random(len(codes))
        up, down = np.clip(0.1 + tilt, 0.0, 1.0), np.clip(0.1 - tilt, 0.0, 1.0)
        people = np.where(lot < up, 1.0, np.where(lot < up + down, -1.0, 0.0))
        judge = np.where(rng.random(len(codes)) < 0.8, people, 0.0)
        known = np.zeros(len(codes), dtype=np.bool_)
        known[rng.permutation(len(codes))[:200]] = True
        at = judge[known], people[known], judge[~known]
        keys = codes[known].tolist(), codes[~known].tolist()
        plain = ppi_mean(*at, alpha=ALPHA, clusters_labelled=keys[0], clusters_unlabelled=keys[1])
        rule = ppi_bounded(
            *at, alpha=ALPHA, floor=-1.0, ceiling=1.0, clusters_labelled=keys[0], clusters_unlabelled=keys[1]
        )
        for name, found in (("CR1", plain), ("rule", rule)):
            wrong[name][0] += found.lower > -0.05
            wrong[name][1] += found.upper < -0.05
    return {name: (below / repeats, above / repeats) for name, (below, above) in wrong.items()}


PARTS: Final = {"worse": -1.0, ALIKE: 0.0, "better": 1.0}
UNEQUAL: Final = {
    "40 of 20": (20,) * 40,
    "one of 41 has half": (400, *(10,) * 40),
    "3 of 100, 200 of 2": (*(100,) * 3, *(2,) * 200),
}


def show_stratified(path: Path, judge: str, sizes: Sequence[int], *, repeats: int, seed: int) -> None:
    """Labels drawn by the judge's difference, as `llmgate labels sample --stratify` does, beside simple ones."""
    data = read_differences(path, judge)
    rng = np.random.default_rng(seed)
    for labels in sizes:
        held: dict[str, list[tuple[bool, bool, float]]] = {"simple": [], "stratified": []}
        for people, said in zip(data.human, data.judge, strict=True):
            truth = float(people.mean())
            for _ in range(repeats):
                chosen = rng.integers(0, len(people), len(people))
                y, f = people[chosen], said[chosen]
                known = rng.permutation(len(y))[:labels]
                rest = np.setdiff1d(np.arange(len(y)), known)
                one = ppi_bounded(f[known], y[known], f[rest], alpha=ALPHA, floor=-1.0, ceiling=1.0)
                kinds = {part: np.flatnonzero(f == value) for part, value in PARTS.items() if np.any(f == value)}
                drawn = share_out({part: len(cases) for part, cases in kinds.items()}, labels)
                parts = [
                    LabelledPart(values=y[rng.permutation(cases)[: drawn[part]]], size=len(cases))
                    for part, cases in kinds.items()
                ]
                other = stratified_bounds(parts, alpha=ALPHA, floor=-1.0, ceiling=1.0)
                for name, found in (("simple", one), ("stratified", other)):
                    held[name].append((found.lower <= truth, found.upper >= truth, (found.upper - found.lower) / 2.0))
        for name, rows in held.items():
            below, above, reach = np.mean(np.array(rows, dtype=np.float64), axis=0)
            print(f"{judge} {labels:4d} {name:<11} lower {below:6.1%}  upper {above:6.1%}  ±{100 * reach:5.2f}")


def show_strata(path: Path, judges: Sequence[str]) -> None:
    """What draws by the judge's difference would save."""
    for judge in judges:
        for labels in (50, 100, 150):
            gains = strata(real_cells(path, judge), labels=labels, cases=1000)
            shown = "  ".join(f"{gain:.3f}" for gain in gains)
            print(f"{judge:<18}{labels:4d} labels of 1,000: proportional, twice, best {shown}")


def show_clusters(repeats: int) -> None:
    """Corrected bounds of clusters."""
    for name, sizes in UNEQUAL.items():
        found = clusters(sizes, repeats=repeats, seed=2)
        print(name, {rule: f"{below:.1%} {above:.1%}" for rule, (below, above) in found.items()})


def show_real(path: Path, judge: str, sizes: Sequence[int], *, repeats: int, seed: int) -> None:
    """Real pairs."""
    cells = real_cells(path, judge)
    print(f"\n{judge}, {len(cells)} pairs, 297 questions (1,000 where 300 have labels)")
    for labels in sizes:
        others = 297 - labels if labels < 250 else 1000 - labels
        for name, held in measure(cells, labels=labels, others=others, repeats=repeats, seed=seed).items():
            print(
                f"{labels:4d} {name:<13} lower {held.lower.mean():6.1%} ({held.lower.min():.1%})"
                f"  upper {held.upper.mean():6.1%} ({held.upper.min():.1%})  ±{100 * held.reach.mean():5.2f}"
            )


def show_made_up(sizes: Sequence[int], *, repeats: int, seed: int) -> None:
    """Skewed, tied and rare differences."""
    print("\nmade up, 700 other cases: lower, upper of " + ", ".join(RULES))
    cells = np.stack([made_up(**design) for design in DESIGNS.values()])
    for labels in sizes:
        found = measure(cells, labels=labels, others=700, repeats=repeats, seed=seed)
        for i, design in enumerate(DESIGNS):
            shown = "  ".join(f"{100 * held.lower[i]:5.1f} {100 * held.upper[i]:5.1f}" for held in found.values())
            print(f"{labels:4d} {design:<24} {shown}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help=f"folder with {FILE}")
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--labels", type=int, nargs="+", default=[30, 50, 75, 100, 150, 300])
    parser.add_argument("--judges", nargs="*", default=["judge_gpt4", "judge_davinci003", "judge_bem"])
    parser.add_argument("--seed", type=int, default=20241)
    parser.add_argument("--strata", action="store_true", help="only what draws by the judge's difference would save")
    parser.add_argument("--clusters", action="store_true", help="only corrected bounds of clusters")
    parser.add_argument("--stratified", action="store_true", help="only labels drawn by the judge's difference")
    given = parser.parse_args()
    path = given.folder / FILE
    if not path.is_file():
        parser.error(f"{path}: no such file; name the folder that holds {FILE}")
    if given.strata:
        return show_strata(path, given.judges)
    if given.stratified:
        for judge in given.judges:
            show_stratified(path, judge, given.labels, repeats=min(40, given.repeats), seed=given.seed)
        return None
    if given.clusters:
        return show_clusters(min(400, given.repeats))
    for judge in given.judges:
        show_real(path, judge, given.labels, repeats=given.repeats, seed=given.seed)
    return show_made_up(given.labels, repeats=4 * given.repeats, seed=given.seed)


if __name__ == "__main__":
    main()
