"""What an unrelated pytest run pays for having llmgate installed.

Runs pytest on one trivial test with and without the plugin, in turn, and prints the difference of the medians and the
ratio. Figures of one run on one machine: compare the ratio, not the seconds.

    python benchmarks/plugin_startup.py --runs 30
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(folder: Path, *args: str) -> tuple[float, float]:
    """Wall time and CPU time of one pytest process."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_unrelated.py").write_text("def test_unrelated(): pass\n", encoding="utf-8")
        seconds(folder)
        pairs = [(seconds(folder, "-p", "no:llmgate"), seconds(folder)) for _ in range(runs)]
    for index, kind in enumerate(("wall", "CPU")):
        without = statistics.median(pair[0][index] for pair in pairs)
        with_plugin = statistics.median(pair[1][index] for pair in pairs)
        difference = statistics.median(pair[1][index] - pair[0][index] for pair in pairs)
        print(
            f"{kind}: without {without * 1e3:.0f} ms, with {with_plugin * 1e3:.0f} ms, "
            f"difference {difference * 1e3:.1f} ms (median of {runs} pairs), ratio {with_plugin / without:.3f}"
        )


if __name__ == "__main__":
    main()
