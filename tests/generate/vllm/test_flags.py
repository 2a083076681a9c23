"""Reading a sequence of vLLM's flags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.generate.vllm.flags import meant, read_flags


@pytest.mark.parametrize(
    ("flags", "name", "value", "key", "negated"),
    [
        (("--max_model_len=4",), "max-model-len", "4", "", False),
        (("-tp", "2"), "tensor-parallel-size", "2", "", False),
        (("-tp=2",), "tensor-parallel-size", "2", "", False),
        (("-q", "fp8"), "quantization", "fp8", "", False),
        (("--no-enforce-eager",), "enforce-eager", "", "", True),
        (("--speculative-config.model", "/d"), "speculative-config", "/d", "model", False),
        (("--device-memory-utilization", "0.5"), "gpu-memory-utilization", "0.5", "", False),
        (("--seed", "-1"), "seed", "-1", "", False),
        (("--lora-modules", "a=/x", "b=/y"), "lora-modules", "b=/y", "", False),
        (("--a=b=c",), "a", "b=c", "", False),
    ],
)
def test_a_flag_in_its_spellings(flags: tuple[str, ...], name: str, value: str, key: str, negated: bool) -> None:
    (flag,) = read_flags(flags)
    assert (flag.name, flag.value, flag.key, flag.negated) == (name, value, key, negated)
    assert flag.text == flags


def test_values_belong_to_the_flag_before_them() -> None:
    one, two, three = read_flags(("stray", "--a", "1", "2", "--b", "--c=3"))
    assert (one.values, two.values, three.values) == (("1", "2"), (), ("3",))


@given(st.lists(st.sampled_from(["--a", "-tp", "x", "--b=1", "-1", "{}", ""])))
def test_nothing_is_lost_from_the_first_flag_on(flags: list[str]) -> None:
    read = [entry for flag in read_flags(flags) for entry in flag.text]
    assert read == flags[len(flags) - len(read) :]


def test_a_name_that_was_cut_short_is_what_vllm_takes_it_for() -> None:
    known = {"chat-template", "tokenizer"}
    assert meant("chat-temp", known) == "chat-template"
    assert meant("chat-template", known) == "chat-template"
    assert meant("c", known) == "c"
    assert meant("chat-template-content-format", known) == "chat-template-content-format"
