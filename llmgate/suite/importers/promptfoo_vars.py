"""Variables of promptfoo's tests: files, combinations of lists, templates in values."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError, TemplateError
from llmgate.suite.importers.files import listing, mapping, read_source, read_text
from llmgate.suite.importers.promptfoo_prompts import matching
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.result import Notebook

__all__ = ["Place", "check_cases", "expanded", "filled", "lists_in", "load_vars"]

MAX_CASES: Final = 150_000
"""Of an import."""


class Place:
    """Words where parts of a test stand."""

    def __init__(self, fixed: str, source: ForeignFile | None = None, location: tuple[str | int, ...] = ()) -> None:
        self.fixed, self.source, self.location = fixed, source, location

    def __call__(self, *location: str | int) -> str:
        """`file:line` of a part."""
        return self.source.where(*self.location, *location) if self.source else self.fixed


def load_vars(written: Any, where: Place, notes: Notebook) -> dict[str, Any] | None:
    """Variables with the files that they name; None if one cannot be read, which is noted."""
    source = where.source
    names = [written] if isinstance(written, str) else listing(written)
    loaded: dict[str, Any] = dict(mapping(written))
    for name in names:
        if source is not None:
            for path in matching(source, str(name).removeprefix("file://"), where("vars")):
                inner = notes.once(path, partial(read_source, path, source.reach))
                loaded |= mapping(inner.data)
    for key, value in loaded.items():
        if isinstance(value, str) and value.startswith("file://"):
            name = value.removeprefix("file://")
            if source is None or not name.endswith((".txt", ".md")):
                notes.lost(f"the test, because its variable {key!r} comes from {value}", where("vars", key))
                return None
            path = source.named(name, where("vars", key))
            loaded[key] = notes.once(path, partial(read_text, path, source.reach)).strip()
    return loaded


def lists_in(variables: Mapping[str, Any], *, keep: bool) -> dict[str, list[Any]]:
    """The variables that stand for one case per text; none if lists stay as they are."""
    return {
        key: value
        for key, value in variables.items()
        if isinstance(value, list) and value and isinstance(value[0], str) and not keep
    }


def expanded(variables: Mapping[str, Any], where: str, notes: Notebook, *, keep: bool) -> Iterator[dict[str, Any]]:
    """The combinations of a test's variables: each list of texts stands for one case per text.

    Templates inside variables are filled in from the other variables, as promptfoo does.

    Args:
        variables: Name to value.
        where: Place of the test.
        notes: What cannot be filled in.
        keep: Whether lists stay as they are.
    """
    lists = lists_in(variables, keep=keep)
    for chosen in itertools.product(*lists.values()):
        yield filled({**variables, **dict(zip(lists, chosen, strict=True))}, where, notes)


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


def filled(variables: dict[str, Any], where: str, notes: Notebook) -> dict[str, Any]:
    """Variables whose templates are rendered, one after the other."""
    for key, value in variables.items():
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            try:
                variables[key] = Template.compile(value).render(variables)
            except TemplateError as error:
                notes.lost(f"the template in variable {key!r} is kept as it is: {error.what}", where)
    return variables
