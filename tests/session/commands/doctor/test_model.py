"""What the doctor says of a model's files."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from support.servers import model_folder

from llmgate.generate.vllm.gpus import Gpu, GpuFacts
from llmgate.session.commands.doctor import model
from llmgate.session.commands.doctor.diagnosis import Circumstances, Diagnosis, Health
from llmgate.session.commands.doctor.model import check_model, safetensors_problem

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


def safetensors(path: Path, *, of: int, size: int | None = None) -> None:
    """A file of one tensor of so many bytes, or cut off."""
    header = json.dumps({"__metadata__": {"a": "b"}, "x": {"dtype": "U8", "shape": [of], "data_offsets": [0, of]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with path.open("r+b") as file:
        file.truncate(8 + len(header) + (of if size is None else size))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no safetensors file"),
        (b"\x02", "no safetensors file"),
        (b"\xff" * 8, "no safetensors file"),
        (b"\x09\0\0\0\0\0\0\0{}", "no safetensors file"),
        (b"\x02\0\0\0\0\0\0\0{]", "header cannot be read"),
        (b"\x02\0\0\0\0\0\0\0[]", "header cannot be read"),
        (b'\x09\0\0\0\0\0\0\0{"x": {}}', "header cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"\x02\0\0\0\0\0\0\0{}", ""),
    ],
)
def test_files_of_weights(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    found = safetensors_problem(path)
    assert says in found
    assert bool(says) == bool(found)


def test_a_file_that_is_cut_off_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors(path, of=1000)
    assert safetensors_problem(path) == ""
    for size in (999, 1001):
        safetensors(path, of=1000, size=size)
        assert "bytes of" in safetensors_problem(path)
    assert "cannot be read" in safetensors_problem(tmp_path / "gone")


def looked_at(tmp_path: Path, **options: Any) -> list[Diagnosis]:
    return list(check_model(Circumstances(root=tmp_path, options=options)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = model_folder(tmp_path)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}', encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("free", "size", "tensor", "health"),
    [
        (80 * GB, 50 * GB, 1, Health.OK),
        (80 * GB, 75 * GB, 1, Health.WARNING),
        (80 * GB, 140 * GB, 1, Health.PROBLEM),
        (80 * GB, 140 * GB, 4, Health.OK),
    ],
)
def test_does_it_fit_into_gpus(
    tmp_path: Path, folder: Path, free: int, size: int, tensor: int, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = GpuFacts(gpus=(Gpu(name="H100", total=free, free=free),) * 4)
    monkeypatch.setattr(model, "find_gpus", lambda: gpus)
    safetensors(folder / "model.safetensors", of=size)
    found = looked_at(tmp_path, model=str(folder), tensor_parallel_size=tensor)
    assert found[-1].health is health
    assert "of a GPU" in found[-1].what


def test_copies_of_a_model_do_not_share_it(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = GpuFacts(gpus=(Gpu(name="H100", total=80 * GB, free=80 * GB),) * 4)
    monkeypatch.setattr(model, "find_gpus", lambda: gpus)
    safetensors(folder / "model.safetensors", of=140 * GB)
    assert looked_at(tmp_path, model=str(folder), data_parallel_size=4)[-1].health is Health.PROBLEM


def test_does_it_fit_into_the_machine(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "find_gpus", GpuFacts)
    monkeypatch.setattr(model, "available_memory", lambda: 10 * GB)
    safetensors(folder / "model.safetensors", of=20 * GB)
    found = looked_at(tmp_path, model=str(folder))
    assert found[-1].what == "its weights take 20.0 GB, and 10.0 GB of memory of the machine are free"
    assert found[-1].health is Health.PROBLEM


def test_what_it_lacks_is_told(tmp_path: Path, folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    assert "no chat template" in looked_at(tmp_path, model=str(folder))[1].what
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages }}", encoding="utf-8")
    assert "chat template" not in str(looked_at(tmp_path, model=str(folder), chat_template=str(template)))
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer" in looked_at(tmp_path, model=str(folder))[1].what
    (folder / "config.json").unlink()
    assert "no config.json" in looked_at(tmp_path, model=str(folder))[0].what


def test_a_damaged_file_is_named(tmp_path: Path, folder: Path) -> None:
    safetensors(folder / "model.safetensors", of=1000, size=10)
    found = looked_at(tmp_path, model=str(folder))[0]
    assert (found.health, "model.safetensors: it has" in found.what) == (Health.PROBLEM, True)


def test_what_is_not_here_yet_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (found,) = looked_at(tmp_path, model="org/name")
    assert (found.health, "not on this machine yet" in found.what) == (Health.NOTE, True)
    (found,) = looked_at(tmp_path)
    assert found.what == "none is named"
