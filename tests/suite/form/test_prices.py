"""The file of prices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import UsageError
from llmgate.record.serving.prices import PriceTable
from llmgate.suite.form.prices import read_prices

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, text: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_and_json(tmp_path: Path) -> None:
    expected = PriceTable(currency="EUR", per_kwh=0.25, gpus=(("NVIDIA H100 80GB*", 2.9), ("NVIDIA L4", 1.0)))
    text = 'currency: EUR\nper_kwh: 0.25\ngpus:\n  "NVIDIA H100 80GB*": 2.9\n  NVIDIA L4: 1\n'
    assert read_prices(written(tmp_path, text)) == expected
    facts = {"currency": "EUR", "per_kwh": 0.25, "gpus": {"NVIDIA H100 80GB*": 2.9, "NVIDIA L4": 1}}
    assert read_prices(written(tmp_path, json.dumps(facts, indent="\t"))) == expected
    assert read_prices(written(tmp_path, "per_kwh: 0")) == PriceTable(per_kwh=0.0)


@pytest.mark.parametrize(
    ("text", "line", "what", "fix"),
    [
        ("curency: EUR\nper_kwh: 1", ":1", "unknown key 'curency'", "Did you mean currency?"),
        ("gpus:\n  NVIDIA L4: -1", ":2", "greater than or equal to 0", "Correct"),
        ("gpus:\n  NVIDIA L4: .nan", ":2", "is not a finite number", "Write a number"),
        ("gpus:\n  NVIDIA L4: '1'", ":2", "valid number", "Correct"),
        ("gpus:\n  NVIDIA L4: true", ":2", "valid number", "Correct"),
        ("gpus:\n  NVIDIA L4: {hour: 1}", ":2", "valid number", "Correct"),
        ("per_kwh: .inf", ":1", "is not a finite number", "Write a number"),
        ("gpus:\n  NVIDIA L4: 1\n  NVIDIA L4: 2", ":3", "is written twice", "Remove"),
        ("gpus: {}", "", "there is no price", "under `gpus:`"),
        ("currency: EUR", "", "there is no price", "under `gpus:`"),
        ("", "", "the file holds no settings", "under `gpus:`"),
        ("- 1", "", "the file holds no settings", "under `gpus:`"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, line: str, what: str, fix: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=what) as error:
        read_prices(path)
    assert error.value.where == f"{path}{line}"
    assert fix in str(error.value.fix)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_prices(tmp_path / "none.yaml")
