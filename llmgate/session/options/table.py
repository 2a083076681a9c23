"""All options: `llmgate run --concurrency 8` is `pytest --llmgate-concurrency 8`, and a key of `[tool.llmgate]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.session.options.asking import ASKING, COMPARISON, FILES
from llmgate.session.options.judges import JUDGES
from llmgate.session.options.model import ENGINE, MODEL, SERVER
from llmgate.session.options.results import RESULTS, VERDICT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmgate.session.options.option import Option

__all__ = ["GROUPS", "OPTIONS", "file_options"]

GROUPS: Final[Mapping[str, tuple[Option, ...]]] = {
    "The model": MODEL,
    "The server that llmgate starts": SERVER,
    "How that server runs the model": ENGINE,
    "What it is compared with, and how strictly": COMPARISON,
    "How it is asked": ASKING,
    "Judges and embeddings": JUDGES,
    "Files and keys": FILES,
    "Where results go": RESULTS,
    "The signed verdict": VERDICT,
}
"""By the heading under which the help lists them."""
OPTIONS: Final[tuple[Option, ...]] = tuple(option for group in GROUPS.values() for option in group)


def file_options(root: Path) -> dict[str, Any]:
    """Read `[tool.llmgate]` of a folder's pyproject.toml.

    Returns:
        Option fields and their values; empty if there is no such file or table.

    Raises:
        UsageError: If the file is no TOML, or names an option that is unknown or given by hand only.
    """
    import tomllib

    path = root / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("llmgate", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read ({error})", where=str(path), fix="Correct the file") from error
    known = {option.field: option for option in OPTIONS}
    result = {}
    for key, value in table.items():
        option = known.get(key.replace("-", "_"))
        if option is None:
            raise UsageError(
                f"unknown key {key!r} in [tool.llmgate]",
                where=str(path),
                fix=did_you_mean(key, (option.name for option in OPTIONS)),
            )
        if option.by_hand:
            raise UsageError(f"{key!r} is given by hand only", where=str(path), fix=f"Write --{option.name} instead")
        result[option.field] = value
    return result
