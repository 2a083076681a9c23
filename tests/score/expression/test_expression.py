"""`expression`: what is refused, what is an error, what negation and thresholds do, and that hostile code ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.form.asserts import read_assert

PYTHON = {"language": "python"}


def outcome(code: object, output: object = "abc", **more: Any) -> tuple[str, float | None]:
    written = {"type": "expression", "value": code, **more}
    result = evaluate_assert(written, output, vars={"n": 3}, prompt="Q")
    return result.outcome, result.score


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "not empty"),
        (3, "not empty"),
        ("true", "does not look at `output`"),
        ("context.vars.n === 3", "does not look at `output`"),
        ("return output.length > 3", "one line is an expression"),
        ("output.length >", "line 1"),
        ("output.fix()", "the method `fix`"),
        ("require('fs').readFileSync(output)", "readFileSync"),
        ("process", "the name 'process'"),
        ("output.constructor.constructor('return 1')()", "constructor"),
        ("output.length && context.test", "context"),
        ("JSON.stringify(context) + output", "context"),
        ("new Function(output)", "new Function"),
        ("Math.random() > output.length", "Math.random"),
        ("new Date() > output", "new Date"),
        ("/(?i)a/.test(output)", "pattern"),
        ("/\\p{L}/.test(output)", "flag u"),
        ("/a/y.test(output)", "flags"),
        ("/^{1,6}$/.test(output)", "no length"),
        (r"/\b+a/.test(output)", "no length"),
        ("output`a`", "tagged template"),
        ("async () => output", "name is missing"),
        ("output ?? 1 || 2", "??"),
    ],
)
def test_code_that_is_not_evaluated_is_refused_when_the_suite_is_read(code: object, words: str) -> None:
    result = evaluate_assert({"type": "expression", "value": code}, "abc")
    assert result.outcome == "error"
    assert words in result.reason
    assert evaluate_assert({"type": "not-expression", "value": code}, "abc").outcome == "error"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("True", "does not look at `output`"),
        ("output.__class__", "__class__"),
        ("output.lower.__self__", "attribute"),
        ("open(output)", "'open'"),
        ("__import__('os').system(output)", "system"),
        ("eval(output)", "'eval'"),
        ("getattr(output, 'x')", "'getattr'"),
        ("'{0.__class__}'.format(output)", "format"),
        ("re.search('a', output)", "without importing"),
        ("import os\nreturn output", "import os"),
        ("from os import path\nreturn output", "importfrom"),
        ("(lambda: output)()", "lambda"),
        ("(x := output)", "namedexpr"),
        ("f'{output:>99999999}'", "format"),
        ("output.encode() == 'a'", "encode"),
        ("while True:\n  output", "while"),
        ("def f(): return f()\nreturn output", "the name 'f'"),
        ("return output", "not Python"),
        ("json.tool(output)", "json.tool"),
    ],
)
def test_python_that_is_not_evaluated_is_refused_when_the_suite_is_read(code: str, words: str) -> None:
    result = evaluate_assert({"type": "expression", "value": code, "config": PYTHON}, "abc")
    assert result.outcome == "error"
    assert words in result.reason


@pytest.mark.parametrize("config", [{"language": "ruby"}, {"langauge": "python"}, {"language": 3}])
def test_settings_that_do_not_exist_are_refused(config: dict[str, object]) -> None:
    assert outcome("output.length > 1", config=config) == ("error", None)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("javascript", "while (true) {}\nreturn output"),
        ("javascript", "const f = x => f(x)\nreturn f(output)"),
        ("javascript", "let s = output\nfor (let i = 0; i < 40; i++) s += s\nreturn s.length"),
        ("javascript", "output.repeat(1e9).length"),
        ("javascript", "output.padStart(1e9).length"),
        ("javascript", "let a = [output]\nfor (let i = 0; i < 60; i++) a = [a, a]\nreturn String(a) === output"),
        (
            "javascript",
            "let a = [output]\nfor (let i = 0; i < 60; i++) a = [a, a]\nreturn JSON.stringify(a) === output",
        ),
        ("javascript", "let a = [output]\nfor (let i = 0; i < 60; i++) a = [a, a]\nreturn a.flat(Infinity).length"),
        ("javascript", "const a = [output]\na.push(a)\nreturn JSON.stringify(a) === output"),
        ("javascript", "const a = output.split('')\nfor (const x of a) a.push(...a)\nreturn a.length"),
        ("javascript", "output.replace(/x*/g, 'y'.repeat(1e6)).length"),
        ("python", "for a in range(10**9): output\nreturn True"),
        ("python", "10 ** 10 ** 10 > len(output)"),
        ("python", "999 ** 999 ** 2 > len(output)"),
        ("python", "len(output * 10 ** 9)"),
        ("python", "x = output\nfor i in range(60): x = x + x\nreturn len(x)"),
        ("python", "x = [output]\nfor i in range(60): x = [x, x]\nreturn x == [output]"),
        ("python", "x = (output,)\nfor i in range(60): x = (x, x)\nreturn x in {x: 1}"),
        ("python", "x = [output]\nfor i in range(60): x = [x, x]\nreturn str(x) == output"),
        ("python", "x = 7\nfor i in range(60): x = x * x\nreturn x > len(output)"),
        ("python", "x = [output]\nx.append(x)\nreturn str(x) == output"),
    ],
)
@pytest.mark.cpu_seconds(20)
def test_code_that_needs_too_much_is_an_error_and_ends(language: str, code: str) -> None:
    assert outcome(code, "abc", config={"language": language}) == ("error", None)
    negated = {"type": "not-expression", "value": code, "config": {"language": language}}
    assert evaluate_assert(negated, "abc").outcome == "error"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("javascript", "/^(?:a|aa)+$/.test(output[0].repeat(60) + output)"),
        ("python", "import re\nreturn bool(re.search('^(?:a|aa)+$', output[0] * 60 + output))"),
    ],
)
@pytest.mark.cpu_seconds(20)
def test_patterns_that_take_too_long_are_errors_and_end(language: str, code: str) -> None:
    assert outcome(code, "abc", config={"language": language}) == ("error", None)


@pytest.mark.parametrize("output", ["x" * 3_000_000, "[" * 5000 + "]" * 5000, '{"a":' * 900 + "1" + "}" * 900])
@pytest.mark.cpu_seconds(20)
def test_answers_that_are_too_large_or_too_deep_are_errors(output: str) -> None:
    for code in ("JSON.parse(output).a === 1", "json.loads(output)['a'] == 1"):
        assert outcome(code, output, config={"language": "python" if "loads" in code else "javascript"})[0] != "pass"
    assert outcome("JSON.parse(output).length > 0", output)[0] == "error"


@pytest.mark.parametrize("code", ["(" * 5000 + "output" + ")" * 5000, "!" * 9999 + "output", "[" * 400, "`${" * 50])
def test_code_that_is_nested_too_deeply_is_refused(code: str) -> None:
    assert outcome(code)[0] == "error"
    assert outcome(code, config=PYTHON)[0] == "error"


def test_where_the_code_would_throw_the_check_fails_and_its_negation_is_an_error() -> None:
    # promptfoo fails both; a fail that `not-` turned round would be a pass.
    for code, config in (("JSON.parse(output).a.b", {}), ("json.loads(output)['a']", PYTHON), ("output.a.b", {})):
        assert outcome(code, "no JSON", config=config) == ("fail", 0.0)
        assert evaluate_assert({"type": "not-expression", "value": code, "config": config}, "x").outcome == "error"


def test_what_is_no_result_fails_and_its_negation_is_an_error() -> None:
    for code in ("output && output.trim()", "[output].concat([1])", "({pass: true}) && ({pass: output === 'abc'})"):
        assert outcome(code) == ("fail", 0.0)
        assert evaluate_assert({"type": "not-expression", "value": code}, "abc").outcome == "error"


def test_thresholds_bound_numbers_and_negation_turns_verdict_and_score_round() -> None:
    assert outcome("output.length / 10", threshold=0.3) == ("pass", 0.3)
    assert outcome("output.length / 10", threshold=0.4) == ("fail", 0.3)
    assert outcome("output.length / 10", threshold=0) == ("error", None)
    assert outcome("output.length > 1", threshold=0.9) == ("pass", 1.0)
    assert outcome("output.length") == ("pass", 1.0)
    assert outcome("-output.length") == ("fail", 0.0)
    negated = evaluate_assert({"type": "not-expression", "value": "output.length / 10", "threshold": 0.4}, "abc")
    assert (negated.outcome, negated.score) == ("pass", 0.7)
    for strict, language in (("fail", "python"), ("pass", "javascript")):
        code = "{'pass': True, 'score': 0.2, 'reason': output}"
        written = f"({code.lower()})" if language == "javascript" else code
        assert outcome(written, threshold=0.5, config={"language": language})[0] == strict


def test_a_score_that_is_no_number_is_an_error() -> None:
    assert outcome("output.length * 'x'") == ("error", None)
    assert outcome("({pass: true, score: NaN, reason: output})") == ("error", None)


def test_templates_are_filled_in_before_the_code_is_read() -> None:
    written = {"type": "expression", "value": "output.includes('{{ word }}')"}
    for word, expected in (("b", "pass"), ("x", "fail"), ("'", "error")):
        assert evaluate_assert(written, "abc", vars={"word": word}).outcome == expected
    spec = read_assert(written, VOCABULARY.names)
    VOCABULARY.validate(spec, {"word": "b"})


def test_data_variables_and_prompt_are_there_and_cannot_be_changed() -> None:
    variables = {"words": ["a", "b"], "deep": {"n": 1}}
    for code, language in (
        ("context.vars.words.push('c')\nreturn output.n === 1 && context.prompt === 'Q'", "javascript"),
        ("context['vars']['words'].append('c')\nreturn output['n'] == 1 and context['prompt'] == 'Q'", "python"),
    ):
        written = {"type": "expression", "value": code, "config": {"language": language}}
        assert evaluate_assert(written, {"n": 1}, vars=variables, prompt="Q").outcome == "pass"
    assert variables == {"words": ["a", "b"], "deep": {"n": 1}}


def test_transforms_in_javascript_and_of_parsed_answers() -> None:
    chain = ["parsed", "javascript:output.items", "javascript:output[0].name"]
    written = {"type": "equals", "value": "tea", "transform": chain}
    assert evaluate_assert(written, '{"items": [{"name": "tea"}]}').outcome == "pass"
    assert evaluate_assert(written, '{"items": [{}]}').outcome == "fail"
    assert evaluate_assert(written, "no JSON").outcome == "fail"
    assert evaluate_assert({**written, "type": "not-equals"}, "no JSON").outcome == "error"
    assert evaluate_assert({"type": "contains", "value": "[1,2]", "transform": "parsed"}, "[1, 2]").outcome == "pass"
    for broken in ("javascript:fix(output)", "javascript:", "parsed:x", "javascript:context.vars.a + output"):
        assert evaluate_assert({**written, "transform": [broken]}, "tea").outcome == "error"


@given(
    st.text(alphabet="output.length()[]{}'\"`$/\\!&|=<>+-*%?:,; \n0a_ifreturnconstfor", max_size=80),
    st.text(max_size=20),
)
def test_any_code_ends_in_an_outcome_and_in_no_internal_error(code: str, output: str) -> None:
    for config in ({}, PYTHON):
        result = evaluate_assert({"type": "expression", "value": code, "config": config}, output)
        assert "internal error" not in result.reason
        if result.outcome == "error":
            assert result.score is None
