"""Suite files → everything that will be asked, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llmgate.errors import PolicyError, SuiteError, UsageError
from llmgate.record.looks import LookPlan
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import DEFAULT_RESERVE, DEFAULT_SLICE_ALPHA, Binding, OnInconclusive, Policy
from llmgate.report.words import plural
from llmgate.score.assertion.definition import Need
from llmgate.score.vocabulary import VOCABULARY, Checks
from llmgate.session.run.custom_checks import beside_suites
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.cases import Case, PlannedSuite, plan_suite
from llmgate.suite.folder import Found, Sort, left_out, look_into
from llmgate.suite.form.policy import override_policy
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from llmgate.session.settings.typed import Settings

__all__ = ["Plan", "find_suites", "make_plan", "plan_file", "plan_paths"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        suites: All suites with their cases.
        cases: The selected cases, in order; all of them unless a part was selected.
        policy: What is gated.
        gated: Names of the suites that run whole; a part of a suite decides nothing and measures no serving.
        vocabulary: The assert types that exist, those of users included.
        looks: When those of the suites that run whole may stop early.
        left_out: What lies in the named folders and is not run, in words.
        asserts: Every different assert of the selected cases, the members of sets included, sets themselves not.
    """

    suites: tuple[PlannedSuite, ...]
    cases: tuple[Case, ...]
    policy: Policy
    gated: frozenset[str]
    vocabulary: Checks = VOCABULARY
    looks: tuple[LookPlan, ...] = ()
    left_out: tuple[str, ...] = ()
    asserts: tuple[AssertSpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        shared = {id(case.asserts): case.asserts for case in self.cases}
        seen = {id(spec): spec for specs in shared.values() for spec in specs}
        found = tuple(member for spec in seen.values() for member in (spec.asserts or (spec,)))
        object.__setattr__(self, "asserts", found)

    @property
    def defers(self) -> bool:
        """Whether any assert is evaluated with models at hand."""
        return any(map(self.vocabulary.defers, self.asserts))

    @property
    def needs(self) -> frozenset[Need]:
        """What asserts have to ask, and what the traits that are compared need."""
        return self.asserted | {Need.EMBEDDINGS} if self.embedded else self.asserted

    @property
    def asserted(self) -> frozenset[Need]:
        """What asserts alone have to ask."""
        return frozenset(need for spec in self.asserts for need in self.vocabulary.asks(spec))

    @property
    def embedded(self) -> frozenset[str]:
        """The suites whose answers are embedded, so that their distance can be shown."""
        return frozenset(watch.suite for watch in self.policy.watched if watch.trait is OutputFeature.EMBEDDINGS)

    @property
    def tested(self) -> frozenset[str]:
        """The suites whose cases are asked by tests in code."""
        return frozenset(planned.suite.name for planned in self.suites if planned.suite.code is not None)

    @property
    def local_models(self) -> frozenset[str]:
        """The models on this machine that asserts ask, as suites name them."""
        return frozenset(named for spec in self.asserts if (named := self.vocabulary.folder(spec)) is not None)

    @property
    def judged(self) -> frozenset[str]:
        """The assert types that ask a judge."""
        return frozenset(spec.type for spec in self.asserts if self.vocabulary.is_judge(spec.type))

    @property
    def judge_names(self) -> frozenset[str]:
        """The judges that asserts name."""
        return frozenset(name for spec in self.asserts if spec.type in self.judged for name in spec.judges)

    @property
    def asks_default_judge(self) -> bool:
        """Whether an assert asks a judge and names none."""
        return any(spec.type in self.judged and not spec.judges for spec in self.asserts)


def find_suites(paths: Iterable[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """Expand folders to the suite files below them.

    Returns:
        The files, and what else lies there, in words.

    Raises:
        UsageError: If a path does not exist, is no suite, or nothing was found.
        SuiteError: If a file looks like a suite and cannot be read as one.
    """
    files: list[Path] = []
    others: list[Found] = []
    for path in paths:
        if path.is_dir():
            found = look_into(path)
            for each in found:
                if each.sort is Sort.REFUSED:
                    raise each.problem
            inside = [each.path for each in found if each.sort is Sort.RUN]
            if not inside:
                fix = "\n".join(["A suite starts with `llmgate: 1`", *left_out(found)])
                raise UsageError("there is no suite here", where=str(path), fix=fix)
            files += inside
            others += found
        elif path.exists():
            files.append(path)
        else:
            raise UsageError("there is no such file or folder", where=str(path), fix="Name suite files or a folder")
    if not files:
        raise UsageError("no suite was named", fix="Name suite files or a folder, e.g. `llmgate run suites/`")
    return list(dict.fromkeys(files)), tuple(dict.fromkeys(left_out(others)))


def plan_file(
    path: Path, *, repeat: int | None = None, vocabulary: Checks = VOCABULARY, allowed: Sequence[str] = ()
) -> PlannedSuite:
    """Load and plan one suite file.

    Raises:
        SuiteError, DatasetError: With file, line and advice.
    """
    return plan_suite(load_suite(path, vocabulary, allowed=allowed), vocabulary, repeat=repeat)


def plan_paths(paths: Iterable[Path], settings: Settings) -> Plan:
    """Find, load and plan suites outside pytest.

    Raises:
        LlmgateError: As the steps do.
    """
    files, others = find_suites(paths)
    vocabulary = beside_suites(files, limit_s=settings.timeout)
    suites = [
        plan_file(path, repeat=settings.repeat, vocabulary=vocabulary, allowed=settings.allow_outside) for path in files
    ]
    return replace(make_plan(suites, settings, vocabulary=vocabulary), left_out=others)


def make_plan(
    suites: Sequence[PlannedSuite],
    settings: Settings,
    *,
    selected: Collection[tuple[str, str]] | None = None,
    gated: Collection[str] | None = None,
    vocabulary: Checks = VOCABULARY,
) -> Plan:
    """Combine planned suites into one run.

    Args:
        suites: The suites.
        settings: The options.
        selected: (suite, case) pairs to run; None for all.
        gated: Suites of which a gate is selected, None for all; their cases must all be selected.
        vocabulary: The assert types that exist.

    Raises:
        SuiteError: If two suites share a name.
        UsageError: If no case is left.
        PolicyError: If the policy file names what does not exist.
    """
    seen: dict[str, PlannedSuite] = {}
    for planned in suites:
        other = seen.setdefault(planned.suite.name, planned)
        if other is not planned:
            raise SuiteError(
                f"the suite name {planned.suite.name!r} is used twice, also in {other.suite.path}",
                where=str(planned.suite.path),
                fix="Give each suite its own name",
            )
    cases = tuple(
        case
        for planned in suites
        for case in planned.cases
        if selected is None or (case.planned.suite, case.planned.case) in selected
    )
    if not cases:
        raise UsageError("no case is selected, so nothing would be evaluated", fix="Check -k and the named files")
    policy = Policy(
        metrics=tuple(metric for planned in suites for metric in planned.suite.metrics),
        inconclusive=on_inconclusive(suites, settings),
        slices=tuple(slice_ for planned in suites for slice_ in planned.suite.slices),
        slice_alpha=min(
            (alpha for planned in suites if (alpha := planned.suite.gates.block.slice_alpha) is not None),
            default=DEFAULT_SLICE_ALPHA,
        ),
        waivers=tuple(waiver for planned in suites for waiver in planned.suite.waivers),
        watched=tuple(watch for planned in suites for watch in planned.suite.watched),
        binding=binding(suites),
        serving=tuple(gate for planned in suites if planned.suite.serving for gate in planned.suite.serving.gates),
        reserve=max(
            (share for planned in suites if (share := planned.suite.gates.block.reserve) is not None),
            default=DEFAULT_RESERVE,
        ),
    )
    if settings.policy:
        policy = override_policy(policy, settings.policy)
    names = frozenset(seen) if gated is None else frozenset(gated)
    if settings.shard is not None:
        refuse_in_parts(suites, cases, settings)
        names = frozenset(seen)
    _refuse_forgeable(suites, policy, names, vocabulary)
    # No part sees enough to stop the others.
    stopping = () if settings.no_stopping or settings.cache or settings.shard else suites
    return Plan(
        suites=tuple(suites),
        cases=cases,
        policy=policy,
        gated=names,
        vocabulary=vocabulary,
        looks=tuple(planned.looks for planned in stopping if planned.looks is not None and planned.suite.name in names),
    )


def refuse_in_parts(suites: Sequence[PlannedSuite], cases: Sequence[Case], settings: Settings) -> None:
    """Refuse a shard of suites that are not run whole, or that measure serving.

    All shards must plan the same, so that whoever merges them can see that nothing is missing. And what a server takes
    for an answer while other shards may ask it is no figure of anything.

    Raises:
        UsageError: With what to leave out.
    """
    for planned in suites:
        name = planned.suite.name
        selected = sum(case.planned.suite == name for case in cases)
        if selected != len(planned.cases):
            raise UsageError(
                f"{selected} of the {plural(len(planned.cases), 'case')} of {name} were selected, and a shard is one of"
                " whole suites",
                where="--shard",
                fix="Select whole suites in every shard",
            )
        if planned.suite.serving is not None and not settings.no_bench:
            raise UsageError(
                f"{name} measures serving, and a server that other shards ask has no figures of its own",
                where="--shard",
                fix="Add --no-bench to every shard, and measure serving in a run of its own",
            )


def _refuse_forgeable(
    suites: Sequence[PlannedSuite], policy: Policy, gated: Collection[str], vocabulary: Checks
) -> None:
    """Refuse a policy by which nothing gates but what answers can forge, as no verdict on it could be PASS.

    Raises:
        PolicyError: With file and line of the first metric.
    """
    gating = [metric for metric in policy.metrics if metric.gates and metric.suite in gated]
    forgeable = {
        (planned.suite.name, member.metric)
        for planned in suites
        for spec in {id(spec): spec for case in planned.cases for spec in case.asserts}.values()
        for member in (spec, *spec.asserts)
        if vocabulary.is_forgeable(member) and (member.weight > 0 or member.required)
    }
    if gating and all((metric.suite, metric.metric) in forgeable for metric in gating):
        first = gating[0]
        suite = next(planned.suite for planned in suites if planned.suite.name == first.suite)
        raise PolicyError(
            f"all that gates rests on tests that the code under test could forge, as {first.metric!r} does",
            where=suite.gates.where("metrics", first.metric),
            fix="Remove `judged: inside`, or let another metric gate too",
        )


def on_inconclusive(suites: Sequence[PlannedSuite], settings: Settings) -> OnInconclusive:
    """It is allowed by the options, or if every suite allows it."""
    allowed = all(planned.suite.gates.block.inconclusive is OnInconclusive.ALLOW for planned in suites)
    return OnInconclusive.ALLOW if settings.allow_inconclusive or (suites and allowed) else OnInconclusive.FAIL


def binding(suites: Sequence[PlannedSuite]) -> Binding:
    """A claim is enough only if every suite says so."""
    claimed = all(planned.suite.gates.block.binding is Binding.CLAIMED for planned in suites)
    return Binding.CLAIMED if claimed else Binding.WEIGHTS
