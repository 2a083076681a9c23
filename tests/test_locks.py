"""The locks: every tested version, each with the hashes of its files."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^(\S+==\S+)((?: \\\n {4}--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def locked(name: str) -> list[str]:
    text = (ROOT / "locks" / name).read_text(encoding="utf-8")
    assert not BLOCK.sub("", text).strip(), "what is no package with its hashes"
    return [package for package, _ in BLOCK.findall(text)]


def test_the_locks_hold_each_version_of_the_constraints_once() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert sorted(locked("test.txt") + locked("demo.txt")) == sorted(pins)


def test_pip_is_told_to_believe_nothing_else() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$(PIP) --no-deps --require-hashes $(LOCKS) &&" in makefile
    assert locked("sbom.txt")
