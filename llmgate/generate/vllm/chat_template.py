"""A chat template in a file: read, and refused before a server is started for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import UsageError
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from jinja2.parser import Parser

__all__ = ["check_template", "read_template"]

MOST_BYTES: Final = 1_000_000
"""Templates of models have some kilobytes."""


def read_template(path: Path, *, where: str) -> bytes:
    """The bytes of a template.

    Args:
        path: The file.
        where: What named it.

    Raises:
        UsageError: If it is no regular file, cannot be read, is no text, or is far too large.
    """
    try:
        data = read_regular(path, limit=MOST_BYTES)
        data.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"the chat template {path} cannot be read: {error.strerror or error}",
            where=where,
            fix="Give a file with a Jinja template",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the chat template {path} is no text in UTF-8", where=where, fix="Give a file with a Jinja template"
        ) from error
    return data


def check_template(path: Path, *, where: str) -> None:
    """Refuse a file that is no Jinja template, as the tokenizers read it.

    Raises:
        UsageError: With the line that cannot be read, or as `read_template`.
    """
    text = read_template(path, where=where).decode("utf-8")
    if not text.strip():
        raise UsageError(f"the chat template {path} is empty", where=where, fix="Give a file with a Jinja template")
    # Only a run that names a template pays for these.
    from jinja2 import TemplateSyntaxError, nodes  # noqa: PLC0415
    from jinja2.ext import Extension, loopcontrols  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Generation(Extension):
        """`{% generation %}` marks what the model says; transformers adds it to Jinja."""

        tags = {"generation"}  # noqa: RUF012 - as the base class declares it

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment: Any = ImmutableSandboxedEnvironment(extensions=[Generation, loopcontrols])
    try:
        environment.parse(text)
    except TemplateSyntaxError as error:
        raise UsageError(
            f"line {error.lineno} of the chat template {path} cannot be read: {error.message}",
            where=where,
            fix="Correct the template",
        ) from error
    except RecursionError as error:
        raise UsageError(f"the chat template {path} is nested too deeply", where=where, fix="Simplify it") from error
