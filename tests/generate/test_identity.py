"""Identity of model folders and machines."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.servers import model_folder

from llmgate.errors import ServerError
from llmgate.generate.identity import hardware, model_identity, packages, weights_digest
from llmgate.generate.model_folder import hub_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path)


def test_no_folder_no_weights_no_identity(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ServerError, match="no such model folder"):
        weights_digest(tmp_path / "absent")
    with pytest.raises(ServerError, match="no such model folder"):
        weights_digest(folder / "config.json")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ServerError, match="holds no weights"):
        weights_digest(folder)


def test_a_file_that_cannot_be_read_is_an_error(folder: Path) -> None:
    (folder / "tokenizer.json").symlink_to(folder / "absent")
    with pytest.raises(ServerError, match="cannot be read"):
        weights_digest(folder)


def test_the_digest_is_the_documented_one(folder: Path) -> None:
    # Worked out by hand with sha256sum over the manifest.
    assert weights_digest(folder) == "9a6da089a607d954d260f197ebb33c55b88be09f167066bff16167d2dddeb55b"
    assert weights_digest(str(folder)) == weights_digest(folder)


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer.json", "tokenizer.model", "merges.txt", "generation_config.json", "chat_template.jinja"),
        *("model-00002.safetensors", "modeling_custom.py", "unheard_of.json", "additional_chat_templates/rag.jinja"),
    ],
)
def test_everything_that_shapes_behaviour_counts(folder: Path, name: str) -> None:
    before = weights_digest(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("a", encoding="utf-8")
    added = weights_digest(folder)
    (folder / name).write_text("b", encoding="utf-8")
    assert len({before, added, weights_digest(folder)}) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "LICENSE.txt", "trainer_state.json", "training_args.bin", "optimizer.pt", "rng_state_0.pth"),
        *(".cache/huggingface/x.json", ".hidden.json", "picture.png", "requirements.txt"),
    ],
)
def test_notes_and_traces_of_training_do_not_count(folder: Path, name: str) -> None:
    before = weights_digest(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("a", encoding="utf-8")
    assert weights_digest(folder) == before


def test_the_place_and_the_links_do_not_count(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).symlink_to(file)
    assert weights_digest(copy) == weights_digest(folder)


@settings(deadline=None)
@given(contents=st.dictionaries(st.sampled_from(["a.json", "b.json", "c.txt"]), st.binary(max_size=8)))
def test_different_files_have_different_digests(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    folder = model_folder(tmp_path_factory.mktemp("m"))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    before = weights_digest(folder)
    (folder / "c.txt").write_bytes(contents.get("c.txt", b"") + b"x")
    assert weights_digest(folder) != before


def test_a_folder_is_named_and_digested(folder: Path) -> None:
    identity = model_identity(str(folder), registry_uri="models:/bot/7")
    assert (identity.name, identity.source) == ("model", str(folder))
    assert identity.weights_digest == weights_digest(folder)
    assert identity.registry_uri == "models:/bot/7"
    assert model_identity(str(folder), name="bot").name == "bot"


def test_a_hub_name_is_digested_once_it_is_in_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    assert model_identity("org/bot").weights_digest is None
    assert hub_folder("org/bot") is None
    model = cache / "models--org--bot"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("c0ffee", encoding="ascii")
    (model / "snapshots").mkdir()
    folder.rename(model / "snapshots" / "c0ffee")
    identity = model_identity("org/bot")
    assert identity.name == "bot"
    assert identity.weights_digest == weights_digest(model / "snapshots" / "c0ffee")
    assert hub_folder("org/bot", revision="c0ffee") == model / "snapshots" / "c0ffee"


def test_a_mistyped_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no such model folder"):
        model_identity(str(tmp_path / "absent"))


def test_this_machine() -> None:
    found = hardware()
    assert found.cpu
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory_gib > 0


def smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_gpus_and_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, "echo 'NVIDIA H100 80GB HBM3, 81559, 580.65.06'; echo 'NVIDIA L4, 23034, 580.65.06'", monkeypatch)
    found = hardware()
    assert found.gpus == ("NVIDIA H100 80GB HBM3 81559 MiB", "NVIDIA L4 23034 MiB")
    assert found.driver == "580.65.06"


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", "printf '\\377'; echo", "echo"])
def test_a_broken_driver_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    smi(tmp_path, script, monkeypatch)
    found = hardware()
    assert (found.gpus, found.driver) == ((), None)


def test_packages_are_found_without_importing_them() -> None:
    before = set(sys.modules)
    found = packages()
    assert re.fullmatch(r"\d+\.\d+.*", found["pytest"])
    assert not {"torch", "vllm", "mlflow"} & (set(sys.modules) - before)
