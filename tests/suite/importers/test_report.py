"""What an import says at its end, and what of it stands in suite files."""

from __future__ import annotations

from pathlib import Path

from llmgate.suite.importers.report import WIDTH, grouped, report_lines
from llmgate.suite.importers.result import Imported, ImportedSuite, Note, NoteSort
from llmgate.suite.importers.write import MOST_LINES, suite_text

HERE = Path("/home/me/project")
SUITE = ImportedSuite(
    name="s",
    prompt=({"role": "user", "content": "x"},),
    rows=({"id": "a", "asserts": [{"type": "contains", "value": "x"}]}, {"id": "b", "asserts": []}),
    case={"asserts": "asserts"},
)


def note(what: str, where: str | None = None, sort: NoteSort = NoteSort.CHECK) -> Note:
    return Note(what=what, where=where, sort=sort)


def test_equal_remarks_are_one_with_their_first_places() -> None:
    notes = [note("a check", f"{HERE}/c.yaml:{line}") for line in range(1, 6)]
    assert grouped([*notes, note("another", f"{HERE}/d.yaml:1"), note("nowhere")], HERE) == [
        "a check [c.yaml:1, 2, 3 and 2 more]",
        "another [d.yaml:1]",
        "nowhere",
    ]


def test_places_in_several_files_name_each_file_once() -> None:
    notes = [note("x", "a.yaml:1"), note("x", "b.yaml:2"), note("x", "b.yaml:7")]
    assert grouped(notes) == ["x [a.yaml:1, b.yaml:2, 7]"]


def test_files_elsewhere_keep_their_paths() -> None:
    assert grouped([note("x", "/elsewhere/c.yaml:1")], HERE) == ["x [/elsewhere/c.yaml:1]"]
    assert grouped([note("x", "/home/me/c.yaml")], Path("/")) == ["x [/home/me/c.yaml]"]


def test_what_is_missing_comes_first_and_the_sum_last() -> None:
    notes = (
        note("remark", sort=NoteSort.REMARK),
        note("setting", sort=NoteSort.SETTING),
        note("lost", "c.yaml:1"),
        note("lost", "c.yaml:2"),
    )
    lines = report_lines(Imported(suites=(SUITE,), notes=notes), [Path("out/s.yaml")])
    texts = [line for line, _ in lines]
    assert texts[0] == "out/s.yaml: 2 rows, asserts in the rows; 1 without any, only recorded"
    order = [next(i for i, text in enumerate(texts) if word in text) for word in ("lost [", "setting", "remark")]
    assert order == sorted(order)
    assert texts[-2] == "1 suite, 2 cases, 1 assert"
    assert lines[-1] == ("2 checks or cases not carried over; the suites say so in comments", "warn")


def test_lines_fit_a_terminal() -> None:
    notes = (note("word " * 60, "c.yaml:1"), note(f"see /{'long' * 40}/file"))
    for line, _ in report_lines(Imported(suites=(SUITE,), notes=notes), [Path("s.yaml")]):
        assert len(line) <= WIDTH or f"/{'long' * 40}/file" in line


def test_a_setting_that_differs_is_no_missing_check_and_not_everything() -> None:
    lines = report_lines(Imported(suites=(SUITE,), notes=(note("s", sort=NoteSort.SETTING),)), [Path("s.yaml")])
    assert lines[-1] == ("every check was carried over; what is asked differs as named above", "good")
    assert report_lines(Imported(suites=(SUITE,), notes=()), [Path("s.yaml")])[-1][0] == "everything was carried over"


def test_a_suite_without_any_assert_says_so() -> None:
    bare = ImportedSuite(name="s", prompt=SUITE.prompt, rows=({"id": "a"},))
    (line, _), *_ = report_lines(Imported(suites=(bare,), notes=()), [Path("s.yaml")])
    assert line == "s.yaml: 1 row, no assert: answers are recorded and compared, nothing gates"
    text = suite_text(bare, dataset="d.jsonl", source="x")
    assert "\nassert: []\n" in text
    assert "# Nothing is checked yet" in text
    assert "gate: {" not in text


def test_comments_of_a_suite_do_not_grow_without_end() -> None:
    notes = tuple(note(f"check {i} of {j}", f"{HERE}/c.yaml:{j}") for i in range(60) for j in range(3))
    suite = ImportedSuite(name="s", prompt=SUITE.prompt, rows=SUITE.rows, case=SUITE.case, notes=notes)
    text = suite_text(suite, dataset="d.jsonl", source="x", here=HERE)
    assert sum(line.startswith("#") for line in text.splitlines()) < MOST_LINES + 10
    assert "- and 160 more, which `llmgate import` printed" in text
    assert str(HERE) not in text
