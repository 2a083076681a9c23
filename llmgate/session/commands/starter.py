"""The files of a first project, from what its rows are: suite, asserts, margins that can be reached, workflow."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from llmgate.gate.power.plan import plan_power
from llmgate.gate.power.rules import Design
from llmgate.record.policy import DEFAULT_RESERVE, Aggregate, MetricPolicy, Role
from llmgate.report.words import count, percent, plural, points
from llmgate.session.commands.columns import Expected, ProjectKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.power.plan import MetricPower
    from llmgate.session.commands.columns import RowReading

__all__ = ["Reachable", "reachable", "sample_rows", "suite_text", "workflow_text"]

LOADER: Final = PackageLoader("llmgate.session.commands")
WANTED: Final = 0.8
"""How often all gates together are to pass an unchanged model."""
LEAST_MARGIN: Final = 0.03
MOST_MARGIN: Final = 0.5
"""More needs a reason, and would let nearly everything pass."""
PLAIN: Final = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[a-z][a-z0-9-]*")

Gated = tuple[tuple[str, Role, Aggregate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """What a gate of this many rows can hold.

    Attributes:
        margin: In whole points, as a fraction; every gate's.
        enough: Whether an unchanged model passes with it as often as it should; too few rows hold no margin at all.
        rows: How many there are.
        rows_for_three: How many a margin of three points takes; None if no number does.
        discordance: The share of answers that is taken to change by chance.
    """

    margin: float
    enough: bool
    rows: int
    rows_for_three: int | None
    discordance: float

    def sentences(self) -> Iterator[str]:
        """What the rows can show, and what more of them could."""
        chance = f"if {percent(self.discordance, 0)} of the answers change by chance"
        if self.enough:
            yield f"With {plural(self.rows, 'row')} a loss of {points(self.margin)} points can be excluded, {chance}."
        else:
            yield f"With {plural(self.rows, 'row')} too little can be decided: an unchanged model passes too rarely."
        if self.margin > LEAST_MARGIN and self.rows_for_three:
            yield f"For {points(LEAST_MARGIN)} points you need about {count(_rounded(self.rows_for_three))} rows."


def reachable(gated: Gated, rows: int) -> Reachable:
    """The smallest margin, from three points on, with which an unchanged model passes all gates four times of five.

    Args:
        gated: The metrics.
        rows: Cases of each.
    """
    wanted = WANTED ** (1.0 / len(gated))

    def planned(margin: float) -> Sequence[MetricPower]:
        policies = (
            MetricPolicy(suite="suite", metric=metric, role=role, aggregate=aggregate, margin=margin)
            for metric, role, aggregate in gated
        )
        designs = [Design(policy=policy, cases=rows) for policy in policies]
        return plan_power(designs, (), wanted=wanted, reserve=DEFAULT_RESERVE).metrics

    metrics = planned(LEAST_MARGIN)
    needed = max(1.0 if each.margin_needed is None else each.margin_needed for each in metrics)
    sizes = [each.cases_needed for each in metrics]
    margin = min(MOST_MARGIN, max(LEAST_MARGIN, math.ceil(100.0 * needed - 1e-9) / 100.0))
    return Reachable(
        margin=margin,
        enough=needed <= MOST_MARGIN,
        rows=rows,
        rows_for_three=None if None in sizes else max(size for size in sizes if size is not None),
        discordance=metrics[0].variance,
    )


def sample_rows(kind: ProjectKind) -> bytes:
    """Rows of a kind, in JSON Lines."""
    return _packaged(f"{kind}.jsonl").encode()


def workflow_text() -> str:
    """A workflow for GitHub that uses the Action."""
    return _packaged("workflow.yml")


def gated_metrics(reading: RowReading) -> Gated:
    """What gates: the right answer first, and the form that it takes."""
    match reading.expected:
        case Expected.DATA | Expected.DATA_TEXT:
            return ("exact", Role.PRIMARY, Aggregate.ALL), ("valid-json", Role.GUARDRAIL, Aggregate.ALL)
        case Expected.LONG:
            return (("overlap", Role.PRIMARY, Aggregate.MEAN),)
        case Expected.NONE:
            return (("answered", Role.PRIMARY, Aggregate.ALL),)
        case _:
            return (("accuracy", Role.PRIMARY, Aggregate.ALL),)


def suite_text(reading: RowReading, name: str) -> tuple[str, Reachable]:
    """The suite, and what its gates can hold."""
    gated = gated_metrics(reading)
    reach = reachable(gated, len(reading.rows))
    entries = [
        (metric, flow({"role": str(role), **({"aggregate": "mean"} if aggregate is Aggregate.MEAN else {})}, reach))
        for metric, role, aggregate in gated
    ]
    environment = Environment(  # noqa: S701 - YAML, no HTML
        loader=LOADER, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["tojson_text"] = _json
    text = environment.get_template("suite.yaml.j2").render(
        name=name,
        quoted_name=flow(name),
        description=_json(DESCRIPTIONS[reading.kind]),
        case=flow({"id": reading.id_column, **({"slices": list(reading.slices)} if reading.slices else {})}),
        conversation=reading.conversation,
        question=reading.question,
        system=_system(reading),
        user=_user(reading),
        max_tokens=1024 if reading.expected in {Expected.LONG, Expected.NONE} else 256,
        asserts=[flow(each) for each in _asserts(reading)],
        comments=_comments(reading),
        gates=entries,
    )
    return text, reach


DESCRIPTIONS: Final = {
    ProjectKind.CHAT: "Questions with right answers.",
    ProjectKind.JSON: "Turns a text into JSON.",
    ProjectKind.RAG: "Answers from what was retrieved.",
}


def _system(reading: RowReading) -> str:
    match reading.expected:
        case Expected.CHOICE:
            return "Answer with the letter of the right choice and nothing else."
        case Expected.LABEL:
            return f"Answer with one of these and nothing else: {', '.join(reading.labels)}."
        case Expected.EXACT:
            return "Answer with the bare answer and nothing else: no sentence, no explanation."
        case Expected.DATA | Expected.DATA_TEXT:
            fields = f" Its fields: {', '.join(reading.fields)}." if reading.fields else ""
            return f"Answer with JSON and nothing else: no explanation, no code fence.{fields}"
        case Expected.SHORT | Expected.ACCEPTED:
            return "Answer in one short sentence."
        case _:
            return ""


def _user(reading: RowReading) -> str:
    asked = f"{{{{ {reading.question} }}}}"
    if not reading.context:
        return asked
    passages = f"{{{{ {reading.context} }}}}"
    if reading.passages:
        passages = f"{{% for passage in {reading.context} %}}[{{{{ loop.index }}}}] {{{{ passage }}}}\n{{% endfor %}}"
    return f"Answer from these passages only:\n{passages}\n\nQuestion: {asked}"


def _asserts(reading: RowReading) -> Iterator[dict[str, object]]:
    value = f"{{{{ {reading.answer} }}}}"
    match reading.expected:
        case Expected.CHOICE:
            yield {"type": "choice", "value": value}
        case Expected.LABEL | Expected.EXACT:
            # SQuAD's comparison drops punctuation, by which 3.5 would be 35, and −5 be 5.
            strict = {} if reading.worded else {"config": {"normalise": "casefold"}}
            yield {"type": "exact-match", "value": value, **strict}
        case Expected.SHORT:
            yield {"type": "icontains", "value": value}
        case Expected.ACCEPTED:
            yield {"type": "icontains-any", "value": value}
        case Expected.DATA | Expected.DATA_TEXT:
            schema = {"value": {"type": "object", "required": list(reading.fields)}} if reading.fields else {}
            yield {"type": "is-json", **schema, "metric": "valid-json"}
            dumped = value if reading.expected is Expected.DATA_TEXT else f"{{{{ {reading.answer} | dump }}}}"
            yield {"type": "json-diff", "value": dumped, "metric": "exact"}
        case Expected.LONG:
            yield {"type": "f1", "value": value, "metric": "overlap"}
        case Expected.NONE:
            yield {"type": "word-count", "value": {"min": 1}, "metric": "answered"}
            yield {"type": "not-is-refusal", "metric": "answered"}
    if reading.most_words:
        yield {"type": "word-count", "value": {"max": reading.most_words}}


def _comments(reading: RowReading) -> list[str]:
    if reading.expected is not Expected.LONG:
        return []
    value = f"{{{{ {reading.answer} }}}}"
    return [
        "Words that are shared are not a meaning. With --judge-endpoint URL, or --embed-endpoint URL:",
        f"- {flow({'type': 'factuality', 'value': value, 'metric': 'true-to-reference'})}",
        f"- {flow({'type': 'similar', 'value': value, 'metric': 'similar'})}",
    ]


def flow(value: object, reach: Reachable | None = None) -> str:
    """YAML on one line; with what can be reached as its margin."""
    if isinstance(value, dict):
        margin = [f"margin: {reach.margin:.2f}"] if reach else []
        return "{" + ", ".join([*(f"{_key(key)}: {flow(each)}" for key, each in value.items()), *margin]) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else _json(value)


def _key(key: str) -> str:
    return key if PLAIN.fullmatch(key) else _json(key)


def _json(value: object) -> str:
    """As JSON, which YAML is a superset of, but for three characters that YAML does not take as they are."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def _packaged(name: str) -> str:
    return LOADER.get_source(Environment(), name)[0]  # noqa: S701 - not rendered


def _rounded(number: int) -> int:
    """To two digits: more would pretend to know."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit
