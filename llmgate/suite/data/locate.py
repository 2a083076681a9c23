"""What a suite calls its dataset, found: a path relative to the suite, or a URI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from llmgate.errors import DatasetError
from llmgate.record.reach import Reach, contained
from llmgate.suite.data import huggingface
from llmgate.suite.data.mlflow import SCHEME, mlflow_source
from llmgate.suite.data.source import DatasetSource, as_source

__all__ = ["is_uri", "locate"]

URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def is_uri(written: str) -> bool:
    """Whether this names something that is not a file here."""
    return URI.match(written) is not None and not Path(written).exists()


def locate(written: str, folder: Path, reach: Reach | None = None) -> DatasetSource:
    """Find a dataset.

    Args:
        written: A path, `hf://…` or `mlflow:…`.
        folder: What paths are relative to, and where locks of other data lie.
        reach: Where files have to lie that a suite names; None for what the user named.

    Raises:
        DatasetError: If it is a URI that is malformed, not pinned, or of an unknown scheme, or a file lies elsewhere.
    """
    if written.startswith(huggingface.SCHEME):
        return huggingface.hub_source(written, folder)
    if written.startswith(SCHEME):
        return mlflow_source(written, folder)
    if "://" in written:
        raise DatasetError(
            "datasets are not fetched from there",
            where=written,
            fix="Name a file, hf://datasets/OWNER/NAME/FILE@COMMIT, or mlflow:datasets/NAME",
        )
    try:
        path = (folder / written).resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise DatasetError(f"{written!r} is no path of a file", fix="Check the path") from error
    if reach is not None:
        contained(folder / written, reach, where="", error=DatasetError)
    return as_source(path, reach)
