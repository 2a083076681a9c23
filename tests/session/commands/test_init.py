"""`llmgate init`: a project that runs at once, from samples or from rows of any shape, and that overwrites nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner, Result
from support.endpoint import chat, scripted_endpoint

from llmgate.cli import main
from llmgate.gate.power.plan import designs_of, plan_power
from llmgate.session.commands.columns import Expected, understand
from llmgate.session.commands.starter import flow, gated_metrics, reachable
from llmgate.session.run.plan import plan_paths
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ["chat", "json", "rag"]
CAPITALS = [("France", "Paris"), ("Japan", "Tokyo"), ("Peru", "Lima, the capital"), ("Kenya", "Nairobi")]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "new"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def llmgate(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"suites/{name}.jsonl").read_text("utf-8").splitlines()]


def suite(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(f"suites/{name}.yaml").read_text("utf-8"))
    return found


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def model(name: str, *, wrong: int = 0) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """A model that knows the answers to all rows but the first ones."""
    known = rows(name)

    def reply(_: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = body["messages"][-1]["content"]
        at = next(i for i, row in enumerate(known) if row.get("question", row.get("text")) in asked)
        right = known[at].get("answer", known[at].get("expected"))
        return chat("I do not know." if at < wrong else right if isinstance(right, str) else json.dumps(right))

    return reply


def run(url: str, *words: object) -> Result:
    return llmgate("run", "suites/", "--endpoint", url, "--retries", 0, *words)


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_runs_at_once(kind: str) -> None:
    made = llmgate("init", "--kind", kind)
    assert made.exit_code == 0, made.output
    assert written(Path()) == {
        ".github/workflows/llmgate.yml",
        ".gitignore",
        f"suites/{kind}.jsonl",
        f"suites/{kind}.lock.json",
        f"suites/{kind}.yaml",
    }
    with scripted_endpoint(model(kind)) as (url, _):
        first = run(url, "--as-baseline", "--out", "runs/champion")
        assert first.exit_code == 0, first.output
        assert "recorded as baseline" in first.output
        again = run(url, "--deployment", "v2", "--baseline", "runs/champion")
        assert again.exit_code == 0, again.output
        assert "PASS" in again.output
    with scripted_endpoint(model(kind, wrong=12)) as (url, _):
        worse = run(url, "--deployment", "v3", "--baseline", "runs/champion")
        assert worse.exit_code in {1, 3}, worse.output
        assert re.search("FAIL|INCONCLUSIVE", worse.output)


def test_a_project_runs_under_pytest() -> None:
    llmgate("init")
    with scripted_endpoint(model("chat")) as (url, _):
        run(url, "--as-baseline", "--out", "runs/champion")
        flags = ["--llmgate-endpoint", url, "--llmgate-deployment", "v2", "--llmgate-baseline", "runs/champion"]
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "suites/", *flags]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_margins_are_such_that_an_unchanged_model_passes(kind: str) -> None:
    llmgate("init", "--kind", kind)
    plan = plan_paths([Path("suites")], settings_from({}, root=Path()))
    assert plan_power(designs_of((case.planned for case in plan.cases), plan.policy), ()).enough


@pytest.mark.parametrize("count", [1, 3, 24, 40, 300, 710, 5000])
@pytest.mark.parametrize("gates", [1, 2])
def test_a_margin_is_the_smallest_that_can_be_reached(count: int, gates: int) -> None:
    reading = understand([{"q": "?", "question": "x", "answer": {"a": 1} if gates == 2 else "Paris"}], source="x")
    reach = reachable(gated_metrics(reading), count)
    assert 0.03 <= reach.margin <= 0.5
    assert (reach.margin == 0.03) is (count >= (reach.rows_for_three or 0))
    assert (len(list(reach.sentences())) == 1) is (reach.margin == 0.03)
    assert reach.enough is (count > (1 if gates == 1 else 3))
    assert ("too little can be decided" in next(reach.sentences())) is not reach.enough


CSV = "id,question,answer\n" + "".join(f"q{i},Capital of {c}?,{a.split(',')[0]}\n" for i, (c, a) in enumerate(CAPITALS))


@pytest.mark.parametrize(
    ("name", "text", "kind", "asserts"),
    [
        ("Own Rows.csv", CSV, "chat", [("icontains", "{{ answer }}")]),
        ("rows.csv", "\ufeff" + CSV, "chat", [("icontains", "{{ answer }}")]),
        ("rows.csv", CSV.replace("question", "User Input").replace("answer", "Expected Output"), "chat",
         [("icontains", "{{ answer }}")]),
        ("rows.jsonl", "".join(json.dumps({"prompt": f"{i}+1=", "expected": i + 1}) + "\n" for i in range(12)), "chat",
         [("exact-match", "{{ expected }}")]),
        ("rows.jsonl", "".join(json.dumps({"text": f"Nr {i}", "label": "good" if i % 2 else "bad"}) + "\n" for i in range(12)),
         "chat", [("exact-match", "{{ label }}")]),
        ("rows.jsonl", "".join(json.dumps({"input": f"Nr {i}", "output": {"n": i}}) + "\n" for i in range(5)), "json",
         [("is-json", {"type": "object", "required": ["n"]}), ("json-diff", "{{ output | dump }}")]),
        ("rows.csv", 'input,output\n"a","{""n"": 1}"\n"b","{""n"": 2}"\n', "json",
         [("is-json", {"type": "object", "required": ["n"]}), ("json-diff", "{{ output }}")]),
        ("rows.jsonl", json.dumps({"query": "Who?", "contexts": ["It was Ada."], "reference": "Ada Lovelace"}) + "\n", "rag",
         [("icontains", "{{ reference }}"), ("word-count", {"max": 22})]),
        ("rows.jsonl", json.dumps({"query": "Who?", "context": "It was Ada.", "reference": "Ada Lovelace"}) + "\n", "rag",
         [("icontains", "{{ reference }}"), ("word-count", {"max": 22})]),
        ("rows.jsonl", json.dumps({"question": "Why?", "answer": "Because " + "of this and that " * 9}) + "\n", "chat",
         [("f1", "{{ answer }}")]),
        ("rows.jsonl", json.dumps({"question": "Who?", "answers": ["Ada L", "Lovelace"]}) + "\n", "chat",
         [("icontains-any", "{{ answers }}")]),
        ("rows.jsonl", json.dumps({"question": "Who?", "answers": ["Lovelace, Ada", "Ada"]}) + "\n", "json", None),
        ("rows.jsonl", json.dumps({"question": "Who?"}) + "\n", "chat", [("word-count", {"min": 1}), ("not-is-refusal", None)]),
        ("rows.jsonl", json.dumps({"messages": [{"role": "user", "content": "Hi"}], "answer": "Hello"}) + "\n", "chat",
         [("icontains", "{{ answer }}")]),
        ("rows.jsonl", json.dumps({"質問": "Who {{ x }}?", "answer": "{{ y }} \u2028 {% z %}"}) + "\n", "chat",
         [("icontains", "{{ answer }}")]),
        ("2024-01-01.jsonl", json.dumps({"question": "Who?", "answer": "Ada L"}) + "\n", "chat", [("icontains", "{{ answer }}")]),
        ("true.jsonl", json.dumps({"question": "Who?", "answer": "Ada L", "id": 7}) + "\n", "chat", [("icontains", "{{ answer }}")]),
    ],
)  # fmt: skip
def test_rows_of_any_shape(
    name: str, text: str, kind: str, asserts: list[tuple[str, Any]] | None, tmp_path: Path
) -> None:
    Path(tmp_path, name).write_text(text, encoding="utf-8")
    made = llmgate("init", "--from", tmp_path / name)
    if asserts is None:  # JSON whose objects are no objects: still a suite
        assert made.exit_code == 0, made.output
        return
    assert made.exit_code == 0, made.output
    assert f"kind {kind}" in made.output
    (path,) = Path("suites").glob("*.yaml")
    found = suite(path.stem)
    assert [(each["type"], each.get("value")) for each in found["assert"]] == asserts
    with scripted_endpoint(lambda *_: chat("Paris")) as (url, _):
        done = run(url, "--as-baseline", "--out", "runs/champion")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("rows.csv", "", "has no rows"),
        ("rows.csv", "id,question,answer\n", "has no rows"),
        ("rows.jsonl", "", "has no rows"),
        ("rows.csv", CSV + "q0,Again?,Yes\n", "rows.csv:6: the id 'q0' is already used in line 2"),
        ("rows.csv", CSV + "q9,Again?,\n", "row q9 has nothing in 'answer'"),
        ("rows.csv", CSV + "q9,  ,Paris\n", "row q9 has nothing in 'question'"),
        ("rows.csv", CSV + "q9,Paris\n", "rows.csv:6"),
        ("rows.csv", CSV.replace(",", ";"), "separated by semicolons"),
        ("rows.csv", "a,b,c\nx,y,z\n", "no column says what to ask. Name one question; there are a, b, c"),
        ("rows.csv", "question,__expected\nx,equals:y\n", "import promptfoo"),
        ("rows.xlsx", "PK", "this is none of them"),
        ("rows.jsonl", '{"question": "x"}\n{"question": "y", "answer": "z"}\n', "rows.jsonl:2"),
        ("rows.jsonl", '[{"question": "x"}]\n', "not an object"),
        ("rows.jsonl", '{"question": {"a": 1}}\n', "not a text to ask"),
        ("rows.jsonl", '{"question": "\\ud800", "answer": "x"}\n', "half of a surrogate pair"),
        ("rows.jsonl", '{"id": 1, "question": "\\ud800", "answer": "x"}\n', "half of a surrogate pair"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_leave_nothing(name: str, text: str, says: str, tmp_path: Path) -> None:
    Path(tmp_path, name).write_text(text, encoding="utf-8")
    done = llmgate("init", "--from", tmp_path / name)
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "nowhere.csv"], "there is no such file"),
        (["--from", "rows.csv", "--kind", "json"], "the right answers are no JSON"),
        (["--from", "rows.csv", "--kind", "rag"], "no column holds a context"),
        (["rows.csv"], "this is no folder"),
    ],
)
def test_wishes_that_cannot_be_met_leave_nothing(words: list[str], says: str) -> None:
    Path("rows.csv").write_text(CSV, encoding="utf-8")
    done = llmgate("init", *words)
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert written(Path()) == {"rows.csv"}


@pytest.mark.parametrize(
    "there", ["suites/chat.yaml", "suites/chat.jsonl", "suites/chat.lock.json", ".github/workflows/llmgate.yml"]
)
@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_that_is_there_is_named_and_nothing_is_written(there: str, kind: str) -> None:
    Path(there).parent.mkdir(parents=True)
    if kind == "file":
        Path(there).write_text("mine", encoding="utf-8")
    else:
        Path(there).symlink_to("/nowhere/at/all")
    done = llmgate("init")
    assert done.exit_code == 2
    assert f"{there} is there already, and nothing was written" in done.output
    assert [str(path) for path in Path().rglob("*") if not path.is_dir()] == [there]


def test_a_second_project_goes_beside_the_first_but_for_the_workflow() -> None:
    assert llmgate("init").exit_code == 0
    before = {path: Path(path).read_bytes() for path in written(Path())}
    done = llmgate("init", "--kind", "rag")
    assert done.exit_code == 2
    assert {path: Path(path).read_bytes() for path in written(Path())} == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("*.pyc\n", "*.pyc\n.llmgate/\n"),
        ("*.pyc", "*.pyc\n.llmgate/\n"),
        ("", ".llmgate/\n"),
        (".llmgate\n", ".llmgate\n"),
        ("/.llmgate/\n", "/.llmgate/\n"),
    ],
)
def test_gitignore_gets_one_line(before: str, after: str) -> None:
    Path(".gitignore").write_text(before, encoding="utf-8")
    assert llmgate("init").exit_code == 0
    assert Path(".gitignore").read_text("utf-8") == after


def test_a_failure_on_the_way_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".gitignore").write_text("*.pyc\n", encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "suites/chat.lock.json")

    monkeypatch.setattr("llmgate.session.commands.init.plan_paths", full)
    done = llmgate("init")
    assert done.exit_code == 4
    assert "cannot be written (No space left on device)" in done.output
    assert written(Path()) == {".gitignore"}
    assert [path.name for path in Path().iterdir()] == [".gitignore"]
    assert Path(".gitignore").read_text("utf-8") == "*.pyc\n"


def test_an_endpoint_is_asked_what_it_lists() -> None:
    with scripted_endpoint(lambda *_: chat("x"), model="support-v6") as (url, seen):
        done = llmgate("init", "support", "--endpoint", url)
    assert done.exit_code == 0, done.output
    assert "the endpoint answers and lists support-v6" in done.output
    assert "  cd support\n" in done.output
    assert f"llmgate run suites/ --endpoint {url} --as-baseline --out runs/champion" in done.output
    assert not seen


def test_of_several_models_the_first_is_named() -> None:
    with scripted_endpoint(lambda *_: {}, model="one") as (url, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmgate.session.commands.init.served_models", lambda *_, **__: ("b; rm -rf", "a"))
        done = llmgate("init", "--endpoint", url)
        assert "b; rm -rf, a; the commands below ask the first" in done.output
        assert "--served-name 'b; rm -rf' --as-baseline" in done.output
        assert llmgate("init", "new", "--endpoint", url, "--served-name", "c").exit_code == 4


def test_an_endpoint_in_the_projects_own_file_is_asked_too() -> None:
    with scripted_endpoint(lambda *_: {}, model="one") as (url, _):
        Path("pyproject.toml").write_text(f'[tool.llmgate]\nendpoint = "{url}"\n', encoding="utf-8")
        done = llmgate("init")
    assert "the endpoint answers and lists one" in done.output
    assert "  llmgate run suites/ --as-baseline --out runs/champion" in done.output


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        ("+", "-"),
        ("a", "b"),
        ("the", "x"),
        ("yes", "no"),
        ("A", "B"),
        ("1,5", "15"),
        ("C#", "C"),
    ],
)
@pytest.mark.parametrize("times", [1, 4])
def test_short_answers_are_told_apart(right: str, wrong: str, times: int, tmp_path: Path) -> None:
    """Whatever is chosen for short texts: the right one is right, and another one is wrong."""
    texts = [right, wrong] * times
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"question": f"Nr {i:02}?", "answer": text}) for i, text in enumerate(texts)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert llmgate("init", "--from", path).exit_code == 0
    assert [score_of(answers) for answers in (texts, texts[::-1])] == [1.0, 0.0]


def score_of(answers: list[str]) -> float:
    """What a model is given that answers so, row by row."""

    def reply(_: str, body: dict[str, Any]) -> dict[str, Any]:
        return chat(answers[int(body["messages"][-1]["content"].strip(" Nr?\n"))])

    out = f"runs/{answers[0]}"
    with scripted_endpoint(reply) as (url, _):
        done = run(url, "--as-baseline", "--out", out)
    assert done.exit_code == 0, done.output
    (metric,) = json.loads(Path(out, "decision.json").read_text("utf-8"))["metrics"]
    assert metric["errors"] == 0
    return float(metric["candidate"])


def test_an_endpoint_that_does_not_answer_leaves_nothing() -> None:
    done = llmgate("init", "--endpoint", "http://127.0.0.1:9")
    assert done.exit_code == 4
    assert "cannot be reached" in done.output
    assert not list(Path().iterdir())


def test_a_key_does_not_travel_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-0123456789abcdef")
    done = llmgate("init", "--endpoint", "http://llm.example.com/v1")
    assert done.exit_code == 2
    assert "over plain http" in done.output
    assert "sk-0123" not in done.output
    assert not list(Path().iterdir())


def test_without_a_terminal_nothing_is_asked() -> None:
    words = [sys.executable, "-c", "from llmgate.cli import main; main()", "init"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 rows of ours, kind chat" in done.stdout
    assert done.stdout.index("wrote") < done.stdout.index("Next:")


def test_ctrl_c_at_a_question_leaves_nothing() -> None:
    pid, terminal = pty.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background has it ignored
        os.execv(sys.executable, [sys.executable, "-c", "from llmgate.cli import main; main()", "init"])
    said = read_until(terminal, b"samples)")
    # One that comes while Python goes from the prompt to its wait is seen with the next key only.
    while b"interrupted" not in said and said.count(b"^C") < 20:
        os.write(terminal, b"\x03")
        said += read_until(terminal, b"nothing was written", timeout_s=3) or b"^C"
    read_until(terminal, b"no such mark", timeout_s=10)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 4, said
    assert b"interrupted; nothing was written" in said
    assert b"Traceback" not in said
    assert not list(Path().iterdir())


def read_until(terminal: int, mark: bytes, *, timeout_s: float = 60) -> bytes:
    """What a terminal shows until a mark, or its end, or until it is silent for so long."""
    said = b""
    while mark not in said and select.select([terminal], [], [], timeout_s)[0]:
        try:
            said += os.read(terminal, 1024)
        except OSError:  # nobody has it open any more
            break
    return said


def test_questions_are_answered_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rows.csv").write_text(CSV, encoding="utf-8")
    monkeypatch.setattr("llmgate.cli.init.at_terminal", lambda: True)
    done = CliRunner().invoke(main, ["init"], input="nowhere.csv\nrows.csv\n\n")
    assert done.exit_code == 0, done.output
    assert "there is no file nowhere.csv" in done.output
    assert "4 rows of rows.csv" in done.output


@pytest.mark.parametrize(
    ("value", "text"),
    [("a-b", "a-b"), ("yes", '"yes"'), ("{{ x }}", '"{{ x }}"'), ("1", '"1"'), ("x\u2028\x85y", '"x\\u2028\\u0085y"')],
)
def test_what_yaml_would_misread_is_quoted(value: str, text: str) -> None:
    assert flow(value) == text
    assert yaml.safe_load(flow(value)) == value


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Paris", "Tokyo"], Expected.SHORT),
        (["no", "Tokyo"], Expected.EXACT),
        ([1, 2], Expected.EXACT),
        (["yes", "no"] * 3, Expected.LABEL),
        (["A", "C"], Expected.CHOICE),
        (["A", "B"] * 9, Expected.CHOICE),
        (["A", "K"], Expected.EXACT),
        (["same"] * 6, Expected.SHORT),
        (["1,200", "55%"], Expected.EXACT),
        (['{"a": 1}', '[1]'], Expected.DATA_TEXT),
        (['{"a": 1}', 'text here'], Expected.SHORT),
        ([{"a": 1}, "text"], Expected.NONE),
        (["a " * 9, "b"], Expected.LONG),
    ],
)  # fmt: skip
def test_how_strictly_answers_can_be_checked(values: list[Any], expected: Expected) -> None:
    records = [{"question": f"What is {i}?", "answer": value} for i, value in enumerate(values)]
    assert understand(records, source="x").expected is expected
