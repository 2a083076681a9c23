"""pytest-xdist: the controller asks, the workers report.

A worker learns from its payload where the run's folder is, and waits for results there. The controller starts
asking once the first worker has said what is selected. So concurrency is the same as without xdist, and a worker
that crashes loses no answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import LlmgateError
from llmgate.pytest_plugin.door import GATES
from llmgate.pytest_plugin.keys import pytest_run
from llmgate.pytest_plugin.payload import plans_of
from llmgate.suite.form.signs import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.code.plan import CodePlan

__all__ = ["node_collected", "node_ended"]


def node_collected(node: Any, ids: Sequence[str]) -> None:
    """Load what the workers collected, start the server, ask for what they selected."""
    files = dict.fromkeys(nodeid.partition("::")[0] for nodeid in ids)
    named = {file: path for file in files if (path := suite_path(node.config, file)) is not None}
    if not named and not plans_of(node.config).exists():
        return
    from llmgate.pytest_plugin.left_out import note_left_out
    from llmgate.suite.folder import is_suite_file

    suites = {file: path for file, path in named.items() if is_suite_file(path)}
    plans = plans_left(node)
    if not suites and not plans:
        return
    try:
        run = pytest_run(node.config)
        run.prepare()
        run.tests.add(plans)
        for file, path in suites.items():
            run.load(path, file)
        note_left_out(node.config, run.paths)
    except LlmgateError as error:
        raise pytest.UsageError(f"llmgate: {error}") from error
    run.select([nodeid for nodeid in ids if run.is_ours(nodeid)])


def plans_left(node: Any) -> list[CodePlan]:
    """What a worker collected of suites in code."""
    folder = plans_of(node.config)
    if not folder.exists():
        return []
    from llmgate.pytest_plugin.code.collect import read_plans

    return read_plans(folder, str(node.gateway.id))


def node_ended(node: Any) -> None:
    """Note which gates a worker collected: those that nobody selected are not among what it said before."""
    node.config.stash.setdefault(GATES, set()).update(node.workeroutput["llmgate-gates"])


def suite_path(config: pytest.Config, file: str) -> Path | None:
    """The file behind the file part of a node id, None if its name is not a suite's.

    That part is relative to the root. For files outside of it, it is relative to an argument, and empty where the
    argument is the file itself.
    """
    arguments = [Path(argument.partition("::")[0]) for argument in config.args]
    if file in {"", "."}:
        return next((path.absolute() for path in arguments if is_named(path.name) and path.is_file()), None)
    if not is_named(file):
        return None
    for base in (config.rootpath, config.invocation_params.dir, *arguments):
        if (base / file).is_file():
            return base / file
    return config.rootpath / file


def is_named(file: str) -> bool:
    """Whether a file's name is one of a suite."""
    return file.lower().endswith(SUFFIXES)
