"""How fast a model's weights are hashed, against `sha256sum` and `openssl dgst -sha256` on the same files.

    python benchmarks/weights.py [--sparse-gb 15] [--real-gb 2] [--rounds 3] [--folder DIR] [--json FILE]

Two folders of 8 files each: one of sparse files (reading them costs no disk), one of random bytes. Each program hashes
a folder in a process of its own; the programs take turns within a round, so that a busy neighbour hits all of them. The
speed per core is bytes by processor time of the process (user and system), starting of Python included; the medians of
all rounds are compared. The scale is the speed by the clock with two threads over that with one, in turn as well; on a
machine that others keep busy it says little. What others cannot blur is how many of our threads are busy or wait for a
core at a time, by the kernel's account (schedstat): 2.0 of two if neither ever waits for the other.

Debian's `sha256sum` computes SHA-256 by itself, portably; Python's hashlib asks OpenSSL, which uses the processor's SHA
instructions. So `openssl dgst` is the harder comparison, of the same implementation.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FILES = 8
GB = 1_000_000_000
PIECE = 1 << 24
PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""The most memory in kB; `ru_maxrss` would begin with that of the process that started this one."""
OURS = f"""
import os, sys, threading, time
from llmgate.record.weights import weights_manifest
wanted, main, started = [0.0], threading.get_native_id(), time.perf_counter()
def look(done, total):
    tasks = [task for task in os.listdir("/proc/self/task") if int(task) != main]
    spent = [open(f"/proc/self/task/{{task}}/schedstat").read().split() for task in tasks]
    wanted[0] = sum(int(run) + int(waited) for run, waited, _ in spent) / 1e9 / (time.perf_counter() - started)
weights_manifest(sys.argv[1], threads=int(sys.argv[2]), progress=look)
print(wanted[0])
{PEAK}"""
IMPORTS = f"""
import llmgate.record.weights
{PEAK}"""
CACHED = """
import sys, time
from pathlib import Path
from llmgate.record.weights import weights_manifest
from llmgate.record.weights_cache import WeightsCache
cache = WeightsCache(Path(sys.argv[2]), clock=lambda: time.time() + 10)
started = time.perf_counter()
weights_manifest(sys.argv[1], cache=cache)
print(time.perf_counter() - started)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one process took."""

    wall_s: float
    cpu_s: float
    said: str


def make(folder: Path, size: int, *, sparse: bool) -> Path:
    """A model folder of so many bytes."""
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    for number in range(FILES):
        with (folder / f"model-{number:05d}.safetensors").open("wb") as file:
            if sparse:
                # The files differ, so that none can be taken for another.
                file.write(str(number).encode())
                file.truncate(size // FILES)
                continue
            for start in range(0, size // FILES, PIECE):
                file.write(os.urandom(min(PIECE, size // FILES - start)))
    return folder


def run(command: list[str]) -> Spent:
    """One process, to its end."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall_s=wall, cpu_s=cpu, said=done.stdout)


def compare(folder: Path, rounds: int) -> dict[str, float]:
    """Everybody in turn, round by round; medians, speeds in MB of a core's second or of the clock's."""
    files = sorted(map(str, folder.glob("*.safetensors")))
    size = sum(Path(file).stat().st_size for file in files)
    ours = [sys.executable, "-c", OURS, str(folder)]
    commands = {"ours, 1 thread": [*ours, "1"], "ours, 2 threads": [*ours, "2"], "sha256sum": ["sha256sum", *files]}
    if shutil.which("openssl"):
        commands["openssl"] = ["openssl", "dgst", "-sha256", *files]
    # Into the page cache, where it fits.
    subprocess.run(["cat", *files], stdout=subprocess.DEVNULL, check=True)
    spent: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            spent[name].append(run(command))
    cpu = {name: size / 1e6 / statistics.median(each.cpu_s for each in all_) for name, all_ in spent.items()}
    wall = {name: size / 1e6 / statistics.median(each.wall_s for each in all_) for name, all_ in spent.items()}

    def faster(one: str, other: str) -> float:
        return statistics.median(a.wall_s / b.wall_s for a, b in zip(spent[one], spent[other], strict=True))

    figures = {f"{name}, MB/s per core": speed for name, speed in cpu.items()}
    figures |= {f"{name}, MB/s by the clock": speed for name, speed in wall.items() if "ours" in name}
    figures["ours by sha256sum, per core"] = cpu["ours, 1 thread"] / cpu["sha256sum"]
    figures["ours (2 threads) by sha256sum, per core"] = cpu["ours, 2 threads"] / cpu["sha256sum"]
    if "openssl" in cpu:
        figures["ours by openssl, per core"] = cpu["ours, 1 thread"] / cpu["openssl"]
    figures["scale from 1 to 2 threads"] = faster("ours, 1 thread", "ours, 2 threads")
    figures["threads busy at once, of 2"] = statistics.median(
        float(each.said.split()[0]) for each in spent["ours, 2 threads"]
    )
    figures["peak memory, MB"] = (
        max(int(each.said.split()[1]) for name in commands if "thread" in name for each in spent[name]) / 1e3
    )
    return figures


def cached(folder: Path) -> dict[str, float]:
    """The first time and the second."""
    with tempfile.TemporaryDirectory() as scratch:
        times = [
            float(run([sys.executable, "-c", CACHED, str(folder), str(Path(scratch) / "weights.json")]).said)
            for _ in range(2)
        ]
    return {"first time, s": times[0], "with the cache, s": times[1]}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sparse-gb", type=float, default=15.0)
    parser.add_argument("--real-gb", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        for kind, gigabytes in (("sparse", options.sparse_gb), ("real bytes", options.real_gb)):
            folder = make(Path(scratch) / kind, int(gigabytes * GB), sparse=kind == "sparse")
            found[f"{gigabytes:g} GB, {kind}"] = {**compare(folder, options.rounds), **cached(folder)}
            shutil.rmtree(folder)
    base = int(run([sys.executable, "-c", IMPORTS]).said) / 1e3
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    width = max(map(len, names))
    print(f"{'':<{width}}  " + "  ".join(f"{title:>18}" for title in found))
    for name in names:
        print(f"{name:<{width}}  " + "  ".join(f"{figures[name]:>18,.2f}" for figures in found.values()))
    print(f"{'memory after importing, MB':<{width}}  {base:>18,.2f}")
    if options.json:
        options.json.write_text(json.dumps({**found, "base": {"memory, MB": base}}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
