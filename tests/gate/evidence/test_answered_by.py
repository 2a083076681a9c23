"""Answers of another model, and the same model on both sides, bar PASS."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.records import make_manifest, make_record

from llmgate.gate.evidence.answered_by import answered_otherwise, models_that_answered, same_model_asked, seems_same
from llmgate.gate.serving.summary import summarise
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.manifest import ModelIdentity, ServerIdentity
from llmgate.record.schema import Generation, Record
from llmgate.record.serving.trace import RequestTrace, ServingTrace

URL = "http://10.0.0.7:8000/v1"


def endpoint_run(
    *said: AnsweredBy | None, url: str = URL, source: str = "/models/v1", name: str = "bot", **server: object
) -> Record:
    """A run at an endpoint, its answers given by these in turn."""
    facts = {"owned": False, "model_names": ("bot", "prod"), "engine": "vllm", "url": url, **server}
    manifest = replace(
        make_manifest(),
        model=ModelIdentity(name=name, source=source),
        server=ServerIdentity(**facts),  # type: ignore[arg-type]
    )
    record = replace(make_record(), manifest=manifest)
    by = dict(zip(record.results, said, strict=False))
    results = {
        key: replace(result, answer=replace(result.answer, answered_by=by.get(key)))
        if isinstance(result.answer, Generation)
        else result
        for key, result in record.results.items()
    }
    return replace(record, results=results)


def test_older_records_and_plain_answers_are_no_problem() -> None:
    assert answered_otherwise(make_record()) == []
    assert answered_otherwise(endpoint_run()) == []
    assert models_that_answered(endpoint_run(AnsweredBy(model="prod"))).keys() == {"bot"}


def test_what_is_wrong_is_said_with_counts_and_how_to_mend_it() -> None:
    (problem,) = answered_otherwise(endpoint_run(None, AnsweredBy(model="other")))
    assert str(problem).startswith("model: 1 of 4 answers came from other, not from bot. Ask for one model")


@pytest.mark.parametrize(
    ("champion", "same"),
    [
        (endpoint_run(), True),
        (endpoint_run(url="http://10.0.0.7:8000"), False),
        (endpoint_run(url="http://10.0.0.7:8000/v1/"), True),
        (endpoint_run(url="HTTP://10.0.0.7.:8000/v1"), True),
        (endpoint_run(url="http://10.0.0.8:8000/v1"), False),
        (endpoint_run(source="/models/v2"), False),
        (endpoint_run(name="prod"), True),
        (endpoint_run(name="other", model_names=("other",)), False),
        (endpoint_run(model_names=()), True),
        (endpoint_run(owned=True), False),
        (endpoint_run(*4 * [AnsweredBy(model="bot-2024-08-06")]), False),
        (endpoint_run(version="9"), True),
        (endpoint_run(url="http://[::1"), False),
    ],
)
def test_the_same_model_at_the_same_place(champion: Record, same: bool) -> None:
    assert seems_same(endpoint_run(), champion) == same
    assert bool(same_model_asked(endpoint_run(), champion)) == same
    assert not same_model_asked(endpoint_run(deployment="v2"), champion)


def test_the_machine_itself_has_several_addresses() -> None:
    first, second = (
        endpoint_run(url=f"http://{host}/v1", source=f"http://{host}/v1") for host in ("localhost", "[::1]")
    )
    assert seems_same(first, second)


def test_an_older_candidate_says_too_little_to_be_called_the_same() -> None:
    assert not seems_same(endpoint_run(model_names=()), endpoint_run())


def test_a_measurement_of_somebody_else_is_invalid() -> None:
    request = RequestTrace(index=0, queued_s=0.0, sent_s=0.0, token_events_s=(0.1, 0.2), end_s=0.2, completion_tokens=2)
    cached = replace(request, answered_by=AnsweredBy(cached="age"))
    other = replace(request, answered_by=AnsweredBy(model="b"))
    trace = ServingTrace(
        name="s", workload="", workload_digest="", concurrency=1, requests=(request, cached, other), duration_s=1.0,
        client_cpu_s=0.0, client_version="", model="a",
    )  # fmt: skip
    told = " ".join(summarise(trace).invalid)
    assert "1 of 3 answers came from b, not from a" in told
    assert "1 of 3 answers came out of a cache (age)" in told
