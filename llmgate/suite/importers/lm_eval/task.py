"""A task file of lm-evaluation-harness: its settings with those that it includes, and its documents from local files.

Format: lm_eval/config/task.py and lm_eval/tasks/_yaml_loader.py of lm-evaluation-harness 0.4.13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.record.reach import contained
from llmgate.suite.importers.files import FUNCTION, ForeignFile, listing, mapping, read_csv, read_source, read_text

if TYPE_CHECKING:
    from llmgate.suite.importers.result import Notebook

__all__ = ["Documents", "evaluated_split", "local_documents", "refuse_code", "task_config"]

Documents = list[tuple[Any, str]]
"""Documents, each with its place."""

MAX_INCLUDES: Final = 10
_LOG: Final = "Run the task with --log_samples and import its samples_*.jsonl, which hold what the model was asked"
_LOADERS: Final = frozenset({"csv", "json", "text"})
_READ: Final = frozenset(
    {
        *("task", "dataset_path", "dataset_name", "dataset_kwargs", "training_split", "validation_split"),
        *("test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target", "doc_to_choice"),
        *("process_results", "use_prompt", "description", "target_delimiter", "fewshot_delimiter", "fewshot_config"),
        *("num_fewshot", "metric_list", "output_type", "generation_kwargs", "repeats", "filter_list", "gen_prefix"),
        *("class", "custom_dataset", "doc_to_image", "doc_to_audio"),
    }
)
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("task_alias", "tag", "group", "group_alias", "metadata", "should_decontaminate", "unsafe_code"),
        *("doc_to_decontamination_query", "task_list", "recipe"),
    }
)
"""Names, groups and notes: they change neither what is asked nor how one answer is scored."""
_CODE: Final[Mapping[str, str]] = {
    "class": "the task is a Python class",
    "process_docs": "process_docs is code that makes the documents, so what would be asked is not known",
    "custom_dataset": "custom_dataset is code that makes the documents",
    "use_prompt": "use_prompt takes its templates from another package",
    "doc_to_image": "doc_to_image: the questions hold images",
    "doc_to_audio": "doc_to_audio: the questions hold sounds",
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")


def task_config(source: ForeignFile, notes: Notebook, depth: int = 0) -> dict[str, Any]:
    """A task's settings with those of the files that it includes; its own win.

    Raises:
        SuiteError: If it is no task, or includes go in circles.
    """
    if not isinstance(source.data, Mapping) or depth > MAX_INCLUDES:
        raise SuiteError("this is no task file", where=str(source.path), fix="Name the YAML file of one task")
    if isinstance(source.data.get("task"), list) or ("group" in source.data and "task" not in source.data):
        raise SuiteError("this is a group of tasks", where=str(source.path), fix="Import its tasks one by one")
    own = dict(source.data)
    included = own.pop("include", None)
    config: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included] if included is not None else []:
        if not isinstance(name, str):
            raise SuiteError("`include` names no file", where=source.where("include"), fix="Write the name of a file")
        inner = read_source(source.named(name, source.where("include")), source.reach)
        config |= task_config(inner, notes, depth + 1)
    config |= own
    if depth == 0:
        for key in sorted(set(map(str, config)) - _READ - _WITHOUT_EFFECT):
            notes.lost(f"the key {key!r}, which lm-evaluation-harness 0.4.13 does not know", source.where(key))
    return config


def refuse_code(source: ForeignFile, config: Mapping[str, Any]) -> None:
    """Refuse a task whose questions code makes, or that asks for no answer.

    `process_docs` may drop, add and rewrite documents under the names that they have, so that even a template whose
    columns are all in the raw data would ask something else: the documents are refused whatever the templates name.

    Raises:
        SuiteError: If it is such a task.
    """
    for key, what in _CODE.items():
        if config.get(key) is not None:
            raise SuiteError(f"{what} ({str(config[key])[:60]})", where=source.where(key), fix=_LOG)
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        if str(config.get(key, "")).startswith(FUNCTION):
            name = str(config[key]).removeprefix(FUNCTION).strip()
            raise SuiteError(f"{key} is code ({name}), which is not run", where=source.where(key), fix=_LOG)
    kind = str(config.get("output_type") or "generate_until")
    if kind not in {"generate_until", "multiple_choice"}:
        raise SuiteError(
            f"the task measures the likelihood of given texts ({kind}), which no chat endpoint is asked for",
            where=source.where("output_type"),
            fix="Import a task with output_type generate_until or multiple_choice",
        )


def evaluated_split(config: Mapping[str, Any]) -> str | None:
    """The split whose documents are asked: the test split, else the validation split."""
    return next((str(config[key]) for key in ("test_split", "validation_split") if config.get(key)), None)


def local_documents(source: ForeignFile, config: Mapping[str, Any], split: str | None) -> Documents:
    """The documents of one split of a task whose data lies in files.

    Raises:
        SuiteError: If they lie on a hub, or a file cannot be read.
    """
    kwargs = mapping(config.get("dataset_kwargs"))
    where = source.where("dataset_kwargs")
    files = kwargs.get("data_files")
    loader = config.get("dataset_path")
    if files is None or not (loader is None or (isinstance(loader, str) and loader in _LOADERS)):
        hub = "/".join(str(config[key]) for key in ("dataset_path", "dataset_name") if config.get(key))
        raise SuiteError(
            f"the documents are the dataset {hub or 'of a function'}, which is not downloaded",
            where=source.where("dataset_path"),
            fix=f"{_LOG}, or use `dataset: hf://…` in a suite",
        )
    unread = sorted(set(map(str, kwargs)) - {"data_files", "field", "trust_remote_code", "streaming"})
    if unread:
        raise SuiteError(f"dataset_kwargs.{unread[0]} is not read", where=where, fix="Convert the data to JSONL")
    if isinstance(files, Mapping):
        if split not in files:
            raise SuiteError(f"data_files has no split {split!r}", where=where, fix="Check test_split")
        files = files[split]
    documents: Documents = []
    for name in files if isinstance(files, list) else [files]:
        path = next((p for p in (source.path.parent / str(name), Path(str(name))) if p.exists()), None)
        if path is None:
            raise SuiteError(f"there is no file {name}", where=where, fix="Check data_files")
        contained(path, source.reach, where=where)
        documents += documents_in(ForeignFile(path=path, data=None, reach=source.reach), kwargs.get("field"), loader)
    return documents


def documents_in(file: ForeignFile, field: Any, loader: Any) -> Documents:
    """The documents of one file, as the loaders of Hugging Face's datasets read it."""
    path = file.path
    if loader == "csv" or (loader is None and path.suffix == ".csv"):
        rows = read_csv(path, file.reach)
        kinds = {name: cells([row[name] for _, row in rows]) for name in (rows[0][1] if rows else {})}
        return [({name: kinds[name][i] for name in kinds}, f"{path}:{line}") for i, (line, _) in enumerate(rows)]
    if loader == "text":
        lines = read_text(path, file.reach).splitlines()
        return [({"text": line}, f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    if path.suffix not in {".json", ".jsonl", ".yaml", ".yml"}:
        raise SuiteError(f"a {path.suffix or 'nameless'} file is not read", where=str(path), fix="Convert it to JSONL")
    inner = read_source(path, file.reach)
    data = inner.data
    if isinstance(data, Mapping):
        data = data.get(field) if field else next((v for v in data.values() if isinstance(v, list)), [])
    return [(document, inner.where(i)) for i, document in enumerate(listing(data))]


def cells(texts: list[str]) -> list[Any]:
    """A column of a CSV file: numbers where every cell that is not empty is one, as pandas reads it."""
    filled = [text for text in texts if text]
    if filled and all(_INTEGER.fullmatch(text) for text in filled) and len(filled) == len(texts):
        return [int(text) for text in texts]
    if filled and all(_NUMBER.fullmatch(text) for text in filled):
        return [float(text) if text else None for text in texts]
    if filled and all(text in {"True", "False"} for text in filled) and len(filled) == len(texts):
        return [text == "True" for text in texts]
    return [text or None for text in texts]
