"""What is read of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.generate.vllm import machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("groups", "files", "kills"),
    [
        ("0::/job/7\n", {"job/7/memory.events": "oom 3\noom_kill 2\n", "../vmstat": "oom_kill 39\n"}, 2),
        ("0::/\n", {"memory.events": "low 0\noom_kill 1\n"}, 1),
        ("4:memory:/job\n0::/\n", {"memory/job/memory.oom_control": "under_oom 0\noom_kill 4\n"}, 4),
        # A kernel whose first version of groups does not count, and a group that cannot be seen from here.
        ("4:memory:/job\n", {"memory/job/memory.oom_control": "under_oom 0\n", "../vmstat": "oom_kill 39\n"}, 39),
        ("4:cpu,memory:/elsewhere\n\nnonsense\n", {"../vmstat": "nr_free_pages 7\noom_kill 39\n"}, 39),
        (None, {"../vmstat": "oom_kill 39\n"}, 39),
        (None, {}, 0),
    ],
)
def test_kills_for_lack_of_memory_are_those_of_the_group(
    groups: str | None, files: dict[str, str], kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "cgroup"
    root.mkdir()
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="ascii")
    if groups is not None:
        (tmp_path / "own").write_text(groups, encoding="utf-8")
    monkeypatch.setattr(machine, "GROUPS", root)
    monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "VMSTAT", tmp_path / "vmstat")
    assert machine.oom_kills() == kills


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 f16c\n", False),
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\nvmx flags\t: x\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd asimdhp\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        # A kernel that does not tell is no reason to deviate from the model.
        ("processor\t: 0\n", True),
        (None, True),
    ],
)
def test_arithmetic_on_bfloat16_is_read_from_the_kernel(
    told: str | None, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    if told is not None:
        file.write_text(told, encoding="utf-8")
    monkeypatch.setattr(machine, "CPU_INFO", file)
    assert machine.has_bfloat16() is known
