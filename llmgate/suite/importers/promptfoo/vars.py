"""Variables of promptfoo's tests: files, combinations of lists, templates in values."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError, TemplateError
from llmgate.suite.importers.files import ForeignFile, beside, listing, mapping, read_text
from llmgate.suite.importers.promptfoo.prompts import is_code, matching
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED
from llmgate.suite.template.nunjucks import Template
from llmgate.suite.template.promptfoo import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.suite.importers.result import Notebook

__all__ = ["Place", "VariableFile", "check_cases", "expanded", "lists_in", "load_vars", "transformed"]

MAX_CASES: Final = 150_000
"""Of an import."""
FILE: Final = "file://"
MAX_CODE: Final = 10_000
"""Characters of `transformVars` that are looked at."""
_PICTURES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".svg", ".tif", ".tiff", ".ico", ".avif", ".heic", ".heif"),
        *(".mp4", ".mpeg", ".mpg", ".mov", ".avi", ".wmv", ".mkv", ".webm", ".wav", ".mp3", ".ogg", ".m4a", ".flac"),
        *(".aac", ".wma", ".opus", ".flv", ".m4v", ".aiff"),
    }
)


class Place:
    """Words where parts of a test stand."""

    def __init__(self, fixed: str, source: ForeignFile | None = None, location: tuple[str | int, ...] = ()) -> None:
        self.fixed, self.source, self.location = fixed, source, location

    def __call__(self, *location: str | int) -> str:
        """`file:line` of a part."""
        if self.fixed or self.source is None:
            return self.fixed
        return self.source.where(*self.location, *location)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableFile:
    """A file, or a pattern of files, that a variable stands for; read when a case is made.

    Attributes:
        written: As written, `file://` included.
        path: The file, None for a pattern or a file not looked for yet.
        source: What names it.
        where: Where.
    """

    written: str
    path: Path | None = None
    source: ForeignFile
    where: str

    def each(self) -> list[VariableFile]:
        """One for each file that the pattern matches; itself if there is none, or no pattern."""
        name = self.written.removeprefix(FILE)
        try:
            paths = matching(self.source, name, self.where, base=self.source.base)
        except SuiteError:
            return [self]
        return [
            VariableFile(written=self.written, path=path, source=self.source, where=self.where) for path in paths
        ] or [self]

    def value(self, notes: Notebook) -> str | None:
        """What promptfoo makes of the file; None for an empty YAML file.

        Raises:
            SuiteError: If it cannot be read, or is of a kind that is not carried over.
        """
        name = self.written.removeprefix(FILE)
        if is_code(name) or not self.written.startswith(FILE):
            raise SuiteError("code is not run")
        path = self.path or matching(self.source, name, self.where, base=self.source.base)[0]
        if path.suffix == ".pdf":
            raise SuiteError("text is not taken out of PDF files")
        if path.suffix.lower() in _PICTURES:
            raise SuiteError("requests of a suite hold texts, no pictures, sounds or films")
        if path.suffix in {".yaml", ".yml"}:
            data = notes.once(path, partial(beside, path, self.source)).data
            return None if data is None else javascript.json_text(data)
        return javascript.trim(notes.once(path, partial(read_text, path, self.source.reach)))


def load_vars(written: Any, where: Place, notes: Notebook) -> dict[str, Any] | None:
    """Variables, those of the files that `vars:` names included; None if there are none to be had, which is noted.

    Files that a variable stands for are not read yet: a later layer may replace it.
    """
    source = where.source
    names = [written] if isinstance(written, str) else listing(written)
    loaded: dict[str, Any] = dict(mapping(written))
    if source is None:
        return loaded
    for name in names:
        if str(name).startswith(FILE):
            # promptfoo 0.123 looks for a folder of the name `file:`, and goes on without variables.
            notes.setting(f"`vars: {name}` is read, though promptfoo finds no file under such a name", where("vars"))
        for path in found(str(name), source, where("vars"), notes):
            if is_code(path.name):
                notes.lost(f"the test, because its variables come from {name}: code is not run", where("vars"))
                return None
            try:
                loaded |= values_in(path, source, notes)
            except SuiteError as error:
                notes.lost(f"the test, because its variables in {name} cannot be read: {error.what}", where("vars"))
                return None
    for key in loaded:
        if source.lines.get((*where.location, "vars", key)) in source.dates:
            notes.setting(
                f"the variable {key!r} is a date, which stays as written: promptfoo takes it for an object",
                where("vars", key),
            )
    return {key: referenced(value, source, where("vars", key)) for key, value in loaded.items()}


def values_in(path: Path, source: ForeignFile, notes: Notebook) -> dict[str, Any]:
    """The variables of a file.

    Raises:
        SuiteError: If it, or a file of data that it names, cannot be read.
    """
    inner = notes.once(path, partial(beside, path, source))
    return {key: external(value, inner, inner.where(key), notes) for key, value in mapping(inner.data).items()}


def found(name: str, source: ForeignFile, where: str, notes: Notebook) -> list[Path]:
    """The files that a name in `vars:` stands for; notes if there is none."""
    if is_code(name):
        return [source.path.parent / name]
    try:
        paths = [path for path in matching(source, name.removeprefix(FILE), where) if path.exists()]
    except SuiteError as error:
        if error.where == where:
            raise  # it leads where no file may be named
        paths = []
    if not paths:
        notes.lost(f"variables of {name}, where there is no file", where)
    return paths


def referenced(value: Any, source: ForeignFile, where: str) -> Any:
    """A value, files that it names as `VariableFile`."""
    if isinstance(value, str) and value.startswith((FILE, "package:")):
        return VariableFile(written=value, source=source, where=where)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [referenced(item, source, where) if isinstance(item, str) else item for item in value]
    return value


def external(value: Any, source: ForeignFile, where: str, notes: Notebook) -> Any:
    """What a value in a file of variables stands for: there promptfoo reads files as data, lists of YAML included."""
    if not isinstance(value, str) or not value.startswith(FILE) or is_code(value):
        return value
    name = value.removeprefix(FILE)
    suffix = name[name.rfind(".") :]
    if suffix not in {".json", ".yaml", ".yml"}:
        return value
    paths = matching(source, name, where, base=source.base)
    read = [notes.once(path, partial(beside, path, source)).data for path in paths]
    if len(read) == 1 and not any(sign in name for sign in "*?["):
        return read[0]
    return [item for data in read for item in (data if isinstance(data, list) else [data])]


def lists_in(variables: Mapping[str, Any], *, keep: bool) -> dict[str, list[Any]]:
    """The variables that stand for one case per text or file; none if lists stay as they are."""
    lists = {}
    for key, value in variables.items():
        if isinstance(value, VariableFile):
            lists[key] = [value] if keep else value.each()
        elif isinstance(value, list) and value and isinstance(value[0], str | VariableFile) and not keep:
            lists[key] = value
    return lists


def expanded(variables: Mapping[str, Any], where: str, notes: Notebook, *, keep: bool) -> Iterator[dict[str, Any]]:
    """The combinations of a test's variables, as its asserts see them.

    Each list of texts, and each pattern of files, stands for one case per text or file.

    Args:
        variables: Name to value.
        where: Place of the test.
        notes: Cases that are left out.
        keep: Whether lists stay as they are.
    """
    lists = lists_in(variables, keep=keep)
    for chosen in itertools.product(*lists.values()):
        values = with_files({**variables, **dict(zip(lists, chosen, strict=True))}, notes)
        if values is not None:
            yield settled(values, partial(notes.growth.spend, where=where))


def with_files(values: dict[str, Any], notes: Notebook) -> dict[str, Any] | None:
    """Variables with the content of their files; None if one cannot be had, which is noted."""
    for key, value in list(values.items()):
        if not isinstance(value, VariableFile):
            continue
        try:
            content = value.value(notes)
        except SuiteError as error:
            if error.where == value.where:
                raise  # it leads where no file may be named
            why = f"its variable {key!r} is {value.written[:80]}: {error.what}"
            notes.lost(f"the case, because {why}", value.where)
            return None
        values[key] = content
        if content is None:
            del values[key]
    return values


def check_cases(count: int, where: str) -> None:
    """Refuse an import that multiplies.

    Raises:
        SuiteError: With the limit.
    """
    if count > MAX_CASES:
        raise SuiteError(
            f"prompts, scenarios and lists of variables make {count} cases, more than {MAX_CASES}",
            where=where,
            fix="Shorten the lists, or import a part of the tests at a time",
        )


_MEMBER: Final = re.compile(r"\s*(?:\.\.\.vars|([A-Za-z_$][\w$]*|\"[^\"\\]*\"|'[^'\\]*')\s*:\s*(.*))\s*", re.DOTALL)
_WORDS: Final = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"|[0-9]+(?:\.[0-9]+)?|\.?[A-Za-z_$][\w$]*|[][().,+\s]")
_RANDOM: Final = "context.uuid"


def transformed(variables: dict[str, Any], code: Any, where: str, notes: Notebook) -> dict[str, Any] | None:
    """Variables after `transformVars`, as far as it is an object of simple expressions: `{...vars, a: vars.b.trim()}`.

    Args:
        variables: Name to value, files not read.
        code: As written; nothing for none.
        where: Place of the test.
        notes: What cannot be carried over.

    Returns:
        The variables; None if the code is any other, so that the test has to be left out, which is noted.
    """
    if not code:
        return variables
    made: dict[str, Any] = {}
    for name, expression in members_of(code):
        if expression == _RANDOM:
            notes.setting(
                f"the variable {name!r} is a new random id in each case of promptfoo's; it is left out", where
            )
            continue
        try:
            value = evaluated(expression, variables)
        except TemplateError:
            notes.lost("the test, because its variables go through `transformVars`: such code is not run", where)
            return None
        if value is not UNDEFINED:
            made[name] = value
    return {**variables, **made}


def members_of(code: Any) -> list[tuple[str, str]]:
    """Names and expressions of an object; one that cannot be evaluated for all other code."""
    other = [("", "")]
    text = code.strip().rstrip(";") if isinstance(code, str) else ""
    text = text.removeprefix("return ").strip().removeprefix("(").removesuffix(")").strip()
    if len(text) > MAX_CODE or not (text.startswith("{") and text.endswith("}")):
        return other
    members, depth, start, quote = [], 0, 1, ""
    for i, sign in enumerate(text):
        if quote or sign in "'\"`":
            quote = "" if sign == quote else quote or sign
        elif sign in "{[(":
            depth += 1
        elif sign in "}])":
            depth -= 1
        if not quote and ((sign == "," and depth == 1) or (depth == 0 and i == len(text) - 1)):
            members.append(text[start:i])
            start = i + 1
    found = [_MEMBER.fullmatch(member) for member in members if member.strip()]
    if quote or depth or not all(found):
        return other
    return [(match[1].strip("'\""), match[2].strip()) for match in found if match and match[1]]


def evaluated(expression: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression of `vars`, texts and numbers, sums and calls of methods.

    Raises:
        TemplateError: If it has any other part, or needs a file that is not read yet.
    """
    words = _WORDS.findall(expression)
    names = [word for word in words if word[0].isalpha() or word[0] in "_$"]
    if "".join(words) != expression or not words or set(names) - {"vars", "true", "false", "null"}:
        raise TemplateError("this is more than can be evaluated")
    if any(
        isinstance(value, VariableFile) and re.search(rf"\b{re.escape(key)}\b", expression)
        for key, value in variables.items()
    ):
        raise TemplateError("it needs a file")
    return Template.compile(f"{{{{ {expression} }}}}").value({"vars": variables})
