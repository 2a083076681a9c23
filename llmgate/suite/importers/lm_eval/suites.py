"""lm-evaluation-harness: task files with local data, and the samples that `--log_samples` writes.

Format: https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/task_guide.md. llmgate generates and does
not compare likelihoods: a multiple-choice task becomes a question with lettered options and a `choice` assert.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.suite.importers.files import ForeignFile, mapping, read_source
from llmgate.suite.importers.lm_eval.checks import generation, metrics_of, written_asserts, written_choices
from llmgate.suite.importers.lm_eval.choices import letter_questions
from llmgate.suite.importers.lm_eval.docs import AskedDocument, question_of
from llmgate.suite.importers.lm_eval.samples import Log, read_log
from llmgate.suite.importers.lm_eval.shots import examples
from llmgate.suite.importers.lm_eval.task import evaluated_split, local_documents, refuse_code, task_config
from llmgate.suite.importers.result import Imported, Notebook
from llmgate.suite.importers.table import several, slug, suite_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_lm_eval"]

_INDEX: Final = re.compile(r"(?:{{)?\s*-?[0-9]+\s*(?:}})?")


def import_lm_eval(path: Path, vocabulary: Vocabulary, allowed: Sequence[str] = ()) -> Imported:
    """Read a task file, or logged samples.

    Args:
        path: A task's `.yaml`, or a `samples_*.jsonl`.
        vocabulary: The assert types that exist.
        allowed: Folders outside its project whose files it may name.

    Raises:
        SuiteError: If it cannot be read, or no document of it can be carried over.
    """
    notes = Notebook(vocabulary)
    source = read_source(path, allowed=allowed)
    log = read_log(source, notes) if path.suffix == ".jsonl" else read_task(source, notes)
    if not log.questions:
        raise SuiteError("no document can be carried over", where=str(path), fix=notes.why("It is empty"))
    records, asserts = checked(log, str(path), notes)
    suite = suite_of(
        records,
        [(written, str(path)) for written in asserts],
        notes,
        name=slug(log.name),
        prompt=({"role": "user", "content": "{{ prompt }}"},),
        prefix="doc",
        unchecked=("every metric, so nothing is checked", str(path)),
        sampling=log.sampling,
    )
    return Imported(suites=(suite,), notes=notes.notes)


def read_task(source: ForeignFile, notes: Notebook) -> Log:
    """The questions of a task file.

    Raises:
        SuiteError: If it is none, or its documents cannot be had.
    """
    config = task_config(source, notes)
    refuse_code(source, config)
    documents = local_documents(source, config, evaluated_split(config))
    before = examples(source, config, notes)
    questions = []
    for document, where in documents:
        shots = before(mapping(document))
        found = question_of(document, config, notes, before=shots, where=where, task=str(source.path))
        questions += [found] if found else []
    where = str(source.path)
    return Log(
        name=str(config.get("task") or source.path.stem),
        config=config,
        questions=questions,
        metrics=metrics_of(config, where, notes),
        sampling=generation(config, where, notes),
    )


def checked(log: Log, where: str, notes: Notebook) -> tuple[list[dict[str, Json]], list[dict[str, Json]]]:
    """The rows of questions, and the asserts that check their answers."""
    if isinstance(log.config.get("repeats"), int) and log.config["repeats"] > 1:
        notes.remark(f"the harness asks {log.config['repeats']} times; the suite asks once", where)
    questions = log.questions
    if any(one.options for one in questions):
        if not all(one.options for one in questions):
            notes.lost("documents without options, because others have some", where)
            questions = [one for one in questions if one.options]
        target = log.config.get("doc_to_target")
        constant = isinstance(target, int) or (isinstance(target, str) and bool(_INDEX.fullmatch(target.strip())))
        lettered = letter_questions(questions, where, notes, constant=constant)
        return lettered.records, written_choices(log.metrics, lettered.written, where, notes)
    trimmed = any(target != target.strip() for one in questions for target in one.targets)
    if trimmed:
        notes.remark(
            "targets begin or end with white space, which stands between a prompt and its completion; "
            "answers of a chat are compared without it",
            where,
        )
    columns, value = several("target", [targets_of(one, trimmed=trimmed) for one in questions])
    records: list[dict[str, Json]] = [
        {"prompt": one.text, **column} for one, column in zip(questions, columns, strict=True)
    ]
    return records, written_asserts(log.metrics, log.config, value, where, notes, trimmed=trimmed)


def targets_of(one: AskedDocument, *, trimmed: bool) -> list[str]:
    """The answers of which one is expected."""
    return [target.strip() for target in one.targets] if trimmed else list(one.targets)
