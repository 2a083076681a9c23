"""Where checks of users come from: installed packages, and the `conftest.py` files beside suites."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, SuiteError
from llmgate.score.custom import find_checks
from llmgate.score.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from llmgate.score.vocabulary import Checks

__all__ = ["GROUP", "beside_suites", "conftest_modules", "with_checks_of"]

GROUP: Final = "llmgate.checks"
"""The entry-point group: each entry names a check, or a module that holds some."""


def with_checks_of(modules: Iterable[object]) -> Checks:
    """The vocabulary with the checks of installed packages and of these modules.

    Raises:
        SuiteError: If a package cannot be imported, or two checks share a name.
    """
    return VOCABULARY.also(find_checks([*installed(), *(value for module in modules for value in values_of(module))]))


def beside_suites(suites: Iterable[Path]) -> Checks:
    """The vocabulary of suites that run without pytest: it has what their `conftest.py` files define.

    Raises:
        SuiteError: If one cannot be imported, or two checks share a name.
    """
    return with_checks_of(conftest_modules(suites))


def installed() -> list[object]:
    """What the entry points of the group name."""
    values: list[object] = []
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
        except Exception as error:
            raise SuiteError(
                f"the checks of the installed package cannot be imported: {type(error).__name__}: {error}",
                where=f"entry point {entry.name} = {entry.value}",
                fix="Mend or uninstall the package",
            ) from error
        values += [loaded, *values_of(loaded)]
    return values


def values_of(module: object) -> list[object]:
    """The values that a module's names stand for."""
    return list(vars(module).values()) if hasattr(module, "__dict__") else []


def conftest_modules(suites: Iterable[Path]) -> list[ModuleType]:
    """Import the `conftest.py` files in the suites' folders and those above, up to the working folder.

    The same files that pytest would read, each once.

    Raises:
        SuiteError: If one cannot be imported.
    """
    root = Path.cwd().resolve()
    folders: dict[Path, None] = {}
    for suite in suites:
        folder = suite.resolve().parent
        above = [folder, *folder.parents]
        for parent in reversed(above[: above.index(root) + 1] if root in above else [folder]):
            folders[parent] = None
    return [imported(folder / "conftest.py") for folder in folders if (folder / "conftest.py").is_file()]


def imported(path: Path) -> ModuleType:
    """Execute one `conftest.py`."""
    name = f"llmgate_conftest_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SuiteError("cannot be imported", where=str(path), fix="Correct the file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except LlmgateError:
        raise
    except Exception as error:
        raise SuiteError(
            f"cannot be imported: {type(error).__name__}: {error}", where=str(path), fix="Correct the file"
        ) from error
    return module
