"""A sequence of vLLM's flags, read: which flag, and with which value. No effects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Flag", "meant", "read_flags"]

SHORT: Final = MappingProxyType(
    {
        "tp": "tensor-parallel-size",
        "pp": "pipeline-parallel-size",
        "dp": "data-parallel-size",
        "dpl": "data-parallel-size-local",
        "dpa": "data-parallel-address",
        "q": "quantization",
        "sc": "speculative-config",
        "device-memory-utilization": "gpu-memory-utilization",
    }
)
"""Other names of flags that llmgate has options for, or reads.

Reference: `add_cli_args` in vllm/engine/arg_utils.py, 0.25 to 0.33.
"""
NUMBER: Final = re.compile(r"-\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag as it was given.

    Attributes:
        name: Without dashes in front, with `-` for `_`, without `no-`, and in full where a short name was given.
        key: Below a flag that takes JSON: `model` of `--speculative-config.model`.
        values: What followed, none for a switch.
        negated: Whether it was given as `--no-NAME`.
        text: The entries of which it is made.
    """

    name: str
    key: str = ""
    values: tuple[str, ...] = ()
    negated: bool = False
    text: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        """Its value, "" if it has none."""
        return self.values[-1] if self.values else ""


def read_flags(flags: Sequence[str]) -> tuple[Flag, ...]:
    """Read flags in their order; what stands before the first one is left out.

    Args:
        flags: As on a command line: `--max_model_len=4`, `-tp 2`, `--no-enforce-eager`.
    """
    groups: list[list[str]] = []
    for entry in flags:
        if _is_flag(entry):
            groups.append([entry])
        elif groups:
            groups[-1].append(entry)
    return tuple(_flag(group) for group in groups)


def meant(name: str, known: Iterable[str]) -> str:
    """The flag that vLLM takes a name for: its parser lets long ones be cut short.

    Args:
        name: As in `Flag.name`.
        known: Flags in full.

    Returns:
        One of them, or the name as it is.
    """
    names = sorted(known)
    if name in names:
        return name
    return next((full for full in names if len(name) > 3 and full.startswith(name)), name)


def _is_flag(entry: str) -> bool:
    return len(entry) > 1 and entry.startswith("-") and not NUMBER.fullmatch(entry)


def _flag(group: Sequence[str]) -> Flag:
    first, equals, value = group[0].partition("=")
    name, _, key = first.lstrip("-").partition(".")
    name = name.replace("_", "-")
    negated = name.startswith("no-")
    name = name.removeprefix("no-")
    return Flag(
        name=SHORT.get(name, name),
        key=key,
        values=((value,) if equals else ()) + tuple(group[1:]),
        negated=negated,
        text=tuple(group),
    )
