"""What `llmgate.gate.serving.contention` says of this machine: quiet, and beside a neighbour that is busy in part.

    python benchmarks/contention.py [SECONDS]

Each line is one look of SECONDS (10 by default): the share of the machine that others used, by this process's account,
and whether a measurement beside them would be made again. On a quiet machine the first lines tell what it does by
itself; it has to stay well below the limit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from llmgate.bench.watch.machine import MachineWatch
from llmgate.gate.serving.contention import contended
from llmgate.record.serving.trace import ServingTrace

DUTIES = (0.0, 0.0, 0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
NEIGHBOUR = """\
import sys, time
duty = float(sys.argv[1])
while True:
    until = time.monotonic() + 0.02 * duty
    while time.monotonic() < until:
        pass
    time.sleep(0.02 * (1 - duty))
"""
DETACHED = """\
import subprocess, sys
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
print(subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], **quiet, start_new_session=True).pid)
"""


async def look(seconds: float) -> ServingTrace:
    """Watch the machine while nothing is measured."""
    watch = MachineWatch(None)
    await watch.start()
    await asyncio.sleep(seconds)
    await watch.stop()
    trace = ServingTrace(
        name="contention",
        workload="none",
        workload_digest="",
        concurrency=1,
        requests=(),
        duration_s=seconds,
        client_cpu_s=0.0,
        client_version="",
    )
    return watch.told(trace)


def neighbour(duty: float) -> int | None:
    """A process that is no child of this one; its number."""
    if not duty:
        return None
    command = [sys.executable, "-c", DETACHED, NEIGHBOUR, str(duty)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print one line per look."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    for duty in DUTIES:
        pid = neighbour(duty)
        try:
            trace = asyncio.run(look(seconds))
        finally:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        use = trace.machine
        if use is None:
            sys.exit("nothing can be seen on this machine")
        share = (use.busy_s - use.client_s) / (use.cores * use.duration_s)
        word = "quiet" if contended(trace) is None else "contended"
        print(f"neighbour {duty:4.0%} of a core: others {share:6.2%} of {use.cores} cores, {word}; {use.busiest}")


if __name__ == "__main__":
    main()
