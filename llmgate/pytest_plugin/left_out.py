"""What lies in the folders that pytest was given and is not run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmgate.pytest_plugin.keys import LEFT_OUT
from llmgate.report.visible import visible
from llmgate.suite.folder import Found, Sort, left_out, look_into

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["note_left_out"]


def note_left_out(config: pytest.Config, collected: Iterable[Path]) -> None:
    """Look once more at the folders, as `llmgate run` would, and keep for the summary what is not run.

    Args:
        config: pytest's configuration.
        collected: The suite files that are run.

    Raises:
        pytest.UsageError: If a file cannot be read or looks like a suite, unless pytest was told to ignore it.
    """
    if LEFT_OUT in config.stash:
        return
    run = {path.resolve() for path in collected}
    found: dict[Path, Found] = {}
    for argument in config.args:
        folder = config.invocation_params.dir / argument.partition("::")[0]
        if folder.is_dir():
            found |= {each.path: noted(each, config, folder) for each in look_into(folder)}
    for each in found.values():
        if each.sort is Sort.REFUSED:
            raise pytest.UsageError(f"llmgate: {visible(str(each.problem))}")
    here = config.invocation_params.dir
    rest = [
        replace(each, path=each.path.relative_to(here) if each.path.is_relative_to(here) else each.path)
        for each in found.values()
        if each.path.resolve() not in run
    ]
    config.stash[LEFT_OUT] = tuple(visible(line) for line in left_out(rest))


def noted(found: Found, config: pytest.Config, folder: Path) -> Found:
    """What becomes of a file under pytest: what is ignored is never an error, and a suite that is not run is listed."""
    what = "it calls itself a suite, and pytest left it out"
    if found.sort is Sort.RUN:
        return replace(found, sort=Sort.LISTED, what=what, fix="Check pytest's options and settings")
    if found.sort is Sort.REFUSED and is_ignored(found.path, config, folder):
        return replace(found, sort=Sort.LISTED)
    return found


def is_ignored(path: Path, config: pytest.Config, folder: Path) -> bool:
    """Whether pytest was told to ignore a file, or a folder around it."""
    inside = [path, *path.parents]
    return any(
        config.hook.pytest_ignore_collect(collection_path=each, config=config)
        for each in inside[: inside.index(folder)]
    )
