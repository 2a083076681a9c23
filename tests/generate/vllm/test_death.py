"""Why a server ended: the wordings of real logs, as the fake server prints them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fakevllm.vllm.entrypoints.openai.api_server import CORE, DEATHS, ROUTINE

from llmgate.generate.vllm.death import explain, useful_lines

REASONS = {
    "gpu-memory": "the GPU ran out of memory",
    "gpu-taken": "the GPU has too little free memory (3.2/79.2 GiB)",
    "kv-cache": "no memory is left for the KV cache after loading the weights",
    "cpu-kv": "the machine is out of memory: 500.0 GiB were asked for the KV cache and 8.18 GiB are free",
    "cpu-memory": "the machine ran out of memory",
    "cpu-primitive": "oneDNN could not set up an operation, most often because the machine is out of memory",
    "port": "its port is already in use",
    "model-type": "its transformers does not know the architecture of model type `foo`",
    "architecture": "this vLLM does not know the architecture 'FooForCausalLM'",
    "weights": "the model folder holds no weights",
    "damaged": "a weights file is damaged or cut off",
    "tokenizer": "the model folder holds no usable tokenizer",
    "flag": "vLLM does not know the flag --foo-bar",
    "switch": "vLLM refuses its command line: ambiguous option: --enable could match --enable-lora, --enable-log-requests",
    "flag-value": (
        "vLLM refuses the value of the flag --max-model-len: invalid human_readable_int_or_auto value: 'banana'"
    ),
    "dtype": "vLLM does not support that dtype: invalid choice: 'float8' (choose from 'auto', 'bfloat16')",
    "length": "--max-model-len 999999 is more than the model's own 8192",
    "gpus": "4 GPUs were asked for and 1 are there",
    "no-device": "vLLM finds no device that it was built for",
    "hub": "the model is not in the local cache and the hub cannot be reached",
    "config-json": "/m/config.json is not valid JSON",
    "torchvision": "the installed torchvision does not fit the installed torch",
    "module": "the Python module `bitsandbytes` is missing in the server's environment",
    "unheard-of": "the server ended with status 1: x.FlurbError: *** is not flurbed",
    "silent": "the server ended with status 1",
}


def test_every_death_of_the_fake_server_has_an_expectation() -> None:
    assert set(REASONS) == set(DEATHS)


@pytest.mark.parametrize("death", sorted(DEATHS))
def test_reasons(death: str) -> None:
    cause = explain("\n".join((*ROUTINE, *DEATHS[death])), status=1)
    assert cause.what == REASONS[death]
    assert cause.fix
    assert not cause.fix.endswith(".")


def test_the_kernel_is_blamed_where_the_log_names_no_cause() -> None:
    log = "\n".join(DEATHS["unheard-of"])
    assert explain(log, status=1, out_of_memory_kills=1).what.startswith("the machine ran out of memory and the kernel")
    assert explain("", status=-9, out_of_memory_kills=1).what.startswith("the machine ran out of memory and the kernel")
    log = "\n".join(DEATHS["weights"])
    assert explain(log, status=1, out_of_memory_kills=1).what == REASONS["weights"]


@pytest.mark.parametrize(
    ("log", "status", "lost", "what", "fix"),
    [
        ("", -9, "", "the server was ended by signal 9 (Killed), and not by the kernel for lack of memory", "Somebody"),
        ("", -15, "", "the server was ended by signal 15 (Terminated)", "Somebody sent it"),
        ("", -4, "", "the server was ended by signal 4 (Illegal instruction)", "install the build"),
        ("", -7, "", "the server was ended by signal 7 (Bus error)", "/dev/shm is full"),
        ("{'EngineCore': -9}", 1, "", "its process EngineCore was ended by signal 9 (Killed), and not by", "Somebody"),
        ("{'EngineCore': -11}", 1, "", "its process EngineCore was ended by signal 11 (Segmentation", "crashed"),
        (
            "{}",
            1,
            "",
            "its process EngineCore ended without a word, as one does that is killed, and not by",
            "Somebody",
        ),
        (None, 1, "", "its process VllmWorker-0 was ended by signal 9 (Killed), and not by the kernel", "Somebody"),
        (
            "",
            None,
            "VLLM::EngineCore (process 7)",
            "its process VLLM::EngineCore (process 7) ended without",
            "Somebody",
        ),
    ],
)
def test_who_ended_it_is_told(log: str | None, status: int | None, lost: str, what: str, fix: str) -> None:
    told = f"RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {log}"
    if log is None:
        told = f"{CORE}Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor."
    cause = explain(told if log != "" else "", status=status, lost=lost)
    assert cause.what.startswith(what)
    assert fix in cause.fix


def test_the_words_of_a_process_that_is_lost_come_first() -> None:
    log = "\n".join(DEATHS["unheard-of"])
    cause = explain(log, status=None, lost="VLLM::EngineCore (process 7)")
    assert cause.what == "its process VLLM::EngineCore (process 7) ended: x.FlurbError: *** is not flurbed"
    killed = explain("", status=None, lost="VLLM::EngineCore (process 7)", out_of_memory_kills=1)
    assert killed.what.startswith("the machine ran out of memory and the kernel")


def test_warnings_of_possible_errors_are_no_causes() -> None:
    assert explain("\n".join(ROUTINE), status=3).what == "the server ended with status 3"


@pytest.mark.parametrize(
    ("status", "words"), [(-11, "signal 11 (Segmentation fault)"), (None, "without a status"), (0, "with status 0")]
)
def test_an_end_without_words(status: int | None, words: str) -> None:
    assert words in explain("", status=status).what


def test_useful_lines_leave_out_routine_frames_and_repetitions() -> None:
    log = "\n".join((*ROUTINE, *DEATHS["unheard-of"], *DEATHS["unheard-of"]))
    assert useful_lines(log) == (
        "x.FlurbError: *** is not flurbed.",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
    )


def test_secrets_are_masked() -> None:
    log = "Error: hf_abcdefgh1234\nError: Authorization: Bearer abc.def\nError: sk-abcdefgh123456"
    assert useful_lines(log) == ("Error: Authorization: ***", "Error: ***")


@settings(deadline=None)
@given(st.text(max_size=2000), st.none() | st.integers(-64, 255))
def test_any_log_gives_one_sentence(log: str, status: int | None) -> None:
    cause = explain(log, status=status)
    assert cause.what
    assert "\n" not in cause.what
    assert all(len(line) <= 300 for line in useful_lines(log))
