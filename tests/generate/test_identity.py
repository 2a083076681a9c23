"""Identity of model folders and machines."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from support.servers import model_folder

from llmgate.errors import ServerError
from llmgate.generate.identity import hardware, model_identity, packages
from llmgate.generate.vllm.model_folder import hub_folder
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path)


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
