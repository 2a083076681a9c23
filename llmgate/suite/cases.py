"""Row × prompt × repeat → cases: what will be asked, word for word, before anything is asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import DatasetError, SuiteError, did_you_mean
from llmgate.record.looks import LookPlan
from llmgate.record.manifest import SuiteIdentity
from llmgate.record.order import plan_looks
from llmgate.record.schema import PlannedCase
from llmgate.suite.asserts import AssertSpec, Json, with_members
from llmgate.suite.case import Case, CaseSpool
from llmgate.suite.data.dataset import Dataset, load_dataset
from llmgate.suite.data.strict_json import value_text
from llmgate.suite.form.drift import case_features, check_formats
from llmgate.suite.form.gate import fed_metrics
from llmgate.suite.form.part import placed
from llmgate.suite.prompt.entries import Conversation
from llmgate.suite.prompt.few_shot_leaks import Leak, find_leaks
from llmgate.suite.prompt.render import RenderedPrompt, compile_prompt
from llmgate.suite.row_asserts import RowTest, read_row_tests
from llmgate.suite.spec import Suite
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmgate.suite.asserts import Vocabulary
    from llmgate.suite.data.rows import Row

__all__ = ["Case", "PlannedSuite", "load_rows", "plan_suite"]

EXPECTED_CHARS: Final = 300
ENCODER: Final = json.JSONEncoder(sort_keys=True, allow_nan=False)
MESSAGES: Final = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSuite:
    """A suite with its dataset loaded and all its cases rendered.

    Attributes:
        suite: The suite.
        dataset: Its rows.
        cases: What is asked.
        warnings: What somebody should look at, although the suite can run.
        looks: When it may stop early, None if it may not.
    """

    suite: Suite
    dataset: Dataset
    cases: tuple[Case, ...]
    warnings: tuple[str, ...] = ()
    looks: LookPlan | None = None

    def identity(self, path: str) -> SuiteIdentity:
        """What the run record says about this suite."""
        return SuiteIdentity(
            name=self.suite.name,
            version=self.suite.version,
            digest=self.suite.digest,
            path=path,
            dataset_version=self.dataset.version,
            dataset_digest=self.dataset.digest,
            cases=len(self.cases),
            description=self.suite.description,
        )


def load_rows(suite: Suite) -> Dataset:
    """The rows of a suite.

    Raises:
        DatasetError: If the dataset differs from its lock or cannot be read.
    """
    return load_dataset(suite.source, id_column=suite.id_column)


def plan_suite(
    suite: Suite,
    vocabulary: Vocabulary,
    *,
    repeat: int | None = None,
    load: Callable[[Suite], Dataset] = load_rows,
) -> PlannedSuite:
    """Load the dataset, check that it fits the suite, and render every case.

    Args:
        suite: The suite.
        vocabulary: Checks the values of asserts against the rows.
        repeat: Overrides the suite's own number of repeats.
        load: Finds the rows, where they may have been read already.

    Raises:
        DatasetError: If the dataset differs from its lock or cannot be read.
        SuiteError: If a column is missing, a template fails, an assert's value is impossible, or no case results.
    """
    dataset = load(suite)
    check_columns(suite, dataset)
    check_clusters(suite, dataset)
    suite = with_messages(suite, dataset)
    prompt = compile_prompt(
        suite.prompt,
        suite.tools,
        dataset.columns,
        suite_folder=suite.path.parent,
        source=suite.source,
        reach=suite.reach,
    )
    tests = read_row_tests(suite, dataset, vocabulary)
    suite = tests.suite
    # Rendered twice where there are examples to compare with: all prompts at once may not fit into memory.
    leaks = check_leaks(suite, find_leaks(prompt, dataset.rows, (prompt.render(row).wire for row in dataset.rows)))
    check_prices(suite, tests.rows)
    template_of, spool = ValueTemplates(suite.asserts), CaseSpool()
    cases = tuple(
        spool.keep(
            plan_case(suite, row, prompt.render(row), test, template_of, repeats=repeat or suite.repeat, own=tests.own)
        )
        for row, test in zip(dataset.rows, tests.rows, strict=True)
    )
    if not cases:
        raise SuiteError("the dataset has no rows, so nothing would be evaluated", where=str(suite.path))
    check_formats(suite.metrics, [case.planned for case in cases], suite.gates.where_drift("schema"))
    looks = planned_looks(suite, cases)
    return PlannedSuite(suite=suite, dataset=dataset, cases=cases, warnings=(*unversioned(suite), *leaks), looks=looks)


def with_messages(suite: Suite, dataset: Dataset) -> Suite:
    """A suite in code that says no prompt asks what the column `messages` holds, if there is one."""
    if suite.code is None or suite.prompt or MESSAGES not in dataset.columns:
        return suite
    return replace(suite, prompt=(Conversation(path=(MESSAGES,), where=str(suite.path)),))


def unversioned(suite: Suite) -> tuple[str, ...]:
    """That a suite says no version, which its first one need not."""
    if suite.version_given:
        return ()
    return (f"{suite.path}: no version is given, so it is {suite.version}. Raise it when questions or asserts change",)


def check_columns(suite: Suite, dataset: Dataset) -> None:
    """Refuse `case:` columns that the dataset does not have."""
    own = (suite.assert_column, suite.threshold_column)
    for column in (suite.id_column, suite.cluster_column, *suite.slice_columns, *own):
        if column is not None and column not in dataset.columns:
            raise SuiteError(
                f"the dataset {suite.source.name} has no column {column!r}",
                where=str(suite.path),
                fix=did_you_mean(column, dataset.columns),
            )


def check_clusters(suite: Suite, dataset: Dataset) -> None:
    """Refuse rows of which nobody knows to what they belong: together they would pass for one big cluster."""
    if suite.cluster_column is None:
        return
    values = ((row, row.values[suite.cluster_column]) for row in dataset.rows)
    blank = [row for row, value in values if value is None or (isinstance(value, str) and not value.strip())]
    if blank:
        more = f", and neither have {len(blank) - 1} more" if len(blank) > 1 else ""
        raise DatasetError(
            f"row {blank[0].id!r} has no {suite.cluster_column!r}, which is the cluster column{more}",
            where=f"{suite.source.name}:{blank[0].line}",
            fix="Name what each row belongs to; a row that stands for itself gets a name of its own, such as its id",
        )


def check_prices(suite: Suite, tests: Sequence[RowTest]) -> None:
    """Refuse asserts of costs that nobody could know."""
    priced = (spec for test in tests for spec in with_members(test.asserts) if spec.type == "cost")
    spec = next(priced, None)
    if spec is not None and suite.prices is None:
        raise SuiteError(
            "the assert needs to know what tokens cost",
            where=spec.where,
            fix="Add `prices: {prompt: 0.15, completion: 0.6}` for a million tokens to the suite",
        )


def check_leaks(suite: Suite, leaks: Sequence[Leak]) -> tuple[str, ...]:
    """Refuse examples that are test rows, and word those that nearly are.

    Raises:
        SuiteError: If a row stands in the prompt word for word, unless the suite allows it.
    """
    if suite.allow_leakage:
        return ()
    exact = [leak for leak in leaks if leak.exact]
    if exact:
        more = f", and {len(exact) - 1} more" if len(exact) > 1 else ""
        raise SuiteError(
            f"the prompt gives test rows away: {exact[0]}{more}",
            where=str(suite.path),
            fix="Take other examples, or write `allow-leakage: true` if that is meant",
        )
    return tuple(f"{suite.path}: {leak}" for leak in leaks)


def plan_case(
    suite: Suite,
    row: Row,
    rendered: RenderedPrompt,
    test: RowTest,
    template_of: ValueTemplates,
    *,
    repeats: int,
    own: bool,
) -> Case:
    """One row with what it asks."""
    variables = row.values
    body: dict[str, Json] = {"messages": list(rendered.wire), **suite.sampling}
    if rendered.tools:
        body["tools"] = rendered.tools
    return Case(
        planned=PlannedCase(
            suite=suite.name,
            case=row.id,
            repeats=repeats,
            cluster=value_text(variables.get(suite.cluster_column)) if suite.cluster_column else None,
            slices={name: value_text(variables.get(name)) for name in suite.slice_columns},
            messages=rendered.messages,
            expected=template_of.expected(test.asserts, variables),
            metrics=fed_metrics(test.asserts) if own or (suite.watches and not test.asserts) else None,
            threshold=test.threshold,
            request_digest=hashlib.sha256(ENCODER.encode(body).encode()).hexdigest(),
            traits=case_features(test.asserts),
        ),
        body=body,
        variables=variables,
        asserts=test.asserts,
        prices=suite.prices,
    )


def planned_looks(suite: Suite, cases: Sequence[Case]) -> LookPlan | None:
    """When a suite looks at its results.

    Args:
        suite: The suite.
        cases: All its cases.

    Returns:
        None if it does not stop early.

    Raises:
        SuiteError: If the looks are impossible, or cases that must never be wrong could stay unasked.
    """
    part = suite.gates.block.stopping
    if part is None:
        return None
    where = suite.gates.where("stopping")
    must = next((spec for case in cases for spec in case.asserts if spec.required), None)
    if must is not None and not part.required:
        raise SuiteError(
            f"the suite may stop before all cases are asked, and {must.name!r} must never fail",
            where=where,
            fix="Remove `stopping:`, or write `stopping: {required: true}` if such a case may stay unasked",
        )
    if part.extend is not None and part.extend.cases >= len(cases):
        raise SuiteError(
            f"the suite has {len(cases)} cases, so there is none before a reserve of {part.extend.cases}",
            where=where,
            fix="Give fewer cases to `extend:`, or more rows to the dataset",
        )
    if isinstance(part.looks, list) and part.looks[-1] != 1:
        raise SuiteError(
            f"the last look is at {part.looks[-1]:g} of the cases, but must be at all",
            where=where,
            fix="End the list with 1, for example `looks: [0.3, 0.6, 1]`",
        )
    with placed(where):
        return plan_looks(
            [case.planned for case in cases],
            seed=part.seed,
            fractions=part.fractions(len(cases)),
            reserve=part.extend.cases if part.extend else 0,
        )


class ValueTemplates:
    """The values of asserts as templates, each compiled once for all rows; None for values that are no text.

    Args:
        shared: Asserts that many rows have: where no value depends on the row, they are worded once.
    """

    def __init__(self, shared: tuple[AssertSpec, ...] = ()) -> None:
        self._compiled: dict[int, tuple[AssertSpec, Template | None]] = {}
        self._shared = shared
        self._constant = _expected(shared, self, {}) if all(map(self._is_constant, shared)) else None

    def expected(self, asserts: tuple[AssertSpec, ...], variables: Mapping[str, Json]) -> str:
        """Word what asserts look for in a case, for a reader."""
        if asserts is self._shared and self._constant is not None:
            return self._constant
        return _expected(asserts, self, variables)

    def _is_constant(self, spec: AssertSpec) -> bool:
        return all(template is None or template.constant for template in map(self, spec.leaves))

    def __call__(self, spec: AssertSpec) -> Template | None:
        """The template of one assert's value."""
        if id(spec) not in self._compiled:
            template = Template.compile(spec.value, where=spec.where) if isinstance(spec.value, str) else None
            # Kept with the spec, so that its id is not used again.
            self._compiled[id(spec)] = (spec, template)
        return self._compiled[id(spec)][1]


def _expected(asserts: Sequence[AssertSpec], template_of: ValueTemplates, variables: Mapping[str, Json]) -> str:
    parts = []
    for spec in (leaf for each in asserts for leaf in each.leaves):
        template = template_of(spec)
        if spec.value is None:
            parts.append(spec.name)
        elif template is not None:
            parts.append(f"{spec.name}: {template.render(variables)}")
        else:
            parts.append(f"{spec.name}: {json.dumps(spec.value, ensure_ascii=False)}")
    joined = "\n".join(parts)
    return joined if len(joined) <= EXPECTED_CHARS else joined[: EXPECTED_CHARS - 1] + "…"
