"""Variables as promptfoo fills them in; what it makes of whole configurations is in `tests/suite/importers`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import SuiteError, TemplateError
from llmgate.record.growth import Growth
from llmgate.suite.template.nunjucks import Template
from llmgate.suite.template.promptfoo import in_prompt, settled, unless_partial

VALUES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d1"]),
    st.text(st.sampled_from(list("{}% abcd1\n$&`'|#")), max_size=30)
    | st.sampled_from(["{{ a }}", "{{b}}{{ c }}", "{% if a %}x{% endif %}", "{{ d1 | upper }}"])
    | st.integers()
    | st.none(),
    max_size=4,
)


def free(_: int) -> None:
    """Costs nothing."""


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({"a": "x\n"}, {"a": "x"}),
        ({"a": "x\n\n"}, {"a": "x\n"}),
        ({"a": "\n"}, {"a": ""}),
        ({"a": ["x\n"]}, {"a": ["x\n"]}),
        ({"a": "{{b}} {{ b }}", "b": "y\n"}, {"a": "y y", "b": "y"}),
        ({"a": "{{ a }}"}, {"a": "{{ a }}"}),
        ({"a": "{{ gone }} {{ b }}", "b": "y"}, {"a": "{{ gone }} {{ b }}", "b": "y"}),
        ({"a": "{{ b.c }} {{ b | upper }}", "b": "y"}, {"a": "{{ b.c }} {{ b | upper }}", "b": "y"}),
        ({"a": "{{ n }}{{ t }}{{ z }}{{ l }}", "n": 1.5, "t": True, "z": None, "l": [1, [2]]},
         {"a": "1.5truenull1,2", "n": 1.5, "t": True, "z": None, "l": [1, [2]]}),
        ({"a": "<{{ b }}>", "b": "$$ $` $' $1"}, {"a": "<$ < > $1>", "b": "$$ $` $' $1"}),
    ],
)  # fmt: skip
def test_what_asserts_see(variables: dict[str, object], seen: dict[str, object]) -> None:
    assert settled(variables, free) == seen


@pytest.mark.parametrize(
    ("text", "partial"),
    [
        *(("{{ a }}", False), ("{{ a", True), ("{{ a\n}}", True), ("{{ a }} {{", True), ("{% if a %}", False)),
        *(("{% if a", True), ("{%\nif a %}", True), ("{# a #}", False), ("{# a\nb #}", True), ("a } b", False)),
        *(("{{ a }\u2028", False), ("{{\u2028}}", True), ("{{ {% } %", False)),
        ("{% raw %}{{ a{% endraw %}", False),
    ],
)
def test_open_tags_make_a_text_of_a_template(text: str, partial: bool) -> None:
    assert unless_partial(text) == (f"{{% raw %}}{text}{{% endraw %}}" if partial else text)


def test_variables_that_multiply_are_paid_for() -> None:
    bomb = {f"v{i}": f"{{{{ v{i + 1} }}}}" * 5 for i in range(60)} | {"v60": "x" * 1_000_000}
    growth = Growth(0, "x", error=SuiteError)
    with pytest.raises(SuiteError, match="grows"):
        settled(dict(reversed(bomb.items())), growth.spend)


def test_texts_with_too_many_tags_are_refused() -> None:
    with pytest.raises(TemplateError, match="too many tags"):
        in_prompt({"a": "{{a|" * 20_000})


@given(VALUES)
@settings(deadline=None)
def test_any_variables_are_filled_in_or_refused(variables: dict[str, object]) -> None:
    seen = settled(variables, free)
    assert seen.keys() == variables.keys()
    try:
        asked = in_prompt(seen)
    except TemplateError:
        return
    assert all(asked[key] == value for key, value in seen.items() if not isinstance(value, str) or "{" not in value)


@given(st.text(st.sampled_from(list("{}%# a\n\r")), max_size=40))
@settings(deadline=None)
def test_a_text_with_open_tags_is_said_as_it_is(text: str) -> None:
    written = unless_partial(text)
    if written != text:
        assert Template.compile(written).render({}) == text
