"""What pytest-xdist's controller tells its workers: where the run's folder is."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from llmgate.errors import LlmgateError
from llmgate.session.options.table import file_options
from llmgate.session.run_folder import default_out

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAYLOAD_VERSION", "out_of", "plans_of", "send_payload", "share_of"]

PAYLOAD_VERSION: Final = 2
OUT: Final[pytest.StashKey[Path]] = pytest.StashKey()
PLANS: Final[pytest.StashKey[Path]] = pytest.StashKey()


def out_of(config: pytest.Config) -> Path:
    """The run's folder: from the payload in a worker, else as the options say, chosen once.

    Raises:
        pytest.UsageError: If the payload comes from another version of llmgate, or pyproject.toml is wrong.
    """
    if OUT not in config.stash:
        config.stash[OUT] = from_payload(config.workerinput) if hasattr(config, "workerinput") else chosen(config)
    return config.stash[OUT]


def plans_of(config: pytest.Config) -> Path:
    """Where workers leave what they collected of suites in code; made when something is left there."""
    if PLANS not in config.stash:
        given = getattr(config, "workerinput", {}).get("llmgate", {}).get("plans")
        config.stash[PLANS] = Path(given or Path(tempfile.gettempdir()) / f"llmgate-plans-{uuid.uuid4().hex}")
    return config.stash[PLANS]


def share_of(config: pytest.Config, concurrency: int) -> int:
    """What one process may have in flight of what all workers of xdist may together, at least 1."""
    return max(1, concurrency // int(getattr(config, "workerinput", {}).get("workercount", 1)))


def chosen(config: pytest.Config) -> Path:
    """As the options say, else a new folder."""
    try:
        given = config.getoption("llmgate_out") or file_options(config.rootpath).get("out")
    except LlmgateError as error:
        raise pytest.UsageError(str(error)) from error
    return Path(given or default_out()).absolute()


def from_payload(workerinput: Mapping[str, Any]) -> Path:
    """Read what the controller sent."""
    payload = workerinput.get("llmgate", {})
    if payload.get("version") != PAYLOAD_VERSION:
        raise pytest.UsageError(
            f"llmgate: the xdist controller speaks version {payload.get('version')}, this worker {PAYLOAD_VERSION}. "
            "Install the same llmgate on both"
        )
    return Path(payload["out"])


def send_payload(node: Any) -> None:
    """Give a worker its payload."""
    node.workerinput["llmgate"] = {
        "version": PAYLOAD_VERSION,
        "out": str(out_of(node.config)),
        "plans": str(plans_of(node.config)),
    }
