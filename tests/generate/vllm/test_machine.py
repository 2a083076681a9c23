"""What is read of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.generate.vllm import machine

if TYPE_CHECKING:
    from pathlib import Path


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
