"""`llmgate import`: exit codes, messages, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.imports import write_files

from llmgate.cli import main
from llmgate.errors import UsageError
from llmgate.session.commands.import_suites import import_suites
from llmgate.session.run.plan import plan_file

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "prompts: ['{{q}}']\ntests: [{vars: {q: a}, assert: [{type: contains, value: x}%s]}]\n"


def run(folder: Path, config: str) -> tuple[int, str]:
    write_files(folder, {"promptfooconfig.yaml": config})
    done = CliRunner().invoke(main, ["import", "promptfoo", str(folder), "--out", str(folder / "out")])
    return done.exit_code, " ".join(done.output.split())


def test_everything_carried_over_is_0(tmp_path: Path) -> None:
    code, output = run(tmp_path, CONFIG % "")
    assert code == 0, output
    assert "everything was carried over" in output
    (path,) = (tmp_path / "out").glob("*.yaml")
    assert len(plan_file(path).cases) == 1


def test_something_left_out_is_3_and_named(tmp_path: Path) -> None:
    code, output = run(tmp_path, CONFIG % ", {type: webhook, value: x}")
    assert code == 3
    assert "assert 'webhook' left out: code is not run (x) [" in output
    assert "promptfooconfig.yaml:2]" in output
    assert "1 row, 1 assert for all of them" in output
    assert "1 suite, 1 case, 1 assert 1 check or case not carried over" in output


def test_asserts_that_rows_bring_are_not_called_none(tmp_path: Path) -> None:
    test = "  - {vars: {q: %s}, assert: [{type: contains, value: %s}]}\n"
    _, output = run(tmp_path, "prompts: ['{{q}}']\ntests:\n" + test % ("a", "x") + test % ("b", "y"))
    assert "2 rows, asserts in the rows" in output


def test_what_cannot_be_read_is_2(tmp_path: Path) -> None:
    code, output = run(tmp_path, "prompts: [")
    assert code == 2
    assert "not valid YAML" in output


def test_unknown_tools_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not import"):
        import_suites("promptfo", tmp_path, tmp_path)
