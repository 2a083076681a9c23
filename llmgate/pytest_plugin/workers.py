"""pytest-xdist: the controller asks, the workers report.

A worker learns from its payload where the run's folder is, and waits for results there. The controller starts
asking once the first worker has said what is selected. So concurrency is the same as without xdist, and a worker
that crashes loses no answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from llmgate.errors import LlmgateError
from llmgate.session.options import file_options
from llmgate.session.run_folder import default_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PAYLOAD_VERSION", "configure_node", "is_worker", "node_collected", "out_of"]

PAYLOAD_VERSION: Final = 1
YAML: Final = frozenset({".yaml", ".yml"})
OUT: Final[pytest.StashKey[Path]] = pytest.StashKey()


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is an xdist worker."""
    return hasattr(config, "workerinput")


def out_of(config: pytest.Config) -> Path:
    """The run's folder: from the payload in a worker, else as the options say, chosen once.

    Raises:
        pytest.UsageError: If the payload comes from another version of llmgate, or pyproject.toml is wrong.
    """
    if OUT not in config.stash:
        config.stash[OUT] = from_payload(config.workerinput) if hasattr(config, "workerinput") else chosen(config)
    return config.stash[OUT]


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


def configure_node(node: Any) -> None:
    """Give a worker its payload."""
    node.workerinput["llmgate"] = {"version": PAYLOAD_VERSION, "out": str(out_of(node.config))}


def node_collected(node: Any, ids: Sequence[str]) -> None:
    """Load what the workers collected, start the server, ask for what they selected."""
    files = dict.fromkeys(nodeid.partition("::")[0] for nodeid in ids)
    suites = {file: path for file in files if (path := suite_path(node.config, file)) is not None}
    if not suites:
        return
    from llmgate.pytest_plugin.controller import gate_run

    try:
        run = gate_run(node.config)
        run.prepare()
        for file, path in suites.items():
            run.load(path, file)
    except LlmgateError as error:
        raise pytest.UsageError(f"llmgate: {error}") from error
    run.select([nodeid for nodeid in ids if nodeid.partition("::")[0] in suites])


def suite_path(config: pytest.Config, file: str) -> Path | None:
    """The suite file behind the file part of a node id, None if it is no YAML file.

    That part is relative to the root. For files outside of it, it is relative to an argument, and empty where the
    argument is the file itself.
    """
    arguments = [Path(argument.partition("::")[0]) for argument in config.args]
    if file in {"", "."}:
        return next((path.absolute() for path in arguments if path.suffix in YAML and path.is_file()), None)
    if Path(file).suffix not in YAML:
        return None
    for base in (config.rootpath, config.invocation_params.dir, *arguments):
        if (base / file).is_file():
            return base / file
    return config.rootpath / file
