"""What is in a folder: suites that are run, files that might be one and are named, and files that are refused.

A file calls itself a suite by the key `llmgate` at its top level, as the parser of YAML and JSON sees it. Whoever looks
for suites, by command or by pytest, asks here, so that both find the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from llmgate.errors import SuiteError
from llmgate.record.disk import read_regular
from llmgate.suite.form.document import syntax_error, without_tabs
from llmgate.suite.form.signs import MARKER, MAX_BYTES, NEEDED_KEYS, SUFFIXES, is_marked, may_be_marked, plain, signs_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["SUFFIXES", "Found", "Sort", "is_suite_file", "left_out", "look_at", "look_into", "sort_content"]
UNSEARCHED: Final = (".*", "*.egg", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}", "__pycache__")
"""What pytest does not search by itself either."""
LOADERS: Final = tuple(getattr(yaml, name) for name in ("CSafeLoader", "SafeLoader") if hasattr(yaml, name))
"""The first is much faster, where it exists; the other is the one that reads suites, and has the last word."""
DEEPEST: Final = 200
"""Far more than a suite may be nested."""
SHOWN: Final = 5
MARK_IT: Final = f"Write `{MARKER}: 1` on its first line if it is a suite"


class Sort(StrEnum):
    """What becomes of a file."""

    RUN = "run"
    """It calls itself a suite."""
    LISTED = "listed"
    """It might be a suite; people are told that it is not run."""
    REFUSED = "refused"
    """It looks like a suite and cannot be read as one, or cannot be read at all: an error."""
    OTHER = "other"
    """It is something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """What the content of a file says: what becomes of it, and why, unless it is run."""

    sort: Sort
    what: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Sorting):
    """A file of a folder, or a folder that cannot be read."""

    path: Path

    @property
    def problem(self) -> SuiteError:
        """Why it is refused, as an error."""
        return SuiteError(self.what, where=str(self.path), fix=self.fix)


OTHER: Final = Sorting(sort=Sort.OTHER)


def is_suite_file(path: Path) -> bool:
    """Whether a file calls itself a suite."""
    return look_at(path).sort is Sort.RUN


def sort_content(data: bytes) -> Sorting:
    """Sort a file by its content.

    Args:
        data: The file, or its beginning if it is longer than a suite may be.
    """
    if len(data) > MAX_BYTES:
        what = f"the file has more than {MAX_BYTES} bytes"
        return _unreadable(data, what, "Move the rows into a dataset", otherwise=Sort.LISTED)
    if not may_be_marked(data, (MARKER, *NEEDED_KEYS)):
        return OTHER
    try:
        roots = _roots(without_tabs(data.decode()))
    except UnicodeDecodeError:
        return _unreadable(data, "the file is not UTF-8", "Save it as UTF-8", otherwise=Sort.LISTED)
    except yaml.YAMLError as error:
        problem = syntax_error(Path(), error)
        return _unreadable(data, problem.what, str(problem.fix))
    except RecursionError:
        return _unreadable(data, "the file is nested too deeply", "Flatten it")
    return max(map(_root, roots), key=_weight, default=OTHER)


def look_at(path: Path) -> Found:
    """Sort a file that is named as a suite would be, by its content."""
    try:
        data = read_regular(path, at_most=MAX_BYTES + 1)
    except OSError as error:
        content = Sorting(
            sort=Sort.REFUSED,
            what=f"cannot be read ({error.strerror}), so nobody knows whether it is a suite",
            fix="Make it readable, or take it out of the folder",
        )
    else:
        content = sort_content(data)
        if content.sort is Sort.LISTED and len(data) > MAX_BYTES and path.suffix.lower() == ".json":
            content = OTHER  # data is often kept so
    return Found(path=path, sort=content.sort, what=content.what, fix=content.fix)


def look_into(folder: Path) -> list[Found]:
    """Sort every file below a folder that is named, or nearly named, as a suite would be, by path.

    Symlinks are followed. A suite in a folder that pytest does not search by itself is listed, and nothing else there.
    """
    return sorted(_walk(folder, searched=True, seen=set()), key=lambda found: found.path)


def left_out(found: Iterable[Found]) -> list[str]:
    """Word what is not run: a line for each file that might be a suite, and one for all that are something else."""
    found = list(found)
    lines = [
        f"not run: {each.path}: {each.what}. {each.fix}" for each in found if each.sort in {Sort.LISTED, Sort.REFUSED}
    ]
    others = [each.path for each in found if each.sort is Sort.OTHER]
    named = [str(path) for path in others if path.suffix.lower() != ".json"]
    rest = len(others) - len(named[:SHOWN])
    if named:
        lines.append(f"not suites: {', '.join(named[:SHOWN])}" + (f" and {rest} more" if rest else ""))
    return lines


def _walk(folder: Path, *, searched: bool, seen: set[tuple[str, bool]]) -> Iterator[Found]:
    real = os.path.realpath(folder)
    if not seen.isdisjoint({(real, True), (real, searched)}):
        return  # a second way to the same files
    seen.add((real, searched))
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if searched:
            what = f"the folder cannot be searched ({error.strerror})"
            yield Found(path=folder, sort=Sort.REFUSED, what=what, fix="Make it readable, or take it out")
        return
    for entry in entries:
        path = folder / entry.name
        # Symlinks are followed where suites are expected; package managers weave webs of them elsewhere.
        if entry.is_dir(follow_symlinks=False) or (searched and os.path.isdir(path)):  # noqa: PTH112 - never raises
            yield from _walk(path, searched=searched and not _is_unsearched(path), seen=seen)
        elif searched:
            yield from _file(path)
        elif entry.name.lower().endswith(SUFFIXES) and _is_marked_file(path):
            what = "it calls itself a suite, but its folder is not searched, as pytest would not"
            yield Found(path=path, sort=Sort.LISTED, what=what, fix="Name the folder, or move the suite")


def _file(path: Path) -> Iterator[Found]:
    """A file, unless its name has nothing of a suite's."""
    name = path.name.lower()
    if name.startswith(".#"):
        return  # an editor's lock, which is a symlink to nowhere on purpose
    if name.endswith(SUFFIXES):
        yield look_at(path)
    elif ".yaml" in name or ".yml" in name:
        if _is_marked_file(path):
            what = f"it calls itself a suite, but its name does not end in {', '.join(SUFFIXES)}"
            yield Found(path=path, sort=Sort.LISTED, what=what, fix="Rename it if it is to run")
        else:
            yield Found(path=path, sort=Sort.OTHER)
    elif os.path.islink(path) and not path.suffix and not os.path.exists(path):  # noqa: PTH110, PTH114 - never raise
        what = "the symlink leads nowhere, so nobody knows whether there were suites"
        yield Found(path=path, sort=Sort.LISTED, what=what, fix="Mend or remove it")


def _is_marked_file(path: Path) -> bool:
    """Whether a file that would not be run calls itself a suite; a file without the word costs no parsing."""
    try:
        data = read_regular(path, at_most=MAX_BYTES + 1)
    except OSError:
        return False
    return may_be_marked(data) and sort_content(data).sort is Sort.RUN


def _is_unsearched(folder: Path) -> bool:
    """Whether pytest, left to itself, would not search a folder: by its name, or as it is a virtual environment."""
    return any(fnmatch(folder.name, pattern) for pattern in UNSEARCHED) or any(
        os.path.isfile(folder / mark)  # noqa: PTH113 - never raises
        for mark in ("pyvenv.cfg", "conda-meta/history")
    )


def _roots(text: str) -> list[yaml.Node]:
    """What stands at the top of each document of a file.

    Raises:
        yaml.YAMLError: If no reader can parse it.
        RecursionError: If it is nested too deeply.
    """
    for loader in LOADERS[:-1]:
        try:
            _check_depth(text, loader)
            return list(yaml.compose_all(text, Loader=loader))
        except (yaml.YAMLError, RecursionError, UnicodeError):
            continue
    return list(yaml.compose_all(text, Loader=LOADERS[-1]))


def _check_depth(text: str, loader: Any) -> None:
    """Refuse what the reader written in C would die of: it has no bound of its own, and no exception."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise RecursionError


def _root(root: yaml.Node) -> Sorting:
    """Sort one document."""
    if isinstance(root, yaml.MappingNode):
        return _mapping(root)
    members = root.value if isinstance(root, yaml.SequenceNode) else []
    inside = [_mapping(member) for member in members if isinstance(member, yaml.MappingNode)]
    if any(content.sort in {Sort.RUN, Sort.REFUSED} for content in inside):
        return Sorting(
            sort=Sort.REFUSED,
            what=f"the key `{MARKER}` does not stand at the top level, but in a list",
            fix="Write a suite's keys without `-` in front, one suite a file",
        )
    if isinstance(root, yaml.ScalarNode):
        return _unreadable(root.value.encode(errors="replace"), "the file holds one text and no keys", "Unquote it")
    return OTHER


def _mapping(node: yaml.MappingNode) -> Sorting:
    """Sort a document with keys."""
    keys = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    if MARKER in keys:
        return Sorting(sort=Sort.RUN)
    needed = sorted(NEEDED_KEYS & set(map(plain, keys)))
    marker = next(filter(is_marked, keys), None)
    if marker is not None:
        sure = needed or isinstance(keys[marker], yaml.ScalarNode)
        what = f"the key {marker!r} is not quite `{MARKER}`"
        return Sorting(sort=Sort.REFUSED if sure else Sort.LISTED, what=what, fix=MARK_IT)
    if "<<" in keys and any(_has_marker(value) for key, value in node.value if key.value == "<<"):
        what = f"the key `{MARKER}` is merged in by `<<`"
        return Sorting(sort=Sort.REFUSED, what=what, fix=MARK_IT)
    if len(needed) > 1:
        what = f"it has the keys {', '.join(f'`{key}`' for key in needed)}, but no key `{MARKER}`"
        return Sorting(sort=Sort.LISTED, what=what, fix=MARK_IT)
    return OTHER


def _has_marker(node: yaml.Node) -> bool:
    """Whether a merged mapping, or one of a list of them, has the marker."""
    mappings = node.value if isinstance(node, yaml.SequenceNode) else [node]
    pairs = (pair for each in mappings if isinstance(each, yaml.MappingNode) for pair in each.value)
    return any(isinstance(key, yaml.ScalarNode) and is_marked(key.value) for key, _ in pairs)


def _unreadable(data: bytes, what: str, fix: str, *, otherwise: Sort = Sort.OTHER) -> Sorting:
    """A file that cannot be read as a suite: refused if it looks like one all the same."""
    signs = signs_in(data)
    if MARKER in signs or len(signs & NEEDED_KEYS) > 1:
        looks = ", ".join(f"`{key}`" for key in sorted(signs))
        return Sorting(sort=Sort.REFUSED, what=f"{what}, and it looks like a suite ({looks})", fix=fix)
    return Sorting(sort=otherwise, what=what, fix=f"{fix} if it is a suite") if otherwise is not Sort.OTHER else OTHER


def _weight(content: Sorting) -> int:
    """Of several documents in one file the one that matters most."""
    return [Sort.OTHER, Sort.LISTED, Sort.REFUSED, Sort.RUN].index(content.sort)
