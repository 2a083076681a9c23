"""The vocabulary: load-time refusals, negation, weights, and that nothing a model writes makes a check raise."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.record.schema import CheckResult, Outcome
from llmgate.score.assertion.check import CheckContext
from llmgate.score.execute import run_check, score_case
from llmgate.score.vocabulary import VOCABULARY, prepare_check
from llmgate.suite.asserts import AssertSpec, Json

SCHEMA: Json = {"type": "object", "required": ["a"], "properties": {"a": {"type": "array", "uniqueItems": True}}}
SOUND: dict[str, Json] = {
    "checklist": ["Greets {{ x }}", "Is short"],
    "contains": "a",
    "contains-all": ["a", "b"],
    "contains-any": "a, b",
    "contains-html": None,
    "contains-json": SCHEMA,
    "contains-xml": "a.b",
    "code-executes": "assert {{ x }}",
    "contains-pii": None,
    "contains-secret": None,
    "contains-sql": {"allowedColumns": ["select::null::a"]},
    "equals": {"a": [1]},
    "factuality": "{{ x }} is kind",
    "g-eval": ["Is kind to {{ x }}", "Is short"],
    "icontains": 7,
    "icontains-all": ["{{ x }}"],
    "icontains-any": "{{ x }}, b",
    "is-html": None,
    "is-json": SCHEMA,
    "is-xml": ["a.b", "{{ x }}"],
    "json-diff": {"a": [1, {"b": "c"}]},
    "json-field": [{"path": "$.a[*]", "min": 1}, {"path": "$['b']", "equals": "{{ x }}"}],
    "is-sql": {"databaseType": "PostgreSQL", "allowedTables": ["select::(.*)::t"]},
    "llm-rubric": "Is kind to {{ x }}",
    "model-graded-closedqa": "Is kind to {{ x }}",
    "model-graded-factuality": "{{ x }} is kind",
    "prefer": "{{ x }}",
    "is-valid-function-call": None,
    "is-valid-openai-function-call": None,
    "is-valid-openai-tools-call": None,
    "prompt-injection-canary": "{{ x }}-canary",
    "regex": r"^(\w+)\s\1$",
    "starts-with": "{{ x }}",
    "tool-call-f1": "{{ x }}, b",
    "tool-calls": ["{{ x }}", {"name": "b", "arguments": {}}],
    "word-count": {"min": 1, "max": 3},
}


def spec(type_: str, value: Json = None, /, **fields: Any) -> AssertSpec:
    fields.setdefault("has_value", value is not None)
    return AssertSpec(type=type_, value=value, where="suites/faq.yaml:14", **fields)


def run(type_: str, value: Json, output: object, /, **fields: Any) -> CheckResult:
    return run_check(spec(type_, value, **fields), CheckContext(output=output, variables={"x": "ab"}))


def test_what_a_type_has_to_ask_is_known_before_it_is_asked() -> None:
    assert VOCABULARY.is_judge("llm-rubric")
    assert not VOCABULARY.is_judge("contains")
    assert not VOCABULARY.is_judge("no-such-type")


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("contains", "", "empty"),
        ("contains", None, "no value"),
        ("contains", True, "text or a number, not true"),
        ("contains", "{{ oops", "does not parse"),
        ("contains", "{{ expcted }}", "'expcted', which is no column. Did you mean expected"),
        ("contains", "{{ empty }}", "tried on the first row"),
        ("contains", "{{ 'a' * 10**9 }}", "not a number"),
        ("contains", "file://expected.txt", "not read from files"),
        ("contains-any", [], "nothing to look for"),
        ("contains-any", ["a", ""], "nothing to look for"),
        ("contains-any", ["a", "{{ empty }}"], "tried on the first row"),
        ("contains-any", [{"a": 1}], "mapping"),
        ("contains-any", '"a', "quote is not closed"),
        ("contains-all", 12, "a list or a comma-separated text"),
        ("starts-with", 4, "must be a text, not 4"),
        ("regex", "(", "does not compile"),
        ("regex", 42, "must be a pattern"),
        ("regex", "a{20}{2000000}", "does not compile|repetitions"),
        ("regex", "(?:(?:a{1000}){1000}){1000}", "repetitions"),
        ("word-count", "three", "must be a number"),
        ("word-count", {"minimum": 1}, "unknown key 'minimum'"),
        ("word-count", {"min": 1, "mx": 3}, "Did you mean max"),
        ("word-count", {"min": 4, "max": 2}, "min 4 is above max 2"),
        ("word-count", {"min": None}, "must be a number"),
        ("is-json", {"type": "strng"}, "invalid schema at /type"),
        ("is-json", {"type": "object", "requird": ["a"]}, "unknown keyword 'requird'.* Did you mean required"),
        ("is-json", {"properties": {"a": {"format": "data"}}}, "unknown format 'data'.*Did you mean date"),
        ("is-json", {"$ref": "https://example.com/schema.json"}, "nothing is fetched"),
        ("is-json", {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}}, "without end"),
        ("is-json", {"type": "string", "pattern": "("}, "does not compile"),
        ("is-json", "type: [object", "neither JSON nor YAML"),
        ("is-json", "a: &a [1]\nb: *a", "neither JSON nor YAML"),
        ("is-json", "{{ empty }}", "tried on the first row"),
        ("is-json", False, "a schema is a mapping, not false"),
        ("llm-rubric", " ", "nothing to judge"),
        ("llm-rubric", 5, "criterion must be a text"),
        ("equals", None, "no value"),
    ],
)
def test_broken_rules_are_refused_on_loading(type_: str, value: Json, message: str) -> None:
    for negated in (False, True):
        with pytest.raises(SuiteError, match=message) as caught:
            VOCABULARY.validate(spec(type_, value, negated=negated), {"expected": "x", "empty": ""})
        assert caught.value.where == "suites/faq.yaml:14"
        result = run(type_, value, "x", negated=negated)
        assert result.outcome is Outcome.ERROR or "{{" in str(value)


@pytest.mark.parametrize(
    ("written", "advice"),
    [("icontians", "Did you mean icontains?"), ("Contains", "Did you mean contains?"), ("", "Valid names: ")],
)
def test_unknown_types_are_answered_with_the_nearest_name(written: str, advice: str) -> None:
    with pytest.raises(SuiteError) as caught:
        VOCABULARY.validate(spec(written, "x"), {})
    assert str(caught.value).startswith(f"suites/faq.yaml:14: unknown assert type {written!r}. {advice}")


def test_a_negated_typo_is_answered_with_a_negated_name() -> None:
    with pytest.raises(SuiteError, match=r"unknown assert type 'not-icontians'\. Did you mean not-icontains\?"):
        VOCABULARY.validate(spec("icontians", "x", negated=True), {})


@pytest.mark.parametrize("fields", [{"weight": -1.0}, {"weight": 1e308}, {"weight": math.nan}, {"threshold": math.inf}])
def test_impossible_numbers_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(SuiteError):
        VOCABULARY.validate(spec("contains", "x", **fields), {})
    assert run("contains", "x", "x", **fields).outcome is Outcome.ERROR


def test_optional_columns_are_not_missed() -> None:
    VOCABULARY.validate(spec("contains", "{{ hint | default('x') }}"), {})


def test_braces_in_a_column_are_not_a_template() -> None:
    result = run_check(spec("contains", "{{ x }}"), CheckContext(output="{{ 1 }}", variables={"x": "{{ 1 }}"}))
    assert result.outcome is Outcome.PASS


def test_a_template_that_grows_is_an_error() -> None:
    result = run("equals", "{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}", "x")
    assert result.outcome is Outcome.ERROR
    assert "steps" in result.reason
    with pytest.raises(SuiteError, match="steps"):
        VOCABULARY.validate(spec("equals", "{{ range(10**9) | list }}"), {})


def test_what_the_spec_says_travels_into_the_result() -> None:
    result = run("contains", "zzz", "x", weight=2.5, metric="tone", required=True, negated=True)
    assert (result.type, result.weight, result.metric, result.required) == ("not-contains", 2.5, "tone", True)
    assert (result.outcome, result.score) == (Outcome.PASS, 1.0)


def test_weight_zero_records_but_does_not_fail_unless_required() -> None:
    assert run("contains", "z", "x", weight=0.0).outcome is Outcome.PASS
    assert run("contains", "z", "x", weight=0.0).score == 0.0
    assert run("contains", "z", "x", weight=0.0, required=True).outcome is Outcome.FAIL
    assert run("regex", "(", "x", weight=0.0).outcome is Outcome.ERROR


def test_a_rubric_without_a_judge_is_an_error() -> None:
    assert run("llm-rubric", "Is kind", "x").outcome is Outcome.ERROR


def test_scoring_a_case_keeps_the_order_and_leaves_out_what_needs_a_judge() -> None:
    asserts = [
        spec("contains", "a"),
        spec("llm-rubric", "kind"),
        spec("nope", "x"),
        spec("contains", "b", negated=True),
    ]
    results = score_case(asserts, CheckContext(output="abc"), VOCABULARY)
    assert [(result.type, result.outcome) for result in results] == [
        ("contains", Outcome.PASS),
        ("nope", Outcome.ERROR),
        ("not-contains", Outcome.FAIL),
    ]


def test_a_rule_is_compiled_once_for_all_cases() -> None:
    one = spec("is-json", SCHEMA)
    assert prepare_check(one) is prepare_check(one)


def test_reasons_are_one_short_printable_line() -> None:
    result = run("equals", "\ud83e\n" * 5000, "x")
    assert len(result.reason) <= 300
    assert "\n" not in result.reason
    result.reason.encode()


@pytest.mark.parametrize("depth", [2_000, 30_000])
def test_deep_json_is_read_or_an_error_but_never_a_crash(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    assert run("is-json", None, deep).outcome is Outcome.PASS
    assert run("is-json", {"type": "object"}, deep).outcome in {Outcome.FAIL, Outcome.ERROR}
    assert run("is-json", {"items": {"$ref": "#"}}, deep).outcome is Outcome.ERROR
    assert run("equals", [[1]], deep).outcome is Outcome.FAIL
    structured: object = []
    for _ in range(depth):
        structured = [structured]
    assert run("contains", "[[", structured).outcome is Outcome.ERROR


def test_many_equal_looking_items_take_no_quadratic_time() -> None:
    items = ",".join(f'{{"i":{i}}}' for i in range(20_000))
    assert run("is-json", SCHEMA, f'{{"a":[{items}]}}').outcome is Outcome.PASS
    assert run("is-json", SCHEMA, f'{{"a":[{items},{{"i":7}}]}}').outcome is Outcome.FAIL


def test_a_schema_that_stands_for_endless_work_is_an_error() -> None:
    definitions: dict[str, Json] = {f"d{i}": {"allOf": [{"$ref": f"#/definitions/d{i + 1}"}] * 2} for i in range(40)}
    schema: Json = {"$ref": "#/definitions/d0", "definitions": {**definitions, "d40": {"type": "integer"}}}
    assert run("is-json", schema, "1").outcome is Outcome.ERROR


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a schema opened a connection")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    assert run("is-json", {"$ref": "http://127.0.0.1:9/x"}, "1").outcome is Outcome.ERROR


outputs = st.one_of(
    st.text(),
    st.text(alphabet='[]{}",:0123456789eE+-.truefalsn \n\\u{}ab'),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
)


rules = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["{{ x }}", "("]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["min", "max", "type", "properties", "items", "$ref", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", sorted(VOCABULARY.names))
@settings(max_examples=30, deadline=None)
@given(value=rules, negated=st.booleans())
def test_any_rule_is_evaluated_or_an_error_and_never_raises(name: str, value: Json, negated: bool) -> None:
    result = run(name, value, "some output", negated=negated, has_value=True)
    assert isinstance(result.outcome, Outcome)
    assert not result.reason.startswith("internal error")
