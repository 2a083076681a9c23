"""Names that the installed vLLM knows, from its source."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from llmgate.errors import UsageError
from llmgate.generate.vllm.checks import Engine
from llmgate.generate.vllm.command import Device
from llmgate.generate.vllm.known_names import NAMED, check_names, known_names

TOOLS, REASONING, QUANTIZATION, DTYPE = NAMED


def engine(folder: Path | None, *plugins: str) -> Engine:
    return Engine(distribution="vllm", version="0.33.0", device=Device.GPU, folder=folder, plugins=plugins)


def source(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def vllm(tmp_path: Path) -> Path:
    never = "raise SystemExit('must not be imported')\n"
    source(tmp_path, TOOLS.file, f'{never}_TOOL_PARSERS_TO_REGISTER = {{"hermes": ("a", "B"), "mistral": ("c", "D")}}\n')
    source(tmp_path, REASONING.file, f'{never}_REASONING_PARSERS_TO_REGISTER: dict = {{"qwen3": ("a", "B")}}\n')
    source(tmp_path, QUANTIZATION.file, f'{never}QuantizationMethods = Literal["fp8", "awq"]\n')
    source(tmp_path, DTYPE.file, f'{never}ModelDType = Literal["auto", "bfloat16"]\n')
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "where", "fix"),
    [
        (("--tool-call-parser", "hermess"), "--tool-call-parser", "Did you mean hermes?"),
        (("--tool-call", "hermess"), "--tool-call-parser", "Did you mean hermes?"),
        (("--tool_call_parser=Hermes",), "--tool-call-parser", "Did you mean hermes?"),
        (("--reasoning-parser", "qwen"), "--reasoning-parser", "Did you mean qwen3?"),
        (("-q", "fp9"), "--quantization", "Did you mean fp8?"),
        (("--dtype", "float8"), "--dtype", "Did you mean"),
    ],
)
def test_names_that_it_does_not_know_are_refused(vllm: Path, flags: tuple[str, ...], where: str, fix: str) -> None:
    with pytest.raises(UsageError, match="the installed vLLM 0.33.0 knows no") as error:
        check_names(flags, engine(vllm))
    assert error.value.where == where
    assert fix.split()[0] in str(error.value.fix)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--tool-call-parser", "hermes", "--reasoning-parser", "qwen3", "--quantization", "FP8", "--dtype", "auto"),
        ("--tool-call-parser", "own", "--tool-parser-plugin", "own.py"),
        ("--reasoning-parser", "own", "--reasoning-parser-plugin=own.py"),
    ],
)
def test_names_that_it_knows_or_may_learn_pass(vllm: Path, flags: tuple[str, ...]) -> None:
    check_names(flags, engine(vllm))


def test_plugins_may_have_added_names(vllm: Path) -> None:
    check_names(("--quantization", "own"), engine(vllm, "own_quantization"))


@pytest.mark.parametrize(
    "text",
    [
        "", "x = 1", "(", "\0", "QuantizationMethods = str", "QuantizationMethods = Literal[NAMES]",
        "QuantizationMethods = Literal['a', *NAMES]", "QuantizationMethods = {**OTHERS, 'a': 1}", "QuantizationMethods = {}",
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_seen_refuses_nothing(tmp_path: Path, text: str) -> None:
    source(tmp_path, QUANTIZATION.file, text)
    assert known_names(tmp_path, QUANTIZATION) is None
    check_names(("--quantization", "own"), engine(tmp_path))
    check_names(("--quantization", "own"), engine(tmp_path / "gone"))
    check_names(("--quantization", "own"), engine(None))


@pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM is installed")
def test_the_lists_of_the_installed_vllm_are_found() -> None:
    spec = find_spec("vllm")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    found = {names.flag: known_names(folder, names) or frozenset() for names in NAMED}
    assert {"hermes", "mistral"} <= found["tool-call-parser"]
    assert {"deepseek_r1", "qwen3"} <= found["reasoning-parser"]
    assert {"fp8", "awq", "gptq", "compressed-tensors"} <= found["quantization"]
    assert found["dtype"] == {"auto", "half", "float16", "bfloat16", "float", "float32"}
