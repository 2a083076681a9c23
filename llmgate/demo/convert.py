"""Converts the demo's GGUF file to a model folder.

A program of its own, so that torch's memory and threads end with it. Arguments: the folder with `model.gguf`, then
the folder to write. Needs torch, transformers, accelerate and gguf.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["main"]

HIDDEN = ("torchvision", "torchaudio", "torchcodec")


def main() -> None:
    """Read, dequantise to bfloat16, save."""
    # transformers imports torchvision wherever it is found, and the one on the package index does not fit the CPU
    # build of torch (`operator torchvision::nms does not exist`). A text model needs none of these, and None makes
    # their import fail as if they were absent.
    sys.modules.update(dict.fromkeys(HIDDEN, cast("ModuleType", None)))
    torch = import_module("torch")
    transformers = import_module("transformers")
    transformers.utils.logging.set_verbosity_error()
    source, target = sys.argv[1:3]
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file="model.gguf")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file="model.gguf",
        dtype=torch.bfloat16,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    main()
