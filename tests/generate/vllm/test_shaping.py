"""Files that shape answers: in the record by their content, and held still."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from support.servers import model_folder

from llmgate.errors import LlmgateError, ServerError, UsageError
from llmgate.generate.vllm.shaping import check_unchanged, shape
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.generate.vllm.shaping import Shaped


def shaped(tmp_path: Path, *flags: str) -> Shaped:
    return shape(flags, template=tmp_path / "kept.jinja")


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_without_files_are_left_alone(tmp_path: Path) -> None:
    flags = ("--dtype", "float32", "--tokenizer", "org/name", "--chat-template", "{{ x }}", "-tp=2", "--generation-config", "vllm")
    found = shaped(tmp_path, *flags)
    assert found.flags == found.recorded == flags
    assert not found.held
    assert not found.template.exists()


def test_a_template_counts_by_its_content_and_vllm_gets_a_copy(tmp_path: Path) -> None:
    one, same, other = (written(tmp_path / name, text) for name, text in (("a", "{{ 1 }}"), ("b/a", "{{ 1 }}"), ("c", "{{ 2 }}")))
    found = shaped(tmp_path, "--dtype", "half", "--chat-template", str(one), "--seed", "1")
    assert found.recorded == ("--dtype", "half", "--chat-template", sha(b"{{ 1 }}"), "--seed", "1")
    assert found.flags == ("--dtype", "half", "--chat-template", str(found.template), "--seed", "1")
    assert found.template.name == f"kept-{sha(b'{{ 1 }}').removeprefix('sha256:')[:8]}.jinja"
    one.write_text("{{ 3 }}", encoding="utf-8")
    assert found.template.read_text(encoding="utf-8") == "{{ 1 }}"
    assert shaped(tmp_path, f"--chat_template={same}").recorded == ("--chat-template", sha(b"{{ 1 }}"))
    assert shaped(tmp_path, "--chat-template", str(other)).recorded != found.recorded[2:4]
    assert shaped(tmp_path, "--chat-template", str(one)).recorded == ("--chat-template", sha(b"{{ 3 }}"))


def test_a_template_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="cannot be read"):
        shaped(tmp_path, "--chat-template", str(tmp_path / "pipe"))


def test_a_draft_model_counts_by_its_weights(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    config = {"num_speculative_tokens": 3, "model": str(folder)}
    wanted = {"model": f"sha256:{weights_digest(folder)}", "num_speculative_tokens": 3}
    found = shaped(tmp_path, "--speculative-config", json.dumps(config))
    assert found.flags == ("--speculative-config", json.dumps(config))
    assert json.loads(found.recorded[1]) == wanted
    for flag in ("--spec-model", "--speculative-config.model"):
        assert shaped(tmp_path, flag, str(folder)).recorded == (flag, wanted["model"])
    other = model_folder(tmp_path / "elsewhere" if (tmp_path / "elsewhere").mkdir() is None else tmp_path)
    config["model"] = str(other)
    assert shaped(tmp_path, "-sc", json.dumps(config)).recorded == found.recorded


@pytest.mark.parametrize("value", ["{", "[1]", '{"method": "ngram"}', '{"model": "org/draft"}', '{"model": 3}'])
def test_speculation_without_a_folder_is_shown_as_it_is(tmp_path: Path, value: str) -> None:
    assert shaped(tmp_path, "--speculative-config", value).recorded == ("--speculative-config", value)


def test_of_a_tokenizer_the_weights_beside_it_do_not_count(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    first = shaped(tmp_path, "--tokenizer", str(folder)).recorded
    assert first[1].startswith("sha256:")
    (folder / "model.safetensors").write_bytes(b"other")
    assert shaped(tmp_path, "--tokenizer", str(folder)).recorded == first
    written(folder / "tokenizer.json", "{}")
    assert shaped(tmp_path, "--tokenizer", str(folder)).recorded != first


def test_plugins_count_by_their_code(tmp_path: Path) -> None:
    code = written(tmp_path / "p.py", "x = 1\n")
    assert shaped(tmp_path, "--tool-parser-plugin", str(code)).recorded == ("--tool-parser-plugin", sha(b"x = 1\n"))


def test_a_config_file_counts_by_what_it_says(tmp_path: Path) -> None:
    template = written(tmp_path / "t.jinja", "{{ 1 }}")
    one = written(tmp_path / "one.yaml", f"seed: 1\nchat-template: {template}\n")
    same = written(tmp_path / "same.yaml", f"# said otherwise\nchat_template: '{template}'\nseed: 1\n")
    first = shaped(tmp_path, "--config", str(one)).recorded
    assert shaped(tmp_path, f"--config={same}").recorded == first
    written(template, "{{ 2 }}")
    assert shaped(tmp_path, "--config", str(one)).recorded != first


@pytest.mark.parametrize("text", ["a: [", "\0"])
def test_a_config_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(LlmgateError, match="cannot be read"):
        shaped(tmp_path, "--config", str(written(tmp_path / "bad.yaml", text)))
    with pytest.raises(LlmgateError, match="cannot be read"):
        shaped(tmp_path, "--config", str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize("change", ["write", "add", "remove"])
def test_what_changes_before_vllm_has_read_it_is_refused(tmp_path: Path, change: str) -> None:
    folder = model_folder(tmp_path)
    held = shaped(tmp_path, "--spec-model", str(folder)).held
    check_unchanged(held)
    if change == "write":
        (folder / "model.safetensors").write_bytes(b"other")
    elif change == "add":
        written(folder / "more.json", "{}")
    else:
        (folder / "model.safetensors").unlink()
    with pytest.raises(ServerError, match="was changed while the server started") as error:
        check_unchanged(held)
    assert error.value.where == "--spec-model"
