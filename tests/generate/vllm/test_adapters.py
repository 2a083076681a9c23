"""Adapters that vLLM would refuse after a while, or load in part; and the flags that load the others."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.adapters import write_adapter, write_safetensors

from llmgate.errors import ServerError, UsageError
from llmgate.generate.vllm.adapters import (
    RANKS,
    adapter_flags,
    check_lora_flags,
    named_digests,
    read_adapter,
    without_adapters,
)
from llmgate.record.manifest import adapted_digest

if TYPE_CHECKING:
    from pathlib import Path


def base_model(folder: Path, *, layers: int = 2, hidden: int = 8, vocabulary: int = 16) -> Path:
    """A Llama of which only the shapes count."""
    folder.mkdir()
    config = {
        "hidden_size": hidden,
        "num_attention_heads": 2,
        "head_dim": hidden // 2,
        "num_key_value_heads": 1,
        "num_hidden_layers": layers,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {"model.embed_tokens.weight": np.zeros((vocabulary, hidden), np.float32)}
    for layer in range(layers):
        for module, rows in (("q_proj", hidden), ("k_proj", hidden // 2), ("v_proj", hidden // 2), ("o_proj", hidden)):
            name = f"model.layers.{layer}.self_attn.{module}.weight"
            tensors[name] = np.zeros((rows, hidden), np.float32)
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def refused(folder: Path, *, base: Path | None = None) -> str:
    with pytest.raises(ServerError) as error:
        read_adapter("new", folder, base=base)
    return str(error.value)


def test_an_adapter_of_its_base_is_read(tmp_path: Path) -> None:
    base = base_model(tmp_path / "base")
    folder = write_adapter(tmp_path / "new", base=base, rank=4, modules=("q_proj", "k_proj", "v_proj", "o_proj"))
    adapter = read_adapter("new", folder, base=base)
    assert (adapter.name, adapter.folder, adapter.rank, adapter.warnings) == ("new", folder, 4, ())


def test_the_largest_rank_of_a_pattern_counts(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new", rank=4, rank_pattern={"layers.0.self_attn.q_proj": 24})
    assert read_adapter("new", folder).rank == 24


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "IA3"}, "of type IA3"),
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias: all"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save: lm_head"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: pissa"),
        ({"alora_invocation_tokens": [1, 2]}, "activated"),
        ({"layer_replication": [[0, 2]]}, "replicates"),
        ({"use_qalora": True}, "QALoRA"),
        ({"trainable_token_indices": [5]}, "trainable_token_indices"),
        ({"r": 0}, "its rank `r`"),
        ({"r": True}, "its rank `r`"),
        ({"r": "8"}, "its rank `r`"),
        ({"rank_pattern": {"q_proj": -1}}, "its rank `r`"),
        ({"rank_pattern": ["q_proj"]}, "its rank `r`"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"target_modules": []}, "target_modules"),
        ({"r": 2}, "no rank up to 2"),
    ],
)
def test_what_vllm_does_not_serve_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    assert words in refused(write_adapter(tmp_path / "new", **config))


@pytest.mark.parametrize("config", [{"init_lora_weights": "gaussian"}, {"lora_alpha": 16.5}, {"modules_to_save": None}])
def test_what_changes_nothing_is_served(tmp_path: Path, config: dict[str, Any]) -> None:
    assert read_adapter("new", write_adapter(tmp_path / "new", **config)).rank == 4


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_configuration_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = write_adapter(tmp_path / "new")
    (folder / "adapter_config.json").write_bytes(content)
    assert "adapter_config.json" in refused(folder)


def test_a_fifo_for_a_configuration_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")
    assert "the folder has no adapter_config.json" in refused(folder)


def test_a_folder_of_another_kind_says_what_to_do(tmp_path: Path) -> None:
    assert "there is no such folder" in refused(tmp_path / "gone")
    assert "name it with --model" in refused(base_model(tmp_path / "base"))
    write_adapter(tmp_path / "outer" / "checkpoint-100")
    assert f"Did you mean {tmp_path / 'outer' / 'checkpoint-100'}?" in refused(tmp_path / "outer")


def test_pickles_are_refused_and_missing_weights_too(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "unpickling can run code" in refused(folder)
    (folder / "adapter_model.bin").unlink()
    assert "the folder has no adapter_model.safetensors" in refused(folder)


def with_tensors(folder: Path, **tensors: tuple[int, ...]) -> Path:
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    given = {"lora_A.weight": (4, 8), "lora_B.weight": (8, 4), **tensors}
    write_adapter(folder)
    shapes = {
        f"{stem}.{name}" if not name.startswith("=") else name[1:]: shape for name, shape in given.items() if shape
    }
    write_safetensors(folder / "adapter_model.safetensors", {n: np.zeros(s, np.float32) for n, s in shapes.items()})
    return folder


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"lora_B.weight": ()}, "half of what it changes"),
        ({"lora_A.weight": ()}, "changes no module"),
        ({"lora_magnitude_vector": (8,)}, "is no part of a LoRA"),
        ({"lora_A.default.weight": (4, 8)}, "is no part of a LoRA"),
        ({"=base_model.model.model.embed_tokens.weight": (16, 8)}, "is no part of a LoRA"),
        ({"lora_B.weight": (8, 2)}, "no rank up to 4"),
        ({"lora_A.weight": (4,)}, "no rank up to 4"),
    ],
)
def test_weights_that_are_no_lora_are_refused(tmp_path: Path, tensors: dict[str, Any], words: str) -> None:
    assert words in refused(with_tensors(tmp_path / "new", **tensors))


def test_an_adapter_without_any_tensor_is_refused(tmp_path: Path) -> None:
    assert "changes no module" in refused(write_adapter(tmp_path / "new", layers=0))


def test_an_adapter_of_a_deeper_model_would_be_served_in_part(tmp_path: Path) -> None:
    deep, shallow = base_model(tmp_path / "deep", layers=3), base_model(tmp_path / "shallow", layers=2)
    said = refused(write_adapter(tmp_path / "new", base=deep), base=shallow)
    assert "made for another model" in said
    assert "layers.2.self_attn.q_proj, which the base does not have, and 1 further" in said


def test_an_adapter_of_a_wider_model_is_refused(tmp_path: Path) -> None:
    wide, narrow = base_model(tmp_path / "wide", hidden=16), base_model(tmp_path / "narrow", hidden=8)
    said = refused(write_adapter(tmp_path / "new", base=wide), base=narrow)
    assert "q_proj of (16, 16), which has (8, 8) in the base" in said


def test_another_name_of_the_base_is_told_and_forbids_nothing(tmp_path: Path) -> None:
    base = base_model(tmp_path / "base")
    (warning,) = read_adapter("new", write_adapter(tmp_path / "new", base=base, named="org/Other"), base=base).warnings
    assert "trained on org/Other" in warning
    cached = tmp_path / "models--org--Base" / "snapshots" / "abc"
    cached.parent.mkdir(parents=True)
    base.rename(cached)
    folder = write_adapter(tmp_path / "again", base=cached, named="org/base")
    assert read_adapter("again", folder, base=cached).warnings == ()


def test_embeddings_that_are_saved_along_are_told_or_refused(tmp_path: Path) -> None:
    base = base_model(tmp_path / "base")
    name = "=base_model.model.model.embed_tokens.base_layer.weight"
    same = read_adapter("new", with_tensors(tmp_path / "same", **{name: (16, 8)}), base=base)
    assert any("takes no notice of the weights of model.embed_tokens" in each for each in same.warnings)
    assert "which has (16, 8) in the base" in refused(with_tensors(tmp_path / "more", **{name: (17, 8)}), base=base)


def test_there_is_always_a_slot_to_spare(tmp_path: Path) -> None:
    assert adapter_flags([]) == ()
    adapters = [read_adapter(name, write_adapter(tmp_path / name, rank=rank)) for name, rank in (("a", 4), ("b", 17))]
    flags = adapter_flags(adapters)
    assert flags[:6] == ("--enable-lora", "--max-loras", "3", "--max-lora-rank", "32", "--lora-modules")
    assert [json.loads(entry) for entry in flags[6:]] == [
        {"name": name, "path": str(tmp_path / name)} for name in ("a", "b")
    ]
    with pytest.raises(ServerError, match=f"its rank is {RANKS[-1] + 1}"):
        adapter_flags([read_adapter("c", write_adapter(tmp_path / "c", rank=RANKS[-1] + 1))])


@pytest.mark.parametrize(
    "flags",
    [
        ("--lora-modules", "a=/a"),
        ("--lora_modules=a=/a",),
        ("--lora-mod", "a=/a"),
    ],
)
def test_adapters_are_named_in_one_place(flags: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="cannot be passed through"):
        check_lora_flags(flags)


@pytest.mark.parametrize(
    "flag", ["--max-loras=1", "--max_lora_rank", "--no-enable-lora", "--max-cpu-loras", "--max-lora"]
)
def test_the_spare_slot_cannot_be_taken_away(flag: str) -> None:
    check_lora_flags([flag])
    with pytest.raises(UsageError, match="a slot to spare"):
        check_lora_flags([flag], adapters=True)


def test_a_config_file_can_neither() -> None:
    check_lora_flags(["--max-logprobs", "5", "--lora-dtype", "float16", "--max-model-len", "9"], adapters=True)
    with pytest.raises(UsageError, match="--lora-modules"):
        check_lora_flags([], further=frozenset({"lora-modules"}))


def test_a_record_names_adapters_by_what_they_hold(tmp_path: Path) -> None:
    adapters = [read_adapter(name, write_adapter(tmp_path / name)) for name in ("a", "b")]
    given = ("--seed", "0", *adapter_flags(adapters), "--max-model-len", "512", '{"name": "x"}')
    recorded = named_digests(given, {"a": "1" * 64, "b": "2" * 64})
    assert str(tmp_path) not in " ".join(recorded)
    assert f"a=sha256:{'1' * 64}" in recorded
    assert f"b=sha256:{'2' * 64}" in recorded
    assert without_adapters(recorded[:-1]) == ("--seed", "0", "--max-model-len", "512")
    assert without_adapters(("--max-loras=3", "--seed", "0")) == ("--seed", "0")


def test_one_digest_stands_for_base_and_adapter() -> None:
    digests = {adapted_digest(base, adapter) for base in ("a" * 64, "b" * 64) for adapter in ("c" * 64, "d" * 64)}
    assert len(digests) == 4
