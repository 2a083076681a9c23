"""Whether a text is HTML, the rule of promptfoo's is-html: elements, and no text outside of them.

html5lib builds the tree that a browser would (https://html.spec.whatwg.org/multipage/parsing.html). The output was
written by a model, and html5lib takes quadratic time and recurses on text that is made for it, so that whatever costs
too much ends in an error.
"""

from __future__ import annotations

import io
import time
from typing import Any, Final

from html5lib import HTMLParser, getTreeBuilder
from html5lib.constants import namespaces

from llmgate.errors import CannotRunError
from llmgate.suite.template import javascript

# ruff: noqa: N802 - html5lib's names
__all__ = ["MAX_HTML_CHARS", "TIME_LIMIT_S", "html_problem"]

MAX_HTML_CHARS: Final = 250_000
"""Characters of a text that is read as HTML, some tenths of a second's work."""
TIME_LIMIT_S: Final = 3.0
"""Processor time of one text; only text made to be slow takes more than some."""
_MAX_NODES: Final = 200_000

_ELEMENT_NAMES: Final = """
    a abbr address area article aside audio b base bdi bdo blockquote br button canvas caption cite code col
    colgroup data datalist dd del details dfn dialog div dl dt em embed fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hr i iframe img input ins kbd label legend li link main map mark math menu meta
    meter nav noscript object ol optgroup option output p param picture pre progress q rp rt ruby s samp script
    section select slot small source span strong style sub summary sup svg table tbody td template textarea
    tfoot th thead time title tr track u ul var video wbr
"""
_ELEMENTS: Final = frozenset(_ELEMENT_NAMES.split())
"""HTML's elements without the obsolete ones, as promptfoo lists them; every name with a hyphen counts too.

Without html, head and body, which a browser adds where a text has none.
"""
_BODY: Final = (namespaces["html"], "body")
_Token = dict[str, Any]


def html_problem(text: str) -> str | None:
    """Why a text is not HTML, None if it is.

    Raises:
        CannotRunError: If it is too long, or reading it takes too long.
    """
    text = javascript.trim(text)
    if not text:
        return "the output is empty"
    if text[:5].lower() == "<?xml":
        return "the output is XML"
    if len(text) > MAX_HTML_CHARS:
        raise CannotRunError(f"the output has {len(text)} characters; HTML is read up to {MAX_HTML_CHARS}")
    limits = _Limits()
    parser = _Parser(tree=lambda _: _Tree(limits))
    try:
        root = parser.parse(_LimitedText(text, limits), scripting=True)
    except RecursionError as error:
        raise CannotRunError("the output's HTML is nested too deeply") from error
    if parser.tree.has_written_body:
        return None
    body = root.find("body")
    outside = [] if body is None else [body.text, *(child.tail for child in body)]
    if any(javascript.trim(piece or "") for piece in outside):
        return "there is text outside of all elements"
    tags = (element.tag.rpartition("}")[2].lower() for element in root.iter() if isinstance(element.tag, str))
    return None if any(tag in _ELEMENTS or "-" in tag for tag in tags) else "the output has no known HTML element"


class _Limits:
    """Ends what takes too long."""

    def __init__(self) -> None:
        self.ends = time.thread_time() + TIME_LIMIT_S
        self.nodes = 0

    def check(self, nodes: int = 0) -> None:
        self.nodes += nodes
        if self.nodes > _MAX_NODES:
            raise CannotRunError(f"the output has more than {_MAX_NODES} HTML elements")
        if time.thread_time() > self.ends:
            raise CannotRunError(f"reading the output as HTML ran into its limit of {TIME_LIMIT_S:g} s")


class _LimitedText(io.StringIO):
    """A text that is read in pieces, with a look at the clock before each."""

    def __init__(self, text: str, limits: _Limits) -> None:
        # Line ends are html5lib's business.
        super().__init__(text, newline="")
        self.limits = limits

    def read(self, size: int | None = -1, /) -> str:
        self.limits.check()
        return super().read(size)


class _Tree(getTreeBuilder("etree")):  # type: ignore[misc]  # html5lib has no types
    """html5lib's own tree, with a look at the limits wherever it makes nodes or looks through those that are open."""

    def __init__(self, limits: _Limits) -> None:
        self.limits = limits
        self.has_written_body = False
        super().__init__(namespaceHTMLElements=False)

    def insertElementNormal(self, token: _Token) -> Any:
        self.limits.check(nodes=1)
        # Only the tokenizer's tokens have this key, and not those that the parser makes up.
        self.has_written_body |= token["name"] == "body" and "selfClosingAcknowledged" in token
        return super().insertElementNormal(token)

    def createElement(self, token: _Token) -> Any:
        self.limits.check(nodes=1)
        return super().createElement(token)

    def insertText(self, data: str, parent: Any = None) -> None:
        self.limits.check()
        super().insertText(data, parent)

    def elementInScope(self, target: Any, variant: str | None = None) -> bool:
        self.limits.check()
        return bool(super().elementInScope(target, variant))

    def elementInActiveFormattingElements(self, name: str) -> Any:
        self.limits.check()
        return super().elementInActiveFormattingElements(name)


class _Parser(HTMLParser):  # type: ignore[misc]  # html5lib has no types
    def parseError(self, errorcode: str = "", datavars: object = None) -> None:
        """Forgets the error: finding its line takes long, and there may be one at every character."""
        del errorcode, datavars
        self.tree.limits.check()
