"""What GitHub Actions reads: step summaries, outputs, annotations, and logs that obey no model.

A runner takes lines that begin with `::` as commands and cuts outputs at a delimiter. Text from a model must
therefore never reach a log, an output or an annotation as it is.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Literal

from llmgate.errors import UsageError
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


__all__ = ["SUMMARY_BYTES", "annotation", "write_outputs"]

SUMMARY_BYTES = 1024 * 1024
"""GitHub drops a step's whole summary if it is larger."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


def _token() -> str:
    return f"llmgate-{secrets.token_hex(16)}"


def write_outputs(values: Mapping[str, str], path: Path, *, token: Callable[[], str] = _token) -> None:
    """Append step outputs, each between delimiters that its value cannot know.

    Args:
        values: Output name to value; values may hold line feeds.
        path: The file that `GITHUB_OUTPUT` names.
        token: Makes delimiters; a delimiter that occurs in the value is thrown away.

    Raises:
        UsageError: If a name is not an output name, or the file cannot be written. Nothing is written then.
    """
    text = "".join(_output(name, value, token) for name, value in values.items())
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"cannot write: {error.strerror}", where=str(path), fix="Check what GITHUB_OUTPUT names"
        ) from error


def _output(name: str, value: str, token: Callable[[], str]) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a step output", where="GITHUB_OUTPUT", fix="Use letters, digits, _ and -"
        )
    shown = visible(value)
    delimiter = _unused(token, shown)
    return f"{name}<<{delimiter}\n{shown}\n{delimiter}\n"


def _unused(token: Callable[[], str], text: str) -> str:
    for _ in range(100):
        word = token()
        if word not in text:
            return word
    raise UsageError("every delimiter that was drawn occurs in the text", where="report", fix="Give a random source")


def annotation(
    level: Literal["error", "warning", "notice"],
    message: str,
    *,
    title: str = "",
    file: str = "",
    line: int | None = None,
) -> str:
    """One workflow command that annotates a run, with the message escaped so that it stays one command.

    Args:
        level: How serious it is.
        message: What to show; its line feeds are kept by escaping.
        title: Heading of the annotation.
        file: Path in the repository.
        line: Line in the file, from 1.
    """
    properties = {"file": file, "line": "" if line is None else str(line), "title": title}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{level}{' ' + written if written else ''}::{_data(message)}\n"


def _data(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
