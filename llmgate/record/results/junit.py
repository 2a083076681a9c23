"""JUnit XML, as test runners and promptfoo write it: a test that passed is 1, one that failed is 0.

A test that raised, was skipped, was expected to fail or did not run is neither: it is an error of its item. The reader
is expat's own, which looks nothing up; a file with a document type, in which entities could be declared, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.growth import RESULT
from llmgate.record.results.foreign import ForeignRow, score_of, tables_of
from llmgate.record.results.rows import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["is_junit", "read_junit"]

PASS: Final = "pass"  # noqa: S105 - a metric
DEEPEST: Final = 64
"""Elements within each other; test runners write four or five."""
PIECE_BYTES: Final = 1 << 20
OF_PROMPTFOO: Final = re.compile(r"\[(?P<provider>.*)\] (?P<prompt>prompt [0-9]+)", re.DOTALL)
"""The class of a test in promptfoo's reports; the other side has another provider, and the same prompts."""
NOT_RUN: Final = frozenset({"notrun", "skipped", "disabled", "suppressed"})
"""What googletest and others say in an attribute of a test that did not run."""
OUTCOMES: Final = {
    "failure": "failure",
    "error": "error",
    "skipped": "skipped",
    "flakyFailure": "flaky",
    "flakyError": "flaky",
}
WORST_FIRST: Final = ("error", "flaky", "failure", "skipped")
START: Final = re.compile(rb"\s*(?:<\?xml\b.{0,200}?\?>\s*)?(?:<!--.*?-->\s*)*<(?:testsuites?|!DOCTYPE)\b", re.DOTALL)


@dataclass(slots=True, kw_only=True)
class JunitCase:
    """A test that is being read.

    Attributes:
        attributes: Of its element.
        suite: The name of its suite.
        line: Where it begins.
        outcomes: What was said of it, each with its first message.
        properties: What the test itself recorded.
    """

    attributes: Mapping[str, str]
    suite: str
    line: int
    outcomes: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


def is_junit(data: bytes) -> bool:
    """Whether a file begins as JUnit XML does, or with a document type, which is refused when it is read."""
    return START.match(data.removeprefix(b"\xef\xbb\xbf")[:PIECE_BYTES]) is not None


def read_junit(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """`pass`, or the properties that `--score` names; an item is a test: its class and its name.

    Raises:
        RecordError: If it is no such file, or a test occurs twice.
    """
    cases = JunitReader(source).cases()
    rows = [row_of(case, layout, source.path) for case in cases]
    known = {name for case in cases for name in case.properties} | {PASS}
    for name in layout.scores:
        if name not in known:
            raise RecordError(f"no property {name!r}", where=source.path, fix=did_you_mean(name, known))
    if not rows:
        raise RecordError("holds no test", where=source.path, fix="Run the tests again, and look at what they print")
    fix = "Choose one suite or provider: --candidate-only suite=NAME; or give each test a name of its own"
    return tables_of(one_each(rows), layout, source, suite=suite, twice=fix)


def row_of(case: JunitCase, layout: Layout, path: str) -> ForeignRow:
    """One test."""
    where = f"{path}:{case.line}"
    name, group = case.attributes.get("name", ""), case.attributes.get("classname", "") or case.suite
    if not name:
        raise RecordError("a test without a name", where=where, fix="Give it one: it is paired by its name")
    fields: dict[str, str] = {**case.properties, "suite": case.suite, "classname": group, "name": name}
    if found := OF_PROMPTFOO.fullmatch(group):
        fields |= found.groupdict()
        group = found["prompt"]
    worst = next((outcome for outcome in WORST_FIRST if outcome in case.outcomes), "")
    error = "" if worst in {"", "failure"} else worded(worst, case.outcomes[worst])
    if not worst and NOT_RUN & {case.attributes.get(key, "").lower() for key in ("status", "result")}:
        error = "it did not run"
    scores: dict[str, float | str] = {PASS: float(not worst)}
    if layout.scores:
        recorded = {key: score_of(number_of(value)) for key, value in case.properties.items()}
        scores = {key: scores.get(key, recorded.get(key, "no score")) for key in layout.scores}
    if error:
        scores = dict.fromkeys(scores, error)
    return ForeignRow(item=f"{group}::{name}", scores=scores, error=error, fields=fields, where=where)


def worded(outcome: str, message: str) -> str:
    """Why a test has no score."""
    lead = {"error": "", "flaky": "it passed only when it was run again", "skipped": "skipped"}[outcome]
    said = " ".join(message.split())[:200]
    return ": ".join(part for part in (lead, said) if part) or "it raised an error"


def one_each(rows: Sequence[ForeignRow]) -> list[ForeignRow]:
    """A test whose teardown broke after it had failed, which pytest writes in two elements, is an error."""
    broken = {row.item for row in rows if row.error}
    kept: dict[str, ForeignRow] = {}
    others: list[ForeignRow] = []
    for row in rows:
        if row.item not in broken:
            others.append(row)
        elif row.item not in kept or row.error:
            kept[row.item] = row
    return [*others, *kept.values()]


class JunitReader:
    """Reads the tests of a file as they come; of its texts only what is shown is kept.

    Args:
        source: The file.
    """

    def __init__(self, source: ResultsFile) -> None:
        self._source = source
        self._cases: list[JunitCase] = []
        self._path: list[str] = []
        self._suites: list[str] = []
        self._case: JunitCase | None = None
        self._outcome = ""
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype

    def cases(self) -> list[JunitCase]:
        """All tests, in order.

        Raises:
            RecordError: With file and line, if it is no JUnit XML.
        """
        data = self._source.data
        try:
            for start in range(0, len(data), PIECE_BYTES):
                self._parser.Parse(data[start : start + PIECE_BYTES], False)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code)
            raise RecordError(
                f"this is not XML ({why})", where=f"{self._source.path}:{error.lineno}", fix="Write it again"
            ) from error
        except (LookupError, ValueError) as error:
            raise RecordError(f"this is not XML ({error})", where=self._where(), fix="Save it as UTF-8") from error
        return self._cases

    def _where(self) -> str:
        return f"{self._source.path}:{self._parser.CurrentLineNumber}"

    def _doctype(self, *_: object) -> None:
        raise RecordError(
            "it has a document type, which may declare entities and is not read",
            where=self._where(),
            fix="Remove its <!DOCTYPE …>",
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path and tag not in {"testsuites", "testsuite"}:
            raise RecordError(f"<{tag[:40]}> instead of <testsuites>", where=self._where(), fix="Give JUnit XML")
        if len(self._path) >= DEEPEST:
            raise RecordError(f"more than {DEEPEST} elements within each other", where=self._where())
        parent = self._path[-1] if self._path else ""
        self._path.append(tag)
        if tag in {"testsuites", "testsuite"}:
            self._suites.append(attributes.get("name", ""))
        elif tag == "testcase":
            self._source.growth.spend(RESULT + sum(map(len, attributes.values())), self._where())
            suite = self._suites[-1] if self._suites else ""
            self._case = JunitCase(attributes=attributes, suite=suite, line=self._parser.CurrentLineNumber)
            self._cases.append(self._case)
        elif self._case is not None and parent == "testcase" and tag in OUTCOMES:
            self._outcome = OUTCOMES[tag]
            said = attributes.get("message", "")
            if attributes.get("type") == "pytest.xfail":
                said = f"expected to fail ({said})" if said else "expected to fail"
            self._case.outcomes.setdefault(self._outcome, said)
        elif self._case is not None and tag == "property" and "name" in attributes:
            self._case.properties[attributes["name"]] = attributes.get("value", "")

    def _end(self, tag: str) -> None:
        self._path.pop()
        self._outcome = ""
        if tag in {"testsuites", "testsuite"}:
            self._suites.pop()
        elif tag == "testcase":
            self._case = None

    def _text(self, text: str) -> None:
        if self._case is not None and self._outcome and not self._case.outcomes[self._outcome]:
            self._case.outcomes[self._outcome] = text.strip()[:200]
