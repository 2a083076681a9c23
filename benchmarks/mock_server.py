"""The mock server that benchmarks ask, in a process of its own: tests/support/fake_server.py, which keeps the truth."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SCRIPT", "mock_server"]

SCRIPT = Path(__file__).resolve().parents[1] / "tests" / "support" / "fake_server.py"


@contextlib.contextmanager
def mock_server(*options: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Start it on a free port, and end it with the block.

    Args:
        options: Of the script, for example `--ttft-ms 20`.
        env: Its environment, None for this one.

    Yields:
        Its URL without `/v1`, and its process id.
    """
    command = [sys.executable, str(SCRIPT), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit("the mock server does not start")
            yield line.split()[-1], process.pid
        finally:
            process.send_signal(signal.SIGINT)
