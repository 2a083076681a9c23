"""Model folders that are refused before anything starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.servers import model_folder as made_folder

from llmgate.errors import ServerError
from llmgate.generate.vllm.model_folder import check_model, is_quantized, model_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no such model folder"):
        model_folder(str(tmp_path / "absent"))


@pytest.mark.parametrize("model", ["./absent", "~/absent-model", "a/b/c", "../x", "models/absent", "bot"])
def test_what_reads_like_a_path_is_not_taken_for_a_hub_name(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServerError, match="no such model folder"):
        model_folder(model)


@pytest.mark.parametrize("model", ["org/model-1.5B", "s3://bucket/model"])
def test_hub_names_and_urls_are_left_to_vllm(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder(model) is None


def test_an_old_hub_name_is_known_once_it_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ServerError, match="no such model folder"):
        model_folder("gpt2")
    (tmp_path / "hub" / "models--gpt2" / "snapshots" / "main").mkdir(parents=True)
    assert model_folder("gpt2") is None


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


def test_what_may_be_quantised_keeps_its_type(folder: Path) -> None:
    assert not is_quantized(folder)
    (folder / "hf_quant_config.json").write_text("{}", encoding="utf-8")
    assert is_quantized(folder)
    (folder / "hf_quant_config.json").unlink()
    config = folder / "config.json"
    for content in ('{"quantization_config": {"quant_method": "awq"}}', "[]", "{"):
        config.write_text(content, encoding="utf-8")
        assert is_quantized(folder)
    config.unlink()
    assert is_quantized(folder)
