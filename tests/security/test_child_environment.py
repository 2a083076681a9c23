"""Programs that llmgate starts: which secrets their environment and their command line hold, read where anybody can."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.adversary import llmgate
from support.project import write_suite
from support.servers import FAKE_VLLM, MARK, marked, model_folder, spec, start_server, wait_until

from llmgate.demo import models
from llmgate.errors import UsageError
from llmgate.generate.identity import hardware
from llmgate.generate.vllm.command import Device, ServerSpec, check_flags, command
from llmgate.record.environment import for_programs
from llmgate.session.run.manifest import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.identity import Identity

pytestmark = pytest.mark.usefixtures("own_lock")

ROOT = Path(__file__).parents[2]
SECRETS = {
    "LLMGATE_API_KEY": "of-llmgate-1",
    "LLMGATE_JUDGE_API_KEY": "of-llmgate-2",
    "LLMGATE_EMBED_API_KEY": "of-llmgate-3",
    "LLMGATE_API_KEY_OLD": "of-llmgate-4",
    "OPENAI_API_KEY": "of-openai-1",
    "OPENAI_ORG_ID": "of-openai-2",
    "AZURE_OPENAI_API_KEY": "of-azure-1",
    "AZURE_CLIENT_SECRET": "of-azure-2",
    "ANTHROPIC_API_KEY": "of-others-1",
    "MLFLOW_TRACKING_TOKEN": "of-mlflow-1",
    "MLFLOW_TRACKING_USERNAME": "of-mlflow-2",
    "MLFLOW_TRACKING_PASSWORD": "of-mlflow-3",
    "MLFLOW_TRACKING_URI": "https://me:of-mlflow-4@mlflow",
    "DATABASE_URL": "postgresql://me:of-a-database@db/x",
    "WEBHOOK": "https://h.example/?token=of-a-webhook",
    "AWS_SECRET_ACCESS_KEY": "of-aws-1",
    "AWS_SESSION_TOKEN": "of-aws-2",
    "GITHUB_TOKEN": "of-github-1",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-github-2",
    "GH_PAT": "of-github-3",
    "PGPASSWORD": "of-postgres",
    "HF_TOKEN": "of-the-hub-1",
    "HUGGING_FACE_HUB_TOKEN": "of-the-hub-2",
    "VLLM_API_KEY": "of-another-vllm",
    "my_lower_case_secret": "of-somebody",
    "PIP_INDEX_URL": "https://me:of-an-index@pypi.example/simple",
}
STAYS = {
    "PATH": "/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NCCL_DEBUG": "WARN",
    "HF_HOME": "/data/hub",
    "HF_HUB_OFFLINE": "1",
    "HF_TOKEN_PATH": "/data/token",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HTTPS_PROXY": "http://me:of-a-proxy@proxy:3128",
    "no_proxy": "localhost",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_MAX_BAD_WORDS_TOTAL_TOKENS": "9",
    "VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD": "1",
    "SSL_CERT_FILE": "/etc/ssl/own.pem",
    "XKB_KEYBOARD": "de",
}


def shown(pid: int) -> str:
    """What a process's environment and command line show."""
    return "\n".join(
        Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace") for name in ("environ", "cmdline")
    )


def found_in(text: str, secrets: Mapping[str, str] = SECRETS) -> list[str]:
    return [name for name, value in secrets.items() if value.rpartition(":")[2].partition("@")[0] in text]


@pytest.fixture
def with_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_not_passed_on(name: str) -> None:
    assert for_programs({name: SECRETS[name]}) == {}


@pytest.mark.parametrize("name", STAYS)
def test_what_programs_need_is(name: str) -> None:
    assert for_programs({name: STAYS[name]}) == {name: STAYS[name]}


def test_a_key_is_one_whatever_its_variable_is_called_and_in_every_copy() -> None:
    environ = {"GATEWAY": "a-long-secret", "COPY": "a-long-secret", "SHORT": "yes", "WORD": "yes"}
    assert for_programs(environ, names=("GATEWAY", "SHORT")) == {"WORD": "yes"}


@pytest.mark.usefixtures("with_secrets")
def test_the_vllm_server_its_supervisor_and_its_engine_have_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**STAYS, "PATH": os.environ["PATH"]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GATEWAY", "of-the-gateway")
    with start_server(spec(tmp_path, withheld=("GATEWAY",))) as server:
        processes = {pid: shown(pid) for pid in marked(tmp_path)}
        assert server.pid in processes
        assert len(processes) >= 3
        for text in processes.values():
            assert not found_in(text, {**SECRETS, "GATEWAY": "of-the-gateway"})
        own = processes[server.pid].split("\0")
        assert not {f"{n}={v}" for n, v in STAYS.items() if n != "PATH"} - {*own}


CLI = """
import os, signal, subprocess, sys
from pathlib import Path
from support.servers import MARK, marked, model_folder, wait_until
here = Path.cwd()
command = ["-c", "from llmgate.cli import main; main()", "run", "words.yaml", "--model", str(model_folder(here)), "--judge-api-key-env", "GATEWAY"]
run = subprocess.Popen([sys.executable, *command, "--out", "run"])
wait_until(lambda: len(marked(here)) >= 4)
for pid in marked(here):
    if pid != run.pid:
        print(Path(f"/proc/{pid}/cmdline").read_text(), Path(f"/proc/{pid}/environ").read_text())
run.send_signal(signal.SIGINT)
run.wait()
"""


def test_llmgate_run_passes_none_on(identity: Identity) -> None:
    write_suite(identity.folder, cases=1)
    if identity.uid is not None:
        for path in (identity.folder, *identity.folder.rglob("*")):
            os.chown(path, identity.uid, identity.uid)
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", FAKE_VLLM)))
    env = {**SECRETS, "GATEWAY": "of-the-gateway", "FAKE_VLLM": "hang", MARK: str(identity.folder), "PYTHONPATH": paths}
    done = identity.python("-c", CLI, env=env)
    assert done.stdout.count("vllm.entrypoints") >= 2, done.stderr
    assert f"{MARK}=" in done.stdout
    assert not found_in(done.stdout, {**SECRETS, "GATEWAY": "of-the-gateway"})


def built(model: str, *flags: str, **inherited: str) -> Mapping[str, str]:
    given = ServerSpec(model=model, served_name="m", flags=flags)
    return command(given, port=1, device=Device.GPU, inherited=inherited).env


@pytest.mark.parametrize(
    ("model", "flags", "passes"),
    [
        ("/models/m", (), set()),
        ("/models/m", ("--tokenizer", "org/tokenizer"), {"HF_TOKEN"}),
        ("org/model", (), {"HF_TOKEN"}),
        ("s3://bucket/model", (), {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "S3_SECRET_ACCESS_KEY"}),
    ],
)
def test_the_server_gets_what_opens_the_place_of_its_model(
    model: str, flags: tuple[str, ...], passes: set[str]
) -> None:
    names = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "S3_SECRET_ACCESS_KEY", "AZURE_OPENAI_API_KEY", "VLLM_API_KEY")
    env = built(model, *flags, **dict.fromkeys(names, "a-long-secret"))
    assert {*names} & env.keys() == passes


# Other programs.


def spy(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that writes its environment and its command line down; where that is."""
    program, seen = folder / name, folder / f"{name}.seen"
    program.write_text(f'#!/bin/sh\n/usr/bin/env >> {seen}\necho "$@" >> {seen}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return seen


@pytest.mark.usefixtures("with_secrets")
def test_git_and_nvidia_smi_have_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git, smi = (spy(tmp_path, name, monkeypatch) for name in ("git", "nvidia-smi"))
    labels()
    hardware()
    write_suite(tmp_path, cases=1)
    monkeypatch.chdir(tmp_path)
    llmgate("dataset", "diff", "words.jsonl", "--against", "HEAD")
    for seen in (git, smi):
        text = seen.read_text(encoding="utf-8")
        assert "PATH=" in text
        assert not found_in(text)
    assert "cat-file" in git.read_text(encoding="utf-8")


@pytest.mark.usefixtures("with_secrets")
def test_the_interpreter_that_is_asked_for_vllm_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spy(tmp_path, "python", monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=1)
    model = model_folder(tmp_path)
    ending = llmgate("run", "words.yaml", "--model", model, "--server-python", tmp_path / "python")
    assert ending.exit_code == 4
    assert not found_in(seen.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("with_secrets")
def test_the_demo_gives_pip_its_index_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[dict[str, str]] = []

    def run(*_: object, env: dict[str, str], **__: object) -> subprocess.CompletedProcess[str]:
        given.append(env)
        return subprocess.CompletedProcess([], 1, "", "ERROR: no")

    monkeypatch.setattr("subprocess.run", run)
    for act in (lambda: models._download(tmp_path), lambda: models._convert(tmp_path, tmp_path)):
        with pytest.raises(Exception, match="demo|pip"):
            act()
    pip, converter = given
    assert found_in(json.dumps(pip)) == ["PIP_INDEX_URL"]
    assert not found_in(json.dumps(converter))


STARTS = {"run", "Popen", "check_output", "check_call", "call", "create_subprocess_exec", "create_subprocess_shell"}


def test_every_program_is_started_with_an_environment_that_was_chosen() -> None:
    starts = []
    for path in (*(ROOT / "llmgate").rglob("*.py"), *(ROOT / "action").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                not isinstance(node, ast.Call)
                or not isinstance(node.func, ast.Attribute)
                or node.func.attr not in STARTS
            ):
                continue
            if ast.unparse(node.func.value) in {"subprocess", "asyncio"}:
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                if ast.unparse(node.func) != "asyncio.run":
                    starts.append((where, any(keyword.arg == "env" for keyword in node.keywords)))
    assert len(starts) >= 8
    # The supervisor starts what it was started with.
    assert [where for where, chosen in starts if not chosen and "generate/vllm/supervisor.py" not in where] == []


# Command lines.


@pytest.mark.parametrize(
    "flags",
    [
        "--hf-token {}",
        "--hf-token={}",
        "--hf_token {}",
        "--hf_token={}",
        "--hf-token",
        "--hf-tok {}",
        "--hf_to={}",
        "--hf-t {}",
        "--api-key {}",
        "--api_key={}",
        "--api-key a {}",
        "--api-k {}",
        "--api_k={}",
        "--some-secret {}",
        "--some.password={}",
        "--kv-config.token={}",
        "--HF-TOKEN {}",
    ],
)
def test_vllm_gets_no_flag_that_holds_a_secret(flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = flags.format("hf_abcdefghijklmnop")
    with pytest.raises(UsageError, match="cannot be passed through") as error:
        check_flags(given.split())
    assert "hf_abc" not in str(error.value)
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=1)
    ending = llmgate("run", "words.yaml", "--model", model_folder(tmp_path), f"--server-args={given}")
    assert ending.exit_code == 2
    assert "hf_abc" not in ending.output


def test_the_token_of_the_hub_is_told_its_variable() -> None:
    with pytest.raises(UsageError, match="HF_TOKEN"):
        check_flags(("--hf-token", "x"))


@pytest.mark.parametrize(
    "flags",
    [
        "--tokenizer x",
        "--hf-overrides {}",
        "--api-server-count 2",
        "--tokenizer-mode auto",
        "-tp 2",
        "--hf-config-path x",
    ],
)
def test_flags_that_only_sound_like_it_pass(flags: str) -> None:
    check_flags(flags.split())


def test_the_process_table_shows_no_secret_while_a_run_is_refused(tmp_path: Path) -> None:
    """What was given on the command line is refused before anything is started or sent."""
    env = {**os.environ, "HF_TOKEN": "hf_Zq8Lw3Vt7Rb2Ny5K", MARK: str(tmp_path)}
    write_suite(tmp_path, cases=1)
    arguments = [
        "run",
        "words.yaml",
        "--model",
        str(model_folder(tmp_path)),
        "--server-args",
        "--x hf_Zq8Lw3Vt7Rb2Ny5K",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "from llmgate.cli import main; main()", *arguments],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "HF_TOKEN" in done.stderr
    assert "hf_Zq8" not in done.stderr + done.stdout
    assert wait_until(lambda: not marked(tmp_path))
