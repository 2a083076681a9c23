"""The command line and environment of a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import UsageError
from llmgate.generate.vllm.command import ENTRYPOINTS, OWNED, Device, ServerCommand, ServerSpec, command, flag_names


def built(*flags: str, device: Device = Device.CPU, **changes: Any) -> ServerCommand:
    inherited = changes.pop("inherited", {"HOME": "/home/me"})
    config_flags = changes.pop("config_flags", frozenset())
    machine = {name: changes.pop(name, False) for name in ("widen", "all_cores")}
    spec = ServerSpec(**{"model": "/m", "served_name": "bot", "python": "py", **changes}, flags=flags)
    return command(spec, port=8123, device=device, inherited=inherited, config_flags=config_flags, **machine)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ""},
        {"model": " /m"},
        {"model": "--model"},
        {"served_name": ""},
        {"served_name": "-x"},
        {"port": 0},
        {"port": 65536},
        {"startup_timeout_s": 0.0},
        {"startup_timeout_s": float("nan")},
        {"startup_timeout_s": float("inf")},
    ],
)
def test_impossible_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ServerSpec(**{"model": "/m", "served_name": "bot", **changes})


@pytest.mark.parametrize("name", sorted(OWNED))
@pytest.mark.parametrize("spelling", ["--{}", "--{}=x"])
def test_flags_that_llmgate_owns_are_refused_with_the_way_to_set_them(name: str, spelling: str) -> None:
    with pytest.raises(UsageError, match=f"--{name} cannot be passed through") as error:
        built(spelling.format(name.replace("-", "_")))
    assert error.value.fix is not None
    assert OWNED[name] in error.value.fix


def test_the_command_names_everything_that_must_be_known() -> None:
    argv = built().argv
    assert argv[:3] == ("py", "-m", "vllm.entrypoints.launchers.api_server.entry")
    assert " ".join(argv[3:]) == (
        "--model /m --served-model-name bot --host 127.0.0.1 --port 8123 --seed 0 --generation-config vllm "
        "--disable-uvicorn-access-log --enable-prompt-tokens-details --enforce-eager --max-model-len 2048"
    )


def test_the_module_and_the_recorded_flags_are_as_given() -> None:
    spec = ServerSpec(model="/m", served_name="bot", python="py", flags=("--chat-template", "/tmp/t"))
    made = command(
        spec, port=1, device=Device.GPU, inherited={}, entrypoint=ENTRYPOINTS[1], recorded=("--chat-template", "sha256:1")
    )
    assert made.argv[2] == ENTRYPOINTS[1]
    assert made.argv[-1] == "/tmp/t"
    assert made.engine_flags[-2:] == ("--chat-template", "sha256:1")


def test_a_gpu_keeps_vllms_own_length_and_compiles() -> None:
    argv = built(device=Device.GPU).argv
    assert "--enforce-eager" not in argv
    assert "--max-model-len" not in argv
    assert "VLLM_CPU_KVCACHE_SPACE" not in built(device=Device.GPU).env


@pytest.mark.parametrize(
    ("flags", "default"),
    [
        (("--seed", "7"), "--seed"),
        (("--seed=7",), "--seed"),
        (("--generation_config", "auto"), "--generation-config"),
        (("--max_model_len=512",), "--max-model-len"),
        (("--no-enforce-eager",), "--enforce-eager"),
        (("-O3",), "--enforce-eager"),
        (("-cc.mode=3",), "--enforce-eager"),
        (("--compilation-config", '{"mode": 3}'), "--enforce-eager"),
        (("--no-disable-uvicorn-access-log",), "--disable-uvicorn-access-log"),
    ],
)
def test_a_flag_that_the_user_gave_is_not_given_twice(flags: tuple[str, ...], default: str) -> None:
    argv = built(*flags).argv
    assert argv[-len(flags) :] == flags
    assert default not in argv[: -len(flags)]


def test_a_cpu_without_bfloat16_computes_in_float32() -> None:
    assert "--dtype" not in built().argv
    assert built(widen=True).argv[-2:] == ("--dtype", "float32")
    assert "--dtype float32" in " ".join(built(widen=True).engine_flags)
    assert "float32" not in built("--dtype", "bfloat16", widen=True).argv
    assert "--dtype" not in built(widen=True, device=Device.GPU).argv


def test_on_few_cores_the_engine_has_all_of_them() -> None:
    name = "VLLM_CPU_NUM_OF_RESERVED_CPU"
    assert name not in built().env
    assert built(all_cores=True).env[name] == "0"
    assert f"{name}=0" in built(all_cores=True).engine_flags
    assert built(all_cores=True, inherited={name: "1"}).env[name] == "1"
    assert name not in built(all_cores=True, env={"VLLM_CPU_OMP_THREADS_BIND": "0-1"}).env
    assert name not in built(all_cores=True, device=Device.GPU).env


def test_flags_in_a_config_file_count_as_given() -> None:
    argv = built("--config", "vllm.yaml", config_flags=frozenset({"seed", "max-model-len"})).argv
    assert "--seed" not in argv
    assert "--max-model-len" not in argv
    assert "--enforce-eager" in argv


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["--tensor-parallel-size", "2", "--lora-modules", "a=/x", "-tp", "--trust-remote-code"]))
)
def test_other_flags_pass_through_untouched(flags: list[str]) -> None:
    argv = built(*flags).argv
    assert list(argv[len(argv) - len(flags) :]) == flags


def test_flag_names_have_one_spelling() -> None:
    flags = ["--max_model_len", "4", "--a-b=c", "--no-x", "-O2", "-tp", "2", "--spec.key=1"]
    assert flag_names(flags) == {"max-model-len", "a-b", "x", "O", "tp", "spec"}


def test_telemetry_is_off_and_the_current_folder_is_not_imported_from() -> None:
    env = built().env
    assert {name: env[name] for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "PYTHONSAFEPATH")} == {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONSAFEPATH": "1",
    }
    assert env["HOME"] == "/home/me"


def test_environment_that_would_break_the_server_is_not_inherited() -> None:
    env = built(inherited={"VLLM_API_KEY": "for elsewhere", "PYTHONWARNINGS": "error", "HF_HUB_OFFLINE": "1"}).env
    assert "VLLM_API_KEY" not in env
    assert "PYTHONWARNINGS" not in env
    assert env["HF_HUB_OFFLINE"] == "1"
    assert built(env={"VLLM_API_KEY": "k"}).env["VLLM_API_KEY"] == "k"


def test_the_memory_default_gives_way() -> None:
    assert built().env["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert built(inherited={"VLLM_CPU_KVCACHE_SPACE": "8"}).env["VLLM_CPU_KVCACHE_SPACE"] == "8"
    assert built(env={"VLLM_CPU_KVCACHE_SPACE": "9"}).env["VLLM_CPU_KVCACHE_SPACE"] == "9"


def test_the_recorded_flags_are_comparable_and_hold_no_secret() -> None:
    env = {"VLLM_API_KEY": "s3cret", "VLLM_BATCH_INVARIANT": "1", "VLLM_CACHE_ROOT": "/tmp/x", "HF_TOKEN": "s3cret"}
    flags = built("--dtype", "float32", env=env).engine_flags
    assert "s3cret" not in " ".join(flags)
    assert "8123" not in flags
    assert "/m" not in flags
    assert flags[-2:] == ("VLLM_BATCH_INVARIANT=1", "VLLM_CPU_KVCACHE_SPACE=2")
    assert "--dtype" in flags
    assert "--seed" in flags


def test_a_wildcard_address_is_reached_on_the_loopback() -> None:
    assert ServerSpec(model="m", served_name="m", host="0.0.0.0").connect_host == "127.0.0.1"
    assert ServerSpec(model="m", served_name="m", host="::").connect_host == "::1"
    assert ServerSpec(model="m", served_name="m").connect_host == "127.0.0.1"
