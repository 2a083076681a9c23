"""Assert types of other libraries: names, digests and what is refused. Their metrics run in tests/e2e/test_extras.py."""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from support.project import write_suite

from llmgate import evaluate_assert
from llmgate.errors import SuiteError
from llmgate.score.adapters.registry import EXTRA_KINDS, allowed_arguments
from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.models import Models
from llmgate.score.execute import run_consult
from llmgate.score.judge_identity import prompt_digest
from llmgate.score.vocabulary import VOCABULARY
from llmgate.session.run.plan import plan_file
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXTRAS = ("ragas", "deepeval")


def version_of(installed: str | None) -> Callable[[str], str]:
    def version(package: str) -> str:
        if installed is None:
            raise metadata.PackageNotFoundError(package)
        return installed

    return version


def test_prefixed_types_exist_and_ask_a_judge() -> None:
    assert set(EXTRA_KINDS) == {"ragas:", "deepeval:"}
    for extra in EXTRAS:
        assert f"{extra}:Faithfulness" in VOCABULARY.names
        assert VOCABULARY.is_judge(f"{extra}:Faithfulness")
        assert f"{extra}:" not in VOCABULARY.names
        assert extra not in VOCABULARY.names
    assert "other:Faithfulness" not in VOCABULARY.names
    assert not VOCABULARY.is_judge("other:Faithfulness")


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize(
    ("installed", "words"), [(None, "is not installed"), ("99.0", "is 99.0, but llmgate was tried with")]
)
def test_a_missing_or_other_version_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch, extra: str, prefix: str, installed: str | None, words: str
) -> None:
    monkeypatch.setattr(metadata, "version", version_of(installed))
    found = evaluate_assert({"type": f"{prefix}{extra}:Faithfulness"}, "x", vars={}, judge=lambda _: "{}")
    assert found.outcome == "error"
    assert words in found.reason
    assert f"pip install 'pytest-llmgate[{extra}]'" in found.reason
    assert extra not in sys.modules


def test_a_suite_that_names_one_is_read_and_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", version_of(None))
    path = write_suite(tmp_path, extra="  - {type: 'not-ragas:Faithfulness', metric: faithful}\n")
    with pytest.raises(SuiteError, match="not-ragas:Faithfulness: ragas is not installed") as caught:
        plan_file(path)
    assert caught.value.where is not None
    assert ":12" in caught.value.where


def test_a_library_that_cannot_be_imported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", version_of("0.4.3"))
    monkeypatch.setitem(sys.modules, "ragas", None)
    found = evaluate_assert({"type": "ragas:Faithfulness"}, "x", vars={}, judge=lambda _: "{}")
    assert "ragas cannot be imported" in found.reason


def test_each_metric_counts_in_the_digests() -> None:
    digests = {
        prompt_digest([name])
        for name in ("ragas:Faithfulness", "ragas:ContextRecall", "deepeval:Faithfulness", "llm-rubric")
    }
    assert len(digests) == 4
    assert "0.4.3" in VOCABULARY.version("ragas:Faithfulness")
    assert "4.3.1" in VOCABULARY.version("deepeval:GEval")


def test_unknown_types_are_still_unknown() -> None:
    found = evaluate_assert({"type": "raga:Faithfulness"}, "x", vars={})
    assert "unknown assert type 'raga:Faithfulness'" in found.reason
    with pytest.raises(SuiteError, match="unknown assert type"):
        VOCABULARY.version("raga:Faithfulness")


def test_what_cannot_be_loaded_is_an_error_of_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", version_of(None))
    spec = AssertSpec(type="deepeval:GEval", has_value=False)
    result = asyncio.run(run_consult(spec, CheckContext(output="x"), Models()))
    assert (result.outcome, result.score) == ("error", None)


class Metric:
    def __init__(self, llm: object, mode: str = "relevant", **kwargs: object) -> None:
        self.made_with = (llm, mode, kwargs)


def test_only_the_metrics_own_arguments_are_taken() -> None:
    def arguments(written: object) -> dict[str, object]:
        spec = AssertSpec(type="ragas:Metric", config={"arguments": written})  # type: ignore[dict-item]
        return allowed_arguments(spec, Metric, frozenset({"llm"}))

    assert arguments({"mode": "x"}) == {"mode": "x"}
    assert allowed_arguments(AssertSpec(type="ragas:Metric"), Metric, frozenset()) == {}
    for written, words in (
        ({"llm": 1}, "takes no argument"),
        ({"mod": 1}, "Did you mean mode"),
        ({"kwargs": 1}, "takes no"),
        ([1], "mapping"),
    ):
        with pytest.raises(SuiteError) as caught:
            arguments(written)
        assert words in str(caught.value)
