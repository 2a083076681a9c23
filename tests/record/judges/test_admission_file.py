"""Admission records on disk: whole, unchanged, of a version that is known, or refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.admissions import make_admission

from llmgate.errors import RecordError
from llmgate.record.judges.admission import ADMISSION_MINOR
from llmgate.record.judges.admission_file import (
    admission_from_json,
    admission_to_json,
    load_admission,
    save_admission,
    sealed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.record.judges.admission import AdmissionRecord

GOLDEN = Path(__file__).parents[2] / "golden" / "admission-1.json"


def rewritten(record: AdmissionRecord, change: Callable[[dict[str, Any]], object]) -> str:
    """The record as another program would write it: changed, and with a digest that fits."""
    values = json.loads(admission_to_json(record))
    change(values)
    content = {key: value for key, value in values.items() if key != "digest"}
    values["digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps(values)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = sealed(make_admission())
    path = tmp_path / "judge.json"
    save_admission(path, record)
    assert load_admission(path) == record
    assert len(record.digest) == 64
    assert sealed(record) == record
    assert path.read_text(encoding="utf-8") == admission_to_json(record)


def test_the_first_format_is_read_for_ever() -> None:
    record = load_admission(GOLDEN)
    assert record.admitted
    assert record.instrument.type == "llm-rubric"
    assert record.results.kappa.lower == 0.7
    assert record.major == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"admitted": true', '"admitted": false'),
        lambda text: text.replace('"lower": 0.7', '"lower": 0.8'),
        lambda text: text.replace("Names the city.", "Names a city."),
    ],
)
def test_a_changed_record_is_refused(change: Callable[[str], str]) -> None:
    text = admission_to_json(make_admission())
    assert change(text) != text
    with pytest.raises(RecordError, match="changed after it was written"):
        admission_from_json(change(text))


def test_a_newer_minor_version_may_say_more() -> None:
    record = sealed(make_admission())
    newer = rewritten(record, lambda values: values.update(minor=9, mood="good"))
    read = admission_from_json(newer)
    assert replace(read, minor=ADMISSION_MINOR, digest=record.digest) == record


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(major=2), "major version 2, but this llmgate reads 1"),
        (lambda values: values.update(admitted="yes"), "admitted"),
        (lambda values: values.pop("results"), "results"),
        (lambda values: values["results"].pop("kappa"), "results.kappa"),
        (lambda values: values["results"].update(kind="songs"), "results.kind"),
    ],
)
def test_what_is_no_record_is_refused(change: Callable[[dict[str, Any]], object], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        admission_from_json(rewritten(make_admission(), change))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no admission record"),
        ("{}", "no admission record"),
        ('{"instrument": {}, "major": 1, "x": NaN}', "NaN is no number"),
        ('{"instrument": {}, "major": 1, "x": 1e999}', "1e999 is no number"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_garbage_is_refused(text: str, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        admission_from_json(text)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nothing\.json: the admission record cannot be read"):
        load_admission(tmp_path / "nothing.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match="not UTF-8 at byte 0"):
        load_admission(tmp_path / "bytes.json")
