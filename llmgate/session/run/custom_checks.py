"""Where checks of users come from: installed packages, and the `conftest.py` files beside suites."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, LlmgateError, SuiteError
from llmgate.score.custom import find_checks
from llmgate.score.foreign_code import DEFAULT_LIMIT_S, Caller, worded
from llmgate.score.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, ModuleType

    from llmgate.score.vocabulary import Checks

__all__ = ["GROUP", "beside_suites", "conftest_modules", "with_checks_of"]

GROUP: Final = "llmgate.checks"
"""The entry-point group: each entry names a check, or a module that holds some."""


def with_checks_of(modules: Iterable[object], *, limit_s: float = DEFAULT_LIMIT_S) -> Checks:
    """The vocabulary with the checks of installed packages and of these modules.

    Args:
        modules: They may hold checks.
        limit_s: Seconds that a call of a check may take that has no limit of its own.

    Raises:
        SuiteError: If a package cannot be imported, or two checks share a name.
        CannotRunError: If importing one ended the process.
    """
    values = [*installed(), *(value for module in modules for value in values_of(module))]
    return VOCABULARY.also(find_checks(values, Caller(limit_s=limit_s)))


def beside_suites(suites: Iterable[Path], *, limit_s: float = DEFAULT_LIMIT_S) -> Checks:
    """The vocabulary of suites that run without pytest: it has what their `conftest.py` files define.

    Raises:
        SuiteError: If one cannot be imported, or two checks share a name.
        CannotRunError: If importing one ended the process.
    """
    return with_checks_of(conftest_modules(suites), limit_s=limit_s)


def installed() -> list[object]:
    """What the entry points of the group name."""
    values: list[object] = []
    for entry in entry_points(group=GROUP):
        where = f"entry point {entry.name} = {entry.value}"
        loaded = evaluated(entry.load, "the checks of the installed package", where=where, fix="Mend or uninstall it")
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


class _AsWritten(SourceFileLoader):
    """Compiles what stands in the file. Bytecode beside it may be of another text with the same size and second."""

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self.source_to_code(self.get_data(self.path), self.path)


def imported(path: Path) -> ModuleType:
    """Execute one `conftest.py`."""
    name = f"llmgate_conftest_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsWritten(name, str(path)))
    if spec is None or spec.loader is None:
        raise SuiteError("cannot be imported", where=str(path), fix="Correct the file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    load = spec.loader.exec_module
    evaluated(lambda: load(module), "the file", where=str(path), fix="Correct the file")
    return module


def evaluated(load: Callable[[], Any], what: str, *, where: str, fix: str) -> Any:
    """Import something that is not ours.

    Raises:
        LlmgateError: What it raises itself, such as a check's name that cannot be.
        SuiteError: If it raises something else.
        CannotRunError: If it set out to end the process, as `sys.exit()` does.
    """
    try:
        return load()
    except (LlmgateError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise SuiteError(f"{what} cannot be imported: {worded(error)}", where=where, fix=fix) from error
    except BaseException as error:
        raise CannotRunError(f"importing {what} ended the run: {worded(error)}", where=where, fix=fix) from error
