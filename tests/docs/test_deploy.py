"""The examples for deployments: their commands exist, their mounts cannot be written to, and the script does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from support.servers import model_folder
from support.verdicts import gate_statement, make_keys, registry_facts

from llmgate.attest.statement import ChampionFacts, bind
from llmgate.cli.release.verify import verify
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.yaml"))


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from parts(inner)
    if isinstance(value, list):
        for inner in value:
            yield from parts(inner)


def accepted(words: list[str]) -> dict[str, Any]:
    """The options of a `verify` command line, as the command reads them."""
    context = verify.make_context("verify", list(words))
    assert isinstance(context, click.Context)
    return context.params


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_command_is_one_that_the_command_line_takes(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = []
    for part in parts(document):
        command = part.get("command")
        if isinstance(command, list) and command[:2] == ["llmgate", "verify"]:
            found.append(accepted(command[2:]))
        elif isinstance(command, list) and command[0] == "/bin/sh":
            line = next(line for line in command[2].splitlines() if line.startswith("llmgate verify"))
            found.append(accepted(line.split()[2:]))
    assert len(found) == 1
    assert found[0]["policy"] is not None
    assert found[0]["alias"] == "champion"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_weights_and_evidence_are_mounted_read_only_everywhere(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    mounts = [part for part in parts(document) if "mountPath" in part and part["name"] in {"models", "evidence"}]
    claims = [part["persistentVolumeClaim"] for part in parts(document) if "persistentVolumeClaim" in part]
    assert all(part.get("readOnly") is True for part in [*mounts, *claims])
    if path.stem != "kserve-storage-container":
        assert len(mounts) >= 2
        assert len(claims) == 1


def test_the_page_names_every_example_and_its_commands_exist() -> None:
    page = (DOCS / "deploy.md").read_text(encoding="utf-8")
    for path in (*EXAMPLES, DOCS / "examples" / "serve.sh"):
        assert f"(examples/{path.name})" in page
    lines = [line for line in page.splitlines() if line.startswith("llmgate verify")]
    assert len(lines) == 2
    for line in lines:
        accepted(line.split()[2:])


def test_the_script_starts_the_server_only_on_weights_that_passed(tmp_path: Path) -> None:
    folder, evidence, programs = model_folder(tmp_path), tmp_path / "evidence", tmp_path / "bin"
    keys = make_keys(evidence)
    programs.mkdir()
    statement = gate_statement()
    statement["subject"][0]["digest"]["sha256"] = weights_digest(folder)
    now = datetime.now(UTC)
    bound = bind(
        statement,
        registry=registry_facts(),
        champion=ChampionFacts(version="1", created_at=now),
        records={"candidate": "1" * 64, "baseline": None, "decision": "2" * 64},
        attempts=1,
        issued_at=now,
        expires_at=now.replace(year=now.year + 1),
    )
    (evidence / "verdict.dsse.json").write_text(keys.sign(bound), encoding="utf-8")
    for name, body in {
        "llmgate": f'exec {sys.executable} -c "from llmgate.cli import main; main()" "$@"',
        "vllm": 'echo "server: $*"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "MODEL_DIR": str(folder),
        "MODEL_NAME": "support-bot",
        "EVIDENCE": str(evidence),
    }

    def serve() -> tuple[int, str]:
        done = subprocess.run(
            ["sh", DOCS / "examples" / "serve.sh"], env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    code, said = serve()
    assert code == 0
    assert said.splitlines()[-1] == f"server: serve {folder} --served-model-name support-bot --port 8000"
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    code, said = serve()
    assert code == 1
    assert "server:" not in said
    (folder / "chat_template.jinja").unlink()
    (evidence / "verdict.dsse.json").unlink()
    code, said = serve()
    assert code == 4
    assert "server:" not in said
