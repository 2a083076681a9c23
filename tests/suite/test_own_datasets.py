"""The project's own datasets match their locks and cards, and their rows can be scored without ambiguity."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
import yaml

from llmgate.suite.data.dataset import Dataset, load_dataset

ROOT = Path(__file__).parents[2]
NAMES = ("code-tasks", "json-extraction", "sentiment", "short-answers", "short-facts")


def load(name: str) -> Dataset:
    # The column is called as in the benchmark whose form the rows have.
    id_column = "task_id" if name == "code-tasks" else "id"
    return load_dataset(ROOT / "datasets" / name / f"{name}.jsonl", id_column=id_column)


def text_of(value: object) -> str:
    assert isinstance(value, str)
    return value


def test_no_dataset_is_forgotten_here() -> None:
    assert tuple(sorted(path.name for path in (ROOT / "datasets").iterdir())) == NAMES
    assert tuple(sorted(path.stem for path in (ROOT / "suites").glob("*.yaml"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_card_agrees_with_the_data(name: str) -> None:
    dataset = load(name)
    card = (ROOT / "datasets" / name / "CARD.md").read_text(encoding="utf-8")
    assert dataset.name == name
    assert dataset.licence == "Apache-2.0"
    assert "**Licence.** Apache-2.0." in card
    assert card.split("**Versions.**")[1].strip().startswith(f"- {dataset.version}: ")
    assert re.search(rf"\b{len(dataset.rows)} ", card)
    fields = re.findall(r"^\| `(\w+)` \|", card, re.MULTILINE)
    assert sorted(fields) == list(dataset.columns)
    topics = {text_of(row.values["topic"]) for row in dataset.rows}
    listed = re.search(r"^\| `topic` \| string \| One of ([a-z, ]+)", card, re.MULTILINE)
    assert listed
    assert set(listed[1].split(", ")) == topics


@pytest.mark.parametrize("name", NAMES)
def test_suite_names_its_dataset(name: str) -> None:
    suite = yaml.safe_load((ROOT / "suites" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert suite["suite"] == name
    assert (ROOT / "suites" / suite["dataset"]).resolve() == ROOT / "datasets" / name / f"{name}.jsonl"


def test_suites_are_large_enough_together() -> None:
    assert sum(len(load(name).rows) for name in NAMES) >= 640


@pytest.mark.parametrize(("name", "column"), [("short-facts", "answers"), ("short-answers", "key_facts")])
def test_accepted_words_are_no_comma_lists_and_not_given_away_by_the_question(name: str, column: str) -> None:
    for row in load(name).rows:
        accepted = [text_of(word) for word in cast("list[object]", row.values[column])]
        assert accepted
        assert all(word == word.strip() != "" and "," not in word for word in accepted), row.id
        question = text_of(row.values["question"]).lower()
        assert not [word for word in accepted if word.lower() in question], row.id


def test_questions_and_texts_are_distinct() -> None:
    for name, column in (
        ("code-tasks", "prompt"),
        ("short-facts", "question"),
        ("short-answers", "question"),
        ("sentiment", "text"),
        ("json-extraction", "text"),
    ):
        counts = Counter(text_of(row.values[column]) for row in load(name).rows)
        assert max(counts.values()) == 1


def test_extraction_fields_stand_in_the_text_once() -> None:
    for row in load("json-extraction").rows:
        text = text_of(row.values["text"])
        for column in ("name", "city"):
            value = text_of(row.values[column])
            assert re.fullmatch(r"[A-Za-z ]+", value), row.id
            assert len(re.findall(rf"\b{value}\b", text)) == 1, row.id
        assert re.findall(r"(\d+) dollars", text) == [str(row.values["amount"])], row.id


def test_sentiment_is_balanced_within_every_topic() -> None:
    rows = load("sentiment").rows
    counts = Counter((row.values["topic"], row.values["label"]) for row in rows)
    assert set(counts.values()) == {10}
    assert {label for _, label in counts} == {"positive", "negative"}
