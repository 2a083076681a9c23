"""How promptfoo fills in variables, step for step: asserts see other texts than prompts do.

What happens to the variables of a case, in this order (promptfoo 0.123.1, `renderPrompt` and `runAssertion`):

1. A text loses one line break at its end, so that a YAML block means what it looks like.
2. `{{ name }}` in a text is replaced by the variable of that name, five rounds long. Asserts see this.
3. A prompt that is JSON is filled in with these texts, string by string. Any other prompt gets texts whose own
   templates are rendered before; one that names a variable which is not there stays as it is written.
4. A prompt or text with a tag that is not closed on its line is no template at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import TemplateError
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED, WHITESPACE
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["in_prompt", "settled", "unless_partial"]

ROUNDS: Final = 5
_SPACE: Final = f"[{re.escape(WHITESPACE)}]"
_LINES: Final = re.compile("[\n\r\u2028\u2029]")
_NAME: Final = re.compile(rf"\{{\{{{_SPACE}*([A-Za-z0-9_]+){_SPACE}*\}}\}}")
_TAGS: Final = {"{{": "}", "{%": "%", "{#": "#"}
"""How a tag starts, and the sign without which its line leaves it open."""
MAX_SEARCH: Final = 100_000_000
"""Tags times characters: each tag may look through the rest of the text."""
_RAW: Final = re.compile(rf"\{{%{_SPACE}*raw{_SPACE}*%\}}")
_ENDRAW: Final = re.compile(rf"\{{%{_SPACE}*endraw{_SPACE}*%\}}")
_COMMENT: Final = re.compile(r"\{#.*?#\}", re.DOTALL)
_WANTED: Final = re.compile(
    rf"\{{\{{{_SPACE}*([^{{}}|{re.escape(WHITESPACE)}]+){_SPACE}*(?:\|[^}}]+)?\}}\}}"
    rf"|\{{%{_SPACE}*(?:if|for){_SPACE}+([^{{}}{re.escape(WHITESPACE)}]+){_SPACE}*[^\n\r\u2028\u2029]*?%\}}"
)
_LOOP: Final = re.compile(rf"\{{%{_SPACE}*for{_SPACE}+([A-Za-z0-9_]+){_SPACE}+in{_SPACE}+([A-Za-z0-9_]+){_SPACE}*%\}}")
_ROOT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def settled(variables: Mapping[str, Any], spend: Callable[[int], object]) -> dict[str, Any]:
    """The variables of a case as its asserts see them: steps 1 and 2.

    Args:
        variables: Name to value, files already read.
        spend: Pays for characters before they are made; raises if there are too many.
    """
    values = {key: value.removesuffix("\n") if isinstance(value, str) else value for key, value in variables.items()}
    for _ in range(ROUNDS):
        changed = False
        for key, value in values.items():
            match = _NAME.search(value) if isinstance(value, str) else None
            if match is None or values.get(match[1], UNDEFINED) is UNDEFINED:
                continue
            written = javascript.text(values[match[1]])
            spend(len(value) + len(written))
            before, after = value[: match.start()], value[match.end() :]
            values[key] = before + _replacement(written, before, match[0], after) + after
            changed = True
        if not changed:
            break
    return values


def _replacement(text: str, before: str, found: str, after: str) -> str:
    """What `String.replace` puts in: `$$`, `$&`, `` $` `` and `$'` have a meaning there."""
    if "$" not in text:
        return text
    meanings = {"$$": "$", "$&": found, "$`": before, "$'": after}
    return re.sub(r"\$[$&`']", lambda sign: meanings[sign[0]], text)


def in_prompt(values: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a case as a prompt that is not JSON sees them: step 3.

    Raises:
        TemplateError: If a text is no template that can be rendered.
    """
    return {key: _in_prompt(value, values) for key, value in values.items()}


def _in_prompt(value: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or not any(tag in value for tag in _TAGS) or _wants_more(value, values):
        return value
    return Template.compile(unless_partial(value)).render(values)


def _wants_more(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a text names a variable that is not there, as far as promptfoo's patterns find names."""
    if sum(map(text.count, _TAGS)) * len(text) > MAX_SEARCH:
        raise TemplateError("the text has too many tags", fix="Shorten it")
    text = _COMMENT.sub("", text)
    names = {match[1] or match[2] for match in _WANTED.finditer(text)}
    for match in _LOOP.finditer(text):
        names.discard(match[1])
        names.add(match[2])
    roots = {root[0] for root in map(_ROOT.match, names) if root}
    return any(values.get(root, UNDEFINED) is UNDEFINED for root in roots - {"env"})


def unless_partial(text: str) -> str:
    """A template, or the text itself, written as a template, if it has a tag that is not closed on its line: step 4."""
    if not any(tag in text for tag in _TAGS) or not any(map(_leaves_open, _LINES.split(text))):
        return text
    return text if _RAW.search(text) and _ENDRAW.search(text) else f"{{% raw %}}{text}{{% endraw %}}"


def _leaves_open(line: str) -> bool:
    return any(tag in line and closing not in line[line.rindex(tag) + 2 :] for tag, closing in _TAGS.items())
