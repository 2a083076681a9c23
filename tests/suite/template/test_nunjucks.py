"""Templates: Nunjucks' meaning, and bounds that a hostile suite file cannot pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import TemplateError
from llmgate.suite.template.budget import MAX_CHARS
from llmgate.suite.template.nunjucks import MAX_TEMPLATE_CHARS, Template

# Our templates, rendered by the npm package nunjucks 3.2.4 with autoescape off and promptfoo's filter `load`, which is
# JSON.parse. The first line holds the variables.
RECORDED: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "nunjucks.jsonl").read_text(encoding="utf-8").splitlines()
]
VARIABLES = RECORDED[0]["variables"]


def render(text: str, /, **variables: object) -> str:
    return Template.compile(text).render(variables)


BOMBS = [
    "{{ 'a'*10**9 }}",
    "{{ range(10**9)|list }}",
    "{{ range(10**400) | length }}",
    "{{ range(0, -10**9, -1) | length }}",
    "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
    "{% for i in range(1000) %}{% for j in range(1000) %}{% for k in xs %}{% endfor %}{% endfor %}{% endfor %}",
    "{% set s = 'aaaaaaaa' %}{% for i in range(60) %}{% set s = s + s %}{% endfor %}{{ s }}",
    "{% set s = 'aaaaaaaa' %}{% for i in range(60) %}{% set s = s ~ s %}{% endfor %}{{ s }}",
    "{% set s = 'aaaaaaaa' %}{% for i in range(60) %}{% set s = s | replace('a', 'aaaa') %}{% endfor %}{{ s }}",
    "{% set s = 'aaaaaaaa' %}{% for i in range(60) %}{% set s %}{{ s }}{{ s }}{% endset %}{% endfor %}{{ s }}",
    "{% set a = [1] %}{% for i in range(60) %}{% set a = [a, a] %}{% endfor %}{{ a }}",
    "{% set a = [1] %}{% for i in range(60) %}{% set a = [a, a] %}{% endfor %}{{ a | dump }}",
    "{% set a = [1] %}{% for i in range(60) %}{% set a = [a, a] %}{% endfor %}{{ a == 'x' }}",
    "{% set a = [1] %}{% for i in range(60) %}{% set a = [a, a] %}{% endfor %}{{ a * 1 }}",
    "{% set a = [1] %}{% for i in range(60) %}{% set a = [a, a] %}{% endfor %}{{ [a] | sort }}",
    "{{ [1]" + "+1" * 100_000 + " }}",
    "{% set a = [1] %}{% for i in range(60) %}{% set a = {'x': a, 'y': a} %}{% endfor %}{{ a | dump }}",
    "{% set a = [1] %}{% for i in range(9000) %}{% set a = [a] %}{% endfor %}{{ a }}",
    "{% set a = 'x' | indent(10**8, true) %}{{ a }}",
    "{{ ['x', 'y'] | join('z' | indent(900000000, true)) }}",
    "{{ 'x' | replace('', 'y' | indent(3999999, true)) | replace('', 'yyyy') }}",
    "{% set s = 'x' | indent(3000000, true) %}{% for i in range(10000) %}{% set t = s | upper %}{% endfor %}",
    "{% set s = 'x' | indent(3000000, true) %}{% for i in range(10000) %}{% if s == s ~ 'y' %}{% endif %}{% endfor %}",
    "{% set s = 'x' | indent(3000000, true) %}{{ s }}{{ s }}",
    "{{ '" + "&" * 900_000 + "' | escape }}",
    "{{ [1] | slice(1000000) }}",
    "{% for i in range(300) %}{{ 'x' | center(1000000) }}{% endfor %}",
    "{% set s = '<' | indent(90000, true) %}{% for i in range(90000) %}{{ s | striptags }}{% endfor %}",
    "{{ ['x', 'y'].join('z' | indent(900000000, true)) }}",
    "{{ ('x' | indent(3999999, true)).replaceAll(' ', 'yyyy') }}",
    "{% set s = 'x' | indent(3000000, true) %}{% for i in range(10000) %}{% set t = s.toUpperCase() %}{% endfor %}",
    "{% set s = 'x' | indent(300000, true) %}{% for i in range(10000) %}{% set t = s.split('') %}{% endfor %}",
    "{{ ('[' ~ ('1,' | indent(1000000, true)) ~ '1]') | load }}",
    "{{ 9" + "9" * 5000 + " }}",
    "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "{{ 1" + "+1" * 50_000 + " }}",
    "{{ a" + ".b" * 50_000 + " }}",
    "{% if a %}" * 5_000 + "{% endif %}" * 5_000,
    "{% for a in b %}" * 5_000 + "{% endfor %}" * 5_000,
    "{{ x }}" + "y" * MAX_TEMPLATE_CHARS,
    "y" * (MAX_CHARS + 1),
]

ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ x.__class__ }}",
    "{{ x['__class__'] }}",
    "{{ x.format }}",
    "{{ range.__globals__ }}",
    "{{ loop.__class__ }}",
    "{{ self }}{{ self._TemplateReference__context }}",
    "{{ cycler }}{{ lipsum }}{{ joiner }}{{ namespace }}{{ dict }}",
]

REFUSED = [
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% extends 'x' %}",
    "{% block b %}{% endblock %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% for x in xs recursive %}{{ loop(x) }}{% endfor %}",
    "{% for x in xs if x %}{% endfor %}",
    "{% set a.b = 1 %}",
    "{% set a, b = [1, 2] %}",
    "{{ x.upper() }}",
    "{{ lipsum(1000) }}",
    "{{ range() }}",
    "{{ range(*xs) }}",
    "{{ x | nosuch }}",
    "{{ x is nosuch }}",
    "{{ x | upper(1, 2, 3) }}",
    "{{ x | upper(a=1) }}",
    "{{ 1 in 2 }}",
    "{{ range(1, 5, 0) }}",
    "{{ 'abc'[::0] }}",
    "{{ oops ",
    "{% if x %}",
    "{%",
    "{# open",
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: f"{text[:60]}({len(text)})")
def test_bombs_are_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text)


@pytest.mark.parametrize("text", ["{{ 9**9**9**9 }}", "{{ 1e308 * 10 }}", "{{ -(9**9999) }}"])
def test_arithmetic_is_that_of_floats_and_cannot_grow(text: str) -> None:
    assert render(text) in {"NaN", "Infinity", "-Infinity"}


@pytest.mark.parametrize("text", ESCAPES)
def test_python_objects_are_out_of_reach(text: str) -> None:
    assert render(text, x="text") == ""


@pytest.mark.parametrize("text", REFUSED)
def test_what_templates_do_not_have_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.compile(text, where="suite.yaml:7").render({"x": "text", "xs": [1]})
    assert str(caught.value).startswith("suite.yaml:7: ")


def test_a_misspelt_filter_names_the_nearest() -> None:
    with pytest.raises(TemplateError, match=r"unknown filter 'uper'\. Did you mean upper\?"):
        render("{{ x | uper }}")


def test_deep_variables_are_an_error_and_not_a_crash() -> None:
    deep: object = "x"
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(TemplateError, match="nested too deeply"):
        render("{{ deep }}", deep=deep)


@pytest.mark.parametrize("row", RECORDED[1:], ids=lambda row: row["template"])
def test_renders_as_nunjucks_does(row: dict[str, Any]) -> None:
    if row.get("error"):
        with pytest.raises(TemplateError):
            render(row["template"], **VARIABLES)
    else:
        assert render(row["template"], **VARIABLES) == row["text"]


def test_line_breaks_survive() -> None:
    assert render("a\r\n{{ x\r\n}}\r{{ '\r\n' }}\n\x1c", x="\r") == "a\r\n\r\r\r\n\n\x1c"


def test_names_are_the_variables_that_a_row_must_have() -> None:
    template = Template.compile(
        "{{ a.b[c] }}{% for d in e %}{{ d }}{{ loop.index }}{% endfor %}{% set f = 1 %}{{ f }}{{ null }}"
        "{{ g | default('x') }}{% if h is defined %}{{ h }}{% endif %}{{ range(i) }}"
    )
    assert template.names == {"a", "c", "e", "i"}
    assert not template.constant
    assert Template.compile("plain }} text").constant


def test_wide_indented_dumps_are_paid_for() -> None:
    deep: object = list(range(10_000))
    for _ in range(50):
        deep = [deep]
    assert len(render("{{ deep | dump }}", deep=deep)) > 10_000
    with pytest.raises(TemplateError):
        render("{{ deep | dump(10) }}", deep=deep)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_renders_or_is_refused(text: str) -> None:
    for source in (text, "{{" + text + "}}", "{%" + text + "%}"):
        try:
            rendered = render(source, x=1)
        except TemplateError:
            continue
        assert isinstance(rendered, str)


@settings(deadline=None)
@given(st.text())
def test_text_without_tags_and_text_in_variables_is_kept(text: str) -> None:
    assert render("[{{ x }}]", x=text) == f"[{text}]"
    if not any(tag in text for tag in ("{{", "{%", "{#")):
        assert render(text) == text
