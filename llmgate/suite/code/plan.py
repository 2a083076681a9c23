"""A suite in code and the tests that pytest collected of it → a planned suite, as one that was read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, ValidationError

from llmgate.errors import SuiteError
from llmgate.record.disk import JsonForm
from llmgate.suite.cases import Case, PlannedSuite, load_rows, plan_suite
from llmgate.suite.form.document import Document
from llmgate.suite.form.part import first_problem, worded
from llmgate.suite.form.prompt import Entries  # noqa: TC001 - pydantic reads it
from llmgate.suite.form.suite_file import SuitePart
from llmgate.suite.spec import CodeFacts, Suite, suite_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.suite.asserts import Vocabulary
    from llmgate.suite.code.definition import CodeSuite
    from llmgate.suite.code.source import TestSource
    from llmgate.suite.data.dataset import Dataset

__all__ = ["CODE_PLAN", "DEFAULT_METRIC", "CodePlan", "CollectedCase", "code_plan", "fed_by", "plan_code", "read_code"]

DEFAULT_METRIC: Final = "accuracy"
"""What a plain `assert` feeds."""


class CodePart(SuitePart):
    """What a suite in code says: a suite file without asserts, and not necessarily with a prompt."""

    prompt: Entries | None = Field(default=None)  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedCase:
    """A test item that pytest collected.

    Attributes:
        node: Its node id.
        row: The id of its row.
        case: The id of its case: the row's, unless several tests or parameters make several cases of a row.
        repeat: Which generation of it, from 0.
        metrics: The metrics that it feeds; None for all of the suite.
    """

    node: str
    row: str
    case: str
    repeat: int = 0
    metrics: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePlan:
    """All that another process needs to plan a suite in code, without importing the tests.

    Attributes:
        path: The file that declares it.
        document: What it says, as a suite file would.
        digest: SHA-256 over the source of its tests.
        metrics: What they feed.
        asserts: Their literal asserts.
        cases: What was collected.
        node: Node id of the file, below which its gates are.
        whole: Whether every row was collected, so that gates can be decided.
    """

    path: str
    document: Mapping[str, Any]
    digest: str
    metrics: tuple[str, ...]
    asserts: tuple[Mapping[str, Any], ...]
    cases: tuple[CollectedCase, ...]
    node: str
    whole: bool = True

    def gate(self, metric: str) -> str:
        """The name of a metric's gate below the file's node."""
        return f"gate::{self.document['suite']}::{metric}"


CODE_PLAN: Final[JsonForm[CodePlan]] = JsonForm(CodePlan)


def fed_by(source: TestSource) -> tuple[str, ...]:
    """The metrics that tests feed: those that they name, and that of plain asserts, or of nothing else."""
    named = source.metrics
    plain = source.plain or not named
    return tuple(dict.fromkeys((*((DEFAULT_METRIC,) if plain else ()), *named)))


def code_plan(suite: CodeSuite, cases: Sequence[CollectedCase], *, node: str, whole: bool) -> CodePlan:
    """What pytest collected of a suite.

    Raises:
        SuiteError: If the source of its tests cannot be read.
    """
    source = suite.source()
    return CodePlan(
        path=str(suite.path),
        document=suite.facts(),
        digest=source.digest,
        metrics=fed_by(source),
        asserts=source.asserts,
        cases=tuple(cases),
        node=node,
        whole=whole,
    )


def read_code(plan: CodePlan, vocabulary: Vocabulary, *, allowed: Sequence[str] = ()) -> Suite:
    """The suite, checked as far as it can be without its dataset.

    Raises:
        SuiteError: If it says what cannot be.
    """
    document = Document(path=Path(plan.path), data={**plan.document}, lines={})
    try:
        part = CodePart.model_validate({**plan.document, "assert": list(plan.asserts)})
    except ValidationError as error:
        problem = first_problem(error)
        what, fix = worded(problem, problem["loc"], CodePart)
        raise SuiteError(f"suite {plan.document.get('suite')!r}: {what}", where=plan.path, fix=fix) from error
    if part.gate.stopping is not None or part.serving is not None:
        what = "stop early" if part.gate.stopping is not None else "measure serving"
        raise SuiteError(f"a suite in code cannot {what}", where=plan.path, fix="Use a suite file for that")
    if part.prompt is None:
        part = part.model_copy(update={"prompt": []})
    facts = CodeFacts(digest=plan.digest, metrics=plan.metrics)
    return suite_of(document, part, vocabulary, allowed=allowed, code=facts)


def plan_code(
    plan: CodePlan,
    vocabulary: Vocabulary,
    *,
    repeat: int | None = None,
    allowed: Sequence[str] = (),
    load: Callable[[Suite], Dataset] = load_rows,
) -> PlannedSuite:
    """Plan the cases that were collected.

    Args:
        plan: What pytest collected.
        vocabulary: The assert types that exist.
        repeat: Overrides the suite's own number of repeats.
        allowed: Folders outside the project whose files it may name.
        load: As for `plan_suite`.

    Raises:
        DatasetError: If the dataset differs from its lock or cannot be read.
        SuiteError: If the suite says what cannot be.
    """
    planned = plan_suite(read_code(plan, vocabulary, allowed=allowed), vocabulary, repeat=repeat, load=load)
    rows = {case.planned.case: case for case in planned.cases}
    collected = {each.case: each for each in plan.cases}
    return replace(planned, cases=tuple(_case(rows[each.row], each) for each in collected.values()))


def _case(row: Case, collected: CollectedCase) -> Case:
    """The case of one test item: several of one row belong together."""
    own = collected.case == row.planned.case
    cluster = row.planned.cluster if own or row.planned.cluster is not None else collected.row
    planned = replace(row.planned, case=collected.case, cluster=cluster, metrics=collected.metrics)
    return replace(row, planned=planned, code=True)
