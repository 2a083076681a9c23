"""What an unrelated pytest run pays for having llmgate installed.

Runs pytest on one trivial test with and without the plugin, in random order, and prints the median of the differences
and the ratio. Other plugins of the environment are switched off where they can be: they only add noise.

    python benchmarks/plugin_startup.py --runs 30
"""

from __future__ import annotations

import argparse
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OTHERS = ("cacheprovider", "anyio", "hypothesispytest", "xdist", "xdist.looponfail")


def seconds(folder: Path, *args: str) -> tuple[float, float]:
    """Wall time and CPU time of one pytest process."""
    others = [word for name in OTHERS for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", *others, *args]
    # Compiled modules are kept, as they are wherever pytest runs more than once.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pair(folder: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """One run without and one with the plugin, in random order."""
    if secrets.randbelow(2):
        without = seconds(folder, "-p", "no:llmgate")
        return without, seconds(folder)
    with_plugin = seconds(folder)
    return seconds(folder, "-p", "no:llmgate"), with_plugin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_unrelated.py").write_text("def test_unrelated(): pass\n", encoding="utf-8")
        pairs = [pair(folder) for _ in range(runs + 1)][1:]
    for index, kind in enumerate(("wall", "CPU")):
        without = statistics.median(one[0][index] for one in pairs)
        with_plugin = statistics.median(one[1][index] for one in pairs)
        difference = statistics.median(one[1][index] - one[0][index] for one in pairs)
        print(
            f"{kind}: without {without * 1e3:.0f} ms, with {with_plugin * 1e3:.0f} ms, "
            f"difference {difference * 1e3:.1f} ms (median of {runs} pairs), ratio {with_plugin / without:.3f}"
        )


if __name__ == "__main__":
    main()
