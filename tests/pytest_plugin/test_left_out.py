"""Under pytest, too, what is in the folder is either run or named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

if TYPE_CHECKING:
    from pathlib import Path


def run(pytester: pytest.Pytester, *args: str | Path) -> pytest.RunResult:
    # A process each: what xdist's controller imports late would exist twice in this one.
    with FakeServer(answer=answer_right) as server:
        given = (*args, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess(*given, "-p", "no:randomly", timeout=300)


def write_two(pytester: pytest.Pytester) -> str:
    """A suite that passes; the text of one that fails."""
    write_suite(pytester.path, cases=4, gate="min: 0.2")
    path = write_suite(pytester.path, "bad", cases=4, gate="min: 0.9")
    text = path.read_text(encoding="utf-8").replace('value: "{{ word }}"', 'value: "never said"')
    path.unlink()
    return text


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bad.YAML", "plain"),
        ("bad.yaml", "mark"),
        ("bad.yaml", "quoted"),
        ("bad.yaml", "late"),
        ("bad.json", "JSON"),
        ("linked", "plain"),
    ],
)
def test_a_failing_suite_is_run_however_it_is_written(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory, name: str, how: str
) -> None:
    text = write_two(pytester)
    text = {
        "plain": text,
        "mark": f"\ufeff{text}",
        "quoted": text.replace("llmgate:", '"llmgate" :'),
        "late": "# words\n" * 10_000 + text,
        "JSON": json.dumps(yaml.safe_load(text), indent="\t"),
    }[how]
    if name == "linked":
        folder = tmp_path_factory.mktemp("elsewhere")
        for file in ("bad.jsonl", "bad.lock.json"):
            (pytester.path / file).rename(folder / file)
        (folder / "bad.yaml").write_text(text, encoding="utf-8")
        (pytester.path / "linked").symlink_to(folder)
    else:
        (pytester.path / name).write_text(text, encoding="utf-8")
    result = run(pytester, ".", *(("-n", "1") if how == "JSON" else ()))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL Do not ship: *"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_what_looks_like_a_suite_and_cannot_be_read_is_an_error(pytester: pytest.Pytester, encoding: str) -> None:
    (pytester.path / "bad.yaml").write_bytes(write_two(pytester).encode(encoding))
    result = run(pytester, ".")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*bad.yaml: *looks like a suite*"])


def test_a_misspelt_marker_is_an_error_without_any_suite_too(pytester: pytest.Pytester) -> None:
    (pytester.path / "bad.yaml").write_text("LLMGate: 1\nsuite: x\n", encoding="utf-8")
    result = pytester.runpytest_inprocess()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*bad.yaml: the key 'LLMGate' is not quite `llmgate`*"])


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_symlink_that_leads_nowhere_is_an_error_beside_a_suite(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_two(pytester)
    (pytester.path / "bad.yaml").symlink_to("gone.yaml")
    result = run(pytester, ".", *workers)
    assert result.ret not in {0, 5}
    assert "bad.yaml: cannot be read" in result.stdout.str() + result.stderr.str()
    (pytester.path / "run").rename(pytester.path / "before")
    ignored = run(pytester, ".", "--ignore=bad.yaml", *workers)
    assert ignored.ret == 0
    ignored.stdout.fnmatch_lines(["not run: *bad.yaml: cannot be read*"])


def test_without_a_suite_nobody_is_bothered(pytester: pytest.Pytester) -> None:
    (pytester.path / "bad.yaml").symlink_to("gone.yaml")
    (pytester.path / "broken.yaml").write_text("prompt: [\ndataset: x\n", encoding="utf-8")
    (pytester.path / "other.yaml").write_text("prompt: a\ndataset: x\n", encoding="utf-8")
    pytester.makepyfile("def test_unrelated(): pass")
    result = pytester.runpytest_inprocess("-W", "error")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*not run*")


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_what_is_not_run_is_named(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    text = write_two(pytester)
    for name in ("bad.yaml", ".hidden/bad.yaml", "left/bad.yaml", "asked.yaml.off"):
        (pytester.path / name).parent.mkdir(exist_ok=True)
        (pytester.path / name).write_text(text, encoding="utf-8")
    (pytester.path / "bad.yaml").write_text(text.replace("llmgate: 1\n", ""), encoding="utf-8")
    (pytester.path / "compose.yml").write_text("services: {}\n", encoding="utf-8")
    result = run(pytester, ".", "--ignore=left", *workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "PASS Ship: *",
            "not run: .hidden/bad.yaml: *",
            "not run: asked.yaml.off: *",
            "not run: bad.yaml: it has the keys *",
            "not run: left/bad.yaml: it calls itself a suite, and pytest left it out*",
            "not suites: compose.yml*",
        ]
    )


def test_only_the_named_folders_are_looked_at(pytester: pytest.Pytester) -> None:
    text = write_two(pytester)
    (pytester.path / "bad.yaml").write_text(text.replace("llmgate: 1\n", ""), encoding="utf-8")
    result = run(pytester, "words.yaml")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*not run*")
