"""Conformance rows: reading them, and asking llmgate what each row asks.

Rows say themselves where llmgate does something else on purpose. `deviations.jsonl` adds rows that are quirks which no
user would miss: what llmgate does there instead, and why. A row in it has to deviate in just that way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate import evaluate_assert, evaluate_asserts
from llmgate.errors import SuiteError
from llmgate.suite.form.promptfoo_csv import read_cell, read_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmgate import Evaluation

Row = dict[str, Any]

DEFAULT_PROMPT = "What is the answer?"
TOLERANCE = 1e-6


DEVIATIONS = Path(__file__).parent.parent / "conformance" / "deviations.jsonl"


def load_rows(folder: Path) -> list[Row]:
    """All rows of a folder, by file name, with what the list of deviations says of them."""
    deviations = {row["id"]: row for row in load_deviations()}
    return [
        {"file": path.name, **row, **deviations.get(row["id"], {})}
        for path in sorted(folder.glob("*.jsonl"))
        for row in _read(path)
    ]


def load_deviations() -> list[Row]:
    """The rows that llmgate departs from besides those that say so themselves: `id`, `deviation`, `llmgate_expect`."""
    return _read(DEVIATIONS)


def _read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def expected(row: Row) -> Row:
    """What llmgate has to do."""
    return dict(row.get("llmgate_expect") or row["expect"])


def evaluate(row: Row) -> Evaluation:
    """What llmgate does."""
    about = {name: row[name] for name in FIELDS if name in row}
    about |= {"prompt": row.get("prompt", DEFAULT_PROMPT), "judge": judge_of(row), "embed": embed_of(row)}
    if row["type"] == "aggregate":
        return evaluate_asserts(row["assert"], row["output"], threshold=row.get("threshold"), **about)
    return evaluate_assert(row["assertion"], row["output"], **about)


FIELDS = ("vars", "latency_ms", "cost", "logprobs", "finish_reason", "tools", "functions", "options")


def judge_of(row: Row) -> Callable[[str], object]:
    """The scripted judge: one reply for all calls, or successive ones of which the last repeats."""
    replies = row.get("judge_reply")
    script = list(replies) if isinstance(replies, list) else [replies]

    def judge(_: str) -> object:
        reply = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(reply, dict) and "error" in reply:
            raise ConnectionError(reply["error"])
        return reply["json"] if isinstance(reply, dict) else reply

    return judge


def embed_of(row: Row) -> Callable[[str], list[float]]:
    """The scripted embedding model, which fails for texts that it does not know."""
    vectors = row.get("embeddings", {})

    def embed(text: str) -> list[float]:
        if text not in vectors:
            raise ConnectionError(f"no vector for {text!r}")
        return list(vectors[text])

    return embed


def read_csv(row: Row) -> Row:
    """What llmgate reads from a CSV cell or line, in the form of the rows; absent keys and nulls are left out."""
    try:
        if row["kind"] == "cell":
            return {"assertion": present(read_cell(row["cell"]))}
        read = read_row(row["row"])
    except SuiteError:
        return {"outcome": "error"}
    return {
        "assert": [present(one) for one in read.asserts],
        "vars": dict(read.vars),
        **present(
            {"threshold": read.threshold, "description": read.description, "options": dict(read.options) or None}
        ),
    }


def present(mapping: Mapping[str, Any]) -> Row:
    """Without what is absent."""
    return {key: value for key, value in mapping.items() if value is not None}


def agrees(row: Row) -> str | None:
    """Why llmgate does not do what the row wants, None if it does."""
    want = expected(row)
    if row["type"] == "csv":
        read = read_csv(row)
        return None if read == want else f"{read}, wanted {want}"
    got = evaluate(row)
    if got.outcome != want["outcome"]:
        return f"{got.outcome}, wanted {want['outcome']}: {got.reason}"
    if got.score is not None and abs(got.score - want["score"]) > TOLERANCE:
        return f"score {got.score}, wanted {want['score']}"
    for name, score in want.get("named_scores", {}).items():
        found = (got.named_scores or {}).get(name)
        if found is None or abs(found - score) > TOLERANCE:
            return f"named score {name} is {found}, wanted {score}"
    return None


def count_lines(results: Iterable[tuple[str, bool]]) -> list[str]:
    """A line per file of rows: how many agree; the rows that need JavaScript's engine, and deviations, apart.

    Args:
        results: Test names with whether they passed.
    """
    counts: dict[tuple[bool, str], list[int]] = {}
    listed = {row["id"]: 0 for row in load_deviations()}
    for name, passed in results:
        row = name.partition("[")[2].removesuffix("]")
        if row in listed:
            listed[row] = 1
        count = counts.setdefault(("javascript_only" in name, row.partition("/")[0]), [0, 0])
        count[0] += passed
        count[1] += 1
    lines = [
        f"{kind + (' (js-only)' if js else ''):<34} {a:>5} of {n}" for (js, kind), (a, n) in sorted(counts.items())
    ]
    required = [count for (js, _), count in counts.items() if not js]
    others = [count for (js, _), count in counts.items() if js]
    for what, chosen in (("required", required), ("js-only", others)):
        if chosen:
            lines.append(f"{what:<34} {sum(a for a, _ in chosen):>5} of {sum(n for _, n in chosen)}")
    if sum(listed.values()):
        lines.append(f"{'of these, listed as deviations':<34} {sum(listed.values()):>5}")
    return lines
