"""Compiled templates: used if they are of the same text, options and versions, and never missed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import jinja2
import pytest
from jinja2 import DictLoader, Environment, FileSystemLoader

from llmgate.report.compiled_templates import CompiledTemplates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "page.html.j2").write_text("<b>{{ name }}</b>", encoding="utf-8")
    return tmp_path


def rendered(folder: Path, *, autoescape: bool = True) -> str:
    environment = Environment(
        loader=FileSystemLoader(folder), bytecode_cache=CompiledTemplates(), autoescape=autoescape
    )
    return environment.get_template("page.html.j2").render(name="<i>")


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.j2c"))


def test_a_template_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered(folder) == "<b>&lt;i&gt;</b>"
    (file,) = kept(folder)
    assert file == folder / "__pycache__" / f"page.html.{sys.implementation.cache_tag}.j2c"
    monkeypatch.setattr(Environment, "compile", lambda *_, **__: pytest.fail("compiled again"))
    assert rendered(folder) == "<b>&lt;i&gt;</b>"


def test_other_text_options_or_versions_are_compiled_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered(folder)
    assert rendered(folder, autoescape=False) == "<b><i></b>", "code that does not escape is other code"
    assert rendered(folder) == "<b>&lt;i&gt;</b>"
    before = kept(folder)[0].read_bytes()
    monkeypatch.setattr(jinja2, "__version__", "99")
    rendered(folder)
    assert kept(folder)[0].read_bytes() != before
    (folder / "page.html.j2").write_text("<u>{{ name }}</u>", encoding="utf-8")
    assert rendered(folder) == "<u>&lt;i&gt;</u>"


@pytest.mark.parametrize(
    "damage", [lambda data: data[:80], lambda data: data[:0], lambda data: data[:64] + b"i\0\0\0\0"]
)
def test_what_is_damaged_is_compiled_anew(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    rendered(folder)
    (file,) = kept(folder)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert rendered(folder) == "<b>&lt;i&gt;</b>"
    assert file.read_bytes() == whole


def test_nothing_is_written_where_python_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered(folder) == "<b>&lt;i&gt;</b>"
    assert kept(folder) == []


def test_it_goes_where_pythons_own_goes(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "elsewhere"))
    rendered(folder)
    (file,) = kept(folder)
    assert file.is_relative_to(tmp_path / "elsewhere")


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    (folder / "__pycache__").write_text("in the way", encoding="utf-8")
    assert rendered(folder) == "<b>&lt;i&gt;</b>"
    assert kept(folder) == []


def test_a_template_without_a_file_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    environment = Environment(
        loader=DictLoader({"page": "{{ name }}"}), bytecode_cache=CompiledTemplates(), autoescape=True
    )
    assert environment.get_template("page").render(name="a") == "a"
