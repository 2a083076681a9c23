"""Templates that call methods of Python's texts: as jinja2 renders them, bounded, and only where they are allowed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmgate.errors import TemplateError
from llmgate.suite.template.nunjucks import Template

DOCUMENT: dict[str, Any] = {
    "answer": "so 2 + 2 = 4 #### 4 ", "choices": {"text": ["red", "blue, dark"], "label": ["A", "B"]}, "key": "B",
    "question": "  What IS it? ", "options": ["a", "b", "c"], "n": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "{{ answer.split('####')[-1].strip() }}", "{{ question.strip() }}|", "{{ question.strip().lower() }}",
        "{{ choices.label.index(key) }}", "{{ choices['text'][1] }}", "{{ options[-1] }}{{ options[0] }}{{ options[n] }}",
        "{{ question.replace('IS', 'was') }}", "{{ ', '.join(options) }}", "{{ options[0].upper() + options[1] }}",
        "{% if question.strip().startswith('What') %}yes{% endif %}", "{{ question.split()[1] }}",
        "{{ choices.get('none', 'x') }}", "{% for one in options %}{{ one.upper() }}{% endfor %}",
        "{{ answer.split('####', 1)[0].rstrip() }}", "{{ answer[-2:] }}", "{{ question.strip()|lower }}",
    ],
)  # fmt: skip
def test_it_renders_as_jinja2_does(text: str) -> None:
    wanted = ImmutableSandboxedEnvironment().from_string(text).render(DOCUMENT)
    assert Template.compile(text, python=True).render(DOCUMENT) == wanted


@given(st.text(max_size=20), st.text(min_size=1, max_size=2))
def test_methods_do_what_python_does(text: str, part: str) -> None:
    said = Template.compile("{{ [x.strip(), x.split(p), x.replace(p, 'yy'), x.upper()] }}", python=True)
    assert said.value({"x": text, "p": part}) == [
        text.strip(), text.split(part), text.replace(part, "yy"), text.upper(),
    ]  # fmt: skip


def test_a_single_expression_stands_for_its_data() -> None:
    assert Template.compile("{{ choices.text }}", python=True).value(DOCUMENT) == ["red", "blue, dark"]
    assert Template.compile("{{ choices.label.index('B') }}", python=True).value(DOCUMENT) == 1
    assert Template.compile("{{ key }}!", python=True).value(DOCUMENT) == "B!"
    assert Template.compile("plain").value({}) == "plain"


@pytest.mark.parametrize(
    "text",
    [
        "{{ answer.split('') }}", "{{ options.index('z') }}", "{{ n.strip() }}", "{{ none.strip() }}",
        "{{ answer.strip(1, 2, 3) }}", "{{ answer.format(1) }}", "{{ answer.__class__() }}", "{{ answer.encode() }}",
        "{{ answer.split(*options) }}", "{{ answer.strip(wrong=1) }}", "{{ options.append(1) }}", "{{ 3() }}",
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.compile(text, python=True).render(DOCUMENT)


@pytest.mark.parametrize(
    "text",
    [
        "{{ x.replace('', x) }}",
        "{{ x.join(x.split('a')) }}",
        "{% for a in range(10000) %}{{ x.split('b')[0].strip() }}{% endfor %}",
    ],
)
def test_growth_is_bounded(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.compile(text, python=True).render({"x": "a" * 20_000})


def test_suites_call_nothing() -> None:
    for text in ("{{ answer.strip() }}", "{{ answer | .strip }}"):
        with pytest.raises(TemplateError):
            Template.compile(text)


VALUES = {"ra": 2, "score": 1.5, "flag": True, "none": None, "list": ["a", 1], "answers": [{"t": "x"}, {"t": "y"}]}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("{{ ra - 1 }}", 1),
        ("no {{ ra - 1 }}", "no 1"),
        ("{{ ra // 2 }}{{ ra % 2 }}", "10"),
        ("{{ score }} {{ flag }} {{ none }}", "1.5 True None"),
        ("it is {{ list }}", "it is ['a', 1]"),
        ("{% for x in list %}{{ loop.index0 + 1 }}. {{ x }} {% endfor %}", "1. a 2. 1 "),
        ("{{ answers|map(attribute='t')|list }}", ["x", "y"]),
    ],
)
def test_values_are_written_as_python_writes_them(text: str, meaning: object) -> None:
    assert Template.compile(text, python=True).value(VALUES) == meaning


@pytest.mark.parametrize(
    "text", ["a {{ gone }}", "{{ answers|map(attribute='u')|list }}", "{{ ra|map(attribute='t') }}"]
)
def test_what_a_document_lacks_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.compile(text, python=True).value(VALUES)
