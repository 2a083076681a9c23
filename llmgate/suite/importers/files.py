"""Files of other tools → plain data that remembers its lines, as far as the format has any."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from llmgate.errors import SuiteError
from llmgate.record.disk import read_regular
from llmgate.record.growth import Growth, json_cost
from llmgate.record.reach import Reach, contained
from llmgate.suite.form.document import PlainLoader, Reader, compose, syntax_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.suite.asserts import Json

__all__ = [
    "CODE_FILES",
    "FUNCTION",
    "ForeignFile",
    "beside",
    "listing",
    "mapping",
    "read_csv",
    "read_jsonl",
    "read_source",
    "read_text",
    "strict",
]

FUNCTION: Final = "!function "
"""What a YAML value tagged as code starts with, once read: it names code, which is never run."""

CODE_FILES: Final = frozenset(
    {
        *(".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb", ".go"),
        *(".sh", ".bash", ".exe", ".bat", ".cmd", ".ps1", ".pl"),
    }
)
"""Ends of the names of files that hold code, which is never run."""

MAX_BYTES: Final = 500_000_000
MAX_DIGITS: Final = 400
"""Of a whole number."""
MAX_YAML_CHARS: Final = 20_000_000
"""YAML takes a second per megabyte or two."""
_MERGE: Final = "tag:yaml.org,2002:merge"
_CORE: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFile:
    """A file as data.

    Attributes:
        path: Where it was read from.
        data: Its content.
        lines: Path of keys and indices → line number, from 1; empty for JSON.
        reach: Where the files lie that it may name.
        base: The folder in which the names of its variables' files start.
        web: Whether its YAML was read as JavaScript's tools read it.
        dates: Lines on which such YAML has a date without quotes, which is kept as text.
    """

    path: Path
    data: Any
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict)
    reach: Reach
    base: Path = Path()
    web: bool = False
    dates: frozenset[int] = frozenset()

    def named(self, name: str | Path, where: str, *, base: Path | None = None) -> Path:
        """A file that it names.

        Args:
            name: As written.
            where: Where.
            base: The folder in which the name starts, if it is not the file's own.

        Raises:
            SuiteError: If it lies where it may not name any.
        """
        path = (base or self.path.parent) / name
        contained(path, self.reach, where=where)
        return path

    def where(self, *location: str | int) -> str:
        """`file:line` of the deepest known part of a location."""
        for length in range(len(location), 0, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return f"{self.path}:{line}"
        return str(self.path)


def read_source(
    path: Path, reach: Reach | None = None, *, allowed: Sequence[str] = (), web: bool = False
) -> ForeignFile:
    """Read a YAML, JSON or JSONL file.

    Args:
        path: The file.
        reach: Of the file that names it; None for a file that the user named.
        allowed: Folders outside its project whose files it may name.
        web: Whether YAML means what tools in JavaScript take it for: `yes`, `010` and `12:30` are no truth value, no 8
            and no 750 there.

    Raises:
        SuiteError: With file and line, if it cannot be read.
    """
    own = reach or Reach.of(path, allowed)
    lines: dict[tuple[str | int, ...], int] = {}
    dates: set[int] = set()
    if path.suffix == ".json":
        data: Any = parse(read_text(path, reach), str(path))
    elif path.suffix == ".jsonl":
        rows = list(read_jsonl(path, reach))
        lines, data = {(i,): line for i, (line, _) in enumerate(rows)}, [row for _, row in rows]
    else:
        data, lines = read_yaml(path, reach, dates if web else None)
    return ForeignFile(path=path, data=data, lines=lines, reach=own, base=path.parent, web=web, dates=frozenset(dates))


def beside(path: Path, source: ForeignFile) -> ForeignFile:
    """Read a file that another one names, in the same way; names of variables' files start where they did.

    Raises:
        SuiteError: As `read_source`.
    """
    return replace(read_source(path, source.reach, web=source.web), base=source.base)


def read_text(path: Path, within: Reach | None = None) -> str:
    """Read a text file, without a byte order mark.

    Args:
        path: The file.
        within: Where it has to lie; None for a file that the user named.

    Raises:
        SuiteError: If it cannot be read or is not UTF-8.
    """
    try:
        return read_regular(path, limit=MAX_BYTES, within=within).decode("utf-8-sig")
    except OSError as error:
        raise SuiteError(f"cannot be read ({error.strerror})", where=str(path), fix="Check the path") from error
    except UnicodeDecodeError as error:
        raise SuiteError("the file is not UTF-8", where=str(path), fix="Save it as UTF-8") from error


def read_yaml(
    path: Path, within: Reach | None, dates: set[int] | None = None
) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    """Read a YAML file: anchors and merge keys are followed, tags that name code become texts.

    Args:
        path: The file.
        within: Where it has to lie.
        dates: Collects the lines with dates, which js-yaml knows; None to read as PyYAML does.
    """
    try:
        text = read_text(path, within)
        if len(text) > MAX_YAML_CHARS:
            raise SuiteError(
                f"the YAML has more than {MAX_YAML_CHARS} characters", where=str(path), fix="Keep tests as JSONL or CSV"
            )
        node = compose(text) if dates is None else compose_web(text, dates)
        if node is None:
            return None, {}
        plain(node, set())
        reader = Reader(path)
        return reader.read(node, ()), reader.lines
    except yaml.YAMLError as error:
        raise syntax_error(path, error) from error
    except RecursionError as error:
        raise SuiteError("the file is nested too deeply", where=str(path), fix="Flatten it") from error


class WebLoader(PlainLoader):
    """YAML's core schema with dates and merge keys, as js-yaml reads it: PyYAML reads the schema of YAML 1.1."""

    def __init__(self, stream: str, dates: set[int]) -> None:
        super().__init__(stream)
        self.dates = dates

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Compose a scalar, numbers in a notation that PyYAML reads alike."""
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if node.style is None and _DATE.match(node.value):
            self.dates.add(node.start_mark.line + 1)
        if node.tag == f"{_CORE}int" and len(node.value) <= MAX_DIGITS and _WHOLE.fullmatch(node.value):
            base = {"0o": 8, "0x": 16}.get(node.value[:2], 10)
            number = int(node.value, base)
            node.value = str(number)
            if abs(number) > 2**53:  # JavaScript has no larger whole numbers that are exact
                node.value, node.tag = repr(float(number)), f"{_CORE}float"
        return node


_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:")
_WHOLE: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+|[-+]?[0-9]+")
WebLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["", "~", "n", "N"]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", rf"(?:{_WHOLE.pattern})\Z", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z",
        list("-+.0123456789"),
    ),
    ("merge", r"<<\Z", ["<"]),
):
    WebLoader.add_implicit_resolver(f"{_CORE}{_tag}", re.compile(_pattern, re.ASCII), _first)


def compose_web(text: str, dates: set[int]) -> yaml.Node | None:
    """The nodes of a YAML text as js-yaml reads it; adds the lines with dates.

    Raises:
        yaml.YAMLError: If it is not YAML, or has too many parts.
        RecursionError: If it is nested too deeply.
    """
    loader = WebLoader(text if text.endswith("\n") else f"{text}\n", dates)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def plain(node: yaml.Node, seen: set[int]) -> None:
    """Resolve merge keys and foreign tags in place, below each node once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if not node.tag.startswith(_CORE):
            node.value, node.tag = f"{node.tag} {node.value}", f"{_CORE}str"
        return
    if isinstance(node, yaml.MappingNode):
        for _, child in node.value:
            plain(child, seen)
        node.value = list(merged(node))
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            plain(child, seen)


def merged(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """The pairs of a mapping, with those that `<<` takes over from others and that it does not set itself."""
    own = {key.value for key, _ in node.value if key.tag != _MERGE}
    for key, child in node.value:
        if key.tag != _MERGE:
            yield key, child
            continue
        for other in child.value if isinstance(child, yaml.SequenceNode) else [child]:
            for inner, value in other.value if isinstance(other, yaml.MappingNode) else []:
                if inner.value not in own:
                    own.add(inner.value)
                    yield inner, value


def read_jsonl(path: Path, within: Reach | None = None) -> Iterator[tuple[int, Json]]:
    """Line numbers and values of a JSONL file; blank lines are skipped.

    Raises:
        SuiteError: If a line is not JSON.
    """
    for number, line in enumerate(read_text(path, within).split("\n"), start=1):
        if line.strip():
            yield number, parse(line, f"{path}:{number}")


def parse(text: str, where: str) -> Json:
    """JSON text as data; NaN and infinities, which other tools write, become null."""
    Growth(len(text), where, error=SuiteError).spend(json_cost(text))
    try:
        value: Json = json.loads(text, parse_constant=lambda _: None, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"this is not JSON that can be read ({error})", where=where, fix="Correct it") from error
    return value


def finite(text: str) -> float | None:
    """A number, or None if it is too large for one."""
    number = float(text)
    return number if math.isfinite(number) else None


def read_csv(path: Path, within: Reach | None = None) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a CSV file with a header; missing cells are empty.

    Raises:
        SuiteError: If there is no header, a column stands twice, or a row has more cells than the header.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, within), newline=""), strict=True, restval="")
    try:
        columns = list(reader.fieldnames or ())
        if not columns or len(set(columns)) < len(columns):
            raise SuiteError("the first line must name every column once", where=str(path), fix="Write a header")
        rows = []
        for row in reader:
            if None in row:
                raise SuiteError(
                    "the row has more cells than the header",
                    where=f"{path}:{reader.line_num}",
                    fix='Quote cells that hold commas: "a, b"',
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise SuiteError(f"this is not CSV ({error})", where=f"{path}:{reader.line_num}", fix="Close quotes") from error
    return rows


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def listing(value: Any) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def strict(value: Json) -> Json:
    """A value that a dataset can hold: without numbers that JSON does not have and halves of surrogate pairs."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [strict(item) for item in value]
    if isinstance(value, dict):
        return {str(strict(key)): strict(item) for key, item in value.items()}
    return value
