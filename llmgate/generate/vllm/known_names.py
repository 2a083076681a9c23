"""Which names an installed vLLM knows, read from its source without importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError, did_you_mean
from llmgate.generate.vllm.flags import meant, read_flags
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.generate.vllm.checks import Engine

__all__ = ["NAMED", "Names", "check_names", "known_names"]

MOST_BYTES: Final = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Where vLLM's source lists the values that a flag may have.

    Attributes:
        flag: The flag, in full.
        what: What its value is, in words.
        file: Below vLLM's folder.
        variable: A `Literal[...]`, or a dictionary by name.
        plugin: The flag that loads further ones, "" if there is none.
        any_case: Whether vLLM reads capitals as small letters.
    """

    flag: str
    what: str
    file: str
    variable: str
    plugin: str = ""
    any_case: bool = False


NAMED: Final = (
    Names(
        flag="tool-call-parser",
        what="tool-call parser",
        file="tool_parsers/__init__.py",
        variable="_TOOL_PARSERS_TO_REGISTER",
        plugin="tool-parser-plugin",
    ),
    Names(
        flag="reasoning-parser",
        what="reasoning parser",
        file="reasoning/__init__.py",
        variable="_REASONING_PARSERS_TO_REGISTER",
        plugin="reasoning-parser-plugin",
    ),
    Names(
        flag="quantization",
        what="quantisation",
        file="model_executor/layers/quantization/__init__.py",
        variable="QuantizationMethods",
        any_case=True,
    ),
    Names(flag="dtype", what="dtype", file="config/model.py", variable="ModelDType", any_case=True),
)


def known_names(folder: Path, names: Names) -> frozenset[str] | None:
    """The values that a flag may have, None if this vLLM lists them elsewhere.

    Args:
        folder: Of the installed vLLM.
        names: Which.
    """
    try:
        source = read_regular(folder / names.file, limit=MOST_BYTES)
        tree = ast.parse(source)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == names.variable:
                return _strings(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name == names.variable:
                return _strings(value)
    return None


def _strings(value: ast.expr) -> frozenset[str] | None:
    match value:
        case ast.Dict(keys=keys):
            entries: list[ast.expr | None] = list(keys)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=elements)):
            entries = list(elements)
        case _:
            return None
    found = [entry.value for entry in entries if isinstance(entry, ast.Constant) and isinstance(entry.value, str)]
    # What is spread into it cannot be seen from here.
    return frozenset(found) if found and len(found) == len(entries) else None


def check_names(flags: Sequence[str], engine: Engine) -> None:
    """Refuse names that the installed vLLM does not know, before it spends half a minute to say so.

    Nothing is refused where plugins may have registered further names, or the list was not found.

    Args:
        flags: All that are given.
        engine: The installed vLLM.

    Raises:
        UsageError: With the nearest name that it knows.
    """
    if engine.folder is None or engine.plugins:
        return
    given = read_flags(flags)
    full = {names.flag for names in NAMED} | {names.plugin for names in NAMED if names.plugin}
    by_name = {meant(flag.name, full): flag for flag in given}
    for names in NAMED:
        flag = by_name.get(names.flag)
        if flag is None or not flag.value or (names.plugin and names.plugin in by_name):
            continue
        known = known_names(engine.folder, names)
        value = flag.value.lower() if names.any_case else flag.value
        if known is not None and value not in known:
            version = f" {engine.version}" if engine.version else ""
            raise UsageError(
                f"the installed vLLM{version} knows no {names.what} {flag.value!r}",
                where=f"--{names.flag}",
                fix=did_you_mean(flag.value, known),
            )
