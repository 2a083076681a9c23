"""Which files of a repository are fetched."""

from __future__ import annotations

from llmgate.generate.sources.hub_files import HubFile, needed


def chosen(*names: str, code: bool = False) -> list[str]:
    return [file.path for file in needed([HubFile(path=name) for name in names], code=code)]


def test_what_vllm_reads() -> None:
    names = (
        "config.json", "generation_config.json", "merges.txt", "model-00001-of-00002.safetensors", "spiece.model",
        "model.safetensors.index.json", "o200k.tiktoken", "preprocessor_config.json", "vocab.txt",
    )  # fmt: skip
    assert chosen(*names) == list(names)


def test_what_it_does_not() -> None:
    names = (
        "LICENSE", "LICENSE.txt", "README.md", "requirements.txt", "trainer_state.json", "model.onnx", "tf_model.h5",
        "pytorch_model.bin", "training_args.bin", "bot.gguf", "original/params.json", "onnx/model.safetensors",
        ".gitattributes", ".hidden.safetensors", "image.png", "code.py",
    )  # fmt: skip
    assert chosen(*names) == []
    assert chosen(*names, code=True) == ["code.py"]


def test_mistrals_second_copy_is_left_unless_it_is_the_only_one() -> None:
    assert chosen("consolidated.safetensors", "model.safetensors", "params.json") == ["model.safetensors", "params.json"]
    assert chosen("consolidated.safetensors", "params.json") == ["consolidated.safetensors", "params.json"]
