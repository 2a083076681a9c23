"""Suites that fail, beside one that passes, written so that whoever looks for suites might not see them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint
from support.project import answer_right, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMENT = "# A long story.\n" * 5000  # 80 kB


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with scripted_endpoint(lambda _, body: chat(answer_right(body))) as (url, _):
        yield url


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One suite that passes, and the text of one that fails, in a file of its own that nobody would run."""
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=4, gate="min: 0.2")
    path = write_suite(tmp_path, "bad", cases=4, gate="min: 0.9")
    path.rename(tmp_path / "bad.txt")
    text = (tmp_path / "bad.txt").read_text(encoding="utf-8").replace('value: "{{ word }}"', 'value: "never said"')
    (tmp_path / "bad.txt").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def bad(project: Path) -> str:
    return (project / "bad.txt").read_text(encoding="utf-8")


def run(url: str, *paths: str) -> Ending:
    return llmgate("run", *(paths or (".",)), "--endpoint", url, "--retries", "0")


def data(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def reordered(text: str) -> str:
    """The marker last."""
    return "".join(sorted(text.splitlines(keepends=True), key=lambda line: line.startswith("llmgate")))


def indented(text: str, by: str = "  ") -> str:
    return "".join(f"{by}{line}" for line in text.splitlines(keepends=True))


# How the failing suite is written, and what the file is called. All are read as the very same suite.
STYLES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "plain": (str.encode, "bad.yaml"),
    "yml": (str.encode, "bad.yml"),
    "capital suffix": (str.encode, "bad.YAML"),
    "capital YML": (str.encode, "bad.Yml"),
    "hidden file": (str.encode, ".bad.yaml"),
    "no name but a suffix": (str.encode, ".yaml"),
    "byte order mark": (lambda text: text.encode("utf-8-sig"), "bad.yaml"),
    "key in quotes": (lambda text: text.replace("llmgate:", '"llmgate":').encode(), "bad.yaml"),
    "key in single quotes": (lambda text: text.replace("llmgate:", "'llmgate':").encode(), "bad.yaml"),
    "space before the colon": (lambda text: text.replace("llmgate:", "llmgate :").encode(), "bad.yaml"),
    "escaped key": (lambda text: text.replace("llmgate:", r'"\x6clmgate":').encode(), "bad.yaml"),
    "key with code points": (lambda text: text.replace("llmgate:", r'"llm\u0067ate":').encode(), "bad.yaml"),
    "explicit key": (lambda text: text.replace("llmgate: 1", "? llmgate\n: 1").encode(), "bad.yaml"),
    "value on the next line": (lambda text: text.replace("llmgate: 1", "llmgate:\n  1").encode(), "bad.yaml"),
    "tagged key": (lambda text: text.replace("llmgate:", "!!str llmgate:").encode(), "bad.yaml"),
    "anchored key": (lambda text: text.replace("llmgate:", "&m llmgate:").encode(), "bad.yaml"),
    "indented": (lambda text: indented(text).encode(), "bad.yaml"),
    "flow": (lambda text: yaml.safe_dump(data(text), default_flow_style=True).encode(), "bad.yaml"),
    "JSON in YAML": (lambda text: json.dumps(data(text)).encode(), "bad.yaml"),
    "JSON": (lambda text: json.dumps(data(text), indent=2).encode(), "bad.json"),
    "JSON by tabs": (lambda text: json.dumps(data(text), indent="\t").encode(), "bad.json"),
    "JSON in capitals": (lambda text: json.dumps(data(text)).encode(), "BAD.JSON"),
    "comment of 80 kB": (lambda text: (COMMENT + text).encode(), "bad.yaml"),
    "description of 80 kB first": (
        lambda text: (
            "description: |\n" + "  long\n" * 12_000 + reordered(text.replace("description: R", "# r"))
        ).encode(),
        "bad.yaml",
    ),
    "marker last": (lambda text: reordered(text).encode(), "bad.yaml"),
    "document start": (lambda text: f"---\n{text}".encode(), "bad.yaml"),
    "document start on the line": (lambda text: f"--- {json.dumps(data(text))}\n...\n".encode(), "bad.yaml"),
    "YAML directive": (lambda text: f"%YAML 1.1\n---\n{text}".encode(), "bad.yaml"),
    "CRLF": (lambda text: text.replace("\n", "\r\n").encode(), "bad.yaml"),
    "old Mac line ends": (lambda text: text.replace("\n", "\r").encode(), "bad.yaml"),
    "folders below": (str.encode, "below/further/bad.yaml"),
    "a folder that is called as a suite": (str.encode, "more.yaml/bad.yaml"),
}


def write_bad(project: Path, name: str, content: bytes) -> Path:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for file in ("bad.jsonl", "bad.lock.json"):
        if path.parent != project:
            (path.parent / file).write_bytes((project / file).read_bytes())
    return path


def test_honest_folder_with_a_suite_that_passes(url: str) -> None:
    ending = run(url)
    assert ending.green, ending
    assert "not run" not in ending.output


@pytest.mark.parametrize("style", STYLES)
def test_failing_suite_is_run(project: Path, url: str, bad: str, attempt: Callable[[Ending], None], style: str) -> None:
    write, name = STYLES[style]
    write_bad(project, name, write(bad))
    ending = run(url)
    attempt(ending)
    assert ending.verdict == "FAIL", ending.output


# What looks like a suite and cannot be read as one: refused, with the file and what to do.
BROKEN: dict[str, tuple[Callable[[str], bytes], str]] = {
    "UTF-16": (lambda text: text.encode("utf-16"), "UTF-8"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-be"), "YAML"),
    "UTF-32": (lambda text: text.encode("utf-32"), "UTF-8"),
    "Latin-1": (lambda text: text.replace("Repeat", "R\xe9p\xe8te").encode("latin-1"), "UTF-8"),
    "bad YAML": (lambda text: text.replace("suite: bad", "suite: [bad").encode(), "YAML"),
    "bad YAML before the marker": (lambda text: f"a: 'b\n{text}".encode(), "YAML"),
    "tabs": (lambda text: text.replace("\n  ", "\n\t").encode(), "YAML"),
    "a zero byte": (lambda text: f"{text}\0".encode(), "YAML"),
    "another version of YAML": (lambda text: f"%YAML 2.0\n---\n{text}".encode(), "YAML"),
    "marker in capitals": (lambda text: text.replace("llmgate:", "LLMGate:").encode(), "LLMGate"),
    "marker with a hyphen": (lambda text: text.replace("llmgate:", "llm-gate:").encode(), "llm-gate"),
    "marker with an underscore": (lambda text: text.replace("llmgate:", "llm_gate:").encode(), "llm_gate"),
    "marker with a space": (lambda text: text.replace("llmgate:", '"llmgate ":').encode(), "llmgate"),
    "marker with a width of nothing": (lambda text: text.replace("llmgate:", "llm\u200bgate:").encode(), "llmgate"),
    "full-width marker": (lambda text: text.replace("llmgate:", "ｌｌｍｇａｔｅ:").encode(), "llmgate"),
    "marker over two lines": (lambda text: text.replace("llmgate: 1", "? llm\n  gate\n: 1").encode(), "llm gate"),
    "marker merged in": (
        lambda text: text.replace("llmgate: 1", "description: &m {llmgate: 1}\n<<: *m").replace("\ndescription: R", "\n# r").encode(),
        "<<",
    ),
    "a list of suites": (lambda text: f"- {indented(text).lstrip()}".encode(), "list"),
    "the whole file in quotes": (lambda text: json.dumps(text).encode(), "text"),
    "more than a megabyte": (lambda text: f"{text}# {'x' * 1_000_000}\n".encode(), "bytes"),
    "cut off in the middle of a quote": (lambda text: text[: text.index("never") + 3].encode(), "YAML"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_broken_suite_is_refused(
    project: Path, url: str, bad: str, attempt: Callable[[Ending], None], how: str
) -> None:
    write, word = BROKEN[how]
    write_bad(project, "bad.yaml", write(bad))
    ending = run(url)
    attempt(ending)
    assert ending.exit_code == 2
    assert "bad.yaml" in ending.output
    assert word in ending.output


# The marker is where it belongs, so the file is a suite, and reading it says what is wrong.
UNREADABLE: dict[str, Callable[[str], str]] = {
    "two documents": lambda text: f"{text}---\na: 1\n",
    "second document": lambda text: f"a: 1\n---\n{text}",
    "key twice": lambda text: f"{text}llmgate: 1\n",
    "other format": lambda text: text.replace("llmgate: 1", "llmgate: 2"),
    "no value": lambda text: text.replace("llmgate: 1", "llmgate:"),
    "true": lambda text: text.replace("llmgate: 1", "llmgate: true"),
    "a bomb": lambda text: (
        text
        + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8))
    ),
    "deeply nested": lambda text: f"{text}x: {'[' * 300}{']' * 300}\n",
    "Python object": lambda text: f"{text}x: !!python/object/apply:os.getcwd []\n",
    "a set": lambda _: "!!set {llmgate}\n",
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_marked_file_is_never_skipped(
    project: Path, url: str, bad: str, attempt: Callable[[Ending], None], how: str
) -> None:
    write_bad(project, "bad.yaml", UNREADABLE[how](bad).encode())
    ending = run(url)
    attempt(ending)
    assert ending.exit_code == 2
    assert "bad.yaml" in ending.output


def symlinked_folder(project: Path, text: str) -> None:
    folder = project.parent / f"{project.name}-elsewhere"
    folder.mkdir()
    write_bad(folder, "bad.yaml", text.encode())
    for file in ("bad.jsonl", "bad.lock.json"):
        (folder / file).write_bytes((project / file).read_bytes())
    (project / "more").symlink_to(folder)


def symlinked_file(project: Path, text: str) -> None:
    folder = project / "below"
    folder.mkdir()
    (project / "kept.txt").write_text(text, encoding="utf-8")
    write_bad(project, "below/x", b"")
    (folder / "bad.yaml").symlink_to(project / "kept.txt")


def hidden_behind_a_link(project: Path, text: str) -> None:
    write_bad(project, ".hidden/bad.yaml", text.encode())
    (project / "visible").symlink_to(project / ".hidden")


def dangling(project: Path, text: str) -> None:
    (project / "bad.yaml").symlink_to(project / "gone.yaml")


def loop(project: Path, text: str) -> None:
    (project / "bad.yaml").symlink_to("bad.yaml")


def fifo(project: Path, text: str) -> None:
    os.mkfifo(project / "bad.yaml")


def device(project: Path, text: str) -> None:
    (project / "bad.yml").symlink_to("/dev/zero")


PLACES = [symlinked_folder, symlinked_file, hidden_behind_a_link, dangling, loop, fifo, device]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_suite_in_an_odd_place(
    project: Path, url: str, bad: str, attempt: Callable[[Ending], None], place: Callable[[Path, str], None]
) -> None:
    place(project, bad)
    ending = run(url)
    attempt(ending)
    assert "bad" in ending.output


@pytest.mark.parametrize("what", ["file", "folder"])
def test_nobody_may_read_it(
    project: Path, url: str, bad: str, attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    locked = write_bad(project, "locked/bad.yaml", bad.encode())
    locked = locked if what == "file" else locked.parent

    def denied(function: Callable[..., Any]) -> Callable[..., Any]:
        # These tests run as root, whom nothing is denied.
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if str(path).endswith(str(locked.relative_to(project))):
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *args, **kwargs)

        return call

    monkeypatch.setattr(
        "llmgate.suite.folder.read_regular", denied(__import__("llmgate.record.disk").record.disk.read_regular)
    )
    monkeypatch.setattr(os, "scandir", denied(os.scandir))
    ending = run(url)
    attempt(ending)
    assert "Permission denied" in ending.output


# What is no regular file, wherever a suite or the command names one.
def named_dataset(project: Path, odd: str) -> tuple[str, ...]:
    path = project / "words.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("words.jsonl", odd), encoding="utf-8")
    return ("words.yaml",)


def named_prompt(project: Path, odd: str) -> tuple[str, ...]:
    path = project / "words.yaml"
    text = path.read_text(encoding="utf-8").replace('\n  - {role: user, content: "Say {{ word }}"}', f" {odd}")
    path.write_text(text, encoding="utf-8")
    return ("words.yaml",)


def named_lock(project: Path, odd: str) -> tuple[str, ...]:
    (project / "words.lock.json").unlink()
    (project / "words.lock.json").symlink_to(odd if odd.startswith("/") else project / odd)
    return ("words.yaml",)


def named_suite(project: Path, odd: str) -> tuple[str, ...]:
    return ("words.yaml", odd)


def named_policy(project: Path, odd: str) -> tuple[str, ...]:
    return ("words.yaml", "--policy", odd)


NAMED = [named_dataset, named_prompt, named_lock, named_suite, named_policy]


@pytest.mark.parametrize("odd", ["/dev/zero", "/dev/null", "pipe", "folder"])
@pytest.mark.parametrize("name", NAMED, ids=lambda name: name.__name__)
def test_no_regular_file(
    project: Path,
    url: str,
    attempt: Callable[[Ending], None],
    name: Callable[[Path, str], tuple[str, ...]],
    odd: str,
) -> None:
    os.mkfifo(project / "pipe")
    (project / "folder").mkdir()
    ending = run(url, *name(project, odd))
    attempt(ending)
    assert ending.exit_code == 2, ending.output
    assert "bug" not in ending.output


def clustered(project: Path, *values: object) -> None:
    rows = [{"id": f"word-{i}", "word": f"word-{i}", "topic": "a", "doc": value} for i, value in enumerate(values)]
    (project / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    suite = project / "words.yaml"
    suite.write_text(suite.read_text(encoding="utf-8").replace("{slices: [topic]}", "{cluster: doc}"), encoding="utf-8")
    assert llmgate("lock", "words.jsonl", "--version", "2.0.0").exit_code == 0


def test_honest_clusters(project: Path, url: str) -> None:
    clustered(project, "a", "a", "b", 7, "c", "d")
    assert run(url, "words.yaml").green


@pytest.mark.parametrize("blank", [None, "", "  ", "\u00a0"])
@pytest.mark.parametrize("rows", [1, 4])
def test_rows_that_belong_to_nothing(
    project: Path, url: str, attempt: Callable[[Ending], None], blank: str | None, rows: int
) -> None:
    clustered(project, *["a", "b", "c", "d"][rows:], *[blank] * rows)
    ending = run(url, "words.yaml")
    attempt(ending)
    assert "cluster" in ending.output


def git(project: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=project, check=True, capture_output=True)


@pytest.mark.parametrize("version", [(), ("--version", "1.0.0"), ("--version", "0.9.0")], ids=str)
@pytest.mark.parametrize("known", ["committed", "staged", "deleted by a commit"])
def test_lock_deleted_and_made_again(
    project: Path, url: str, attempt: Callable[[Ending], None], known: str, version: tuple[str, ...]
) -> None:
    git(project, "init", "-q")
    git(project, "add", "words.lock.json", "words.jsonl")
    if known != "staged":
        git(project, "commit", "-qm", "Lock")
    lock, rows = project / "words.lock.json", project / "words.jsonl"
    lock.unlink()
    if known == "deleted by a commit":
        git(project, "commit", "-qam", "Unlock")
    rows.write_text(rows.read_text(encoding="utf-8").replace('"word": "word-3"', '"word": "word-2"'), encoding="utf-8")
    locked = llmgate("lock", "words.jsonl", *version)
    assert locked.exit_code == 2, locked.output
    assert "1.1.0" in locked.output
    assert not lock.exists()
    attempt(run(url, "words.yaml"))


def test_honest_lock_made_again(project: Path, url: str) -> None:
    git(project, "init", "-q")
    git(project, "add", "words.lock.json", "words.jsonl")
    lock = project / "words.lock.json"
    before = lock.read_bytes()
    lock.unlink()
    assert llmgate("lock", "words.jsonl").exit_code == 0
    assert lock.read_bytes() == before  # nothing changed, so the version and the licence are those of before
    assert run(url, "words.yaml").green


# What is listed, and does not keep a verdict from PASS.
LISTED: dict[str, tuple[str, Callable[[str], str]]] = {
    "no marker": ("bad.yaml", lambda text: text.replace("llmgate: 1\n", "")),
    "marker commented out": ("bad.yaml", lambda text: text.replace("llmgate: 1\n", "# llmgate: 1\n")),
    "marker misspelt beyond doubt": ("bad.yaml", lambda text: text.replace("llmgate:", "lmgate:")),
    "Cyrillic letter in the marker": ("bad.yaml", lambda text: text.replace("llmgate:", "llmg\u0430te:")),
    "kept aside": ("bad.yaml.off", str),
    "space after the name": ("bad.yaml ", str),
    "hidden folder": (".hidden/bad.yaml", str),
    "folder that pytest does not search": ("build/below/bad.yaml", str),
    "virtual environment": ("env/bad.yaml", str),
}


@pytest.mark.parametrize("how", LISTED)
def test_honest_suite_that_is_not_run_is_named(project: Path, url: str, bad: str, how: str) -> None:
    name, write = LISTED[how]
    write_bad(project, name, write(bad).encode())
    if name.startswith("env"):
        (project / "env" / "pyvenv.cfg").write_text("", encoding="utf-8")
    ending = run(url)
    assert ending.green, ending
    assert f"not run: {name}: " in ending.output


def test_honest_folder_with_files_of_others(project: Path, url: str) -> None:
    foreign = {
        "promptfooconfig.yaml": "prompts: [a]\nproviders: [b]\ntests: [{assert: [{type: equals, value: x}]}]\n",
        "docker-compose.yml": "services: {llmgate: {image: 'llmgate:1.0'}}\n",
        "policy.yaml": "llmgate-policy: 1\nmetrics: {}\n",
        "broken.yaml": "{% if x %}\na: [\n",
        "chart.yaml": "kind: {{ .Values.kind }}\n  image: ghcr.io/x/llmgate:1.0\n",
        "many.yaml": "a: 1\n---\nb: 2\n",
        "empty.yaml": "",
        "package.json": '{"dependencies": {"llmgate": "1.0", "prompt": "2", "assert": "1"}}',
        "tasks.yaml": "- name: check\n  assert: {that: x}\n",
        "ci.yaml": "on: push\njobs: {gate: {steps: [{run: 'pip install llmgate; llmgate run .'}]}}\n",
    }
    for name, text in foreign.items():
        (project / name).write_text(text, encoding="utf-8")
    (project / ".#words.yaml").symlink_to("somebody@somewhere.1234")
    ending = run(url)
    assert ending.green, ending
    assert "not run" not in ending.output
    assert "not suites: broken.yaml, chart.yaml, ci.yaml, docker-compose.yml, empty.yaml and " in ending.output
