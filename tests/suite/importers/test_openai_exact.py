"""Match, Includes, FuzzyMatch and JsonMatch: answers compared as OpenAI's evals compare them.

What is right was computed with its own code, evals 3.0.1.post1: `fuzzy_match` and `get_answer` of elsuite/utils.py,
`json_match` of elsuite/basic/json_match.py, `startswith` of api.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.imports import jsonl, outcomes, planned, write_files

from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.openai_evals import import_openai_evals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PAIRS: Final[tuple[tuple[str | list[str], str, bool, bool, bool, bool], ...]] = (
    # ideal, answer, then whether FuzzyMatch, Match, Includes, and Includes with ignore_case take it
    ("Paris", "The Paris.", True, False, True, True),
    ("Paris", "It is Paris", True, False, True, True),
    ("It is Paris", "Paris", True, False, False, False),
    ("Paris", "Rome", False, False, False, False),
    ("Paris", "", False, False, False, False),
    ("Paris", "the", False, False, False, False),
    ("Paris", "is", True, False, False, False),
    ("New York City", "new york", True, False, False, False),
    ("New York City", "York", True, False, False, False),
    ("New York", "NewYork", False, False, False, False),
    ("a dog", "dog", True, False, False, False),
    ("a dog", "The dog!", True, False, False, False),
    ("cat", "concatenate", True, False, True, True),
    ("don't", "dont know", True, False, False, False),
    ("5", "15", True, False, True, True),
    ("5.0", "50", True, False, False, False),
    ("x", "a", False, False, False, False),
    ("A", "a b", False, False, False, True),
    ("yes", "yes, an apple", True, True, True, True),
    ("no", "know", True, False, True, True),
    ("two words", "two  words", True, False, False, False),
    ("Ä", "ä", True, False, False, True),
    (["Rome", "Roma"], "roma it is", True, False, False, True),
    (["Rome", "Roma"], "Milan", False, False, False, False),
    (["Rome Italy", "Roma"], "italy", True, False, False, False),
    ("U.S.A.", "usa", True, False, False, False),
    ("café", "cafe", False, False, False, False),
)
DOCUMENTS: Final = (
    ('{"a": 1}', '{ "a": 1 }', True),
    ('{"a": 1}', '{"a": 2}', False),
    ('{"a": 1}', '{"a": 1.0}', True),
    ('{"a": null}', '{"a": null}', False),
    ('{"a": null}', "{}", False),
    ('{"a": 1}', '{"a": 1, "b": null}', False),
    ('{"a": 1}', '{"a": 1, "b": 2}', False),
    ("[1, 2]", "[1, 2]", True),
    ("[1, 2]", "[2, 1]", False),
    ("[1, 2]", "[1]", False),
    ("{}", "{}", True),
    ("[]", "[]", True),
    ("{}", "[]", False),
    ('"x"', '"x"', True),
    ('"x"', "x", False),
    ("1", "1", True),
    ("null", "null", False),
    ('{"a": 1}', '```json\n{"a": 1}\n```', False),
    ('{"a": 1}', 'so {"a": 1}', False),
    ('{"a": [{"b": "c"}]}', '{"a":[{"b":"c"}]}', True),
    ('{"a": {}}', '{"a": {"b": 1}}', False),
    ('{"a": 1, "a": 2}', '{"a": 2}', True),
    ('{"a": 1}', ' {"a": 1}\n', True),
    ('{"a": 1}', "", False),
    ('"x"', '"X"', False),
)


@pytest.mark.parametrize(
    ("kind", "place", "args"),
    [
        ("fuzzy_match:FuzzyMatch", 2, {}),
        ("match:Match", 3, {}),
        ("includes:Includes", 4, {}),
        ("includes:Includes", 5, {"ignore_case": True}),
    ],
)
def test_texts_are_compared_alike(tmp_path: Path, kind: str, place: int, args: dict[str, object]) -> None:
    # Of "A" FuzzyMatch leaves nothing, so that only an empty answer could match.
    pairs = [pair for pair in PAIRS if pair[0] != "A" or "Fuzzy" not in kind]
    samples = [{"input": "x", "ideal": pair[0]} for pair in pairs]
    suite = decided(tmp_path, kind, samples, [pair[1] for pair in pairs], args)
    assert suite == ["pass" if pair[place] else "fail" for pair in pairs]


def test_json_is_compared_alike(tmp_path: Path) -> None:
    possible = [one for one in DOCUMENTS if "null" not in one[0]]
    samples = [{"input": "x", "ideal": ideal} for ideal, _, _ in possible]
    found = decided(tmp_path, "json_match:JsonMatch", samples, [answer for _, answer, _ in possible], {})
    assert found == ["pass" if right else "fail" for _, _, right in possible]
    assert not any(right for ideal, _, right in DOCUMENTS if "null" in ideal)


def decided(
    folder: Path, kind: str, samples: Sequence[Mapping[str, object]], answers: list[str], args: dict[str, object]
) -> list[str]:
    """What the asserts of the imported eval say about each answer."""
    given = "".join(f", {key}: {str(value).lower()}" for key, value in args.items())
    registry = f"a.v0: {{class: 'evals.elsuite.basic.{kind}', args: {{samples_jsonl: s.jsonl{given}}}}}"
    write_files(folder, {"a.yaml": registry, "s.jsonl": jsonl(*samples)})
    done = import_openai_evals(folder / "a.yaml", VOCABULARY)
    assert done.complete
    suite = planned(done, folder / "out")
    named = {f"sample-{i:03}": answer for i, answer in enumerate(answers, start=1)}
    return [outcome for (outcome,) in outcomes(suite, named).values()]
