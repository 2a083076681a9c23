"""Folders of links, and the models inside of what MLflow calls a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from llmgate.errors import CannotRunError
from llmgate.generate.sources.layout import linked, loadable, loaded_of, safe_name

if TYPE_CHECKING:
    from pathlib import Path


def pipeline(folder: Path, flavor: dict[str, Any] | None = None, *, flavors: Any = None) -> Path:
    """What `mlflow.transformers.log_model` leaves of a pipeline."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "components" / "tokenizer").mkdir(parents=True)
    (folder / "components" / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "components" / "tokenizer" / "config.json").write_text("[]", encoding="utf-8")
    content = {
        "flavors": flavors
        if flavors is not None
        else {"python_function": {}, "transformers": flavor or {"model_binary": "model"}}
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def test_a_plain_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert loadable(tmp_path, views=lambda: tmp_path / "views", name="bot") == tmp_path
    (tmp_path / "MLmodel").write_text("{}", encoding="utf-8")
    assert loadable(tmp_path, views=lambda: tmp_path / "views", name="bot") == tmp_path


def test_weights_and_tokenizer_become_one_folder(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "logged")
    found = loadable(folder, views=lambda: tmp_path / "views", name="bot")
    assert found.name == "bot"
    assert sorted(path.name for path in found.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (found / "config.json").read_text(encoding="utf-8") == "{}"
    assert (found / "model.safetensors").resolve() == (folder / "model" / "model.safetensors").resolve()
    assert loadable(folder, views=lambda: tmp_path / "views", name="bot") == found


def test_a_checkpoint_with_its_own_tokenizer_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "logged")
    (folder / "model" / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    found = loadable(folder, views=lambda: tmp_path / "views", name="bot")
    assert sorted(path.name for path in found.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
    ]


@pytest.mark.parametrize(
    ("flavor", "flavors", "what", "fix"),
    [
        (
            {"source_model_name": "acme/bot", "source_model_revision": "a1"},
            None,
            "only where this model came from",
            "hf://acme/bot@a1",
        ),
        ({"peft_adaptor": "peft"}, None, "a LoRA adapter without its adapter_config.json", "Log it again"),
        ({"peft_adaptor": "../peft"}, None, "a LoRA adapter without its adapter_config.json", "Log it again"),
        ({"model_binary": "../../../etc"}, None, "only where this model came from", "its weights"),
        ({"model_binary": "absent"}, None, "without a config.json", "mlflow.transformers"),
        (None, {"sklearn": {}, "python_function": {}}, "this has python_function, sklearn", "mlflow.transformers"),
        (None, [], "this has none", "mlflow.transformers"),
    ],
)
def test_what_vllm_cannot_load_is_said(
    tmp_path: Path, flavor: dict[str, Any] | None, flavors: Any, what: str, fix: str
) -> None:
    folder = pipeline(tmp_path / "logged", flavor, flavors=flavors)
    with pytest.raises(CannotRunError) as caught:
        loadable(folder, views=lambda: tmp_path / "views", name="bot", where="models:/bot/1")
    assert what in caught.value.what
    assert fix in str(caught.value.fix)
    assert caught.value.where == "models:/bot/1"
    assert loaded_of(folder, views=lambda: tmp_path / "views") == folder


@pytest.mark.parametrize("text", ["[", "a: !!python/object/apply:os.system [id]", "\0", "{}", "- a"])
def test_an_mlmodel_of_whatever_is_no_program(tmp_path: Path, text: str) -> None:
    folder = pipeline(tmp_path / "logged")
    (folder / "MLmodel").write_text(text, encoding="utf-8")
    with pytest.raises(CannotRunError):
        loadable(folder, views=lambda: tmp_path / "views", name="bot")


def test_no_tokenizer_at_all(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "logged")
    (folder / "components" / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(CannotRunError, match="without its tokenizer"):
        loadable(folder, views=lambda: tmp_path / "views", name="bot")


def test_links_are_made_anew_where_they_are_not_these(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a", encoding="utf-8")
    (tmp_path / "b").write_text("b", encoding="utf-8")
    at = tmp_path / "views" / "x"
    assert linked({"one": tmp_path / "a", "deep/two": tmp_path / "b"}, at) == at
    before = at.stat().st_ino
    linked({"one": tmp_path / "a", "deep/two": tmp_path / "b"}, at)
    assert at.stat().st_ino == before
    linked({"one": tmp_path / "b"}, at)
    assert [path.name for path in at.iterdir()] == ["one"]
    assert (at / "one").read_text(encoding="utf-8") == "b"
    assert [path.name for path in at.parent.iterdir()] == ["x"]
    at.rename(tmp_path / "moved")
    at.symlink_to(tmp_path / "moved")
    linked({"one": tmp_path / "a"}, at)
    assert not at.is_symlink()
    assert (tmp_path / "moved" / "one").read_text(encoding="utf-8") == "b"


@pytest.mark.parametrize(
    ("name", "safe"), [("bot", "bot"), ("a b/c", "a_b_c"), ("..", "_"), (".x", "_x"), ("", "model"), ("ü", "ü")]
)
def test_names_of_folders(name: str, safe: str) -> None:
    assert safe_name(name) == safe
