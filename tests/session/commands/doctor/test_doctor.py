"""`llmgate doctor`: what a run needs, each thing with its state and advice; the exit code says whether one could start."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.endpoint import chat, scripted_endpoint
from support.project import write_suite
from support.servers import FAKE_VLLM, model_folder

from llmgate.cli import main
from llmgate.errors import CannotRunError
from llmgate.generate.vllm.gpus import GpuFacts
from llmgate.score.code.mechanisms import MECHANISMS, Mechanisms
from llmgate.score.code.sandbox import Ended
from llmgate.session.commands.doctor import engine, gpu, installation, model, project
from llmgate.session.commands.doctor.checks import CHECKS, diagnose, exit_code, summary
from llmgate.session.commands.doctor.diagnosis import Circumstances, Diagnosis, Health

if TYPE_CHECKING:
    from collections.abc import Iterator

HELD = Ended(
    finished=True,
    exit_code=0,
    output="",
    flooded=False,
    open_because=None,
    mechanisms=Mechanisms(in_force={one.name: "as it should be" for one in MECHANISMS}, missing={}),
)


@pytest.fixture(autouse=True)
def quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "GITHUB_ACTIONS", "MLFLOW_TRACKING_URI", "LLMGATE_API_KEY", "OPENAI_API_KEY", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(installation, "run_python", lambda _: HELD)
    monkeypatch.setenv("PYTHONPATH", str(FAKE_VLLM), prepend=os.pathsep)
    for module in (engine, gpu, model):
        monkeypatch.setattr(module, "find_gpus", GpuFacts)


def llmgate(*words: object) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, words)])


def found(*words: object) -> dict[str, list[dict[str, str]]]:
    """What `--json` says, by area; the exit code has to fit."""
    done = llmgate(*words, "--json")
    said = json.loads(done.output)
    problems = [one for one in said["found"] if one["health"] == "problem"]
    assert done.exit_code == said["exit_code"] == (4 if problems else 0), done.output
    by_area: dict[str, list[dict[str, str]]] = {}
    for one in said["found"]:
        by_area.setdefault(one["area"], []).append(one)
    return by_area


def worst(area: list[dict[str, str]]) -> str:
    return max((one["health"] for one in area), key=["ok", "note", "warning", "problem"].index)


def test_a_healthy_machine() -> None:
    write_suite(Path())
    with scripted_endpoint(lambda *_: chat("x"), model="support-v6") as (url, seen):
        said = found("words.yaml", "--endpoint", url)
    areas = (
        "installation",
        "extras",
        "GPU",
        "model",
        "port",
        "endpoint",
        "folder",
        "suites",
        "mlflow",
        "sandbox",
        "CI",
    )
    assert {area: worst(said[area]) for area in areas} == dict.fromkeys(areas, "ok")
    assert worst(said["vLLM"]) == "note"
    assert {*said} == {*areas, "vLLM", "machine", "caches"}
    assert "it answers and lists support-v6" in said["endpoint"][-1]["what"]
    assert said["suites"][0]["what"] == "words.yaml: 40 cases, and the dataset matches its lock"
    assert not seen
    assert {path.name for path in Path().iterdir()} == {"words.yaml", "words.jsonl", "words.lock.json"}


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_keeps_within_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    done = llmgate()
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= width
    assert "state" in done.output
    assert "Nothing keeps a run from starting" in " ".join(done.output.split())


def extra(name: str) -> dict[str, str]:
    return next(one for one in found()["extras"] if one["what"].startswith(f"{name}:"))


def test_extras_say_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None if name in {"mlflow", "mpmath"} else object())
    assert found()["extras"][0]["what"] == "installed: xdist, data, s3, gs, ray, ragas, deepeval"
    assert extra("mlflow")["what"] == "mlflow: not installed; logs runs, finds the champion, promotes"
    assert "pip install 'pytest-llmgate[mlflow]'" in extra("mlflow")["advice"]
    assert "not installed (mpmath)" in extra("metrics")["what"]
    assert {one["health"] for one in found()["extras"]} == {"ok"}


@pytest.mark.parametrize(
    ("words", "environ", "health", "says"),
    [
        ([], {}, "ok", "none is named"),
        (["--endpoint", "http://127.0.0.1:9"], {}, "problem", "cannot be reached"),
        (["--endpoint", "ftp://x"], {}, "problem", "not an http(s) URL"),
        (["--endpoint", "http://llm.invalid/v1"], {"LLMGATE_API_KEY": "sk-0123456789abcdef"}, "problem", "over plain http"),
        (["--endpoint", "http://llm.invalid/v1"], {}, "problem", "is not encrypted"),
        (["--endpoint", "https://llm.invalid/v1"], {"OPENAI_API_KEY": "sk-0123456789abcdef"}, "problem", "api.openai.com only"),
    ],
)  # fmt: skip
def test_endpoints(
    words: list[str], environ: dict[str, str], health: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    said = found(*words)
    assert worst(said["endpoint"]) == health
    assert says in json.dumps(said["endpoint"])
    assert "sk-0123" not in json.dumps(said)
    assert "sandbox" in said  # the others are looked at nevertheless


@pytest.mark.parametrize(
    ("models", "words", "health"),
    [
        (["a"], [], "ok"),
        (["a", "b"], [], "problem"),
        (["a", "b"], ["--served-name", "b"], "ok"),
        (["a"], ["--served-name", "b"], "problem"),
        ([], [], "problem"),
    ],
)
def test_models_that_are_listed(
    models: list[str], words: list[str], health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "served_models", lambda *_, **__: tuple(models))
    assert worst(found("--endpoint", "http://127.0.0.1:9", *words)["endpoint"]) == health


def test_a_key_that_a_server_repeats_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-0123456789abcdef")
    with scripted_endpoint(lambda *_: chat("x"), model="sk-0123456789abcdef \x1b[2J") as (url, _):
        done = llmgate("--endpoint", url)
    assert "sk-0123" not in done.output
    assert "\x1b[2J" not in done.output
    assert "a key is set in LLMGATE_API_KEY" in " ".join(done.output.split())


def test_suites_that_cannot_be_run() -> None:
    write_suite(Path())
    write_suite(Path(), "other")
    with Path("words.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "new", "word": "x", "topic": "tools"}\n')
    said = found(".")["suites"]
    assert [one["health"] for one in said] == ["ok", "problem"]
    assert "since version 1.0.0 was locked" in said[1]["what"]
    Path("words.lock.json").unlink()
    assert "lock" in found("words.yaml")["suites"][0]["advice"]
    assert worst(found("nowhere.yaml")["suites"]) == "problem"


def test_the_suites_folder_is_found_by_itself() -> None:
    assert found()["suites"][0]["what"] == "none are named"
    CliRunner().invoke(main, ["init"])
    assert "chat.yaml: 24 cases" in found()["suites"][0]["what"]


@pytest.mark.parametrize(("free", "health"), [(10**12, "ok"), (5 * 10**8, "warning"), (10**6, "problem")])
def test_disk(free: int, health: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free, "total": free}))
    assert worst(found()["folder"]) == health


def test_a_folder_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert "cannot be written to (Permission denied)" in found()["folder"][-1]["what"]


def test_mlflow_that_is_not_there() -> None:
    said = found("--mlflow-uri", "sqlite:///nowhere.db")["mlflow"]
    assert worst(said) == "problem"
    assert not Path("nowhere.db").exists()


@pytest.mark.parametrize(
    "ended",
    [
        CannotRunError("there are no namespaces here", fix="Allow them"),
        Mechanisms(in_force={"seccomp": "a filter"}, missing={"landlock": "the kernel has none"}),
    ],
)
def test_a_sandbox_with_gaps_is_a_warning(ended: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> Ended:
        if isinstance(ended, CannotRunError):
            raise ended
        return Ended(finished=True, exit_code=0, output="", flooded=False, open_because=None, mechanisms=ended)

    monkeypatch.setattr(installation, "run_python", run)
    assert worst(found()["sandbox"]) == "warning"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CI", "true", "leaves gates out fails"),
        ("LLMGATE_ALLOW_CODE", "1", "is run, in the sandbox"),
        ("PYTEST_ADDOPTS", "-k x", "PYTEST_ADDOPTS is set"),
    ],
)
def test_the_environment(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert says in json.dumps(found()["CI"])


def test_a_check_more_is_a_function_more() -> None:
    def check_graphics_card(_: Circumstances) -> Iterator[Diagnosis]:
        yield Diagnosis(area="GPU", what="a card")
        raise CannotRunError("it is gone", fix="Plug it in")

    said = diagnose(Circumstances(root=Path(), options={}), [check_graphics_card])
    assert [(one.area, one.what, one.health) for one in said] == [
        ("GPU", "a card", Health.OK),
        ("graphics card", "it is gone", Health.PROBLEM),
    ]
    assert exit_code(said) == 4
    assert summary(said) == "1 problem keeps a run from starting."
    assert check_graphics_card not in CHECKS


def test_nothing_heavy_is_loaded() -> None:
    write_suite(Path())
    code = "import sys; from llmgate.cli import main; main.main(['doctor', '--json'], standalone_mode=False)"
    code = f"import atexit, sys\natexit.register(lambda: print(sorted({{'vllm', 'torch', 'transformers'}} & set(sys.modules))))\n{code}"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(FAKE_VLLM), *filter(None, sys.path)))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_a_model_is_looked_at() -> None:
    folder = model_folder(Path())
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    said = found("--model", folder)["model"]
    assert said[0]["what"] == "model: LlamaForCausalLM, 1 safetensors file, 0.0 GB"
    assert "no chat template" in said[1]["what"]
    assert said[-1]["what"].startswith("it fits")
    (folder / "model.safetensors").unlink()
    assert worst(found("--model", folder)["model"]) == "problem"


def test_impossible_options_are_told_once() -> None:
    said = found("--model", model_folder(Path()), "--tensor-parallel-size", "0")
    assert [one["what"] for one in said["options"]] == ["--tensor-parallel-size is 0"]
    assert not {"vLLM", "model", "port"} & said.keys()


def test_an_endpoint_and_a_model_are_both_looked_at() -> None:
    with scripted_endpoint(lambda *_: chat("x"), model="a") as (url, _):
        said = found("--model", model_folder(Path()), "--endpoint", url)
    assert "it answers and lists a" in said["endpoint"][-1]["what"]
    assert "options" not in said


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = found("--port", port)["port"]
    assert worst(said) == "problem"
    assert f"port {port} cannot be used" in said[0]["what"]
    assert found("--port", port)["port"][0]["what"] == f"port {port} is free on 127.0.0.1"


def test_caches_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path().resolve()))
    monkeypatch.setenv("VLLM_CACHE_ROOT", "compiled")
    assert found()["caches"][0]["what"].startswith("vLLM: empty (compiled)")
    Path("huggingface", "hub", "models--a--b").mkdir(parents=True)
    with Path("huggingface", "hub", "models--a--b", "blob").open("wb") as blob:
        blob.truncate(180_000_000)
    assert found()["caches"][1]["what"].startswith("hub: 0.2 GB in ")


@pytest.mark.parametrize(("spread", "health"), [(1, "note"), (2, "problem")])
def test_little_shared_memory(spread: int, health: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 60_000_000, "total": 67_000_000})
    disk = type("Usage", (), {"free": 10**12, "total": 10**12})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage if str(path) == "/dev/shm" else disk)
    said = found("--tensor-parallel-size", spread)["machine"]
    assert said[-1]["health"] == health
    assert "--shm-size" in said[-1]["advice"]
