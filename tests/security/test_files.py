"""Files that name others than their own project's, or what is no file at all."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.adversary import llmgate
from support.reach import NAMERS, TESTS, WAYS, Box, attempt, foo

from llmgate.errors import LlmgateError, UsageError
from llmgate.pytest_plugin.by_hand import check_by_hand
from llmgate.session.options.table import OPTIONS
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from support.identity import Identity

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    return Box.build(tmp_path_factory.mktemp("box"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("namer", NAMERS)
def test_nothing_outside_of_the_project_is_read(box: Box, namer: str, way: str) -> None:
    ended = attempt(box, namer, way)
    if namer == "promptfoo prompt, bare" and WAYS[way](box, ".txt").endswith(("environ", "stdin")):
        assert "environ'" in ended or "stdin'" in ended  # not the name of a text file, so it is a text itself
    else:
        assert ended == "refused"


def test_so_it_is_for_every_user(identity: Identity) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    code = "import pathlib; from support.reach import attempts; print(attempts(pathlib.Path('box').absolute()))"
    (identity.folder / "home").mkdir()
    done = identity.python("-c", code, env={"PYTHONPATH": paths, "HOME": str(identity.folder / "home")})
    assert done.returncode == 0, done.stderr
    assert set(ast.literal_eval(done.stdout)) == {
        f"promptfoo prompt, bare by {way}" for way in ("environ", "environ above", "stdin")
    }


def test_a_pattern_does_not_search_the_machine(box: Box) -> None:
    for pattern in ("../../**/*.txt", "/**/*.txt", "*/../../*.txt", "out/*.txt", "../.k*/*.txt", "link*"):
        with pytest.raises(LlmgateError, match="lies outside|is hidden|leads upwards|no regular file"):
            foo(box, f"prompts: ['file://{pattern}']\n{TESTS}")
    (box.project / "suites" / "ok-1.txt").write_text("one {{ q }}", encoding="utf-8")
    assert "one {{ q }}" in repr(foo(box, f"prompts: ['file://ok-*.txt']\n{TESTS}"))


COMMANDS = {
    "lock": ("lock", "--check", "{suite}"),
    "verify": ("dataset", "verify", "{suite}"),
    "stats": ("dataset", "stats", "{suite}"),
    "diff": ("dataset", "diff", "{suite}"),
    "sample": ("dataset", "sample", "{suite}", "1", "--out", "{out}/sample.jsonl"),
    "power": ("power", "{suite}"),
    "import": ("import", "promptfoo", "{config}", "--out", "{out}/suites"),
    "run": ("run", "{suite}", "--endpoint", "http://127.0.0.1:9", "--retries", "0", "--out", "{out}/run"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_elsewhere_is_allowed_by_hand(box: Box, command: str, tmp_path: Path) -> None:
    suite_path = box.project / "suites" / "elsewhere.yaml"
    suite_path.write_text(
        "llmgate: 1\nsuite: x\nversion: 1.0.0\ndataset: ../../key.jsonl\nprompt: [{file: ../../key.md}]\n"
        "assert: [{type: contains, value: a}]\n",
        encoding="utf-8",
    )
    config = box.project / "suites" / "elsewhere.json"
    config.write_text('{"prompts": ["file://../../key.txt"], "tests": "file://../../key.yaml"}', encoding="utf-8")
    words = [word.format(suite=suite_path, config=config, out=tmp_path) for word in COMMANDS[command]]
    refused = llmgate(*words)
    assert refused.exit_code in {2, 4}
    assert "lies outside" in refused.output
    allowed = llmgate(*words, "--allow-outside", f"'{box.project.parent}'")
    assert "lies outside" not in allowed.output
    assert allowed.exit_code == (4 if command == "run" else 0), allowed.output


def test_so_it_is_in_pytest_and_never_in_pyproject(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = box.project.parent
    settings = settings_from({"allow_outside": f"'{folder}' b"}, root=tmp_path)
    assert settings.allow_outside == (str(folder), "b")
    for key in ("allow-outside", "allow_outside"):
        (tmp_path / "pyproject.toml").write_text(f'[tool.llmgate]\n{key} = "/"\n', encoding="utf-8")
        with pytest.raises(UsageError, match="given by hand only"):
            settings_from({}, root=tmp_path)
    monkeypatch.chdir(box.project)
    (box.project / "suites" / "in_pytest.yaml").write_text(
        "llmgate: 1\nsuite: p\nversion: 1.0.0\ndataset: ../../key.jsonl\nprompt: [{role: user, content: '{{ q }}'}]\n"
        "assert: [{type: contains, value: a}]\n",
        encoding="utf-8",
    )
    words = ["-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    words += ["suites/in_pytest.yaml", "--llmgate-endpoint", "http://127.0.0.1:9"]
    by_hand = ["--llmgate-allow-outside", f"'{folder}'"]
    ended = subprocess.run([sys.executable, *words, *by_hand], capture_output=True, text=True, check=False).stdout
    assert "in_pytest.yaml::a" in ended


@pytest.mark.parametrize(
    ("words", "by_hand"),
    [(["-q"], False), (["--llmgate-allow-outside", "/"], True), (["--llmgate-allow-outside=/"], True)],
)
def test_what_stands_in_addopts_was_not_given_by_hand(words: list[str], by_hand: bool) -> None:
    given = {option.field: None for option in OPTIONS} | {"allow_outside": "/"}
    if by_hand:
        check_by_hand(words, given)
    else:
        with pytest.raises(UsageError, match="given by hand only"):
            check_by_hand(words, given)
