"""The command that starts a jail."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from llmgate.record.redaction import SECRET_NAME
from llmgate.score.code import jail
from llmgate.score.code.visible import base_python, visible_files

__all__ = ["jail_command"]

_ROOT: Final = str(Path(__file__).parents[3])
# `jail` is imported above too, which keeps its bytecode: the interpreter of a jail writes none.
_START: Final = f"import sys\nsys.path.append({_ROOT!r})\nfrom {jail.__name__} import main\nmain()"


def jail_command(settings: dict[str, Any]) -> list[str]:
    """A command that runs a program under limits, by an interpreter without site packages.

    Args:
        settings: `runner`, the program's source; `folder`, an empty one; `report_fd`, where the jail says how it went;
            `program_fds`, what the program keeps; `isolation`; `without`, mechanisms to leave out; and the limits.

    Raises:
        CannotRunError: If it cannot be found out which files the interpreter needs.
    """
    python = base_python()
    secrets = [name for name, value in os.environ.items() if value and SECRET_NAME.search(name)]
    known = {"visible": visible_files(python), "secrets": secrets, "without": []}
    return [python, "-I", "-S", "-B", "-c", _START, json.dumps({**known, **settings})]
