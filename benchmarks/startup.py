"""What a run costs besides its cases: processor time, wall time and peak memory of `llmgate run` and `pytest`.

Each command runs with few cases and with many against a server that answers after 20 ms (tests/support/fake_server.py);
the difference per case is what cases cost, what is left for none is start-up, plan, decision and report.

    python benchmarks/startup.py --runs 5
    python benchmarks/startup.py --runs 9 --than ../old        # another checkout, in turns with this one
    python benchmarks/startup.py --imports 25                  # what is imported, and how long that takes

With --than, a busy machine hits both alike, so believe the ratios, and absolute figures only on a quiet machine.
Processor time is user and system time of the process and of those that it started; the server's is not in it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from mock_server import mock_server

HERE = Path(__file__).resolve().parent.parent
ANSWER_MS = 20.0
TIMING = ("--ttft-ms", str(ANSWER_MS), "--itl-ms", "0")
IN_FLIGHT = 64
DOOR = "import sys; from llmgate.cli import main; sys.argv[0] = 'llmgate'; main()"
SUITE = """llmgate: 1
suite: startup-{cases}
version: 1.0.0
dataset: rows-{cases}.jsonl
prompt: "Say {{{{ word }}}}"
assert:
  - {{type: icontains, value: "{{{{ word }}}}"}}
  - {{type: word-count, value: {{min: 1, max: 9}}}}
gate:
  accuracy: {{min: 0.5}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took.

    Attributes:
        wall_s: From start to end.
        cpu_s: Processor time.
        peak_mb: Most resident memory, in 1,000,000 bytes.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(slots=True, kw_only=True)
class Costs:
    """Of one command in one checkout, with one number of cases."""

    all: list[Cost] = field(default_factory=list)

    def of(self, name: str) -> float:
        """The median of one of the figures."""
        values: list[float] = [getattr(cost, name) for cost in self.all]
        return median(values)


def command_of(door: str, suite: Path, url: str, out: Path) -> list[str]:
    """How a door is called, to record a baseline."""
    options = {"endpoint": f"{url}/v1", "concurrency": str(IN_FLIGHT), "out": str(out)}
    if door == "pytest":
        given = [word for name, value in options.items() for word in (f"--llmgate-{name}", value)]
        quiet = ["-q", "-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", *quiet, str(suite), "--llmgate-as-baseline", *given]
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-c", DOOR, "run", str(suite), "--as-baseline", *given]


def environment(checkout: Path) -> dict[str, str]:
    """The environment in which a checkout is what is imported; compiled modules are kept, as they are in use."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONDONTWRITEBYTECODE", "CI"}}
    return {**kept, "PYTHONPATH": str(checkout), "LLMGATE_API_KEY": "none"}


def cost_of(command: list[str], checkout: Path, folder: Path, *, log: Path) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: If it fails, with the end of what it said.
    """
    with log.open("wb") as said:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=environment(checkout), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{log.read_text('utf-8')[-3000:]}")
    return Cost(wall_s=wall_s, cpu_s=used.ru_utime + used.ru_stime, peak_mb=used.ru_maxrss * 1024 / 1e6)


def project(folder: Path, sizes: list[int]) -> None:
    """A suite for each number of cases, its rows locked."""
    for cases in sizes:
        rows = "".join(f'{{"id": "r{number:06d}", "word": "word{number}"}}\n' for number in range(cases))
        (folder / f"rows-{cases}.jsonl").write_text(rows, encoding="utf-8")
        (folder / f"suite-{cases}.yaml").write_text(SUITE.format(cases=cases), encoding="utf-8")
        command = [sys.executable, "-c", DOOR, "lock", f"rows-{cases}.jsonl"]
        subprocess.run(command, cwd=folder, env=environment(HERE), check=True, stdout=subprocess.DEVNULL)


def measured(checkouts: dict[str, Path], sizes: list[int], runs: int) -> dict[tuple[str, str, int], Costs]:
    """All commands in all checkouts, in turns and in random order; one run of each first, which is not counted."""
    costs: dict[tuple[str, str, int], Costs] = {}
    with tempfile.TemporaryDirectory() as name, mock_server(*TIMING, env=environment(HERE)) as (url, _):
        folder = Path(name)
        project(folder, sizes)
        for number in range(runs + 1):
            turns = [(label, door, cases) for door in ("run", "pytest") for cases in sizes for label in checkouts]
            secrets.SystemRandom().shuffle(turns)
            for label, door, cases in turns:
                out = folder / "out"
                command = command_of(door, folder / f"suite-{cases}.yaml", url, out)
                cost = cost_of(command, checkouts[label], folder, log=folder / "log.txt")
                shutil.rmtree(out)
                if number:
                    costs.setdefault((label, door, cases), Costs()).all.append(cost)
    return costs


def report(costs: dict[tuple[str, str, int], Costs], sizes: list[int]) -> None:
    """Print medians, and what each further case costs."""
    few, many = sizes
    labels = list(dict.fromkeys(label for label, _, _ in costs))
    width = max(map(len, labels))
    for door in ("run", "pytest"):
        for cases in sizes:
            for label in labels:
                one = costs[label, door, cases]
                ratio = one.of("cpu_s") / costs[labels[0], door, cases].of("cpu_s")
                print(
                    f"{door:6} {cases:6} cases  {label:{width}}  wall {one.of('wall_s'):5.2f} s  "
                    f"CPU {one.of('cpu_s'):5.2f} s  peak {one.of('peak_mb'):4.0f} MB  CPU ratio {ratio:.2f}"
                )
        for label in labels:
            each = (costs[label, door, many].of("cpu_s") - costs[label, door, few].of("cpu_s")) / (many - few)
            none = costs[label, door, few].of("cpu_s") - few * each
            print(f"{door:6}         {label:{width}}  {each * 1e3:.2f} ms CPU per further case, {none:.2f} s for none")


def imports(checkout: Path, most: int) -> None:
    """Print what `llmgate run` imports with ten cases, by package, and how long that takes."""
    with tempfile.TemporaryDirectory() as name, mock_server(*TIMING, env=environment(HERE)) as (url, _):
        folder, log = Path(name), Path(name) / "log.txt"
        project(folder, [10])
        command = command_of("run", folder / "suite-10.yaml", url, folder / "out")
        cost_of(command, checkout, folder, log=log)
        shutil.rmtree(folder / "out")
        cost_of([command[0], "-X", "importtime", *command[1:]], checkout, folder, log=log)
        lines = [
            line for line in log.read_text("utf-8").splitlines() if line.startswith("import time:") and "|" in line
        ]
    own_us: dict[str, int] = {}
    counts: dict[str, int] = {}
    whole_us: list[tuple[int, str]] = []
    for line in lines[1:]:
        own, whole, module = (part.strip() for part in line.removeprefix("import time:").split("|"))
        package = ".".join(module.split(".")[: 2 if module.startswith("llmgate") else 1])
        own_us[package] = own_us.get(package, 0) + int(own)
        counts[package] = counts.get(package, 0) + 1
        whole_us.append((int(whole), module))
    print(f"{len(whole_us)} modules, {sum(own_us.values()) / 1e3:.0f} ms, {counts_of(counts, 'llmgate')} of llmgate")
    print("\nby package, its own modules alone:")
    for package in sorted(own_us, key=lambda one: -own_us[one])[:most]:
        print(f"{own_us[package] / 1e3:8.1f} ms {counts[package]:5} modules  {package}")
    print("\nby module, with all that it imported first:")
    for taken, module in sorted(whole_us, reverse=True)[:most]:
        print(f"{taken / 1e3:8.1f} ms  {module}")


def counts_of(counts: dict[str, int], package: str) -> int:
    """How many modules of a package there are."""
    return sum(count for name, count in counts.items() if name.split(".")[0] == package)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cases", type=int, nargs=2, default=[10, 1000], metavar=("FEW", "MANY"))
    parser.add_argument("--than", type=Path, help="another checkout to compare with")
    parser.add_argument("--imports", type=int, metavar="N", help="print the N most expensive imports instead")
    given = parser.parse_args()
    if given.imports:
        imports(given.than.resolve() if given.than else HERE, given.imports)
        return
    checkouts = {"here": HERE} if given.than is None else {"than": given.than.resolve(), "here": HERE}
    report(measured(checkouts, given.cases, given.runs), given.cases)


if __name__ == "__main__":
    main()
