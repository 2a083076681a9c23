"""The interpreter: found, made, or missed with advice. pip and venv are stood in for by a recording script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "action" / "prepare.sh"
# Does what python does as far as prepare.sh asks: tells its version, makes an environment, installs, imports.
FAKE_PYTHON = """\
#!/bin/bash
echo "$0 $*" >> "$CALLS"
env >> "$CALLS.env"
case "$*" in
  *version_info*) exit "${OLD:-0}" ;;
  "-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo "::error::from venv" ;;
  *"-m pip install"*) echo "::error::from pip"; exit "${PIP:-0}" ;;
  *"import llmgate"*) exit "${IMPORT:-0}" ;;
esac
"""


class Prepared:
    """One call of the script."""

    def __init__(self, folder: Path, *, python: str = "", install: str = "", upload: str = "true", **env: str) -> None:
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        self.fake = bin_folder / "python3"
        self.fake.write_text(FAKE_PYTHON, encoding="utf-8")
        self.fake.chmod(0o755)
        self.temp = folder / "temp dir"
        self.temp.mkdir()
        files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "CALLS")}
        for file in files.values():
            file.touch()
        done = subprocess.run(
            ["bash", str(SCRIPT)],
            cwd=folder,
            env={
                "PATH": f"{bin_folder}:{os.environ['PATH']}",
                "RUNNER_TEMP": str(self.temp),
                "GITHUB_ACTION_PATH": "/the action",
                "LLMGATE_ACTION_PYTHON": python,
                "LLMGATE_ACTION_INSTALL": install,
                "LLMGATE_ACTION_UPLOAD": upload,
                **{name: str(path) for name, path in files.items()},
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.code, self.log = done.returncode, done.stdout
        self.output, self.summary, self.calls = (path.read_text(encoding="utf-8") for path in files.values())

    @property
    def obeyed(self) -> list[str]:
        """The commands of the log that a runner would obey."""
        found, silence = [], ""
        for line in self.log.splitlines():
            if silence:
                silence = "" if line == f"::{silence}::" else silence
            elif stopped := re.fullmatch("::stop-commands::(.+)", line):
                silence = stopped[1]
            elif line.startswith("::"):
                found.append(line)
        assert not silence, "the log must be given back"
        return found


def test_a_new_environment_without_extras(tmp_path: Path) -> None:
    ran = Prepared(tmp_path)
    assert ran.code == 0, ran.log
    (made,) = ran.temp.glob("llmgate-venv-*/bin/python")
    assert ran.output == f"python={made}\n"
    assert (
        f"{made} -P -m pip install --disable-pip-version-check --no-input"
        " --constraint /the action/constraints.txt /the action\n" in ran.calls
    )
    assert ran.obeyed == ["::group::Install llmgate", "::endgroup::"]


def test_extras_are_installed(tmp_path: Path) -> None:
    ran = Prepared(tmp_path, install="mlflow,xdist")
    assert ran.code == 0, ran.log
    assert "--constraint /the action/constraints.txt /the action[mlflow,xdist]\n" in ran.calls


def test_vllm_for_gpus_chooses_its_own_versions(tmp_path: Path) -> None:
    ran = Prepared(tmp_path, install="mlflow,vllm")
    assert ran.code == 0, ran.log
    assert "--no-input /the action[mlflow,vllm]\n" in ran.calls


def test_the_pins_are_there() -> None:
    assert (SCRIPT.parents[1] / "constraints.txt").is_file()


def test_a_given_interpreter_is_left_alone(tmp_path: Path) -> None:
    ran = Prepared(tmp_path, python="bin/python3")
    assert ran.code == 0, ran.log
    assert ran.output == f"python={tmp_path}/bin/python3\n"
    assert "pip" not in ran.calls
    assert "venv" not in ran.calls


def test_a_given_interpreter_gets_extras_if_asked(tmp_path: Path) -> None:
    ran = Prepared(tmp_path, python="python3", install="mlflow")
    assert ran.code == 0, ran.log
    assert f"{ran.fake} -P -m pip install --disable-pip-version-check --no-input /the action[mlflow]\n" in ran.calls


def test_the_interpreter_of_the_tests_will_do(tmp_path: Path) -> None:
    import llmgate

    ran = Prepared(tmp_path, python=sys.executable, PYTHONPATH=str(Path(llmgate.__file__).parents[1]))
    assert ran.code == 0, ran.log
    assert ran.output == f"python={sys.executable}\n"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"install": "none"}, "install is none, but no python is given"),
        ({"install": "vllm; touch pwned"}, "install is 'vllm; touch pwned'"),
        ({"install": "[vllm]"}, "install is '[vllm]'"),
        ({"python": "no-such-python"}, "python is 'no-such-python', which is not an executable"),
        ({"python": "./"}, "not an executable"),
        ({"OLD": "1"}, "older than Python 3.11"),
        ({"python": "python3", "OLD": "1"}, "python3 is no Python 3.11 or newer"),
        ({"PIP": "1"}, "pip could not install llmgate, see the log"),
        ({"IMPORT": "1"}, "has no llmgate that can be imported"),
        ({"upload": "yes"}, "upload is 'yes'. Give true or false"),
        ({"upload": "50%\n::error::pwned"}, "upload is '50%25%0A::error::pwned'"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, inputs: dict[str, str], message: str) -> None:
    ran = Prepared(tmp_path, **inputs)
    assert ran.code == 2
    assert ran.output == ""
    said = [line for line in ran.obeyed if not line.startswith(("::group::", "::endgroup::"))]
    assert len(said) == 1
    assert said[0].startswith("::error title=llmgate: ERROR::")
    assert message in said[0]
    assert ran.summary.startswith("## ⚠️ ERROR: the gate could not run\n\n```text\n")
    assert not (tmp_path / "pwned").exists()


def test_a_message_cannot_leave_its_fence(tmp_path: Path) -> None:
    ran = Prepared(tmp_path, python="```\n# PASS")
    assert ran.code == 2
    assert ran.summary.count("```") == 2


def test_what_is_installed_sees_no_key(tmp_path: Path) -> None:
    keys = (
        "LLMGATE_API_KEY",
        "LLMGATE_JUDGE_API_KEY",
        "OPENAI_API_KEY",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
    )
    others = (
        "HF_TOKEN",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "my_secret",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GH_PAT",
    )
    index = {"PIP_INDEX_URL": "https://me:password@index.example/simple", "PIP_PROXY_TOKEN": "kept"}
    prepared = Prepared(tmp_path, **dict.fromkeys((*keys, *others), "a-secret value\nof two lines"), **index)
    assert prepared.code == 0, prepared.log
    seen = (tmp_path / "CALLS.env").read_text(encoding="utf-8")
    assert "a-secret" not in seen
    assert all(f"{name}={value}" in seen for name, value in index.items())
    assert "RUNNER_TEMP=" in seen
