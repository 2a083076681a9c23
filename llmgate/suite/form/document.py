"""YAML text → plain data that remembers its lines. Safe loader, no tags, no duplicate keys, bounded size."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from llmgate.errors import SuiteError
from llmgate.record.disk import read_regular
from llmgate.suite.asserts import Json
from llmgate.suite.form.signs import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "Document",
    "PlainLoader",
    "Reader",
    "compose",
    "parse_document",
    "read_document",
    "syntax_error",
    "without_tabs",
]

MAX_NODES: Final = 100_000
"""Anchors expand on reading; without a bound ten lines of YAML can fill the memory."""
MAX_DEPTH: Final = 60

MAX_DIGITS: Final = 400
"""Characters of a number: the largest float has 309 digits."""
TOO_LARGE: Final = "the file grows too large or too deep"
CORE: Final = "tag:yaml.org,2002:"
SCALARS: Final = frozenset(f"{CORE}{name}" for name in ("str", "int", "float", "bool", "null"))


class PlainLoader(yaml.SafeLoader):
    """The safe loader with bounds: numbers of a length that people write, and parts counted while they are read.

    Numbers in base 60 take a time that grows with the square of their length.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node and what is below it."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=TOO_LARGE, problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def number(self, node: yaml.ScalarNode) -> int | float:
        """Read a number.

        Raises:
            ValueError: If it is none, or too long.
        """
        if len(node.value) > MAX_DIGITS:
            raise ValueError("too long")
        whole = node.tag == f"{CORE}int"
        value: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        return value


PlainLoader.add_constructor(f"{CORE}int", PlainLoader.number)
PlainLoader.add_constructor(f"{CORE}float", PlainLoader.number)


def compose(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, within bounds.

    Raises:
        yaml.YAMLError: If it is not YAML, or has too many parts.
        RecursionError: If it is nested too deeply.
    """
    loader = PlainLoader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML file as data.

    Attributes:
        path: Where it was read from.
        data: The top-level mapping.
        lines: Path of keys and indices → line number, from 1.
    """

    path: Path
    data: dict[str, Json]
    lines: Mapping[tuple[str | int, ...], int]

    def where(self, *location: str | int) -> str:
        """`file:line` of the deepest known part of a location."""
        for length in range(len(location), -1, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return f"{self.path}:{line}"
        return str(self.path)


class Reader:
    """Turns composed nodes into data, counting them."""

    def __init__(self, path: Path, first_line: int = 1) -> None:
        self.path = path
        self.first_line = first_line
        self.nodes = 0
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.scalars = PlainLoader("")

    def fail(self, node: yaml.Node, what: str, fix: str) -> SuiteError:
        """The error for what stands at a node."""
        return SuiteError(what, where=f"{self.path}:{node.start_mark.line + self.first_line}", fix=fix)

    def read(self, node: yaml.Node, location: tuple[str | int, ...]) -> Json:
        """Convert one node and what is below it."""
        self.nodes += 1
        if self.nodes > MAX_NODES or len(location) > MAX_DEPTH:
            raise self.fail(node, TOO_LARGE, "Move the content into a dataset")
        self.lines.setdefault(location, node.start_mark.line + self.first_line)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*location, i)) for i, child in enumerate(node.value)]
        if node.tag not in SCALARS:
            # Dates are kept as they were written: a suite has no use for date objects.
            if node.tag == "tag:yaml.org,2002:timestamp":
                return str(node.value)
            raise self.fail(node, f"the YAML tag {node.tag} is not allowed", "Write plain values")
        try:
            value: Json = self.scalars.construct_object(node)
        except (ValueError, KeyError, OverflowError, IndexError) as error:  # `!!int x`, `!!bool x`
            raise self.fail(
                node, f"{node.value[:40]!r} is no {node.tag[len(CORE) :]}", "Write a plain value"
            ) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self.fail(node, f"{node.value} is not a finite number", "Write a number")
        return value

    def mapping(self, node: yaml.MappingNode, location: tuple[str | int, ...]) -> Json:
        """Convert a mapping, refusing a key that stands twice."""
        result: dict[str, Json] = {}
        for key_node, child in node.value:
            key = self.key(key_node)
            if key in result:
                raise self.fail(key_node, f"the key {key!r} is written twice", "Remove one of them")
            self.lines[(*location, key)] = key_node.start_mark.line + self.first_line
            result[key] = self.read(child, (*location, key))
        return result

    def key(self, node: yaml.Node) -> str:
        """Convert a key, which is always text."""
        if not isinstance(node, yaml.ScalarNode) or node.tag not in SCALARS:
            raise self.fail(node, "a key must be plain text", "Quote it if it holds special characters")
        return str(node.value)


def read_document(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises:
        SuiteError: With file and line, if it cannot be read, parsed, or is not a mapping.
    """
    try:
        data = read_regular(path, at_most=MAX_BYTES + 1)
    except OSError as error:
        raise SuiteError(f"cannot be read ({error.strerror})", where=str(path), fix="Check the path") from error
    return parse_document(data, path)


def parse_document(data: bytes, path: Path, *, first_line: int = 1) -> Document:
    """Read YAML whose top level is a mapping.

    Args:
        data: The YAML.
        path: The file that it stands in, for messages.
        first_line: The line of that file on which it starts.

    Raises:
        SuiteError: With file and line, if it cannot be parsed or is not a mapping.
    """
    if len(data) > MAX_BYTES:
        raise SuiteError(
            f"the file has more than {MAX_BYTES} bytes", where=str(path), fix="Move the rows into a dataset"
        )
    try:
        node = compose(without_tabs(data.decode()))
    except UnicodeDecodeError as error:
        raise SuiteError("the file is not UTF-8", where=str(path), fix="Save it as UTF-8") from error
    except RecursionError as error:
        raise SuiteError("the file is nested too deeply", where=str(path), fix="Flatten it") from error
    except yaml.YAMLError as error:
        raise syntax_error(path, error, first_line) from error
    if not isinstance(node, yaml.MappingNode):
        raise SuiteError("the file holds no settings", where=str(path), fix="Start it with `llmgate: 1`")
    reader = Reader(path, first_line)
    result = reader.read(node, ())
    if not isinstance(result, dict):  # a mapping node always gives a dict; this tells the type checker
        raise TypeError(type(result))
    return Document(path=path, data=result, lines=reader.lines)


def without_tabs(text: str) -> str:
    """JSON with spaces for its tabs, which our YAML reader does not take between keys; other text as it is."""
    if "\t" in text:
        with suppress(ValueError, RecursionError):
            json.loads(text.removeprefix("\ufeff"))  # refuses a tab inside a string, so that none of them is meant
            return text.replace("\t", " ")
    return text


def syntax_error(path: Path, error: yaml.YAMLError, first_line: int = 1) -> SuiteError:
    """Word a YAML syntax error with its line."""
    mark = getattr(error, "problem_mark", None)
    problem: str | Sequence[str] = getattr(error, "problem", None) or "invalid YAML"
    where = f"{path}:{mark.line + first_line}" if mark else str(path)
    if problem == TOO_LARGE:
        return SuiteError(TOO_LARGE, where=where, fix="Move the content into a dataset")
    return SuiteError(f"this is not valid YAML ({problem})", where=where, fix="Check indentation and quotes")
