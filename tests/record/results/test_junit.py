"""JUnit XML: what counts as passed, as failed, as neither, and as no file to be read at all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import RecordError
from llmgate.record.environment import for_programs
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import Results, load_results

if TYPE_CHECKING:
    from pathlib import Path


def saved(tmp_path: Path, cases: str, *, before: str = "", suite: str = "s") -> Path:
    path = tmp_path / "junit.xml"
    text = f'{before}<testsuites><testsuite name="{suite}">{cases}</testsuite></testsuites>'
    path.write_text(text, encoding="utf-8")
    return path


def scores(results: Results) -> dict[str, float | str | None]:
    (table,) = results.tables
    return {row.item_id: row.error or row.score for row in table.rows()}


@pytest.mark.parametrize(
    ("inside", "score"),
    [
        ("", 1.0),
        ("<system-out>x</system-out><properties/>", 1.0),
        ('<failure message="assert 1 == 2"/>', 0.0),
        ("<failure>one</failure><failure>two</failure>", 0.0),
        ('<error message="boom"/>', "boom"),
        ("<error>the server\n  broke</error>", "the server broke"),
        ("<error/>", "it raised an error"),
        ('<failure/><error message="boom"/>', "boom"),
        ('<skipped message="no GPU"/>', "skipped: no GPU"),
        ("<skipped/>", "skipped"),
        ('<skipped type="pytest.xfail" message="known"/>', "skipped: expected to fail (known)"),
        ("<failure/><rerunFailure/>", 0.0),
        ('<flakyFailure message="once"/>', "it passed only when it was run again: once"),
    ],
)
def test_passed_failed_and_neither(tmp_path: Path, inside: str, score: float | str) -> None:
    results = load_results(saved(tmp_path, f'<testcase classname="c" name="t">{inside}</testcase>'))
    assert (results.format, results.main) == ("junit", ("pass",))
    assert scores(results) == {"c::t": score}


@pytest.mark.parametrize("said", ['status="notrun"', 'result="suppressed"', 'status="run" result="skipped"'])
def test_a_test_that_did_not_run_has_not_passed(tmp_path: Path, said: str) -> None:
    assert scores(load_results(saved(tmp_path, f'<testcase name="t" {said}/>'))) == {"s::t": "it did not run"}


def test_pytest_itself_writes_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def breaks():\n    yield\n    raise RuntimeError('teardown')\n"
        "@pytest.mark.parametrize('i', range(3))\n"
        "def test_some(i, record_property):\n    record_property('quality', i / 4)\n    assert i != 1\n"
        "def test_setup(absent): pass\n"
        "def test_skipped(): pytest.skip('not here')\n"
        "@pytest.mark.xfail(reason='known')\n"
        "def test_known(): assert False\n"
        "def test_both(breaks): assert False\n"
        "def test_teardown(breaks): pass\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:llmgate", "--junitxml=r.xml"]
    subprocess.run([*command, "test_it.py"], cwd=tmp_path, env=for_programs(), capture_output=True, check=False)
    found = scores(load_results(tmp_path / "r.xml"))
    errors = {name.partition("::")[2]: found.pop(name) for name, score in list(found.items()) if isinstance(score, str)}
    assert found == {"test_it::test_some[0]": 1.0, "test_it::test_some[1]": 0.0, "test_it::test_some[2]": 1.0}
    assert errors.keys() == {"test_setup", "test_skipped", "test_known", "test_both", "test_teardown"}
    assert str(errors["test_known"]).startswith("skipped: expected to fail")
    assert "teardown" in str(errors["test_both"])
    assert "teardown" in str(errors["test_teardown"])
    (table,) = load_results(tmp_path / "r.xml", Layout(scores=("quality",))).tables
    quality = {row.item_id.partition("::")[2]: row.score for row in table.rows() if row.error is None}
    assert quality == {"test_some[0]": 0.0, "test_some[1]": 0.25, "test_some[2]": 0.5}


def test_promptfoos_provider_is_no_part_of_the_item(tmp_path: Path) -> None:
    cases = "".join(
        f'<testcase classname="[{side}] prompt 1" name="test {i}">{"<failure/>" if side == "new" else ""}</testcase>'
        for side in ("new", "old")
        for i in (1, 2)
    )
    path = saved(tmp_path, cases)
    with pytest.raises(RecordError, match=r"'prompt 1::test 1' occurs twice. Choose one suite or provider"):
        load_results(path)
    for side, score in (("new", 0.0), ("old", 1.0)):
        chosen = load_results(path, Layout(only=(("provider", side),)))
        assert scores(chosen) == {"prompt 1::test 1": score, "prompt 1::test 2": score}


def test_properties_are_fields_and_scores(tmp_path: Path) -> None:
    case = '<testcase name="{0}"><properties><property name="topic" value="{1}"/>{2}</properties></testcase>'
    f1 = '<property name="f1" value="0.5"/>'
    path = saved(tmp_path, case.format("a", "law", f1) + case.format("b", "tax", ""))
    (table,) = load_results(path, Layout(slices=("topic",))).tables
    assert table.items.slices["topic"].names == ("law", "tax")
    found = load_results(path, Layout(scores=("f1",)))
    assert scores(found) == {"s::a": 0.5, "s::b": "no score"}
    with pytest.raises(RecordError, match=r"no property 'f2'. Valid names: f1, pass, topic"):
        load_results(path, Layout(scores=("f2",)))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB + '}]><testsuites><testcase name="&j;"/></testsuites>'.replace("}", ""), r":1: it has a document type"),
        ('<!DOCTYPE t SYSTEM "file:///etc/passwd"><testsuites/>', "it has a document type"),
        ('<!DOCTYPE t [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]><testsuites>&x;</testsuites>', "a document type"),
        ('<testsuites><testcase name="&undeclared;"/></testsuites>', "not XML"),
        ("<testsuites>\n<testsuite>", r":2: this is not XML \(no element found"),
        ("<testsuites></testsuites><more/>", "not XML"),
        ("<testsuites/>", "holds no test"),
        ("<testsuites><testcase/></testsuites>", "a test without a name"),
        ("<testsuites>" + "<testsuite>" * 70 + "</testsuite>" * 70 + "</testsuites>", "more than 64 elements within"),
        ('<testsuites><testcase name="a"/><testcase name="a"/></testsuites>', "occurs twice"),
        ("<html><body>x</body></html>", "is no JUnit XML"),
        ("<?xml version='1.0'?><coverage/>", "is no JUnit XML"),
        ('<?xml version="1.0" encoding="no-such"?><testsuites/>', "not XML"),
        ("<testsuites>\x00</testsuites>", "not XML"),
    ],
)
def test_hostile_and_broken_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=says):
        load_results(path)


def test_byte_order_marks_line_ends_and_other_encodings_are_read(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="{}"?>\r\n<!-- é -->\r\n<testsuite name="s">\r\n<testcase name="é"/>\r\n</testsuite>'
    path = tmp_path / "junit.xml"
    for encoding, mark in (("utf-8", b"\xef\xbb\xbf"), ("utf-8", b""), ("iso-8859-1", b"")):
        path.write_bytes(mark + text.format(encoding).encode(encoding))
        assert scores(load_results(path)) == {"s::é": 1.0}


def test_a_file_of_a_hundred_thousand_tests_is_read_in_linear_time(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        "".join(f'<testcase name="t{i}"><system-out>{"x" * 50}</system-out></testcase>' for i in range(100_000)),
    )
    assert len(scores(load_results(path))) == 100_000


def test_the_format_can_be_named(tmp_path: Path) -> None:
    path = saved(tmp_path, '<testcase name="a"/>')
    assert load_results(path, kind="junit").format == "junit"
    path.write_text(json.dumps({"item_id": "a", "score": 1}), encoding="utf-8")
    with pytest.raises(RecordError, match="not XML"):
        load_results(path, kind="junit")
