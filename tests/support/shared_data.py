"""Real evaluation data that is not part of the repository: it lies in `shared/data` beside the checkout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

__all__ = ["shared_file", "shared_rows"]

_DATA = Path(__file__).parents[3] / "shared" / "data"


def shared_file(name: str) -> Path:
    """A file below `shared/data`; the test is skipped where it is not there."""
    path = _DATA / name
    if not path.is_file():
        pytest.skip(f"no {name} in {_DATA}: this data is not part of the repository")
    return path


def shared_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, plain or gzip."""
    path = shared_file(name)
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
