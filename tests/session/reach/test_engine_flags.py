"""Options on how vLLM runs a model: its flags, what is refused, and a champion's flags from its record."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.servers import model_folder

from llmgate.errors import CannotRunError, LlmgateError, UsageError
from llmgate.generate.vllm.shaping import shape
from llmgate.record.weights import weights_digest
from llmgate.session.reach.engine_flags import engine_flags, for_judge, restored, without_engine
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.session.settings.typed import Settings


def settings(tmp_path: Path, **given: Any) -> Settings:
    return settings_from(given, root=tmp_path)


def template(tmp_path: Path, text: str = "{{ messages }}", name: str = "t.jinja") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


def test_every_option_is_a_flag_of_vllm(tmp_path: Path) -> None:
    draft, path = model_folder(tmp_path), template(tmp_path)
    found = engine_flags(
        settings(
            tmp_path, tensor_parallel_size="2", pipeline_parallel_size=3, data_parallel_size="4",
            gpu_memory_utilization="0.8", max_model_len="4096", dtype="bfloat16", quantization="fp8",
            speculative_config=str(draft), speculative_tokens="5", chat_template=path, tool_call_parser="hermes",
            reasoning_parser="qwen3", server_args="--enable-prefix-caching",
        )
    )  # fmt: skip
    assert found == (
        *("--tensor-parallel-size", "2", "--pipeline-parallel-size", "3", "--data-parallel-size", "4"),
        *("--gpu-memory-utilization", "0.8", "--max-model-len", "4096", "--dtype", "bfloat16"),
        *("--quantization", "fp8"),
        *("--speculative-config", json.dumps({"model": str(draft.resolve()), "num_speculative_tokens": 5})),
        *("--chat-template", path, "--tool-call-parser", "hermes", "--enable-auto-tool-choice"),
        *("--reasoning-parser", "qwen3", "--enable-prefix-caching"),
    )


def test_without_options_there_are_the_free_flags_alone(tmp_path: Path) -> None:
    assert engine_flags(settings(tmp_path, server_args="-tp 2 --x=1")) == ("-tp", "2", "--x=1")
    assert engine_flags(settings(tmp_path)) == ()


def test_pyproject_sets_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.llmgate]\ntensor-parallel-size = 2\nspeculative-config = \'{"method": "ngram"}\'\n', encoding="utf-8"
    )
    assert engine_flags(settings(tmp_path)) == (
        *("--tensor-parallel-size", "2", "--speculative-config", '{"method": "ngram"}'),
    )
    assert engine_flags(settings(tmp_path, tensor_parallel_size="4"))[1] == "4"


@pytest.mark.parametrize(
    ("option", "value", "args"),
    [
        ("tensor_parallel_size", "2", "-tp 2"),
        ("max_model_len", "4096", "--max_model_len=4096"),
        ("gpu_memory_utilization", "0.9", "--gpu-memory-utilization .90"),
        ("quantization", "fp8", "-q fp8"),
        ("speculative_config", '{"method":"ngram"}', """--speculative-config '{ "method" : "ngram" }'"""),
    ],
)
def test_what_is_said_twice_alike_is_given_once(tmp_path: Path, option: str, value: str, args: str) -> None:
    found = settings(tmp_path, **{option: value}, server_args=args)
    assert engine_flags(found) == found.server_args


def test_one_file_in_two_spellings_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = template(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = settings(tmp_path, chat_template="t.jinja", server_args=f"--chat-template {path}")
    assert engine_flags(found) == ("--chat-template", path)


@pytest.mark.parametrize(
    ("option", "value", "args"),
    [
        ("tensor_parallel_size", "2", "--tensor-parallel-size 4"),
        ("tensor_parallel_size", "2", "-tp=4"),
        ("tensor_parallel_size", "2", "--tensor-parallel 4"),
        ("max_model_len", "4096", "--max-model-len 4k"),
        ("quantization", "fp8", "-q awq"),
        ("tool_call_parser", "hermes", "--no-enable-auto-tool-choice"),
        ("speculative_config", '{"method":"ngram"}', "--spec-tokens 3"),
        ("speculative_config", '{"method":"ngram"}', "--speculative-config.model x"),
        ("speculative_config", '{"method":"ngram"}', "--speculative-config {"),
    ],
)
def test_a_contradiction_is_refused_with_both_places(tmp_path: Path, option: str, value: str, args: str) -> None:
    with pytest.raises(UsageError, match="contradicts") as error:
        settings(tmp_path, **{option: value}, server_args=args)
    assert f"--{option.replace('_', '-')}" in str(error.value.where)
    assert "--server-args" in str(error.value.where)
    assert args in str(error.value)


def test_a_contradiction_with_a_config_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "vllm.yaml"
    file.write_text("max_model_len: 8192\ntensor-parallel-size: 2\n", encoding="utf-8")
    settings(tmp_path, tensor_parallel_size="2", server_args=f"--config {file}")
    with pytest.raises(UsageError, match="--max-model-len 4096 contradicts 'max-model-len: 8192'") as error:
        settings(tmp_path, max_model_len="4096", server_args=f"--config {file}")
    assert str(file) in str(error.value.where)
    with pytest.raises(LlmgateError, match="cannot be read"):
        settings(tmp_path, max_model_len="4096", server_args="--config gone.yaml")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tensor_parallel_size": "0"}, "--tensor-parallel-size is 0"),
        ({"data_parallel_size": "-1"}, "--data-parallel-size is -1"),
        ({"pipeline_parallel_size": "two"}, "which is not int"),
        ({"max_model_len": "0"}, "--max-model-len is 0"),
        ({"gpu_memory_utilization": "0"}, "--gpu-memory-utilization is 0"),
        ({"gpu_memory_utilization": "90"}, "--gpu-memory-utilization is 90"),
        ({"gpu_memory_utilization": "nan"}, "--gpu-memory-utilization is nan"),
        ({"quantization": ""}, "is no name"),
        ({"tool_call_parser": "--x"}, "is no name"),
        ({"reasoning_parser": "a b"}, "is no name"),
        ({"chat_template": "gone.jinja"}, "gone.jinja cannot be read"),
        ({"speculative_tokens": "3"}, "none is named"),
        ({"speculative_config": "org/draft"}, "how many tokens"),
        ({"speculative_config": "gone", "speculative_tokens": "3"}, "no folder 'gone'"),
        ({"speculative_config": "./gone/x", "speculative_tokens": "3"}, "no folder './gone/x'"),
        ({"speculative_config": "", "speculative_tokens": "3"}, "no folder ''"),
        ({"speculative_config": "{"}, "it is no JSON"),
        ({"speculative_config": "{}"}, "no JSON object with anything"),
        ({"speculative_config": '{"a": 1}'}, "neither a model nor a method"),
        ({"speculative_config": '{"method": "ngram", "num_speculative_tokens": 0}'}, "num_speculative_tokens is 0"),
        ({"speculative_config": '{"method": "ngram", "num_speculative_tokens": true}'}, "num_speculative_tokens is True"),
        (
            {"speculative_config": '{"method": "ngram", "num_speculative_tokens": 2}', "speculative_tokens": "3"},
            "num_speculative_tokens is 2, and --speculative-tokens 3",
        ),
        ({"speculative_config": '{"model": "/gone/draft", "num_speculative_tokens": 2}'}, "no folder '/gone/draft'"),
    ],
)  # fmt: skip
def test_impossible_values_are_refused(tmp_path: Path, given: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(tmp_path, **given)
    assert says in str(error.value)
    assert error.value.fix


def test_a_draft_model_without_a_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "draft").mkdir()
    with pytest.raises(UsageError, match="no config.json"):
        settings(tmp_path, speculative_config=str(tmp_path / "draft"), speculative_tokens="2")


def test_tokens_are_added_to_json_that_leaves_them_out(tmp_path: Path) -> None:
    found = engine_flags(settings(tmp_path, speculative_config='{"method": "ngram"}', speculative_tokens="3"))
    assert json.loads(found[1]) == {"method": "ngram", "num_speculative_tokens": 3}


def test_an_endpoint_cannot_be_told_what_shapes_answers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--reasoning-parser is for a server that llmgate starts"):
        settings(tmp_path, endpoint="http://127.0.0.1:1/v1", reasoning_parser="qwen3")
    assert settings(tmp_path, endpoint="http://127.0.0.1:1/v1", tensor_parallel_size="2").tensor_parallel_size == 2


def test_a_judge_gets_what_is_said_of_the_machine(tmp_path: Path) -> None:
    found = settings(tmp_path, tensor_parallel_size="2", chat_template=template(tmp_path), server_args="--seed 1")
    assert engine_flags(for_judge(found)) == ("--tensor-parallel-size", "2", "--seed", "1")
    assert engine_flags(without_engine(found)) == ("--seed", "1")


def recorded(tmp_path: Path, *flags: str) -> tuple[str, ...]:
    return shape(flags, template=tmp_path / "kept.jinja").recorded


def test_a_champions_files_are_had_again_where_this_run_names_the_same_content(tmp_path: Path) -> None:
    draft, path = model_folder(tmp_path), template(tmp_path)
    config = json.dumps({"model": str(draft), "num_speculative_tokens": 2})
    said = recorded(tmp_path, "--seed", "1", f"--chat-template={path}", "--speculative-config", config)
    assert path not in " ".join(said)
    same = template(tmp_path, name="elsewhere.jinja")
    now = settings(tmp_path, chat_template=same, speculative_config=str(draft), speculative_tokens="9")
    assert restored(said, now) == (
        *("--seed", "1", "--chat-template", same, "--speculative-config"),
        json.dumps({"model": str(draft.resolve()), "num_speculative_tokens": 2}),
    )


def test_a_champions_file_that_is_not_here_is_refused(tmp_path: Path) -> None:
    said = recorded(tmp_path, "--chat-template", template(tmp_path))
    other = template(tmp_path, "{{ other }}", "other.jinja")
    for now in (settings(tmp_path), settings(tmp_path, chat_template=other)):
        with pytest.raises(CannotRunError, match="--chat-template of which only the digest is known") as error:
            restored(said, now)
        assert "--serving-champion" in str(error.value.fix)
    assert restored(("--seed", "0", "--max-model-len", "2048"), settings(tmp_path)) == (
        *("--seed", "0", "--max-model-len", "2048"),
    )


def test_a_draft_that_is_known_by_its_weights_alone_is_refused(tmp_path: Path) -> None:
    draft = model_folder(tmp_path)
    said = recorded(tmp_path, "--spec-model", str(draft))
    assert said == ("--spec-model", f"sha256:{weights_digest(draft)}")
    with pytest.raises(CannotRunError):
        restored(said, settings(tmp_path))
    assert restored(said, settings(tmp_path, server_args=f"--spec-model {draft}")) == ("--spec-model", str(draft))


def test_what_is_no_file_of_ours_does_not_stop_the_search(tmp_path: Path) -> None:
    digest = f"sha256:{hashlib.sha256(b'{{ messages }}').hexdigest()}"
    (tmp_path / "vllm.yaml").write_text("seed: 1", encoding="utf-8")
    now = settings(
        tmp_path,
        server_args=f"--tokenizer org/name --config {tmp_path / 'vllm.yaml'} --chat-template {template(tmp_path)}",
    )
    assert restored(("--chat-template", digest), now) == ("--chat-template", str(tmp_path / "t.jinja"))
